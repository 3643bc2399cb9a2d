//! Zipkin's JSON, read from the corpus.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::attribute::value_of;
use crate::{Error, Format, parse};

#[test]
fn a_file_with_a_shared_span() {
    let parsed = parse(include_bytes!("../../corpus/zipkin-v2.json")).expect("the corpus is good");
    assert_eq!(parsed.format, Format::ZipkinJson);
    let rejected: Vec<String> = parsed.rejected.iter().map(ToString::to_string).collect();
    assert_eq!(rejected, ["span 4: missing field `id`"]);
    let spans: Vec<(&str, &Span)> = parsed
        .spans
        .iter()
        .flat_map(|message| {
            let resource = message.resource.as_ref().expect("a resource");
            let service = match value_of(&resource.attributes, "service.name") {
                Some(Value::StringValue(name)) => name.as_str(),
                other => panic!("no service: {other:?}"),
            };
            message.scope_spans.iter().flat_map(|scope| &scope.spans).map(move |span| (service, span))
        })
        .collect();
    let find = |name: &str, kind: i32| -> (&str, &Span) {
        *spans.iter().find(|(_, span)| span.name == name && span.kind == kind).expect("the span is there")
    };
    let ((_, root), (frontend, client)) = (find("get /", 2), find("get /api", 3));
    let ((backend, server), (_, query)) = (find("get /api", 2), find("query", 1));
    assert_eq!((frontend, backend), ("frontend", "backend"));

    assert!(root.parent_span_id.is_empty(), "a span is not its own parent");
    assert_eq!(client.parent_span_id, root.span_id);
    assert_eq!(server.parent_span_id, client.span_id, "the server's half lies below the client's");
    assert_ne!(server.span_id, client.span_id);
    assert_eq!(query.parent_span_id, server.span_id, "what the server did lies below its half");
    let text = |value: &str| Some(Value::StringValue(value.to_owned()));
    assert_eq!(value_of(&server.attributes, "zipkin.id").cloned(), text("352bff9a74ca9ad2"));
    assert_eq!(value_of(&server.attributes, "zipkin.shared"), Some(&Value::BoolValue(true)));
    assert_eq!(value_of(&server.attributes, "zipkin.debug"), Some(&Value::BoolValue(true)));

    assert_eq!(client.trace_id, 0x5af7_183f_b1d4_cf5f_u128.to_be_bytes());
    assert_eq!(value_of(&client.attributes, "peer.service").cloned(), text("backend"));
    assert_eq!(value_of(&client.attributes, "network.peer.port"), Some(&Value::IntValue(58_648)));
    assert_eq!(value_of(&client.attributes, "service.version"), None, "it is the resource's");
    assert_eq!(server.status.as_ref().map(|status| (status.code, status.message.as_str())), Some((2, "timeout")));
    assert_eq!(query.status.as_ref().map(|status| (status.code, status.message.as_str())), Some((2, "")));
    assert_eq!(query.attributes.iter().filter(|tag| tag.key == "error" || tag.key == "span.kind").count(), 0);

    let names: Vec<&str> = server.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["wire.receive", "cache miss", "exception", "a|b|c"]);
    assert_eq!(value_of(&server.events[1].attributes, "size"), Some(&Value::IntValue(3)));
    assert_eq!(server.events[2].dropped_attributes_count, 2);
}

#[test]
fn other_shapes() {
    let span = r#"{"traceId":"1","id":"2","annotations":[{"timestamp":5,"value":"x"}]}"#;
    let parsed = parse(format!("[[{span}],[{span}]]").as_bytes()).expect("traces as the query API gives them");
    assert_eq!((parsed.format, parsed.span_count()), (Format::ZipkinJson, 2));
    let start = parsed.spans[0].scope_spans[0].spans[0].start_time_unix_nano;
    assert_eq!(start, 5_000, "without a time of its own it starts with its first annotation");
    let calm = parse(br#"[{"traceId":"1","id":"2","tags":{"error":"false"}}]"#).expect("a span");
    let calm = &calm.spans[0].scope_spans[0].spans[0];
    assert_eq!((calm.status.as_ref(), calm.attributes.len()), (None, 1), "the tag stays");
    let old = parse(br#"[{"traceId":"1","id":"2","binaryAnnotations":[]}]"#).expect_err("version 1");
    assert!(matches!(&old, Error::Unknown { what } if what.contains("version 1")), "{old}");
}
