//! Hostile traffic 1: nothing repeats. Thirty attributes of random text on every span, from 5,000 pods.

use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use spanlake_model::TraceId;

use super::attributes::{double, int, text};
use super::exporters::Fleet;
use super::{Placed, Sink, Spec, Traffic};
use crate::dice::Dice;

const POD_COUNT: u32 = 5_000;
const SERVICE_COUNT: u32 = 200;
/// Collectors between pods and server; each batches the pods of its nodes.
const COLLECTOR_COUNT: u32 = 16;
const MEAN_GAP_NANOS: f64 = 4_000_000.0;

pub(super) struct Entropy {
    now_unix_nanos: u64,
}

impl Entropy {
    pub(super) fn new(spec: &Spec, dice: &mut Dice) -> (Self, Fleet) {
        let pods = (0..POD_COUNT).map(|pod| resource(pod, dice)).collect();
        let routes = (0..POD_COUNT).map(|pod| pod % COLLECTOR_COUNT).collect();
        let scope = |at: u32| InstrumentationScope {
            name: format!("com.example.instrumentation.library{at}"),
            version: format!("{}.{}.{}", at % 4, at % 7, at),
            ..InstrumentationScope::default()
        };
        let scopes = (0..12).map(scope).collect();
        (Self { now_unix_nanos: spec.start_unix_nanos }, Fleet { pods, scopes, routes })
    }
}

fn resource(pod: u32, dice: &mut Dice) -> Resource {
    let service = format!("service-{:03}", pod % SERVICE_COUNT);
    let attributes = vec![
        text("service.name", service.clone()),
        text("service.namespace", format!("team-{}", pod % 23)),
        text("service.version", dice.hex(40)),
        text("service.instance.id", dice.uuid()),
        text("deployment.environment.name", "production"),
        text("k8s.cluster.name", format!("cluster-{}", pod % 9)),
        text("k8s.namespace.name", format!("team-{}", pod % 23)),
        text("k8s.deployment.name", service.clone()),
        text("k8s.pod.name", format!("{service}-{}-{}", dice.hex(10), dice.hex(5))),
        text("k8s.pod.uid", dice.uuid()),
        text("k8s.node.name", format!("ip-10-{}-{}", dice.below(256), dice.below(256))),
        text("host.id", format!("i-{}", dice.hex(17))),
        text("host.name", format!("ip-10-{}-{}.internal", dice.below(256), dice.below(256))),
        text("container.id", dice.hex(64)),
        text("process.command_line", format!("/app/server --instance={} --shard={}", dice.uuid(), dice.below(4096))),
        int("process.pid", dice.between(2, 60_000)),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.language", "java"),
        text("telemetry.sdk.version", "1.52.0"),
    ];
    Resource { attributes, ..Resource::default() }
}

/// Thirty attributes: ids, hashes, addresses with queries, SQL with literals, numbers without pattern.
fn attributes(dice: &mut Dice) -> Vec<KeyValue> {
    const IDS: [&str; 10] = [
        "app.request.id",
        "app.correlation.id",
        "session.id",
        "enduser.id",
        "app.order.id",
        "app.device.id",
        "app.idempotency.key",
        "messaging.message.id",
        "messaging.message.conversation_id",
        "app.upload.id",
    ];
    const HASHES: [&str; 6] =
        ["app.etag", "app.checksum", "app.token.hash", "app.cache.key", "app.commit.sha", "app.signature"];
    const ADDRESSES: [&str; 4] = ["url.full", "http.request.header.referer", "app.callback.url", "app.asset.url"];
    const QUERIES: [&str; 4] = ["db.query.text", "app.cache.refresh_query", "app.audit.query", "app.report.query"];
    const NUMBERS: [&str; 4] = ["app.sequence", "app.payload.bytes", "thread.id", "app.cursor"];
    let mut all = Vec::with_capacity(30);
    all.extend(IDS.iter().map(|key| text(key, dice.uuid())));
    all.extend(HASHES.iter().enumerate().map(|(at, key)| text(key, dice.hex(if at % 2 == 0 { 40 } else { 64 }))));
    all.extend(ADDRESSES.iter().map(|key| {
        let (host, path, token) = (dice.below(5000), dice.hex(16), dice.hex(24));
        text(
            key,
            format!(
                "https://h{host}.example.com/v2/{path}/items/{}?t={token}&n={}",
                dice.below(1 << 40),
                dice.below(99)
            ),
        )
    }));
    all.extend(QUERIES.iter().map(|key| {
        let (a, b) = (dice.uuid(), dice.between(1, 1 << 44));
        text(
            key,
            format!(
                "SELECT * FROM t_{} WHERE id = '{a}' AND version > {b} AND owner IN ('{}', '{}') ORDER BY c{} LIMIT {}",
                dice.below(900),
                dice.hex(12),
                dice.hex(12),
                dice.below(60),
                dice.below(500)
            ),
        )
    }));
    all.extend(NUMBERS.iter().map(|key| int(key, dice.bits() >> 1)));
    all.push(double("app.score", dice.unit()));
    all.push(double("app.weight", dice.unit() * 1e9));
    all
}

fn stack_trace(dice: &mut Dice) -> String {
    let mut lines = format!("com.example.E{}: {}\n", dice.below(900), dice.uuid());
    for _ in 0..dice.between(20, 60) {
        let (package, class) = (dice.hex(6), dice.hex(8));
        lines.push_str(&format!(
            "\tat com.example.p{package}.C{class}.m{}(C{class}.java:{})\n",
            dice.below(400),
            dice.below(3000)
        ));
    }
    lines
}

impl Traffic for Entropy {
    fn step(&mut self, dice: &mut Dice, sink: &mut Sink) {
        self.now_unix_nanos += dice.gap(MEAN_GAP_NANOS) as u64;
        let trace_id: [u8; 16] = dice.id();
        let span_count = dice.between(4, 24) as u32;
        let mut spans: Vec<([u8; 8], u64, u64)> = Vec::new();
        for at in 0..span_count {
            let parent = (at > 0).then(|| spans[dice.below(u64::from(at)) as usize]);
            let span_id = dice.id();
            let start = parent.map_or(self.now_unix_nanos, |(_, start, end)| start + dice.below((end - start).max(1)));
            let end = start + (dice.spread(20_000.0, 1.5) * 1000.0) as u64;
            spans.push((span_id, start, end));
            let failed = dice.chance(0.02);
            let mut span = Span {
                trace_id: trace_id.to_vec(),
                span_id: span_id.to_vec(),
                parent_span_id: parent.map_or_else(Vec::new, |(id, ..)| id.to_vec()),
                trace_state: format!("vendor={}", dice.hex(16)),
                flags: 0x301,
                name: format!("/{}/{}", dice.hex(4), dice.pick(&["get", "put", "list", "scan"])),
                kind: dice.between(1, 5) as i32,
                start_time_unix_nano: start,
                end_time_unix_nano: end,
                attributes: attributes(dice),
                ..Span::default()
            };
            if failed {
                span.status = Some(Status { message: format!("failed: {}", dice.uuid()), code: 2 });
                span.events.push(Event {
                    time_unix_nano: end,
                    name: "exception".to_owned(),
                    attributes: vec![
                        text("exception.type", format!("com.example.E{}", dice.below(900))),
                        text("exception.message", dice.uuid()),
                        text("exception.stacktrace", stack_trace(dice)),
                    ],
                    dropped_attributes_count: 0,
                });
            }
            let (pod, scope) = (dice.below(u64::from(POD_COUNT)) as u32, dice.below(12) as u32);
            sink.spans.push(Placed { pod, scope, late: false, span });
        }
        sink.finished.push((TraceId(trace_id), span_count));
    }

    fn finish(&mut self, _: &mut Dice, _: &mut Sink) {}
}
