//! TraceQL over HTTP: the shapes of answers, refusals, and our own endpoints.

use http::{Request, StatusCode};
use serde_json::{Value, json};
use spanlake_model::Tenant;
use spanlake_querier::Config;
use spanlake_storage::Store;
use tower::ServiceExt as _;

use crate::world::*;

async fn shop() -> World {
    let world = World::new();
    let number = |n| opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue(n);
    world
        .block(&[
            span(1, 1, 0, "shop", "GET /", 0, 557).with("http.status_code", number(500)),
            span(1, 2, 1, "db", "SELECT", 10, 5).failed().text("db.system", "postgres"),
            span(2, 1, 0, "shop", "GET /", 1_000, 20).with("http.status_code", number(200)).text("a/b", "slash"),
        ])
        .await;
    world
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_search_has_spansets_and_no_field_of_our_own() {
    let world = shop().await;
    let json = world.get("/api/search?q=%7Bstatus%3Derror%7D%7Cselect(duration,kind)").await.json();
    assert_eq!(keys(&json), ["metrics", "traces"]);
    let trace = &json["traces"][0];
    assert_eq!(trace["rootServiceName"], "shop");
    assert_eq!(trace["spanSet"], trace["spanSets"][0]);
    let set = &trace["spanSet"];
    assert_eq!(set["matched"], 1);
    let span = &set["spans"][0];
    assert_eq!(span["spanID"], "0000000000000102");
    assert_eq!(span["startTimeUnixNano"], (EPOCH + 10 * MILLI).to_string());
    assert_eq!(span["durationNanos"], (5 * MILLI).to_string());
    let attributes = span["attributes"].as_array().expect("attributes");
    for expect in [
        json!({"key": "status", "value": {"stringValue": "error"}}),
        json!({"key": "duration", "value": {"stringValue": "5ms"}}),
        json!({"key": "kind", "value": {"stringValue": "server"}}),
    ] {
        assert!(attributes.contains(&expect), "{expect} in {attributes:?}");
    }
    assert_eq!(world.get("/api/search?q=%7B.missing%3D1%7D").await.json()["traces"], json!([]));
}

#[tokio::test]
async fn tags_by_scope() {
    let world = shop().await;
    let json = world.get("/api/v2/search/tags").await.json();
    let scopes = json["scopes"].as_array().expect("scopes");
    let tags = |name: &str| scopes.iter().find(|scope| scope["name"] == name).map(|scope| scope["tags"].clone());
    assert_eq!(tags("resource"), Some(json!(["service.name"])));
    assert_eq!(tags("span"), Some(json!(["a/b", "db.system", "http.status_code"])));
    assert_eq!(tags("intrinsic").and_then(|tags| tags.as_array().map(Vec::len)), Some(25));
    assert_eq!(tags("event"), None);
    let limited = world.get("/api/v2/search/tags?scope=span&limit=1").await.json();
    assert_eq!(limited["scopes"], json!([{"name": "span", "tags": ["a/b"]}]));
    let flat = world.get("/api/search/tags").await.json();
    assert_eq!(flat["tagNames"], json!(["a/b", "db.system", "http.status_code", "service.name"]));
}

#[tokio::test]
async fn values_of_tags() {
    let world = shop().await;
    let values = async |path: &str| world.get(path).await.json()["tagValues"].clone();
    let string = |value: &str| json!({"type": "string", "value": value});
    assert_eq!(values("/api/v2/search/tag/resource.service.name/values").await, json!([string("db"), string("shop")]));
    assert_eq!(
        values("/api/v2/search/tag/span.http.status_code/values").await,
        json!([{"type": "int", "value": "200"}, {"type": "int", "value": "500"}])
    );
    for path in ["span.a/b", "span.a%2Fb", "span.%22a/b%22", "%2522"] {
        let answer = world.get(&format!("/api/v2/search/tag/{path}/values")).await;
        match path {
            "%2522" => assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.text()),
            _ => assert_eq!(answer.json()["tagValues"], json!([string("slash")]), "{path}"),
        }
    }
    let filter = "q=%7Bresource.service.name%3D%22db%22%20%26%26%20span.x%3D%7D";
    assert_eq!(values(&format!("/api/v2/search/tag/name/values?{filter}")).await, json!([string("SELECT")]));
    assert_eq!(values("/api/search/tag/service.name/values").await, json!(["db", "shop"]));
    assert_eq!(values("/api/search/tag/name/values").await, json!(["GET /", "SELECT"]));
}

#[tokio::test]
async fn values_over_time() {
    let world = shop().await;
    let times = "start=1700000000&end=1700000010";
    let json =
        world.get(&format!("/api/metrics/query_range?q=%7B%7D%7Ccount_over_time()&step=5s&{times}")).await.json();
    let series = json["series"].as_array().expect("series");
    assert_eq!(series.len(), 1);
    assert_eq!(series[0]["labels"], json!([{"key": "__name__", "value": {"stringValue": "count_over_time"}}]));
    let sample = &series[0]["samples"][0];
    assert!(sample["timestampMs"].is_string(), "{sample}");
    let count: f64 = series[0]["samples"].as_array().expect("samples").iter().filter_map(|s| s["value"].as_f64()).sum();
    assert_eq!(count, 3.0);
    let json =
        world.get("/api/metrics/query?query=%7B%7D%7Ccount_over_time()&start=1699999999&end=1700000010").await.json();
    assert_eq!(json["series"][0]["value"].as_f64(), Some(3.0));
    let nothing = "q=%7B.missing%3D1%7D%7Ccount_over_time()%20by(name)";
    let json = world.get(&format!("/api/metrics/query_range?{nothing}&{times}")).await.json();
    assert_eq!(json["series"], json!([]));
    let json = world.get(&format!("/api/metrics/query?{nothing}&{times}")).await.json();
    assert_eq!(json.get("series"), None);
}

#[tokio::test]
async fn tenants_are_asked_together_on_every_route() {
    let world = World::with(Store::memory(), Config { tenancy_enabled: true, ..Config::default() });
    for (name, trace) in [("a", 1), ("b", 2)] {
        let tenant = Tenant::parse(name).expect("a tenant");
        world.block_of(&tenant, &[span(trace, 1, 0, name, "GET /", 0, 5)]).await;
    }
    let ask = async |path: &str| world.ask(path, &[("X-Scope-OrgID", "a|b")]).await.json();
    assert_eq!(ask("/api/search?q=%7B%7D").await["traces"].as_array().map(Vec::len), Some(2));
    let values = ask("/api/search/tag/service.name/values").await;
    assert_eq!(values["tagValues"], json!(["a", "b"]));
}

/// No data is needed to refuse, or to answer what is the same whatever is stored.
#[tokio::test]
async fn refusals_and_known_answers() {
    let world = World::new();
    let wrong = [
        ("/api/search?q=%7B%7D%7Crate()", "/api/metrics/query_range"),
        ("/api/search?q=%7B", "line 1, column 2"),
        ("/api/metrics/query_range?q=%7B%7D", "not a metrics query"),
        ("/api/metrics/query?q=%7B%7D", "not a metrics query"),
        ("/api/metrics/query_range", "parameter q"),
        ("/api/metrics/query_range?q=%7B%7D%7Crate()&step=1ms", "minimum step"),
        ("/api/v2/search/tags?scope=spans", "spans"),
        ("/api/search/tags?scope=spans", "spans"),
        ("/api/v2/search/tag/a%20b/values", "please provide a valid tagName: failed to parse identifier"),
        ("/api/v1/search", "parameter q"),
        ("/api/v1/search?q=%7B", "line 1, column 2"),
        ("/api/v1/query/explain", "parameter q"),
        ("/api/v1/query/explain?q=%7B%7D&format=xml", "xml"),
    ];
    for (path, part) in wrong {
        let answer = world.get(path).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.text());
        assert!(answer.text().contains(part), "{path}: {}", answer.text());
    }
    let keyword = |value: &str| json!({"type": "keyword", "value": value});
    let known = [
        ("/api/v2/search/tag/status/values", json!([keyword("ok"), keyword("error"), keyword("unset")])),
        ("/api/v2/search/tag/duration/values", json!([])),
        ("/api/v2/search/tag/traceDuration/values?q=%7B", json!([])),
        ("/api/search/tag/status.code/values", json!(["unset", "ok", "error"])),
        ("/api/search/tag/error/values", json!(["true"])),
    ];
    for (path, expect) in known {
        assert_eq!(world.get(path).await.json(), json!({"tagValues": expect, "metrics": {}}), "{path}");
    }
    let kinds = world.get("/api/v2/search/tag/kind/values").await.json();
    assert_eq!(kinds["tagValues"].as_array().map(Vec::len), Some(6));
    let intrinsics = world.get("/api/v2/search/tags?scope=intrinsic").await.json();
    assert_eq!(intrinsics["scopes"][0]["tags"].as_array().map(Vec::len), Some(25));
    assert_eq!(world.get("/api/v2/search/tags?scope=trace").await.json(), json!({"scopes": [], "metrics": {}}));
    assert_eq!(world.get("/api/search/tag/x").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn any_method_is_accepted_and_protobuf_where_asked() {
    let world = World::new();
    let path = "/api/v2/search/tag/status/values";
    let request = Request::post(path).body(axum::body::Body::empty()).expect("a request");
    let posted = world.router.clone().oneshot(request).await.expect("an answer");
    assert_eq!(posted.status(), StatusCode::OK);
    let answer = world.ask(path, &[("Accept", "application/protobuf")]).await;
    assert_eq!(answer.headers["content-type"], "application/protobuf");
    assert!(answer.body.starts_with(b"\x0a\x0d\x0a\x07keyword\x12\x02ok"), "{:?}", answer.body);
}

#[tokio::test]
async fn a_search_streams_lines() {
    let world = shop().await;
    let answer = world.get("/api/v1/search?q=%7B%7D&limit=10").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let traces: Vec<&Value> = lines.iter().filter_map(|line| line["traces"].as_array()).flatten().collect();
    assert_eq!(traces.len(), 2);
    assert_eq!(lines.last().map(|line| &line["type"]), Some(&json!("done")));
}

#[tokio::test]
async fn a_plan_is_json_or_text() {
    let world = shop().await;
    let path = "/api/v1/query/explain?q=%7B%7D";
    assert!(world.get(path).await.json().is_object());
    let text = world.ask(path, &[("Accept", "text/plain")]).await;
    assert_eq!(text.headers["content-type"], "text/plain; charset=utf-8");
    assert!(!text.text().starts_with('{'), "{}", text.text());
}

/// What the document describes is served, whatever it answers to a request without parameters.
#[tokio::test]
async fn every_described_path_is_served() {
    let world = World::new();
    let document = world.get("/api/v1/openapi.json").await.json();
    let paths = keys(&document["paths"]);
    for own in ["/api/v1/search", "/api/v1/query/check", "/api/v1/query/explain", "/api/v1/openapi.json", "/api/v1/sql"]
    {
        assert!(paths.contains(&own), "{own} is not described");
    }
    // The program answers for itself, in front of these routes.
    for path in paths.into_iter().filter(|path| !path.starts_with("/api/v1/status")) {
        for (method, _) in document["paths"][path].as_object().expect("operations") {
            let method = method.to_uppercase();
            let request = Request::builder().method(method.as_str()).uri(path);
            let request = request.body(axum::body::Body::empty()).expect("a request");
            let answer = world.router.clone().oneshot(request).await.expect("an answer");
            assert_ne!(answer.status(), StatusCode::NOT_FOUND, "{method} {path}");
            assert_ne!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        }
    }
}
