//! How spans become requests: some pods export by themselves, the rest through a collector that batches many pods.
//!
//! So the spans of one trace arrive in different requests, as they do in production.

use std::collections::VecDeque;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message;

use super::Placed;
use crate::dice::Dice;

/// The schema the resources and spans follow.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";
/// Spans held back at once, at most.
const MAX_HELD_SPANS: usize = 20_000;
/// Requests waiting to be sent a second time, at most.
const MAX_HELD_REQUESTS: usize = 16;

/// One `ExportTraceServiceRequest`, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The protobuf message.
    pub body: Vec<u8>,
    /// Spans in it.
    pub span_count: u32,
}

/// Everything that can send spans.
pub(crate) struct Fleet {
    pub pods: Vec<Resource>,
    pub scopes: Vec<InstrumentationScope>,
    /// The export queue of each pod: shared when the pods go through one collector.
    pub routes: Vec<u32>,
}

/// What goes wrong between exporters and server.
pub(crate) struct Disturbance {
    /// Share of requests sent again later, as after a lost acknowledgement.
    pub repeated_requests: f64,
    /// Share of spans sent again by themselves.
    pub repeated_spans: f64,
}

impl Disturbance {
    pub(crate) const NONE: Self = Self { repeated_requests: 0.0, repeated_spans: 0.0 };
    pub(crate) const LOSSY: Self = Self { repeated_requests: 0.01, repeated_spans: 0.005 };
}

/// The queues of all exporters.
pub(super) struct Exporters {
    fleet: Fleet,
    disturbance: Disturbance,
    queues: Vec<Queue>,
    sent: u64,
    held_spans: VecDeque<(u64, Placed)>,
    held_requests: VecDeque<(u64, Request)>,
}

#[derive(Default)]
struct Queue {
    spans: Vec<Placed>,
    send_at: usize,
}

impl Exporters {
    pub(super) fn new(fleet: Fleet, disturbance: Disturbance) -> Self {
        let queue_count = fleet.routes.iter().max().map_or(0, |last| *last as usize + 1);
        let queues = (0..queue_count).map(|_| Queue::default()).collect();
        let (held_spans, held_requests) = (VecDeque::new(), VecDeque::new());
        Self { fleet, disturbance, queues, sent: 0, held_spans, held_requests }
    }

    /// Queues a span and hands out the requests that are now full.
    pub(super) fn accept(&mut self, mut placed: Placed, dice: &mut Dice, out: &mut VecDeque<Request>) {
        let room = self.held_spans.len() < MAX_HELD_SPANS;
        if placed.late && room {
            placed.late = false;
            let due = self.sent + dice.between(20, 200);
            self.held_spans.push_back((due, placed));
            return;
        }
        if room && self.disturbance.repeated_spans > 0.0 && dice.chance(self.disturbance.repeated_spans) {
            let again = Placed { late: false, span: placed.span.clone(), ..placed };
            self.held_spans.push_back((self.sent + dice.between(1, 200), again));
        }
        self.enqueue(placed, dice, out);
        while self.held_spans.front().is_some_and(|(due, _)| *due <= self.sent) {
            if let Some((_, held)) = self.held_spans.pop_front() {
                self.enqueue(held, dice, out);
            }
        }
    }

    /// Sends whatever is left.
    pub(super) fn drain(&mut self, out: &mut VecDeque<Request>) {
        while let Some((_, held)) = self.held_spans.pop_front() {
            let route = self.fleet.routes[held.pod as usize] as usize;
            self.queues[route].spans.push(held);
        }
        for queue in 0..self.queues.len() {
            let mut spans = std::mem::take(&mut self.queues[queue].spans);
            while !spans.is_empty() {
                let rest = spans.split_off(spans.len().min(1000));
                out.push_back(self.encode(spans));
                spans = rest;
            }
        }
        out.extend(self.held_requests.drain(..).map(|(_, request)| request));
    }

    fn enqueue(&mut self, placed: Placed, dice: &mut Dice, out: &mut VecDeque<Request>) {
        let route = self.fleet.routes[placed.pod as usize] as usize;
        let queue = &mut self.queues[route];
        if queue.send_at == 0 {
            queue.send_at = dice.between(500, 1000) as usize;
        }
        queue.spans.push(placed);
        if queue.spans.len() < queue.send_at {
            return;
        }
        queue.send_at = 0;
        let spans = std::mem::take(&mut queue.spans);
        let request = self.encode(spans);
        self.sent += 1;
        let repeat = self.disturbance.repeated_requests > 0.0 && dice.chance(self.disturbance.repeated_requests);
        if repeat && self.held_requests.len() < MAX_HELD_REQUESTS {
            self.held_requests.push_back((self.sent + dice.between(1, 40), request.clone()));
        }
        out.push_back(request);
        while self.held_requests.front().is_some_and(|(due, _)| *due <= self.sent) {
            out.extend(self.held_requests.pop_front().map(|(_, request)| request));
        }
    }

    fn encode(&self, mut spans: Vec<Placed>) -> Request {
        let span_count = u32::try_from(spans.len()).expect("a queue holds about a thousand spans");
        spans.sort_by_key(|placed| (placed.pod, placed.scope));
        let mut resource_spans: Vec<ResourceSpans> = Vec::new();
        let mut last = None;
        for placed in spans {
            let pod_is_new = last.is_none_or(|(pod, _)| pod != placed.pod);
            if pod_is_new {
                let resource = Some(self.fleet.pods[placed.pod as usize].clone());
                resource_spans.push(ResourceSpans { resource, scope_spans: Vec::new(), schema_url: SCHEMA_URL.into() });
            }
            let scope_spans = &mut resource_spans.last_mut().expect("one was just pushed").scope_spans;
            if last != Some((placed.pod, placed.scope)) {
                let scope = Some(self.fleet.scopes[placed.scope as usize].clone());
                scope_spans.push(ScopeSpans { scope, spans: Vec::new(), schema_url: SCHEMA_URL.into() });
            }
            scope_spans.last_mut().expect("one was just pushed").spans.push(placed.span);
            last = Some((placed.pod, placed.scope));
        }
        Request { body: ExportTraceServiceRequest { resource_spans }.encode_to_vec(), span_count }
    }
}
