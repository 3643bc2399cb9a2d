//! The writer against the shapes of the API reference, message by message.

use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};

use super::*;

fn text<T>(value: &T, write: fn(&mut Vec<u8>, &T)) -> String {
    let mut out = Vec::new();
    write(&mut out, value);
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(any(value)), ..Default::default() }
}

#[test]
fn any_values_are_written_even_when_zero() {
    let check = |value: Option<Value>, expect: &str| assert_eq!(text(&AnyValue { value }, write_any_value), expect);
    check(None, "{}");
    check(Some(Value::StringValue(String::new())), r#"{"stringValue":""}"#);
    check(Some(Value::StringValue("a\"\n\u{1}é".into())), r#"{"stringValue":"a\"\n\u0001é"}"#);
    check(Some(Value::BoolValue(false)), r#"{"boolValue":false}"#);
    check(Some(Value::IntValue(0)), r#"{"intValue":"0"}"#);
    check(Some(Value::IntValue(i64::MIN)), r#"{"intValue":"-9223372036854775808"}"#);
    check(Some(Value::DoubleValue(0.0)), r#"{"doubleValue":0}"#);
    check(Some(Value::DoubleValue(1.5)), r#"{"doubleValue":1.5}"#);
    check(Some(Value::DoubleValue(3.0)), r#"{"doubleValue":3}"#);
    check(Some(Value::DoubleValue(1e300)), r#"{"doubleValue":1e+300}"#);
    check(Some(Value::DoubleValue(f64::NAN)), r#"{"doubleValue":"NaN"}"#);
    check(Some(Value::DoubleValue(f64::INFINITY)), r#"{"doubleValue":"Infinity"}"#);
    check(Some(Value::DoubleValue(f64::NEG_INFINITY)), r#"{"doubleValue":"-Infinity"}"#);
    check(Some(Value::BytesValue(vec![])), r#"{"bytesValue":""}"#);
    check(Some(Value::BytesValue(vec![0, 255, 7, 9])), r#"{"bytesValue":"AP8HCQ=="}"#);
    check(Some(Value::ArrayValue(ArrayValue::default())), r#"{"arrayValue":{}}"#);
    let array = ArrayValue { values: vec![any(Value::IntValue(1)), AnyValue { value: None }] };
    check(Some(Value::ArrayValue(array)), r#"{"arrayValue":{"values":[{"intValue":"1"},{}]}}"#);
    let list = KeyValueList { values: vec![pair("k", Value::BoolValue(true))] };
    check(Some(Value::KvlistValue(list)), r#"{"kvlistValue":{"values":[{"key":"k","value":{"boolValue":true}}]}}"#);
}

#[test]
fn spans_leave_zero_fields_out() {
    assert_eq!(text(&Span::default(), write_span), "{}");
    assert_eq!(text(&Span { status: Some(Status::default()), ..Default::default() }, write_span), r#"{"status":{}}"#);
    assert_eq!(text(&Span { kind: 77, ..Default::default() }, write_span), r#"{"kind":77}"#);
}

#[test]
fn a_whole_trace() {
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        trace_state: "a=b".into(),
        parent_span_id: vec![3; 8],
        flags: 257,
        name: "GET /".into(),
        kind: SpanKind::Server as i32,
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_500_000_000,
        attributes: vec![pair("n", Value::IntValue(5))],
        dropped_attributes_count: 1,
        events: vec![Event { time_unix_nano: 7, name: "e".into(), ..Default::default() }],
        dropped_events_count: 2,
        links: vec![Link { trace_id: vec![4; 16], span_id: vec![5; 8], flags: 1, ..Default::default() }],
        dropped_links_count: 3,
        status: Some(Status { message: "m".into(), code: StatusCode::Error as i32 }),
    };
    let scope = InstrumentationScope { name: "lib".into(), version: "1".into(), ..Default::default() };
    let trace = [ResourceSpans {
        resource: Some(Resource {
            attributes: vec![pair("service.name", Value::StringValue("cart".into()))],
            ..Default::default()
        }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans: vec![span], schema_url: "s".into() }],
        schema_url: "r".into(),
    }];
    let mut out = Vec::new();
    write_trace(&mut out, "batches", &trace);
    let expect = concat!(
        r#"{"batches":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]},"#,
        r#""scopeSpans":[{"scope":{"name":"lib","version":"1"},"spans":[{"traceId":"AQEBAQEBAQEBAQEBAQEBAQ==","#,
        r#""spanId":"AgICAgICAgI=","traceState":"a=b","parentSpanId":"AwMDAwMDAwM=","flags":257,"name":"GET /","#,
        r#""kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000500000000","#,
        r#""attributes":[{"key":"n","value":{"intValue":"5"}}],"droppedAttributesCount":1,"#,
        r#""events":[{"timeUnixNano":"7","name":"e"}],"droppedEventsCount":2,"#,
        r#""links":[{"traceId":"BAQEBAQEBAQEBAQEBAQEBA==","spanId":"BQUFBQUFBQU=","flags":1}],"droppedLinksCount":3,"#,
        r#""status":{"message":"m","code":"STATUS_CODE_ERROR"}}],"schemaUrl":"s"}],"schemaUrl":"r"}]}"#,
    );
    assert_eq!(String::from_utf8_lossy(&out), expect);
    out.clear();
    write_trace(&mut out, "resourceSpans", &[]);
    assert_eq!(out, b"{}");
}
