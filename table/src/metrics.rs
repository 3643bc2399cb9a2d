//! What a scan counts, shown by `EXPLAIN ANALYZE`.

use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};

/// Counts of one partition of a scan. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScanMetrics {
    /// Row groups that no index ruled out.
    pub(crate) row_groups_scanned: Count,
    /// Row groups that the indexes ruled out.
    pub(crate) row_groups_pruned: Count,
    /// Scanned row groups in which no row was found, so that nothing was fetched of the projection.
    pub(crate) row_groups_without_match: Count,
    /// Bytes of column chunks, those of conditions and those of the projection.
    pub(crate) bytes_fetched: Count,
    /// Rows that the conditions left.
    pub(crate) rows_found: Count,
}

impl ScanMetrics {
    pub(crate) fn of_partition(set: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let counter = |name: &'static str| MetricBuilder::new(set).counter(name, partition);
        Self {
            row_groups_scanned: counter("row_groups_scanned"),
            row_groups_pruned: counter("row_groups_pruned"),
            row_groups_without_match: counter("row_groups_without_match"),
            bytes_fetched: counter("bytes_fetched"),
            rows_found: counter("rows_found"),
        }
    }
}
