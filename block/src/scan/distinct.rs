//! Distinct values of one field in a row group, or the distinct keys: what a client offers while a query is typed.
//!
//! Only the chunks that hold the field are asked for. Where a chunk uses its dictionary throughout, and all rows count, the
//! dictionary is all that is decoded. It knows where a value may lie, not who asks.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::ops::Range;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, StringArray};
use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use parquet::arrow::arrow_reader::RowSelection;

use super::project::runs;
use crate::read::{Block, Fetched, SearchIndex, Shape};
use crate::schema::{self, ValueType};
use crate::{Damage, text};

/// Leaves of a record of the events, and of the links.
const EVENT_NAME: usize = 1;
const EVENT_ATTRIBUTES: usize = 2;
const LINK_ATTRIBUTES: usize = 3;

/// Whose distinct values are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueField {
    /// Names of spans.
    Name,
    /// Status messages that are not empty.
    StatusMessage,
    /// A span attribute: the first value of its key that is one, of an array its elements.
    SpanAttribute(String),
    /// Names of events.
    EventName,
    /// An attribute of events, likewise.
    EventAttribute(String),
    /// An attribute of links, likewise.
    LinkAttribute(String),
    /// Keys of span attributes, whatever their values.
    SpanKeys,
    /// Keys of event attributes.
    EventKeys,
    /// Keys of link attributes.
    LinkKeys,
    /// Numbers of resources, as positions in [`Block::resources`].
    ResourceNumber,
    /// Numbers of instrumentation scopes, as positions in [`Block::scopes`].
    ScopeNumber,
}

/// What to fetch of a row group to list values.
#[derive(Debug, Clone)]
pub struct ValuesPlan {
    /// Which row group.
    pub row_group: usize,
    /// Ranges of the object to fetch, ascending and apart from each other. Empty when the row group has no value.
    pub ranges: Vec<Range<u64>>,
    field: ValueField,
    leaves: Vec<usize>,
    in_residual: bool,
}

/// Distinct values, each list ascending. Values of other types are left out, and so are doubles that are not a number;
/// a negative zero is a zero.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DistinctValues {
    /// Booleans.
    pub bools: Vec<bool>,
    /// Integers.
    pub ints: Vec<i64>,
    /// Doubles.
    pub doubles: Vec<f64>,
    /// Texts.
    pub texts: Vec<String>,
}

impl Block {
    /// What to fetch to list the values of a field in a row group.
    pub fn plan_values(&self, search: &SearchIndex, row_group: usize, field: &ValueField) -> ValuesPlan {
        let fixed = |name: &str| vec![self.root(name)];
        let rest = schema::LEADING_COLUMNS + self.columns.len();
        let item = |name: &str, leaf: usize| vec![self.root_leaves(self.root(name))[leaf]];
        let mut in_residual = false;
        let leaves = match field {
            ValueField::Name => fixed(schema::NAME),
            ValueField::StatusMessage => fixed(schema::STATUS_MESSAGE),
            ValueField::SpanAttribute(key) => {
                in_residual = search.is_residual(key, row_group);
                self.own_leaves(key).chain(in_residual.then_some(rest)).collect()
            }
            ValueField::EventName => item(schema::EVENTS, EVENT_NAME),
            ValueField::EventAttribute(key) if search.may_have_event_key(key, row_group) => {
                item(schema::EVENTS, EVENT_ATTRIBUTES)
            }
            ValueField::LinkAttribute(key) if search.may_have_link_key(key, row_group) => {
                item(schema::LINKS, LINK_ATTRIBUTES)
            }
            ValueField::EventAttribute(_) | ValueField::LinkAttribute(_) => Vec::new(),
            ValueField::SpanKeys => (schema::LEADING_COLUMNS..=rest).collect(),
            ValueField::EventKeys => item(schema::EVENTS, EVENT_ATTRIBUTES),
            ValueField::LinkKeys => item(schema::LINKS, LINK_ATTRIBUTES),
            ValueField::ResourceNumber => fixed(schema::RESOURCE_ID),
            ValueField::ScopeNumber => fixed(schema::SCOPE_ID),
        };
        let ranges = self.chunk_ranges(row_group, leaves.iter().copied());
        ValuesPlan { row_group, ranges, field: field.clone(), leaves, in_residual }
    }

    /// The distinct values of the plan's field on `rows`, ascending and counted from the block's first row as
    /// [`Block::matching_rows`] gives them, or on all rows; of each type at most the `limit` smallest. `bytes` are those of
    /// [`ValuesPlan::ranges`], one each.
    ///
    /// # Errors
    /// [`Damage`] if a fetched byte is not what was written, or if a row is not in the row group.
    pub fn distinct_values(
        &self,
        plan: &ValuesPlan,
        rows: Option<&[u32]>,
        bytes: Vec<Bytes>,
        limit: usize,
    ) -> Result<DistinctValues, Damage> {
        if bytes.len() != plan.ranges.len() {
            return Err(damage("not all planned ranges were read"));
        }
        let ranges = plan.ranges.iter().map(|range| range.start).zip(bytes).collect();
        let fetched = Fetched::new(self.meta.object_bytes, ranges);
        self.check_chunks(plan.row_group, &fetched, plan.leaves.iter().copied())?;
        let in_group = self.rows_in(plan.row_group);
        let row_count = in_group.len();
        let selection = match rows {
            Some(rows) => {
                let in_order = rows.windows(2).all(|pair| pair[0] < pair[1]);
                if !in_order || !rows.iter().all(|row| in_group.contains(row)) {
                    return Err(damage("rows to list are out of order or not in it"));
                }
                let rows: Vec<u32> = rows.iter().map(|row| row - in_group.start).collect();
                (rows.len() < row_count)
                    .then(|| RowSelection::from_consecutive_ranges(runs(&rows).into_iter(), row_count))
            }
            None => None,
        };
        let mut found = Found::new(limit);
        if plan.leaves.is_empty() || rows.is_some_and(<[u32]>::is_empty) {
            return Ok(found.finish());
        }
        let selected = rows.map_or(row_count, <[u32]>::len);
        let chunks = Chunks { block: self, row_group: plan.row_group, fetched, selection, row_count: selected };
        match &plan.field {
            ValueField::Name | ValueField::StatusMessage | ValueField::EventName => {
                chunks.texts(plan.leaves[0], &mut |text| {
                    found.texts.push(text);
                    Ok(())
                })?;
            }
            ValueField::SpanAttribute(key) => chunks.span_attribute(key, plan.in_residual, &mut found)?,
            ValueField::EventAttribute(key) | ValueField::LinkAttribute(key) => {
                let finder = text::finder(key);
                chunks.texts(plan.leaves[0], &mut |text| match finder.find(text.as_bytes()) {
                    Some(_) => found.push_first(text, key),
                    None => Ok(()),
                })?;
            }
            ValueField::SpanKeys => {
                let (rest, own) = plan.leaves.split_last().ok_or_else(|| damage("a planned column is missing"))?;
                for (leaf, column) in own.iter().zip(&self.columns) {
                    let array = chunks.column(&self.dictionary, *leaf)?;
                    if array.null_count() < array.len() {
                        found.texts.push(&column.key);
                    }
                }
                chunks.texts(*rest, &mut |text| found.push_keys(text))?;
            }
            ValueField::EventKeys | ValueField::LinkKeys => {
                chunks.texts(plan.leaves[0], &mut |text| found.push_keys(text))?;
            }
            ValueField::ResourceNumber | ValueField::ScopeNumber => {
                let array = chunks.column(&self.plain, plan.leaves[0])?;
                let numbers = array.as_primitive_opt::<Int32Type>().ok_or_else(wrong_type)?;
                numbers.values().iter().for_each(|number| found.ints.push(&i64::from(*number)));
            }
        }
        Ok(found.finish())
    }

    /// The columns of a key, one for each type that has one. All columns before the events are flat: leaf and column are one.
    fn own_leaves(&self, key: &str) -> impl Iterator<Item = usize> {
        let own = self.columns.iter().enumerate().filter(move |(_, column)| column.key == key);
        own.map(|(i, _)| schema::LEADING_COLUMNS + i)
    }
}

fn damage(problem: &str) -> Damage {
    Damage::new("row group", problem)
}

fn wrong_type() -> Damage {
    damage("a column has another type")
}

/// The fetched chunks of a row group, and which of its rows count.
struct Chunks<'a> {
    block: &'a Block,
    row_group: usize,
    fetched: Fetched,
    /// None: all rows.
    selection: Option<RowSelection>,
    /// How many rows are selected.
    row_count: usize,
}

impl Chunks<'_> {
    fn column(&self, shape: &Shape, leaf: usize) -> Result<ArrayRef, Damage> {
        let (fetched, selection) = (self.fetched.clone(), self.selection.clone());
        let mut reader = self.block.reader(shape, self.row_group, fetched, Some(&[leaf]), selection, self.row_count)?;
        let batch = reader.next().ok_or_else(|| damage("it has no rows"))?;
        let batch = batch.map_err(|error| Damage::new("row group", error.to_string()))?;
        if batch.num_rows() != self.row_count {
            return Err(damage("it has too few rows"));
        }
        Ok(batch.column(0).clone())
    }

    /// The values of the dictionary page, if all rows count and it is all there is to know.
    fn dictionary(&self, leaf: usize) -> Result<Option<(Bytes, usize)>, Damage> {
        if self.selection.is_some() {
            return Ok(None);
        }
        let dictionary = self.block.plain.whole_dictionary(self.row_group, leaf, &self.fetched);
        dictionary.map_err(|error| Damage::new("Parquet data", error.to_string()))
    }

    /// Hands the texts of a column to `each`: every distinct one at least once.
    fn texts(&self, leaf: usize, each: &mut dyn FnMut(&str) -> Result<(), Damage>) -> Result<(), Damage> {
        if let Some((page, count)) = self.dictionary(leaf)? {
            return plain_texts(&page, count, each);
        }
        let mut array = self.column(&self.block.dictionary, leaf)?;
        if let Some(list) = array.as_list_opt::<i32>() {
            let items = list.values().as_struct_opt().ok_or_else(wrong_type)?;
            array = items.columns().first().ok_or_else(wrong_type)?.clone();
        }
        distinct_texts(&array, each)
    }

    fn span_attribute(&self, key: &str, in_residual: bool, found: &mut Found) -> Result<(), Damage> {
        let own = || {
            self.block.own_leaves(key).map(|leaf| (leaf, self.block.columns[leaf - schema::LEADING_COLUMNS].value_type))
        };
        if !in_residual {
            return own().try_for_each(|(leaf, value_type)| match (value_type, self.dictionary(leaf)?) {
                (ValueType::Bool, _) | (_, None) => {
                    found.push_column(value_type, &self.column(&self.block.dictionary, leaf)?)
                }
                (_, Some((page, count))) => found.push_dictionary(value_type, &page, count),
            });
        }
        let mut columns = Vec::new();
        for (leaf, value_type) in own() {
            let array = self.column(&self.block.dictionary, leaf)?;
            found.push_column(value_type, &array)?;
            columns.push(array);
        }
        let rest = self.column(&self.block.plain, schema::LEADING_COLUMNS + self.block.columns.len())?;
        let rest = rest.as_string_opt::<i32>().ok_or_else(wrong_type)?;
        let finder = text::finder(key);
        for (row, text) in rest.iter().enumerate().filter_map(|(row, text)| Some((row, text?))) {
            // A value in a column comes before those of the same key in the text.
            if finder.find(text.as_bytes()).is_some() && !columns.iter().any(|column| has_value(column, row)) {
                found.push_first(text, key)?;
            }
        }
        Ok(())
    }
}

fn has_value(column: &ArrayRef, row: usize) -> bool {
    column.is_valid(row) && column.as_primitive_opt::<Float64Type>().is_none_or(|doubles| !doubles.value(row).is_nan())
}

/// The texts of a page in plain encoding.
fn plain_texts(page: &[u8], count: usize, each: &mut dyn FnMut(&str) -> Result<(), Damage>) -> Result<(), Damage> {
    let short = || damage("a dictionary ends too early");
    let mut rest = page;
    for _ in 0..count {
        let (len, behind) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let (text, behind) = behind.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(short)?;
        each(std::str::from_utf8(text).map_err(|_| damage("a text is not UTF-8"))?)?;
        rest = behind;
    }
    Ok(())
}

fn distinct_texts(array: &ArrayRef, each: &mut dyn FnMut(&str) -> Result<(), Damage>) -> Result<(), Damage> {
    let Some(array) = array.as_dictionary_opt::<Int32Type>() else {
        let texts: &StringArray = array.as_string_opt().ok_or_else(wrong_type)?;
        let mut last = None;
        for text in texts.iter().flatten() {
            if last != Some(text) {
                each(text)?;
            }
            last = Some(text);
        }
        return Ok(());
    };
    let texts: &StringArray = array.values().as_string_opt().ok_or_else(wrong_type)?;
    // A dictionary may hold texts of rows that were not selected.
    let mut is_used = vec![false; texts.len()];
    for key in array.keys().iter().flatten() {
        let used = usize::try_from(key).ok().and_then(|key| is_used.get_mut(key));
        *used.ok_or_else(|| damage("a dictionary index is out of range"))? = true;
    }
    let used = (0..texts.len()).filter(|at| is_used[*at] && texts.is_valid(*at));
    used.map(|at| texts.value(at)).try_for_each(each)
}

/// Doubles in their total order.
#[derive(Clone, Copy)]
struct Total(f64);

impl PartialEq for Total {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Total {}

impl PartialOrd for Total {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Total {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The smallest distinct values so far.
struct Smallest<T> {
    values: BTreeSet<T>,
    limit: usize,
}

impl<T: Ord> Smallest<T> {
    fn new(limit: usize) -> Self {
        Self { values: BTreeSet::new(), limit }
    }

    fn push<Q>(&mut self, value: &Q)
    where
        T: Borrow<Q>,
        Q: ToOwned<Owned = T> + Ord + ?Sized,
    {
        let is_full = self.values.len() >= self.limit;
        if is_full && self.values.last().is_none_or(|last| value >= last.borrow()) || self.values.contains(value) {
            return;
        }
        self.values.insert(value.to_owned());
        if is_full {
            self.values.pop_last();
        }
    }
}

struct Found {
    bools: Smallest<bool>,
    ints: Smallest<i64>,
    doubles: Smallest<Total>,
    texts: Smallest<String>,
}

impl Found {
    fn new(limit: usize) -> Self {
        Self {
            bools: Smallest::new(limit),
            ints: Smallest::new(limit),
            doubles: Smallest::new(limit),
            texts: Smallest::new(limit),
        }
    }

    fn push_double(&mut self, double: f64) {
        if !double.is_nan() {
            // Adding zero makes a negative zero a positive one and changes nothing else.
            self.doubles.push(&Total(double + 0.0));
        }
    }

    fn push_column(&mut self, value_type: ValueType, array: &ArrayRef) -> Result<(), Damage> {
        match value_type {
            ValueType::String => distinct_texts(array, &mut |text| {
                self.texts.push(text);
                Ok(())
            })?,
            ValueType::Int => {
                let ints = array.as_primitive_opt::<Int64Type>().ok_or_else(wrong_type)?;
                ints.iter().flatten().for_each(|int| self.ints.push(&int));
            }
            ValueType::Double => {
                let doubles = array.as_primitive_opt::<Float64Type>().ok_or_else(wrong_type)?;
                doubles.iter().flatten().for_each(|double| self.push_double(double));
            }
            ValueType::Bool => {
                let bools = array.as_boolean_opt().ok_or_else(wrong_type)?;
                for bool in [(false, bools.false_count()), (true, bools.true_count())] {
                    if bool.1 > 0 {
                        self.bools.push(&bool.0);
                    }
                }
            }
        }
        Ok(())
    }

    /// The values of a dictionary page in plain encoding.
    fn push_dictionary(&mut self, value_type: ValueType, page: &[u8], count: usize) -> Result<(), Damage> {
        if value_type == ValueType::String {
            return plain_texts(page, count, &mut |text| {
                self.texts.push(text);
                Ok(())
            });
        }
        let values = page.as_chunks::<8>().0.get(..count).ok_or_else(|| damage("a dictionary ends too early"))?;
        for bytes in values {
            match value_type {
                ValueType::Int => self.ints.push(&i64::from_le_bytes(*bytes)),
                ValueType::Double => self.push_double(f64::from_le_bytes(*bytes)),
                ValueType::String | ValueType::Bool => return Err(wrong_type()),
            }
        }
        Ok(())
    }

    /// Adds the first value of a key in a text of attributes that is one.
    fn push_first(&mut self, text: &str, key: &str) -> Result<(), Damage> {
        let values = text::values_of(text, key).map_err(|error| Damage::new("attributes text", error.to_string()))?;
        for value in values {
            let has_any = match &value.value {
                Some(Value::ArrayValue(array)) => {
                    array.values.iter().fold(false, |any, element| self.push(element) | any)
                }
                _ => self.push(&value),
            };
            if has_any {
                break;
            }
        }
        Ok(())
    }

    /// Adds a scalar; whether it is one.
    fn push(&mut self, value: &AnyValue) -> bool {
        match &value.value {
            Some(Value::StringValue(text)) => self.texts.push(text.as_str()),
            Some(Value::IntValue(int)) => self.ints.push(int),
            Some(Value::DoubleValue(double)) if !double.is_nan() => self.push_double(*double),
            Some(Value::BoolValue(bool)) => self.bools.push(bool),
            _ => return false,
        }
        true
    }

    fn push_keys(&mut self, text: &str) -> Result<(), Damage> {
        let keys = text::keys_of(text, &mut |key| self.texts.push(key));
        keys.map_err(|error| Damage::new("attributes text", error.to_string()))
    }

    fn finish(self) -> DistinctValues {
        DistinctValues {
            bools: self.bools.values.into_iter().collect(),
            ints: self.ints.values.into_iter().collect(),
            doubles: self.doubles.values.into_iter().map(|double| double.0).collect(),
            texts: self.texts.values.into_iter().collect(),
        }
    }
}
