//! Queries while they run: who sees and ends them, whose spans a tail tells, what is left of an answer past a bound.

use http::StatusCode;
use serde_json::json;
use spanlake_model::Tenant;
use spanlake_querier::Config;
use spanlake_storage::Store;

use crate::world::*;

#[tokio::test]
async fn who_asks_without_a_tenant_sees_the_queries_of_those_without() {
    let single = vec![Tenant::single()];
    let config = Config { tenancy_enabled: true, default_tenants: single, ..Config::default() };
    let world = World::with(Store::memory(), config);
    assert_eq!(world.get("/api/v1/queries").await.json(), json!({"running": [], "slow": []}));
    let strict = World::with(Store::memory(), Config { tenancy_enabled: true, ..Config::default() });
    assert_eq!(strict.get("/api/v1/queries").await.status, StatusCode::UNAUTHORIZED);
}

/// A request whose answer is not over when it begins.
async fn begun(world: &World, path: &str, headers: &[(&str, &str)]) -> http::Response<axum::body::Body> {
    use tower::ServiceExt as _;
    let mut request = http::Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(axum::body::Body::empty()).expect("a request");
    world.router.clone().oneshot(request).await.expect("an answer")
}

#[tokio::test]
async fn a_tail_in_the_url_names_no_other_tenant_than_the_header() {
    let world = World::with(Store::memory(), Config { tenancy_enabled: true, ..Config::default() });
    let header = [("X-Scope-OrgID", "a")];
    let status = async |path: &str, headers: &[(&str, &str)]| begun(&world, path, headers).await.status();
    assert_eq!(status("/api/v1/tail?tenant=b&limit=0", &header).await, StatusCode::BAD_REQUEST);
    assert_eq!(status("/api/v1/tail?tenant=a&limit=0", &header).await, StatusCode::OK);
    assert_eq!(status("/api/v1/tail?tenant=b&limit=0", &[]).await, StatusCode::OK);
    assert_eq!(status("/api/v1/tail?limit=0", &[]).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_is_sent_while_it_is_found_can_be_ended() {
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;
    let world = World::new();
    let mut body = begun(&world, "/api/v1/tail", &[]).await.into_body();
    body.frame().await.expect("an event").expect("no failure");
    let running = world.get("/api/v1/queries").await.json();
    assert_eq!(running["running"][0]["kind"], "/api/v1/tail", "{running}");
    let id = running["running"][0]["id"].as_str().expect("an id").to_owned();
    let end = async |site: &str| {
        let request = http::Request::delete(format!("/api/v1/queries/{id}")).header("sec-fetch-site", site);
        let request = request.body(axum::body::Body::empty()).expect("a request");
        world.router.clone().oneshot(request).await.expect("an answer").status()
    };
    assert_eq!(end("cross-site").await, StatusCode::FORBIDDEN);
    assert_eq!(end("same-origin").await, StatusCode::NO_CONTENT);
    assert!(body.collect().await.is_err(), "it breaks off");
    assert_eq!(world.get("/api/v1/queries").await.json(), json!({"running": [], "slow": []}));
}

#[tokio::test]
async fn a_selection_past_a_bound_differs_in_nothing_that_was_not_counted() {
    let world = World::new();
    let keys: Vec<String> = (0..60).map(|key| format!("key{key:02}")).collect();
    let spans = (0..120_u8).map(|number| {
        let one = span(number, 1, 0, "shop", "GET /", u64::from(number) * 100, if number % 2 == 0 { 900 } else { 20 });
        keys.iter().fold(one, |one, key| one.text(key, &format!("the same {key}")))
    });
    world.block(&spans.collect::<Vec<_>>()).await;
    let body = json!({
        "start": 1_700_000_000, "end": 1_700_000_060,
        "selection": {"startUnixNanos": EPOCH.to_string(), "minNanos": 500 * MILLI},
    });
    let (mut max_bytes, mut partial_count) = (1_000.0, 0);
    loop {
        let max_query_bytes = spanlake_model::ByteSize(max_bytes as u64);
        let bounded = World::with(world.store.clone(), Config { max_query_bytes, ..Config::default() });
        let answer = bounded.post("/api/v1/explore/breakdown", body.to_string()).await.expect("an answer");
        max_bytes *= 1.1;
        // Nothing was counted at all, or the block could not even be opened.
        if answer.status == StatusCode::UNPROCESSABLE_ENTITY {
            continue;
        }
        let answer = answer.json();
        assert_eq!(answer["differences"], json!([]), "{max_bytes}: {answer}");
        if answer.get("partial").is_none() {
            break;
        }
        partial_count += 1;
    }
    assert!(partial_count > 0, "some bound is reached while values are counted");
}
