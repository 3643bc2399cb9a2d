//! SQL over views: answers equal a naive count over distinct spans, filters mean the same pushed down or not, and what is
//! not a bounded question is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::collection::vec;
use proptest::prelude::*;
use spanlake_block::{Column, SpanRow, ValueType};
use spanlake_otlp::arbitrary;
use spanlake_table::{SqlAnswer, SqlEngine, SqlError};

use crate::naive::{Value, attribute_columns, value};
use crate::plans::shop;
use crate::world::{World, options, run};

async fn start(world: &World, memory: usize, sql: &str) -> Result<SqlAnswer, SqlError> {
    let blocks = Arc::from(world.snapshot.blocks.to_vec());
    SqlEngine::new(memory).query(world.source(), blocks, sql).await
}

async fn try_ask(world: &World, memory: usize, sql: &str) -> Result<Vec<RecordBatch>, SqlError> {
    start(world, memory, sql).await?.batches.try_collect().await
}

/// The rows of an answer as lines, nulls as `-`.
fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::new().with_null("-");
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|array| ArrayFormatter::try_new(array.as_ref(), &options).expect("it can be shown"))
            .collect();
        for row in 0..batch.num_rows() {
            lines.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    lines
}

async fn ask(world: &World, sql: &str) -> Vec<String> {
    lines(&try_ask(world, 1 << 30, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")))
}

async fn sorted(world: &World, sql: &str) -> Vec<String> {
    let mut lines = ask(world, sql).await;
    lines.sort();
    lines
}

async fn refusal(world: &World, sql: &str) -> String {
    match try_ask(world, 1 << 30, sql).await {
        Err(SqlError::Invalid(text)) => text,
        Err(other) => panic!("{sql}: {other:?}"),
        Ok(rows) => panic!("{sql}: {:?}", lines(&rows)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of a world, copies once.
fn distinct(world: &World) -> Vec<&SpanRow> {
    let mut seen = BTreeSet::new();
    let is_new = |row: &&SpanRow| {
        let span = &row.span;
        let times = (span.start_time_unix_nano, span.end_time_unix_nano);
        seen.insert((span.trace_id.clone(), span.span_id.clone(), span.kind, times, span.name.clone()))
    };
    world.rows.iter().filter(is_new).collect()
}

fn service(row: &SpanRow) -> Option<String> {
    match value(row, &Column::ServiceName) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// The lines that `traces` must have: id, spans, errors, root, services.
fn naive_traces(spans: &[&SpanRow]) -> Vec<String> {
    let mut traces: BTreeMap<&[u8], Vec<&SpanRow>> = BTreeMap::new();
    for row in spans {
        traces.entry(&row.span.trace_id).or_default().push(row);
    }
    let line = |(id, rows): (&&[u8], &Vec<&SpanRow>)| {
        let errors = rows.iter().filter(|row| row.span.status.as_ref().is_some_and(|status| status.code == 2)).count();
        let services: BTreeSet<String> = rows.iter().filter_map(|row| service(row)).collect();
        let services: Vec<String> = services.into_iter().collect();
        let is_root = |row: &&&SpanRow| {
            let parent = &row.span.parent_span_id;
            parent.len() != 8 || parent.iter().all(|byte| *byte == 0)
        };
        let roots: Vec<&SpanRow> = rows.iter().filter(is_root).copied().collect();
        let first = roots.iter().map(|row| row.span.start_time_unix_nano).min();
        // Of roots that start at once any may be shown: only whether there is one is compared then.
        let earliest: Vec<&&SpanRow> =
            roots.iter().filter(|row| Some(row.span.start_time_unix_nano) == first).collect();
        let root = match earliest.as_slice() {
            [] => "-".to_owned(),
            [only] => only.span.name.clone(),
            _ => "*".to_owned(),
        };
        (hex(id), format!("{}|{errors}|{}", rows.len(), services.join(", ")), root)
    };
    let lines = traces.iter().map(line);
    lines.map(|(id, counts, root)| format!("{id}|{counts}|{root}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn views_equal_a_naive_count_over_distinct_spans(
        requests in vec(arbitrary::request(), 1..5),
        blocks in vec((vec(any::<prop::sample::Index>(), 1..5), 1_usize..12, 0_usize..6), 1..5),
    ) {
        // Requests lie in as many blocks as name them: what two name are copies.
        let blocks: Vec<_> = blocks
            .into_iter()
            .map(|(picks, rows, columns)| {
                let picked: BTreeSet<usize> = picks.iter().map(|pick| pick.index(requests.len())).collect();
                (picked.into_iter().map(|at| requests[at].clone()).collect::<Vec<_>>(), options(rows, columns))
            })
            .collect();
        run(async {
            let world = World::new(&blocks).await;
            if world.rows.is_empty() {
                return Ok(());
            }
            let spans = distinct(&world);
            let count = |count: usize| vec![count.to_string()];
            prop_assert_eq!(ask(&world, "SELECT count(*) FROM spans").await, count(spans.len()));

            let mut expect: Vec<String> = spans
                .iter()
                .map(|row| format!("{}|{}|{:?}|{}", hex(&row.span.trace_id), hex(&row.span.span_id), row.span.name,
                    row.span.kind))
                .collect();
            expect.sort();
            let kinds = "CASE kind WHEN 'unspecified' THEN '0' WHEN 'internal' THEN '1' WHEN 'server' THEN '2' \
                WHEN 'client' THEN '3' WHEN 'producer' THEN '4' WHEN 'consumer' THEN '5' ELSE kind END AS kind";
            let batches = try_ask(&world, 1 << 30, &format!("SELECT trace_id, span_id, name, {kinds} FROM spans")).await;
            let mut found = Vec::new();
            for line in lines(&batches.expect("sound")) {
                let (ids, rest) = line.split_at(32 + 1 + 16 + 1);
                let (name, kind) = rest.rsplit_once('|').expect("four columns");
                found.push(format!("{ids}{name:?}|{kind}"));
            }
            found.sort();
            prop_assert_eq!(found, expect);

            // A filter that is pushed, and the same one hidden from pushing.
            let row = spans[spans.len() / 2];
            let name = row.span.name.replace('\'', "''");
            let named = spans.iter().filter(|other| other.span.name == row.span.name).count();
            for filter in [format!("name = '{name}'"), format!("concat(name, '') = '{name}'")] {
                let sql = format!("SELECT count(*) FROM spans WHERE {filter}");
                prop_assert_eq!(ask(&world, &sql).await, count(named), "{}", filter);
            }
            let id = hex(&row.span.trace_id);
            let of_trace = spans.iter().filter(|other| other.span.trace_id == row.span.trace_id).count();
            for filter in [format!("trace_id = '{id}'"), format!("concat(trace_id, '') = '{id}'"),
                format!("trace_id IN ('{id}', 'none')"), format!("trace_id = '{id}' OR '{id}' = trace_id")] {
                let sql = format!("SELECT count(*) FROM spans WHERE {filter}");
                prop_assert_eq!(ask(&world, &sql).await, count(of_trace), "{}", filter);
                let sql = format!("SELECT span_count FROM traces WHERE {filter}");
                prop_assert_eq!(ask(&world, &sql).await, count(of_trace), "{}", filter);
            }

            let events: usize = spans.iter().map(|row| row.span.events.len()).sum();
            prop_assert_eq!(ask(&world, "SELECT count(*) FROM events").await, count(events));
            let links: usize = spans.iter().map(|row| row.span.links.len()).sum();
            prop_assert_eq!(ask(&world, "SELECT count(*) FROM links").await, count(links));
            let names: usize =
                spans.iter().flat_map(|row| &row.span.events).map(|event| event.name.chars().count()).sum();
            let sql = "SELECT coalesce(sum(length(name)), 0) FROM events";
            prop_assert_eq!(ask(&world, sql).await, count(names));

            let traces = naive_traces(&spans);
            prop_assert_eq!(ask(&world, "SELECT count(*) FROM traces").await, count(traces.len()));
            let sql = "SELECT trace_id, span_count, error_count, services, root_name FROM traces";
            let found = sorted(&world, sql).await;
            prop_assert_eq!(found.len(), traces.len());
            for (found, expect) in found.iter().zip(&traces) {
                match expect.strip_suffix("|*") {
                    Some(counts) => prop_assert!(found.starts_with(counts) && !found.ends_with("|-"), "{} {}", found, expect),
                    None => prop_assert_eq!(found, expect),
                }
            }
            let of_spans = sorted(&world, "SELECT trace_id, min(start_time) FROM spans \
                WHERE start_time <> '1970-01-01T00:00:00Z' GROUP BY trace_id").await;
            let of_traces = sorted(&world, "SELECT trace_id, start_time FROM traces \
                WHERE start_time <> '1970-01-01T00:00:00Z'").await;
            prop_assert_eq!(of_traces, of_spans);
            Ok(())
        })?;
    }
}

/// The name of an attribute column with its type.
fn typed(column: &Column) -> String {
    let (scope, attribute) = match column {
        Column::SpanAttribute(attribute) => ("span", attribute),
        Column::ResourceAttribute(attribute) => ("resource", attribute),
        other => panic!("{other:?} is no attribute"),
    };
    let value_type = match attribute.value_type {
        ValueType::String => "string",
        ValueType::Int => "int",
        ValueType::Double => "double",
        ValueType::Bool => "bool",
    };
    format!("{scope}.{}:{value_type}", attribute.key)
}

/// Attributes are found whatever column they lie in, by the names that queries quote.
#[test]
fn any_attribute_is_a_column() {
    run(async {
        let (requests, _) = shop(1_500);
        let size = requests.len().div_ceil(3);
        let mut blocks: Vec<_> = requests.chunks(size).map(|part| (part.to_vec(), options(200, 4))).collect();
        blocks.push(blocks[0].clone());
        let world = World::new(&blocks).await;
        let spans = distinct(&world);
        assert!(spans.len() < world.rows.len());
        let rows: Vec<SpanRow> = spans.iter().map(|row| (*row).clone()).collect();
        let columns = attribute_columns(&rows);
        assert!(columns.len() > 20);
        for column in columns.iter().step_by(4) {
            let set = spans.iter().filter(|row| value(row, column).is_some()).count();
            let sql = format!("SELECT count(\"{}\") FROM spans", typed(column));
            assert_eq!(ask(&world, &sql).await, vec![set.to_string()], "{sql}");
        }
        // The type that most spans give is what the bare name means: a status code compares as a number.
        let is_failed = |row: &&&SpanRow| {
            let code = columns.iter().find(|column| column.field().name() == "span.http.response.status_code:int");
            matches!(value(row, code.expect("the shop has it")), Some(Value::Int(code)) if code >= 500)
        };
        let failed = spans.iter().filter(is_failed).count();
        assert!(failed > 0);
        for name in ["span.http.response.status_code", "span.http.response.status_code:int"] {
            let sql = format!("SELECT count(*) FROM spans WHERE \"{name}\" >= 500");
            assert_eq!(ask(&world, &sql).await, vec![failed.to_string()], "{sql}");
        }
        assert_eq!(ask(&world, "SELECT count(\"span.nobody.has.it\") FROM spans").await, vec!["0"]);
        let star = start(&world, 1 << 30, "SELECT * FROM spans LIMIT 1").await.expect("sound").schema;
        let status = star.field_with_name("span.http.response.status_code").expect("it is a column");
        assert_eq!(status.data_type(), &datafusion::arrow::datatypes::DataType::Int64);
        assert!(star.fields().len() > 30);
        let described = ask(&world, "DESCRIBE spans").await;
        assert!(described.iter().any(|line| line.starts_with("span.http.route|")), "{described:?}");
        let text = refusal(&world, "SELECT span.http.route FROM spans").await;
        assert!(text.contains("double quotes"), "{text}");
    });
}

#[test]
fn filters_reach_the_blocks() {
    run(async {
        let (requests, _) = shop(1_000);
        let size = requests.len().div_ceil(2);
        let blocks: Vec<_> = requests.chunks(size).map(|part| (part.to_vec(), options(200, 100))).collect();
        let world = World::new(&blocks).await;
        let id = hex(&world.rows[0].span.trace_id);
        let check = async |filter: &str, is_exact: bool, shows: &str| {
            let plan = ask(&world, &format!("EXPLAIN SELECT name FROM spans WHERE {filter}")).await.join("\n");
            assert_eq!(!plan.contains("FilterExec"), is_exact, "{filter}:\n{plan}");
            assert!(plan.contains(shows), "{filter}:\n{plan}");
        };
        check(&format!("trace_id = '{id}'"), true, "traces=1").await;
        check(&format!("trace_id IN ('{id}', '00')"), true, "traces=1").await;
        check("kind = 'server'", true, "Kind Eq Int(2)").await;
        check("'error' <> status", true, "StatusCode Ne Int(2)").await;
        check("start_time >= '2026-01-01T00:00:00Z'", true, "StartUnixNanos Ge Int(1767225600000000000)").await;
        check("start_time >= TIMESTAMP '2026-01-01'", true, "StartUnixNanos Ge Int(1767225600000000000)").await;
        check("start_time > now() - INTERVAL '1 hour'", true, "StartUnixNanos Gt Int(").await;
        check("duration_nanos > 1000000", true, "DurationNanos Gt Int(1000000)").await;
        check("service_name = 'cart'", false, "service.name").await;
        check("\"span.http.response.status_code\" = 500", false, "Eq Int(500)").await;
        check("end_time > '2099-01-01T00:00:00Z'", false, "blocks=0, blocks_pruned=2").await;
        check("kind = 'nothing'", false, "SpanScanExec").await;
        let plan = ask(&world, &format!("EXPLAIN SELECT name FROM events WHERE trace_id = '{id}'")).await.join("\n");
        assert!(plan.contains("traces=1") && !plan.contains("FilterExec"), "{plan}");
        let plan = ask(&world, &format!("EXPLAIN SELECT * FROM traces WHERE trace_id = '{id}'")).await.join("\n");
        assert!(plan.contains("traces=1") && !plan.contains("FilterExec"), "{plan}");
        assert!(ask(&world, "EXPLAIN SELECT trace_id FROM traces").await.join("\n").contains("reads_spans=false"));
    });
}

async fn small() -> World {
    let (requests, _) = shop(300);
    let request = ExportTraceServiceRequest {
        resource_spans: requests.into_iter().flat_map(|request| request.resource_spans).collect(),
    };
    World::new(&[(vec![request], options(100, 10))]).await
}

#[test]
fn only_questions_are_answered() {
    run(async {
        let world = small().await;
        for sql in [
            "CREATE TABLE t AS SELECT 1",
            "CREATE VIEW v AS SELECT 1",
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
            "DROP TABLE spans",
            "INSERT INTO spans VALUES (1)",
            "DELETE FROM spans",
            "UPDATE spans SET name = 'x'",
            "COPY (SELECT 1) TO '/tmp/x.csv'",
            "SET datafusion.execution.batch_size = 1",
            "RESET datafusion.execution.batch_size",
            "PREPARE p AS SELECT 1",
            "EXECUTE p",
            "BEGIN",
            "EXPLAIN DELETE FROM spans",
            "EXPLAIN ANALYZE INSERT INTO spans VALUES (1)",
            "EXPLAIN COPY (SELECT 1) TO '/tmp/x.csv'",
            "CREATE FUNCTION f() RETURNS INT RETURN 1",
            "ANALYZE TABLE spans",
        ] {
            let text = refusal(&world, sql).await;
            assert!(text.contains("only SELECT") || text.contains("parse"), "{sql}: {text}");
        }
        let check = async |sql: &str, says: &str| {
            let text = refusal(&world, sql).await;
            assert!(text.contains(says), "{sql}: {text}");
        };
        check("", "there is no SQL").await;
        check(" ; ", "there is no SQL").await;
        check("SELECT 1; SELECT 2", "one statement").await;
        check("SELECT name FROM spans GROUP name", "Line: 1, Column: 24").await;
        check("SELECT * FROM '/etc/passwd'", "there is no table").await;
        check("SELECT * FROM span", "there is no table span: there are spans, traces, events and links").await;
        check("SELECT * FROM read_csv('/etc/passwd')", "read_csv").await;
        check("SELECT * FROM nothing", "nothing").await;
        check("SELECT nothing FROM spans", "nothing").await;
        check("SELECT repeat('x', 2000000000)", "repeat").await;
        check("SELECT replace(name, 'a', name) FROM spans", "replace").await;
        check("SELECT regexp_replace(name, 'a', name, 'g') FROM spans", "regexp_replace").await;
        check("SELECT levenshtein(name, name) FROM spans", "levenshtein").await;
        check("SELECT * FROM generate_series(1, 2000000000)", "generate_series").await;
        check("SELECT * FROM range(1, 2000000000)", "range").await;
        check("SELECT range(1, 2000000000)", "range").await;
        check("SELECT generate_series(1, 2000000000)", "generate_series").await;
        check("SELECT array_repeat(1, 2000000000)", "array_repeat").await;
        check("SELECT list_repeat(1, 2000000000)", "list_repeat").await;
        check("SELECT array_resize([1], 2000000000, 1)", "array_resize").await;
        check("SELECT list_resize([1], 2000000000, 1)", "list_resize").await;
        check("SELECT 1/0", "ivide by zero").await;
        for sql in [
            "SELECT 1",
            "SELECT 1;",
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE SELECT count(*) FROM spans",
            "SHOW TABLES",
            "SHOW COLUMNS FROM traces",
            "DESCRIBE events",
            "SELECT table_name FROM information_schema.tables",
            "WITH slow AS (SELECT * FROM spans WHERE duration_nanos > 5) SELECT count(*) FROM slow",
            "SELECT approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY duration_nanos) FROM spans",
            "SELECT date_bin(INTERVAL '1 minute', start_time) AS t, count(*) FROM spans GROUP BY t ORDER BY t",
            "SELECT time, name, attributes FROM events",
            "SELECT s.name, t.root_name FROM spans s JOIN traces t ON s.trace_id = t.trace_id LIMIT 5",
            "SELECT * FROM links",
        ] {
            try_ask(&world, 1 << 30, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    });
}

#[test]
fn deep_texts_are_refused_and_do_not_end_the_process() {
    run(async {
        let world = small().await;
        let check = async |sql: String, says: &str| {
            let text = refusal(&world, &sql).await;
            assert!(text.contains(says), "{:.100}: {text:.300}", sql);
        };
        let repeated = |open: &str, inner: &str, close: &str, times: usize| {
            format!("SELECT {}{inner}{}", open.repeat(times), close.repeat(times))
        };
        check(repeated("(", "1", ")", 100_000), "bytes").await;
        check(repeated("(", "1", ")", 50_000), "words and signs").await;
        check(repeated("(", "1", ")", 950), "").await;
        check(repeated("(SELECT ", "1", ")", 450), "").await;
        check(repeated("NOT ", "true", "", 1_900), "").await;
        check(repeated("- ", "1", "", 1_900), "").await;
        check(repeated("", "1", "::int", 900), "deep").await;
        check(repeated("", "true", " IS TRUE", 900), "deep").await;
        check(repeated("", "1", " + 1", 1_900), "deep").await;
        let all = |term: &str, join: &str, count: usize| vec![term; count].join(join);
        check(format!("SELECT 1 FROM spans WHERE {}", all("a='x'", " OR ", 10_000)), "words and signs").await;
        let terms: Vec<String> = (0..600).map(|i| format!("name LIKE 'x{i}'")).collect();
        check(format!("SELECT 1 FROM spans WHERE {}", terms.join(" OR ")), "deep").await;
        check(all("SELECT 1", " UNION ALL ", 600), "deep").await;
        check(format!("SELECT 1 FROM {}", all("traces", " CROSS JOIN ", 600)), "").await;
        // What is just below the bound runs.
        let terms: Vec<String> = (0..190).map(|i| format!("name LIKE 'x{i}%y'")).collect();
        assert_eq!(ask(&world, &format!("SELECT count(*) FROM spans WHERE {}", terms.join(" OR "))).await, vec!["0"]);
        let list: Vec<String> = (0..5_000).map(|i| format!("'x{i}'")).collect();
        let sql = format!("SELECT count(*) FROM spans WHERE name IN ({})", list.join(","));
        assert_eq!(ask(&world, &sql).await, vec!["0"]);
    });
}

#[test]
fn memory_has_a_bound() {
    run(async {
        let world = small().await;
        let sql = "SELECT a.name, b.name FROM spans a CROSS JOIN spans b ORDER BY a.span_id, b.span_id";
        match try_ask(&world, 4 << 20, sql).await {
            Err(SqlError::OutOfMemory(_)) => {}
            other => panic!("{:?}", other.map(|rows| rows.len())),
        }
        let engine = SqlEngine::new(64 << 20);
        let blocks: Arc<[_]> = Arc::from(world.snapshot.blocks.to_vec());
        let sql = "SELECT name FROM spans ORDER BY span_id";
        let answer = engine.query(world.source(), blocks, sql).await.expect("sound");
        let rows: Vec<RecordBatch> = answer.batches.try_collect().await.expect("it fits");
        assert!(!rows.is_empty());
        assert_eq!(engine.memory_bytes(), 0, "all is given back");
    });
}
