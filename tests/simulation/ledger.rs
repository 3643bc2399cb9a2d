//! What was sent, what was acknowledged, and what was ever seen: the memory that answers are held against. What of it may or may
//! not be in an answer because traces are deleted and time passes is in [`crate::duty`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rand::Rng as _;
use rand::rngs::StdRng;
use spanlake_model::{Tenant, TraceId, world};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::duty::Duties;

pub type SpanId = [u8; 8];

/// When all runs begin: 2023-11-14T22:13:20Z.
pub const EPOCH_NANOS: u64 = 1_700_000_000_000_000_000;

/// How far the clocks of some senders are off: a year.
const FAR_SECONDS: u64 = 365 * 24 * 3_600;

/// How long after a sender stopped to wait for an answer its request may still land: as long as the store's client repeats it, and
/// as the store may be late.
const STILL_LANDS: Duration = Duration::from_secs(45);

/// Within how long an answer must come to be sure that no attempt of the request lands after it and after the end of what landed
/// first.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Share of spans that join a trace that other requests have spans of.
const JOINS: f64 = 0.3;

/// One export request.
pub struct Request {
    pub tenant: Tenant,
    pub body: Bytes,
    pub spans: BTreeMap<TraceId, BTreeSet<SpanId>>,
    /// On every span of the request and on no other: the attribute `marker`.
    pub marker: String,
    pub is_acknowledged: bool,
    /// When the last span of it ended, by its sender.
    pub end_unix_nanos: u64,
    /// When the last attempt began that was acknowledged.
    pub sent: Instant,
    /// How many attempts are under way.
    under_way: u32,
    /// Until when attempts that are over may land.
    lands_until: Instant,
}

impl Request {
    /// Whether any of it may land after a moment.
    pub fn may_land_after(&self, moment: Instant) -> bool {
        self.under_way > 0 || self.lands_until >= moment
    }
}

/// All requests of a run.
#[derive(Default)]
pub struct Ledger {
    pub requests: Vec<Request>,
    pub duties: Duties,
    traces: BTreeMap<(Tenant, TraceId), Trace>,
}

/// One tenant's trace.
#[derive(Default)]
struct Trace {
    requests: BTreeSet<usize>,
    /// Spans that some answer has shown, and when the last one was asked for that did.
    seen: BTreeMap<SpanId, Instant>,
}

/// What an answer must contain, noted before the question.
pub struct Expected {
    tenant: Tenant,
    id: TraceId,
    asked: Instant,
    /// By span: since when it is known to be there.
    due: BTreeMap<SpanId, Instant>,
}

/// What the answer to a search for a request must contain, noted before the question.
pub struct Wanted {
    pub number: usize,
    pub asked: Instant,
    /// Traces, and since when the request's spans of them are known to be there.
    pub due: Vec<(TraceId, Instant)>,
}

impl Ledger {
    /// An empty one, for a cluster of which traces are deleted.
    pub fn of(cluster: &Cluster) -> Self {
        Self { duties: Duties::of(&cluster.watch), ..Self::default() }
    }

    /// Makes a request of a few traces, some of which other requests have spans of too. Returns its number.
    pub fn make(&mut self, random: &mut StdRng, tenant: &Tenant) -> usize {
        let number = self.requests.len();
        let marker = format!("m{number}-{tenant}");
        let mut spans: BTreeMap<TraceId, BTreeSet<SpanId>> = BTreeMap::new();
        let mut encoded = Vec::new();
        let (base, mut end_unix_nanos) = (sender_unix_nanos(random), 0);
        let known: Vec<TraceId> = self.traces.keys().filter(|(of, _)| of == tenant).map(|(_, id)| *id).collect();
        for _ in 0..random.random_range(1..=3) {
            let joins = !known.is_empty() && random.random_bool(JOINS);
            let id = if joins { known[random.random_range(0..known.len())] } else { TraceId(random.random()) };
            for _ in 0..random.random_range(1..=4) {
                let span_id: SpanId = random.random();
                let span = span(&id, &span_id, &marker, base + random.random_range(1..50) * 1_000_000);
                end_unix_nanos = end_unix_nanos.max(span.end_time_unix_nano);
                encoded.push(span);
                spans.entry(id).or_default().insert(span_id);
            }
            self.traces.entry((tenant.clone(), id)).or_default().requests.insert(number);
        }
        let resource = Resource { attributes: vec![text("service.name", tenant.as_str())], ..Resource::default() };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource),
                scope_spans: vec![ScopeSpans { spans: encoded, ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            }],
        };
        let body = Bytes::from(request.encode_to_vec());
        let (tenant, now) = (tenant.clone(), Instant::now());
        self.requests.push(Request {
            tenant,
            body,
            spans,
            marker,
            is_acknowledged: false,
            end_unix_nanos,
            sent: now,
            under_way: 0,
            lands_until: now,
        });
        number
    }

    /// A request is sent, perhaps not for the first time. When that was, for [`Ledger::answered`].
    pub fn send(&mut self, number: usize) -> Instant {
        self.requests[number].under_way += 1;
        Instant::now()
    }

    /// What was sent is answered, or its sender waits no longer.
    pub fn answered(&mut self, number: usize, sent: Instant, is_acknowledged: bool) {
        let (request, now) = (&mut self.requests[number], Instant::now());
        request.under_way -= 1;
        let landed = is_acknowledged && now - sent < AT_ONCE;
        request.lands_until = request.lands_until.max(if landed { now } else { now + STILL_LANDS });
        if is_acknowledged {
            request.sent = if request.is_acknowledged { request.sent.max(sent) } else { sent };
            request.is_acknowledged = true;
        }
    }

    /// Nobody waits for answers any more.
    pub fn give_up(&mut self) {
        for request in self.requests.iter_mut().filter(|request| request.under_way > 0) {
            request.under_way = 0;
            request.lands_until = Instant::now() + STILL_LANDS;
        }
    }

    /// The traces that have any span, in order.
    pub fn traces(&self) -> Vec<(Tenant, TraceId)> {
        self.traces.keys().cloned().collect()
    }

    /// What a question about the trace that begins now must be answered with at least.
    pub fn expect(&self, tenant: &Tenant, id: TraceId) -> Expected {
        let trace = &self.traces[&(tenant.clone(), id)];
        let acknowledged = trace.requests.iter().map(|number| &self.requests[*number]);
        let acknowledged = acknowledged.filter(|request| request.is_acknowledged);
        let mut due: BTreeMap<SpanId, Instant> = acknowledged
            .flat_map(|request| request.spans[&id].iter().map(|span_id| (*span_id, request.sent)))
            .collect();
        for (span_id, asked) in &trace.seen {
            due.entry(*span_id).and_modify(|since| *since = (*since).max(*asked)).or_insert(*asked);
        }
        Expected { tenant: tenant.clone(), id, asked: Instant::now(), due }
    }

    /// What a search for a request that begins now must show at least.
    pub fn want(&self, number: usize) -> Wanted {
        let request = &self.requests[number];
        let all = request.spans.keys().map(|id| (*id, request.sent));
        let due = if request.is_acknowledged { all.collect() } else { Vec::new() };
        Wanted { number, asked: Instant::now(), due }
    }

    /// The same where what is there was just asked for trace by trace.
    pub fn want_what_was_shown(&self, number: usize, since: Instant) -> Wanted {
        let request = &self.requests[number];
        let is_there = |id: &TraceId| self.shows(request, *id, since);
        let due = request.spans.keys().copied().filter(is_there).map(|id| (id, since)).collect();
        Wanted { number, asked: Instant::now(), due }
    }

    /// Compares an answer with what was expected and sent, and remembers what it showed. What is wrong with it, if anything.
    pub fn check(&mut self, expected: &Expected, found: &[Span]) -> Result<(), String> {
        let Expected { tenant, id, asked, due } = expected;
        let wrong = |what: String| Err(format!("trace {id} of tenant {tenant}: {what}"));
        let trace = self.traces.get_mut(&(tenant.clone(), *id)).expect("it was expected");
        let mut shown: BTreeSet<SpanId> = BTreeSet::new();
        for span in found {
            let Ok(span_id) = SpanId::try_from(span.span_id.as_slice()) else {
                return wrong(format!("a span id of {} bytes", span.span_id.len()));
            };
            let sent = trace.requests.iter().map(|number| &self.requests[*number]);
            let Some(sent) = sent.into_iter().find(|request| request.spans[id].contains(&span_id)) else {
                return wrong(format!("span {} was never sent", hex(&span_id)));
            };
            let marker = Some(text("marker", &sent.marker));
            let is_right =
                span.trace_id == id.0 && span.name == hex(&span_id) && span.attributes.first() == marker.as_ref();
            if !is_right {
                return wrong(format!("span {} is not what was sent: {span:?}", hex(&span_id)));
            }
            if !shown.insert(span_id) {
                return wrong(format!("span {} is answered twice", hex(&span_id)));
            }
            if self.duties.must_hide(sent, *id, *asked) {
                return wrong(format!("span {} is deleted and shown", hex(&span_id)));
            }
        }
        let of_span = |span_id: &SpanId| {
            let mut sent = trace.requests.iter().map(|number| &self.requests[*number]);
            sent.find(|request| request.spans[id].contains(span_id)).expect("it was sent or seen")
        };
        let missing = due.iter().filter(|(span_id, _)| !shown.contains(*span_id));
        for (missing, since) in missing {
            if self.duties.must_show(of_span(missing), *id, *since) {
                return wrong(format!("span {} is missing; {} of {} are there", hex(missing), shown.len(), due.len()));
            }
        }
        for number in &trace.requests {
            let sent = &self.requests[*number].spans[id];
            let count = sent.iter().filter(|span_id| shown.contains(*span_id)).count();
            if count != 0 && count != sent.len() {
                return wrong(format!("{count} of the {} spans of request {number} are there", sent.len()));
            }
        }
        for span_id in shown {
            let seen = trace.seen.entry(span_id).or_insert(*asked);
            *seen = (*seen).max(*asked);
        }
        Ok(())
    }

    /// Requests that are neither whole nor absent, but for traces that were ever deleted and spans whose time is over, by what was
    /// seen of them since a moment.
    pub fn torn_request(&self, since: Instant) -> Option<String> {
        self.requests.iter().enumerate().find_map(|(number, request)| {
            let stays = |id: &&TraceId| !self.duties.may_go(request, **id);
            let ids: Vec<&TraceId> = request.spans.keys().filter(stays).collect();
            let seen_count = ids.iter().filter(|id| self.shows(request, ***id, since)).count();
            let torn = seen_count != 0 && seen_count != ids.len();
            torn.then(|| format!("{seen_count} of {} traces of request {number} are there", ids.len()))
        })
    }

    /// Whether the request's spans of the trace were seen since a moment.
    fn shows(&self, request: &Request, id: TraceId, since: Instant) -> bool {
        let seen = &self.traces[&(request.tenant.clone(), id)].seen;
        request.spans[&id].iter().all(|span_id| seen.get(span_id).is_some_and(|asked| *asked >= since))
    }

    /// Whether nothing that was sent of a trace may be shown any more.
    pub fn must_be_gone(&self, tenant: &Tenant, id: TraceId) -> bool {
        let mut sent = self.traces[&(tenant.clone(), id)].requests.iter().map(|number| &self.requests[*number]);
        sent.all(|request| self.duties.must_hide(request, id, Instant::now()))
    }

    /// The requests that have spans of a trace which was ever deleted.
    pub fn with_deleted(&self, deleted: &[(Tenant, TraceId, bool)]) -> Vec<usize> {
        let of_trace = |(tenant, id, _): &(Tenant, TraceId, bool)| &self.traces[&(tenant.clone(), *id)].requests;
        deleted.iter().flat_map(of_trace).copied().collect()
    }

    /// Spans seen of a trace since a moment.
    pub fn seen_count(&self, tenant: &Tenant, id: TraceId, since: Instant) -> usize {
        self.traces[&(tenant.clone(), id)].seen.values().filter(|asked| **asked >= since).count()
    }
}

/// What a sender's clock says: most are about right, some are far off.
fn sender_unix_nanos(random: &mut StdRng) -> u64 {
    let right = world::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let seconds = match random.random_range(0..20) {
        0 => right - FAR_SECONDS,
        1 => right + FAR_SECONDS,
        2 => right - random.random_range(0..3_600),
        3 => right + random.random_range(0..3_600),
        _ => right - random.random_range(0..5),
    };
    seconds * 1_000_000_000
}

fn span(trace_id: &TraceId, span_id: &SpanId, marker: &str, start: u64) -> Span {
    Span {
        trace_id: trace_id.0.to_vec(),
        span_id: span_id.to_vec(),
        name: hex(span_id),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1_000_000,
        attributes: vec![text("marker", marker)],
        ..Span::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
