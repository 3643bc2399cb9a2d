//! A row group of an output being filled, column by column.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, StringArray, new_null_array};
use arrow_buffer::Buffer;
use arrow_schema::Field;
use arrow_select::interleave::interleave;
use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;
use spanlake_otlp::ValueRef;

use super::choice::Chosen;
use super::gather::{Gather, GatherError, Gathered, dense};
use super::input::Inputs;
use super::order::OutputRows;
use super::output::{Output, RESOURCE_TEXT, SCOPE_TEXT};
use super::pass::PassRows;
use super::rest::Moved;
use crate::read::{ColumnValues, Values};
use crate::schema::{Fixed, ValueType};
use crate::text::{self, MemberValue};
use crate::value_hash;
use crate::write::{ValueSet, name_seed};

/// Keys of the events and links of a row group, and names of its events.
#[derive(Debug, Default)]
pub(super) struct ItemTexts {
    pub(super) event_keys: BTreeSet<Box<str>>,
    pub(super) link_keys: BTreeSet<Box<str>>,
    pub(super) event_names: BTreeSet<Box<str>>,
}

impl ItemTexts {
    /// Notes what a list column has. None if it has texts that are no attributes.
    fn note(&mut self, array: &ArrayRef, column: Fixed) -> Option<()> {
        let items = array.as_list_opt::<i32>()?.values().as_struct_opt()?;
        let strings = |name: &str| items.column_by_name(name)?.as_string_opt::<i32>();
        let keys = if column == Fixed::Events { &mut self.event_keys } else { &mut self.link_keys };
        let mut push = |key: &str| {
            if !keys.contains(key) {
                keys.insert(Box::from(key));
            }
        };
        for attributes in strings("attributes")?.iter().flatten() {
            text::keys_of(attributes, &mut push).ok()?;
        }
        if column == Fixed::Events {
            for name in strings("name")?.iter().flatten() {
                if !self.event_names.contains(name) {
                    self.event_names.insert(Box::from(name));
                }
            }
        }
        Some(())
    }
}

/// Bytes of the attributes of a row's items.
fn item_text_bytes(array: &ArrayRef, row: usize) -> Option<u64> {
    let list = array.as_list_opt::<i32>()?;
    let items = list.value_offsets();
    let attributes = list.values().as_struct_opt()?.column_by_name("attributes")?.as_string_opt::<i32>()?;
    let at = |item: i32| attributes.value_offsets()[item as usize];
    Some((at(items[row + 1]) - at(items[row])) as u64)
}

/// A key of the residual column of a row group.
#[derive(Debug)]
pub(super) struct RestKey {
    /// Spans that have it first with a value of each type.
    pub(super) counts: [u64; ValueType::COUNT],
    /// Seeds of the hashes of its values, by type.
    seeds: [u64; ValueType::COUNT],
}

impl RestKey {
    fn new(key: &str) -> Self {
        let seeds = ValueType::ALL.map(|value_type| value_hash::seed(value_hash::SPAN, key, value_type));
        Self { counts: [0; ValueType::COUNT], seeds }
    }
}

/// A row group being filled.
pub(super) struct RowGroupWork {
    /// Which rows of the output's rows of the pass.
    pub(super) rows: Range<usize>,
    leaves: std::vec::IntoIter<ArrowColumnWriter>,
    pub(super) chunks: Vec<ArrowColumnChunk>,
    pub(super) values: ValueSet,
    /// Bytes of all values so far.
    bytes: u64,
    max_bytes: u64,
    pub(super) resource_ids: Vec<i32>,
    scope_ids: Vec<i32>,
    pub(super) status_codes: Vec<i32>,
    /// Spans with each attribute column.
    pub(super) key_counts: Vec<u64>,
    /// Keys of the residual column.
    pub(super) rest_keys: HashMap<Box<str>, RestKey>,
    /// For keys that have a column and lie in residual texts too, which rows have a value in a column.
    with_column: HashMap<String, Vec<bool>>,
    pub(super) item_keys: ItemTexts,
    /// How many resource and scope texts are placed once this row group is written.
    pub(super) placed: (usize, usize),
}

/// A column of all pieces of a pass, as far as it is needed to fill row groups with it.
pub(super) enum Source<'a> {
    Fixed(Fixed, Vec<ColumnValues>),
    Attribute {
        number: usize,
        chosen: &'a Chosen,
        columns: Vec<Option<ColumnValues>>,
        is_tracked: bool,
    },
    /// A column of lists: an array for each piece that has any item.
    List(Fixed, Vec<Option<ArrayRef>>),
    /// What the pass knows already.
    Known(Fixed),
}

/// What the filling of a row group looks at.
pub(super) struct Context<'a> {
    pub(super) inputs: &'a Inputs,
    pub(super) pass: &'a PassRows,
    pub(super) moved: &'a Moved,
}

impl RowGroupWork {
    pub(super) fn new(
        output: &Output,
        rows: Range<usize>,
        row_group: usize,
        column_count: usize,
        max_bytes: u64,
    ) -> Result<Self, ParquetError> {
        let leaves = output.columns.create_column_writers(row_group)?;
        Ok(Self {
            rows,
            chunks: Vec::with_capacity(leaves.len()),
            leaves: leaves.into_iter(),
            values: ValueSet::default(),
            bytes: 0,
            max_bytes,
            resource_ids: Vec::new(),
            scope_ids: Vec::new(),
            status_codes: Vec::new(),
            key_counts: vec![0; column_count],
            rest_keys: HashMap::new(),
            with_column: HashMap::new(),
            item_keys: ItemTexts::default(),
            placed: (0, 0),
        })
    }

    /// Fills the next column.
    pub(super) fn fill(
        &mut self,
        context: &Context<'_>,
        output: &mut Output,
        rows: &OutputRows,
        field: &Field,
        source: &Source<'_>,
        placed: &mut (usize, usize),
    ) -> Result<(), GatherError> {
        let gather = Gather {
            pass: context.pass,
            rows: &rows.rows[self.rows.clone()],
            places: &rows.places[self.rows.clone()],
            max_bytes: self.max_bytes,
        };
        let array = match source {
            Source::Known(column) => self.known(&gather, *column),
            Source::Fixed(column, values) => self.fixed(&gather, context, output, *column, values)?,
            Source::Attribute { number, chosen, columns, is_tracked } => {
                self.attribute(&gather, context.moved, *number, chosen, columns, *is_tracked)?
            }
            Source::List(column, arrays) => self.list(&gather, field, *column, arrays)?,
        };
        let array = match (array, source) {
            (Some(array), _) => array,
            (None, Source::Known(Fixed::Scope)) => {
                let texts = output.scopes.first_rows(&self.scope_ids, &mut placed.1);
                self.placed.1 = placed.1;
                self.charge(texts.iter().flatten().map(|text| text.len() as u64).sum())?;
                Arc::new(StringArray::from(texts))
            }
            (None, _) => {
                let texts = output.resources.first_rows(&self.resource_ids, &mut placed.0);
                self.placed.0 = placed.0;
                self.charge(texts.iter().flatten().map(|text| text.len() as u64).sum())?;
                Arc::new(StringArray::from(texts))
            }
        };
        for (leaf, mut writer) in compute_leaves(field, &array).map_err(parquet)?.into_iter().zip(&mut self.leaves) {
            writer.write(&leaf).map_err(parquet)?;
            self.chunks.push(writer.close().map_err(parquet)?);
        }
        Ok(())
    }

    fn charge(&mut self, bytes: u64) -> Result<(), GatherError> {
        self.bytes += bytes;
        if self.bytes > self.max_bytes && self.rows.len() > 1 {
            return Err(GatherError::TooLarge);
        }
        Ok(())
    }

    /// A column that needs no more than the pass knows; none: the texts of resources or scopes.
    fn known(&self, gather: &Gather<'_>, column: Fixed) -> Option<ArrayRef> {
        let (pass, rows) = (gather.pass, gather.rows);
        let ids = |width: i32, bytes: Vec<u8>| -> ArrayRef {
            let ids = FixedSizeBinaryArray::try_new(width, Buffer::from_vec(bytes), None);
            Arc::new(ids.expect("each id has this width"))
        };
        Some(match column {
            Fixed::TraceId => ids(16, rows.iter().flat_map(|row| pass.trace_ids[row.at as usize]).collect()),
            Fixed::SpanId => ids(8, rows.iter().flat_map(|row| pass.span_ids[row.at as usize]).collect()),
            Fixed::ParentRow => gather.parent_rows(),
            Fixed::ParentSpanId => gather.parent_ids(),
            Fixed::DescendantCount => dense::<Int32Type>(rows.iter().map(|row| row.descendant_count as i32).collect()),
            Fixed::StartUnixNanos => dense::<UInt64Type>(rows.iter().map(|row| pass.starts[row.at as usize]).collect()),
            Fixed::DurationNanos => {
                dense::<Int64Type>(rows.iter().map(|row| pass.durations[row.at as usize]).collect())
            }
            Fixed::Kind => dense::<Int32Type>(rows.iter().map(|row| pass.kinds[row.at as usize]).collect()),
            _ => return None,
        })
    }

    fn fixed(
        &mut self,
        gather: &Gather<'_>,
        context: &Context<'_>,
        output: &mut Output,
        column: Fixed,
        values: &[ColumnValues],
    ) -> Result<Option<ArrayRef>, GatherError> {
        Ok(Some(match column {
            Fixed::AttributesRest => self.rest(gather, context.moved, values)?,
            Fixed::StatusMessage | Fixed::TraceState => {
                let Gathered { array, bytes, .. } = gather.strings(|piece| values.get(piece), None, |_| ())?;
                self.charge(bytes)?;
                array
            }
            Fixed::Name => {
                let seed = name_seed();
                let found = &mut self.values;
                let Gathered { array, bytes, .. } = gather.strings(
                    |piece| gather.pass.names().get(piece),
                    None,
                    |name| {
                        found.insert(seed, ValueRef::String(name));
                    },
                )?;
                self.charge(bytes)?;
                array
            }
            Fixed::ResourceId => {
                self.resource_ids = numbers(gather, context, values, |input, own| {
                    output.resources.number(input, own, &context.inputs.all[input].resources, RESOURCE_TEXT)
                })?;
                dense::<Int32Type>(self.resource_ids.clone())
            }
            Fixed::ScopeId => {
                self.scope_ids = numbers(gather, context, values, |input, own| {
                    output.scopes.number(input, own, &context.inputs.all[input].scopes, SCOPE_TEXT)
                })?;
                dense::<Int32Type>(self.scope_ids.clone())
            }
            Fixed::StatusCode => {
                self.status_codes = gather.small_numbers(values)?;
                dense::<Int32Type>(self.status_codes.clone())
            }
            Fixed::EventCount | Fixed::LinkCount => dense::<Int32Type>(gather.small_numbers(values)?),
            _ => dense::<UInt32Type>(gather.small_numbers(values)?.into_iter().map(|number| number as u32).collect()),
        }))
    }

    fn attribute(
        &mut self,
        gather: &Gather<'_>,
        moved: &Moved,
        number: usize,
        chosen: &Chosen,
        columns: &[Option<ColumnValues>],
        is_tracked: bool,
    ) -> Result<Option<ArrayRef>, GatherError> {
        let column = &chosen.column;
        let seed = value_hash::seed(value_hash::SPAN, &column.key, column.value_type);
        let from_rest = Some(&moved.values[number]).filter(|moved| !moved.is_empty());
        let values = &mut self.values;
        let gathered = if column.value_type == ValueType::String {
            gather.strings(
                |piece| columns[piece].as_ref(),
                from_rest,
                |text| {
                    values.insert(seed, ValueRef::String(text));
                },
            )?
        } else {
            gather.scalars(column.value_type, columns, from_rest, |value| {
                values.insert(seed, value);
            })?
        };
        self.key_counts[number] = gathered.value_count;
        if is_tracked {
            let rows = self.with_column.entry(column.key.clone()).or_insert_with(|| vec![false; gather.rows.len()]);
            rows.iter_mut().enumerate().for_each(|(row, has)| *has |= gathered.array.is_valid(row));
        }
        self.charge(gathered.bytes)?;
        Ok(Some(gathered.array))
    }

    /// The residual column, with its values and keys noted for the indexes.
    fn rest(&mut self, gather: &Gather<'_>, moved: &Moved, columns: &[ColumnValues]) -> Result<ArrayRef, GatherError> {
        let mut texts: Vec<Option<&str>> = Vec::with_capacity(gather.rows.len());
        let mut bytes = 0;
        for (at, (row, (piece, place))) in gather.placed_rows().enumerate() {
            let text = match moved.texts.get(&row.at) {
                Some(text) => text.as_deref(),
                None => match (&columns[piece].values, columns[piece].slot(place)) {
                    (Values::Bytes(texts), Some(slot)) => {
                        Some(std::str::from_utf8(texts.get(slot)).map_err(|_| GatherError::Damaged(piece))?)
                    }
                    (Values::Bytes(_), None) => None,
                    _ => return Err(GatherError::Damaged(piece)),
                },
            };
            if let Some(text) = text {
                bytes += text.len() as u64;
                if bytes > self.max_bytes && gather.rows.len() > 1 {
                    return Err(GatherError::TooLarge);
                }
                self.note(text, at).ok_or(GatherError::Damaged(piece))?;
            }
            texts.push(text);
        }
        self.charge(bytes)?;
        Ok(Arc::new(StringArray::from(texts)))
    }

    /// Notes the keys and values of a residual text. None if it is no such text.
    fn note(&mut self, text: &str, at: usize) -> Option<()> {
        let members = text::members(text)?;
        let mut seen: HashSet<&str> = HashSet::new();
        for (i, member) in members.iter().enumerate() {
            let key = member.key().ok()?;
            let value = member.value().ok()?;
            // Few members are compared with each other, many are looked up.
            let is_repeated = match members.len() {
                0..=32 => members[..i].iter().any(|earlier| earlier.quoted_key() == member.quoted_key()),
                _ => !seen.insert(member.quoted_key()),
            };
            let has_column = self.with_column.get(&*key).is_some_and(|rows| rows[at]);
            if !self.rest_keys.contains_key(&*key) {
                self.rest_keys.insert(Box::from(&*key), RestKey::new(&key));
            }
            let known = self.rest_keys.get_mut(&*key)?;
            match value.scalar() {
                Some(scalar) => {
                    let value_type = ValueType::of(&scalar)? as usize;
                    known.counts[value_type] += u64::from(!is_repeated && !has_column);
                    self.values.insert(known.seeds[value_type], scalar);
                }
                None => {
                    if let MemberValue::Other(value) = &value {
                        note_elements(&mut self.values, &known.seeds, value);
                    }
                }
            }
        }
        Some(())
    }

    fn list(
        &mut self,
        gather: &Gather<'_>,
        field: &Field,
        column: Fixed,
        arrays: &[Option<ArrayRef>],
    ) -> Result<Option<ArrayRef>, GatherError> {
        if arrays.iter().all(Option::is_none) {
            return Ok(Some(new_null_array(field.data_type(), gather.rows.len())));
        }
        let nothing = new_null_array(field.data_type(), 1);
        let mut sources: Vec<&dyn Array> = vec![&*nothing];
        let mut source_of = vec![0; arrays.len()];
        for (piece, array) in arrays.iter().enumerate() {
            if let Some(array) = array {
                source_of[piece] = sources.len();
                sources.push(&**array);
            }
        }
        let text_bytes = |(_, (piece, place)): (_, (usize, usize))| item_text_bytes(arrays[piece].as_ref()?, place);
        self.charge(gather.placed_rows().filter_map(text_bytes).sum())?;
        let in_sources = |(_, (piece, place)): (_, (usize, usize))| match source_of[piece] {
            0 => (0, 0),
            source => (source, place),
        };
        let places: Vec<(usize, usize)> = gather.placed_rows().map(in_sources).collect();
        let array = interleave(&sources, &places)?;
        if self.item_keys.note(&array, column).is_none() {
            // Some piece has texts that are none; which one is looked for only now.
            let is_wrong = |array: &Option<ArrayRef>| {
                array.as_ref().is_some_and(|array| ItemTexts::default().note(array, column).is_none())
            };
            return Err(GatherError::Damaged(arrays.iter().position(is_wrong).unwrap_or(0)));
        }
        Ok(Some(array))
    }
}

/// Notes each scalar in an array, and in arrays within it.
fn note_elements(values: &mut ValueSet, seeds: &[u64; ValueType::COUNT], value: &AnyValue) {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        if let Some(scalar) = text::scalar(value) {
            let value_type = ValueType::of(&scalar).expect("a scalar has a type");
            values.insert(seeds[value_type as usize], scalar);
        } else if let Some(Value::ArrayValue(array)) = &value.value {
            open.extend(&array.values);
        }
    }
}

fn parquet(error: ParquetError) -> GatherError {
    GatherError::Parquet(error)
}

/// The numbers that rows have in the output for the resource or scope they name in their input.
fn numbers(
    gather: &Gather<'_>,
    context: &Context<'_>,
    values: &[ColumnValues],
    mut number: impl FnMut(usize, usize) -> Option<i32>,
) -> Result<Vec<i32>, GatherError> {
    let own = gather.small_numbers(values)?;
    let number_of = |((_, (piece, _)), own): ((_, (usize, usize)), i32)| {
        let input = context.pass.pieces[piece].input;
        number(input, usize::try_from(own).unwrap_or(usize::MAX)).ok_or(GatherError::Damaged(piece))
    };
    gather.placed_rows().zip(own).map(number_of).collect()
}
