//! A window of time cut into columns of equal width. Pure.

use serde::{Serialize, Serializer};
use spanlake_model::TimeRange;

/// A time in Unix nanoseconds; as JSON a text, because JavaScript cannot hold such numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct UnixNanos(pub u64);

impl Serialize for UnixNanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A window of time and its columns. The last column may reach past the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First nanosecond.
    pub start_unix_nanos: u64,
    /// The nanosecond after the last one.
    pub end_unix_nanos: u64,
    /// How many columns it is cut into, at least one.
    pub column_count: usize,
}

impl Window {
    /// The width of a column.
    pub fn step_nanos(&self) -> u64 {
        self.end_unix_nanos.saturating_sub(self.start_unix_nanos).div_ceil(self.column_count.max(1) as u64).max(1)
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        self.end_unix_nanos.saturating_sub(self.start_unix_nanos).max(1) as f64 / 1e9
    }

    /// Its nanoseconds.
    pub(crate) fn range(&self) -> TimeRange {
        let end_unix_nanos = self.end_unix_nanos.saturating_sub(1).max(self.start_unix_nanos);
        TimeRange { start_unix_nanos: self.start_unix_nanos, end_unix_nanos }
    }

    /// Finds columns of times inside it.
    pub(crate) fn columns(&self) -> Columns {
        Columns { first: self.start_unix_nanos, step: self.step_nanos(), last: self.column_count.max(1) as u64 - 1 }
    }
}

/// Finds columns of times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    first: u64,
    step: u64,
    last: u64,
}

impl Columns {
    /// The column of a time; the nearest one for times outside.
    pub(crate) fn of(&self, unix_nanos: u64) -> u32 {
        (unix_nanos.saturating_sub(self.first) / self.step).min(self.last) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_cover_the_window() {
        let window = Window { start_unix_nanos: 100, end_unix_nanos: 110, column_count: 4 };
        assert_eq!((window.step_nanos(), window.range().end_unix_nanos), (3, 109));
        let columns = window.columns();
        assert_eq!([0, 100, 102, 103, 109, 500].map(|time| columns.of(time)), [0, 0, 0, 1, 3, 3]);
        let nothing = Window { start_unix_nanos: 7, end_unix_nanos: 7, column_count: 0 };
        assert_eq!((nothing.step_nanos(), nothing.range().end_unix_nanos, nothing.columns().of(7)), (1, 7, 0));
    }
}
