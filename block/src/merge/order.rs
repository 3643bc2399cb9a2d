//! The order of a pass's rows in each output: by trace id, each trace's tree built anew where several inputs have it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::pass::{PassRows, Run};
use crate::write::{Links, Row, Tree};

/// Most outputs that are filled side by side. Spans of further windows go to the nearest of them: clocks that are wrong in many
/// ways must not make as many blocks.
const MAX_WINDOWS: usize = 32;

/// The rows of a pass that go to one output, in order.
#[derive(Debug, Default)]
pub(super) struct OutputRows {
    /// Rows, named by their number in the pass.
    pub(super) rows: Vec<Row<u32>>,
    /// First row of each trace.
    pub(super) trace_starts: Vec<u32>,
    /// For each row its piece and its place there: every column is gathered by them.
    pub(super) places: Vec<(u32, u32)>,
}

/// All rows of a pass.
#[derive(Debug, Default)]
pub(super) struct Ordered {
    /// By the number of the time window.
    pub(super) outputs: BTreeMap<u64, OutputRows>,
    pub(super) duplicate_count: u64,
}

/// Orders the runs of a pass; `open` are windows that have an output already.
pub(super) fn order(pass: &PassRows, runs: &[Run], window_nanos: u64, open: impl Iterator<Item = u64>) -> Ordered {
    let mut ordered = Ordered::default();
    let mut windows: Vec<u64> = open.collect();
    let mut tree = Tree::default();
    let mut trace: Vec<u32> = Vec::new();
    for trace_runs in runs.chunk_by(|a, b| a.trace_id == b.trace_id) {
        trace.clear();
        trace.extend(trace_runs.iter().flat_map(|run| run.first..run.first + run.count));
        let window_of = Windows::of(pass, &trace, window_nanos);
        if let Some(window) = window_of.single {
            let output = ordered.outputs.entry(admit(&mut windows, window)).or_default();
            output.trace_starts.push(output.rows.len() as u32);
            if trace_runs.len() == 1 {
                copy(pass, &trace, &mut output.rows);
            } else {
                ordered.duplicate_count += remove_duplicates(pass, &mut trace);
                tree.append(&trace, |row| links(pass, row), &mut output.rows);
            }
            continue;
        }
        ordered.duplicate_count += remove_duplicates(pass, &mut trace);
        let mut parts: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        // Its main window first: late spans must not take the last place from it.
        admit(&mut windows, window_of.last);
        for row in &trace {
            parts.entry(admit(&mut windows, window_of.window(pass, *row))).or_default().push(*row);
        }
        for (window, part) in parts {
            let output = ordered.outputs.entry(window).or_default();
            output.trace_starts.push(output.rows.len() as u32);
            tree.append(&part, |row| links(pass, row), &mut output.rows);
        }
    }
    for output in ordered.outputs.values_mut() {
        let places = output.rows.iter().map(|row| pass.place(row.at));
        output.places = places.map(|(piece, place)| (piece as u32, place as u32)).collect();
    }
    ordered
}

/// The output of a window: its own, or that of the nearest when there are too many.
fn admit(windows: &mut Vec<u64>, window: u64) -> u64 {
    if windows.contains(&window) {
        return window;
    }
    if windows.len() < MAX_WINDOWS {
        windows.push(window);
        return window;
    }
    windows.iter().copied().min_by_key(|known| known.abs_diff(window)).unwrap_or(window)
}

/// Which time windows the spans of a trace belong to. A trace belongs to the window in which its last span ends; a span that
/// ends more than a window earlier came late, or its clock is wrong, and belongs to its own.
struct Windows {
    window_nanos: u64,
    last: u64,
    /// All spans belong to this one.
    single: Option<u64>,
}

impl Windows {
    fn of(pass: &PassRows, trace: &[u32], window_nanos: u64) -> Self {
        if window_nanos == 0 {
            return Self { window_nanos, last: 0, single: Some(0) };
        }
        let window = |row: &u32| end(pass, *row).map(|end| end / window_nanos);
        let (first, last) = trace
            .iter()
            .filter_map(window)
            .fold((u64::MAX, 0), |(first, last), window| (first.min(window), last.max(window)));
        let single = (first == u64::MAX || first.saturating_add(1) >= last).then_some(last);
        Self { window_nanos, last, single }
    }

    fn window(&self, pass: &PassRows, row: u32) -> u64 {
        let own = end(pass, row).map_or(self.last, |end| end / self.window_nanos);
        if own.saturating_add(1) >= self.last { self.last } else { own }
    }
}

/// When a span ended; none for a span without a start, which says nothing of its time.
fn end(pass: &PassRows, row: u32) -> Option<u64> {
    let start = pass.starts[row as usize];
    (start != 0).then(|| start.saturating_add(pass.durations[row as usize].max(0) as u64))
}

fn links(pass: &PassRows, row: u32) -> Links {
    Links { span_id: pass.span_ids[row as usize], parent_span_id: pass.parent_span_id(row) }
}

/// A trace that only one input has keeps its order.
fn copy(pass: &PassRows, trace: &[u32], rows: &mut Vec<Row<u32>>) {
    rows.extend(trace.iter().map(|row| Row {
        at: *row,
        parent_distance: pass.parent_distances[*row as usize],
        descendant_count: pass.descendant_counts[*row as usize].max(0) as u32,
    }));
}

/// Sorts by start, then by what the spans are, and drops all but the first of identical ones.
fn remove_duplicates(pass: &PassRows, trace: &mut Vec<u32>) -> u64 {
    let before = trace.len();
    trace.sort_unstable_by(|a, b| identity_order(pass, *a, *b).then(a.cmp(b)));
    trace.dedup_by(|later, kept| identity_order(pass, *later, *kept).is_eq());
    (before - trace.len()) as u64
}

/// The order of two spans of a trace: by start, span id, kind, duration and name. Equal: they are the same span.
fn identity_order(pass: &PassRows, a: u32, b: u32) -> Ordering {
    let key = |row: u32| {
        let at = row as usize;
        (pass.starts[at], pass.span_ids[at], pass.kinds[at], pass.durations[at])
    };
    key(a).cmp(&key(b)).then_with(|| pass.name(a).cmp(pass.name(b)))
}
