//! What one trace is and why it took so long: skeleton, spans, diagnosis and what else is asked of one trace.

use http::StatusCode;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use serde_json::{Value as Json, json};
use spanlake_model::{ByteSize, Tenant};
use spanlake_querier::Config;
use spanlake_storage::Store;

use crate::world::*;

/// A request that asks the database for each of many rows, over two blocks.
async fn shop() -> World {
    let world = World::new();
    let mut spans = vec![span(1, 1, 0, "shop", "GET /basket", 0, 1_000)];
    for id in 2..=21 {
        let mut query = span(1, id, 1, "shop", "SELECT items", u64::from(id) * 40, 38)
            .text("db.query.text", &format!("SELECT * FROM items WHERE id = {id}"))
            .text("db.system.name", "postgresql");
        query.span.kind = 3;
        spans.push(query);
    }
    let (first, second) = spans.split_at(10);
    world.block(first).await;
    world.block(second).await;
    world
}

fn path(what: &str) -> String {
    format!("/api/v1/traces/{}/{what}", hex(1))
}

fn len(value: &Json) -> usize {
    value.as_array().expect("a list").len()
}

/// Every column of a skeleton has as many values as it has ids.
fn check_columns(skeleton: &Json) -> usize {
    let columns = skeleton["spans"].as_object().expect("columns");
    let count = len(&columns["id"]);
    for (name, column) in columns {
        assert_eq!(len(column), count, "{name}");
    }
    assert_eq!(len(&skeleton["preorder"]), count);
    count
}

#[tokio::test]
async fn a_skeleton_has_all_that_a_picture_needs() {
    let world = shop().await;
    let skeleton = world.get(&path("skeleton")).await.json();
    assert_eq!(check_columns(&skeleton), 21);
    assert_eq!((&skeleton["traceId"], &skeleton["version"]), (&json!(hex(1)), &json!(1)));
    assert_eq!(skeleton["startUnixNanos"], EPOCH.to_string());
    assert_eq!(skeleton["durationNanos"], 1_000 * MILLI);
    assert_eq!((&skeleton["spanCount"], &skeleton["errorCount"]), (&json!(21), &json!(0)));
    assert_eq!((&skeleton["root"], &skeleton["shape"]), (&json!(0), &json!("oneRoot")));
    assert_eq!((&skeleton["truncated"], skeleton.get("hiddenChildren")), (&json!(false), None));
    let spans = &skeleton["spans"];
    assert_eq!(spans["id"][0], "0000000000000101");
    assert_eq!((&spans["parent"][0], &spans["parent"][1]), (&json!(-1), &json!(0)));
    assert_eq!((&spans["start"][1], &spans["duration"][1]), (&json!(80 * MILLI), &json!(38 * MILLI)));
    assert_eq!((&spans["kind"][0], &spans["kind"][1], &spans["depth"][1]), (&json!(2), &json!(3), &json!(1)));
    assert_eq!(spans["self"][0], (1_000 - 20 * 38) * MILLI);
    assert_eq!((&spans["path"][1], &spans["async"][1]), (&json!(38 * MILLI), &json!(0)));
    let text = |column: &str, at: usize| &skeleton["strings"][spans[column][at].as_u64().expect("a code") as usize];
    assert_eq!((text("service", 0), text("name", 1)), (&json!("shop"), &json!("SELECT items")));
    assert_eq!(skeleton["folds"], json!([{ "parent": 0, "spans": (1..=20).collect::<Vec<_>>() }]));
    let shop = &skeleton["services"][0];
    assert_eq!(
        (&shop["name"], &shop["spans"], &shop["pathNanos"]),
        (&json!("shop"), &json!(21), &json!(1_000 * MILLI))
    );
    let segments = skeleton["criticalPath"].as_array().expect("segments");
    let length = |one: &Json| one["end"].as_u64().expect("an end") - one["start"].as_u64().expect("a start");
    assert_eq!(segments.iter().map(length).sum::<u64>(), 1_000 * MILLI);
    assert_eq!(len(&skeleton["orphans"]) + len(&skeleton["missingParents"]) + len(&skeleton["clock"]), 0);
    assert_eq!(skeleton.get("adjusted"), None);
}

#[tokio::test]
async fn a_large_skeleton_is_cut_from_the_bottom_and_continued() {
    let world = shop().await;
    world.block(&[span(1, 100, 5, "db", "inner", 205, 5), span(1, 101, 100, "db", "innermost", 206, 1)]).await;
    let cut = world.get(&path("skeleton?maxSpans=21")).await.json();
    assert_eq!((check_columns(&cut), &cut["spanCount"], &cut["truncated"]), (21, &json!(23), &json!(true)));
    let ids: Vec<&Json> = cut["spans"]["id"].as_array().expect("ids").iter().collect();
    let number = |id: &str| ids.iter().position(|one| *one == id).expect("shown");
    let (root, fifth) = (number("0000000000000101"), number("0000000000000105"));
    assert_eq!(cut["hiddenChildren"], json!({ root.to_string(): 2, fifth.to_string(): 2 }));
    let below = world.get(&path("skeleton?root=105")).await.json();
    assert_eq!((check_columns(&below), &below["root"], &below["truncated"]), (3, &json!(0), &json!(false)));
    assert_eq!((&below["spans"]["parent"], &below["spans"]["depth"]), (&json!([-1, 0, 1]), &json!([0, 1, 2])));
    assert_eq!(below["startUnixNanos"], cut["startUnixNanos"]);
    let least = world.get(&path("skeleton?maxSpans=1")).await.json();
    assert_eq!((check_columns(&least), &least["hiddenChildren"]), (1, &json!({ "0": 22 })));
}

#[tokio::test]
async fn a_long_chain_is_cut_in_no_time() {
    let world = World::new();
    let chain: Vec<Stored> = (1..=60_000u64)
        .map(|at| {
            let mut stored = span(1, 1, 0, "s", "step", 0, 0);
            (stored.span.start_time_unix_nano, stored.span.end_time_unix_nano) = (EPOCH + at, EPOCH + 200_000 - at);
            stored.span.span_id = at.to_be_bytes().to_vec();
            if at > 1 {
                stored.span.parent_span_id = (at - 1).to_be_bytes().to_vec();
            }
            stored
        })
        .collect();
    world.block(&chain).await;
    let cut = world.get(&path("skeleton?maxSpans=3")).await.json();
    assert_eq!((check_columns(&cut), &cut["hiddenChildren"]["2"]), (3, &json!(59_997)));
    let last = cut["criticalPath"].as_array().and_then(|path| path.last()).expect("a segment");
    assert_eq!(last["end"], cut["durationNanos"]);
    // What is hidden is told of the nearest span that is shown.
    assert_eq!(len(&cut["criticalPath"]), 7);
    world.get(&path("critical-path?slack=true")).await.json();
    world.get(&path("diagnosis")).await.json();
    let text = world.get(&path("text")).await;
    assert_eq!(text.status, StatusCode::OK);
}

#[tokio::test]
async fn damaged_traces_have_skeletons() {
    let world = World::new();
    // A cycle, a span that is its own parent, an orphan, times backwards and none.
    let mut backwards = span(1, 5, 1, "s", "backwards", 100, 0);
    backwards.span.end_time_unix_nano = 5;
    let mut timeless = span(1, 6, 1, "s", "timeless", 0, 0);
    (timeless.span.start_time_unix_nano, timeless.span.end_time_unix_nano) = (0, u64::MAX);
    let spans = [
        span(1, 1, 2, "s", "a", 0, 10),
        span(1, 2, 1, "s", "b", 1, 5),
        span(1, 3, 3, "s", "own parent", 2, 5).failed(),
        span(1, 4, 99, "s", "orphan\u{1b}[2J", 3, 5),
        backwards,
        timeless,
    ];
    world.block(&spans).await;
    let skeleton = world.get(&path("skeleton")).await.json();
    assert_eq!((check_columns(&skeleton), &skeleton["shape"]), (6, &json!("noRoot")));
    assert_eq!(len(&skeleton["orphans"]), 1);
    let missing = &skeleton["missingParents"][0];
    assert_eq!((&missing["id"], &missing["cause"]), (&json!("0000000000000163"), &json!("stillArriving")));
    assert_eq!(len(&missing["children"]), 1);
    let diagnosis = world.get(&path("diagnosis")).await.json();
    let rules: Vec<&Json> =
        diagnosis["findings"].as_array().expect("findings").iter().map(|one| &one["rule"]).collect();
    for rule in ["parent-cycle", "missing-parent", "impossible-time"] {
        assert!(rules.contains(&&json!(rule)), "{rules:?}");
    }
    assert_eq!(diagnosis["errorCount"], 1);
    for what in ["spans?ids=101,104", "skeleton?root=102", "skeleton?maxSpans=2"] {
        world.get(&path(what)).await.json();
    }
}

#[tokio::test]
async fn a_hundred_thousand_spans() {
    let world = World::new();
    let spans: Vec<Stored> = (0..100_000u64)
        .map(|at| {
            let mut stored = span(1, 1, 0, "web", "step", at, 1);
            stored.span.span_id = (at + 1).to_be_bytes().to_vec();
            if at > 0 {
                stored.span.parent_span_id = (at.isqrt() + u64::from(at.isqrt() == 0)).to_be_bytes().to_vec();
            }
            stored
        })
        .collect();
    let (first, second) = spans.split_at(50_000);
    world.block(first).await;
    world.block(second).await;
    let whole = world.get(&path("skeleton")).await.json();
    assert_eq!((check_columns(&whole), &whole["truncated"]), (100_000, &json!(false)));
    let cut = world.get(&path("skeleton?maxSpans=1000")).await.json();
    assert_eq!((check_columns(&cut), &cut["truncated"]), (1_000, &json!(true)));
    let hidden = cut["hiddenChildren"][cut["root"].to_string()].as_u64();
    assert_eq!(hidden, Some(99_000));
    let diagnosis = world.get(&path("diagnosis")).await.json();
    assert_eq!(diagnosis["spanCount"], 100_000);
}

#[tokio::test]
async fn spans_have_all_that_was_sent() {
    let world = World::new();
    let mut full = span(1, 2, 1, "db", "SELECT", 10, 5)
        .failed()
        .with("n", Value::IntValue(i64::MAX))
        .text("big", &"x".repeat(256 << 10));
    full.span.trace_state = "a=b".into();
    full.span.dropped_events_count = 3;
    full.span.events = vec![Event {
        name: "exception".into(),
        time_unix_nano: EPOCH + 12 * MILLI,
        attributes: vec![attribute("exception.type", Value::StringValue("E\u{0}\u{7}".into()))],
        ..Event::default()
    }];
    full.span.links = vec![Link { trace_id: trace_id(9).to_vec(), span_id: vec![7; 8], ..Link::default() }];
    world.block(&[span(1, 1, 0, "web", "GET /", 0, 50), full]).await;
    let found = world.get(&path("spans?ids=0000000000000102,dead")).await.json();
    assert_eq!(len(&found["spans"]), 1);
    let one = &found["spans"][0];
    assert_eq!((&one["id"], &one["parentId"]), (&json!("0000000000000102"), &json!("0000000000000101")));
    assert_eq!((&one["service"], &one["kind"], &one["traceState"]), (&json!("db"), &json!("server"), &json!("a=b")));
    assert_eq!(
        (&one["startUnixNanos"], &one["durationNanos"]),
        (&json!((EPOCH + 10 * MILLI).to_string()), &json!(5 * MILLI))
    );
    assert_eq!(one["status"], json!({ "code": "error", "message": "failed" }));
    assert_eq!((&one["droppedEvents"], one.get("droppedLinks")), (&json!(3), None));
    assert_eq!(one["attributes"][0]["value"].as_str().map(str::len), Some(256 << 10));
    assert_eq!(one["attributes"][1], json!({ "key": "n", "type": "int", "value": i64::MAX.to_string() }));
    assert_eq!(one["resource"], json!([{ "key": "service.name", "type": "string", "value": "db" }]));
    assert_eq!(one["scope"], json!({ "name": "lib", "version": "1", "attributes": [] }));
    assert_eq!((&one["events"][0]["name"], &one["events"][0]["offsetNanos"]), (&json!("exception"), &json!(2 * MILLI)));
    assert_eq!(one["links"][0], json!({ "traceId": hex(9), "spanId": "07".repeat(8), "attributes": [] }));
    let skeleton = world.get(&path("skeleton")).await.json();
    assert_eq!((&skeleton["spans"]["events"], &skeleton["spans"]["links"]), (&json!([0, 1]), &json!([0, 1])));
    let posted = world.post(&path("spans"), r#"{"ids":["102"]}"#).await.expect("an answer").json();
    assert_eq!(posted, found);
    let none = world.post(&path("spans"), r#"{"ids":[]}"#).await.expect("an answer").json();
    assert_eq!(none, json!({ "spans": [] }));
}

#[tokio::test]
async fn a_diagnosis_says_what_to_do() {
    let world = shop().await;
    let diagnosis = world.get(&path("diagnosis")).await.json();
    let finding = &diagnosis["findings"][0];
    assert_eq!((&finding["rule"], &finding["doc"]), (&json!("n-plus-one"), &json!("docs/findings/n-plus-one.md")));
    assert_eq!(len(&finding["spans"]), len(&finding["spanIds"]));
    assert!(finding["evidence"].as_array().expect("evidence").iter().any(|one| one["unit"] == "count"), "{finding}");
    assert!(finding["text"].as_str().is_some_and(|text| text.contains("SELECT")), "{finding}");
    assert_eq!(diagnosis["operations"][0]["name"], "SELECT items");
    assert_eq!(
        (&diagnosis["operations"][0]["count"], &diagnosis["operations"][0]["kind"]),
        (&json!(20), &json!("client"))
    );
    let path = diagnosis["pathByOperation"].as_array().expect("a path");
    let share: f64 = path.iter().map(|one| one["share"].as_f64().expect("a share")).sum();
    assert!((share - 1.0).abs() < 1e-9, "{path:?}");
    assert_eq!((&diagnosis["percentiles"], &diagnosis["baseline"]["operations"]), (&json!({}), &json!(0)));
    assert_eq!(diagnosis["errors"], json!({ "culprits": [], "edges": [] }));
}

#[tokio::test]
async fn culprits_are_told_with_their_error() {
    let world = World::new();
    let mut inner = span(1, 2, 1, "web", "call", 10, 5).failed().text("error.type", "Timeout");
    inner.span.kind = 3;
    world.block(&[span(1, 1, 0, "web", "GET /", 0, 50).failed(), inner]).await;
    let errors = &world.get(&path("diagnosis")).await.json()["errors"];
    let expect = json!([{ "span": 1, "spanId": "0000000000000102", "type": "Timeout", "message": "failed" }]);
    assert_eq!(errors["culprits"], expect);
    assert_eq!(errors["edges"][1], json!({ "parent": 0, "child": 1, "label": "propagated" }));
}

#[tokio::test]
async fn wrong_requests_get_a_sentence() {
    let world = shop().await;
    let many = (0..1_001).map(|id| format!("{id:x}")).collect::<Vec<_>>().join(",");
    for (what, part) in [
        ("skeleton?maxSpans=0", "maxSpans"),
        ("skeleton?maxSpans=x", "maxSpans"),
        ("skeleton?root=zz", "invalid root"),
        ("skeleton?root=fff", "no span"),
        ("skeleton?start=5&end=2", "start must be before end"),
        ("spans", "ids"),
        ("spans?ids=1,,2", "empty"),
        ("spans?ids=xyz", "'x'"),
        (&format!("spans?ids={many}"), "1000"),
    ] {
        let answer = world.get(&path(what)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}: {}", answer.text());
        assert!(answer.text().contains(part), "{what}: {}", answer.text());
    }
    for body in ["", "{}", "[", r#"{"ids":[1]}"#, &"x".repeat(100_000)] {
        let answer = world.post(&path("spans"), body).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    }
    for what in ["skeleton", "spans?ids=1", "diagnosis"] {
        let bad = world.get(&format!("/api/v1/traces/xyz/{what}")).await;
        assert_eq!(bad.status, StatusCode::BAD_REQUEST, "{what}");
        let absent = world.get(&format!("/api/v1/traces/abc/{what}")).await;
        assert_eq!(absent.status, StatusCode::NOT_FOUND, "{what}");
        assert!(absent.text().contains("was not found"), "{}", absent.text());
        let hinted = world
            .get(&format!(
                "/api/v1/traces/{}/{what}{}start=1&end=2",
                hex(1),
                if what.contains('?') { '&' } else { '?' }
            ))
            .await;
        assert_eq!(hinted.status, StatusCode::NOT_FOUND, "{what}");
    }
}

#[tokio::test]
async fn tenants_are_apart() {
    let world = World::with(Store::memory(), Config { tenancy_enabled: true, ..Config::default() });
    let tenant = Tenant::parse("a").expect("a tenant");
    world.block_of(&tenant, &[span(1, 1, 0, "web", "GET /", 0, 5)]).await;
    for what in ["skeleton", "spans?ids=101", "diagnosis"] {
        let status = async |tenant: &str| world.ask(&path(what), &[("X-Scope-OrgID", tenant)]).await.status;
        assert_eq!(status("a").await, StatusCode::OK);
        assert_eq!(status("b").await, StatusCode::NOT_FOUND);
        assert_eq!(world.get(&path(what)).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_trace_past_what_is_read_is_told_in_part() {
    let config = Config { max_trace_bytes: ByteSize(2_000), ..Config::default() };
    let world = World::with(Store::memory(), config);
    let spans: Vec<_> = (1..=200).map(|id| span(1, id, 0, "web", "a span of some length", u64::from(id), 1)).collect();
    world.block(&spans).await;
    let skeleton = world.get(&path("skeleton")).await.json();
    assert!(check_columns(&skeleton) < 100);
    assert_eq!(skeleton["truncated"], true);
}

#[tokio::test]
async fn a_slow_trace_is_held_against_what_is_usual() {
    let world = shop().await;
    let usual: Vec<Stored> =
        (2..=230).map(|trace| span(trace, 1, 0, "shop", "GET /basket", 0, 90 + u64::from(trace) % 20)).collect();
    world.block(&usual).await;
    let found = world.get(&path("diagnosis")).await.json();
    let slow = |finding: &&Json| finding["rule"] == "slow-operation";
    let findings = found["findings"].as_array().expect("findings");
    let slow = findings.iter().find(slow).unwrap_or_else(|| panic!("{findings:?}"));
    assert_eq!(slow["spans"], json!([0]));
    assert_eq!((&found["percentiles"]["0"]["count"], &found["percentiles"]["1"]), (&json!(230), &Json::Null));
    assert_eq!((&found["baseline"]["windowSeconds"], &found["baseline"]["operations"]), (&json!(7_200), &json!(1)));
    let picture = world.get(&path("text")).await;
    assert!(picture.text().contains("slower than"), "{}", picture.text());
    // Of another time nothing is known.
    let absent = World::new();
    absent.block(&[span(1, 1, 0, "shop", "GET /basket", 0, 1_000)]).await;
    let found = absent.get(&path("diagnosis")).await.json();
    assert_eq!((&found["percentiles"], &found["baseline"]["operations"]), (&json!({}), &json!(0)));
}
