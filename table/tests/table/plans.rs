//! What plans look like and what they read: filters that are gone, orders that need no sort, indexes that save requests.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::physical_plan::{ExecutionPlan, collect};
use futures::StreamExt as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use spanlake_bench::{Corpus, Kind, Spec};
use spanlake_block::{AttributeColumn, Column, ValueType, WriteOptions, write_block};
use spanlake_otlp::{Limits, index};
use spanlake_table::attribute_columns;

use crate::differential::lines;
use crate::world::{World, options, plan, query, run};

/// Requests of the shop, and how many spans they have.
pub fn shop(span_count: u64) -> (Vec<ExportTraceServiceRequest>, usize) {
    let requests: Vec<_> = Corpus::new(&Spec::new(Kind::Shop, span_count, 7)).collect();
    let spans = requests.iter().map(|request| request.span_count as usize).sum();
    let decode = |body: &[u8]| ExportTraceServiceRequest::decode(body).expect("the corpus is sound");
    (requests.iter().map(|request| decode(&request.body)).collect(), spans)
}

fn span_column(key: &str, value_type: ValueType) -> Column {
    Column::SpanAttribute(AttributeColumn { key: key.to_owned(), value_type })
}

fn attributes() -> Vec<Column> {
    vec![
        span_column("http.response.status_code", ValueType::Int),
        span_column("user.id", ValueType::String),
        span_column("http.route", ValueType::String),
    ]
}

async fn world(span_count: u64, block_count: usize) -> World {
    let (requests, _) = shop(span_count);
    let size = requests.len().div_ceil(block_count);
    let blocks: Vec<_> = requests.chunks(size).map(|part| (part.to_vec(), options(200, 100))).collect();
    World::new(&blocks).await
}

#[test]
fn exact_filters_leave_the_plan_and_others_stay() {
    run(async {
        let world = world(1_000, 2).await;
        let session = world.session(&attributes(), 8_192);
        let trace = &world.rows[0].span.trace_id;
        let trace: String = trace.iter().map(|byte| format!("{byte:02x}")).collect();
        let check = async |filter: &str, is_exact: bool, is_pushed: bool| {
            let plan = plan(&session, &format!("SELECT name FROM pushed WHERE {filter}")).await;
            assert_eq!(!plan.contains("FilterExec"), is_exact, "{filter}:\n{plan}");
            let pushed = plan.contains("conditions=") || plan.contains("traces=") || !plan.contains("blocks_pruned=0");
            assert_eq!(pushed, is_pushed, "{filter}:\n{plan}");
        };
        check("name = 'GET /cart'", true, true).await;
        check("name LIKE '%cart%'", true, true).await;
        check("name LIKE 'GET%'", false, true).await;
        check("kind = 2", true, true).await;
        check("status_code <> 0", true, true).await;
        check("duration_nanos > 1000000", true, true).await;
        check("1000000 < duration_nanos AND kind = 3", true, true).await;
        check("start_unix_nanos >= 1767225600000000000", true, true).await;
        check("start_unix_nanos >= 1867225600000000000", true, true).await;
        check("start_unix_nanos > 18000000000000000000", false, false).await;
        check(&format!("trace_id = X'{trace}'"), true, true).await;
        check("end_unix_nanos > 1867225600000000000", false, true).await;
        check("service_name = 'cart'", false, true).await;
        check("\"span.http.response.status_code:int\" = 500", false, true).await;
        check("\"span.user.id\" = 'x'", false, true).await;
        check("\"span.user.id\" LIKE '%x%'", false, true).await;
        check("\"span.user.id\" IS NOT NULL", false, true).await;
        check("\"span.user.id\" IS NULL", false, false).await;
        check("status_message = 'x'", false, false).await;
        check("name = 'a' OR kind = 2", false, false).await;
    });
}

#[test]
fn an_order_by_trace_id_is_a_merge_without_a_sort() {
    run(async {
        let world = world(2_000, 3).await;
        let session = world.session(&[], 100);
        let sql = "SELECT trace_id, span_id FROM pushed WHERE kind = 2 ORDER BY trace_id";
        let plan = plan(&session, sql).await;
        assert!(plan.contains("SortPreservingMergeExec") && !plan.contains("SortExec"), "{plan}");
        let found: Vec<String> = query(&session, sql).await.iter().flat_map(lines).collect();
        let ids: Vec<&str> = found.iter().map(|line| line.split(" | ").next().expect("two columns")).collect();
        assert!(!ids.is_empty() && ids.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(ids.len(), world.rows.iter().filter(|row| row.span.kind == 2).count());
    });
}

#[test]
fn a_count_of_everything_reads_nothing() {
    run(async {
        let world = world(1_000, 2).await;
        let session = world.session(&[], 8_192);
        let before = world.catalog.store().meter().counts();
        let answer = query(&session, "SELECT count(*) FROM pushed").await;
        assert_eq!(lines(&answer[0]), vec![world.rows.len().to_string()]);
        assert_eq!(world.catalog.store().meter().counts().since(&before).get_range.request_count, 0);
    });
}

fn scan_of(plan: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    match plan.children().first() {
        Some(child) => scan_of(child),
        None => Arc::clone(plan),
    }
}

#[test]
fn a_needle_reads_few_row_groups_and_the_metrics_say_so() {
    run(async {
        let world = world(4_000, 2).await;
        let session = world.session(&attributes(), 8_192);
        let needle = world.rows.iter().find(|row| row.span.kind == 3).expect("there are clients").span.trace_id.clone();
        let needle: String = needle.iter().map(|byte| format!("{byte:02x}")).collect();
        let sql = format!("SELECT name FROM pushed WHERE trace_id = X'{needle}'");
        let planned = session.sql(&sql).await.expect("sound").create_physical_plan().await.expect("it plans");
        let rows = collect(Arc::clone(&planned), session.task_ctx()).await.expect("just written");
        assert!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>() > 0);
        let metrics = scan_of(&planned).metrics().expect("a scan counts");
        let count = |name: &str| metrics.sum_by_name(name).expect("it is counted").as_usize();
        assert!(count("row_groups_scanned") <= 2, "{metrics}");
        assert!(count("row_groups_pruned") > 10 && count("bytes_fetched") > 0 && count("rows_found") > 0, "{metrics}");
    });
}

#[test]
fn a_limit_and_a_dropped_stream_stop_reading() {
    run(async {
        let world = world(6_000, 1).await;
        let session = world.session(&attributes(), 50);
        let meter = || world.catalog.store().meter().counts().get_range.request_count;
        let all = {
            let before = meter();
            query(&session, "SELECT name, span_id FROM pushed").await;
            meter() - before
        };
        let before = meter();
        let answer = query(&session, "SELECT name, span_id FROM pushed LIMIT 3").await;
        assert_eq!(answer.iter().map(|batch| batch.num_rows()).sum::<usize>(), 3);
        let limited = meter() - before;
        assert!(limited * 4 < all, "{limited} of {all} requests were made for three rows");

        let before = meter();
        let planned = session.sql("SELECT name, span_id FROM pushed").await.expect("sound");
        let mut stream = planned.execute_stream().await.expect("it plans");
        stream.next().await.expect("there are rows").expect("just written");
        drop(stream);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let dropped = meter() - before;
        assert!(dropped * 4 < all, "{dropped} of {all} requests were made although the stream was dropped");
    });
}

#[test]
fn damage_names_the_object() {
    run(async {
        let (requests, _) = shop(500);
        let batches: Vec<_> = requests
            .iter()
            .map(|request| index(Bytes::from(request.encode_to_vec()), &Limits::default()).expect("sound"))
            .collect();
        let mut written = write_block(&batches, &WriteOptions::default()).expect("there are spans");
        let mut bytes = written.bytes.to_vec();
        bytes[written.meta.search_offset as usize / 3] ^= 4;
        let world = World::of(vec![]).await;
        written.bytes = Bytes::from(bytes);
        let at = world.catalog.publish_l0(&crate::world::tenant(), written).await.expect("it is taken");
        let snapshot = world.catalog.snapshot(&crate::world::tenant()).await.expect("it lists");
        let world = World { snapshot, ..world };
        let found = attribute_columns(&world.source(), &world.snapshot, 50).await.expect("the indexes are whole");
        assert_eq!(found.len(), 50);
        let session = world.session(&found, 8_192);
        let error =
            session.sql("SELECT * FROM pushed").await.expect("sound").collect().await.expect_err("a bit flipped");
        assert!(error.to_string().contains(&*at.key) && error.to_string().contains("damaged"), "{error}");
    });
}
