//! The order of rows: by trace id, then depth-first through the trace's tree, siblings by start time. Spans of one start are
//! ordered by what they are, so that the order of a trace does not depend on the order in which its spans came.

use std::cmp::Ordering;

use foldhash::{HashMap, HashMapExt as _};
use spanlake_model::TraceId;
use spanlake_otlp::{Batch, SpanEntry, SpanField, span_fields};

/// Where a span lies among those to be written: which batch, and which span of the batch.
pub(crate) type At = (u32, u32);

/// A row of the block to be: where its span lies and where its parent row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row<A = At> {
    /// Where the span lies.
    pub(crate) at: A,
    /// How many rows back the parent is; 0 when it is not in the block, or absent.
    pub(crate) parent_distance: u32,
    /// How many rows after this one are its descendants.
    pub(crate) descendant_count: u32,
}

/// All rows in order, and where each trace begins.
#[derive(Debug, Default)]
pub(crate) struct Order {
    pub(crate) rows: Vec<Row>,
    /// First row of each trace, in order.
    pub(crate) trace_starts: Vec<u32>,
    /// Spans left out because an identical one is kept (same ids, kind, times and name).
    pub(crate) duplicate_count: u64,
}

/// Orders the spans of all batches. `O(n log n)`; whatever the parents say, it ends and keeps every span once.
pub(crate) fn order(batches: &[Batch]) -> Order {
    let mut sorted: Vec<(TraceId, u64, u32, u32)> = Vec::with_capacity(batches.iter().map(|b| b.spans.len()).sum());
    for (b, batch) in batches.iter().enumerate() {
        let entries = batch.spans.iter().enumerate();
        sorted.extend(entries.map(|(s, span)| (span.trace_id, span.start_unix_nanos, b as u32, s as u32)));
    }
    sorted.sort_unstable();

    let mut order = Order::default();
    order.rows.reserve(sorted.len());
    let mut tree = Tree::default();
    let mut trace: Vec<At> = Vec::new();
    let links = |at: At| {
        let span = entry(batches, at);
        Links { span_id: span.span_id.0, parent_span_id: span.parent_span_id }
    };
    for run in sorted.chunk_by(|a, b| a.0 == b.0) {
        trace.clear();
        trace.extend(run.iter().map(|(_, _, batch, span)| (*batch, *span)));
        order.duplicate_count += remove_duplicates(batches, &mut trace);
        order.trace_starts.push(order.rows.len() as u32);
        tree.append(&trace, links, &mut order.rows);
    }
    order
}

fn entry(batches: &[Batch], (batch, span): At) -> &SpanEntry {
    &batches[batch as usize].spans[span as usize]
}

/// Orders spans of one start, and drops those identical to the one before. `trace` is sorted by start.
fn remove_duplicates(batches: &[Batch], trace: &mut Vec<At>) -> u64 {
    let before = trace.len();
    let start = |at: &At| entry(batches, *at).start_unix_nanos;
    for run in trace.chunk_by_mut(|a, b| start(a) == start(b)).filter(|run| run.len() > 1) {
        run.sort_by(|a, b| identity_order(batches, *a, *b));
    }
    trace.dedup_by(|later, kept| start(later) == start(kept) && identity_order(batches, *later, *kept).is_eq());
    (before - trace.len()) as u64
}

/// The order of two spans with one start: by span id, kind, duration and name. Equal: they are the same span.
fn identity_order(batches: &[Batch], a: At, b: At) -> Ordering {
    let (left, right) = (entry(batches, a), entry(batches, b));
    // Kind and name lie in the span's message, which is read only where the ids are the same.
    left.span_id.0.cmp(&right.span_id.0).then_with(|| {
        let (a, b) = (kind_and_name(batches, a), kind_and_name(batches, b));
        let duration = |span: &SpanEntry| span.end_unix_nanos.wrapping_sub(span.start_unix_nanos) as i64;
        (a.0, duration(left), a.1).cmp(&(b.0, duration(right), b.1))
    })
}

fn kind_and_name(batches: &[Batch], at: At) -> (i32, &str) {
    let mut found = (0, "");
    for field in span_fields(span_bytes(batches, at)) {
        match field {
            SpanField::Kind(kind) => found.0 = kind,
            SpanField::Name(name) => found.1 = name,
            _ => {}
        }
    }
    found
}

/// The bytes of a span's message.
pub(crate) fn span_bytes(batches: &[Batch], at: At) -> &[u8] {
    let range = &entry(batches, at).span;
    &batches[at.0 as usize].bytes[range.start as usize..range.end as usize]
}

const NONE: u32 = u32::MAX;

/// What ties a span to its parent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links {
    pub(crate) span_id: [u8; 8],
    /// All zeros: there is none.
    pub(crate) parent_span_id: [u8; 8],
}

/// Scratch space for one trace's tree, kept between traces.
#[derive(Default)]
pub(crate) struct Tree {
    parent: Vec<u32>,
    first_child: Vec<u32>,
    next_sibling: Vec<u32>,
    row: Vec<u32>,
    stack: Vec<u32>,
}

impl Tree {
    /// Appends the spans of one trace, sorted by start, depth-first.
    pub(crate) fn append<A: Copy>(&mut self, trace: &[A], links: impl Fn(A) -> Links, rows: &mut Vec<Row<A>>) {
        self.link(trace, links);
        self.row.clear();
        self.row.resize(trace.len(), NONE);
        let base = rows.len();
        for root in 0..trace.len() {
            if self.parent[root] == NONE {
                self.visit(root as u32, trace, rows);
            }
        }
        // What is left hangs on a cycle: the earliest span of each is cut from its parent and becomes a root.
        for root in 0..trace.len() {
            if self.row[root] == NONE {
                self.parent[root] = NONE;
                self.visit(root as u32, trace, rows);
            }
        }
        for at in (base..rows.len()).rev() {
            let Row { parent_distance, descendant_count, .. } = rows[at];
            if parent_distance > 0 {
                rows[at - parent_distance as usize].descendant_count += descendant_count + 1;
            }
        }
    }

    fn link<A: Copy>(&mut self, trace: &[A], links: impl Fn(A) -> Links) {
        let count = trace.len();
        for (list, fill) in [(&mut self.parent, NONE), (&mut self.first_child, NONE), (&mut self.next_sibling, NONE)] {
            list.clear();
            list.resize(count, fill);
        }
        if count == 1 {
            return;
        }
        // The earliest span of an id is the parent that its children mean.
        let mut by_id = HashMap::with_capacity(count);
        for (i, at) in trace.iter().enumerate() {
            by_id.entry(links(*at).span_id).or_insert(i as u32);
        }
        for i in (0..count).rev() {
            let span = links(trace[i]);
            if span.parent_span_id == [0; 8] || span.parent_span_id == span.span_id {
                continue;
            }
            if let Some(&parent) = by_id.get(&span.parent_span_id) {
                self.parent[i] = parent;
                self.next_sibling[i] = self.first_child[parent as usize];
                self.first_child[parent as usize] = i as u32;
            }
        }
    }

    fn visit<A: Copy>(&mut self, root: u32, trace: &[A], rows: &mut Vec<Row<A>>) {
        self.stack.clear();
        self.emit(root, trace, rows);
        while let Some(node) = self.stack.pop() {
            if self.next_sibling[node as usize] != NONE {
                self.stack.push(self.next_sibling[node as usize]);
            }
            // Only the cut root of a cycle is met twice.
            if self.row[node as usize] == NONE {
                self.emit(node, trace, rows);
            }
        }
    }

    fn emit<A: Copy>(&mut self, node: u32, trace: &[A], rows: &mut Vec<Row<A>>) {
        let row = rows.len() as u32;
        self.row[node as usize] = row;
        let parent = self.parent[node as usize];
        let parent_distance = if parent == NONE { 0 } else { row - self.row[parent as usize] };
        rows.push(Row { at: trace[node as usize], parent_distance, descendant_count: 0 });
        if self.first_child[node as usize] != NONE {
            self.stack.push(self.first_child[node as usize]);
        }
    }
}
