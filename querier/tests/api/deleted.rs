//! Deleted traces: over HTTP, and gone from every answer though their blocks still have them.

use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use spanlake_model::Tenant;
use spanlake_querier::Config;
use spanlake_storage::Store;
use tower::ServiceExt as _;

use crate::world::*;

/// Traces 1 to 3, each in two blocks, with a copy of a span of trace 1 in both.
async fn filled() -> World {
    let world = World::new();
    fill(&world, &Tenant::single()).await;
    world
}

async fn fill(world: &World, tenant: &Tenant) {
    let root =
        |trace: u8| span(trace, 1, 0, &format!("web{trace}"), &format!("GET /{trace}"), 1_000 * u64::from(trace), 9);
    let child = |trace: u8| {
        span(trace, 2, 1, &format!("db{trace}"), "SELECT", 1_000 * u64::from(trace) + 1, 5)
            .failed()
            .text("user", &format!("u{trace}"))
            .text(&format!("key{trace}"), "x")
    };
    world.block_of(tenant, &[root(1), root(2), root(3), child(3)]).await;
    world.block_of(tenant, &[root(1), child(1), child(2)]).await;
}

async fn send(world: &World, method: &str, path: &str, tenant: Option<&str>) -> (StatusCode, Value, String) {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(tenant) = tenant {
        request = request.header("X-Scope-OrgID", tenant);
    }
    let request = request.body(axum::body::Body::empty()).expect("a request");
    let response = world.router.clone().oneshot(request).await.expect("an answer");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    let text = String::from_utf8(body.to_vec()).expect("a text");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null), text)
}

/// Spans counted over all time by a metrics query.
async fn counted(world: &World, query: &str) -> f64 {
    let (start, end) = (EPOCH / SECOND - 10, EPOCH / SECOND + 100);
    let json = world.get(&format!("/api/metrics/query?q={query}&start={start}&end={end}")).await.json();
    let series = json["series"].as_array().cloned().unwrap_or_default();
    series.iter().map(|series| series["value"].as_f64().unwrap_or(0.0)).sum()
}

async fn values(world: &World, path: &str) -> Vec<String> {
    let json = world.get(path).await.json();
    let values = json["tagValues"].as_array().cloned().unwrap_or_default();
    values.iter().map(|value| value["value"].as_str().expect("a text").to_owned()).collect()
}

async fn sql(world: &World, sql: &str) -> Value {
    world.post("/api/v1/sql", sql).await.expect("a whole body").json()["rows"].clone()
}

#[tokio::test]
async fn a_deleted_trace_is_in_no_answer() {
    let world = filled().await;
    assert_eq!(world.found("q=%7B%7D").await, [3, 2, 1]);
    assert_eq!(counted(&world, "%7B%7D%7Ccount_over_time()").await, 6.0);
    let (status, told, _) = send(&world, "DELETE", &format!("/api/v1/traces/{}?reason=asked%20to", hex(1)), None).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!((&told["traceIds"], &told["newlyDeleted"]), (&json!([hex(1)]), &json!(1)));
    let audit = world.store.get(told["auditKey"].as_str().expect("a key")).await.expect("the audit");
    assert!(String::from_utf8_lossy(&audit).contains("over HTTP by id: asked to"));

    assert_eq!(world.get(&format!("/api/traces/{}", hex(1))).await.status, StatusCode::NOT_FOUND);
    assert!(world.names(1).await.is_empty());
    assert_eq!(world.names(2).await, ["GET /2", "SELECT"]);
    for query in
        ["q=%7B%7D", "q=%7Bstatus%3Derror%7D", "q=%7B%7D%3E%3E%7Bstatus%3Derror%7D", "q=%7B%7D%7Ccount()%3E1", "tags="]
    {
        assert_eq!(world.found(query).await, [3, 2], "{query}");
    }
    assert_eq!(world.found("q=%7B.user%3D%22u1%22%7D").await, [] as [u8; 0]);
    assert_eq!(world.found("tags=user%3Du1").await, [] as [u8; 0]);
    for (query, expect) in [
        ("%7B%7D%7Ccount_over_time()", 4.0),
        ("%7Bstatus%3Derror%7D%7Ccount_over_time()", 2.0),
        ("%7B%7D%7Ccount_over_time()by(resource.service.name)", 4.0),
        ("%7B%7D%3E%3E%7Bstatus%3Derror%7D%7Ccount_over_time()", 2.0),
        ("%7Btrace:rootName%3D%22GET%20/1%22%7D%7Ccount_over_time()", 0.0),
    ] {
        assert_eq!(counted(&world, query).await, expect, "{query}");
    }
    assert_eq!(values(&world, "/api/v2/search/tag/span.user/values").await, ["u2", "u3"]);
    assert_eq!(values(&world, "/api/v2/search/tag/resource.service.name/values").await, ["db2", "db3", "web2", "web3"]);
    assert_eq!(values(&world, "/api/v2/search/tag/trace:rootName/values").await, ["GET /2", "GET /3"]);
    assert_eq!(values(&world, "/api/v2/search/tag/span.user/values?q=%7Bstatus%3Derror%7D").await, ["u2", "u3"]);
    let names = world.get("/api/v2/search/tags?scope=span").await.json();
    assert_eq!(names["scopes"][0]["tags"], json!(["key2", "key3", "user"]));
    assert_eq!(sql(&world, "SELECT count(*) n FROM spans").await, json!([[4]]));
    assert_eq!(sql(&world, "SELECT trace_id FROM traces ORDER BY trace_id").await, json!([[hex(2)], [hex(3)]]));

    // What comes later of it is hidden too, and deleting again does no harm.
    world.block(&[span(1, 9, 1, "late", "late", 5_000, 1), span(4, 1, 0, "web", "GET /4", 4_000, 1)]).await;
    assert_eq!(world.found("q=%7B%7D").await, [4, 3, 2]);
    let (status, told, _) = send(&world, "DELETE", &format!("/api/v1/traces/{}", hex(1)), None).await;
    assert_eq!((status, &told["newlyDeleted"]), (StatusCode::ACCEPTED, &json!(0)));
}

#[tokio::test]
async fn a_query_selects_what_is_deleted() {
    let world = filled().await;
    let time = format!("start={}&end={}", EPOCH / SECOND - 10, EPOCH / SECOND + 100);
    let path = |rest: &str| format!("/api/v1/traces/delete?{time}&{rest}");
    let all = "q=%7Bstatus%3Derror%7D";
    let (status, told, _) = send(&world, "POST", &path(&format!("{all}&dry_run=true")), None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(told, json!({"traceIds": [hex(3), hex(2), hex(1)], "dryRun": true, "newlyDeleted": 0}));
    assert_eq!(world.found("q=%7B%7D").await, [3, 2, 1], "a dry run deletes nothing");
    let (status, _, text) = send(&world, "POST", &path(&format!("{all}&limit=2")), None).await;
    assert_eq!((status, text.contains("more than 2 traces match")), (StatusCode::UNPROCESSABLE_ENTITY, true), "{text}");
    assert_eq!(world.found("q=%7B%7D").await, [3, 2, 1], "too many are not deleted in part");
    let (status, told, _) = send(&world, "POST", &path("q=%7B.user=~%22u1|u3%22%7D"), None).await;
    assert_eq!((status, &told["newlyDeleted"], &told["dryRun"]), (StatusCode::ACCEPTED, &json!(2), &json!(false)));
    assert_eq!(world.found("q=%7B%7D").await, [2]);
    let (status, told, _) = send(&world, "POST", &path("q=%7B.user=%22u1%22%7D"), None).await;
    assert_eq!((status, told["traceIds"].clone()), (StatusCode::OK, json!([])), "nothing is left to delete");
}

#[tokio::test]
async fn wrong_deletions_are_refused() {
    let world = filled().await;
    let long = "x".repeat(501);
    for (method, path, expect) in [
        ("DELETE", "/api/v1/traces/xyz".to_owned(), "invalid trace id"),
        ("DELETE", format!("/api/v1/traces/{}?reason={long}", hex(1)), "the reason has 501 bytes"),
        ("POST", "/api/v1/traces/delete?start=1&end=2".to_owned(), "parameter q"),
        ("POST", "/api/v1/traces/delete?q=%7B%7D".to_owned(), "start and end are needed"),
        ("POST", "/api/v1/traces/delete?q=%7B%7D&start=1".to_owned(), "start and end are needed"),
        ("POST", "/api/v1/traces/delete?q=%7B&start=1&end=2".to_owned(), "invalid TraceQL query"),
        ("POST", "/api/v1/traces/delete?q=%7B%7D%7Crate()&start=1&end=2".to_owned(), "metrics query"),
        ("POST", "/api/v1/traces/delete?q=%7B%7D&start=1&end=2&limit=0".to_owned(), "invalid limit"),
        ("POST", "/api/v1/traces/delete?q=%7B%7D&start=1&end=2&limit=10001".to_owned(), "invalid limit"),
        ("POST", "/api/v1/traces/delete?q=%7B%7D&start=1&end=2&dry_run=yes".to_owned(), "invalid dry_run"),
    ] {
        let (status, _, text) = send(&world, method, &path, None).await;
        assert_eq!((status, text.contains(expect)), (StatusCode::BAD_REQUEST, true), "{method} {path}: {text}");
    }
    for (method, path) in [("GET", format!("/api/v1/traces/{}", hex(1))), ("GET", "/api/v1/traces/delete".to_owned())] {
        assert_eq!(send(&world, method, &path, None).await.0, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
    }
    assert_eq!(world.found("q=%7B%7D").await, [3, 2, 1]);
}

#[tokio::test]
async fn a_deletion_is_of_one_tenant() {
    let world = World::with(Store::memory(), Config { tenancy_enabled: true, ..Config::default() });
    let tenants = ["a", "b"].map(|name| Tenant::parse(name).expect("a name"));
    for tenant in &tenants {
        fill(&world, tenant).await;
    }
    let path = format!("/api/v1/traces/{}", hex(1));
    assert_eq!(send(&world, "DELETE", &path, None).await.0, StatusCode::UNAUTHORIZED);
    let (status, _, text) = send(&world, "DELETE", &path, Some("a|b")).await;
    assert_eq!((status, text.contains("one tenant")), (StatusCode::BAD_REQUEST, true), "{text}");
    assert_eq!(send(&world, "DELETE", &path, Some("a")).await.0, StatusCode::ACCEPTED);
    let find = async |tenant: &str| {
        let answer = world.ask(&format!("/api/traces/{}", hex(1)), &[("X-Scope-OrgID", tenant)]).await;
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        (answer.status.as_u16(), spans_of(&json["batches"]).len())
    };
    assert_eq!((find("a").await.0, find("b").await, find("a|b").await), (404, (200, 2), (200, 2)));
    let count = async |tenant: &str| {
        let (start, end) = (EPOCH / SECOND - 10, EPOCH / SECOND + 100);
        let path = format!("/api/metrics/query?q=%7B%7D%7Ccount_over_time()&start={start}&end={end}");
        world.ask(&path, &[("X-Scope-OrgID", tenant)]).await.json()["series"][0]["value"].as_f64()
    };
    assert_eq!((count("a").await, count("b").await, count("a|b").await), (Some(4.0), Some(6.0), Some(6.0)));
}
