//! Names and values of attributes: every place and type, bounds, filters, tenants, and a naive look to compare with.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use spanlake_block::{WriteOptions, write_block};
use spanlake_model::{Tenant, TimeRange};
use spanlake_otlp::Limits;
use spanlake_querier::{TagNamesRequest, TagScope, TagValuesRequest};
use spanlake_traceql::reference::random::{search_query, stored_spans};
use spanlake_traceql::reference::{self, StoredSpan};
use spanlake_traceql::{Field, FieldExpr, Intrinsic, Pipeline, Query, Scope, SpansetExpr, Stage, Value};

use crate::world::*;

const SCOPES: [TagScope; 5] =
    [TagScope::Resource, TagScope::Span, TagScope::Event, TagScope::Link, TagScope::Instrumentation];

fn text(text: &str) -> Any {
    Any::StringValue(text.to_owned())
}

fn array(values: &[Any]) -> Any {
    let values = values.iter().map(|value| AnyValue { value: Some(value.clone()) }).collect();
    Any::ArrayValue(ArrayValue { values })
}

fn filter(query: &str) -> Option<FieldExpr> {
    match &spanlake_traceql::parse(query).expect("a query").pipeline.stages[0] {
        Stage::Spansets(SpansetExpr::Filter(filter)) => filter.clone(),
        other => panic!("{other:?} is no filter"),
    }
}

fn field(text: &str) -> Field {
    let query = spanlake_traceql::parse(&format!("{{}} | select({text})")).expect("a query");
    match &query.pipeline.stages[..] {
        [_, Stage::Select(fields)] => fields[0].clone(),
        other => panic!("{other:?} selects nothing"),
    }
}

fn attribute_of(scope: Scope, key: &str) -> Field {
    Field::Attribute { of_parent: false, scope, key: key.to_owned() }
}

fn names_request() -> TagNamesRequest {
    TagNamesRequest { scope: None, range: None, filter: None, limit_per_scope: 1_000, max_bytes: u64::MAX }
}

fn values_request(field: Field) -> TagValuesRequest {
    TagValuesRequest { field, range: None, filter: None, limit: 1_000, max_bytes: 1 << 20 }
}

/// Publishes spans as one block.
async fn publish(world: &World, tenant: &Tenant, spans: &[StoredSpan], options: &WriteOptions) {
    let group = |stored: &StoredSpan| ResourceSpans {
        resource: Some(stored.resource.clone()),
        scope_spans: vec![ScopeSpans {
            scope: stored.scope.clone(),
            spans: vec![stored.span.clone()],
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    };
    let request = ExportTraceServiceRequest { resource_spans: spans.iter().map(group).collect() };
    let batch = spanlake_otlp::index(Bytes::from(request.encode_to_vec()), &Limits::default()).expect("a good request");
    let written = write_block(&[batch], options).expect("a block");
    world.catalog.publish_l0(tenant, written).await.expect("published");
}

fn small_blocks() -> WriteOptions {
    WriteOptions { row_group_rows: 2, page_rows: 2, min_values: 1, ..WriteOptions::default() }
}

fn stored(trace: u8, id: u8, parent: u8, service: &str, name: &str, attributes: &[(&str, Any)]) -> StoredSpan {
    let mut stored = span(trace, id, parent, service, name, u64::from(trace) * 1_000, 10);
    stored.span.attributes = attributes.iter().map(|(key, value)| attribute(key, value.clone())).collect();
    let resource = Resource { attributes: vec![attribute("service.name", text(service))], ..Resource::default() };
    StoredSpan { resource, scope: None, span: stored.span }
}

/// Two blocks of a shop: attributes of every type on spans, events and links.
async fn shop() -> World {
    let world = World::new();
    let mut root = stored(
        1,
        1,
        0,
        "web",
        "GET /",
        &[
            ("http.status_code", Any::IntValue(200)),
            ("user", text("ann")),
            ("ratio", Any::DoubleValue(0.5)),
            ("cached", Any::BoolValue(true)),
            ("tags", array(&[text("b"), text("a"), Any::IntValue(3), array(&[text("deep")])])),
            ("blob", Any::BytesValue(vec![1])),
        ],
    );
    root.span.events = vec![
        Event { name: "exception".into(), attributes: vec![attribute("kind", text("fatal"))], ..Event::default() },
        Event { name: "retry".into(), ..Event::default() },
    ];
    root.scope = Some(InstrumentationScope {
        name: "tracer".into(),
        version: "1.2".into(),
        attributes: vec![attribute("build", text("debug"))],
        ..InstrumentationScope::default()
    });
    let mut child = stored(1, 2, 1, "db", "SELECT", &[("user", text("bob")), ("http.status_code", text("n/a"))]);
    child.span.links = vec![Link { attributes: vec![attribute("relation", text("follows"))], ..Link::default() }];
    child.span.status = Some(opentelemetry_proto::tonic::trace::v1::Status { code: 2, message: "no rows".into() });
    publish(&world, &Tenant::single(), &[root, child], &small_blocks()).await;
    let late = [
        stored(2, 1, 0, "cart", "add", &[("http.status_code", Any::IntValue(503)), ("user", text("ann"))]),
        stored(2, 2, 1, "cart", "add", &[("user", text("cyd"))]),
        stored(3, 1, 9, "cart", "orphan", &[("kind", Any::IntValue(1))]),
    ];
    publish(&world, &Tenant::single(), &late, &small_blocks()).await;
    world
}

async fn values(world: &World, request: &TagValuesRequest) -> Vec<Value> {
    world.querier.tag_values(&[Tenant::single()], request).await.expect("values").values
}

async fn names(world: &World, request: &TagNamesRequest) -> BTreeMap<TagScope, Vec<String>> {
    let names = world.querier.tag_names(&[Tenant::single()], request).await.expect("names").scopes;
    let count = names.len();
    let names: BTreeMap<_, _> = names.into_iter().collect();
    assert_eq!(names.len(), count, "each scope is listed once");
    names
}

#[tokio::test]
async fn names_are_listed_by_scope() {
    let world = shop().await;
    let all = names(&world, &names_request()).await;
    let expect: [(TagScope, &[&str]); 5] = [
        (TagScope::Resource, &["service.name"]),
        (TagScope::Span, &["blob", "cached", "http.status_code", "kind", "ratio", "tags", "user"]),
        (TagScope::Event, &["kind"]),
        (TagScope::Link, &["relation"]),
        (TagScope::Instrumentation, &["build"]),
    ];
    assert_eq!(all.len(), expect.len());
    for (scope, expect) in expect {
        assert_eq!(all[&scope], expect, "{scope:?}");
        let one = names(&world, &TagNamesRequest { scope: Some(scope), ..names_request() }).await;
        assert_eq!(one, BTreeMap::from([(scope, expect.iter().map(|name| (*name).to_owned()).collect())]));
    }
    let short = names(&world, &TagNamesRequest { max_bytes: 12, ..names_request() }).await;
    assert_eq!(short[&TagScope::Span], ["blob", "cached"]);
    let two = names(&world, &TagNamesRequest { limit_per_scope: 2, ..names_request() }).await;
    assert_eq!((&two[&TagScope::Span][..], two.len()), (&["blob".to_owned(), "cached".to_owned()][..], 5));
    let intrinsics = names(&world, &TagNamesRequest { scope: Some(TagScope::Intrinsic), ..names_request() }).await;
    assert_eq!(intrinsics, BTreeMap::new());

    let of_cyd = TagNamesRequest { filter: filter("{ span.user = \"cyd\" }"), ..names_request() };
    let expect = [(TagScope::Resource, vec!["service.name".to_owned()]), (TagScope::Span, vec!["user".to_owned()])];
    assert_eq!(names(&world, &of_cyd).await, BTreeMap::from(expect));
    let of_web = TagNamesRequest { filter: filter("{ resource.service.name =~ \"w.b\" }"), ..names_request() };
    let of_web = names(&world, &of_web).await;
    assert_eq!(of_web[&TagScope::Event], ["kind"]);
    assert_eq!((of_web.get(&TagScope::Link), of_web[&TagScope::Instrumentation].len()), (None, 1));
    let nobody = TagNamesRequest { filter: filter("{ span.user = \"eve\" }"), ..names_request() };
    assert_eq!(names(&world, &nobody).await, BTreeMap::new());
}

#[tokio::test]
async fn values_are_listed_with_their_types() {
    let world = shop().await;
    let texts = |texts: &[&str]| texts.iter().map(|text| Value::String((*text).to_owned())).collect::<Vec<_>>();
    let mixed = |head: Vec<Value>, tail: &[&str]| head.into_iter().chain(texts(tail)).collect::<Vec<_>>();
    let cases = [
        ("span.user", texts(&["ann", "bob", "cyd"])),
        ("span.http.status_code", mixed(vec![Value::Int(200), Value::Int(503)], &["n/a"])),
        ("span.tags", mixed(vec![Value::Int(3)], &["a", "b"])),
        ("span.ratio", vec![Value::Float(0.5)]),
        ("span.cached", vec![Value::Bool(true)]),
        ("span.blob", vec![]),
        ("span.absent", vec![]),
        ("resource.service.name", texts(&["cart", "db", "web"])),
        ("resource.user", vec![]),
        ("event.kind", texts(&["fatal"])),
        ("link.relation", texts(&["follows"])),
        ("instrumentation.build", texts(&["debug"])),
        (".kind", mixed(vec![Value::Int(1)], &["fatal"])),
        (".service.name", texts(&["cart", "db", "web"])),
        ("parent.user", texts(&["ann", "bob", "cyd"])),
        ("name", texts(&["GET /", "SELECT", "add", "orphan"])),
        ("statusMessage", texts(&["no rows"])),
        ("rootName", texts(&["GET /", "add"])),
        ("rootServiceName", texts(&["cart", "web"])),
        ("event:name", texts(&["exception", "retry"])),
        ("instrumentation:name", texts(&["tracer"])),
        ("instrumentation:version", texts(&["1.2"])),
        ("status", vec![]),
        ("kind", vec![]),
        ("duration", vec![]),
        ("span:id", vec![]),
        ("trace:id", vec![]),
        ("link:traceID", vec![]),
    ];
    for (text, expect) in cases {
        let request = values_request(field(text));
        assert_eq!(values(&world, &request).await, expect, "{text}");
        let everything = TagValuesRequest { filter: filter("{ true }"), ..request };
        assert_eq!(values(&world, &everything).await, expect, "{text}, of all spans");
    }
    for (text, condition, expect) in [
        ("span.user", "resource.service.name = \"cart\"", texts(&["ann", "cyd"])),
        ("span.user", "name =~ \"GET.*|SELECT\" && kind = server", texts(&["ann", "bob"])),
        ("span.user", "name = \"SELECT\" || span.http.status_code >= 500", texts(&["ann", "bob"])),
        ("resource.service.name", "status = error", texts(&["db"])),
        ("resource.service.name", "span.absent = 1", vec![]),
        (".kind", "span.kind = 1", vec![Value::Int(1)]),
        ("event:name", "span.user = \"bob\"", vec![]),
        ("event:name", "span.cached = true", texts(&["exception", "retry"])),
        ("instrumentation:name", "event.kind != nil", texts(&["tracer"])),
        ("rootName", "span.user = \"cyd\"", texts(&["add"])),
        ("rootServiceName", "link.relation != nil", texts(&["web"])),
    ] {
        let request = TagValuesRequest { filter: filter(&format!("{{ {condition} }}")), ..values_request(field(text)) };
        assert_eq!(values(&world, &request).await, expect, "{text} where {condition}");
    }
}

#[tokio::test]
async fn bounds_keep_the_smallest() {
    let world = shop().await;
    let users = values_request(attribute_of(Scope::Span, "user"));
    let texts = |texts: &[&str]| texts.iter().map(|text| Value::String((*text).to_owned())).collect::<Vec<_>>();
    for (limit, max_bytes, expect) in
        [(2, 100, texts(&["ann", "bob"])), (100, 8, texts(&["ann", "bob"])), (0, 100, vec![]), (100, 2, vec![])]
    {
        assert_eq!(values(&world, &TagValuesRequest { limit, max_bytes, ..users.clone() }).await, expect);
    }
    let first = EPOCH + 1_000 * MILLI;
    let range = Some(TimeRange { start_unix_nanos: first, end_unix_nanos: first + MILLI });
    assert_eq!(values(&world, &TagValuesRequest { range, ..users.clone() }).await, texts(&["ann", "bob"]));
    let names = world.querier.tag_names(&[Tenant::single()], &TagNamesRequest { range, ..names_request() }).await;
    assert_eq!(names.expect("names").stats.block_count, 1);

    let answer = world.querier.tag_values(&[Tenant::single()], &users).await.expect("values");
    assert_eq!((answer.stats.block_count, answer.stats.inspected_spans), (2, 5));
    assert!(answer.stats.inspected_bytes > 0 && answer.stats.block_bytes > answer.stats.inspected_bytes);
}

#[tokio::test]
async fn tenants_are_apart_and_can_be_asked_together() {
    let world = World::new();
    let tenants = ["one", "two"].map(|name| Tenant::parse(name).expect("a tenant"));
    for (tenant, user) in tenants.iter().zip(["ann", "bob"]) {
        let spans = [stored(1, 1, 0, "web", "GET /", &[("user", text(user)), (user, Any::IntValue(1))])];
        publish(&world, tenant, &spans, &WriteOptions::default()).await;
    }
    let users = values_request(attribute_of(Scope::Span, "user"));
    let both = world.querier.tag_values(&tenants, &users).await.expect("values").values;
    assert_eq!(both, [Value::String("ann".to_owned()), Value::String("bob".to_owned())]);
    let second = world.querier.tag_values(&tenants[1..], &users).await.expect("values").values;
    assert_eq!(second, [Value::String("bob".to_owned())]);
    let request = TagNamesRequest { scope: Some(TagScope::Span), ..names_request() };
    let both = world.querier.tag_names(&tenants, &request).await.expect("names").scopes;
    assert_eq!(both, [(TagScope::Span, vec!["ann".to_owned(), "bob".to_owned(), "user".to_owned()])]);
    let nobody = world.querier.tag_names(&[Tenant::single()], &request).await.expect("names").scopes;
    assert_eq!(nobody, []);
}

#[tokio::test]
async fn agrees_with_a_naive_look() {
    let seed = std::env::var("SPANLAKE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::rng().random());
    println!("SPANLAKE_TEST_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for round in 0..60 {
        let trace_count = rng.random_range(1..10);
        let spans = stored_spans(&mut rng, trace_count);
        let world = World::new();
        let options = WriteOptions {
            row_group_rows: rng.random_range(2..40),
            page_rows: rng.random_range(2..20),
            min_values: rng.random_range(1..6),
            max_attribute_columns: rng.random_range(0..12),
            ..WriteOptions::default()
        };
        let mut blocks = vec![Vec::new(); rng.random_range(1..4)];
        let block_count = blocks.len();
        spans.iter().for_each(|span| blocks[rng.random_range(0..block_count)].push(span.clone()));
        for block in blocks.iter().filter(|block| !block.is_empty()) {
            publish(&world, &Tenant::single(), block, &options).await;
        }
        for _ in 0..12 {
            let filter = if rng.random_range(0..3) == 0 { None } else { random_filter(&mut rng) };
            let met: Vec<&StoredSpan> = spans.iter().filter(|span| meets(span, filter.as_ref())).collect();
            let is_exact = filter.as_ref().is_none_or(|filter| !is_of_trace(filter));
            let context = format!("round {round}: {filter:?}");

            let request = TagNamesRequest { filter: filter.clone(), ..names_request() };
            let found = names(&world, &request).await;
            if is_exact {
                assert_eq!(found, naive_names(&met), "{context}");
            }
            let field = random_field(&mut rng, &spans);
            let limit = if rng.random_range(0..3) == 0 { rng.random_range(0..4) } else { 1_000 };
            let request = TagValuesRequest { filter, limit, ..values_request(field.clone()) };
            let found = values(&world, &request).await;
            if is_exact {
                assert_eq!(found, naive_values(&met, &field, limit), "{context}: {field:?}");
            }
        }
    }
}

fn random_filter(rng: &mut StdRng) -> Option<FieldExpr> {
    loop {
        if let Stage::Spansets(SpansetExpr::Filter(filter)) = &search_query(rng).pipeline.stages[0] {
            return filter.clone();
        }
    }
}

/// Whether the span alone meets the filter.
fn meets(span: &StoredSpan, filter: Option<&FieldExpr>) -> bool {
    let stages = vec![Stage::Spansets(SpansetExpr::Filter(filter.cloned()))];
    let query = Query { pipeline: Pipeline { stages }, metrics: None, hints: Vec::new() };
    !reference::search(std::slice::from_ref(span), &query, None, 1).is_empty()
}

/// Whether only a whole trace can decide the filter.
fn is_of_trace(filter: &FieldExpr) -> bool {
    match filter {
        FieldExpr::Literal(_) => false,
        FieldExpr::Field(Field::Attribute { of_parent, .. }) => *of_parent,
        FieldExpr::Field(Field::Intrinsic(intrinsic)) => matches!(
            intrinsic,
            Intrinsic::ChildCount
                | Intrinsic::RootName
                | Intrinsic::RootServiceName
                | Intrinsic::TraceDuration
                | Intrinsic::TraceId
                | Intrinsic::NestedSetLeft
                | Intrinsic::NestedSetRight
                | Intrinsic::NestedSetParent
        ),
        FieldExpr::Negate(inner) | FieldExpr::Not(inner) => is_of_trace(inner),
        FieldExpr::Binary { left, right, .. } => is_of_trace(left) || is_of_trace(right),
    }
}

fn attributes_of(span: &StoredSpan, scope: TagScope) -> Vec<&Vec<KeyValue>> {
    let Span { attributes, events, links, .. } = &span.span;
    match scope {
        TagScope::Resource => vec![&span.resource.attributes],
        TagScope::Span => vec![attributes],
        TagScope::Event => events.iter().map(|event| &event.attributes).collect(),
        TagScope::Link => links.iter().map(|link| &link.attributes).collect(),
        TagScope::Instrumentation => span.scope.iter().map(|scope| &scope.attributes).collect(),
        TagScope::Intrinsic => vec![],
    }
}

fn random_field(rng: &mut StdRng, spans: &[StoredSpan]) -> Field {
    let intrinsics = [
        Intrinsic::Name,
        Intrinsic::StatusMessage,
        Intrinsic::EventName,
        Intrinsic::InstrumentationName,
        Intrinsic::InstrumentationVersion,
    ];
    if rng.random_range(0..5) == 0 {
        return Field::Intrinsic(intrinsics[rng.random_range(0..intrinsics.len())]);
    }
    let scopes =
        [Scope::Any, Scope::Span, Scope::Span, Scope::Resource, Scope::Event, Scope::Link, Scope::Instrumentation];
    let scope = scopes[rng.random_range(0..scopes.len())];
    let lists = spans.iter().flat_map(|span| SCOPES.iter().flat_map(|scope| attributes_of(span, *scope)));
    let keys: BTreeSet<&String> = lists.flatten().map(|attribute| &attribute.key).collect();
    let keys: Vec<&String> = keys.into_iter().collect();
    let key = if keys.is_empty() { "absent" } else { keys[rng.random_range(0..keys.len())] };
    attribute_of(scope, key)
}

fn naive_names(spans: &[&StoredSpan]) -> BTreeMap<TagScope, Vec<String>> {
    let names = SCOPES.map(|scope| {
        let lists = spans.iter().flat_map(|span| attributes_of(span, scope));
        let names: BTreeSet<String> = lists.flatten().map(|attribute| attribute.key.clone()).collect();
        (scope, names.into_iter().collect::<Vec<_>>())
    });
    names.into_iter().filter(|(_, names)| !names.is_empty()).collect()
}

fn naive_values(spans: &[&StoredSpan], field: &Field, limit: usize) -> Vec<Value> {
    let mut values = Vec::new();
    for span in spans {
        let status = span.span.status.as_ref();
        let texts: Vec<String> = match field {
            Field::Intrinsic(Intrinsic::Name) => vec![span.span.name.clone()],
            Field::Intrinsic(Intrinsic::StatusMessage) => {
                status.map(|status| status.message.clone()).into_iter().collect()
            }
            Field::Intrinsic(Intrinsic::EventName) => span.span.events.iter().map(|event| event.name.clone()).collect(),
            Field::Intrinsic(Intrinsic::InstrumentationName) => {
                span.scope.iter().map(|scope| scope.name.clone()).collect()
            }
            Field::Intrinsic(_) => span.scope.iter().map(|scope| scope.version.clone()).collect(),
            Field::Attribute { scope, key, .. } => {
                let places = [Scope::Resource, Scope::Span, Scope::Event, Scope::Link, Scope::Instrumentation];
                for (place, tag_scope) in places.into_iter().zip(SCOPES) {
                    if *scope == Scope::Any || *scope == place {
                        attributes_of(span, tag_scope).into_iter().for_each(|list| push_first(&mut values, list, key));
                    }
                }
                vec![]
            }
        };
        let may_be_empty = matches!(field, Field::Intrinsic(Intrinsic::Name | Intrinsic::EventName));
        values.extend(texts.into_iter().filter(|text| may_be_empty || !text.is_empty()).map(Value::String));
    }
    let rank = |value: &Value| match value {
        Value::Bool(_) => 0,
        Value::Int(_) => 1,
        Value::Float(_) => 2,
        _ => 3,
    };
    values.sort_by(|a, b| match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    });
    values.dedup();
    values.truncate(limit);
    values
}

/// The first value of the key that is one; of an array its elements.
fn push_first(values: &mut Vec<Value>, attributes: &[KeyValue], key: &str) {
    let scalar = |value: &AnyValue| match value.value.as_ref()? {
        Any::StringValue(text) => Some(Value::String(text.clone())),
        Any::IntValue(int) => Some(Value::Int(*int)),
        Any::BoolValue(bool) => Some(Value::Bool(*bool)),
        Any::DoubleValue(double) if !double.is_nan() => Some(Value::Float(*double + 0.0)),
        _ => None,
    };
    for attribute in attributes.iter().filter(|attribute| attribute.key == key) {
        let Some(value) = &attribute.value else { continue };
        let found: Vec<Value> = match &value.value {
            Some(Any::ArrayValue(array)) => array.values.iter().filter_map(scalar).collect(),
            _ => scalar(value).into_iter().collect(),
        };
        if !found.is_empty() {
            values.extend(found);
            return;
        }
    }
}
