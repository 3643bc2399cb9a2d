//! What can be chosen about a block when it is written. None of it changes what a reader answers.

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::attributes::{Gathered, Values};
use crate::schema::{self, AttributeColumn, ValueType};

/// Choices of the writer, with the values that measured best as defaults.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// Compaction level written into the block's facts.
    pub level: u8,
    /// Rows in a row group, cut between traces: about 1.8 MB, one ranged GET. A merge makes them of fewer rows where those are large.
    pub row_group_rows: usize,
    /// OTLP bytes in a row group, its resources and scopes counted once: a reader holds a row group in memory. At most
    /// 128 MiB, whatever is asked for: Arrow's offsets end at 2 GiB, and as text a byte can become six.
    pub row_group_bytes: usize,
    /// Rows in a page: a lookup decodes at least one page of every column.
    pub page_rows: usize,
    /// zstd level of the pages: 9 saves 5 % of the bytes and costs several times the CPU.
    pub zstd_level: i32,
    /// Most attribute columns: each costs about 150 footer bytes a row group.
    pub max_attribute_columns: usize,
    /// A key gets a column when at least one row in this many has it.
    pub min_density: usize,
    /// A key gets a column when at least this many rows have it.
    pub min_values: usize,
    /// Bits of the trace filter per trace: 12 give about 0.5 % false positives.
    pub trace_filter_bits: usize,
    /// Bits of the value filters per distinct value of a row group: 9 give about 2 % false positives.
    pub value_filter_bits: usize,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            level: 0,
            row_group_rows: 65_536,
            row_group_bytes: 64 << 20,
            page_rows: 8_192,
            zstd_level: 1,
            max_attribute_columns: 100,
            min_density: 200,
            min_values: 128,
            trace_filter_bits: 12,
            value_filter_bits: 9,
        }
    }
}

/// Dictionaries larger than this cost a lookup more to read than they save.
const DICTIONARY_PAGE_BYTES: usize = 256 * 1024;

impl WriteOptions {
    /// Whether the block tells how long operations took. What lies at level 0 is merged within minutes, and is written while somebody
    /// waits.
    pub(crate) fn has_baselines(&self) -> bool {
        self.level > 0
    }

    /// Whether so many values in so many rows are enough for a column of their own.
    pub(crate) fn is_frequent(&self, count: u64, row_count: u64) -> bool {
        count >= self.min_values as u64 && count.saturating_mul(self.min_density as u64) >= row_count
    }

    /// How much a column of its own is worth to a key, or nothing if it is too rare.
    pub(crate) fn worth(&self, gathered: &Gathered<'_>, row_count: usize) -> Option<u64> {
        let count = gathered.rows.len();
        if !self.is_frequent(count as u64, row_count as u64) {
            return None;
        }
        let value_bytes = match &gathered.values {
            Values::String(values) => values.iter().map(|value| value.len() as u64).sum(),
            Values::Int(_) | Values::Double(_) => 8 * count as u64,
            Values::Bool(_) => count as u64,
        };
        Some(value_bytes + (gathered.key.len() * count) as u64)
    }

    /// How Parquet writes each column; `plain` are attribute columns whose values hardly repeat.
    pub(crate) fn properties<'a>(&self, plain: impl Iterator<Item = &'a AttributeColumn>) -> WriterProperties {
        let zstd = ZstdLevel::try_new(self.zstd_level).unwrap_or_default();
        let column = |name: &str| ColumnPath::new(vec![name.to_owned()]);
        let version = KeyValue::new("spanlake.format_version".to_owned(), crate::FORMAT_VERSION.to_string());
        let mut builder = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_compression(Compression::ZSTD(zstd))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(true)
            .set_max_row_group_row_count(None)
            .set_data_page_row_count_limit(self.page_rows)
            .set_write_batch_size(self.page_rows.min(1024))
            .set_dictionary_page_size_limit(DICTIONARY_PAGE_BYTES)
            .set_created_by(format!("spanlake {}", env!("CARGO_PKG_VERSION")))
            .set_key_value_metadata(Some(vec![version]));
        for name in [schema::START_UNIX_NANOS, schema::DURATION_NANOS] {
            builder = builder
                .set_column_dictionary_enabled(column(name), false)
                .set_column_statistics_enabled(column(name), EnabledStatistics::Chunk);
        }
        builder = builder
            .set_column_encoding(column(schema::START_UNIX_NANOS), Encoding::BYTE_STREAM_SPLIT)
            .set_column_encoding(column(schema::DURATION_NANOS), Encoding::BYTE_STREAM_SPLIT)
            .set_column_dictionary_enabled(column(schema::SPAN_ID), false)
            .set_column_encoding(column(schema::SPAN_ID), Encoding::PLAIN)
            .set_column_compression(column(schema::SPAN_ID), Compression::UNCOMPRESSED);
        for name in [schema::TRACE_ID, schema::ATTRIBUTES_REST, schema::RESOURCE, schema::SCOPE, schema::PARENT_SPAN_ID]
        {
            builder = builder
                .set_column_dictionary_enabled(column(name), false)
                .set_column_encoding(column(name), Encoding::PLAIN);
        }
        // With the statistics goes how many bytes the values are without their dictionary: what a merge decodes them to.
        for list in [schema::EVENTS, schema::LINKS] {
            let path = ["list", "item", "attributes"].map(str::to_owned);
            let path = ColumnPath::new([list.to_owned()].into_iter().chain(path).collect());
            builder = builder.set_column_statistics_enabled(path, EnabledStatistics::Chunk);
        }
        for attribute in plain {
            // A dictionary of values that hardly repeat is written, and then written again without it.
            let path = column(&attribute.name());
            builder = builder.set_column_dictionary_enabled(path.clone(), false);
            if attribute.value_type == ValueType::String {
                builder = builder.set_column_encoding(path, Encoding::PLAIN);
            }
        }
        builder.build()
    }
}
