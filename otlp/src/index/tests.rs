//! What `index` accepts, refuses, cuts and merges, and that the readers give back what was encoded.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::arbitrary;
use crate::readable;
use crate::wire::WireType;
use crate::{Reason, TRUNCATED};

fn named(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
}

fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

fn span(id: u8) -> Span {
    Span { trace_id: vec![1; 16], span_id: vec![id; 8], name: format!("span {id}"), ..Span::default() }
}

fn request_of(resource: Option<Resource>, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { scope: None, spans, schema_url: String::new() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource, scope_spans, schema_url: String::new() }],
    }
}

fn index_request(request: &ExportTraceServiceRequest, limits: &Limits) -> Batch {
    index(request.encode_to_vec().into(), limits).expect("what prost encodes is well formed")
}

/// A length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut encoded = vec![number << 3 | 2];
    prost::encode_length_delimiter(content.len(), &mut encoded).expect("a Vec grows");
    encoded.extend_from_slice(content);
    encoded
}

/// A request around one encoded span.
fn around_span(span: &[u8]) -> Bytes {
    field(1, &field(2, &field(2, span))).into()
}

/// An attribute value inside `levels - 1` arrays, or key-value lists.
fn nested(levels: u32, in_lists: bool) -> AnyValue {
    (1..levels).fold(AnyValue { value: Some(text("deep")) }, |inner, _| AnyValue {
        value: Some(if in_lists {
            let entry = KeyValue { key: "k".to_owned(), value: Some(inner), key_strindex: 0 };
            Value::KvlistValue(KeyValueList { values: vec![entry] })
        } else {
            Value::ArrayValue(ArrayValue { values: vec![inner] })
        }),
    })
}

#[test]
fn malformed_requests() {
    let check = |bytes: &[u8], offset: usize, what: Fault| {
        let expect = Malformed { offset, what };
        assert_eq!(index(Bytes::copy_from_slice(bytes), &Limits::default()).err(), Some(expect), "{bytes:02x?}");
        assert!(ExportTraceServiceRequest::decode(bytes).is_err(), "prost takes {bytes:02x?}");
    };
    let wrong = |message, field, found| Fault::WrongWireType { message, field, found: WireType(found) };
    check(b"\x0a", 1, Fault::Truncated);
    check(b"\x0a\x05", 2, Fault::LengthPastEnd { length: 5, left: 0 });
    check(b"\x0a\xff\xff\xff\xff\x0f", 6, Fault::LengthPastEnd { length: u64::from(u32::MAX), left: 0 });
    let huge = b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    check(huge, 11, Fault::LengthPastEnd { length: u64::MAX, left: 0 });
    check(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 1, Fault::VarintTooLong);
    check(&[0xff; 11], 0, Fault::VarintTooLong);
    check(b"\x80", 0, Fault::Truncated);
    check(b"\xff\xff\xff\xff\x7f", 0, Fault::BadKey { key: 0x7_ffff_ffff });
    check(b"\x02\x00", 1, Fault::BadKey { key: 2 });
    check(b"\x0e", 1, Fault::BadKey { key: 14 });
    check(b"\x08\x01", 1, wrong("ExportTraceServiceRequest", 1, 0));
    check(b"{\"resourceSpans\":[]}", 3, Fault::LengthPastEnd { length: 114, left: 17 });
    check(b"\x0a\x02\x0a\x05", 4, Fault::LengthPastEnd { length: 5, left: 0 });
    check(b"\x0a\x02\x08\x05", 3, wrong("ResourceSpans", 1, 0));
    check(b"\x0a\x02\x1d\x05", 3, wrong("ResourceSpans", 3, 5));
    check(b"\x14", 1, Fault::BadGroup);
    check(b"\x13\x13\x14", 3, Fault::BadGroup);
    check(b"\x13\x1c", 2, Fault::BadGroup);
    check(b"\x13\x00", 2, Fault::BadKey { key: 0 });
    check(&[0x13; 200], 101, Fault::GroupTooDeep);
    check(b"\x11\x01\x02", 1, Fault::Truncated);
    check(b"\x15\x01\x02", 1, Fault::Truncated);
    let span_of = |span: &[u8], offset: usize, what| check(&around_span(span), 6 + offset, what);
    span_of(b"\x08\x05", 1, wrong("Span", 1, 0));
    span_of(b"\x2d\0\0\0\0", 1, wrong("Span", 5, 5));
    span_of(b"\x38\x01", 1, wrong("Span", 7, 0));
    span_of(b"\x39\x01\x02", 1, Fault::Truncated);
    span_of(b"\x85\x01\x02", 2, Fault::Truncated);
    span_of(b"\x4a\x02\x08\x05", 3, wrong("KeyValue", 1, 0));
    span_of(b"\x4a\x04\x12\x02\x0d\x05", 5, wrong("AnyValue", 1, 5));
    span_of(b"\x4a\x04\x12\x02\x2a\x05", 6, Fault::LengthPastEnd { length: 5, left: 0 });
    span_of(b"\x5a\x01\x0a", 3, wrong("Event", 1, 2));
    span_of(b"\x6a\x02\x30\x01", 3, wrong("Link", 6, 0));
    span_of(b"\x7a\x02\x1a\x01", 3, wrong("Status", 3, 2));
}

#[test]
fn a_request_cut_anywhere_is_malformed_or_shorter() {
    let mut first = span(1);
    first.attributes.push(named("key", text("value")));
    let encoded = request_of(Some(Resource::default()), vec![first, span(2)]).encode_to_vec();
    for length in 0..encoded.len() {
        let cut = &encoded[..length];
        let indexed = index(Bytes::copy_from_slice(cut), &Limits::default());
        assert_eq!(indexed.is_ok(), length == 0, "cut at {length}");
    }
}

#[test]
fn empty_requests_are_empty_batches() {
    for bytes in [&b""[..], b"\x0a\x00", b"\x0a\x02\x12\x00", b"\x20\x07", b"\x13\x1b\x1c\x14"] {
        let batch = index(Bytes::from_static(bytes), &Limits::default()).expect("well formed");
        assert_eq!((batch.spans.len(), batch.groups.len(), batch.rejected.span_count), (0, 0, 0));
    }
}

#[test]
fn spans_are_refused_one_by_one() {
    let good = span(9);
    let check = |bad: Span, reason: Reason, sentence: &str| {
        let batch = index_request(&request_of(None, vec![good.clone(), bad, good.clone()]), &Limits::default());
        assert_eq!(batch.spans.len(), 2, "{sentence}");
        assert_eq!(batch.rejected.iter().collect::<Vec<_>>(), [(reason, 1)]);
        assert_eq!((batch.rejected.span_count, batch.rejected.first_reason.as_str()), (1, sentence));
        assert_eq!(readable::span(batch.span_bytes(&batch.spans[1])), good);
    };
    let ids = |trace_id: &[u8], span_id: &[u8]| Span {
        trace_id: trace_id.to_vec(),
        span_id: span_id.to_vec(),
        ..Span::default()
    };
    let with = |value: AnyValue| Span {
        attributes: vec![KeyValue { key: "k".to_owned(), value: Some(value), key_strindex: 0 }],
        ..span(1)
    };
    use Reason::*;
    check(ids(&[], &[1; 8]), InvalidTraceId, "the trace id of span 1 of the request has 0 bytes: 16 are needed");
    check(ids(&[1; 8], &[1; 8]), InvalidTraceId, "the trace id of span 1 of the request has 8 bytes: 16 are needed");
    check(ids(&[0; 16], &[1; 8]), InvalidTraceId, "the trace id of span 1 of the request is zero");
    check(ids(&[1; 16], &[1; 16]), InvalidSpanId, "the span id of span 1 of the request has 16 bytes: 8 are needed");
    check(ids(&[1; 16], &[0; 8]), InvalidSpanId, "the span id of span 1 of the request is zero");
    let deep = "an attribute value of span 1 of the request is nested deeper than 32 levels";
    for in_lists in [false, true] {
        check(with(nested(33, in_lists)), TooDeep, deep);
        check(with(nested(5_000, in_lists)), TooDeep, deep);
        let batch = index_request(&request_of(None, vec![with(nested(32, in_lists))]), &Limits::default());
        assert_eq!(batch.spans.len(), 1);
    }
    let large = Span { attributes: vec![named("k", Value::BytesValue(vec![0; 5 << 20]))], ..span(1) };
    let sentence = "span 1 of the request has 5242934 bytes: at most 4194304 are allowed";
    check(large, SpanTooLarge, sentence);
}

#[test]
fn texts_that_are_not_utf8_refuse_their_spans() {
    let good = span(1).encode_to_vec();
    let bad = [&good[..], &field(3, b"\xff")].concat();
    let spans = [field(2, &good), field(2, &bad)].concat();
    let first_reason = |bytes: Vec<u8>, accepted: usize| {
        let batch = index(bytes.into(), &Limits::default()).expect("well formed");
        assert_eq!(batch.spans.len(), accepted);
        assert_eq!(batch.rejected.count(Reason::InvalidUtf8), batch.rejected.span_count);
        (batch.rejected.span_count, batch.rejected.first_reason)
    };
    let own = first_reason(field(1, &field(2, &spans)), 1);
    assert_eq!(own, (1, "a text of span 1 of the request is not UTF-8".to_owned()));

    // In what surrounds them: all spans of it, before or behind it, and none beside it.
    let attribute = field(1, b"\xc3");
    let scope = field(2, &[field(2, &good), field(1, &field(3, &attribute)), field(2, &good)].concat());
    let beside = field(2, &field(2, &good));
    let of_scope = first_reason(field(1, &[scope, beside.clone()].concat()), 1);
    assert_eq!(of_scope, (2, "a text of the scope is not UTF-8".to_owned()));

    let resource = field(1, &[beside.clone(), field(1, &field(1, &attribute)), beside.clone()].concat());
    let of_resource = first_reason([resource, field(1, &beside)].concat(), 1);
    assert_eq!(of_resource, (2, "a text of the resource is not UTF-8".to_owned()));

    let of_url = first_reason(field(1, &[beside.clone(), field(3, b"\xff")].concat()), 0);
    assert_eq!(of_url, (1, "a text of the resource is not UTF-8".to_owned()));
}

#[test]
fn a_resource_nested_too_deep_refuses_its_spans() {
    let attribute = KeyValue { key: String::new(), value: Some(nested(33, true)), key_strindex: 0 };
    let resource = Resource { attributes: vec![attribute], ..Resource::default() };
    let batch = index_request(&request_of(Some(resource), vec![span(1), span(2)]), &Limits::default());
    assert_eq!((batch.spans.len(), batch.groups.len(), batch.rejected.count(Reason::TooDeep)), (0, 0, 2));
}

#[test]
fn surplus_spans_are_refused() {
    let limits = Limits { max_spans: 2, ..Limits::default() };
    let batch = index_request(&request_of(None, (1..=5).map(span).collect()), &limits);
    assert_eq!((batch.spans.len(), batch.rejected.count(Reason::TooManySpans)), (2, 3));
    assert_eq!(batch.rejected.first_reason, "the request has more than 2 spans: send smaller batches");
}

#[test]
fn what_is_past_a_limit_is_cut_and_marked() {
    let limits = Limits { max_attributes: 2, max_value_bytes: 5, max_events: 1, max_links: 1, ..Limits::default() };
    let mark = || named(TRUNCATED, Value::BoolValue(true));
    let check = |change: fn(&mut Span), expect: fn(&mut Span)| {
        let (mut sent, mut kept) = (Span { name: "n".to_owned(), ..span(1) }, Span { name: "n".to_owned(), ..span(1) });
        change(&mut sent);
        expect(&mut kept);
        kept.attributes.push(mark());
        let plain = Span { name: "p".to_owned(), ..span(2) };
        let batch = index_request(&request_of(None, vec![plain.clone(), sent, plain.clone()]), &limits);
        assert_eq!((batch.truncated_spans, batch.rejected.span_count), (1, 0));
        let spans: Vec<Span> = batch.spans.iter().map(|entry| readable::span(batch.span_bytes(entry))).collect();
        assert_eq!(spans, [plain.clone(), kept, plain]);
    };
    check(
        |sent| {
            sent.attributes = (0..4).map(|i| named("k", Value::IntValue(i))).collect();
            sent.dropped_attributes_count = 7;
        },
        |kept| {
            kept.attributes = (0..2).map(|i| named("k", Value::IntValue(i))).collect();
            kept.dropped_attributes_count = 9;
        },
    );
    check(|sent| sent.attributes.push(named("k", text("ééé"))), |kept| kept.attributes.push(named("k", text("éé"))));
    check(
        |sent| sent.attributes.push(named("k", Value::BytesValue(vec![1; 6]))),
        |kept| kept.attributes.push(named("k", Value::BytesValue(vec![1; 5]))),
    );
    check(
        |sent| {
            let list = Value::KvlistValue(KeyValueList { values: vec![named("k", text("123456"))] });
            sent.attributes.push(named("k", list));
        },
        |kept| {
            let list = Value::KvlistValue(KeyValueList { values: vec![named("k", text("12345"))] });
            kept.attributes.push(named("k", list));
        },
    );
    check(|sent| "123456".clone_into(&mut sent.name), |kept| "12345".clone_into(&mut kept.name));
    check(
        |sent| sent.status = Some(Status { message: "123456".to_owned(), code: 2 }),
        |kept| kept.status = Some(Status { message: "12345".to_owned(), code: 2 }),
    );
    check(
        |sent| {
            sent.events = vec![Event::default(); 3];
            sent.links = vec![Link::default(); 2];
        },
        |kept| {
            kept.events = vec![Event::default()];
            kept.links = vec![Link::default()];
            (kept.dropped_events_count, kept.dropped_links_count) = (2, 1);
        },
    );
    check(
        |sent| {
            let attributes = vec![named("k", Value::IntValue(1)); 3];
            sent.events.push(Event { attributes: attributes.clone(), ..Event::default() });
            sent.links.push(Link { attributes, ..Link::default() });
        },
        |kept| {
            let attributes = vec![named("k", Value::IntValue(1)); 2];
            kept.events.push(Event { attributes: attributes.clone(), dropped_attributes_count: 1, ..Event::default() });
            kept.links.push(Link { attributes, dropped_attributes_count: 1, ..Link::default() });
        },
    );
}

#[test]
fn a_cut_resource_or_scope_counts_for_all_its_spans() {
    let limits = Limits { max_value_bytes: 10, ..Limits::default() };
    let long = "0123456789abcdef";
    let mark = || vec![named(TRUNCATED, Value::BoolValue(true))];
    let spans = || vec![span(1), span(2)];

    let mut request = request_of(None, spans());
    long.clone_into(&mut request.resource_spans[0].schema_url);
    let batch = index_request(&request, &limits);
    assert_eq!(batch.truncated_spans, 2);
    let kept = readable::request(&batch);
    assert_eq!(kept.resource_spans[0].schema_url, "0123456789");
    assert_eq!(kept.resource_spans[0].resource.as_ref().map(|resource| &resource.attributes), Some(&mark()));

    let mut request = request_of(None, spans());
    request.resource_spans[0].scope_spans[0].scope =
        Some(InstrumentationScope { name: long.to_owned(), ..InstrumentationScope::default() });
    // One of its spans is cut too, and is not counted twice.
    long.clone_into(&mut request.resource_spans[0].scope_spans[0].spans[0].name);
    let batch = index_request(&request, &limits);
    assert_eq!(batch.truncated_spans, 2);
    let kept = readable::request(&batch);
    let scope = kept.resource_spans[0].scope_spans[0].scope.clone().expect("kept");
    assert_eq!((scope.name.as_str(), scope.attributes), ("0123456789", mark()));
}

#[test]
fn repeated_singular_fields_merge_as_protobuf_says() {
    let resource = |key: &str, dropped: u32| Resource {
        attributes: vec![named(key, text("v"))],
        dropped_attributes_count: dropped,
        ..Resource::default()
    };
    let value = |value: Value| field(2, &AnyValue { value: Some(value) }.encode_to_vec());
    let array = |element: i64| {
        Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(Value::IntValue(element)) }] })
    };
    let span_bytes = [
        span(1).encode_to_vec(),
        field(5, b"renamed"),
        field(15, &Status { message: "m".to_owned(), code: 0 }.encode_to_vec()),
        field(15, &Status { message: String::new(), code: 2 }.encode_to_vec()),
        field(9, &[field(1, b"a"), value(array(1)), value(array(2))].concat()),
        field(9, &[field(1, b"b"), field(1, b"c"), value(text("x")), value(Value::IntValue(5))].concat()),
        field(9, &field(2, &[field(1, b"first"), b"\x18\x07".to_vec()].concat())),
        b"\x30\x01\x30\x02".to_vec(),
    ]
    .concat();
    let scope = |name: &str, version: &str| InstrumentationScope {
        name: name.to_owned(),
        version: version.to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = [
        field(1, &scope("old", "1").encode_to_vec()),
        field(2, &span_bytes),
        field(1, &scope("new", "").encode_to_vec()),
        field(3, b"u1"),
        field(3, b"u2"),
    ]
    .concat();
    let bytes = field(
        1,
        &[
            field(1, &resource("a", 4).encode_to_vec()),
            field(2, &scope_spans),
            field(1, &resource("b", 0).encode_to_vec()),
        ]
        .concat(),
    );
    let expect = ExportTraceServiceRequest::decode(bytes.as_slice()).expect("well formed");
    let batch = index(bytes.into(), &Limits::default()).expect("well formed");
    assert_eq!(readable::request(&batch), arbitrary::canonical(&expect));
    assert_eq!(batch.truncated_spans, 0);
    let merged = &expect.resource_spans[0];
    assert_eq!(merged.resource.as_ref().map(|resource| resource.attributes.len()), Some(2));
    assert_eq!(merged.scope_spans[0].spans[0].name, "renamed");
}

#[test]
fn unknown_fields_are_skipped_everywhere() {
    // Field 1000 of every wire type, and a group with a group inside.
    let unknown =
        [&b"\xc0\x3e\x05"[..], b"\xc1\x3e12345678", b"\xc2\x3e\x02ab", b"\xc5\x3e1234", b"\xc3\x3e\x0b\x0c\xc4\x3e"]
            .concat();
    let with_unknown = |parts: &[Vec<u8>]| [&unknown[..], &parts.concat(), &unknown].concat();
    let value = with_unknown(&[field(1, b"v")]);
    let attribute = with_unknown(&[field(1, b"k"), field(2, &value), b"\x18\x07".to_vec()]);
    let list = field(6, &with_unknown(&[field(1, &attribute)]));
    let array = field(5, &with_unknown(&[field(1, &value)]));
    let span_bytes = with_unknown(&[
        span(1).encode_to_vec(),
        field(9, &attribute),
        field(9, &field(2, &list)),
        field(9, &field(2, &array)),
        field(11, &with_unknown(&[field(3, &attribute)])),
        field(13, &with_unknown(&[field(4, &attribute)])),
        field(15, &with_unknown(&[field(1, b"reserved"), field(2, b"m")])),
    ]);
    let scope_spans = with_unknown(&[field(1, &with_unknown(&[field(1, b"s")])), field(2, &span_bytes)]);
    let resource = with_unknown(&[field(1, &attribute), field(3, &with_unknown(&[field(2, b"host")]))]);
    let bytes = with_unknown(&[field(1, &with_unknown(&[field(1, &resource), field(2, &scope_spans)]))]);
    let expect = ExportTraceServiceRequest::decode(bytes.as_slice()).expect("well formed");
    let batch = index(bytes.clone().into(), &Limits::default()).expect("well formed");
    assert_eq!(readable::request(&batch), arbitrary::canonical(&expect));
    assert_eq!(batch.bytes, bytes, "the cold path was not needed");
}

#[test]
fn damaged_bytes_end_the_readers() {
    let encoded = Span { attributes: vec![named("key", text("value")); 3], ..span(1) }.encode_to_vec();
    for at in 0..encoded.len() {
        for bit in 0..8 {
            let mut damaged = encoded.clone();
            damaged[at] ^= 1 << bit;
            readable::span(&damaged);
            readable::resource(&damaged);
            readable::scope(&damaged);
            readable::event(&damaged);
            readable::link(&damaged);
        }
    }
}

proptest! {
    #[test]
    fn readers_give_back_what_was_encoded(request in arbitrary::request()) {
        let encoded = Bytes::from(request.encode_to_vec());
        let batch = index(encoded.clone(), &Limits::default()).expect("well formed");
        prop_assert_eq!(readable::request(&batch), arbitrary::canonical(&request));
        prop_assert_eq!(batch.rejected.span_count, 0);
        prop_assert_eq!(batch.bytes, encoded);
    }

    #[test]
    fn entries_carry_the_spans_own_ids_and_times(request in arbitrary::request_with_bad_ids()) {
        let batch = index_request(&request, &Limits::default());
        let canonical = arbitrary::canonical(&request);
        prop_assert_eq!(&readable::request(&batch), &canonical);
        let spans = canonical.resource_spans.iter().flat_map(|group| &group.scope_spans[0].spans);
        for (entry, span) in batch.spans.iter().zip(spans) {
            prop_assert_eq!(&entry.trace_id.0[..], &span.trace_id[..]);
            prop_assert_eq!(&entry.span_id.0[..], &span.span_id[..]);
            let parent: [u8; 8] = span.parent_span_id.as_slice().try_into().unwrap_or_default();
            prop_assert_eq!(entry.parent_span_id, parent);
            let times = (span.start_time_unix_nano, span.end_time_unix_nano);
            prop_assert_eq!((entry.start_unix_nanos, entry.end_unix_nanos), times);
        }
        let sent = request.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum::<usize>();
        prop_assert_eq!(batch.spans.len() as u64 + batch.rejected.span_count, sent as u64);
    }

    /// Concatenated encodings are merged messages; so is a doubled one.
    #[test]
    fn concatenated_messages_merge_as_prost_merges_them(
        first in arbitrary::span(),
        second in arbitrary::span(),
        resource in arbitrary::resource(),
        other in arbitrary::resource(),
    ) {
        let span = [first.encode_to_vec(), second.encode_to_vec()].concat();
        let group = [
            field(1, &resource.encode_to_vec()),
            field(2, &field(2, &span)),
            field(1, &other.encode_to_vec()),
        ]
        .concat();
        let bytes = field(1, &group);
        let expect = ExportTraceServiceRequest::decode(bytes.as_slice()).expect("well formed");
        let batch = index(bytes.into(), &Limits::default()).expect("well formed");
        prop_assert_eq!(readable::request(&batch), arbitrary::canonical(&expect));
    }

    #[test]
    fn damaged_requests_never_panic_and_agree_with_prost(
        request in arbitrary::request(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8u32), 1..4),
    ) {
        let mut bytes = request.encode_to_vec();
        if bytes.is_empty() {
            return Ok(());
        }
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        let indexed = index(bytes.clone().into(), &Limits::default());
        if let Ok(expect) = ExportTraceServiceRequest::decode(bytes.as_slice()) {
            let batch = indexed.expect("prost takes it");
            prop_assert_eq!(readable::request(&batch), arbitrary::canonical(&expect));
        } else if let Ok(batch) = indexed {
            // A text that is not UTF-8, or groups that prost finds too deep: both judge the rest alike.
            readable::request(&batch);
        }
    }
}
