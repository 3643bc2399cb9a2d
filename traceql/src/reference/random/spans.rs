//! Random stored spans: trees, forests, cycles, orphans and shared ids; every type of attribute; odd times; copies.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use rand::Rng as _;
use rand::rngs::StdRng;

use super::{one_of, percent};
use crate::reference::StoredSpan;

/// 2023-11-14T22:13:20Z, from which on spans start.
pub const EPOCH_UNIX_NANOS: u64 = 1_700_000_000_000_000_000;

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;
const CLIENT: i32 = 3;
const SERVER: i32 = 2;

/// The spans of so many traces, in random order. Traces start within four minutes from [`EPOCH_UNIX_NANOS`]; most
/// last seconds, some
/// have spans minutes later. Spans with the same identity are equal.
pub fn stored_spans(rng: &mut StdRng, trace_count: usize) -> Vec<StoredSpan> {
    let mut all: Vec<StoredSpan> = Vec::new();
    for number in 0..trace_count {
        all.extend(trace(rng, number));
    }
    for _ in 0..all.len() / 12 {
        all.push(one_of(rng, &all).clone());
    }
    for at in (1..all.len()).rev() {
        all.swap(at, rng.random_range(0..=at));
    }
    all
}

fn trace(rng: &mut StdRng, number: usize) -> Vec<StoredSpan> {
    let span_count = if percent(rng, 4) { 60 } else { rng.random_range(1..=12) };
    let mut trace_id = [0; 16];
    trace_id[8..].copy_from_slice(&(number as u64 + 1).to_be_bytes());
    if percent(rng, 50) {
        trace_id[0] = rng.random_range(0..3);
    }
    let start = EPOCH_UNIX_NANOS + rng.random_range(0..24) * 10 * SECOND + rng.random_range(0..3) * MILLI;
    let resources: Vec<Resource> = (0..rng.random_range(1..=3)).map(|_| resource(rng)).collect();
    let scopes: Vec<Option<InstrumentationScope>> = (0..2).map(|_| scope(rng)).collect();
    let is_rootless = percent(rng, 15);
    let mut spans: Vec<StoredSpan> = Vec::new();
    for place in 0..span_count {
        let id = place + 1;
        let parent = match rng.random_range(0..100) {
            _ if place == 0 && !is_rootless => none(rng),
            0..4 if !is_rootless => none(rng),
            0..10 => 90 + rng.random_range(0..2),
            10..13 => id,
            13..18 => rng.random_range(1..=span_count),
            18..40 => 1,
            _ => rng.random_range(0..place.max(1)) + 1,
        };
        let span = span(rng, start, id, parent);
        let span = Span { trace_id: trace_id.to_vec(), ..span };
        spans.push(StoredSpan { resource: one_of(rng, &resources).clone(), scope: one_of(rng, &scopes).clone(), span });
    }
    if percent(rng, 25) && spans.len() > 1 {
        share_id(rng, &mut spans);
    }
    spans
}

/// Zero stands for no parent, written in one of three ways.
fn none(rng: &mut StdRng) -> u64 {
    *one_of(rng, &[0, 0, u64::MAX, u64::MAX - 1])
}

/// Gives two spans one id, as Zipkin does; sometimes of other kinds, which means nothing.
fn share_id(rng: &mut StdRng, spans: &mut [StoredSpan]) {
    let first = rng.random_range(0..spans.len() - 1);
    let second = rng.random_range(first + 1..spans.len());
    spans[first].span.kind = CLIENT;
    spans[second].span.kind = if percent(rng, 80) { SERVER } else { CLIENT };
    spans[second].span.span_id = spans[first].span.span_id.clone();
    // Two spans of the same identity would pass for copies.
    spans[second].span.name.push_str("-shared");
    if percent(rng, 60) {
        spans[second].span.parent_span_id = spans[first].span.parent_span_id.clone();
    }
}

fn span(rng: &mut StdRng, trace_start: u64, id: u64, parent: u64) -> Span {
    let offset = match rng.random_range(0..100) {
        0..4 => rng.random_range(1..5) * 60 * SECOND,
        4..60 => rng.random_range(0..4) * SECOND,
        _ => rng.random_range(0..5_000) * MILLI,
    };
    let start = if percent(rng, 2) { 0 } else { trace_start + offset };
    let millis = *one_of(rng, &[0, 0, 1, 3, 7, 100, 130, 130, 1_000, 1_100, 5_000]);
    let end = if percent(rng, 5) { start.saturating_sub(millis * MILLI) } else { start + millis * MILLI };
    let parent_span_id = match parent {
        0 => vec![],
        u64::MAX => vec![0; 8],
        id if id == u64::MAX - 1 => vec![1, 2, 3],
        id => id.to_be_bytes().to_vec(),
    };
    let status = match rng.random_range(0..5) {
        0 => None,
        1 => Some(Status { code: 2, message: (*one_of(rng, &["", "boom", "x"])).to_owned() }),
        2 => Some(Status { code: 1, message: String::new() }),
        _ => Some(Status::default()),
    };
    let event_count = *one_of(rng, &[0, 0, 0, 1, 1, 2, 3]);
    let link_count = *one_of(rng, &[0, 0, 0, 0, 1, 2]);
    Span {
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id,
        name: (*one_of(rng, &["a", "b", "get", "get /x", "get /y", ""])).to_owned(),
        kind: rng.random_range(0..=6),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes: attributes(rng, &["a", "b", "n", "n", "f", "flag", "arr", "mix", "mix", "u", "big", "odd key"]),
        events: (0..event_count).map(|_| event(rng, start)).collect(),
        links: (0..link_count).map(|_| link(rng)).collect(),
        status,
        ..Span::default()
    }
}

fn event(rng: &mut StdRng, start: u64) -> Event {
    let time = if percent(rng, 10) { start.saturating_sub(MILLI) } else { start + rng.random_range(0..5) * MILLI };
    let name = (*one_of(rng, &["exception", "log", "log", ""])).to_owned();
    Event { time_unix_nano: time, name, attributes: attributes(rng, &["u", "n", "level"]), ..Event::default() }
}

fn link(rng: &mut StdRng) -> Link {
    let mut trace_id = vec![0; 16];
    trace_id[15] = rng.random_range(1..4);
    let mut span_id = vec![0; 8];
    span_id[7] = rng.random_range(1..4);
    Link { trace_id, span_id, attributes: attributes(rng, &["u", "rel"]), ..Link::default() }
}

fn resource(rng: &mut StdRng) -> Resource {
    let mut attributes = attributes(rng, &["region", "u", "n", "a"]);
    if percent(rng, 85) {
        let service = Value::StringValue((*one_of(rng, &["shop", "cart", "cart", "db", ""])).to_owned());
        attributes.push(pair("service.name", Some(if percent(rng, 95) { service } else { Value::IntValue(7) })));
    }
    Resource { attributes, ..Resource::default() }
}

fn scope(rng: &mut StdRng) -> Option<InstrumentationScope> {
    let text = |rng: &mut StdRng, all: &[&str]| (*one_of(rng, all)).to_owned();
    let is_there = percent(rng, 80);
    is_there.then(|| InstrumentationScope {
        name: text(rng, &["lib", "lib", "other", ""]),
        version: text(rng, &["1", "1", "2", ""]),
        attributes: attributes(rng, &["u", "s"]),
        ..InstrumentationScope::default()
    })
}

/// Some of the keys, each once.
fn attributes(rng: &mut StdRng, keys: &[&str]) -> Vec<KeyValue> {
    let mut all: Vec<KeyValue> = Vec::new();
    for key in keys {
        if percent(rng, 45) && !all.iter().any(|attribute| attribute.key == *key) {
            all.push(pair(key, value(rng, key)));
        }
    }
    all
}

fn pair(key: &str, value: Option<Value>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() }
}

/// Mostly of the type that the key stands for.
fn value(rng: &mut StdRng, key: &str) -> Option<Value> {
    if percent(rng, 3) {
        return None;
    }
    Some(match key {
        "n" => Value::IntValue(rng.random_range(-3..6)),
        "f" => double(rng),
        "flag" => Value::BoolValue(rng.random()),
        "big" => Value::IntValue(*one_of(rng, &[i64::MAX, i64::MIN, i64::MAX - 1, 1 << 53, (1 << 53) + 1, 0])),
        "arr" => array(rng),
        "mix" | "u" => any(rng),
        _ => Value::StringValue((*one_of(rng, &["x", "x", "y", "xy", "z\n", ""])).to_owned()),
    })
}

fn any(rng: &mut StdRng) -> Value {
    match rng.random_range(0..8) {
        0 => Value::IntValue(rng.random_range(0..3)),
        1 => double(rng),
        2 => Value::BoolValue(rng.random()),
        3 => array(rng),
        4 if percent(rng, 30) => Value::BytesValue(vec![1]),
        4 if percent(rng, 30) => Value::KvlistValue(KeyValueList { values: vec![pair("x", None)] }),
        _ => Value::StringValue((*one_of(rng, &["x", "y", "1", "true", "ok"])).to_owned()),
    }
}

/// Mostly of few halves, so that sums are exact.
fn double(rng: &mut StdRng) -> Value {
    Value::DoubleValue(match rng.random_range(0..20) {
        0 => f64::NAN,
        1 => -0.0,
        _ => f64::from(rng.random_range(-2..5)) / 2.0,
    })
}

fn array(rng: &mut StdRng) -> Value {
    let is_mixed = percent(rng, 20);
    let is_text = percent(rng, 50);
    let element = |rng: &mut StdRng| AnyValue {
        value: Some(match (is_mixed, is_text) {
            (true, _) => match rng.random_range(0..4) {
                0 => Value::IntValue(1),
                1 => double(rng),
                2 => Value::BoolValue(true),
                _ => Value::StringValue("x".to_owned()),
            },
            (false, true) => Value::StringValue((*one_of(rng, &["x", "y", "xy"])).to_owned()),
            (false, false) => Value::IntValue(rng.random_range(0..3)),
        }),
    };
    let length = *one_of(rng, &[0, 1, 2, 2, 3]);
    Value::ArrayValue(ArrayValue { values: (0..length).map(|_| element(rng)).collect() })
}
