//! Merging against the rules: identity, grouping, order, the bound, and independence of the order of arrival.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use spanlake_block::{ResourceEntry, ScopeEntry};

use super::*;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..Default::default() }
}

fn row(service: &str, scope: &str, id: u8, start: u64, name: &str) -> SpanRow {
    let resource = Resource { attributes: vec![attribute("service.name", service)], ..Default::default() };
    SpanRow {
        resource: Arc::new(ResourceEntry { resource, schema_url: String::new() }),
        scope: Arc::new(ScopeEntry {
            scope: Some(InstrumentationScope { name: scope.into(), ..Default::default() }),
            schema_url: String::new(),
        }),
        span: Span {
            trace_id: vec![9; 16],
            span_id: vec![id; 8],
            name: name.into(),
            kind: 1,
            start_time_unix_nano: start,
            end_time_unix_nano: start + 5,
            ..Default::default()
        },
    }
}

fn merge(rows: Vec<SpanRow>) -> Merged {
    let mut merger = TraceMerger::new(u64::MAX);
    for row in rows {
        assert!(merger.add(vec![row]));
    }
    merger.finish()
}

/// `service/scope:name,name` for every scope, in order.
fn outline(trace: &TracesData) -> Vec<String> {
    let mut lines = Vec::new();
    for resource in &trace.resource_spans {
        let service = match &resource.resource.as_ref().expect("a resource").attributes[0].value {
            Some(AnyValue { value: Some(Value::StringValue(text)) }) => text.clone(),
            other => panic!("{other:?}"),
        };
        for scope in &resource.scope_spans {
            let names: Vec<_> = scope.spans.iter().map(|span| span.name.as_str()).collect();
            let scope = &scope.scope.as_ref().expect("a scope").name;
            lines.push(format!("{service}/{scope}:{}", names.join(",")));
        }
    }
    lines
}

#[test]
fn groups_and_orders() {
    let rows = || {
        vec![
            row("web", "http", 3, 30, "c"),
            row("db", "sql", 4, 20, "d"),
            row("web", "http", 1, 10, "a"),
            row("web", "rpc", 2, 11, "b"),
            row("web", "http", 9, 10, "same start, later id"),
            row("web", "http", 1, 10, "same id, other name"),
        ]
    };
    let expect = ["web/http:a,same id, other name,same start, later id,c", "web/rpc:b", "db/sql:d"];
    let first = merge(rows());
    assert_eq!(outline(&first.trace), expect);
    assert_eq!((first.span_count, first.truncated, first.conflicts), (6, false, 0));
    let mut reversed = rows();
    reversed.reverse();
    assert_eq!(merge(reversed).trace, first.trace);
}

#[test]
fn identical_spans_collapse_and_others_stay() {
    let mut other_kind = row("web", "http", 1, 10, "a");
    other_kind.span.kind = 3;
    let mut other_end = row("web", "http", 1, 10, "a");
    other_end.span.end_time_unix_nano += 1;
    let merged = merge(vec![
        row("web", "http", 1, 10, "a"),
        row("web", "http", 1, 10, "a"),
        other_kind,
        other_end,
        row("web", "http", 1, 11, "a"),
        row("web", "http", 1, 10, "a"),
    ]);
    assert_eq!((merged.span_count, merged.conflicts), (4, 0));
}

#[test]
fn of_two_spans_with_one_identity_the_same_one_stays_whichever_came_first() {
    let with = |value: &str, service: &str| {
        let mut row = row(service, "http", 1, 10, "a");
        row.span.attributes.push(attribute("k", value));
        row
    };
    let all = [("y", "web"), ("x", "web"), ("x", "api"), ("z", "api")];
    let forward = merge(all.iter().map(|(v, s)| with(v, s)).collect());
    let backward = merge(all.iter().rev().map(|(v, s)| with(v, s)).collect());
    assert_eq!(forward.trace, backward.trace);
    assert_eq!(outline(&forward.trace), ["api/http:a"]);
    assert!(forward.conflicts > 0);
}

#[test]
fn not_a_number_is_the_same_as_itself() {
    let nan = || {
        let mut row = row("web", "http", 1, 10, "a");
        let value = Some(AnyValue { value: Some(Value::DoubleValue(f64::NAN)) });
        row.span.attributes.push(KeyValue { key: "n".into(), value, ..Default::default() });
        row
    };
    let merged = merge(vec![nan(), nan()]);
    assert_eq!((merged.span_count, merged.conflicts), (1, 0));
}

#[test]
fn the_bound_holds_and_duplicates_do_not_count() {
    let one = row("web", "http", 1, 10, "a");
    let bytes = {
        let mut merger = TraceMerger::new(u64::MAX);
        merger.add(vec![one.clone()]);
        merger.bytes
    };
    let mut merger = TraceMerger::new(bytes);
    assert!(merger.add(vec![one.clone()]));
    assert!(merger.add(vec![one.clone()]));
    assert!(!merger.add(vec![row("web", "http", 2, 10, "b")]));
    let merged = merger.finish();
    assert_eq!((merged.span_count, merged.truncated), (1, true));
}
