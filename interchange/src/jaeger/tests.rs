//! Jaeger's JSON, read from the corpus and written back.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};

use crate::attribute::value_of;
use crate::{Error, Format, Parsed, parse, write_jaeger_json};

fn corpus() -> Parsed {
    parse(include_bytes!("../../corpus/jaeger-ui.json")).expect("the corpus is good")
}

fn spans(messages: &[ResourceSpans]) -> Vec<&Span> {
    messages.iter().flat_map(|message| &message.scope_spans).flat_map(|scope| &scope.spans).collect()
}

#[test]
fn a_download_of_the_page() {
    let parsed = corpus();
    assert_eq!(parsed.format, Format::JaegerJson);
    let rejected: Vec<String> = parsed.rejected.iter().map(ToString::to_string).collect();
    assert_eq!(rejected, ["span 3: spanID: the id has 'n' at position 0: only the digits 0-9, a-f and A-F may appear"]);
    let resource = parsed.spans[0].resource.as_ref().expect("a resource");
    let text = |value: &str| Some(Value::StringValue(value.to_owned()));
    assert_eq!(value_of(&resource.attributes, "service.name").cloned(), text("frontend"));
    assert_eq!(value_of(&resource.attributes, "host.name").cloned(), text("web-1"));
    assert_eq!(parsed.spans.len(), 2, "a message for each process");
    assert_eq!(parsed.spans[0].scope_spans[0].scope.as_ref().map(|scope| scope.name.as_str()), Some("net/http"));

    let spans = spans(&parsed.spans);
    let root = spans[0];
    assert_eq!((root.kind, root.flags, root.name.as_str()), (2, 1, "HTTP GET /dispatch"));
    assert_eq!(root.start_time_unix_nano, 1_764_115_200_000_250_000);
    assert_eq!(root.end_time_unix_nano - root.start_time_unix_nano, 734_111_000);
    assert_eq!(root.trace_state, "vendor=1");
    assert_eq!(root.status.as_ref().map(|status| status.code), Some(1));
    let value = |key: &str| value_of(&root.attributes, key).cloned();
    assert_eq!(value("request.id"), Some(Value::IntValue(i64::MAX)));
    assert_eq!(value("load"), Some(Value::DoubleValue(1.0)));
    assert_eq!(value("token"), Some(Value::BytesValue(vec![0, 1, 2])));
    for taken in ["span.kind", "otel.scope.name", "otel.status_code", "w3c.tracestate"] {
        assert_eq!(value(taken), None, "{taken} is a field now");
    }
    assert_eq!(root.events[0].name, "HTTP request received");
    assert_eq!(value_of(&root.events[0].attributes, "attempt"), Some(&Value::IntValue(1)));

    let audit = spans[1];
    assert_eq!(audit.parent_span_id, 0xf5b7_e4c9u64.to_be_bytes(), "it follows from the query, and nothing else");
    assert_eq!(audit.status.as_ref().map(|status| (status.code, status.message.as_str())), Some((2, "disk full")));
    let query = spans[2];
    assert_eq!(query.span_id, 0xf5b7_e4c9u64.to_be_bytes(), "leading zeros come back");
    assert_eq!(query.parent_span_id, root.span_id);
    assert_eq!(query.links.len(), 1);
    assert_eq!(query.links[0].trace_id, 1u128.to_be_bytes());
    assert_eq!(query.status.as_ref().map(|status| status.message.as_str()), Some("deadlock detected"));
    assert_eq!(query.attributes, [], "kind and error are fields now");
}

#[test]
fn what_is_written_comes_back() {
    let mut expected = corpus();
    expected.rejected.clear();
    let written = write_jaeger_json(&expected.spans);
    let again = parse(&written).expect("our own file is good");
    assert_eq!(again.rejected, []);
    let (again, expected) = (spans(&again.spans), spans(&expected.spans));
    for (again, expected) in again.iter().zip(&expected) {
        assert_eq!((&again.span_id, &again.parent_span_id), (&expected.span_id, &expected.parent_span_id));
        assert_eq!((&again.attributes, &again.events), (&expected.attributes, &expected.events));
        assert_eq!((&again.status, &again.kind), (&expected.status, &expected.kind));
        assert_eq!(again.start_time_unix_nano, expected.start_time_unix_nano);
        assert_eq!(again.end_time_unix_nano, expected.end_time_unix_nano);
    }
    assert_eq!(again.len(), expected.len());
}

#[test]
fn a_description_without_a_code_is_kept() {
    let span = r#"{"traceID":"a","spanID":"b","operationName":"x","startTime":1,"duration":2,
        "tags":[{"key":"otel.status_description","type":"string","value":"half done"}]}"#;
    let parsed = parse(format!(r#"{{"traceID":"a","spans":[{span}]}}"#).as_bytes()).expect("a Jaeger file");
    let again = parse(&write_jaeger_json(&parsed.spans)).expect("our own file is good");
    for parsed in [&parsed, &again] {
        let status = spans(&parsed.spans)[0].status.as_ref().map(|status| (status.code, status.message.as_str()));
        assert_eq!(status, Some((0, "half done")));
    }
}

#[test]
fn other_frames() {
    let check = |json: &str, expected: usize| {
        let parsed = parse(json.as_bytes()).expect("a Jaeger file");
        assert_eq!((parsed.format, parsed.span_count()), (Format::JaegerJson, expected), "{json}");
    };
    let span =
        r#"{"traceID":"a","spanID":"b","operationName":"x","startTime":1,"duration":2,"process":{"serviceName":"s"}}"#;
    check(&format!(r#"{{"traceID":"a","spans":[{span}],"processes":{{}}}}"#), 1);
    check(&format!(r#"[{{"traceID":"a","spans":[{span},{span}]}},{{"traceID":"c","spans":null}}]"#), 2);
    check(r#"{"data":[]}"#, 0);
    let lines = format!("{{\"traceID\":\"a\",\"spans\":[{span}]}}\n{{\"traceID\":\"a\",\"spans\":[{span}]}}\n");
    check(&lines, 2);
    let broken = parse(br#"{"data":[{"traceID":7}]}"#).expect_err("an id is a text");
    assert!(matches!(broken, Error::Syntax { line: 1, column: 21, .. }), "{broken}");
}
