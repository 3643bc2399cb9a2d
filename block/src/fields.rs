//! Fields of rows for a query that evaluates them itself: each as a column of numbers, or of codes into its distinct values.
//!
//! Where a value may lie (a column of its own, the residual text, the resource, the lists of events and links) is decided
//! here; what it is compared with is not known here.

mod attribute;
mod items;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow_buffer::{ArrowNativeType, ScalarBuffer};
use arrow_select::take::take;
use bytes::Bytes;
use foldhash::{HashMap, HashMapExt as _};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use parquet::arrow::arrow_reader::RowSelection;

use crate::Damage;
use crate::read::{Block, Fetched, SearchIndex, Values};
use crate::scan::runs;
use crate::schema;

/// The code of a row that has no value.
pub const NIL: u32 = u32::MAX;

/// Resource attribute that names the service, of OpenTelemetry's semantic conventions.
const SERVICE_NAME: &str = "service.name";

/// Rows are decoded one by one when they are fewer than one in this many; else all are, and the wanted ones are picked.
const SPARSE: usize = 16;

/// What to read of each row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RowField {
    /// Start, Unix nanoseconds, its 64 bits as a signed number: [`RowValues::Numbers`].
    StartUnixNanos,
    /// End minus start, negative when the end lies before the start: [`RowValues::Numbers`].
    DurationNanos,
    /// As OTLP numbers it: [`RowValues::Numbers`].
    Kind,
    /// As OTLP numbers it: [`RowValues::Numbers`].
    StatusCode,
    /// [`RowValues::Texts`].
    Name,
    /// Nil when empty: [`RowValues::Texts`].
    StatusMessage,
    /// [`RowValues::Ids`].
    SpanId,
    /// Zero when there is none, or when it is no span id (8 bytes): [`RowValues::Ids`].
    ParentSpanId,
    /// Whether there is no parent, as [`RowField::ParentSpanId`] has it, without the cost of reading ids: [`RowValues::Bools`].
    IsRoot,
    /// An attribute of the span: any kind of values.
    SpanAttribute(String),
    /// An attribute of its resource: [`RowValues::Coded`].
    ResourceAttribute(String),
    /// The resource's first `service.name` that is a text: [`RowValues::Coded`].
    Service,
    /// An attribute of its scope: [`RowValues::Coded`].
    ScopeAttribute(String),
    /// Nil when empty: [`RowValues::Coded`].
    ScopeName,
    /// Nil when empty: [`RowValues::Coded`].
    ScopeVersion,
    /// An attribute of its events, a list when several have it: [`RowValues::Coded`].
    EventAttribute(String),
    /// Names of its events: [`RowValues::Coded`].
    EventName,
    /// Nanoseconds from the start to each event: [`RowValues::Coded`].
    EventTimeSinceStart,
    /// An attribute of its links: [`RowValues::Coded`].
    LinkAttribute(String),
    /// Trace ids of its links, lower-case hexadecimal: [`RowValues::Coded`].
    LinkTraceId,
    /// Span ids of its links, lower-case hexadecimal: [`RowValues::Coded`].
    LinkSpanId,
}

/// A value of an attribute, as queries see it: a double is a number, an array has scalar elements, and bytes, key-value lists and
/// values that were not set are no values.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    /// Text.
    Text(Arc<str>),
    /// Integer.
    Int(i64),
    /// Double.
    Double(f64),
    /// Boolean.
    Bool(bool),
    /// The scalar elements of an array, at least one.
    List(Vec<AttributeValue>),
    /// What several events or links have, in their order.
    Several(Vec<AttributeValue>),
}

/// One field of some rows, in their order. Cheap to clone: clones share what they hold.
#[derive(Debug, Clone)]
pub enum RowValues {
    /// A number on every row.
    Numbers(ScalarBuffer<i64>),
    /// An id on every row, big-endian; zero for none.
    Ids(ScalarBuffer<u64>),
    /// Integers, or nil.
    Ints(Int64Array),
    /// Doubles, or nil; one that is not a number is nil too.
    Doubles(Float64Array),
    /// Booleans, or nil.
    Bools(BooleanArray),
    /// Texts, or [`NIL`].
    Texts {
        /// For each row a place in `texts`.
        codes: ScalarBuffer<u32>,
        /// Distinct texts, though one may be there twice.
        texts: StringArray,
    },
    /// Any values, or [`NIL`].
    Coded {
        /// For each row a place in `values`.
        codes: ScalarBuffer<u32>,
        /// The values; equal ones may be there several times.
        values: Arc<[AttributeValue]>,
    },
}

impl RowValues {
    /// No value on any of so many rows.
    pub fn nil(row_count: usize) -> Self {
        Self::Coded { codes: vec![NIL; row_count].into(), values: Arc::from([]) }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Ids(values) => values.len(),
            Self::Ints(array) => array.len(),
            Self::Doubles(array) => array.len(),
            Self::Bools(array) => array.len(),
            Self::Texts { codes, .. } | Self::Coded { codes, .. } => codes.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory held, in bytes, estimated.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Numbers(values) => 8 * values.len(),
            Self::Ids(values) => 8 * values.len(),
            Self::Ints(array) => array.get_array_memory_size(),
            Self::Doubles(array) => array.get_array_memory_size(),
            Self::Bools(array) => array.get_array_memory_size(),
            Self::Texts { codes, texts } => 4 * codes.len() + texts.get_array_memory_size(),
            Self::Coded { codes, values } => 4 * codes.len() + 64 * values.len(),
        }
    }

    /// The values of some rows, in the order asked for; what they are codes of stays as it is.
    ///
    /// # Errors
    /// [`Damage`] for a row that is not there.
    pub fn pick(&self, rows: &[u32]) -> Result<Self, Damage> {
        if rows.iter().any(|row| *row as usize >= self.len()) {
            return Err(damage("a row to pick is not in it"));
        }
        let picked = |array: &dyn Array| take(array, &UInt32Array::from(rows.to_vec()), None).map_err(arrow_damage);
        Ok(match self {
            Self::Numbers(values) => Self::Numbers(pick(values, rows)),
            Self::Ids(values) => Self::Ids(pick(values, rows)),
            Self::Texts { codes, texts } => Self::Texts { codes: pick(codes, rows), texts: texts.clone() },
            Self::Coded { codes, values } => Self::Coded { codes: pick(codes, rows), values: Arc::clone(values) },
            Self::Ints(array) => Self::Ints(picked(array)?.as_primitive().clone()),
            Self::Doubles(array) => Self::Doubles(picked(array)?.as_primitive().clone()),
            Self::Bools(array) => Self::Bools(picked(array)?.as_boolean().clone()),
        })
    }
}

fn pick<T: ArrowNativeType>(values: &[T], rows: &[u32]) -> ScalarBuffer<T> {
    rows.iter().map(|row| values[*row as usize]).collect::<Vec<T>>().into()
}

/// What to fetch of a row group to read fields of its rows.
#[derive(Debug, Clone)]
pub struct FieldsPlan {
    /// Which row group.
    pub row_group: usize,
    /// Ranges of the object to fetch, ascending and apart from each other. Empty when the tail has it all.
    pub ranges: Vec<Range<u64>>,
    fields: Vec<RowField>,
    /// Top-level columns to decode, ascending, lists left out.
    roots: Vec<usize>,
    events: bool,
    links: bool,
}

impl FieldsPlan {
    /// Bytes to fetch.
    pub fn fetch_bytes(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }
}

impl Block {
    /// How many rows a row group has.
    pub fn row_count(&self, row_group: usize) -> usize {
        self.directory.row_groups[row_group].row_count as usize
    }

    /// Whether a span of the row group may have the attribute.
    pub fn may_have_span_key(&self, search: &SearchIndex, row_group: usize, key: &str) -> bool {
        self.columns.iter().any(|column| column.key == key) || search.is_residual(key, row_group)
    }

    /// The row group of a row, counted from the block's first row; the last one for a row past the end.
    pub fn row_group_of(&self, row: u32) -> usize {
        self.first_rows.partition_point(|first| *first <= row).saturating_sub(1)
    }

    /// What to fetch to read fields of a row group.
    pub fn plan_fields(&self, search: &SearchIndex, row_group: usize, fields: &[RowField]) -> FieldsPlan {
        let root = |name: &str| self.plain.schema().index_of(name).expect("check_shape has seen every fixed column");
        let mut roots = Vec::new();
        let (mut events, mut links) = (false, false);
        for field in fields {
            match field {
                RowField::StartUnixNanos => roots.push(root(schema::START_UNIX_NANOS)),
                RowField::DurationNanos => roots.push(root(schema::DURATION_NANOS)),
                RowField::Kind => roots.push(root(schema::KIND)),
                RowField::StatusCode => roots.push(root(schema::STATUS_CODE)),
                RowField::Name => roots.push(root(schema::NAME)),
                RowField::StatusMessage => roots.push(root(schema::STATUS_MESSAGE)),
                RowField::SpanId => roots.push(root(schema::SPAN_ID)),
                RowField::ParentSpanId => {
                    roots.extend([schema::SPAN_ID, schema::PARENT_ROW, schema::PARENT_SPAN_ID].map(root));
                }
                RowField::IsRoot => roots.extend([schema::PARENT_ROW, schema::PARENT_SPAN_ID].map(root)),
                RowField::SpanAttribute(key) => {
                    let own = self.columns.iter().enumerate().filter(|(_, column)| column.key == *key);
                    roots.extend(own.map(|(at, _)| schema::LEADING_COLUMNS + at));
                    if search.is_residual(key, row_group) {
                        roots.push(root(schema::ATTRIBUTES_REST));
                    }
                }
                RowField::ResourceAttribute(_) | RowField::Service => {
                    if search.resource_sets[row_group].len() != 1 {
                        roots.push(root(schema::RESOURCE_ID));
                    }
                }
                RowField::ScopeAttribute(_) | RowField::ScopeName | RowField::ScopeVersion => {
                    if self.scopes().len() != 1 {
                        roots.push(root(schema::SCOPE_ID));
                    }
                }
                RowField::EventAttribute(_) | RowField::EventName => events = true,
                RowField::EventTimeSinceStart => {
                    events = true;
                    roots.push(root(schema::START_UNIX_NANOS));
                }
                RowField::LinkAttribute(_) | RowField::LinkTraceId | RowField::LinkSpanId => links = true,
            }
        }
        if events {
            roots.push(root(schema::EVENT_COUNT));
        }
        if links {
            roots.push(root(schema::LINK_COUNT));
        }
        roots.sort_unstable();
        roots.dedup();
        let mut leaves: Vec<usize> = roots.iter().flat_map(|root| self.plain.leaves_of_root(*root)).collect();
        if events {
            leaves.extend(self.plain.leaves_of_root(root(schema::EVENTS)));
        }
        if links {
            leaves.extend(self.plain.leaves_of_root(root(schema::LINKS)));
        }
        leaves.sort_unstable();
        let ranges = self.chunk_ranges(row_group, leaves.into_iter());
        FieldsPlan { row_group, ranges, fields: fields.to_vec(), roots, events, links }
    }

    /// The fields of the plan, in its order, for `rows` (ascending, counted from the row group's first row) or for all.
    /// `bytes` are those of [`FieldsPlan::ranges`], one each.
    ///
    /// # Errors
    /// [`Damage`] if a fetched byte is not what was written, or if a row is not in the row group.
    pub fn read_fields(
        &self,
        search: &SearchIndex,
        plan: &FieldsPlan,
        rows: Option<&[u32]>,
        bytes: Vec<Bytes>,
    ) -> Result<Vec<RowValues>, Damage> {
        if bytes.len() != plan.ranges.len() {
            return Err(damage("not all planned ranges were read"));
        }
        let row_count = self.row_count(plan.row_group);
        if let Some(rows) = rows
            && !(rows.windows(2).all(|pair| pair[0] < pair[1]) && rows.last().is_none_or(|r| (*r as usize) < row_count))
        {
            return Err(damage("rows to read are out of order or not in it"));
        }
        let fetched = Fetched::new(self.meta().object_bytes, plan.ranges.iter().map(|r| r.start).zip(bytes).collect());
        let rows = rows.filter(|rows| rows.len() < row_count);
        Rows { block: self, search, plan, fetched, rows, row_count }.read()
    }
}

/// A read of some rows of one row group.
struct Rows<'a> {
    block: &'a Block,
    search: &'a SearchIndex,
    plan: &'a FieldsPlan,
    fetched: Fetched,
    /// None for all.
    rows: Option<&'a [u32]>,
    row_count: usize,
}

impl Rows<'_> {
    fn len(&self) -> usize {
        self.rows.map_or(self.row_count, <[u32]>::len)
    }

    fn read(&self) -> Result<Vec<RowValues>, Damage> {
        if self.len() == 0 {
            return Ok(self.plan.fields.iter().map(|_| RowValues::nil(0)).collect());
        }
        let roots = self.decoded_roots();
        let flat = self.flat(&roots)?;
        let column = |root: usize| -> Result<&ArrayRef, Damage> {
            let at = roots.binary_search(&root).ok();
            let batch = flat.as_ref().ok_or_else(|| damage("a planned column is missing"))?;
            at.and_then(|at| batch.columns().get(at)).ok_or_else(|| damage("a planned column is missing"))
        };
        let named = |name: &str| column(self.root(name));
        let events =
            if self.plan.events { items::read(self, schema::EVENTS, named(schema::EVENT_COUNT)?)? } else { None };
        let links = if self.plan.links { items::read(self, schema::LINKS, named(schema::LINK_COUNT)?)? } else { None };
        let by_origin = |values: Vec<Option<AttributeValue>>, only: Option<usize>, name: &str| {
            let (codes_of, values) = number(values);
            let code = |origin: i32| codes_of.get(origin as usize).copied().unwrap_or(NIL);
            let codes = match only {
                Some(only) => vec![codes_of.get(only).copied().unwrap_or(NIL); self.len()],
                None => {
                    let ids = named(name)?.as_primitive_opt::<Int32Type>().ok_or_else(|| wrong_type(name))?;
                    ids.values().iter().map(|id| code(*id)).collect()
                }
            };
            Ok(RowValues::Coded { codes: codes.into(), values })
        };
        let of_scope = |pick: &dyn Fn(&crate::ScopeEntry) -> Option<AttributeValue>| {
            let scopes = self.block.scopes();
            let values = scopes.iter().map(|entry| pick(entry)).collect();
            by_origin(values, (scopes.len() == 1).then_some(0), schema::SCOPE_ID)
        };
        let texts = |name: &str| named(name).and_then(texts_of);
        let numbers32 = |name: &str| -> Result<RowValues, Damage> {
            let array = named(name)?.as_primitive_opt::<Int32Type>().ok_or_else(|| wrong_type(name))?;
            Ok(RowValues::Numbers(array.values().iter().map(|number| i64::from(*number)).collect::<Vec<_>>().into()))
        };
        let mut out = Vec::with_capacity(self.plan.fields.len());
        for field in &self.plan.fields {
            out.push(match field {
                RowField::StartUnixNanos if self.reads_numbers_directly() => self.numbers(schema::START_UNIX_NANOS)?,
                RowField::DurationNanos if self.reads_numbers_directly() => self.numbers(schema::DURATION_NANOS)?,
                RowField::StartUnixNanos => {
                    // The same 64 bits, read as signed ones.
                    let starts = starts(named(schema::START_UNIX_NANOS)?)?.inner().clone();
                    RowValues::Numbers(ScalarBuffer::new(starts, 0, self.len()))
                }
                RowField::DurationNanos => {
                    let array = named(schema::DURATION_NANOS)?.as_primitive_opt::<Int64Type>();
                    RowValues::Numbers(array.ok_or_else(|| wrong_type("duration"))?.values().clone())
                }
                RowField::Kind => numbers32(schema::KIND)?,
                RowField::StatusCode => numbers32(schema::STATUS_CODE)?,
                RowField::Name => texts(schema::NAME)?,
                RowField::StatusMessage => texts(schema::STATUS_MESSAGE)?,
                RowField::SpanId => RowValues::Ids(span_ids(named(schema::SPAN_ID)?)?.into()),
                RowField::ParentSpanId => {
                    RowValues::Ids(self.parents(named(schema::PARENT_ROW)?, named(schema::PARENT_SPAN_ID)?)?.into())
                }
                RowField::IsRoot => self.are_roots(named(schema::PARENT_ROW)?, named(schema::PARENT_SPAN_ID)?)?,
                RowField::SpanAttribute(key) => attribute::read(self, key, &column)?,
                RowField::ResourceAttribute(_) | RowField::Service => {
                    let entries = self.block.resources().iter();
                    let values = entries.map(|entry| match field {
                        RowField::ResourceAttribute(key) => value_of(&entry.resource.attributes, key),
                        _ => service_of(&entry.resource.attributes),
                    });
                    let values = values.collect();
                    let only = match self.search.resource_sets[self.plan.row_group].as_slice() {
                        [only] => Some(*only as usize),
                        _ => None,
                    };
                    by_origin(values, only, schema::RESOURCE_ID)?
                }
                RowField::ScopeAttribute(key) => of_scope(&|entry| value_of(&entry.scope.as_ref()?.attributes, key))?,
                RowField::ScopeName => of_scope(&|entry| text_value(&entry.scope.as_ref()?.name))?,
                RowField::ScopeVersion => of_scope(&|entry| text_value(&entry.scope.as_ref()?.version))?,
                RowField::EventAttribute(_) | RowField::EventName | RowField::EventTimeSinceStart => {
                    let starts = match field {
                        RowField::EventTimeSinceStart => starts(named(schema::START_UNIX_NANOS)?)?.to_vec(),
                        _ => Vec::new(),
                    };
                    items::values(events.as_ref(), field, &starts, self.len())?
                }
                RowField::LinkAttribute(_) | RowField::LinkTraceId | RowField::LinkSpanId => {
                    items::values(links.as_ref(), field, &[], self.len())?
                }
            });
        }
        Ok(out)
    }

    fn root(&self, name: &str) -> usize {
        self.block.plain.schema().index_of(name).expect("check_shape has seen every fixed column")
    }

    /// Whether starts and durations are decoded without Parquet's reader, which joins their streams of bytes value by value.
    fn reads_numbers_directly(&self) -> bool {
        self.rows.is_none() && !self.plan.events
    }

    /// The planned columns, but the lists, that Parquet's reader decodes.
    fn decoded_roots(&self) -> Vec<usize> {
        let direct = [schema::START_UNIX_NANOS, schema::DURATION_NANOS].map(|name| self.root(name));
        let is_direct = |root: &usize| self.reads_numbers_directly() && direct.contains(root);
        self.plan.roots.iter().copied().filter(|root| !is_direct(root)).collect()
    }

    /// A column of 64-bit numbers, all rows.
    fn numbers(&self, name: &str) -> Result<RowValues, Damage> {
        let shape = &self.block.plain;
        let leaf = shape.leaves_of_root(self.root(name)).start;
        let read = shape.values(self.plan.row_group, leaf, &self.fetched, 0..self.row_count);
        match read.map_err(|error| damage(&error.to_string()))?.values {
            Values::I64(numbers) if numbers.len() == self.row_count => Ok(RowValues::Numbers(numbers.into())),
            _ => Err(wrong_type(name)),
        }
    }

    /// Some of the planned columns; none when there are none. Checks the chunks of all.
    fn flat(&self, roots: &[usize]) -> Result<Option<RecordBatch>, Damage> {
        let shape = &self.block.dictionary;
        let leaves =
            |roots: &[usize]| roots.iter().flat_map(|root| shape.leaves_of_root(*root)).collect::<Vec<usize>>();
        self.block.check_chunks(self.plan.row_group, &self.fetched, leaves(&self.plan.roots))?;
        if roots.is_empty() {
            return Ok(None);
        }
        self.decode(true, &leaves(roots), self.rows).map(Some)
    }

    /// Some rows of some leaves as one batch.
    fn decode(&self, dictionary: bool, leaves: &[usize], rows: Option<&[u32]>) -> Result<RecordBatch, Damage> {
        let shape = if dictionary { &self.block.dictionary } else { &self.block.plain };
        let sparse = rows.filter(|rows| is_sparse(rows, self.row_count));
        let selection =
            sparse.map(|rows| RowSelection::from_consecutive_ranges(runs(rows).into_iter(), self.row_count));
        let expected = sparse.map_or(self.row_count, <[u32]>::len);
        let fetched = self.fetched.clone();
        let mut reader = self.block.reader(shape, self.plan.row_group, fetched, Some(leaves), selection, expected)?;
        let batch = reader.next().ok_or_else(|| damage("it has too few rows"))?.map_err(arrow_damage)?;
        if batch.num_rows() != expected {
            return Err(damage("it has too few rows"));
        }
        let Some(rows) = rows.filter(|_| sparse.is_none()) else { return Ok(batch) };
        let rows = UInt32Array::from(rows.to_vec());
        let picked = batch.columns().iter().map(|column| take(column, &rows, None).map_err(arrow_damage));
        let picked = picked.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(batch.schema(), picked).map_err(arrow_damage)
    }

    fn are_roots(&self, back: &ArrayRef, sent: &ArrayRef) -> Result<RowValues, Damage> {
        let sent = sent.as_binary_opt::<i32>().ok_or_else(|| wrong_type("parent_span_id"))?;
        let is_id = |id: &[u8]| id.len() == 8 && id.iter().any(|byte| *byte != 0);
        let is_root = |at: usize| if sent.is_valid(at) { !is_id(sent.value(at)) } else { back.is_null(at) };
        Ok(RowValues::Bools((0..self.len()).map(|at| Some(is_root(at))).collect()))
    }

    fn parents(&self, back: &ArrayRef, sent: &ArrayRef) -> Result<Vec<u64>, Damage> {
        let back = back.as_primitive_opt::<Int32Type>().ok_or_else(|| wrong_type("parent_row"))?;
        let sent = sent.as_binary_opt::<i32>().ok_or_else(|| wrong_type("parent_span_id"))?;
        // A parent may be a row that was not asked for.
        let leaves: Vec<usize> = self.block.plain.leaves_of_root(self.root(schema::SPAN_ID)).collect();
        let ids = span_ids(self.decode(false, &leaves, None)?.column(0))?;
        (0..self.len())
            .map(|at| {
                if sent.is_valid(at) {
                    Ok(<[u8; 8]>::try_from(sent.value(at)).map_or(0, u64::from_be_bytes))
                } else if back.is_valid(at) {
                    let row = self.rows.map_or(at, |rows| rows[at] as usize);
                    let parent = usize::try_from(back.value(at)).ok().and_then(|back| row.checked_sub(back));
                    let id = parent.and_then(|parent| ids.get(parent));
                    id.copied().ok_or_else(|| damage("a parent lies outside it"))
                } else {
                    Ok(0)
                }
            })
            .collect()
    }
}

/// Whether it pays to decode these rows (ascending) of so many alone: they are few, or they lie together. Else all are decoded, and
/// these are picked.
pub fn is_sparse(rows: &[u32], row_count: usize) -> bool {
    let is_run = rows.first().zip(rows.last()).is_some_and(|(first, last)| (last - first) as usize + 1 == rows.len());
    is_run || rows.len() * SPARSE < row_count
}

/// Values of origins numbered: for each origin its code, and the values by code; equal texts share a code.
fn number(values: Vec<Option<AttributeValue>>) -> (Vec<u32>, Arc<[AttributeValue]>) {
    let mut distinct: Vec<AttributeValue> = Vec::new();
    let mut texts: HashMap<Arc<str>, u32> = HashMap::new();
    let codes = values.into_iter().map(|value| {
        let next = distinct.len() as u32;
        let code = match &value {
            None => return NIL,
            Some(AttributeValue::Text(text)) => *texts.entry(Arc::clone(text)).or_insert(next),
            Some(_) => next,
        };
        if code == next {
            distinct.extend(value);
        }
        code
    });
    let codes = codes.collect();
    (codes, distinct.into())
}

fn text_value(text: &str) -> Option<AttributeValue> {
    (!text.is_empty()).then(|| AttributeValue::Text(Arc::from(text)))
}

/// The first value that a key has among attributes.
pub(crate) fn value_of(attributes: &[KeyValue], key: &str) -> Option<AttributeValue> {
    let mut values = attributes.iter().filter(|attribute| attribute.key == key);
    values.find_map(|attribute| attribute.value.as_ref().and_then(AttributeValue::of))
}

/// The first `service.name` that is a text.
fn service_of(attributes: &[KeyValue]) -> Option<AttributeValue> {
    let named = attributes.iter().filter(|attribute| attribute.key == SERVICE_NAME);
    let mut values = named.filter_map(|attribute| AttributeValue::scalar(attribute.value.as_ref()?));
    values.find(|value| matches!(value, AttributeValue::Text(_)))
}

impl AttributeValue {
    /// A value as OTLP has it.
    pub fn of(value: &AnyValue) -> Option<Self> {
        match value.value.as_ref()? {
            Value::ArrayValue(array) => {
                let elements: Vec<Self> = array.values.iter().filter_map(Self::scalar).collect();
                (!elements.is_empty()).then_some(Self::List(elements))
            }
            _ => Self::scalar(value),
        }
    }

    fn scalar(value: &AnyValue) -> Option<Self> {
        match value.value.as_ref()? {
            Value::StringValue(text) => Some(Self::Text(Arc::from(text.as_str()))),
            Value::BoolValue(bool) => Some(Self::Bool(*bool)),
            Value::IntValue(int) => Some(Self::Int(*int)),
            Value::DoubleValue(double) => (!double.is_nan()).then_some(Self::Double(*double)),
            Value::ArrayValue(_) | Value::BytesValue(_) | Value::KvlistValue(_) | Value::StringValueStrindex(_) => None,
        }
    }
}

fn texts_of(array: &ArrayRef) -> Result<RowValues, Damage> {
    let array = array.as_dictionary_opt::<Int32Type>().ok_or_else(|| wrong_type("text"))?;
    let texts = array.values().as_string_opt::<i32>().ok_or_else(|| wrong_type("text"))?.clone();
    let keys = array.keys();
    let codes: Vec<u32> = match keys.nulls() {
        None => keys.values().iter().map(|key| *key as u32).collect(),
        Some(nulls) => {
            let keys = keys.values().iter().zip(nulls.iter());
            keys.map(|(key, valid)| if valid { *key as u32 } else { NIL }).collect()
        }
    };
    Ok(RowValues::Texts { codes: codes.into(), texts })
}

fn starts(array: &ArrayRef) -> Result<&ScalarBuffer<u64>, Damage> {
    Ok(array.as_primitive_opt::<UInt64Type>().ok_or_else(|| wrong_type("start"))?.values())
}

fn span_ids(array: &ArrayRef) -> Result<Vec<u64>, Damage> {
    let ids = array.as_fixed_size_binary_opt().filter(|ids| ids.value_length() == 8);
    let ids = ids.ok_or_else(|| wrong_type("span_id"))?;
    let (chunks, _) = ids.value_data().as_chunks::<8>();
    Ok(chunks.iter().map(|id| u64::from_be_bytes(*id)).collect())
}

fn damage(problem: &str) -> Damage {
    Damage::new("row group", problem)
}

fn wrong_type(column: &str) -> Damage {
    damage(&format!("column {column} has another type"))
}

fn arrow_damage(error: arrow_schema::ArrowError) -> Damage {
    damage(&error.to_string())
}
