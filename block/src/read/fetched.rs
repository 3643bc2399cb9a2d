//! Byte ranges of an object that were fetched, presented to Parquet as if they were the object.

use std::io::Cursor;

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Clients and caches hand out parts of buffers of up to about this size.
const DETACHED_BYTES: usize = 512 << 10;

/// Fetched ranges by their offset in the object. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    object_bytes: u64,
    ranges: Vec<(u64, Bytes)>,
}

impl Fetched {
    pub(crate) fn new(object_bytes: u64, ranges: Vec<(u64, Bytes)>) -> Self {
        Self { object_bytes, ranges }
    }

    /// Copies ranges that are small: they may be part of a larger buffer. A large one comes in a buffer of its own.
    pub(crate) fn detach(&mut self) {
        for (_, bytes) in self.ranges.iter_mut().filter(|(_, bytes)| bytes.len() < DETACHED_BYTES) {
            *bytes = Bytes::copy_from_slice(bytes);
        }
    }

    /// How many bytes were fetched.
    pub(crate) fn fetched_bytes(&self) -> usize {
        self.ranges.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// Bytes of the object, if one fetched range holds them all.
    pub(crate) fn slice(&self, start: u64, len: usize) -> Option<Bytes> {
        self.ranges.iter().find_map(|(offset, bytes)| {
            let from = usize::try_from(start.checked_sub(*offset)?).ok()?;
            let to = from.checked_add(len)?;
            (to <= bytes.len()).then(|| bytes.slice(from..to))
        })
    }
}

fn missing(start: u64) -> ParquetError {
    ParquetError::EOF(format!("the bytes at {start} were not fetched"))
}

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.object_bytes
    }
}

impl ChunkReader for Fetched {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let found = self.ranges.iter().find_map(|(offset, bytes)| {
            let from = usize::try_from(start.checked_sub(*offset)?).ok()?;
            (from < bytes.len()).then(|| bytes.slice(from..))
        });
        found.map(Cursor::new).ok_or_else(|| missing(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.slice(start, length).ok_or_else(|| missing(start))
    }
}
