//! The report of `bench stages`: plain data, and the same as tables.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Cost;
use crate::latency::Quantiles;
use crate::table;

/// Columns below this many bytes per span share one line.
const SHOWN_BYTES_PER_SPAN: f64 = 0.02;

/// Everything `bench stages` measured.
#[derive(Debug, Serialize)]
pub struct StagesReport {
    /// Spans of the corpus, duplicates included.
    pub span_count: u64,
    /// Their bytes as OTLP.
    pub otlp_bytes: u64,
    pub(super) index: Stage,
    pub(super) writes: Vec<WriteStage>,
    pub(super) reads: ReadStages,
    pub(super) scans: Vec<Scan>,
    pub(super) requests: Vec<Requests>,
}

/// What a stage cost.
#[derive(Debug, Serialize)]
pub(super) struct Stage {
    name: String,
    cpu_seconds_per_million_spans: f64,
    spans_per_second: f64,
    extra_rss_bytes: u64,
}

impl Stage {
    pub(super) fn new(name: impl Into<String>, cost: Cost, span_count: u64) -> Self {
        Self {
            name: name.into(),
            cpu_seconds_per_million_spans: cost.per_million(span_count),
            spans_per_second: span_count as f64 / cost.cpu.as_secs_f64().max(1e-9),
            extra_rss_bytes: cost.extra_bytes,
        }
    }
}

/// What writing cost, and where the bytes went.
#[derive(Debug, Serialize)]
pub(super) struct WriteStage {
    pub cost: Stage,
    pub block_count: usize,
    pub stored_span_count: u64,
    pub object_bytes: u64,
    pub duplicate_count: u64,
    pub columns: BTreeMap<String, u64>,
    pub indexes: BTreeMap<String, u64>,
}

/// What opening and looking up cost.
#[derive(Debug, Serialize)]
pub(super) struct ReadStages {
    pub tail_bytes: u64,
    pub tail_memory_bytes: u64,
    pub open_tail_millis: f64,
    pub search_index_bytes: u64,
    pub search_index_memory_bytes: u64,
    pub open_search_millis: f64,
    pub probe_present_nanos: f64,
    pub probe_absent_nanos: f64,
    pub row_group_bytes: u64,
    pub lookups: Vec<Lookups>,
}

/// A series of lookups.
#[derive(Debug, Serialize)]
pub(super) struct Lookups {
    pub what: String,
    pub latency: Quantiles,
    /// Row groups read per lookup.
    pub row_groups: f64,
    /// Spans found per lookup.
    pub spans: f64,
}

/// A scan of the whole block.
#[derive(Debug, Serialize)]
pub(super) struct Scan {
    pub what: String,
    pub cpu_millis: f64,
    /// Spans of the block per CPU second, skipped row groups included.
    pub spans_per_second: f64,
    pub row_groups: usize,
    pub row_groups_of_block: usize,
    pub fetched_bytes: u64,
    pub traces: usize,
}

/// Requests to the object store for one operation.
#[derive(Debug, Serialize)]
pub(super) struct Requests {
    pub operation: String,
    pub get: f64,
    pub get_range: f64,
    pub put: f64,
    pub list: f64,
    pub bytes: f64,
    pub millis: f64,
}

fn number(value: f64, digits: usize) -> String {
    format!("{value:.digits$}")
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

impl StagesReport {
    /// The report as tables.
    pub(super) fn render(&self) -> String {
        let per_span = self.otlp_bytes as f64 / self.span_count.max(1) as f64;
        let mut text = format!("{} spans, {per_span:.1} OTLP bytes each\n", self.span_count);
        let parts = [
            self.write_rows(),
            self.index_rows(),
            self.column_rows(),
            self.read_rows(),
            self.lookup_rows(),
            self.scan_rows(),
            self.request_rows(),
        ];
        for part in parts {
            text.push('\n');
            text.push_str(&part);
        }
        if let Some(bytes) = crate::clock::peak_rss_bytes(None) {
            text.push_str(&format!("\npeak RSS since the last stage began: {} MB\n", megabytes(bytes)));
        }
        text
    }

    fn write_rows(&self) -> String {
        let header = ["stage", "CPU s / M spans", "spans/s", "extra RSS MB", "blocks", "bytes/span", "duplicates"];
        let mut rows = vec![header.map(str::to_owned)];
        let stage = |stage: &Stage, rest: [String; 3]| {
            let [blocks, bytes, duplicates] = rest;
            [
                stage.name.clone(),
                number(stage.cpu_seconds_per_million_spans, 3),
                number(stage.spans_per_second, 0),
                megabytes(stage.extra_rss_bytes),
                blocks,
                bytes,
                duplicates,
            ]
        };
        rows.push(stage(&self.index, Default::default()));
        rows.extend(self.writes.iter().map(|write| {
            let bytes = write.object_bytes as f64 / write.stored_span_count.max(1) as f64;
            let rest = [write.block_count.to_string(), number(bytes, 2), write.duplicate_count.to_string()];
            stage(&write.cost, rest)
        }));
        table::render(&rows)
    }

    fn index_rows(&self) -> String {
        self.bytes_rows("index section, bytes/span", |write| &write.indexes, 0.0)
    }

    fn column_rows(&self) -> String {
        self.bytes_rows("column, bytes/span", |write| &write.columns, SHOWN_BYTES_PER_SPAN)
    }

    /// A line per name, largest first, with a column per write stage; small ones in one line.
    fn bytes_rows(&self, title: &str, of: impl Fn(&WriteStage) -> &BTreeMap<String, u64>, shown: f64) -> String {
        let per_span = |write: &WriteStage, bytes: u64| bytes as f64 / write.stored_span_count.max(1) as f64;
        let names: BTreeSet<&String> = self.writes.iter().flat_map(|write| of(write).keys()).collect();
        let mut lines: Vec<(&str, Vec<f64>)> = names
            .into_iter()
            .map(|name| {
                let bytes = |write| per_span(write, of(write).get(name).copied().unwrap_or(0));
                (name.as_str(), self.writes.iter().map(bytes).collect())
            })
            .collect();
        lines.sort_by(|a, b| b.1.last().partial_cmp(&a.1.last()).unwrap_or(std::cmp::Ordering::Equal));
        let sum = |lines: &[(&str, Vec<f64>)]| -> Vec<f64> {
            (0..self.writes.len()).map(|at| lines.iter().map(|(_, cells)| cells[at]).sum()).collect()
        };
        let total = sum(&lines);
        let shown_count = lines.partition_point(|(_, cells)| cells.last().is_some_and(|last| *last >= shown));
        let rest = lines.split_off(shown_count);
        let rest_name = format!("{} more", rest.len());
        if !rest.is_empty() {
            lines.push((&rest_name, sum(&rest)));
        }
        lines.push(("all", total));
        let header = std::iter::once(title.to_owned()).chain(self.writes.iter().map(|write| write.cost.name.clone()));
        let line = |(name, cells): &(&str, Vec<f64>)| {
            std::iter::once((*name).to_owned()).chain(cells.iter().map(|cell| number(*cell, 3))).collect()
        };
        let rows: Vec<Vec<String>> = std::iter::once(header.collect()).chain(lines.iter().map(line)).collect();
        table::render(&rows)
    }

    fn read_rows(&self) -> String {
        let reads = &self.reads;
        let row = |name: &str, value: String| [name.to_owned(), value];
        table::render(&[
            row("read one block", String::new()),
            row("tail bytes", reads.tail_bytes.to_string()),
            row("tail opened, bytes of memory", reads.tail_memory_bytes.to_string()),
            row("open the tail, CPU ms", number(reads.open_tail_millis, 3)),
            row("search index bytes", reads.search_index_bytes.to_string()),
            row("search index opened, bytes of memory", reads.search_index_memory_bytes.to_string()),
            row("open the search index, CPU ms", number(reads.open_search_millis, 3)),
            row("mean row group bytes", reads.row_group_bytes.to_string()),
            row("filter probe, present id, ns", number(reads.probe_present_nanos, 1)),
            row("filter probe, absent id, ns", number(reads.probe_absent_nanos, 1)),
        ])
    }

    fn lookup_rows(&self) -> String {
        let header = ["lookup", "count", "p50 ms", "p95 ms", "p99 ms", "max ms", "row groups", "spans"];
        let mut rows = vec![header.map(str::to_owned)];
        rows.extend(self.reads.lookups.iter().map(|lookups| {
            let latency = &lookups.latency;
            [
                lookups.what.clone(),
                latency.count.to_string(),
                number(latency.p50_millis, 3),
                number(latency.p95_millis, 3),
                number(latency.p99_millis, 3),
                number(latency.max_millis, 3),
                number(lookups.row_groups, 2),
                number(lookups.spans, 1),
            ]
        }));
        table::render(&rows)
    }

    fn scan_rows(&self) -> String {
        let header = ["scan of one block", "CPU ms", "M spans/s", "row groups", "fetched bytes", "traces"];
        let mut rows = vec![header.map(str::to_owned)];
        rows.extend(self.scans.iter().map(|scan| {
            [
                scan.what.clone(),
                number(scan.cpu_millis, 3),
                number(scan.spans_per_second / 1e6, 1),
                format!("{}/{}", scan.row_groups, scan.row_groups_of_block),
                scan.fetched_bytes.to_string(),
                scan.traces.to_string(),
            ]
        }));
        table::render(&rows)
    }

    fn request_rows(&self) -> String {
        let header = ["object store requests", "get", "get range", "put", "list", "bytes", "ms"];
        let mut rows = vec![header.map(str::to_owned)];
        rows.extend(self.requests.iter().map(|requests| {
            [
                requests.operation.clone(),
                number(requests.get, 2),
                number(requests.get_range, 2),
                number(requests.put, 2),
                number(requests.list, 2),
                number(requests.bytes, 0),
                number(requests.millis, 3),
            ]
        }));
        table::render(&rows)
    }
}
