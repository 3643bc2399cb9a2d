//! Writing one trace of the shop: calls nest like the code that makes them, and each leaves the spans it would leave.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use spanlake_model::TraceId;

use super::fleet::{Library, Service};
use super::words::{self, LongTail};
use crate::corpus::attributes::{int, text};
use crate::corpus::{Placed, Sink};
use crate::dice::Dice;

pub(in crate::corpus) const INTERNAL: i32 = 1;
pub(in crate::corpus) const SERVER: i32 = 2;
pub(in crate::corpus) const CLIENT: i32 = 3;
pub(in crate::corpus) const PRODUCER: i32 = 4;
pub(in crate::corpus) const CONSUMER: i32 = 5;

/// Sampled, and the bit that says whether the parent is remote is known (OTLP `SpanFlags`).
const FLAGS_LOCAL_PARENT: u32 = 0x101;
const FLAGS_REMOTE_PARENT: u32 = 0x301;

/// Where code runs: a span in a pod.
#[derive(Clone, Copy)]
pub(in crate::corpus) struct Frame {
    pub service: Service,
    pub pod: u32,
    pub span_id: [u8; 8],
}

/// How a call ended.
#[derive(Clone, Copy)]
pub(in crate::corpus) struct Done {
    pub end_unix_nanos: u64,
    pub failed: bool,
}

/// What a finished span is made of, besides its place in the tree.
pub(in crate::corpus) struct Part {
    pub library: Library,
    pub name: String,
    pub kind: i32,
    pub start_unix_nanos: u64,
    pub done: Done,
    pub attributes: Vec<KeyValue>,
    /// Whether a failure leaves an exception event here.
    pub explains: bool,
    pub links: Vec<Link>,
}

impl Part {
    pub(in crate::corpus) fn new(library: Library, name: impl Into<String>, kind: i32, start: u64, done: Done) -> Self {
        let (attributes, links) = (Vec::new(), Vec::new());
        Self { library, name: name.into(), kind, start_unix_nanos: start, done, attributes, explains: false, links }
    }

    pub(in crate::corpus) fn with(mut self, attributes: Vec<KeyValue>) -> Self {
        self.attributes = attributes;
        self
    }
}

/// A trace being written.
pub(in crate::corpus) struct Trace<'a> {
    pub dice: &'a mut Dice,
    pub tail: &'a LongTail,
    pub sink: &'a mut Sink,
    pub trace_id: [u8; 16],
    pub span_count: u32,
}

impl<'a> Trace<'a> {
    pub(in crate::corpus) fn new(dice: &'a mut Dice, tail: &'a LongTail, sink: &'a mut Sink) -> Self {
        let trace_id = dice.id();
        Self { dice, tail, sink, trace_id, span_count: 0 }
    }

    /// Declares that no more spans follow.
    pub(in crate::corpus) fn finish(self) {
        self.sink.finished.push((TraceId(self.trace_id), self.span_count));
    }

    /// Some microseconds around `median`, in nanoseconds.
    pub(in crate::corpus) fn micros(&mut self, median: f64) -> u64 {
        (self.dice.spread(median, 0.6) * 1000.0) as u64
    }

    /// A new span in some pod of the service.
    pub(in crate::corpus) fn enter(&mut self, service: Service) -> Frame {
        Frame { service, pod: service.pod(self.dice), span_id: self.dice.id() }
    }

    /// A new span in the same pod.
    pub(in crate::corpus) fn nest(&mut self, frame: Frame) -> Frame {
        Frame { span_id: self.dice.id(), ..frame }
    }

    /// Finishes the span of `frame`.
    pub(in crate::corpus) fn push(&mut self, frame: Frame, parent: Option<Frame>, part: Part) {
        let Part { library, name, kind, start_unix_nanos, done, mut attributes, explains, links } = part;
        self.tail.sprinkle(&mut attributes, self.dice);
        let (mut events, mut status) = (Vec::new(), None);
        if done.failed {
            let failure = words::failure(frame.service, self.dice);
            status = Some(Status { message: failure.message.clone(), code: 2 });
            attributes.push(text("error.type", failure.kind));
            if explains {
                events.push(Event {
                    time_unix_nano: done.end_unix_nanos.saturating_sub(5_000),
                    name: "exception".to_owned(),
                    attributes: vec![
                        text("exception.type", failure.kind),
                        text("exception.message", failure.message),
                        text("exception.stacktrace", failure.stack_trace),
                    ],
                    dropped_attributes_count: 0,
                });
            }
        }
        let remote = parent.is_some_and(|parent| parent.pod != frame.pod);
        self.sink.spans.push(Placed {
            pod: frame.pod,
            scope: frame.service.scope(library),
            late: false,
            span: Span {
                trace_id: self.trace_id.to_vec(),
                span_id: frame.span_id.to_vec(),
                parent_span_id: parent.map_or_else(Vec::new, |parent| parent.span_id.to_vec()),
                flags: if remote { FLAGS_REMOTE_PARENT } else { FLAGS_LOCAL_PARENT },
                name,
                kind,
                start_time_unix_nano: start_unix_nanos,
                end_time_unix_nano: done.end_unix_nanos.max(start_unix_nanos),
                attributes,
                events,
                links,
                status,
                ..Span::default()
            },
        });
        self.span_count += 1;
    }

    /// A gRPC call: a client span here, a server span there, and what `body` does in between.
    pub(in crate::corpus) fn rpc(
        &mut self,
        here: Frame,
        start: u64,
        callee: Service,
        (service, method): (&'static str, &'static str),
        body: impl FnOnce(&mut Self, Frame, u64) -> (Done, Vec<KeyValue>),
    ) -> Done {
        let client = self.nest(here);
        let there = self.enter(callee);
        let server_start = start + self.micros(180.0);
        let (inner, own) = body(self, there, server_start + 20_000);
        let failed = inner.failed || self.dice.chance(0.006);
        let done = Done { end_unix_nanos: inner.end_unix_nanos + self.micros(120.0), failed };
        let code = if failed { 13 } else { 0 };
        let call = || {
            vec![
                text("rpc.system", "grpc"),
                text("rpc.service", service),
                text("rpc.method", method),
                int("rpc.grpc.status_code", code),
            ]
        };
        let name = format!("{service}/{method}");
        let mut attributes = call();
        attributes.push(text("server.address", callee.name()));
        attributes.push(int("server.port", callee.port()));
        attributes.extend(own);
        let mut part = Part::new(Library::Rpc, name.clone(), SERVER, server_start, done).with(attributes);
        part.explains = failed && !inner.failed;
        self.push(there, Some(client), part);

        let end_unix_nanos = done.end_unix_nanos + self.micros(160.0);
        let mut attributes = call();
        attributes.push(text("server.address", callee.name()));
        attributes.push(int("server.port", callee.port()));
        let done = Done { end_unix_nanos, failed };
        self.push(client, Some(here), Part::new(Library::Rpc, name, CLIENT, start, done).with(attributes));
        // Half of the failures are answered with a fallback and go no further.
        Done { end_unix_nanos, failed: failed && self.dice.chance(0.5) }
    }

    /// An HTTP call to another service of the shop.
    pub(in crate::corpus) fn http(
        &mut self,
        here: Frame,
        start: u64,
        callee: Service,
        (method, route): (&'static str, &'static str),
        body: impl FnOnce(&mut Self, Frame, u64) -> (Done, Vec<KeyValue>),
    ) -> Done {
        let client = self.nest(here);
        let there = self.enter(callee);
        let server_start = start + self.micros(200.0);
        let (inner, own) = body(self, there, server_start + 30_000);
        let failed = inner.failed || self.dice.chance(0.006);
        let done = Done { end_unix_nanos: inner.end_unix_nanos + self.micros(140.0), failed };
        let status = if failed { 500 } else { 200 };
        let mut attributes = vec![
            text("http.request.method", method),
            text("http.route", route),
            text("url.path", route),
            text("url.scheme", "http"),
            int("http.response.status_code", status),
            text("server.address", callee.name()),
            text("network.protocol.version", "1.1"),
        ];
        attributes.extend(own);
        let name = format!("{method} {route}");
        let mut part = Part::new(Library::Http, name, SERVER, server_start, done).with(attributes);
        part.explains = failed && !inner.failed;
        self.push(there, Some(client), part);

        let done = Done { end_unix_nanos: done.end_unix_nanos + self.micros(180.0), failed };
        let attributes = vec![
            text("http.request.method", method),
            text("url.full", format!("http://{}:{}{route}", callee.name(), callee.port())),
            int("http.response.status_code", status),
            text("server.address", callee.name()),
            int("server.port", callee.port()),
            text("network.protocol.version", "1.1"),
        ];
        self.push(client, Some(here), Part::new(Library::Http, method, CLIENT, start, done).with(attributes));
        Done { failed: failed && self.dice.chance(0.5), ..done }
    }

    /// A SQL statement.
    pub(in crate::corpus) fn sql(&mut self, here: Frame, start: u64, statement: &words::Statement, rows: u64) -> Done {
        let failed = self.dice.chance(0.015);
        let done = Done { end_unix_nanos: start + self.micros(statement.micros), failed };
        let mut attributes = vec![
            text("db.system.name", "postgresql"),
            text("db.namespace", "shop"),
            text("db.collection.name", statement.table),
            text("db.operation.name", statement.operation),
            text("db.query.text", words::query_text(statement, self.dice)),
            text("server.address", statement.server),
            int("server.port", 5432),
        ];
        if !failed {
            attributes.push(int("db.response.returned_rows", rows));
        }
        let frame = self.nest(here);
        let name = format!("{} {}", statement.operation, statement.table);
        let mut part = Part::new(Library::Database, name, CLIENT, start, done).with(attributes);
        part.explains = true;
        self.push(frame, Some(here), part);
        done
    }

    /// A Redis command.
    pub(in crate::corpus) fn redis(&mut self, here: Frame, start: u64, command: &'static str, rest: &str) -> Done {
        let failed = self.dice.chance(0.006);
        let done = Done { end_unix_nanos: start + self.micros(350.0), failed };
        let attributes = vec![
            text("db.system.name", "redis"),
            text("db.operation.name", command),
            text("db.query.text", format!("{command} {rest}")),
            text("server.address", "cart-cache"),
            int("server.port", 6379),
        ];
        let frame = self.nest(here);
        let mut part = Part::new(Library::Database, command, CLIENT, start, done).with(attributes);
        part.explains = true;
        self.push(frame, Some(here), part);
        done
    }

    /// A stretch of the service's own code.
    pub(in crate::corpus) fn own(
        &mut self,
        here: Frame,
        start: u64,
        name: &'static str,
        body: impl FnOnce(&mut Self, Frame, u64) -> (Done, Vec<KeyValue>),
    ) -> Done {
        let frame = self.nest(here);
        let (inner, mut attributes) = body(self, frame, start + 4_000);
        let done = Done { end_unix_nanos: inner.end_unix_nanos + self.micros(15.0), ..inner };
        let (namespace, function) = name.rsplit_once('.').unwrap_or(("", name));
        attributes.push(text("code.function.name", format!("{namespace}.{function}")));
        attributes.push(int("thread.id", 1 + self.dice.below(32)));
        self.push(frame, Some(here), Part::new(Library::Own, name, INTERNAL, start, done).with(attributes));
        done
    }
}
