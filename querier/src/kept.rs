//! What queries keep in memory for those to come: decoded columns for searches, and the bytes of row groups for lookups by id.
//!
//! Both live in one bounded cache, so that the memory goes to whatever is asked for. Blocks never change, so nothing in it grows
//! stale; what is deleted of a block is left out by those who read from it. It knows no query.

use std::sync::Arc;

use spanlake_block::{CheckedRowGroup, RowField, RowValues};
use spanlake_cache::{MemoryCache, TierMetrics};

/// A row group of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) object: Arc<str>,
    pub(crate) row_group: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    place: Place,
    /// None for the row group's bytes.
    field: Option<RowField>,
}

#[derive(Debug, Clone)]
enum Part {
    RowGroup(CheckedRowGroup),
    Column(RowValues),
}

/// Parts of row groups, each held against its checksum before.
pub(crate) struct Kept(MemoryCache<Key, Part>);

impl Kept {
    /// At most so many bytes; 0 to keep nothing.
    pub(crate) fn new(max_bytes: u64, metrics: TierMetrics) -> Self {
        Self(MemoryCache::new(max_bytes, metrics))
    }

    /// Whether anything is kept.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_on()
    }

    /// A decoded column, all rows of it.
    pub(crate) fn column(&self, place: &Place, field: &RowField) -> Option<RowValues> {
        match self.0.get(&Key { place: place.clone(), field: Some(field.clone()) })? {
            Part::Column(values) => Some(values),
            Part::RowGroup(_) => None,
        }
    }

    /// Keeps a decoded column, all rows of it.
    pub(crate) fn keep_column(&self, place: &Place, field: &RowField, values: &RowValues) {
        let key = Key { place: place.clone(), field: Some(field.clone()) };
        self.0.insert(key, Part::Column(values.clone()), values.memory_bytes() as u64);
    }

    /// The bytes of a row group.
    pub(crate) fn row_group(&self, place: &Place) -> Option<CheckedRowGroup> {
        match self.0.get(&Key { place: place.clone(), field: None })? {
            Part::RowGroup(checked) => Some(checked),
            Part::Column(_) => None,
        }
    }

    /// Keeps the bytes of a row group.
    pub(crate) fn keep_row_group(&self, place: Place, checked: CheckedRowGroup) {
        let bytes = checked.memory_bytes() as u64;
        self.0.insert(Key { place, field: None }, Part::RowGroup(checked), bytes);
    }
}
