//! One trace while it is told: spans are opened and closed on a clock that the teller moves. At the end each host's own clock is
//! put on, and spans go to the resource that sent them.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use crate::Story;
use crate::attribute::{flag, text};
use crate::dice::Dice;
use crate::fault::Fault;
use crate::fleet::Fleet;

/// OTLP's flags: sampled, and that it is known whether the parent was remote.
const SAMPLED: u32 = 0x01;
const KNOWS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// Which library recorded a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Http,
    Database,
    Messaging,
    Own,
}

/// Where a span stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Parent {
    /// It begins the trace.
    None,
    /// Below another span of the same process.
    Local(usize),
    /// Below a span of another process.
    Remote(usize),
    /// Below a span of a process that sends none.
    Unsent([u8; 8]),
}

struct Recorded {
    instance: usize,
    scope: Scope,
    span: Span,
}

/// A trace being told.
pub(crate) struct Flow<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) dice: Dice,
    pub(crate) region: usize,
    pub(crate) fault: Option<Fault>,
    trace_id: [u8; 16],
    spans: Vec<Recorded>,
}

impl<'a> Flow<'a> {
    pub(crate) fn new(fleet: &'a Fleet, mut dice: Dice, region: usize) -> Self {
        let mut trace_id = [0; 16];
        trace_id[..8].copy_from_slice(&dice.id());
        trace_id[8..].copy_from_slice(&dice.id());
        Self { fleet, dice, region, fault: None, trace_id, spans: Vec::new() }
    }

    /// An instance of the service in the trace's region.
    pub(crate) fn instance(&mut self, service: &str) -> usize {
        let healthy: Vec<usize> = self.fleet.healthy(service, self.region).collect();
        *self.dice.pick(&healthy)
    }

    pub(crate) fn instance_of(&self, span: usize) -> usize {
        self.spans[span].instance
    }

    pub(crate) fn open(
        &mut self,
        instance: usize,
        scope: Scope,
        parent: Parent,
        kind: SpanKind,
        name: impl Into<String>,
        start: u64,
    ) -> usize {
        let (parent_span_id, remote) = match parent {
            Parent::None => (Vec::new(), false),
            Parent::Local(at) => (self.spans[at].span.span_id.clone(), false),
            Parent::Remote(at) => (self.spans[at].span.span_id.clone(), true),
            Parent::Unsent(id) => (id.to_vec(), true),
        };
        let span = Span {
            trace_id: self.trace_id.to_vec(),
            span_id: self.dice.id().to_vec(),
            parent_span_id,
            flags: SAMPLED | KNOWS_REMOTE | if remote { IS_REMOTE } else { 0 },
            name: name.into(),
            kind: kind as i32,
            start_time_unix_nano: start,
            end_time_unix_nano: start,
            ..Span::default()
        };
        self.spans.push(Recorded { instance, scope, span });
        self.spans.len() - 1
    }

    pub(crate) fn close(&mut self, span: usize, end: u64) {
        self.spans[span].span.end_time_unix_nano = end;
    }

    pub(crate) fn put(&mut self, span: usize, attributes: impl IntoIterator<Item = KeyValue>) {
        self.spans[span].span.attributes.extend(attributes);
    }

    pub(crate) fn event(&mut self, span: usize, at: u64, name: &str, attributes: Vec<KeyValue>) {
        let event = Event { time_unix_nano: at, name: name.to_owned(), attributes, ..Event::default() };
        self.spans[span].span.events.push(event);
    }

    /// Marks a span as failed.
    pub(crate) fn fail(&mut self, span: usize, error_type: &str, message: &str) {
        self.put(span, [text("error.type", error_type)]);
        self.spans[span].span.status = Some(Status { message: message.to_owned(), code: 2 });
    }

    /// Marks a span as failed by an exception.
    pub(crate) fn throw(&mut self, span: usize, at: u64, error_type: &str, message: &str, stacktrace: &str) {
        self.fail(span, error_type, message);
        let attributes = vec![
            text("exception.type", error_type),
            text("exception.message", message),
            text("exception.stacktrace", format!("{error_type}: {message}\n{stacktrace}")),
            flag("exception.escaped", true),
        ];
        self.event(span, at, "exception", attributes);
    }

    pub(crate) fn failed(&self, span: usize) -> bool {
        self.spans[span].span.status.as_ref().is_some_and(|status| status.code == 2)
    }

    /// A link to a span of this trace, for a span of another one.
    pub(crate) fn link_to(&self, span: usize) -> Link {
        let span = &self.spans[span].span;
        Link { trace_id: span.trace_id.clone(), span_id: span.span_id.clone(), flags: SAMPLED, ..Link::default() }
    }

    pub(crate) fn link(&mut self, span: usize, link: Link) {
        self.spans[span].span.links.push(link);
    }

    pub(crate) fn span_count(&self) -> usize {
        self.spans.len()
    }

    /// The trace as it was sent.
    pub(crate) fn finish(self) -> Story {
        let start = self.spans.iter().map(|one| one.span.start_time_unix_nano).min().unwrap_or(0);
        let mut end = start;
        let span_count = self.spans.len();
        let mut by_sender: BTreeMap<usize, BTreeMap<Scope, Vec<Span>>> = BTreeMap::new();
        for Recorded { instance, scope, mut span } in self.spans {
            end = end.max(span.end_time_unix_nano);
            let ahead = self.fleet.instances[instance].clock_ahead_nanos;
            span.start_time_unix_nano += ahead;
            span.end_time_unix_nano += ahead;
            span.events.iter_mut().for_each(|event| event.time_unix_nano += ahead);
            by_sender.entry(instance).or_default().entry(scope).or_default().push(span);
        }
        let message = |(instance, scopes): (usize, BTreeMap<Scope, Vec<Span>>)| {
            let instance = &self.fleet.instances[instance];
            let scope_spans = scopes.into_iter().map(|(scope, spans)| ScopeSpans {
                scope: Some(library(instance.service, scope)),
                spans,
                ..ScopeSpans::default()
            });
            ResourceSpans {
                resource: Some(instance.resource.clone()),
                scope_spans: scope_spans.collect(),
                schema_url: "https://opentelemetry.io/schemas/1.38.0".to_owned(),
            }
        };
        Story {
            fault: self.fault,
            start_unix_nanos: start,
            end_unix_nanos: end,
            span_count,
            spans: by_sender.into_iter().map(message).collect(),
        }
    }
}

fn library(service: &str, scope: Scope) -> InstrumentationScope {
    let (name, version) = match (service, scope) {
        (_, Scope::Own) => (format!("shop.{service}"), ""),
        ("frontend", Scope::Http) => ("@opentelemetry/instrumentation-http".to_owned(), "0.207.0"),
        ("frontend", _) => ("@opentelemetry/instrumentation-redis".to_owned(), "0.56.0"),
        ("checkout" | "shipping", Scope::Http) => {
            ("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp".to_owned(), "0.63.0")
        }
        ("checkout" | "shipping", _) => ("github.com/XSAM/otelsql".to_owned(), "0.40.0"),
        ("cart", Scope::Http) => ("Microsoft.AspNetCore".to_owned(), ""),
        ("cart", _) => ("OpenTelemetry.Instrumentation.StackExchangeRedis".to_owned(), "1.14.0"),
        ("inventory", Scope::Http) => ("tower-http".to_owned(), "0.6.6"),
        ("inventory", _) => ("sqlx".to_owned(), "0.8.6"),
        ("mailer", Scope::Http) => ("opentelemetry.instrumentation.httpx".to_owned(), "0.59b0"),
        ("mailer", Scope::Messaging) => ("opentelemetry.instrumentation.confluent_kafka".to_owned(), "0.59b0"),
        ("mailer", _) => ("opentelemetry.instrumentation.psycopg".to_owned(), "0.59b0"),
        (_, Scope::Http) => ("io.opentelemetry.netty-4.1".to_owned(), "2.22.0"),
        (_, _) => ("io.opentelemetry.jdbc".to_owned(), "2.22.0"),
    };
    InstrumentationScope { name, version: version.to_owned(), ..InstrumentationScope::default() }
}
