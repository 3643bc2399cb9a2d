//! What the JSON decoder takes, what it refuses, and that it gives back what a plain OTLP/JSON writer wrote.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Kind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message;
use serde_json::{Value, json};

use super::*;
use crate::{Limits, Reason, arbitrary, index};

/// A writer of OTLP/JSON as the specification has it: camelCase, hex ids, 64-bit numbers as strings.
mod write {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn any_value(value: &AnyValue) -> Value {
        match &value.value {
            None | Some(Kind::StringValueStrindex(_)) => json!({}),
            Some(Kind::StringValue(text)) => json!({ "stringValue": text }),
            Some(Kind::BoolValue(flag)) => json!({ "boolValue": flag }),
            Some(Kind::IntValue(number)) => json!({ "intValue": number.to_string() }),
            Some(Kind::DoubleValue(number)) if number.is_finite() => json!({ "doubleValue": number }),
            Some(Kind::DoubleValue(number)) if *number > 0.0 => json!({ "doubleValue": "Infinity" }),
            Some(Kind::DoubleValue(_)) => json!({ "doubleValue": "-Infinity" }),
            Some(Kind::BytesValue(bytes)) => json!({ "bytesValue": STANDARD.encode(bytes) }),
            Some(Kind::ArrayValue(array)) => {
                json!({ "arrayValue": { "values": array.values.iter().map(any_value).collect::<Vec<_>>() } })
            }
            Some(Kind::KvlistValue(list)) => json!({ "kvlistValue": { "values": attributes(&list.values) } }),
        }
    }

    fn attributes(attributes: &[KeyValue]) -> Value {
        let attribute = |attribute: &KeyValue| match &attribute.value {
            Some(value) => json!({ "key": attribute.key, "value": any_value(value) }),
            None => json!({ "key": attribute.key }),
        };
        attributes.iter().map(attribute).collect()
    }

    fn span(span: &Span) -> Value {
        let event = |event: &opentelemetry_proto::tonic::trace::v1::span::Event| {
            json!({ "timeUnixNano": event.time_unix_nano.to_string(), "name": event.name,
                "attributes": attributes(&event.attributes), "droppedAttributesCount": event.dropped_attributes_count })
        };
        let link = |link: &opentelemetry_proto::tonic::trace::v1::span::Link| {
            json!({ "traceId": hex(&link.trace_id), "spanId": hex(&link.span_id), "traceState": link.trace_state,
                "attributes": attributes(&link.attributes), "droppedAttributesCount": link.dropped_attributes_count,
                "flags": link.flags })
        };
        json!({
            "traceId": hex(&span.trace_id), "spanId": hex(&span.span_id), "traceState": span.trace_state,
            "parentSpanId": hex(&span.parent_span_id), "flags": span.flags, "name": span.name, "kind": span.kind,
            "startTimeUnixNano": span.start_time_unix_nano.to_string(),
            "endTimeUnixNano": span.end_time_unix_nano.to_string(),
            "attributes": attributes(&span.attributes), "droppedAttributesCount": span.dropped_attributes_count,
            "events": span.events.iter().map(event).collect::<Vec<_>>(),
            "droppedEventsCount": span.dropped_events_count,
            "links": span.links.iter().map(link).collect::<Vec<_>>(), "droppedLinksCount": span.dropped_links_count,
            "status": span.status.as_ref().map(|status| json!({ "message": status.message, "code": status.code })),
        })
    }

    pub(super) fn request(request: &ExportTraceServiceRequest) -> Value {
        let groups = request.resource_spans.iter().map(|group| {
            let entity = |entity: &opentelemetry_proto::tonic::common::v1::EntityRef| {
                json!({ "schemaUrl": entity.schema_url, "type": entity.r#type, "idKeys": entity.id_keys,
                    "descriptionKeys": entity.description_keys })
            };
            let resource = group.resource.as_ref().map(|resource| {
                json!({ "attributes": attributes(&resource.attributes),
                    "droppedAttributesCount": resource.dropped_attributes_count,
                    "entityRefs": resource.entity_refs.iter().map(entity).collect::<Vec<_>>() })
            });
            let scopes = group.scope_spans.iter().map(|spans| {
                let scope = spans.scope.as_ref().map(|scope| {
                    json!({ "name": scope.name, "version": scope.version, "attributes": attributes(&scope.attributes),
                        "droppedAttributesCount": scope.dropped_attributes_count })
                });
                json!({ "scope": scope, "spans": spans.spans.iter().map(span).collect::<Vec<_>>(),
                    "schemaUrl": spans.schema_url })
            });
            json!({ "resource": resource, "scopeSpans": scopes.collect::<Vec<_>>(), "schemaUrl": group.schema_url })
        });
        json!({ "resourceSpans": groups.collect::<Vec<_>>() })
    }
}

fn decode(text: &str) -> ExportTraceServiceRequest {
    decode_json(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn around_span(fields: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#)
}

fn decode_span(fields: &str) -> Span {
    decode(&around_span(fields)).resource_spans.remove(0).scope_spans.remove(0).spans.remove(0)
}

fn decode_value(value: &str) -> Option<AnyValue> {
    decode_span(&format!(r#""attributes":[{{"key":"k","value":{value}}}]"#)).attributes.remove(0).value
}

/// One resource, one scope with an attribute, one server span: the shape of the specification's own example, with
/// ids in upper case as there.
const EXAMPLE: &str = r#"{
  "resourceSpans": [{
    "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "checkout" } }] },
    "scopeSpans": [{
      "scope": {
        "name": "shop.tracing", "version": "1.2.0",
        "attributes": [{ "key": "library.kind", "value": { "stringValue": "manual" } }]
      },
      "spans": [{
        "traceId": "4FD0B6131F19F39AF59518D127B0CAFE",
        "spanId": "00000000000001C8",
        "parentSpanId": "00000000000001C7",
        "startTimeUnixNano": "1760000000000000001",
        "endTimeUnixNano": "1760000001000000000",
        "name": "POST /orders",
        "kind": 2,
        "attributes": [{ "key": "http.response.status_code", "value": { "intValue": "201" } }]
      }]
    }]
  }]
}"#;

#[test]
fn the_example_of_the_specification() {
    let request = decode(EXAMPLE);
    let group = &request.resource_spans[0];
    assert_eq!(group.scope_spans[0].scope.as_ref().map(|scope| scope.version.as_str()), Some("1.2.0"));
    let span = &group.scope_spans[0].spans[0];
    assert_eq!(span.trace_id, 0x4fd0_b613_1f19_f39a_f595_18d1_27b0_cafe_u128.to_be_bytes());
    assert_eq!(span.span_id, 0x1c8_u64.to_be_bytes());
    assert_eq!(span.start_time_unix_nano, 1_760_000_000_000_000_001);
    assert_eq!((span.kind, span.name.as_str()), (2, "POST /orders"));
    assert_eq!(span.attributes[0].value, Some(AnyValue { value: Some(Kind::IntValue(201)) }));
    let batch = index(Bytes::from(request.encode_to_vec()), &Limits::default()).expect("well formed");
    assert_eq!((batch.spans.len(), batch.rejected.span_count), (1, 0));
    assert_eq!(batch.spans[0].trace_id.to_string(), "4fd0b6131f19f39af59518d127b0cafe");
}

#[test]
fn numbers_in_every_spelling() {
    let time = |value: &str| decode_span(&format!(r#""startTimeUnixNano":{value}"#)).start_time_unix_nano;
    assert_eq!(time("\"1760000000000000001\""), 1_760_000_000_000_000_001);
    assert_eq!(time("1760000000000000001"), 1_760_000_000_000_000_001);
    assert_eq!(time("1.5e18"), 1_500_000_000_000_000_000);
    assert_eq!(time("\"1.5e18\""), 1_500_000_000_000_000_000);
    assert_eq!(time("18446744073709551615"), u64::MAX);
    assert_eq!(time("\"18446744073709551615\""), u64::MAX);
    assert_eq!(time("0"), 0);
    assert_eq!(time("null"), 0);
    let count = |value: &str| decode_span(&format!(r#""droppedEventsCount":{value}"#)).dropped_events_count;
    assert_eq!((count("3"), count("\"4\""), count("5.0"), count("4294967295")), (3, 4, 5, u32::MAX));
    let kind = |value: &str| decode_span(&format!(r#""kind":{value}"#)).kind;
    assert_eq!((kind("2"), kind("\"3\""), kind("\"SPAN_KIND_CONSUMER\""), kind("null"), kind("77")), (2, 3, 5, 0, 77));
    let code = |value: &str| decode_span(&format!(r#""status":{{"code":{value}}}"#)).status.map(|status| status.code);
    assert_eq!((code("2"), code("\"STATUS_CODE_ERROR\""), code("\"1\"")), (Some(2), Some(2), Some(1)));
}

#[test]
fn values_in_every_spelling() {
    let check = |value: &str, expect: Option<Kind>| {
        assert_eq!(decode_value(value), Some(AnyValue { value: expect }), "{value}");
    };
    let bytes = || Some(Kind::BytesValue(vec![0xfb, 0xff, 0xfe, 1]));
    check(r#"{"stringValue":""}"#, Some(Kind::StringValue(String::new())));
    check(r#"{"string_value":"é\n\u00e9"}"#, Some(Kind::StringValue("é\né".to_owned())));
    check(r#"{"stringValue":"cut \ud83d"}"#, Some(Kind::StringValue("cut \u{fffd}".to_owned())));
    check(r#"{"stringValue":"\ud83d\ude00"}"#, Some(Kind::StringValue("😀".to_owned())));
    check(r#"{"intValue":-7}"#, Some(Kind::IntValue(-7)));
    check(r#"{"intValue":"-9223372036854775808"}"#, Some(Kind::IntValue(i64::MIN)));
    check(r#"{"int_value":"9223372036854775807"}"#, Some(Kind::IntValue(i64::MAX)));
    check(r#"{"boolValue":false}"#, Some(Kind::BoolValue(false)));
    check(r#"{"boolValue":"true"}"#, Some(Kind::BoolValue(true)));
    check(r#"{"doubleValue":1}"#, Some(Kind::DoubleValue(1.0)));
    check(r#"{"doubleValue":-0.1}"#, Some(Kind::DoubleValue(-0.1)));
    check(r#"{"doubleValue":"1e3"}"#, Some(Kind::DoubleValue(1000.0)));
    check(r#"{"doubleValue":"Infinity"}"#, Some(Kind::DoubleValue(f64::INFINITY)));
    check(r#"{"doubleValue":"-Infinity"}"#, Some(Kind::DoubleValue(f64::NEG_INFINITY)));
    check(r#"{"arrayValue":{}}"#, Some(Kind::ArrayValue(ArrayValue::default())));
    check(r#"{"arrayValue":{"values":null}}"#, Some(Kind::ArrayValue(ArrayValue::default())));
    check(r#"{"kvlistValue":{}}"#, Some(Kind::KvlistValue(KeyValueList::default())));
    check(
        r#"{"arrayValue":{"values":[{},null]}}"#,
        Some(Kind::ArrayValue(ArrayValue { values: vec![AnyValue::default(); 2] })),
    );
    check(r#"{"bytesValue":""}"#, Some(Kind::BytesValue(Vec::new())));
    check(&format!(r#"{{"bytesValue":"{}"}}"#, STANDARD.encode([0xfb, 0xff, 0xfe, 1])), bytes());
    check(&format!(r#"{{"bytesValue":"{}"}}"#, URL_SAFE_NO_PAD.encode([0xfb, 0xff, 0xfe, 1])), bytes());
    check("{}", None);
    check(r#"{"stringValue":null}"#, None);
    check(r#"{"arrayValue":null,"intValue":"1"}"#, Some(Kind::IntValue(1)));
    check(r#"{"stringValueStrindex":7}"#, None);
    check(r#"{"futureValue":{"a":[1,{"b":null}]},"intValue":1}"#, Some(Kind::IntValue(1)));
    assert_eq!(decode_value("null"), None);
    let not_a_number = decode_value(r#"{"doubleValue":"NaN"}"#).and_then(|value| value.value);
    assert!(matches!(not_a_number, Some(Kind::DoubleValue(number)) if number.is_nan()));
}

#[test]
fn nulls_unknown_fields_and_snake_case() {
    let nulls = r#""traceId":null,"spanId":null,"parentSpanId":null,"traceState":null,"name":null,"kind":null,
        "startTimeUnixNano":null,"attributes":null,"events":null,"links":null,"status":null,"flags":null,
        "droppedLinksCount":null"#;
    assert_eq!(decode_span(nulls), Span::default());
    assert_eq!(decode(r#"{"resourceSpans":null}"#), ExportTraceServiceRequest::default());
    assert_eq!(decode(r#"{"resourceSpans":[null]}"#), ExportTraceServiceRequest::default());
    assert_eq!(decode(" {} "), ExportTraceServiceRequest::default());
    assert_eq!(decode_span(r#""parentSpanId":"""#), Span::default());
    assert_eq!(decode_span(r#""status":{}"#).status, Some(opentelemetry_proto::tonic::trace::v1::Status::default()));

    let camel = EXAMPLE.to_owned();
    let snake = [
        "resourceSpans",
        "scopeSpans",
        "traceId",
        "parentSpanId",
        "startTimeUnixNano",
        "endTimeUnixNano",
        "stringValue",
    ]
    .iter()
    .fold(camel.clone(), |text, key| {
        let split = key.chars().fold(String::new(), |mut split, letter| {
            if letter.is_ascii_uppercase() {
                split.push('_');
            }
            split.push(letter.to_ascii_lowercase());
            split
        });
        text.replace(key, &split)
    });
    assert_ne!(snake, camel);
    assert_eq!(decode(&snake), decode(&camel));

    // Something unknown first and last in every object.
    let odd = r#""\ud800":1,"new":{"deep":[[[{}]],"x",1e400,-0]},"resource_logs":null"#;
    let with_unknown = EXAMPLE.replace('{', "{ODD,").replace('}', ",ODD}").replace("ODD", odd);
    assert_eq!(decode(&with_unknown), decode(EXAMPLE));
}

#[test]
fn ids_of_a_wrong_length_refuse_their_spans_only() {
    let check = |ids: &str, reason: Reason| {
        let request = decode(&around_span(ids));
        let batch = index(Bytes::from(request.encode_to_vec()), &Limits::default()).expect("well formed");
        assert_eq!(batch.rejected.iter().collect::<Vec<_>>(), [(reason, 1)], "{ids}");
    };
    check(r#""traceId":"","spanId":"0102030405060708""#, Reason::InvalidTraceId);
    check(r#""traceId":"0102030405060708","spanId":"0102030405060708""#, Reason::InvalidTraceId);
    check(r#""traceId":"01020304050607080102030405060708""#, Reason::InvalidSpanId);
    check(r#""traceId":"01020304050607080102030405060708","spanId":"01""#, Reason::InvalidSpanId);
}

#[test]
fn deep_values_refuse_their_spans_and_no_more() {
    let check = |levels: usize, opening: &str, closing: &str, accepted: usize| {
        let value = format!("{}{{}}{}", opening.repeat(levels - 1), closing.repeat(levels - 1));
        let text = around_span(&format!(
            r#""traceId":"01020304050607080102030405060708","spanId":"0102030405060708","attributes":[{{"value":{value}}}]"#
        ));
        let batch = index(Bytes::from(decode(&text).encode_to_vec()), &Limits::default()).expect("well formed");
        assert_eq!(batch.spans.len(), accepted, "{levels} levels");
        assert_eq!(batch.rejected.count(Reason::TooDeep), 1 - accepted as u64, "{levels} levels");
    };
    for (opening, closing) in
        [(r#"{"arrayValue":{"values":["#, "]}}"), (r#"{"kvlistValue":{"values":[{"key":"k","value":"#, "}]}}")]
    {
        check(1, opening, closing, 1);
        check(32, opening, closing, 1);
        check(33, opening, closing, 0);
        check(34, opening, closing, 0);
        check(100_000, opening, closing, 0);
    }
    // Depth in what is unknown is skipped without recursion.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(decode(&format!(r#"{{"x":{deep}}}"#)), ExportTraceServiceRequest::default());
}

#[test]
fn mistakes_are_located() {
    let check = |text: &str, line: usize, column: usize, what: &str| {
        let expect = JsonError { line, column, what: what.to_owned() };
        assert_eq!(decode_json(text.as_bytes()), Err(expect), "{text}");
    };
    check("", 1, 0, "EOF while parsing a value");
    check("null", 1, 1, "the request is null");
    check("[]", 1, 2, "invalid type: sequence, expected an object (ExportTraceServiceRequest)");
    check("{} x", 1, 4, "trailing characters");
    check("{\"resourceSpans\":", 1, 17, "EOF while parsing a value");
    check("{\n\"resourceSpans\": {}\n}", 2, 19, "invalid type: map, expected an array for resourceSpans");
    check("{\"resourceSpans\":[1]}", 1, 19, "invalid type: integer `1`, expected an object (ResourceSpans)");
    check("\u{1}\u{2}garbage", 1, 1, "expected value");
    let in_span = |fields: &str, what: &str| {
        let error = decode_json(around_span(fields).as_bytes()).expect_err(fields);
        assert_eq!((error.line, error.what.as_str()), (1, what), "{fields}");
        assert!(error.column > 40, "{fields}: {error}");
    };
    in_span(r#""traceId":"xyz0""#, "traceId is not hexadecimal: \"xyz0\"");
    in_span(r#""spanId":"123""#, "spanId has an odd number of hexadecimal digits: 3");
    in_span(r#""spanId":5"#, "invalid type: integer `5`, expected a string (hexadecimal id) for spanId");
    in_span(r#""name":[1]"#, "invalid type: sequence, expected a string (text) for name");
    in_span(r#""startTimeUnixNano":-1"#, "startTimeUnixNano does not fit 64 bits: -1");
    in_span(r#""startTimeUnixNano":1.5"#, "startTimeUnixNano is not a whole number in range: 1.5");
    in_span(r#""startTimeUnixNano":1e300"#, &format!("startTimeUnixNano is not a whole number in range: {}", 1e300));
    in_span(r#""startTimeUnixNano":"soon""#, "startTimeUnixNano is not a whole number: \"soon\"");
    in_span(r#""startTimeUnixNano":"NaN""#, "startTimeUnixNano is not a whole number in range: NaN");
    in_span(r#""kind":"SERVER""#, "kind has no value named \"SERVER\"");
    in_span(r#""kind":3000000000"#, "kind does not fit 32 bits: 3000000000");
    let in_value = |value: &str, what: &str| in_span(&format!(r#""attributes":[{{"value":{value}}}]"#), what);
    in_value(
        r#"{"intValue":true}"#,
        "invalid type: boolean `true`, expected a whole number, or one in a string, for intValue",
    );
    in_value(r#"{"bytesValue":"*"}"#, "bytesValue is not base64: Invalid symbol 42, offset 0.");
    in_value(r#"{"boolValue":"yes"}"#, "boolValue is not true or false: \"yes\"");
    in_value("5", "invalid type: integer `5`, expected an object (AnyValue)");
    let error = decode_json(b"{\"resourceSpans\":[{\"schemaUrl\":\"\xff\"}]}").expect_err("not UTF-8");
    assert_eq!(error.what, "schemaUrl is not UTF-8 from its byte 0");
}

proptest! {
    #[test]
    fn the_decoder_gives_back_what_the_writer_wrote(request in arbitrary::request_with_bad_ids()) {
        let text = write::request(&request).to_string();
        let decoded = decode_json(text.as_bytes());
        prop_assert_eq!(decoded.as_ref(), Ok(&request), "{}", text);
    }

    #[test]
    fn damaged_bodies_never_panic(
        request in arbitrary::request(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut text = write::request(&request).to_string().into_bytes();
        for (at, byte) in flips {
            let at = at.index(text.len());
            text[at] = byte;
        }
        if let Err(error) = decode_json(&text) {
            prop_assert!(error.line >= 1 && !error.what.is_empty());
        }
    }
}
