//! Tenants, unknown paths, damaged and missing objects, and the bounds of a query.

use http::StatusCode;
use prometheus_client::encoding::text::encode;
use spanlake_model::{ByteSize, Tenant};
use spanlake_querier::Config;
use spanlake_storage::Store;

use crate::world::*;

#[tokio::test]
async fn tenants_are_apart_and_can_be_asked_together() {
    let world = World::with(Store::memory(), Config { tenancy_enabled: true, ..Config::default() });
    let tenant = |name| Tenant::parse(name).expect("a tenant");
    world.block_of(&tenant("a"), &[span(1, 1, 0, "web", "of a", 0, 5)]).await;
    world.block_of(&tenant("b"), &[span(1, 2, 1, "web", "of b", 0, 5), span(2, 1, 0, "web", "x", 0, 5)]).await;
    let count = async |tenants: &str| {
        let path = format!("/api/traces/{}", hex(1));
        let answer = world.ask(&path, &[("X-Scope-OrgID", tenants)]).await;
        match answer.status {
            StatusCode::OK => spans_of(&answer.json()["batches"]).len(),
            StatusCode::NOT_FOUND => 0,
            other => panic!("{other}"),
        }
    };
    assert_eq!(count("a").await, 1);
    assert_eq!(count("b").await, 1);
    assert_eq!(count("a|b").await, 2);
    assert_eq!(count("c").await, 0);
    let found = world.ask("/api/search", &[("X-Scope-OrgID", "a|b")]).await.json();
    assert_eq!(found["traces"].as_array().map(Vec::len), Some(2));
    for path in ["/api/search".to_owned(), format!("/api/v2/traces/{}", hex(1))] {
        let absent = world.get(&path).await;
        assert_eq!((absent.status, absent.text()), (StatusCode::UNAUTHORIZED, "no org id"));
        for wrong in ["a||b", "|a", "a|", "a#b", "a/b", "..", &"x".repeat(151)] {
            assert_eq!(world.ask(&path, &[("X-Scope-OrgID", wrong)]).await.status, StatusCode::BAD_REQUEST, "{wrong}");
        }
    }
}

#[tokio::test]
async fn without_tenancy_the_header_is_ignored() {
    let world = World::new();
    world.block(&[span(1, 1, 0, "web", "GET /", 0, 5)]).await;
    let answer = world.ask(&format!("/api/traces/{}", hex(1)), &[("X-Scope-OrgID", "../..")]).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn unknown_paths_are_404_in_plain_text() {
    let world = World::new();
    for path in ["/api/metrics/summary", "/api/nothing", "/api/traces/", "/api/v3/traces/1"] {
        let answer = world.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text().contains(path), "{path}");
    }
}

#[tokio::test]
async fn bad_searches_are_400_in_plain_text() {
    let world = World::new();
    for query in [
        "q=%7B",
        "q=%7B%7D&tags=a%3Db",
        "q=%7B%7D%7Crate()",
        "limit=0",
        "limit=262145",
        "start=1",
        "start=2&end=1",
        "tags=a%3Db%20a%3Dc",
        "spss=101",
    ] {
        let answer = world.get(&format!("/api/search?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(!answer.text().is_empty() && !answer.text().starts_with('{'), "{query}");
    }
}

#[tokio::test]
async fn damage_is_an_error_that_names_the_object() {
    let world = World::new();
    let block = world.block(&[span(1, 1, 0, "web", "GET /", 0, 5).text("k", "needle")]).await;
    let good = world.get(&format!("/api/traces/{}", hex(1))).await;
    let meta = &block.meta;
    // A byte of the rows, of the search index, of the tail: each spoils what needs it, and nothing is answered wrongly.
    let by_id = format!("/api/v2/traces/{}", hex(1));
    let search = "/api/search?tags=k%3Dneedle".to_owned();
    let cases =
        [(20, vec![&by_id]), (meta.search_offset + 20, vec![&search]), (meta.tail_offset + 20, vec![&by_id, &search])];
    for (position, paths) in cases {
        replace(&world.store, &block.key, |bytes| bytes[position as usize] ^= 0x10).await;
        let fresh = World::with(world.store.clone(), Config::default());
        for path in paths {
            let answer = fresh.get(path).await;
            assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{position} {path}: {}", answer.text());
            assert!(answer.text().contains(&*block.key), "{}", answer.text());
        }
        let mut text = String::new();
        encode(&mut text, &fresh.registry).expect("metrics");
        assert!(text.lines().any(|line| line.starts_with("query_damaged_total") && !line.ends_with(" 0")), "{text}");
        replace(&world.store, &block.key, |bytes| bytes[position as usize] ^= 0x10).await;
    }
    let fresh = World::with(world.store.clone(), Config::default());
    assert_eq!(fresh.get(&format!("/api/traces/{}", hex(1))).await.body, good.body);
}

#[tokio::test]
async fn bounds_have_names() {
    let store = Store::memory();
    let filled = World::with(store.clone(), Config::default());
    for i in 1..=5 {
        filled.block(&[span(i, 1, 0, "web", "GET /", 0, 5), span(100, i, 0, "web", "GET /", 0, 5)]).await;
    }
    let check = async |config: Config, path: &str, status: StatusCode, name: &str| {
        let answer = World::with(store.clone(), config).get(path).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert!(answer.text().contains(name), "{}", answer.text());
    };
    let by_id = format!("/api/v2/traces/{}", hex(100));
    let plain = Config::default;
    let full = StatusCode::UNPROCESSABLE_ENTITY;
    check(Config { max_blocks_per_query: 4, ..plain() }, &by_id, full, "max_blocks_per_query").await;
    check(Config { max_query_bytes: ByteSize(100), ..plain() }, &by_id, full, "max_query_bytes").await;
    check(Config { max_query_bytes: ByteSize(100), ..plain() }, "/api/search", full, "max_query_bytes").await;
    check(Config { max_search_traces: 3, ..plain() }, "/api/search", full, "max_search_traces").await;
    // What counts spans counts those of the newest blocks, and says so.
    for of_window in ["/api/v1/explore/heatmap", "/api/v1/services", "/api/v1/map"] {
        let path = format!("{of_window}?start=1700000000&end=1700000060");
        check(Config { max_blocks_per_query: 4, ..plain() }, &path, StatusCode::OK, "max_blocks_per_query").await;
        check(Config { max_search_traces: 3, ..plain() }, &path, StatusCode::OK, "max_search_traces").await;
        // Of no block at all there is nothing to say.
        check(Config { max_query_bytes: ByteSize(100), ..plain() }, &path, full, "max_query_bytes").await;
    }
    // Every width of one still makes progress.
    let narrow = Config { fetches_per_query: 1, max_fetches: 1, max_concurrent_queries: 1, ..plain() };
    let world = World::with(store.clone(), narrow);
    assert_eq!(world.names(100).await.len(), 5);
    assert_eq!(world.found("tags=name%3DGET").await.len(), 6);
}

#[tokio::test]
async fn queries_are_counted() {
    let world = World::new();
    world.block(&[span(1, 1, 0, "web", "GET /", 0, 5)]).await;
    world.get(&format!("/api/traces/{}", hex(1))).await;
    world.get("/api/traces/ff").await;
    world.get("/api/search").await;
    let mut text = String::new();
    encode(&mut text, &world.registry).expect("metrics");
    for line in [
        r#"query_requests_total{route="trace_v1",status="200"} 1"#,
        r#"query_requests_total{route="trace_v1",status="404"} 1"#,
        r#"query_requests_total{route="search",status="200"} 1"#,
        r#"query_latency_seconds_count{route="trace_v1"} 2"#,
        "query_spans_returned_total 1",
        "query_traces_returned_total 1",
        "query_running 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
