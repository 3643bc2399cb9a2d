//! SQL over HTTP: formats that parse back, refusals with a sentence, and bounds that show.

use std::time::Duration;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_ipc::reader::StreamReader;
use http::StatusCode;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use prometheus_client::encoding::text::encode;
use spanlake_model::{ByteSize, Tenant};
use spanlake_querier::Config;
use spanlake_storage::Store;

use crate::world::*;

const PATH: &str = "/api/v1/sql";

async fn filled() -> World {
    let world = World::new();
    let spans = [
        span(1, 1, 0, "web", "GET /", 0, 5).text("http.route", "/"),
        span(1, 2, 1, "cart", "say \"hi\", ü\n", 1, 3).failed(),
        span(2, 1, 0, "web", "GET /cart", 9, 5),
    ];
    world.block(&spans).await;
    world.block(&spans[1..]).await;
    world
}

/// Rows without end, or nearly so, from a short text: 100 to the power of `tables` numbers, called `value`.
fn numbers(tables: usize) -> String {
    let digits: Vec<String> = (0..100).map(|i| format!("({i})")).collect();
    let names: Vec<String> = (0..tables).map(|i| format!("digits d{i}")).collect();
    format!("(WITH digits(value) AS (VALUES {}) SELECT d0.value FROM {})", digits.join(","), names.join(" CROSS JOIN "))
}

async fn post(world: &World, path: &str, sql: &str) -> Answer {
    world.post(path, sql).await.expect("a whole body")
}

#[tokio::test]
async fn json_names_columns_and_lists_rows() {
    let world = filled().await;
    let sql = "SELECT trace_id, name, status, start_time, duration_nanos, \"span.http.route\" AS route FROM spans \
        ORDER BY start_time";
    let answer = post(&world, PATH, sql).await.json();
    let column = |name: &str, kind: &str| serde_json::json!({"name": name, "type": kind});
    assert_eq!(answer["columns"][0], column("trace_id", "Utf8"));
    assert_eq!(answer["columns"][4], column("duration_nanos", "Int64"));
    let row = |trace: u8, name: &str, status: &str, start: &str, nanos: u64, route: Option<&str>| {
        serde_json::json!([hex(trace), name, status, format!("2023-11-14T22:13:20{start}Z"), nanos, route])
    };
    let rows = answer["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!(rows[0], row(1, "GET /", "unset", "", 5 * MILLI, Some("/")));
    assert_eq!(rows[1], row(1, "say \"hi\", ü\n", "error", ".001", 3 * MILLI, None));
    assert_eq!(rows[2], row(2, "GET /cart", "unset", ".009", 5 * MILLI, None));
    assert!(answer.get("error").is_none());
    let none = post(&world, PATH, "SELECT name FROM spans WHERE name = 'x'").await.json();
    assert_eq!(none["rows"], serde_json::json!([]));
    let traces =
        world.get("/api/v1/sql?q=SELECT+span_count,error_count,services,root_name+FROM+traces+ORDER+BY+trace_id");
    let expect = serde_json::json!([[2, 1, "cart, web", "GET /"], [1, 0, "web", "GET /cart"]]);
    assert_eq!(traces.await.json()["rows"], expect);
}

#[tokio::test]
async fn every_format_parses_back() {
    let world = filled().await;
    let sql = "SELECT name, duration_nanos FROM spans ORDER BY start_time";
    let names = ["GET /", "say \"hi\", ü\n", "GET /cart"];
    let check = |batches: Vec<arrow_array::RecordBatch>| {
        let mut found = Vec::new();
        for batch in batches {
            let durations = batch.column(1).as_primitive::<Int64Type>();
            for (name, nanos) in batch.column(0).as_string::<i32>().iter().zip(durations) {
                found.push((name.expect("a name").to_owned(), nanos.expect("a number") as u64 / MILLI));
            }
        }
        let expect = names.map(str::to_owned).into_iter().zip([5, 3, 5]).collect::<Vec<_>>();
        assert_eq!(found, expect);
    };
    let arrow = post(&world, "/api/v1/sql?format=arrow", sql).await;
    assert_eq!(arrow.headers["content-type"], "application/vnd.apache.arrow.stream");
    let reader = StreamReader::try_new(arrow.body.as_ref(), None).expect("a stream");
    check(reader.map(|batch| batch.expect("a batch")).collect());
    let parquet = post(&world, "/api/v1/sql?format=parquet", sql).await;
    let reader = ParquetRecordBatchReaderBuilder::try_new(parquet.body.clone()).expect("a file").build();
    check(reader.expect("a reader").map(|batch| batch.expect("a batch")).collect());
    let lines = post(&world, "/api/v1/sql?format=jsonl", sql).await;
    let parsed: Vec<serde_json::Value> =
        lines.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(parsed.len(), 3);
    assert_eq!(parsed[1], serde_json::json!({"name": names[1], "duration_nanos": 3 * MILLI}));
    let csv = world.ask(
        "/api/v1/sql?q=SELECT+name,duration_nanos+FROM+spans+ORDER+BY+start_time",
        &[("accept", "text/csv;q=0.9")],
    );
    let csv = csv.await;
    assert_eq!(csv.headers["content-type"], "text/csv");
    let expect = "name,duration_nanos\nGET /,5000000\n\"say \"\"hi\"\", ü\n\",3000000\nGET /cart,5000000\n";
    assert_eq!(csv.text(), expect);
    let empty = post(&world, "/api/v1/sql?format=csv", "SELECT name FROM spans WHERE name = 'x'").await;
    assert_eq!(empty.text(), "name\n");
}

#[tokio::test]
async fn refusals_are_sentences() {
    let world = filled().await;
    let check = async |path: &str, sql: &str, says: &str| {
        let answer = post(&world, path, sql).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{sql}: {}", answer.text());
        assert!(answer.text().contains(says), "{sql}: {}", answer.text());
    };
    check(PATH, "SELECT name FROM spans GROUP name", "Line: 1").await;
    check(PATH, "DROP TABLE spans", "only SELECT").await;
    check(PATH, "SELECT 1; SELECT 2", "one statement").await;
    check(PATH, "SELECT nothing FROM spans", "nothing").await;
    check(PATH, "", "no SQL").await;
    check(PATH, &"x".repeat(200_000), "131072").await;
    check(PATH, "SELECT 1/0", "ivide by zero").await;
    check("/api/v1/sql?format=xml", "SELECT 1", "none of json").await;
    check("/api/v1/sql?start=2&end=1", "SELECT 1", "start").await;
    check("/api/v1/sql?format=csv", "SELECT array_agg(name) FROM spans", "CSV cannot").await;
    assert_eq!(world.get(PATH).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn tenants_and_times_choose_blocks() {
    let world = World::with(Store::memory(), Config { tenancy_enabled: true, ..Config::default() });
    let tenant = |name| Tenant::parse(name).expect("a tenant");
    world.block_of(&tenant("a"), &[span(1, 1, 0, "web", "of a", 0, 5)]).await;
    world.block_of(&tenant("b"), &[span(1, 2, 1, "web", "of b", 0, 5), span(2, 1, 0, "web", "x", 0, 5)]).await;
    let count = async |tenants: &str, times: &str| {
        let path = format!("/api/v1/sql?q=SELECT+count(*)+FROM+spans{times}");
        world.ask(&path, &[("X-Scope-OrgID", tenants)]).await.json()["rows"][0][0].as_u64().expect("a count")
    };
    assert_eq!((count("a", "").await, count("b", "").await, count("a|b", "").await), (1, 2, 3));
    assert_eq!(count("a|b", "&start=1800000000&end=1900000000").await, 0);
    assert_eq!(count("a|b", "&start=1600000000&end=1900000000").await, 3);
    assert_eq!(world.get("/api/v1/sql?q=SELECT+1").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn bounds_have_names() {
    let store = Store::memory();
    let filled = World::with(store.clone(), Config::default());
    for i in 1..=5 {
        filled.block(&[span(i, 1, 0, "web", "GET /", 0, 5), span(100, i, 0, "web", "GET /", 0, 5)]).await;
    }
    let plain = Config::default;
    let check = async |config: Config, name: &str| {
        let world = World::with(store.clone(), config);
        let answer = post(&world, PATH, "SELECT * FROM spans ORDER BY name").await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}: {}", answer.text());
        assert!(answer.text().contains(name), "{}", answer.text());
    };
    check(Config { max_blocks_per_query: 4, ..plain() }, "max_blocks_per_query").await;
    check(Config { max_query_bytes: ByteSize(100), ..plain() }, "max_query_bytes").await;
    check(Config { max_query_memory: ByteSize(400), ..plain() }, "max_query_memory").await;
    check(Config { max_result_bytes: ByteSize(100), ..plain() }, "max_result_bytes").await;
}

#[tokio::test]
async fn a_long_answer_ends_visibly_at_its_bound() {
    let config = Config { max_result_bytes: ByteSize(1 << 20), ..Config::default() };
    let world = World::with(Store::memory(), config);
    let sql = &format!("SELECT value AS a, value AS b, value AS c FROM {}", numbers(3));
    let json: serde_json::Value =
        serde_json::from_slice(&post(&world, PATH, sql).await.body).expect("JSON, although it broke off");
    assert!(json["error"].as_str().expect("an error").contains("max_result_bytes"), "{}", json["error"]);
    assert!(json["rows"].as_array().is_some_and(|rows| rows.len() > 10_000));
    let mut text = String::new();
    encode(&mut text, &world.registry).expect("metrics");
    assert!(text.contains(r#"query_requests_total{route="sql",status="422"} 1"#), "{text}");
    for format in ["jsonl", "csv", "arrow"] {
        let broken = world.post(&format!("{PATH}?format={format}"), sql).await;
        assert!(broken.is_err(), "{format} ended as if it were whole");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_is_bounded_and_who_leaves_stops_the_query() {
    let config = Config {
        query_timeout: "300ms".parse().expect("a duration"),
        max_concurrent_queries: 1,
        max_queued_queries: 0,
        ..Config::default()
    };
    let world = World::with(Store::memory(), config);
    let endless = &format!("SELECT value FROM {}", numbers(5));
    let answer = post(&world, PATH, &format!("SELECT sum(value % 7) FROM ({endless})")).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{}", answer.text());
    assert!(answer.text().contains("query_timeout"), "{}", answer.text());
    assert_eq!(world.post_and_leave(PATH, endless).await, StatusCode::OK);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut text = String::new();
    encode(&mut text, &world.registry).expect("metrics");
    assert!(text.lines().any(|line| line == "query_running 0"), "{text}");
    assert!(text.contains(r#"query_requests_total{route="sql",status="504"} 1"#), "{text}");
    assert!(text.contains(r#"query_requests_total{route="sql",status="499"} 1"#), "{text}");
    assert_eq!(post(&world, PATH, "SELECT 1").await.status, StatusCode::OK, "its place is free");
}
