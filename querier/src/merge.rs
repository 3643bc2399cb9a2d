//! Puts a trace together from rows of many blocks: identical spans once, grouped by resource and scope, in one order.
//!
//! The result does not depend on the order in which rows arrive. It knows nothing of where they come from.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message as _;
use spanlake_block::SpanRow;
use spanlake_model::world::{self, Rule};

/// What makes two rows the same span, but for the name, which is compared with the spans kept.
type Identity = (Vec<u8>, i32, u64, u64);

/// One kept span, and where the next one with the same identity but another name is.
struct Kept {
    span: Span,
    resource: usize,
    scope: usize,
    next: Option<usize>,
}

/// Distinct resources or scopes, each with the spans left out, and their encoded form, which is what makes them distinct.
struct Distinct<T> {
    places: HashMap<Vec<u8>, usize>,
    values: Vec<(Vec<u8>, T)>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Self { places: HashMap::new(), values: Vec::new() }
    }
}

impl<T: prost::Message> Distinct<T> {
    /// The place of a value, and the bytes it adds when it is new.
    fn place(&mut self, value: T) -> (usize, u64) {
        let encoded = value.encode_to_vec();
        if let Some(place) = self.places.get(&encoded) {
            return (*place, 0);
        }
        let place = self.values.len();
        let bytes = encoded.len() as u64;
        self.places.insert(encoded.clone(), place);
        self.values.push((encoded, value));
        (place, bytes)
    }
}

/// Collects the rows of one trace.
pub(crate) struct TraceMerger {
    max_bytes: u64,
    bytes: u64,
    truncated: bool,
    conflicts: u64,
    resources: Distinct<ResourceSpans>,
    scopes: Distinct<ScopeSpans>,
    spans: Vec<Kept>,
    places: HashMap<Identity, usize>,
}

/// A trace put together.
pub(crate) struct Merged {
    pub(crate) trace: TracesData,
    pub(crate) span_count: u64,
    /// Whether spans were left out because the trace is larger than allowed.
    pub(crate) truncated: bool,
    /// Spans left out because they have the identity of a kept one and yet differ from it.
    pub(crate) conflicts: u64,
}

impl TraceMerger {
    /// Bytes of the spans kept, as protobuf.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Keeps at most `max_bytes` of spans, counted as protobuf.
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            bytes: 0,
            truncated: false,
            conflicts: 0,
            resources: Distinct::default(),
            scopes: Distinct::default(),
            spans: Vec::new(),
            places: HashMap::new(),
        }
    }

    /// Spans kept so far.
    pub(crate) fn span_count(&self) -> usize {
        self.spans.len()
    }

    /// Adds rows. False when the trace is full: a span was left out, and so would be all that follow.
    pub(crate) fn add(&mut self, rows: Vec<SpanRow>) -> bool {
        // Rows of one read share their resources and scopes: each is encoded and looked up once, by its address.
        let mut resources = HashMap::new();
        let mut scopes = HashMap::new();
        for row in &rows {
            resources.entry(Arc::as_ptr(&row.resource) as usize).or_insert_with(|| {
                let (resource, schema_url) = (Some(row.resource.resource.clone()), row.resource.schema_url.clone());
                let (place, bytes) = self.resources.place(ResourceSpans { resource, scope_spans: vec![], schema_url });
                self.bytes += bytes;
                place
            });
            scopes.entry(Arc::as_ptr(&row.scope) as usize).or_insert_with(|| {
                let (scope, schema_url) = (row.scope.scope.clone(), row.scope.schema_url.clone());
                let (place, bytes) = self.scopes.place(ScopeSpans { scope, spans: vec![], schema_url });
                self.bytes += bytes;
                place
            });
        }
        for SpanRow { resource, scope, span } in rows {
            let resource = resources[&(Arc::as_ptr(&resource) as usize)];
            let scope = scopes[&(Arc::as_ptr(&scope) as usize)];
            if !self.add_span(Kept { span, resource, scope, next: None }) {
                return false;
            }
        }
        true
    }

    fn add_span(&mut self, new: Kept) -> bool {
        let span = &new.span;
        let identity = (span.span_id.clone(), span.kind, span.start_time_unix_nano, span.end_time_unix_nano);
        let head = self.places.get(&identity).copied();
        let mut place = head;
        while let Some(at) = place {
            if self.spans[at].span.name == span.name && !world::is_broken(Rule::AnswerSpansOnce) {
                self.settle(at, new);
                return true;
            }
            place = self.spans[at].next;
        }
        let bytes = span.encoded_len() as u64;
        if self.bytes + bytes > self.max_bytes {
            self.truncated = true;
            return false;
        }
        self.bytes += bytes;
        self.places.insert(identity, self.spans.len());
        self.spans.push(Kept { next: head, ..new });
        true
    }

    /// A span of the same identity came again: mostly the very same one. Of two that differ, the one whose bytes sort
    /// first stays, whichever came first.
    fn settle(&mut self, at: usize, new: Kept) {
        let kept = &self.spans[at];
        if kept.resource == new.resource && kept.scope == new.scope && kept.span == new.span {
            return;
        }
        let order = |k: &Kept| {
            (k.span.encode_to_vec(), self.resources.values[k.resource].0.clone(), self.scopes.values[k.scope].0.clone())
        };
        let (old_order, new_order) = (order(kept), order(&new));
        // Not-a-number attributes make equal spans look different: their bytes tell.
        if new_order == old_order {
            return;
        }
        self.conflicts += 1;
        if new_order < old_order {
            let next = kept.next;
            self.spans[at] = Kept { next, ..new };
        }
    }

    /// The trace: spans of a scope by start and span id, scopes and resources by their first span, then by their bytes.
    pub(crate) fn finish(self) -> Merged {
        let Self { truncated, conflicts, resources, scopes, mut spans, .. } = self;
        let span_count = spans.len() as u64;
        spans.sort_unstable_by(|a, b| {
            (a.resource, a.scope).cmp(&(b.resource, b.scope)).then_with(|| order(&a.span, &b.span))
        });
        let mut groups: Vec<(usize, usize, Vec<Span>)> = Vec::new();
        for Kept { span, resource, scope, .. } in spans {
            match groups.last_mut() {
                Some((r, s, group)) if (*r, *s) == (resource, scope) => group.push(span),
                _ => groups.push((resource, scope, vec![span])),
            }
        }
        let first_of = |group: &(usize, usize, Vec<Span>)| group.2[0].start_time_unix_nano;
        let mut resource_start = vec![u64::MAX; resources.values.len()];
        for group in &groups {
            resource_start[group.0] = resource_start[group.0].min(first_of(group));
        }
        let (resources, scopes) = (resources.values, scopes.values);
        groups.sort_by(|a, b| {
            (resource_start[a.0], &resources[a.0].0, first_of(a), &scopes[a.1].0).cmp(&(
                resource_start[b.0],
                &resources[b.0].0,
                first_of(b),
                &scopes[b.1].0,
            ))
        });
        let mut trace = TracesData::default();
        let mut last = None;
        for (resource, scope, spans) in groups {
            if last != Some(resource) {
                trace.resource_spans.push(resources[resource].1.clone());
                last = Some(resource);
            }
            let parent = trace.resource_spans.last_mut().expect("the resource was pushed with its first scope");
            parent.scope_spans.push(ScopeSpans { spans, ..scopes[scope].1.clone() });
        }
        Merged { trace, span_count, truncated, conflicts }
    }
}

fn order(a: &Span, b: &Span) -> std::cmp::Ordering {
    let key = |span: &Span| (span.start_time_unix_nano, span.kind, span.end_time_unix_nano);
    a.start_time_unix_nano
        .cmp(&b.start_time_unix_nano)
        .then_with(|| a.span_id.cmp(&b.span_id))
        .then_with(|| key(a).cmp(&key(b)))
        .then_with(|| a.name.cmp(&b.name))
}

#[cfg(test)]
#[path = "merge/tests.rs"]
mod tests;
