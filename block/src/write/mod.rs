//! Writing a block: checked requests in, one Parquet object with its indexes out. Pure computation.

mod arrays;
mod attributes;
mod cut;
mod finish;
mod keys;
mod options;
mod order;
mod origins;
mod rows;
mod value_filters;

use std::sync::Arc;

use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowWriterOptions, compute_leaves};
use parquet::errors::ParquetError;
use spanlake_model::TraceId;
use spanlake_otlp::Batch;

pub use options::WriteOptions;

use crate::baselines::BaselineWriter;
use crate::filter::{self, Filter};
use crate::item_keys::ItemKeysWriter;
use crate::schema::{self, AttributeColumn};
use crate::summary::{SummarySpan, SummaryWriter};
use crate::{BlockMeta, MAX_ROWS};
use cut::cut_row_groups;
pub(crate) use finish::{Indexes, RowGroupFacts, finish};
pub(crate) use order::{Links, Row, Tree};
use order::{Order, order};
use origins::Origins;
pub(crate) use origins::{resource_text, scope_text, service_name, write_all};
use rows::Rows;
pub(crate) use value_filters::{ValueFilters, ValueSet, name_seed};

/// Status code ERROR of OpenTelemetry.
pub(crate) const STATUS_ERROR: i32 = 2;

/// A block, ready to be stored.
#[derive(Debug, Clone)]
pub struct Written {
    /// The whole object.
    pub bytes: Bytes,
    /// What its name or the manifest says of it.
    pub meta: BlockMeta,
    /// Where its bytes went.
    pub report: WriteReport,
}

/// Where the bytes of a block went, for benchmarks and people.
#[derive(Debug, Clone, Default)]
pub struct WriteReport {
    /// Stored bytes of each Parquet column, in column order; nested columns by their path.
    pub column_bytes: Vec<(String, u64)>,
    /// Stored bytes of each index section.
    pub index_bytes: Vec<(&'static str, u64)>,
    /// Stored bytes of the Parquet footer.
    pub footer_bytes: u64,
    /// Identical spans that were given more than once and are stored once.
    pub duplicate_count: u64,
}

/// Why a block cannot be written: only what no input should bring about.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is no span to write.
    #[error("a block needs at least one span")]
    Empty,
    /// More spans than row numbers.
    #[error("{span_count} spans are too many for one block: at most {} fit", MAX_ROWS)]
    TooManySpans {
        /// Spans given.
        span_count: usize,
    },
    /// A span that, with its resource and scope, no row group can hold.
    #[error(
        "a span of {span_bytes} bytes with its resource is too large: at most {} bytes fit",
        cut::MAX_ROW_GROUP_BYTES
    )]
    SpanTooLarge {
        /// Its bytes, those of its resource and scope included if no row before it has them.
        span_bytes: u64,
    },
    /// Arrow or Parquet refused.
    #[error("the block cannot be encoded: {0}")]
    Encode(#[from] ParquetError),
    /// Arrow refused a column.
    #[error("the block cannot be encoded: {0}")]
    Column(#[from] arrow_schema::ArrowError),
    /// An index section could not be compressed.
    #[error("the block's index cannot be encoded: {0}")]
    Index(#[from] std::io::Error),
}

/// Writes the spans of all batches as one block. Identical spans are stored once.
///
/// # Errors
/// [`WriteError`]: no spans, more than row numbers can name, or one that is too large.
pub fn write_block(batches: &[Batch], options: &WriteOptions) -> Result<Written, WriteError> {
    let span_count = batches.iter().map(|batch| batch.spans.len()).sum::<usize>();
    if span_count == 0 {
        return Err(WriteError::Empty);
    }
    if span_count as u64 > MAX_ROWS {
        return Err(WriteError::TooManySpans { span_count });
    }
    let order = order(batches);
    let origins = Origins::number(batches);
    let row_groups = cut_row_groups(&order, &origins.row_bytes(batches, &order), options)?;
    let mut filters = ValueFilters::new(options.value_filter_bits);
    let (rows, attributes) = Rows::read(batches, &order, &origins, &row_groups, &mut filters);
    let split = attributes.split(|gathered| options.worth(gathered, order.rows.len()), options.max_attribute_columns);
    let columns: Vec<AttributeColumn> = split
        .columns
        .iter()
        .map(|gathered| AttributeColumn { key: gathered.key.to_owned(), value_type: gathered.value_type })
        .collect();

    let schema: SchemaRef = Arc::new(schema::schema(&columns));
    let plain = split.columns.iter().zip(&columns).filter(|(gathered, _)| gathered.hardly_repeats());
    let properties = options.properties(plain.map(|(_, column)| column));
    let writer_options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let writer = ArrowWriter::try_new_with_options(Vec::new(), schema.clone(), writer_options)?;
    let (mut writer, columns_of) = writer.into_serialized_writer()?;
    let mut item_keys = ItemKeysWriter::new();
    for (group, range) in row_groups.iter().enumerate() {
        // One column after the other: each open column holds a compression context of about a megabyte.
        let mut leaves = columns_of.create_column_writers(group)?.into_iter();
        let mut chunks = Vec::with_capacity(leaves.len());
        for (index, field) in schema.fields().iter().enumerate() {
            let column = rows.column(index, &split, &origins, &mut item_keys, range)?;
            for (leaf, mut leaf_writer) in compute_leaves(field, &column)?.into_iter().zip(&mut leaves) {
                leaf_writer.write(&leaf)?;
                chunks.push(leaf_writer.close()?);
            }
        }
        let mut row_group = writer.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
        item_keys.end_row_group();
    }
    writer.flush()?;

    let row_groups_described = row_groups.iter().zip(writer.flushed_row_groups()).map(|(range, stored)| {
        let at = range.start as usize..range.end as usize;
        let facts = RowGroupFacts {
            trace_ids: &rows.trace_ids[at.clone()],
            starts: &rows.starts[at.clone()],
            durations: &rows.durations[at],
        };
        facts.describe(stored, writer.inner())
    });
    let indexes = Indexes {
        level: options.level,
        row_groups: row_groups_described.collect(),
        trace_count: order.trace_starts.len() as u64,
        duplicate_count: order.duplicate_count,
        summaries: summaries(&rows, &order, &origins),
        value_filters: filters.write(),
        keys: keys::write_keys(&split, &row_groups),
        resource_sets: keys::write_resource_sets(&rows, origins.resource_count(), &row_groups),
        item_keys: item_keys.finish(),
        baselines: options.has_baselines().then(|| baselines(&rows, &origins)),
        trace_filter: trace_filter(&rows, &order, options.trace_filter_bits),
        resources: origins.write_resources(),
        scopes: origins.write_scopes(),
        attribute_columns: schema::write_columns(columns.iter()),
    };
    finish(writer, indexes)
}

fn summaries(rows: &Rows<'_>, order: &Order, origins: &Origins<'_>) -> Vec<u8> {
    let services = origins.services();
    let mut summaries = SummaryWriter::default();
    for (i, start) in order.trace_starts.iter().enumerate() {
        let end = order.trace_starts.get(i + 1).map_or(order.rows.len(), |end| *end as usize);
        let spans = (*start as usize..end).map(|row| SummarySpan {
            start_unix_nanos: rows.starts[row],
            duration_nanos: rows.durations[row],
            is_root: rows.is_root[row],
            identity: (rows.span_ids[row], rows.kinds[row], rows.durations[row]),
            is_error: rows.status_codes[row] == STATUS_ERROR,
            name: rows.names[row],
            service: services[rows.resource_ids[row] as usize],
        });
        summaries.push(TraceId(rows.trace_ids[*start as usize]), spans);
    }
    summaries.finish()
}

fn baselines(rows: &Rows<'_>, origins: &Origins<'_>) -> Vec<u8> {
    let services = origins.services();
    let mut baselines = BaselineWriter::new();
    for row in 0..rows.starts.len() {
        let service = services[rows.resource_ids[row] as usize];
        baselines.push(service, rows.names[row], rows.kinds[row], rows.starts[row], rows.durations[row]);
    }
    baselines.finish()
}

fn trace_filter(rows: &Rows<'_>, order: &Order, bits: usize) -> Vec<u8> {
    let mut filter = Filter::with_room_for(order.trace_starts.len(), bits);
    for start in &order.trace_starts {
        filter.insert(filter::hash(0, &rows.trace_ids[*start as usize]));
    }
    let mut bytes = Vec::new();
    filter.write(&mut bytes);
    bytes
}
