//! Real blocks through the catalog: published, opened once, damaged on the way and for good.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use spanlake_block::{WriteOptions, Written, write_block};
use spanlake_catalog::{Catalog, Config, Edit};
use spanlake_model::{ByteSize, Tenant, TraceId};
use spanlake_otlp::{Limits, index};
use spanlake_storage::faults::{Fault, Faulty};
use spanlake_storage::{Operation, Store};

fn block_of(trace: u8) -> Written {
    let span = |span_id: u8| Span {
        trace_id: vec![trace; 16],
        span_id: vec![span_id; 8],
        name: format!("span {span_id}"),
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_000_000_009,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: (1..=5).map(span).collect(), ..ScopeSpans::default() }];
    let request =
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] };
    let batch = index(Bytes::from(request.encode_to_vec()), &Limits::default()).expect("a good request");
    write_block(&[batch], &WriteOptions::default()).expect("a block")
}

#[tokio::test]
async fn blocks_are_opened_once_and_their_traces_read() {
    let store = Store::memory();
    let (catalog, tenant) = (Catalog::new(store.clone(), Config::default()), Tenant::single());
    let published = catalog.publish_l0(&tenant, block_of(7)).await.expect("publish");
    let snapshot = catalog.snapshot(&tenant).await.expect("snapshot");
    assert!(snapshot.blocks == [published.clone()]);
    let before = store.meter().counts();
    let opened = futures::future::join_all((0..8).map(|_| catalog.open_block(&published))).await;
    assert!(opened.iter().all(Result::is_ok));
    assert_eq!(store.meter().counts().since(&before).get_range.request_count, 1, "one GET for eight who ask");
    let search = catalog.open_search(&published).await.expect("the search index");
    assert_eq!(search.summaries().len(), 1);
    catalog.open_search(&published).await.expect("from memory");
    assert_eq!(store.meter().counts().since(&before).get_range.request_count, 2);
    let block = catalog.open_block(&published).await.expect("from memory");
    let id = TraceId([7; 16]);
    assert!(!block.row_groups_for(&id).is_empty());
    assert!(block.row_groups_for(&TraceId([8; 16])).is_empty());
}

#[tokio::test]
async fn indexes_of_merged_blocks_are_let_go_of() {
    let store = Store::memory();
    let (catalog, tenant) = (Catalog::new(store.clone(), Config::default()), Tenant::single());
    let merged = catalog.publish_l0(&tenant, block_of(7)).await.expect("publish");
    let other = catalog.publish_l0(&tenant, block_of(8)).await.expect("publish");
    for block in [&merged, &other] {
        catalog.open_search(block).await.expect("open");
    }
    let output = catalog.stage_block(&tenant, block_of(7)).await.expect("stage");
    let edit = Edit { add: vec![output], remove: vec![merged.clone()], ..Edit::default() };
    catalog.commit(&tenant, edit).await.expect("commit");
    catalog.snapshot(&tenant).await.expect("snapshot");
    let before = store.meter().counts();
    catalog.open_search(&other).await.expect("from memory");
    assert_eq!(store.meter().counts().since(&before).get_range.request_count, 0);
    // Who still has the snapshot before may read it.
    catalog.open_search(&merged).await.expect("read anew");
    assert_eq!(store.meter().counts().since(&before).get_range.request_count, 1, "tail and search index in one");
}

#[tokio::test]
async fn a_cache_of_no_bytes_reads_every_time() {
    let store = Store::memory();
    let config = Config { tail_cache_bytes: ByteSize(0), search_cache_bytes: ByteSize(0) };
    let (catalog, tenant) = (Catalog::new(store.clone(), config), Tenant::single());
    let published = catalog.publish_l0(&tenant, block_of(7)).await.expect("publish");
    let before = store.meter().counts();
    for _ in 0..3 {
        catalog.open_block(&published).await.expect("open");
    }
    assert_eq!(store.meter().counts().since(&before).get_range.request_count, 3);
}

#[tokio::test]
async fn a_flipped_bit_in_the_tail_is_damage_that_names_the_block() {
    let tenant = Tenant::single();
    let good = block_of(7);
    let tail = usize::try_from(good.meta.tail_offset).expect("small");
    for at in (tail..good.bytes.len()).step_by(97) {
        let mut bytes = good.bytes.to_vec();
        bytes[at] ^= 1;
        let damaged = Written { bytes: Bytes::from(bytes), ..good.clone() };
        let catalog = Catalog::new(Store::memory(), Config::default());
        let published = catalog.publish_l0(&tenant, damaged).await.expect("publish");
        let error = catalog.open_block(&published).await.expect_err("damaged");
        assert!(error.is_damage() && error.to_string().contains(&*published.key), "byte {at}: {error}");
    }
    let short = Written { bytes: good.bytes.slice(..good.bytes.len() - 1), ..good };
    let catalog = Catalog::new(Store::memory(), Config::default());
    let published = catalog.publish_l0(&tenant, short).await.expect("publish");
    let error = catalog.open_block(&published).await.expect_err("truncated");
    assert!(error.is_damage() && error.to_string().contains(&*published.key), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_was_cut_once_is_no_damage() {
    let faulty = Faulty::over(Store::memory().driver());
    let store = Store::over(faulty.clone(), &Default::default());
    let (catalog, tenant) = (Catalog::new(store, Config::default()), Tenant::single());
    let published = catalog.publish_l0(&tenant, block_of(7)).await.expect("publish");
    faulty.next(Operation::GetRange, Fault::Short);
    catalog.open_block(&published).await.expect("the second time");
    assert!(faulty.script_is_over());
}
