//! The time axis of a metrics query: right-closed buckets named by their right edge. Pure.

use super::super::request::MetricsRequest;

/// Buckets of one width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Buckets {
    /// The right edge of the first bucket.
    first_edge: u64,
    step: u64,
    /// One through the step: a multiplication costs a tenth of a division, and every span needs one.
    per_step: f64,
    pub(super) count: usize,
    /// Seconds that a rate is over.
    pub(super) seconds: f64,
}

impl Buckets {
    /// A bucket for each step, of which one ends at the start aligned down and the last at the end aligned up; for an instant query a
    /// single one from start to end.
    pub(super) fn new(request: &MetricsRequest) -> Self {
        let (start, end) = (request.start_unix_nanos, request.end_unix_nanos.max(request.start_unix_nanos));
        match request.step_nanos.filter(|step| *step > 0) {
            None => {
                let step = (end - start).max(1);
                Self { first_edge: end, step, per_step: 1.0 / step as f64, count: 1, seconds: step as f64 / 1e9 }
            }
            Some(step) => {
                let first_edge = start - start % step;
                let last_edge = end.div_ceil(step).saturating_mul(step);
                let count = usize::try_from((last_edge - first_edge).div_ceil(step) + 1).unwrap_or(usize::MAX);
                Self { first_edge, step, per_step: 1.0 / step as f64, count, seconds: step as f64 / 1e9 }
            }
        }
    }

    /// The bucket of a time.
    pub(super) fn of(&self, unix_nanos: u64) -> Option<usize> {
        let past_first = unix_nanos.saturating_sub(self.first_edge);
        if past_first == 0 {
            // At the first edge or before it: in the first bucket if later than its left edge.
            let left = self.first_edge.checked_sub(self.step);
            return left.is_none_or(|left| unix_nanos > left).then_some(0);
        }
        // Rounded, the product may be off by one at an edge, which the exact comparison mends.
        let mut bucket = (past_first as f64 * self.per_step) as u64;
        while bucket.saturating_mul(self.step) < past_first {
            bucket += 1;
        }
        while bucket > 0 && (bucket - 1).saturating_mul(self.step) >= past_first {
            bucket -= 1;
        }
        usize::try_from(bucket).ok().filter(|bucket| *bucket < self.count)
    }

    /// Milliseconds of a bucket's right edge.
    pub(super) fn edge_ms(&self, bucket: usize) -> i64 {
        let edge = self.first_edge.saturating_add(self.step.saturating_mul(bucket as u64));
        i64::try_from(edge / 1_000_000).unwrap_or(i64::MAX)
    }

    /// The first and last nanosecond that any bucket takes.
    pub(super) fn span(&self) -> (u64, u64) {
        let first = self.first_edge.checked_sub(self.step).map_or(0, |left| left.saturating_add(1));
        (first, self.first_edge.saturating_add(self.step.saturating_mul(self.count as u64 - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spanlake_traceql::{Pipeline, Query};

    fn buckets(start: u64, end: u64, step: Option<u64>) -> Buckets {
        let query = Query { pipeline: Pipeline { stages: vec![] }, metrics: None, hints: vec![] };
        Buckets::new(&MetricsRequest {
            query,
            start_unix_nanos: start,
            end_unix_nanos: end,
            step_nanos: step,
            exemplars: 0,
            max_series: None,
        })
    }

    #[test]
    fn right_closed() {
        let b = buckets(25, 44, Some(10));
        assert_eq!((b.count, b.span()), (4, (11, 50)));
        for (time, bucket) in
            [(10, None), (11, Some(0)), (20, Some(0)), (21, Some(1)), (30, Some(1)), (50, Some(3)), (51, None)]
        {
            assert_eq!(b.of(time), bucket, "{time}");
        }
    }

    #[test]
    fn edges_are_exact() {
        for step in [1, 3, 7, 1_000_000_007, 60_000_000_000] {
            let b = buckets(step * 5, step * 2_000, Some(step));
            for bucket in [0_u64, 1, 2, 999, 1_995] {
                let edge = step * (5 + bucket);
                assert_eq!(b.of(edge), Some(bucket as usize));
                assert_eq!(b.of(edge + 1), (bucket < 1_995).then_some(bucket as usize + 1));
            }
        }
        let b = buckets(u64::MAX - 10, u64::MAX, Some(u64::MAX / 2));
        assert!(b.of(u64::MAX).is_some());
    }

    #[test]
    fn instant() {
        let b = buckets(25, 44, None);
        assert_eq!((b.count, b.span()), (1, (26, 44)));
        assert_eq!([25, 26, 44, 45].map(|time| b.of(time)), [None, Some(0), Some(0), None]);
    }
}
