//! What a corpus holds, learned by decoding all of it once, plainly: values to ask for, and what answers are made of.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use spanlake_bench::Error;
use spanlake_model::TraceId;
use spanlake_traceql::reference::StoredSpan;

/// A message's or order's own id: a needle.
pub(super) const ORDER_KEY: &str = "app.order.id";
/// A request's own id: a needle that every visit of the shop has.
pub(super) const REQUEST_KEY: &str = "app.request.id";
/// Who the trace is about.
pub(super) const USER_KEY: &str = "app.user.id";
/// The SQL text.
pub(super) const SQL_KEY: &str = "db.query.text";
/// The route of a request.
pub(super) const ROUTE_KEY: &str = "http.route";
/// The service.
pub(super) const SERVICE_KEY: &str = "service.name";

/// What queries of the set look at; spans kept for the slow evaluator keep no other attribute.
const KEPT_KEYS: [&str; 5] = [ORDER_KEY, REQUEST_KEY, USER_KEY, SQL_KEY, SERVICE_KEY];
/// Spans that the rare user has at least.
const RARE_SPANS: u32 = 3;
/// Spans of the ordinary trace that is asked for.
const ORDINARY_SPANS: std::ops::RangeInclusive<usize> = 15..=60;

/// What is known of a span of the traces that are asked for.
pub(super) type SpanLine = (u64, u64, Arc<str>);

/// What a corpus holds.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub span_count: u64,
    pub trace_count: u64,
    pub start_unix_nanos: u64,
    pub end_unix_nanos: u64,
    /// One order, one request, one user.
    pub order: String,
    pub request: String,
    pub user: String,
    /// An ordinary trace and the largest one, with start, end and name of their spans.
    pub ordinary: (TraceId, Vec<SpanLine>),
    pub largest: (TraceId, Vec<SpanLine>),
    /// Keys of attributes by scope.
    pub keys: BTreeMap<&'static str, BTreeSet<String>>,
    pub routes: BTreeSet<String>,
    /// Spans of each service.
    pub services: BTreeMap<String, u64>,
    /// All spans, for the slow evaluator, if they were to be kept.
    pub stored: Option<Vec<StoredSpan>>,
}

/// What is gathered on the way.
#[derive(Default)]
struct Gathered {
    facts: Facts,
    /// In the order they come.
    traces: Vec<TraceId>,
    spans_of: HashMap<TraceId, Vec<SpanLine>>,
    names: HashSet<Arc<str>>,
    orders: Vec<String>,
    requests: Vec<String>,
    seen: HashSet<String>,
    users: BTreeMap<String, u32>,
}

impl Facts {
    /// Reads the whole corpus. A span that is sent twice counts twice, so corpora of kind `large` cannot be checked.
    pub(super) fn learn(requests: impl Iterator<Item = Result<Bytes, Error>>, keep: bool) -> Result<Self, Error> {
        let mut gathered = Gathered::default();
        gathered.facts.start_unix_nanos = u64::MAX;
        gathered.facts.stored = keep.then(Vec::new);
        for request in requests {
            let request = ExportTraceServiceRequest::decode(request?).map_err(Error::stage("decode"))?;
            gathered.add(request);
        }
        Ok(gathered.choose())
    }
}

impl Gathered {
    fn add(&mut self, request: ExportTraceServiceRequest) {
        for group in request.resource_spans {
            let mut resource = group.resource.unwrap_or_default();
            self.keys("resource", &resource.attributes);
            let service = text(&resource.attributes, SERVICE_KEY).unwrap_or_default().to_owned();
            keep(&mut resource.attributes);
            for scope_spans in group.scope_spans {
                let scope = scope_spans.scope;
                self.keys("instrumentation", scope.as_ref().map_or(&[], |scope| &scope.attributes));
                *self.facts.services.entry(service.clone()).or_default() += scope_spans.spans.len() as u64;
                for mut span in scope_spans.spans {
                    self.span(&span);
                    if let Some(stored) = &mut self.facts.stored {
                        keep(&mut span.attributes);
                        span.events.clear();
                        span.links.clear();
                        stored.push(StoredSpan { resource: resource.clone(), scope: None, span });
                    }
                }
            }
        }
    }

    fn span(&mut self, span: &Span) {
        let facts = &mut self.facts;
        facts.span_count += 1;
        facts.start_unix_nanos = facts.start_unix_nanos.min(span.start_time_unix_nano);
        facts.end_unix_nanos = facts.end_unix_nanos.max(span.end_time_unix_nano);
        facts.routes.extend(text(&span.attributes, ROUTE_KEY).map(str::to_owned));
        let id = trace_id(span);
        let name = self.names.get(span.name.as_str()).cloned().unwrap_or_else(|| {
            let name: Arc<str> = span.name.as_str().into();
            self.names.insert(Arc::clone(&name));
            name
        });
        let spans = self.spans_of.entry(id).or_default();
        if spans.is_empty() {
            self.traces.push(id);
        }
        spans.push((span.start_time_unix_nano, span.end_time_unix_nano, name));
        for (key, list) in [(ORDER_KEY, &mut self.orders), (REQUEST_KEY, &mut self.requests)] {
            if let Some(value) = text(&span.attributes, key)
                && self.seen.insert(value.to_owned())
            {
                list.push(value.to_owned());
            }
        }
        if let Some(user) = text(&span.attributes, USER_KEY) {
            *self.users.entry(user.to_owned()).or_default() += 1;
        }
        self.keys("span", &span.attributes);
        for event in &span.events {
            self.keys("event", &event.attributes);
        }
        for link in &span.links {
            self.keys("link", &link.attributes);
        }
    }

    fn keys(&mut self, scope: &'static str, attributes: &[KeyValue]) {
        let keys = self.facts.keys.entry(scope).or_default();
        for attribute in attributes {
            if !keys.contains(&attribute.key) {
                keys.insert(attribute.key.clone());
            }
        }
    }

    /// Chooses what is asked for from the middle of the corpus.
    fn choose(self) -> Facts {
        let Self { mut facts, traces, spans_of, orders, requests, users, .. } = self;
        let middle = |list: &[String]| list.get(list.len() / 2).cloned().unwrap_or_default();
        facts.order = middle(&orders);
        facts.request = middle(&requests);
        let rare = users.iter().filter(|(_, spans)| **spans >= RARE_SPANS).min_by_key(|(name, spans)| (**spans, *name));
        facts.user = rare.map(|(name, _)| name.clone()).unwrap_or_default();
        facts.trace_count = traces.len() as u64;
        let count = |id: &TraceId| spans_of.get(id).map_or(0, Vec::len);
        let mut later = traces[traces.len() / 2..].iter();
        let ordinary = later.find(|id| ORDINARY_SPANS.contains(&count(id))).or(traces.first()).copied();
        let largest = traces.iter().copied().max_by_key(|id| (count(id), *id));
        let with_spans = |id: Option<TraceId>| {
            let id = id.unwrap_or(TraceId([1; 16]));
            (id, spans_of.get(&id).cloned().unwrap_or_default())
        };
        facts.ordinary = with_spans(ordinary);
        facts.largest = with_spans(largest);
        facts
    }
}

fn trace_id(span: &Span) -> TraceId {
    TraceId(span.trace_id.as_slice().try_into().unwrap_or([0; 16]))
}

fn keep(attributes: &mut Vec<KeyValue>) {
    attributes.retain(|attribute| KEPT_KEYS.contains(&attribute.key.as_str()));
    attributes.shrink_to_fit();
}

/// The first text under a key.
fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    attributes.iter().filter(|attribute| attribute.key == key).find_map(|attribute| {
        match attribute.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => Some(text.as_str()),
            _ => None,
        }
    })
}
