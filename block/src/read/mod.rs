//! Reading a block: the tail opens it, then one row group gives a trace, or the search index a plan for a scan.

mod encodings;
mod fetched;
mod pages;
mod search;
mod spans;
mod values;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection, RowSelector};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader};
use prost::Message as _;
use spanlake_model::TraceId;

pub(crate) use search::Keys;
pub use search::SearchIndex;
pub use spans::SpanRow;

use crate::damage::check_crc;
use crate::directory::{Directory, ID_STRIDE};
use crate::filter::{self, Filter};
use crate::schema::{self, AttributeColumn, Fixed, ValueType};
use crate::section::{Kind, Reader, Sections};
use crate::{BlockMeta, Damage, FORMAT_VERSION, MAX_ROWS, TAIL_MAGIC};
pub(crate) use fetched::Fetched;
use pages::Footer;
pub(crate) use pages::Shape;
pub(crate) use values::{ColumnValues, NULL, Values};

/// Bytes that a row takes in the column of span ids, which is neither compressed nor a dictionary.
const SPAN_ID_BYTES: u64 = 8;

/// A resource as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceEntry {
    /// The resource; empty when none was sent.
    pub resource: Resource,
    /// Schema URL of its `ResourceSpans`.
    pub schema_url: String,
}

/// An instrumentation scope as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeEntry {
    /// The scope; `None` when it was absent or empty.
    pub scope: Option<InstrumentationScope>,
    /// Schema URL of its `ScopeSpans`.
    pub schema_url: String,
}

/// The bytes of a row group that were held against their checksums, for traces to be read from them again and again. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct CheckedRowGroup {
    row_group: usize,
    fetched: Fetched,
}

impl CheckedRowGroup {
    /// The same, not part of a larger buffer that would be held whole with it, as what is small may be.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.fetched.detach();
        self
    }

    /// Memory that it holds, in bytes: as many as in the object.
    pub fn memory_bytes(&self) -> usize {
        self.fetched.fetched_bytes()
    }
}

/// An opened block: everything of its tail, in memory. Holds no row data.
#[derive(Debug)]
pub struct Block {
    pub(crate) meta: BlockMeta,
    pub(crate) directory: Directory,
    trace_filter: Filter,
    resources: Vec<Arc<ResourceEntry>>,
    scopes: Vec<Arc<ScopeEntry>>,
    pub(crate) columns: Vec<AttributeColumn>,
    /// First row of each row group.
    pub(crate) first_rows: Vec<u32>,
    /// Reads columns as plain values.
    pub(crate) plain: Shape,
    /// Reads string columns as dictionaries, so that a predicate runs once a distinct value.
    pub(crate) dictionary: Shape,
    tail_bytes: usize,
}

impl Block {
    /// Opens a block from its facts and its tail, the bytes from [`BlockMeta::tail_offset`] to the object's end.
    ///
    /// # Errors
    /// [`Damage`] if the tail is not what the facts say, or of a newer version.
    pub fn open(meta: &BlockMeta, tail: Bytes) -> Result<Self, Damage> {
        if meta.format_version == 0 || meta.format_version > FORMAT_VERSION {
            return Err(Damage::NewerVersion { found: meta.format_version });
        }
        let expect_bytes = meta.object_bytes.saturating_sub(meta.tail_offset);
        if tail.len() as u64 != expect_bytes {
            return Err(Damage::new("tail", format!("it has {} bytes, {expect_bytes} were written", tail.len())));
        }
        check_crc("tail", &tail, meta.tail_crc32c)?;
        let sections = Sections::open("tail", TAIL_MAGIC, &tail)?;
        let directory = Directory::read(&sections.get(Kind::Directory)?)?;
        let trace_filter = Filter::read(&sections.get(Kind::TraceFilter)?)?;
        let resources = read_origins("resources", &sections.get(Kind::Resources)?, |bytes, schema_url| {
            Ok(Arc::new(ResourceEntry { resource: Resource::decode(bytes)?, schema_url }))
        })?;
        let scopes = read_origins("scopes", &sections.get(Kind::Scopes)?, |bytes, schema_url| {
            let scope = if bytes.is_empty() { None } else { Some(InstrumentationScope::decode(bytes)?) };
            Ok(Arc::new(ScopeEntry { scope, schema_url }))
        })?;
        let columns = read_columns(&sections.get(Kind::AttributeColumns)?)?;
        let footer = Footer::new(read_footer(&tail, &columns)?).map_err(|error| parquet_damage(&error))?;
        let plain = Shape::plain(Arc::new(footer)).map_err(|error| parquet_damage(&error))?;
        let dictionary = Shape::dictionary(&plain).map_err(|error| parquet_damage(&error))?;
        let first_rows = check_shape(meta, &directory, plain.metadata())?;
        Ok(Self {
            meta: meta.clone(),
            directory,
            trace_filter,
            resources,
            scopes,
            columns,
            first_rows,
            plain,
            dictionary,
            tail_bytes: tail.len(),
        })
    }

    /// The block's facts.
    pub fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// The span attributes that have a column of their own, in column order.
    pub fn attribute_columns(&self) -> &[AttributeColumn] {
        &self.columns
    }

    /// The distinct resources of the block.
    pub fn resources(&self) -> &[Arc<ResourceEntry>] {
        &self.resources
    }

    /// The distinct instrumentation scopes of the block.
    pub fn scopes(&self) -> &[Arc<ScopeEntry>] {
        &self.scopes
    }

    /// Lets go of the decoded resources and scopes, for who reads rows as columns: thousands of resources take more memory
    /// than all else of a block.
    pub(crate) fn forget_origins(&mut self) {
        (self.resources, self.scopes) = (Vec::new(), Vec::new());
    }

    /// How many row groups there are.
    pub fn row_group_count(&self) -> usize {
        self.directory.row_groups.len()
    }

    /// Memory that the opened block holds, in bytes, estimated from above.
    pub fn memory_bytes(&self) -> usize {
        // The parsed footer takes a few times its encoded size, the schema and how it is read 850 bytes a column (measured
        // with 85 columns); the rest is about as large as stored.
        4 * self.tail_bytes + 1_000 * self.plain.leaf_count() + self.trace_filter.memory_bytes()
    }

    /// The row groups that may hold spans of the trace; empty when the filter rules it out.
    pub fn row_groups_for(&self, id: &TraceId) -> Range<usize> {
        if !self.trace_filter.may_contain(filter::hash(0, &id.0)) {
            return 0..0;
        }
        let groups = &self.directory.row_groups;
        let from = groups.partition_point(|group| group.last_trace_id < *id);
        let to = groups.partition_point(|group| group.first_trace_id <= *id);
        from..to.max(from)
    }

    /// The bytes of a row group in the object: what [`Block::read_trace`] needs.
    pub fn row_group_range(&self, row_group: usize) -> Range<u64> {
        let chunks = self.plain.metadata().row_group(row_group).columns();
        let start = chunks.iter().map(|chunk| chunk.byte_range().0).min().unwrap_or(0);
        let end = chunks.iter().map(|chunk| chunk.byte_range().0 + chunk.byte_range().1).max().unwrap_or(0);
        start..end
    }

    /// Holds a row group against its checksums; `bytes` are those of [`Block::row_group_range`].
    ///
    /// # Errors
    /// [`Damage`] if any byte of the row group is not what was written.
    pub fn check_row_group(&self, row_group: usize, bytes: Bytes) -> Result<CheckedRowGroup, Damage> {
        Ok(CheckedRowGroup { row_group, fetched: self.checked_row_group(row_group, bytes)? })
    }

    /// The trace's spans in one row group of this block, in row order (depth-first).
    ///
    /// # Errors
    /// [`Damage`] if the row group is not what a writer of this format would have written.
    pub fn trace_in(&self, checked: &CheckedRowGroup, id: &TraceId) -> Result<Vec<SpanRow>, Damage> {
        let CheckedRowGroup { row_group, fetched } = checked;
        let rows = self.rows_of(*row_group, fetched, id)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        self.read_rows(*row_group, fetched, rows, Some(id))
    }

    /// The trace's spans in one row group, in row order (depth-first); `bytes` are those of [`Block::row_group_range`].
    ///
    /// # Errors
    /// [`Damage`] if any byte of the row group is not what was written.
    pub fn read_trace(&self, row_group: usize, bytes: Bytes, id: &TraceId) -> Result<Vec<SpanRow>, Damage> {
        self.trace_in(&self.check_row_group(row_group, bytes)?, id)
    }

    /// Every span of a row group, in row order; `bytes` are those of [`Block::row_group_range`].
    ///
    /// # Errors
    /// [`Damage`] if any byte of the row group is not what was written.
    pub fn read_row_group(&self, row_group: usize, bytes: Bytes) -> Result<Vec<SpanRow>, Damage> {
        let fetched = self.checked_row_group(row_group, bytes)?;
        let rows = 0..self.directory.row_groups[row_group].row_count as usize;
        self.read_rows(row_group, &fetched, rows, None)
    }

    /// The bytes of a whole row group, each of its column chunks held against its checksum.
    ///
    /// # Errors
    /// [`Damage`] if one is not what was written.
    pub(crate) fn checked_row_group(&self, row_group: usize, bytes: Bytes) -> Result<Fetched, Damage> {
        let range = self.row_group_range(row_group);
        if bytes.len() as u64 != range.end - range.start {
            let problem = format!("{} bytes were read of {}", bytes.len(), range.end - range.start);
            return Err(Damage::new("row group", problem));
        }
        let fetched = Fetched::new(self.meta.object_bytes, vec![(range.start, bytes)]);
        let leaf_count = self.directory.row_groups[row_group].chunk_crc32c.len();
        self.check_chunks(row_group, &fetched, 0..leaf_count)?;
        Ok(fetched)
    }

    /// Spans of some rows of a row group: whole traces, or of the one with this id all that the row group has. Lists are opened
    /// only if some row has items, since a list cannot be entered in the middle without reading all before it.
    fn read_rows(
        &self,
        row_group: usize,
        fetched: &Fetched,
        rows: Range<usize>,
        id: Option<&TraceId>,
    ) -> Result<Vec<SpanRow>, Damage> {
        let flat = |leaf: usize| self.read_values(row_group, fetched, leaf, rows.clone());
        let list = |items: Fixed, counts: Fixed| {
            let counts = flat(counts.leaf(self.columns.len()))?;
            if !spans::any_items(&counts) {
                return Ok(None);
            }
            let leaves: Vec<usize> = items.leaves(self.columns.len()).collect();
            let batch = self.read_batch(row_group, fetched, &leaves, rows.clone())?;
            Ok(Some(batch.column(0).clone()))
        };
        let events = list(Fixed::Events, Fixed::EventCount)?;
        let links = list(Fixed::Links, Fixed::LinkCount)?;
        spans::read(self, rows.len(), id, flat, events.as_ref(), links.as_ref())
    }

    /// Some rows of a flat column.
    fn read_values(
        &self,
        row_group: usize,
        fetched: &Fetched,
        leaf: usize,
        rows: Range<usize>,
    ) -> Result<ColumnValues, Damage> {
        let values = self.plain.values(row_group, leaf, fetched, rows);
        values.map_err(|error| Damage::new("row group", error.to_string()))
    }

    pub(crate) fn read_batch(
        &self,
        row_group: usize,
        fetched: &Fetched,
        leaves: &[usize],
        rows: Range<usize>,
    ) -> Result<RecordBatch, Damage> {
        let row_count = self.directory.row_groups[row_group].row_count as usize;
        let selection = (rows != (0..row_count))
            .then(|| RowSelection::from(vec![RowSelector::skip(rows.start), RowSelector::select(rows.len())]));
        let mut reader = self.reader(&self.plain, row_group, fetched.clone(), Some(leaves), selection, rows.len())?;
        let batch = reader.next().ok_or_else(|| Damage::new("row group", "it has too few rows"))?;
        let batch = batch.map_err(|error| Damage::new("row group", error.to_string()))?;
        if batch.num_rows() != rows.len() {
            return Err(Damage::new("row group", "it has too few rows"));
        }
        Ok(batch)
    }

    /// Where the trace's rows lie in the row group.
    fn rows_of(&self, row_group: usize, fetched: &Fetched, id: &TraceId) -> Result<Range<usize>, Damage> {
        let group = &self.directory.row_groups[row_group];
        let strides = &group.stride_trace_ids;
        let from = strides.partition_point(|first| first < id).saturating_sub(1) * ID_STRIDE;
        let to = (strides.partition_point(|first| first <= id) * ID_STRIDE).min(group.row_count as usize);
        if from >= to {
            return Ok(0..0);
        }
        let ids = self.read_values(row_group, fetched, Fixed::TraceId.leaf(self.columns.len()), from..to)?;
        let Some(ids) = ids.ids::<16>() else { return Err(Damage::new("column trace_id", "it is not of 16-byte ids")) };
        let first = ids.partition_point(|found| *found < id.0);
        let last = ids.partition_point(|found| *found <= id.0);
        Ok(from + first..from + last)
    }

    pub(crate) fn check_chunks(
        &self,
        row_group: usize,
        fetched: &Fetched,
        leaves: impl IntoIterator<Item = usize>,
    ) -> Result<(), Damage> {
        let chunks = self.plain.metadata().row_group(row_group).columns();
        for leaf in leaves {
            let (start, len) = chunks[leaf].byte_range();
            let bytes = fetched.slice(start, len as usize).ok_or_else(|| {
                Damage::new("row group", format!("column chunk {} was not read", chunks[leaf].column_path().string()))
            })?;
            check_crc("column chunk", &bytes, self.directory.row_groups[row_group].chunk_crc32c[leaf])?;
        }
        Ok(())
    }

    pub(crate) fn reader(
        &self,
        shape: &Shape,
        row_group: usize,
        fetched: Fetched,
        leaves: Option<&[usize]>,
        selection: Option<RowSelection>,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader, Damage> {
        let reader = shape.reader(row_group, fetched, leaves, selection, batch_rows.max(1));
        reader.map_err(|error| parquet_damage(&error))
    }
}

fn parquet_damage(error: &ParquetError) -> Damage {
    Damage::new("Parquet data", error.to_string())
}

/// Reads the section of resources or scopes.
pub(crate) fn read_origins<T>(
    part: &'static str,
    bytes: &[u8],
    mut decode: impl FnMut(&[u8], String) -> Result<T, prost::DecodeError>,
) -> Result<Vec<T>, Damage> {
    let mut reader = Reader::new(part, bytes);
    (0..reader.count(2)?)
        .map(|_| {
            let message = reader.bytes()?;
            let schema_url = reader.text()?.to_owned();
            decode(message, schema_url).map_err(|error| Damage::new(part, error.to_string()))
        })
        .collect()
}

fn read_columns(bytes: &[u8]) -> Result<Vec<AttributeColumn>, Damage> {
    let mut reader = Reader::new("attribute columns", bytes);
    (0..reader.count(2)?)
        .map(|_| {
            let [number] = reader.array()?;
            let value_type = ValueType::from_number(number)
                .ok_or_else(|| Damage::new("attribute columns", format!("{number} is no value type")))?;
            Ok(AttributeColumn { key: reader.text()?.to_owned(), value_type })
        })
        .collect()
}

/// The Parquet footer, read under the one schema that a block with these attribute columns has: the schema in the footer
/// is for others, and parsing it trusts its numbers.
fn read_footer(tail: &[u8], columns: &[AttributeColumn]) -> Result<ParquetMetaData, Damage> {
    let damage = |problem: &str| Damage::new("Parquet footer", problem);
    let (rest, magic) = tail.split_last_chunk::<4>().ok_or_else(|| damage("it is too short"))?;
    let (rest, len) = rest.split_last_chunk::<4>().ok_or_else(|| damage("it is too short"))?;
    if magic != b"PAR1" {
        return Err(damage("its magic is not there"));
    }
    let len = u32::from_le_bytes(*len) as usize;
    let start = rest.len().checked_sub(len).ok_or_else(|| damage("its length is larger than the tail"))?;
    let schema = ArrowSchemaConverter::new().convert(&schema::schema(columns));
    let options = schema.map(|schema| ParquetMetaDataOptions::new().with_schema(Arc::new(schema)));
    options
        .and_then(|options| ParquetMetaDataReader::decode_metadata_with_options(&rest[start..], Some(&options)))
        .map_err(|error| damage(&error.to_string()))
}

/// Checks that the parts agree with each other, so that later code may index by them; gives the first row of each
/// row group.
fn check_shape(meta: &BlockMeta, directory: &Directory, parquet: &ParquetMetaData) -> Result<Vec<u32>, Damage> {
    let damage = |problem: String| Damage::new("tail", problem);
    if parquet.num_row_groups() != directory.row_groups.len() {
        return Err(damage("directory and footer disagree on the row groups".to_owned()));
    }
    let leaf_count = parquet.file_metadata().schema_descr().num_columns();
    let mut first_rows = Vec::with_capacity(directory.row_groups.len());
    let mut rows = 0_u64;
    for (described, stored) in directory.row_groups.iter().zip(parquet.row_groups()) {
        let agree = stored.num_rows() == i64::from(described.row_count)
            && stored.columns().len() == leaf_count
            && described.chunk_crc32c.len() == leaf_count
            && described.stride_trace_ids.len() == (described.row_count as usize).div_ceil(ID_STRIDE)
            && stored.columns().iter().all(|chunk| {
                let (start, len) = chunk.byte_range();
                start.checked_add(len).is_some_and(|end| end <= meta.search_offset)
            });
        if !agree {
            return Err(damage("directory and footer disagree on a row group".to_owned()));
        }
        first_rows.push(rows as u32);
        rows += u64::from(described.row_count);
        // Each row has its span id in the row groups, as it is: a false count must not ask for all memory.
        if rows > MAX_ROWS.min(meta.search_offset / SPAN_ID_BYTES) {
            return Err(damage(format!("it claims {rows} rows or more")));
        }
    }
    if rows != meta.span_count {
        return Err(damage(format!("it has {rows} rows, its name says {}", meta.span_count)));
    }
    Ok(first_rows)
}

#[cfg(test)]
mod tests;
