//! The report: plain data, and the same as tables.

use serde::Serialize;
use spanlake_bench::{peak_rss_bytes, render};

use super::Layout;
use super::facts::Facts;
use super::golden::Expected;
use super::mixed::Mixed;
use super::slow::Cold;
use super::store::Stored;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub layout: &'static str,
    pub span_count: u64,
    pub trace_count: u64,
    pub stored: Stored,
    pub warm: Vec<Warm>,
    pub latency_millis: u64,
    pub cold: Vec<Cold>,
    pub mixed: Option<Mixed>,
}

/// Whether an answer is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    Wrong,
    NotChecked,
}

/// One query on a store that answers at once.
#[derive(Debug, Serialize)]
pub(super) struct Warm {
    pub name: &'static str,
    pub aim_millis: Option<u32>,
    pub p50_millis: f64,
    /// Of the whole process, a run.
    pub cpu_millis: f64,
    /// The first run, with empty caches.
    pub first_millis: f64,
    pub inspected_spans: u64,
    pub inspected_bytes: u64,
    /// Requests and bytes read from the store, a warm run.
    pub warm_requests: f64,
    pub warm_bytes: f64,
    /// The same, of the first run.
    pub cold_requests: u64,
    pub cold_bytes: u64,
    pub answer_bytes: u64,
    /// Traces, series, names, values, spans or rows found.
    pub found_count: u64,
    pub verdict: Verdict,
    pub difference: Option<String>,
    #[serde(skip)]
    pub found: Expected,
}

impl Warm {
    /// Compares what was found with what is right, if that is known.
    pub(super) fn judge(&mut self, expect: Option<&Expected>) {
        let Some(expect) = expect else { return };
        self.difference = expect.difference(&self.found);
        if self.difference.is_some() {
            self.verdict = Verdict::Wrong;
        } else if self.verdict == Verdict::NotChecked {
            self.verdict = Verdict::Ok;
        }
    }
}

impl Report {
    pub(super) fn new(layout: Layout, facts: &Facts, stored: &Stored) -> Self {
        Self {
            layout: if layout == Layout::L0 { "l0" } else { "compacted" },
            span_count: facts.span_count,
            trace_count: facts.trace_count,
            stored: *stored,
            warm: Vec::new(),
            latency_millis: 0,
            cold: Vec::new(),
            mixed: None,
        }
    }

    /// Answers that are known to be wrong.
    pub(super) fn wrong_count(&self) -> usize {
        self.warm.iter().filter(|row| row.verdict == Verdict::Wrong).count()
    }

    /// The report as tables.
    pub(super) fn render(&self) -> String {
        let Stored { block_count, object_bytes, seconds } = self.stored;
        let mut text = format!(
            "{} spans, {} traces, layout {}: {block_count} blocks, {:.1} MB, stored in {seconds:.1} s\n\n",
            self.span_count,
            self.trace_count,
            self.layout,
            object_bytes as f64 / 1e6
        );
        text.push_str(&render(&self.warm_rows()));
        for row in &self.warm {
            if let Some(difference) = &row.difference {
                text.push_str(&format!("\nWRONG: {}: {difference}\n", row.name));
            }
        }
        if !self.cold.is_empty() {
            text.push_str(&format!("\ncold, {} ms for each call of the store\n", self.latency_millis));
            text.push_str(&render(&self.cold_rows()));
        }
        if let Some(mixed) = &self.mixed {
            text.push('\n');
            text.push_str(&mixed.render());
        }
        if let Some(bytes) = peak_rss_bytes(None) {
            text.push_str(&format!("\npeak RSS: {:.1} MB\n", bytes as f64 / 1e6));
        }
        text
    }

    fn warm_rows(&self) -> Vec<Vec<String>> {
        let header = [
            "query",
            "aim ms",
            "p50 ms",
            "CPU ms",
            "first ms",
            "spans",
            "kB",
            "requests",
            "kB read",
            "cold requests",
            "cold kB",
            "answer kB",
            "found",
            "answer",
        ];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        let kilobytes = |bytes: f64| format!("{:.0}", bytes / 1e3);
        rows.extend(self.warm.iter().map(|row| {
            vec![
                row.name.to_owned(),
                row.aim_millis.map_or_else(String::new, |aim| aim.to_string()),
                format!("{:.2}", row.p50_millis),
                format!("{:.2}", row.cpu_millis),
                format!("{:.2}", row.first_millis),
                row.inspected_spans.to_string(),
                kilobytes(row.inspected_bytes as f64),
                format!("{:.1}", row.warm_requests),
                kilobytes(row.warm_bytes),
                row.cold_requests.to_string(),
                kilobytes(row.cold_bytes as f64),
                kilobytes(row.answer_bytes as f64),
                row.found_count.to_string(),
                match row.verdict {
                    Verdict::Ok => "ok",
                    Verdict::Wrong => "WRONG",
                    Verdict::NotChecked => "not checked",
                }
                .to_owned(),
            ]
        }));
        rows
    }

    fn cold_rows(&self) -> Vec<Vec<String>> {
        let header = ["query", "aim waves", "waves", "ms", "requests", "first waves", "first ms", "first requests"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(self.cold.iter().map(|row| {
            let mut cells = vec![row.name.to_owned(), row.aim_waves.map_or_else(String::new, |aim| aim.to_string())];
            for cost in [row.cold, row.first] {
                cells.extend([cost.waves.to_string(), format!("{:.0}", cost.millis), cost.requests.to_string()]);
            }
            cells
        }));
        rows
    }
}
