//! Spans of time in Unix nanoseconds.

/// A closed range of Unix nanoseconds: both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// First nanosecond.
    pub start_unix_nanos: u64,
    /// Last nanosecond; never before the first.
    pub end_unix_nanos: u64,
}

impl TimeRange {
    /// Every nanosecond there is.
    pub const ALL: Self = Self { start_unix_nanos: 0, end_unix_nanos: u64::MAX };

    /// A range of one point, to be widened with [`TimeRange::include`].
    pub fn at(unix_nanos: u64) -> Self {
        Self { start_unix_nanos: unix_nanos, end_unix_nanos: unix_nanos }
    }

    /// Whether the two ranges share a nanosecond.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start_unix_nanos <= other.end_unix_nanos && other.start_unix_nanos <= self.end_unix_nanos
    }

    /// Widens the range so that it holds the point.
    pub fn include(&mut self, unix_nanos: u64) {
        self.start_unix_nanos = self.start_unix_nanos.min(unix_nanos);
        self.end_unix_nanos = self.end_unix_nanos.max(unix_nanos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_closed_at_both_ends() {
        let range = |a, b| TimeRange { start_unix_nanos: a, end_unix_nanos: b };
        assert!(range(1, 5).overlaps(&range(5, 9)));
        assert!(!range(1, 5).overlaps(&range(6, 9)));
        assert!(range(0, 9).overlaps(&range(3, 4)));
        let mut r = TimeRange::at(4);
        r.include(9);
        r.include(2);
        assert_eq!(r, range(2, 9));
    }
}
