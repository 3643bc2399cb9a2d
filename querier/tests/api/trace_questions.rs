//! What is asked of one trace beside its picture: finding in it, its critical path, who links to it, it as text, how it differs
//! from others, and traces of a file.

use std::io::Write as _;

use http::StatusCode;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use prost::Message as _;
use serde_json::{Value as Json, json};
use spanlake_querier::Config;
use spanlake_storage::Store;

use crate::world::*;

fn path(what: &str) -> String {
    format!("/api/v1/traces/{}/{what}", hex(1))
}

/// A request with a call that fails, and a slower one of the same kind.
fn two_requests() -> Vec<Stored> {
    let client = |mut stored: Stored| {
        stored.span.kind = 3;
        stored
    };
    vec![
        span(1, 1, 0, "shop", "GET /cart", 0, 100),
        client(span(1, 2, 1, "shop", "Charge Card", 10, 50)).text("peer.service", "pay").failed(),
        span(1, 3, 2, "pay", "POST /charge", 15, 40).text("card", "visa"),
        span(2, 1, 0, "shop", "GET /cart", 5_000, 300),
        client(span(2, 2, 1, "shop", "Charge Card", 5_010, 250)),
        span(2, 4, 1, "shop", "log", 5_270, 5),
    ]
}

async fn stored() -> World {
    let world = World::new();
    world.block(&two_requests()).await;
    world
}

async fn found(world: &World, q: &str) -> Json {
    let json = world.get(&path(&format!("find?q={q}"))).await.json();
    assert_eq!(json["total"].as_u64(), json["spans"].as_array().map(|spans| spans.len() as u64));
    json["spans"].clone()
}

#[tokio::test]
async fn spans_are_found_by_what_is_written_on_them() {
    let world = stored().await;
    assert_eq!(found(&world, "CHARGE").await, json!([1, 2]));
    assert_eq!(found(&world, "failed").await, json!([1]));
    assert_eq!(found(&world, "visa").await, json!([2]));
    assert_eq!(found(&world, "card%3Dvisa").await, json!([2]));
    assert_eq!(found(&world, "card%3Dvis").await, json!([]));
    assert_eq!(found(&world, "service.name%3Dshop").await, json!([0, 1]));
    assert_eq!(found(&world, "%2F%5EPOST%2F").await, json!([2]));
    assert_eq!(found(&world, "%7Bstatus%3Derror%7D").await, json!([1]));
    assert_eq!(found(&world, "%7B%7D").await, json!([0, 1, 2]));
    assert_eq!(found(&world, "%7Bresource.service.name%3D%22pay%22||name%3D%22GET%20/cart%22%7D").await, json!([0, 2]));
    assert_eq!(found(&world, "nothing").await, json!([]));
    let answer = world.get(&path("find?q=visa")).await.json();
    assert_eq!(answer["ids"], json!(["0000000000000103"]));
    for wrong in ["find", "find?q=%2F(%2F", "find?q=%7B", "find?q=%7B%7D|rate()", "find?q=%7B%7D%26%26%7B%7D"] {
        assert_eq!(world.get(&path(wrong)).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn the_critical_path() {
    let world = stored().await;
    let found = world.get(&path("critical-path")).await.json();
    assert_eq!((&found["durationNanos"], found.get("slack")), (&json!(100 * MILLI), None));
    let segments = found["segments"].as_array().expect("segments");
    let names: Vec<&str> = segments.iter().map(|one| one["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["GET /cart", "Charge Card", "POST /charge", "Charge Card", "GET /cart"]);
    assert_eq!((&segments[1]["start"], &segments[1]["end"]), (&json!(10 * MILLI), &json!(15 * MILLI)));
    assert_eq!(segments[2]["spanId"], "0000000000000103");
    assert_eq!(
        found["byOperation"][0],
        json!({ "service": "shop", "name": "GET /cart", "nanos": 50 * MILLI, "share": 0.5 })
    );
    let slack = world.get(&path("critical-path?slack=true")).await.json();
    assert_eq!(slack["slack"], json!([0, 0, 0]));
    assert_eq!(world.get(&path("critical-path?slack=x")).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn who_links_to_it() {
    let world = stored().await;
    let mut job = span(7, 1, 0, "worker", "settle", 60_000, 10);
    job.span.links =
        vec![Link { trace_id: trace_id(1).to_vec(), span_id: vec![0, 0, 0, 0, 0, 0, 1, 2], ..Link::default() }];
    let mut own = span(1, 9, 1, "shop", "self link", 20, 1);
    own.span.links = job.span.links.clone();
    world.block(&[job, own, span(8, 1, 0, "worker", "other", 60_000, 10)]).await;
    let found = world.get(&path("backlinks")).await.json();
    let expect = json!({
        "traceId": hex(7), "spanId": "0000000000000701", "service": "worker", "name": "settle",
        "startUnixNanos": (EPOCH + 60_000 * MILLI).to_string(), "toSpanId": "0000000000000102",
    });
    assert_eq!(found, json!({ "links": [expect], "truncated": false }));
    let early = world.get(&path("backlinks?start=1600000000&end=1600000001")).await.json();
    assert_eq!(early, json!({ "links": [], "truncated": false }));
    let absent = world.get("/api/v1/traces/abc/backlinks?start=1700000000&end=1700003600").await.json();
    assert_eq!(absent["links"], json!([]));
    assert_eq!(world.get("/api/v1/traces/abc/backlinks").await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.get(&path("backlinks?limit=0")).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn as_text_and_as_markdown() {
    let world = stored().await;
    let text = world.get(&path("text")).await;
    assert_eq!(
        (text.status, &text.headers["content-type"]),
        (StatusCode::OK, &"text/plain; charset=utf-8".parse().expect("a value"))
    );
    assert!(text.text().starts_with("shop GET /cart") && text.text().contains("POST /charge"), "{}", text.text());
    let narrow = world.get(&path("text?width=60&ascii=true&findings=0")).await;
    assert!(narrow.text().is_ascii() && narrow.text().lines().all(|line| line.len() <= 60), "{}", narrow.text());
    let part = world.get(&path("text?span=103")).await;
    assert!(part.text().starts_with("pay POST /charge") && !part.text().contains("GET /cart"), "{}", part.text());
    let coloured = world.get(&path("text?color=1&depth=1&fold=false&path=true")).await;
    assert!(coloured.text().contains('\u{1b}') && coloured.text().contains("1 more span"), "{}", coloured.text());
    let markdown = world.get(&path("text?format=markdown&link=https://lake/trace/1")).await;
    assert!(
        markdown.text().starts_with("Trace [`0a") && markdown.text().contains("](https://lake/trace/1)\n\n```text\n"),
        "{}",
        markdown.text()
    );
    for wrong in
        ["width=1", "width=x", "rows=0", "color=maybe", "format=html", "span=zz", "span=fff", "depth=-1", "findings=x"]
    {
        assert_eq!(world.get(&path(&format!("text?{wrong}"))).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert_eq!(world.get("/api/v1/traces/abc/text").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn two_traces_differ() {
    let world = stored().await;
    let compared = world.get(&format!("/api/v1/traces/compare?a={}&b={}", hex(1), hex(2))).await.json();
    assert_eq!((&compared["a"]["traceId"], &compared["b"]["rootName"]), (&json!(hex(1)), &json!("GET /cart")));
    let lines = compared["lines"].as_array().expect("lines");
    let told: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| (line["name"].as_str().expect("a name"), line["change"].as_str().expect("a word")))
        .collect();
    assert_eq!(told, [("GET /cart", "same"), ("Charge Card", "same"), ("POST /charge", "removed"), ("log", "added")]);
    assert_eq!(lines[2]["path"], json!(["shop GET /cart", "shop Charge Card", "pay POST /charge"]));
    assert_eq!((&lines[1]["deltaNanos"], &lines[1]["a"]["errors"]), (&json!(200 * MILLI), &json!(1)));
    assert_eq!((&lines[3]["path"], &lines[3]["b"]["count"]), (&json!(["shop GET /cart", "shop log"]), &json!(1)));
    for (wrong, status) in [
        ("", StatusCode::BAD_REQUEST),
        ("a=1", StatusCode::BAD_REQUEST),
        ("a=1&b=2&cohort={}", StatusCode::BAD_REQUEST),
        ("a=x&b=2", StatusCode::BAD_REQUEST),
        ("a=1&b=2", StatusCode::NOT_FOUND),
    ] {
        let answer = world.get(&format!("/api/v1/traces/compare?{}", wrong.replace("{}", "%7B%7D"))).await;
        assert_eq!(answer.status, status, "{wrong}");
    }
}

#[tokio::test]
async fn a_trace_differs_from_a_cohort() {
    let world = stored().await;
    let mut others = Vec::new();
    for id in 20..60 {
        others.push(span(id, 1, 0, "shop", "GET /cart", u64::from(id) * 1_000, 100));
        let mut call = span(id, 2, 1, "shop", "Charge Card", u64::from(id) * 1_000 + 10, 50 + u64::from(id % 5));
        call.span.kind = 3;
        others.push(call);
    }
    world.block(&others).await;
    let cohort = "%7Bname%3D%22GET%20/cart%22%7D";
    let compared = world.get(&format!("/api/v1/traces/compare?a={}&cohort={cohort}&limit=50", hex(2))).await.json();
    assert_eq!(compared["cohort"], json!({ "traces": 41, "query": "{name=\"GET /cart\"}" }));
    let line = &compared["lines"][0];
    assert_eq!((&line["name"], &line["unusual"], &line["depth"]), (&json!("Charge Card"), &json!(true), &json!(1)));
    assert_eq!(line["path"], json!(["shop GET /cart", "shop Charge Card"]));
    assert!(line["deltaNanos"].as_i64().is_some_and(|nanos| nanos < -190 * MILLI as i64), "{line}");
    for wrong in ["cohort=%7B", "cohort=%7B%7D|rate()", "cohort=%7B%7D&limit=201"] {
        let answer = world.get(&format!("/api/v1/traces/compare?a={}&{wrong}", hex(2))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

/// Empty spans, packed: some kilobytes that would be gigabytes.
fn tiny_spans(count: usize) -> Vec<u8> {
    let spans = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}{{}}]}}]}}]}}", "{},".repeat(count));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(spans.as_bytes()).expect("packed");
    packed.finish().expect("packed")
}

#[tokio::test]
async fn a_file_is_opened_and_nothing_is_kept() {
    let world = World::new();
    let spans = request(&two_requests()).resource_spans;
    let protobuf = TracesData { resource_spans: spans.clone() }.encode_to_vec();
    let open = async |path: &str, body: Vec<u8>| world.post_bytes(path, body).await;
    let both = open("/api/v1/open", protobuf.clone()).await.json();
    assert_eq!((&both["format"], both.get("skeleton")), (&json!("otlpProtobuf"), None));
    let first = &both["traces"][0];
    assert_eq!(
        (&first["traceId"], &first["rootService"], &first["spanCount"]),
        (&json!(hex(1)), &json!("shop"), &json!(3))
    );
    assert_eq!((&first["errorCount"], &first["durationNanos"]), (&json!(1), &json!(100 * MILLI)));
    let one = open(&format!("/api/v1/open?trace={}", hex(2)), protobuf.clone()).await.json();
    assert_eq!((&one["skeleton"]["traceId"], &one["diagnosis"]["spanCount"]), (&json!(hex(2)), &json!(3)));
    assert_eq!(one["spans"].as_array().map(Vec::len), Some(3));
    let zipkin = r#"[{"traceId":"463ac35c9f6413ad","id":"a2fb4a1d1a96d312","name":"get /","timestamp":1764115200000000,
        "duration":2000,"localEndpoint":{"serviceName":"shop"}}]"#;
    let only = open("/api/v1/open", zipkin.into()).await.json();
    assert_eq!((&only["format"], &only["spans"][0]["service"]), (&json!("zipkinJson"), &json!("shop")));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&protobuf).expect("packed");
    assert_eq!(open("/api/v1/open", packed.finish().expect("packed")).await.json(), both);
    for (body, path, status) in [
        (Vec::new(), "/api/v1/open", StatusCode::BAD_REQUEST),
        (b"hello".to_vec(), "/api/v1/open", StatusCode::BAD_REQUEST),
        (b"{\"resourceSpans\":[".to_vec(), "/api/v1/open", StatusCode::BAD_REQUEST),
        (protobuf.clone(), "/api/v1/open?trace=xyz", StatusCode::BAD_REQUEST),
        (protobuf, "/api/v1/open?trace=abc", StatusCode::NOT_FOUND),
        (vec![b' '; (64 << 20) + 1], "/api/v1/open", StatusCode::UNPROCESSABLE_ENTITY),
        (tiny_spans(4 << 20), "/api/v1/open", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let answer = open(path, body).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert_eq!(world.get(&path("skeleton")).await.status, StatusCode::NOT_FOUND);
    let apart = World::with(Store::memory(), Config { tenancy_enabled: true, ..Config::default() });
    assert_eq!(apart.post_bytes("/api/v1/open", Vec::new()).await.status, StatusCode::UNAUTHORIZED);
}
