//! One filter over attribute values for each row group, filled as rows pass.

use std::hash::{BuildHasherDefault, Hasher};

use spanlake_otlp::ValueRef;

use crate::filter::Filter;
use crate::schema::{self, ValueType};
use crate::section::Writer;
use crate::value_hash;

/// Lets a set of hashes use each hash as it is.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 hashes are stored")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type HashSet = hashbrown::HashSet<u64, BuildHasherDefault<AsItIs>>;

/// The distinct value hashes of a row group.
#[derive(Default)]
pub(crate) struct ValueSet(HashSet);

impl ValueSet {
    /// Adds a value under its seed; whether it is new to the row group (a value too long to add counts as new).
    pub(crate) fn insert(&mut self, seed: u64, value: ValueRef<'_>) -> bool {
        value_hash::value(seed, value).is_none_or(|hash| self.0.insert(hash))
    }

    fn take_filter(&mut self, bits_per_value: usize) -> Filter {
        let mut filter = Filter::with_room_for(self.0.len(), bits_per_value);
        self.0.drain().for_each(|hash| filter.insert(hash));
        filter
    }
}

/// The seed of span names.
pub(crate) fn name_seed() -> u64 {
    value_hash::seed(value_hash::INTRINSIC, schema::NAME, ValueType::String)
}

/// Collects the distinct value hashes of the row group being filled, and the filters of those before it.
pub(crate) struct ValueFilters {
    first_row: u32,
    current: ValueSet,
    finished: Vec<Filter>,
    bits_per_value: usize,
    name_seed: u64,
}

impl ValueFilters {
    pub(crate) fn new(bits_per_value: usize) -> Self {
        let current = ValueSet::default();
        Self { first_row: 0, current, finished: Vec::new(), bits_per_value, name_seed: name_seed() }
    }

    /// The first row of the row group being filled.
    pub(crate) fn first_row(&self) -> u32 {
        self.first_row
    }

    /// Ends the row group being filled; the next one begins at `next_first_row`.
    pub(crate) fn end_row_group(&mut self, next_first_row: u32) {
        let filter = self.current.take_filter(self.bits_per_value);
        self.finished.push(filter);
        self.first_row = next_first_row;
    }

    /// Adds a row group whose values were collected elsewhere.
    pub(crate) fn push_row_group(&mut self, mut values: ValueSet) {
        self.finished.push(values.take_filter(self.bits_per_value));
    }

    /// Adds a value under its seed; whether it is new to the row group (a value too long to add counts as new).
    pub(crate) fn insert(&mut self, seed: u64, value: ValueRef<'_>) -> bool {
        self.current.insert(seed, value)
    }

    /// Adds the name of a span.
    pub(crate) fn insert_name(&mut self, name: &str) {
        self.insert(self.name_seed, ValueRef::String(name));
    }

    /// Adds a span attribute of any type: a scalar as itself, an array as each of its scalars.
    pub(crate) fn insert_any(&mut self, key: &str, value: ValueRef<'_>) {
        if let Some(value_type) = ValueType::of(&value) {
            self.insert(value_hash::seed(value_hash::SPAN, key, value_type), value);
        } else if let ValueRef::Array(array) = value {
            array.iter().for_each(|element| self.insert_any(key, element));
        }
    }

    /// The section: for each row group the filter's bytes, behind their length.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Writer::default();
        let mut bytes = Vec::new();
        out.varint(self.finished.len() as u64);
        for filter in &self.finished {
            bytes.clear();
            filter.write(&mut bytes);
            out.bytes(&bytes);
        }
        out.0
    }
}
