//! How the shop's processes talk: HTTP, Postgres, Redis and Kafka, as OpenTelemetry's conventions have it. Each takes when it
//! begins and gives when it ended.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::attribute::{int, text};
use crate::flow::{Flow, Parent, Scope};

/// A request from one service to another.
pub(crate) struct Request<'r> {
    /// The callee.
    pub(crate) to: &'r str,
    pub(crate) method: &'r str,
    pub(crate) route: &'r str,
    /// The route with its values.
    pub(crate) path: &'r str,
}

/// How a server span stands to the client that caused it.
pub(crate) enum Way {
    Direct,
    /// Through a process that sends no spans.
    Proxied,
}

impl Flow<'_> {
    /// Calls another service. `serve` tells what the server does from when, gives when it is done and its status code; a code
    /// from 500 fails both sides. Gives when the caller has its answer, and the code.
    pub(crate) fn call(
        &mut self,
        caller: usize,
        request: &Request<'_>,
        at: u64,
        serve: impl FnOnce(&mut Self, usize, u64) -> (u64, u64),
    ) -> (u64, u64) {
        let to = self.instance(request.to);
        self.call_instance(caller, to, Way::Direct, request, at, serve).1
    }

    /// As [`Flow::call`], to one instance. Gives the client span too.
    pub(crate) fn call_instance(
        &mut self,
        caller: usize,
        to: usize,
        way: Way,
        request: &Request<'_>,
        at: u64,
        serve: impl FnOnce(&mut Self, usize, u64) -> (u64, u64),
    ) -> (usize, (u64, u64)) {
        let Request { to: service, method, route, path } = *request;
        let from = self.instance_of(caller);
        let name = format!("{method} {route}");
        let client = self.open(from, Scope::Http, Parent::Local(caller), SpanKind::Client, &name, at);
        self.put(
            client,
            [
                text("http.request.method", method),
                text("url.full", format!("http://{service}:8080{path}")),
                text("url.template", route),
                text("server.address", service),
                int("server.port", 8_080),
                text("network.protocol.version", "1.1"),
            ],
        );
        let sent = at + self.dice.micros(500);
        let parent = match way {
            Way::Direct => Parent::Remote(client),
            Way::Proxied => Parent::Unsent(self.dice.id()),
        };
        let server = self.open(to, Scope::Http, parent, SpanKind::Server, &name, sent);
        let port = self.dice.between(32_768, 60_999);
        self.put(
            server,
            [
                text("http.request.method", method),
                text("http.route", route),
                text("url.path", path),
                text("url.scheme", "http"),
                int("client.port", port),
            ],
        );
        if let Way::Proxied = way {
            self.put(server, [text("http.request.header.via", "1.1 parcel-proxy")]);
        }
        let begun = sent + self.dice.micros(250);
        let (served, code) = serve(self, server, begun);
        let served = served + self.dice.micros(200);
        self.close(server, served);
        let end = served + self.dice.micros(400);
        self.close(client, end);
        for span in [server, client] {
            self.put(span, [int("http.response.status_code", code)]);
            if code >= 500 && !self.failed(span) {
                self.fail(span, &code.to_string(), "");
            }
        }
        (client, (end, code))
    }

    /// A statement to Postgres, named by what it does to which table.
    pub(crate) fn postgres(&mut self, caller: usize, statement: &Statement<'_>, at: u64) -> u64 {
        let Statement { operation, table, text: query, micros } = *statement;
        let from = self.instance_of(caller);
        let database = self.fleet.instances[from].service;
        let summary = format!("{operation} {table}");
        let span = self.open(from, Scope::Database, Parent::Local(caller), SpanKind::Client, &summary, at);
        let rows = self.dice.between(1, 30);
        self.put(
            span,
            [
                text("db.system.name", "postgresql"),
                text("db.namespace", database),
                text("db.operation.name", operation),
                text("db.collection.name", table),
                text("db.query.summary", summary),
                text("db.query.text", query),
                text("server.address", format!("{database}-db")),
                int("server.port", 5_432),
                int("db.response.returned_rows", if operation == "SELECT" { rows } else { 1 }),
            ],
        );
        let end = at + self.dice.micros(micros);
        self.close(span, end);
        end
    }

    /// A command to Redis. Gives the span too, for what may go wrong with it.
    pub(crate) fn redis(&mut self, caller: usize, operation: &str, key: &str, at: u64) -> (usize, u64) {
        let from = self.instance_of(caller);
        let span = self.open(from, Scope::Database, Parent::Local(caller), SpanKind::Client, operation, at);
        self.put(
            span,
            [
                text("db.system.name", "redis"),
                text("db.namespace", "0"),
                text("db.operation.name", operation),
                text("db.query.text", format!("{operation} {key}")),
                text("server.address", "redis"),
                int("server.port", 6_379),
            ],
        );
        let end = at + self.dice.micros(450);
        self.close(span, end);
        (span, end)
    }

    /// A message to Kafka. Gives the span, to be linked to, and its end.
    pub(crate) fn publish(&mut self, caller: usize, topic: &str, key: &str, at: u64) -> (usize, u64) {
        let from = self.instance_of(caller);
        let name = format!("send {topic}");
        let span = self.open(from, Scope::Messaging, Parent::Local(caller), SpanKind::Producer, name, at);
        let partition = self.dice.below(12);
        self.put(
            span,
            [
                text("messaging.system", "kafka"),
                text("messaging.destination.name", topic),
                text("messaging.operation.name", "send"),
                text("messaging.operation.type", "send"),
                text("messaging.destination.partition.id", partition.to_string()),
                text("messaging.kafka.message.key", key),
                text("server.address", "kafka"),
                int("server.port", 9_092),
            ],
        );
        let end = at + self.dice.micros(1_800);
        self.close(span, end);
        (span, end)
    }

    /// The span of a process that handles a message, still open.
    pub(crate) fn consume(&mut self, instance: usize, parent: Parent, topic: &str, at: u64) -> usize {
        let name = format!("process {topic}");
        let span = self.open(instance, Scope::Messaging, parent, SpanKind::Consumer, name, at);
        let (offset, group) = (self.dice.below(90_000_000), self.fleet.instances[instance].service);
        self.put(
            span,
            [
                text("messaging.system", "kafka"),
                text("messaging.destination.name", topic),
                text("messaging.operation.name", "process"),
                text("messaging.operation.type", "process"),
                text("messaging.consumer.group.name", group),
                int("messaging.kafka.offset", offset),
            ],
        );
        span
    }

    /// Work inside a process.
    pub(crate) fn work(&mut self, parent: usize, name: &str, micros: u64, at: u64) -> (usize, u64) {
        let from = self.instance_of(parent);
        let span = self.open(from, Scope::Own, Parent::Local(parent), SpanKind::Internal, name, at);
        let end = at + self.dice.micros(micros);
        self.close(span, end);
        (span, end)
    }
}

/// A SQL statement.
pub(crate) struct Statement<'s> {
    pub(crate) operation: &'s str,
    pub(crate) table: &'s str,
    pub(crate) text: &'s str,
    /// Median duration.
    pub(crate) micros: u64,
}

/// A statement, short to write.
pub(crate) fn sql<'s>(operation: &'s str, table: &'s str, micros: u64, text: &'s str) -> Statement<'s> {
    Statement { operation, table, text, micros }
}
