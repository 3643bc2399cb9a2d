//! What must be known of a block before reading any of it: small enough to be the object's name.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use spanlake_model::TimeRange;

/// The facts about a block that its object name (level 0) or the manifest (above) carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockMeta {
    /// Version of the format, [`crate::FORMAT_VERSION`] when written by this code.
    pub format_version: u16,
    /// Compaction level: 0 for what an ingester flushed.
    pub level: u8,
    /// Rows in the block, one a span.
    pub span_count: u64,
    /// Distinct trace ids in the block.
    pub trace_count: u64,
    /// Earliest span start, in Unix nanoseconds.
    pub min_start_unix_nanos: u64,
    /// Latest span end, in Unix nanoseconds.
    pub max_end_unix_nanos: u64,
    /// Size of the whole object.
    pub object_bytes: u64,
    /// Where the search index begins; it ends where the tail begins.
    pub search_offset: u64,
    /// Where the tail begins; it runs to the object's end.
    pub tail_offset: u64,
    /// CRC-32C of the tail.
    pub tail_crc32c: u32,
}

/// Why an object name does not describe a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a block name: {problem}")]
pub struct NameError {
    /// The name as found.
    pub name: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl BlockMeta {
    /// The time the block's spans cover.
    pub fn time_range(&self) -> TimeRange {
        TimeRange {
            start_unix_nanos: self.min_start_unix_nanos,
            end_unix_nanos: self.max_end_unix_nanos.max(self.min_start_unix_nanos),
        }
    }

    /// Writes the facts behind a unique, time-sortable `id` as an object name, `.parquet` included.
    pub fn to_name(&self, id: &str) -> String {
        let mut name = String::with_capacity(id.len() + 100);
        name.push_str(id);
        let fields = [
            u64::from(self.format_version),
            u64::from(self.level),
            self.span_count,
            self.trace_count,
            self.min_start_unix_nanos,
            self.max_end_unix_nanos,
            self.object_bytes,
            self.search_offset,
            self.tail_offset,
            u64::from(self.tail_crc32c),
        ];
        for field in fields {
            write!(name, "_{field:x}").expect("writing to a String cannot fail");
        }
        name.push_str(".parquet");
        name
    }

    /// Reads a name that [`BlockMeta::to_name`] wrote: the id and the facts.
    ///
    /// # Errors
    /// [`NameError`] if it is not such a name.
    pub fn parse_name(name: &str) -> Result<(&str, Self), NameError> {
        let error = |problem| NameError { name: name.to_owned(), problem };
        let stem = name.strip_suffix(".parquet").ok_or_else(|| error("it does not end in .parquet"))?;
        let mut parts = stem.split('_');
        let id = parts.next().filter(|id| !id.is_empty()).ok_or_else(|| error("it has no id"))?;
        let mut field = || {
            let text = parts.next().ok_or_else(|| error("it has too few fields"))?;
            u64::from_str_radix(text, 16).map_err(|_| error("a field is not a hexadecimal number"))
        };
        let meta = Self {
            format_version: u16::try_from(field()?).map_err(|_| error("the version is out of range"))?,
            level: u8::try_from(field()?).map_err(|_| error("the level is out of range"))?,
            span_count: field()?,
            trace_count: field()?,
            min_start_unix_nanos: field()?,
            max_end_unix_nanos: field()?,
            object_bytes: field()?,
            search_offset: field()?,
            tail_offset: field()?,
            tail_crc32c: u32::try_from(field()?).map_err(|_| error("the checksum is out of range"))?,
        };
        if parts.next().is_some() {
            return Err(error("it has too many fields"));
        }
        if meta.to_name(id) != name {
            return Err(error("its numbers are not lower-case hexadecimal without leading zeros"));
        }
        if meta.search_offset > meta.tail_offset || meta.tail_offset > meta.object_bytes {
            return Err(error("its offsets are out of order"));
        }
        Ok((id, meta))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_nothing_else_is_a_name() {
        let meta = BlockMeta {
            format_version: 1,
            level: 0,
            span_count: 1000,
            trace_count: 62,
            min_start_unix_nanos: 0,
            max_end_unix_nanos: u64::MAX,
            object_bytes: 40_000,
            search_offset: 30_000,
            tail_offset: 35_000,
            tail_crc32c: u32::MAX,
        };
        let name = meta.to_name("01jd");
        assert_eq!(BlockMeta::parse_name(&name), Ok(("01jd", meta)));
        let other_spellings =
            [name.replace("_3e8_", "_+3e8_"), name.replace("3e8", "3E8"), name.replace("3e8", "03e8")];
        let wrong = ["", "x.parquet", "_1.parquet", &name.replace(".parquet", ""), &name.replace("3e8", "xyz")];
        for wrong in wrong.into_iter().chain(other_spellings.iter().map(String::as_str)) {
            assert!(BlockMeta::parse_name(wrong).is_err(), "{wrong}");
        }
    }
}
