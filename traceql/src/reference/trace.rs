//! Whole traces from stored spans: copies left out, spans in order, parents found, sets numbered. Knows no queries.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::StoredSpan;

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const ERROR: i32 = 2;

/// One whole trace.
pub(super) struct Trace {
    pub(super) id: Vec<u8>,
    /// Each once, in span order.
    pub(super) spans: Vec<StoredSpan>,
    /// Of each span the place of its parent.
    pub(super) parents: Vec<Option<usize>>,
    pub(super) nested_left: Vec<i64>,
    pub(super) nested_right: Vec<i64>,
    pub(super) start_unix_nanos: u64,
    pub(super) end_unix_nanos: u64,
    /// Place of the root span.
    pub(super) root: Option<usize>,
}

/// Spans and failed spans of one service.
pub(super) type ServiceCounts = BTreeMap<String, (u32, u32)>;

type Identity = (Vec<u8>, i32, u64, u64, String);

/// All traces, by id.
pub(super) fn traces(stored: &[StoredSpan]) -> Vec<Trace> {
    let mut by_id: BTreeMap<Vec<u8>, Vec<StoredSpan>> = BTreeMap::new();
    for one in stored {
        by_id.entry(one.span.trace_id.clone()).or_default().push(one.clone());
    }
    by_id.into_iter().map(|(id, spans)| Trace::new(id, spans)).collect()
}

impl Trace {
    fn new(id: Vec<u8>, stored: Vec<StoredSpan>) -> Self {
        let mut seen = BTreeSet::new();
        let mut spans: Vec<StoredSpan> = stored.into_iter().filter(|one| seen.insert(identity(&one.span))).collect();
        spans.sort_by_key(|one| span_order(&one.span));
        let root = spans.iter().position(|one| names_no_parent(&one.span));
        let parents = parents(&spans);
        let (nested_left, nested_right) = nested_set(&parents);
        let timed: Vec<&Span> =
            spans.iter().map(|one| &one.span).filter(|span| span.start_time_unix_nano != 0).collect();
        let start_unix_nanos = timed.iter().map(|span| span.start_time_unix_nano).min().unwrap_or(0);
        let end_of = |span: &&Span| span.start_time_unix_nano.saturating_add(duration_nanos(span).unsigned_abs());
        let end_unix_nanos = timed.iter().map(end_of).max().unwrap_or(0);
        Self { id, spans, parents, nested_left, nested_right, start_unix_nanos, end_unix_nanos, root }
    }

    pub(super) fn child_count(&self, at: usize) -> i64 {
        self.parents.iter().filter(|parent| **parent == Some(at)).count() as i64
    }

    pub(super) fn is_descendant(&self, at: usize, of: usize) -> bool {
        let mut up = self.parents[at];
        while let Some(parent) = up {
            if parent == of {
                return true;
            }
            up = self.parents[parent];
        }
        false
    }

    pub(super) fn services(&self) -> ServiceCounts {
        let mut counts = ServiceCounts::new();
        for one in &self.spans {
            if let Some(service) = service(one) {
                let (span_count, error_count) = counts.entry(service).or_default();
                *span_count += 1;
                *error_count += u32::from(one.span.status.as_ref().is_some_and(|status| status.code == ERROR));
            }
        }
        counts
    }

    pub(super) fn root_service(&self) -> Option<String> {
        service(&self.spans[self.root?])
    }

    pub(super) fn root_name(&self) -> Option<String> {
        Some(self.spans[self.root?].span.name.clone())
    }
}

/// End minus start, zero for a span that ends before it starts.
pub(super) fn duration_nanos(span: &Span) -> i64 {
    (span.end_time_unix_nano.wrapping_sub(span.start_time_unix_nano) as i64).max(0)
}

pub(super) fn names_no_parent(span: &Span) -> bool {
    span.parent_span_id.len() != 8 || span.parent_span_id.iter().all(|byte| *byte == 0)
}

fn identity(span: &Span) -> Identity {
    (span.span_id.clone(), span.kind, span.start_time_unix_nano, span.end_time_unix_nano, span.name.clone())
}

fn span_order(span: &Span) -> (u64, Vec<u8>, i32, u64, String) {
    let (span_id, kind, start, end, name) = identity(span);
    (start, span_id, kind, end, name)
}

fn service(one: &StoredSpan) -> Option<String> {
    for attribute in &one.resource.attributes {
        if attribute.key == "service.name"
            && let Some(Wire::StringValue(text)) = attribute.value.as_ref().and_then(|value| value.value.as_ref())
        {
            return Some(text.clone());
        }
    }
    None
}

fn parents(spans: &[StoredSpan]) -> Vec<Option<usize>> {
    let mut parents: Vec<Option<usize>> = (0..spans.len()).map(|at| parent(spans, at)).collect();
    // In span order, the first span met that leads back to itself is the first of its cycle.
    for at in 0..spans.len() {
        let mut up = parents[at];
        for _ in 0..spans.len() {
            if up == Some(at) {
                parents[at] = None;
                break;
            }
            up = up.and_then(|parent| parents[parent]);
        }
    }
    parents
}

fn parent(spans: &[StoredSpan], at: usize) -> Option<usize> {
    let span = &spans[at].span;
    if span.kind == SERVER {
        let client = spans.iter().position(|other| other.span.span_id == span.span_id && other.span.kind == CLIENT);
        if client.is_some() {
            return client;
        }
    }
    if names_no_parent(span) || span.parent_span_id == span.span_id {
        return None;
    }
    let server = spans.iter().position(|other| other.span.span_id == span.parent_span_id && other.span.kind == SERVER);
    server.or_else(|| spans.iter().position(|other| other.span.span_id == span.parent_span_id))
}

/// Left and right numbers of all spans.
fn nested_set(parents: &[Option<usize>]) -> (Vec<i64>, Vec<i64>) {
    enum Step {
        Enter(usize),
        Leave(usize),
    }
    let (mut left, mut right) = (vec![0; parents.len()], vec![0; parents.len()]);
    let children = |of: Option<usize>| (0..parents.len()).rev().filter(move |at| parents[*at] == of).map(Step::Enter);
    let mut steps: Vec<Step> = children(None).collect();
    let mut next = 1;
    while let Some(step) = steps.pop() {
        match step {
            Step::Enter(at) => {
                left[at] = next;
                steps.push(Step::Leave(at));
                steps.extend(children(Some(at)));
            }
            Step::Leave(at) => right[at] = next,
        }
        next += 1;
    }
    (left, right)
}
