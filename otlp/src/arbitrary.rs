//! Proptest strategies for OTLP requests: everything the protocol can say, in small sizes. For tests only.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Texts: empty, short, from a small pool so that they repeat, and with any characters.
pub fn text() -> BoxedStrategy<String> {
    prop_oneof![
        2 => Just(String::new()),
        6 => prop::sample::select(vec!["GET", "http.method", "service.name", "db.query.text", "é", "日本", "a b"])
            .prop_map(str::to_owned),
        4 => "[a-z.]{1,12}",
        2 => vec(any::<char>(), 0..6).prop_map(|chars| chars.into_iter().collect()),
        1 => "[a-z]{60,200}",
    ]
    .boxed()
}

/// Attribute values of every kind: empty, scalar, mixed and nested.
pub fn value() -> BoxedStrategy<AnyValue> {
    let number = prop_oneof![any::<i64>(), -2i64..200, Just(i64::MIN), Just(i64::MAX)];
    // Every double but the many NaNs, which no comparison could follow.
    let double = prop_oneof![any::<f64>().prop_filter("not NaN", |number| !number.is_nan()), Just(-0.0), Just(0.5)];
    let leaf = prop_oneof![
        1 => Just(None),
        6 => text().prop_map(|text| Some(Value::StringValue(text))),
        2 => any::<bool>().prop_map(|flag| Some(Value::BoolValue(flag))),
        4 => number.prop_map(|number| Some(Value::IntValue(number))),
        2 => double.prop_map(|number| Some(Value::DoubleValue(number))),
        1 => vec(any::<u8>(), 0..20).prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ]
    .prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 16, 4, |inner| {
        let entries = vec((text(), option::weighted(0.9, inner.clone())), 0..4).prop_map(|entries| {
            entries.into_iter().map(|(key, value)| KeyValue { key, value, key_strindex: 0 }).collect()
        });
        prop_oneof![
            vec(inner, 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            entries.prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
    .boxed()
}

/// Attributes: some without a value, keys repeating.
pub fn attributes() -> BoxedStrategy<Vec<KeyValue>> {
    let attribute =
        (text(), option::weighted(0.95, value())).prop_map(|(key, value)| KeyValue { key, value, key_strindex: 0 });
    vec(attribute, 0..6).boxed()
}

/// Trace ids as they must be: from a small pool, with 64 random bits, with 128.
pub fn trace_id() -> BoxedStrategy<Vec<u8>> {
    let id = prop_oneof![
        4 => (1u128..4).boxed(),
        1 => (1u128..=u128::from(u64::MAX)).boxed(),
        3 => (1u128..).boxed(),
    ];
    id.prop_map(|id| id.to_be_bytes().to_vec()).boxed()
}

/// Span ids as they must be.
pub fn span_id() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![1u64..20, 1u64..].prop_map(|id| id.to_be_bytes().to_vec()).boxed()
}

fn any_id() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![
        3 => trace_id(),
        3 => span_id(),
        1 => vec(any::<u8>(), 0..20),
        1 => Just(vec![0; 16]),
        1 => Just(vec![0; 8]),
    ]
    .boxed()
}

fn unix_nanos() -> BoxedStrategy<u64> {
    let now = 1_760_000_000_000_000_000u64;
    prop_oneof![1 => Just(0), 6 => now..now + 10_000_000_000, 1 => any::<u64>()].boxed()
}

fn count() -> BoxedStrategy<u32> {
    prop_oneof![4 => Just(0u32), 1 => 1u32..5, 1 => any::<u32>()].boxed()
}

fn flags() -> BoxedStrategy<u32> {
    prop_oneof![3 => Just(0x100u32), 1 => Just(0u32), 1 => any::<u32>()].boxed()
}

/// Span events.
pub fn event() -> BoxedStrategy<Event> {
    (unix_nanos(), text(), attributes(), count())
        .prop_map(|(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        })
        .boxed()
}

/// Span links, with ids of any length.
pub fn link() -> BoxedStrategy<Link> {
    (any_id(), any_id(), text(), attributes(), count(), flags())
        .prop_map(|(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        })
        .boxed()
}

fn status() -> BoxedStrategy<Option<Status>> {
    let code = prop_oneof![6 => 0..3i32, 1 => any::<i32>()];
    option::of((text(), code).prop_map(|(message, code)| Status { message, code })).boxed()
}

fn span_with(trace_id: BoxedStrategy<Vec<u8>>, span_id: BoxedStrategy<Vec<u8>>) -> BoxedStrategy<Span> {
    let parent = prop_oneof![2 => Just(Vec::new()), 4 => self::span_id(), 1 => any_id()];
    let kind = prop_oneof![6 => 0..6i32, 1 => any::<i32>()];
    let head = (trace_id, span_id, parent, text(), text(), kind, unix_nanos(), unix_nanos(), flags());
    let body = (attributes(), vec(event(), 0..3), vec(link(), 0..3), status(), count(), count(), count());
    (head, body)
        .prop_map(|(head, body)| Span {
            trace_id: head.0,
            span_id: head.1,
            parent_span_id: head.2,
            trace_state: head.3,
            name: head.4,
            kind: head.5,
            start_time_unix_nano: head.6,
            end_time_unix_nano: head.7,
            flags: head.8,
            attributes: body.0,
            events: body.1,
            links: body.2,
            status: body.3,
            dropped_attributes_count: body.4,
            dropped_events_count: body.5,
            dropped_links_count: body.6,
        })
        .boxed()
}

/// Spans that are all to be accepted: their own ids are right, everything else is anything.
pub fn span() -> BoxedStrategy<Span> {
    span_with(trace_id(), span_id())
}

/// Resources.
pub fn resource() -> BoxedStrategy<Resource> {
    let entity = (text(), text(), vec(text(), 0..3), vec(text(), 0..3)).prop_map(
        |(schema_url, r#type, id_keys, description_keys)| EntityRef { schema_url, r#type, id_keys, description_keys },
    );
    (attributes(), count(), vec(entity, 0..2))
        .prop_map(|(attributes, dropped_attributes_count, entity_refs)| Resource {
            attributes,
            dropped_attributes_count,
            entity_refs,
        })
        .boxed()
}

/// Instrumentation scopes.
pub fn scope() -> BoxedStrategy<InstrumentationScope> {
    (text(), text(), attributes(), count())
        .prop_map(|(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        })
        .boxed()
}

fn request_of(span: BoxedStrategy<Span>) -> BoxedStrategy<ExportTraceServiceRequest> {
    let scope_spans = (option::of(scope()), vec(span, 0..4), text())
        .prop_map(|(scope, spans, schema_url)| ScopeSpans { scope, spans, schema_url });
    let resource_spans = (option::of(resource()), vec(scope_spans, 0..3), text())
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url });
    vec(resource_spans, 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans }).boxed()
}

/// Requests of which every span is to be accepted under the default limits.
pub fn request() -> BoxedStrategy<ExportTraceServiceRequest> {
    request_of(span())
}

/// Requests in which some spans have ids that are zero or of a wrong length.
pub fn request_with_bad_ids() -> BoxedStrategy<ExportTraceServiceRequest> {
    request_of(span_with(
        prop_oneof![3 => trace_id(), 1 => any_id()].boxed(),
        prop_oneof![3 => span_id(), 1 => any_id()].boxed(),
    ))
}

/// What `readable::request` gives for an encoded request: only spans with right ids, each `ScopeSpans` that has one
/// under a `ResourceSpans` of its own, every attribute with a value.
pub fn canonical(request: &ExportTraceServiceRequest) -> ExportTraceServiceRequest {
    let mut canonical = ExportTraceServiceRequest::default();
    for resource_spans in &request.resource_spans {
        for scope_spans in &resource_spans.scope_spans {
            let mut scope_spans = scope_spans.clone();
            scope_spans.spans.retain(|span| {
                spanlake_model::TraceId::from_wire(&span.trace_id).is_some()
                    && spanlake_model::SpanId::from_wire(&span.span_id).is_some()
            });
            if scope_spans.spans.is_empty() {
                continue;
            }
            let mut resource = resource_spans.resource.clone();
            resource.iter_mut().for_each(|resource| give_values(&mut resource.attributes));
            scope_spans.scope.iter_mut().for_each(|scope| give_values(&mut scope.attributes));
            for span in &mut scope_spans.spans {
                give_values(&mut span.attributes);
                span.events.iter_mut().for_each(|event| give_values(&mut event.attributes));
                span.links.iter_mut().for_each(|link| give_values(&mut link.attributes));
            }
            let schema_url = resource_spans.schema_url.clone();
            canonical.resource_spans.push(ResourceSpans { resource, scope_spans: vec![scope_spans], schema_url });
        }
    }
    canonical
}

fn give_values(attributes: &mut [KeyValue]) {
    for attribute in attributes {
        attribute.key_strindex = 0;
        give_value(attribute.value.get_or_insert_default());
    }
}

fn give_value(value: &mut AnyValue) {
    match &mut value.value {
        Some(Value::ArrayValue(array)) => array.values.iter_mut().for_each(give_value),
        Some(Value::KvlistValue(list)) => give_values(&mut list.values),
        // Of the profiles signal: it points into a dictionary that traces do not have.
        Some(Value::StringValueStrindex(_)) => value.value = None,
        _ => {}
    }
}
