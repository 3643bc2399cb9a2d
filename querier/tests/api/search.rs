//! Search: tags, durations and times of whole traces, copies, order, and a model to compare with.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use spanlake_model::HumanDuration;
use spanlake_querier::Config;
use spanlake_storage::Store;

use crate::world::*;

#[tokio::test]
async fn the_shape_of_an_answer() {
    let world = World::new();
    let empty = world.get("/api/search").await.json();
    assert_eq!(empty, serde_json::json!({"traces": [], "metrics": {}}));
    world
        .block(&[
            span(1, 1, 0, "shop", "GET /", 0, 557),
            span(1, 2, 1, "db", "SELECT", 10, 5).failed(),
            span(1, 3, 1, "db", "SELECT", 20, 5),
        ])
        .await;
    let json = world.get("/api/search").await.json();
    let expect = serde_json::json!([{
        "traceID": hex(1).trim_start_matches('0'), "rootServiceName": "shop", "rootTraceName": "GET /",
        "startTimeUnixNano": EPOCH.to_string(), "durationMs": 557,
        "serviceStats": {"shop": {"spanCount": 1}, "db": {"spanCount": 2, "errorCount": 1}},
    }]);
    assert_eq!(json["traces"], expect);
    assert_eq!(json["metrics"]["inspectedTraces"], 1);
    assert_eq!(json["metrics"]["totalBlocks"], 1);
    assert!(json["metrics"]["inspectedBytes"].is_string() && json["metrics"]["totalBlockBytes"].is_string());
    world.block(&[span(2, 2, 1, "db", "SELECT", 10, 0)]).await;
    let json = world.get("/api/search").await.json();
    assert_eq!(json["traces"][0]["rootServiceName"], "<root span not yet received>");
    assert_eq!(json["traces"][0].get("rootTraceName"), None);
    assert_eq!(json["traces"][0].get("durationMs"), None);
}

#[tokio::test]
async fn spans_without_times_do_not_stretch_their_trace() {
    let world = World::new();
    let timeless = |id| {
        let mut stored = span(1, id, 1, "shop", "untimed", 0, 0);
        (stored.span.start_time_unix_nano, stored.span.end_time_unix_nano) = (0, 0);
        stored
    };
    world.block(&[timeless(3)]).await;
    world.block(&[span(1, 1, 0, "shop", "GET /", 5, 40), timeless(2)]).await;
    world.block(&[timeless(4)]).await;
    let traces = world.get("/api/search").await.json()["traces"].clone();
    assert_eq!(traces[0]["startTimeUnixNano"], (EPOCH + 5 * MILLI).to_string());
    assert_eq!(traces[0]["durationMs"], 40);
    assert_eq!(traces[0]["serviceStats"]["shop"]["spanCount"], 4);
    let slow = world.get("/api/search?minDuration=1m").await.json();
    assert_eq!(slow["traces"], serde_json::json!([]));
}

#[tokio::test]
async fn tags_match_any_span_of_the_whole_trace() {
    let world = World::new();
    world
        .block(&[
            span(1, 1, 0, "web", "GET /cart", 0, 50).text("user", "Ann"),
            span(2, 1, 0, "web", "GET /pay", 10, 50).text("user", "Bob").failed(),
            span(3, 1, 0, "api", "POST /cart", 20, 50).with("http.status_code", Value::IntValue(503)),
        ])
        .await;
    world
        .block(&[
            span(1, 2, 1, "db", "SELECT", 5, 5).text("db.system", "postgres").with("retry", Value::BoolValue(true)),
            span(2, 2, 1, "cache", "GET", 15, 5).text("error", "true").text("quoted", "a b=\"c\""),
        ])
        .await;
    let cases: &[(&str, &[u8])] = &[
        ("tags=user%3DAnn", &[1]),
        ("tags=user%3DAn", &[1]),
        ("tags=user%3Dann", &[]),
        ("tags=user%3D", &[2, 1]),
        ("tags=service.name%3Dweb", &[2, 1]),
        ("tags=service.name%3Dweb%20db.system%3Dpostgres", &[1]),
        ("tags=user%3DBob%20db.system%3Dpostgres", &[]),
        ("tags=name%3Dcart", &[3, 1]),
        ("tags=name%3D%22GET%20%2F%22", &[2, 1]),
        ("tags=root.name%3DGET", &[2, 1]),
        ("tags=root.service.name%3Dapi", &[3]),
        ("tags=root.service.name%3Ddb", &[]),
        ("tags=status.code%3Derror", &[2]),
        ("tags=status.code%3Dunset", &[3, 2, 1]),
        ("tags=status.code%3Dok", &[]),
        ("tags=error%3Dtrue", &[2]),
        ("tags=http.status_code%3D503", &[3]),
        ("tags=http.status_code%3D50", &[3]),
        ("tags=retry%3Dtrue", &[1]),
        ("tags=quoted%3D%22a%20b%3D%5C%22c%5C%22%22", &[2]),
        ("service.name=cache&limit=10", &[2]),
        ("tags=missing%3Dx", &[]),
        ("limit=2", &[3, 2]),
        ("", &[3, 2, 1]),
    ];
    for (query, expect) in cases {
        assert_eq!(world.found(query).await, *expect, "{query}");
    }
}

#[tokio::test]
async fn durations_and_times_are_those_of_the_whole_trace() {
    let world = World::new();
    world.block(&[span(1, 1, 0, "web", "a", 0, 50), span(2, 1, 0, "web", "b", 10, 50)]).await;
    world.block(&[span(1, 2, 1, "web", "late", 5_000, 100)]).await;
    let cases: &[(&str, &[u8])] = &[
        ("minDuration=1s", &[1]),
        ("maxDuration=1s", &[2]),
        ("minDuration=5100ms", &[1]),
        ("minDuration=5101ms", &[]),
        ("maxDuration=49ms", &[]),
        ("start=1700000003&end=1700000004", &[1]),
        ("start=1700000000&end=1700000001", &[2, 1]),
        ("start=1700000006&end=1700000007", &[]),
        ("start=1700000003&end=1700000004&maxDuration=1s", &[]),
        ("since=1h", &[]),
        ("start=0&end=0", &[2, 1]),
    ];
    for (query, expect) in cases {
        assert_eq!(world.found(query).await, *expect, "{query}");
    }
}

#[tokio::test]
async fn copies_in_three_blocks_count_once() {
    let world = World::new();
    let spans = [span(1, 1, 0, "web", "GET /", 0, 50), span(1, 2, 1, "db", "SELECT", 10, 5).failed()];
    for _ in 0..3 {
        world.block(&spans).await;
    }
    world.block(&[span(1, 3, 1, "db", "UPDATE", 10, 5)]).await;
    let json = world.get("/api/search?tags=name%3DSELECT").await.json();
    let traces = json["traces"].as_array().expect("traces");
    assert_eq!(traces.len(), 1);
    assert_eq!(traces[0]["rootServiceName"], "web");
    assert_eq!(traces[0]["rootTraceName"], "GET /");
    assert_eq!(
        traces[0]["serviceStats"],
        serde_json::json!({"web": {"spanCount": 1}, "db": {"spanCount": 2, "errorCount": 1}})
    );
}

#[tokio::test]
async fn many_blocks_stop_early_and_answer_the_newest() {
    let config = Config { trace_reach: HumanDuration::from_secs(10), ..Config::default() };
    let world = World::with(Store::memory(), config);
    for i in 1..=60_u8 {
        world.block(&[span(i, 1, 0, "web", "GET /", u64::from(i) * 60_000, 50)]).await;
    }
    let json = world.get("/api/search?limit=5").await.json();
    assert_eq!(world.found("limit=5").await, [60, 59, 58, 57, 56]);
    assert!(json["metrics"]["totalBlocks"].as_u64().expect("a number") < 30, "{}", json["metrics"]);
    assert_eq!(world.found("limit=60").await.len(), 60);
    assert_eq!(world.found("limit=5&start=1700000600&end=1700001200").await, [20, 19, 18, 17, 16]);
}

#[tokio::test]
async fn what_is_only_said_by_a_span_without_a_time_is_found_in_the_order_of_its_trace() {
    let config = Config { trace_reach: HumanDuration::from_secs(10), ..Config::default() };
    let world = World::with(Store::memory(), config);
    for i in 1..=60_u8 {
        let root = span(i, 1, 0, "web", "GET /", u64::from(i) * 60_000, 50);
        if i == 58 {
            let mut untimed = span(i, 2, 1, "web", "GET /", 0, 0).text("user", "Ann");
            (untimed.span.start_time_unix_nano, untimed.span.end_time_unix_nano) = (0, 7);
            world.block(&[untimed]).await;
            world.block(&[root]).await;
        } else {
            world.block(&[root.text("user", "Ann")]).await;
        }
    }
    for query in ["tags=user%3DAnn&limit=5", "q=%7Bspan.user%3D%22Ann%22%7D&limit=5"] {
        assert_eq!(world.found(query).await, [60, 59, 58, 57, 56], "{query}");
    }
}

#[tokio::test]
async fn answers_are_kept_equal_however_spans_are_spread_over_blocks() {
    // A small generator (xorshift) keeps the cases the same on every run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for round in 0..15 {
        let mut spans = Vec::new();
        for trace in 1..=12_u8 {
            let start = next(60_000);
            for id in 1..=(1 + next(6) as u8) {
                let service = ["web", "db", "cart"][next(3) as usize];
                let name = ["GET /", "SELECT 1", "add"][next(3) as usize];
                let mut stored = span(trace, id, id - 1, service, name, start + next(900), 1 + next(300));
                if next(3) == 0 {
                    stored = stored.text("user", ["ann", "bob"][next(2) as usize]);
                }
                if next(5) == 0 {
                    stored = stored.failed();
                }
                spans.push(stored);
            }
        }
        let world = World::new();
        let mut blocks: Vec<Vec<Stored>> = vec![Vec::new(); 1 + next(9) as usize];
        for stored in &spans {
            for _ in 0..=next(2) {
                let block = next(blocks.len() as u64) as usize;
                blocks[block].push(stored.clone());
            }
        }
        for block in blocks.iter().filter(|block| !block.is_empty()) {
            world.block(block).await;
        }
        let cases: Vec<(&str, Vec<Test>, usize)> = vec![
            ("limit=100", vec![], 100),
            ("limit=3", vec![], 3),
            ("limit=4&tags=name%3DGET", vec![Box::new(|s| s.span.name.contains("GET"))], 4),
            (
                "limit=100&tags=user%3Dann%20service.name%3Ddb",
                vec![Box::new(|s| has(s, "user", "ann")), Box::new(|s| s.service == "db")],
                100,
            ),
            (
                "limit=2&tags=status.code%3Derror%20user%3Db",
                vec![Box::new(|s| s.span.status.is_some()), Box::new(|s| has(s, "user", "bob"))],
                2,
            ),
        ];
        for (query, tests, limit) in cases {
            let expect = model(&spans, &tests, limit);
            let json = world.get(&format!("/api/search?{query}")).await.json();
            let found: Vec<_> = json["traces"].as_array().expect("traces").iter().map(short).collect();
            assert_eq!(found, expect, "round {round}: {query}");
        }
    }
}

/// Whether a span matches a tag.
type Test = Box<dyn Fn(&Stored) -> bool>;

fn has(stored: &Stored, key: &str, value: &str) -> bool {
    stored.span.attributes.contains(&attribute(key, Value::StringValue(value.into())))
}

/// What the answer says of one trace, in short.
fn short(trace: &serde_json::Value) -> (String, u64, u64, String, String) {
    let text = |name: &str| trace[name].as_str().unwrap_or_default().to_owned();
    let start = text("startTimeUnixNano").parse().expect("a number");
    let stats = trace["serviceStats"].to_string();
    (text("traceID"), start, trace["durationMs"].as_u64().unwrap_or(0), text("rootTraceName"), stats)
}

/// The search over the spans as they are, without blocks.
fn model(spans: &[Stored], tests: &[Test], limit: usize) -> Vec<(String, u64, u64, String, String)> {
    let mut traces: BTreeMap<Vec<u8>, Vec<&Stored>> = BTreeMap::new();
    for stored in spans {
        traces.entry(stored.span.trace_id.clone()).or_default().push(stored);
    }
    let mut found = Vec::new();
    for (id, spans) in traces {
        if !tests.iter().all(|test| spans.iter().any(|stored| test(stored))) {
            continue;
        }
        let start = spans.iter().map(|s| s.span.start_time_unix_nano).min().expect("a span");
        let end = spans.iter().map(|s| s.span.end_time_unix_nano).max().expect("a span");
        let root = spans.iter().find(|s| s.span.parent_span_id.is_empty());
        let mut stats: BTreeMap<&str, BTreeMap<&str, u32>> = BTreeMap::new();
        for stored in &spans {
            let service = stats.entry(&stored.service).or_default();
            *service.entry("spanCount").or_default() += 1;
            if stored.span.status.is_some() {
                *service.entry("errorCount").or_default() += 1;
            }
        }
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let stats = serde_json::to_value(stats).expect("JSON").to_string();
        let name = root.map_or(String::new(), |root| root.span.name.clone());
        found.push((hex.trim_start_matches('0').to_owned(), start, (end - start) / MILLI, name, stats));
    }
    found.sort_by_key(|trace| (std::cmp::Reverse(trace.1), trace.0.clone()));
    found.truncate(limit);
    found
}
