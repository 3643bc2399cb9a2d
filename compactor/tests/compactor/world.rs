//! A store with real blocks in it, and compactors that work on it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prometheus_client::registry::Registry;
use prost::Message as _;
use spanlake_block::{BlockMeta, WriteOptions, Written, write_block};
use spanlake_catalog::{BlockRef, Catalog, Snapshot};
use spanlake_compactor::{Compactor, Config, Turn};
use spanlake_model::{HumanDuration, Tenant, TraceId};
use spanlake_otlp::{Limits, index};
use spanlake_storage::Store;

/// An hour's start, long ago: its window has closed.
pub const BEGIN: u64 = 472_000 * 3_600_000_000_000;

/// A block of the traces numbered `traces`, each of three spans at `start`.
pub fn block_of(traces: std::ops::Range<u8>, start: u64) -> Written {
    let spans = traces.flat_map(|trace| {
        (1..=3u8).map(move |span| Span {
            trace_id: vec![trace + 1; 16],
            span_id: vec![trace, span, 1, 1, 1, 1, 1, 1],
            name: format!("span {span} of {trace}"),
            start_time_unix_nano: start,
            end_time_unix_nano: start + 1_000,
            ..Span::default()
        })
    });
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
    let request =
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] };
    let batch = index(Bytes::from(request.encode_to_vec()), &Limits::default()).expect("a good request");
    write_block(&[batch], &WriteOptions::default()).expect("a block")
}

/// A block whose bytes are not what they were.
pub fn damaged_block(start: u64) -> Written {
    let good = block_of(100..101, start);
    let mut bytes = good.bytes.to_vec();
    let at = usize::try_from(good.meta.tail_offset).expect("small") + 40;
    bytes[at] ^= 1;
    Written { bytes: Bytes::from(bytes), ..good }
}

/// Something with a block's name above level 0, for parts that read no rows.
pub fn named_block(level: u8, end: u64) -> Written {
    let good = block_of(1..2, end - 1_000);
    Written { meta: BlockMeta { level, ..good.meta.clone() }, ..good }
}

pub fn trace(number: u8) -> TraceId {
    TraceId([number + 1; 16])
}

/// Settings under which everything is due at once, and nothing is swept.
pub fn eager() -> Config {
    Config {
        interval: HumanDuration::from_millis(1),
        l0_min_age: HumanDuration::from_secs(0),
        l0_max_wait: HumanDuration::from_secs(0),
        window_grace: HumanDuration::from_secs(0),
        delete_grace: HumanDuration::from_secs(0),
        deleted_traces_min_age: HumanDuration::from_secs(0),
        late_retention: HumanDuration::from_secs(0),
        lease: HumanDuration::from_secs(30),
        ..Config::default()
    }
}

pub fn catalog(store: &Store) -> Catalog {
    Catalog::new(store.clone(), spanlake_catalog::Config::default())
}

pub fn compactor(store: &Store, config: Config) -> Compactor {
    Compactor::new(config, catalog(store), &mut Registry::default())
}

/// Stores, each with what keeps it alive.
pub fn stores() -> Vec<(Option<tempfile::TempDir>, Store)> {
    let root = tempfile::tempdir().expect("a temporary directory");
    let url = root.path().display().to_string();
    let directory = Store::open(&spanlake_storage::Config { url, ..Default::default() }).expect("open");
    vec![(None, Store::memory()), (Some(root), directory)]
}

pub async fn snapshot(store: &Store) -> Arc<Snapshot> {
    catalog(store).snapshot(&Tenant::single()).await.expect("snapshot")
}

pub fn levels(snapshot: &Arc<Snapshot>) -> Vec<u8> {
    let mut levels: Vec<u8> = snapshot.blocks.iter().map(|block| block.meta.level).collect();
    levels.sort_unstable();
    levels
}

/// Takes turns until nothing is due.
pub async fn settle(compactor: &Compactor) {
    let mut idle_turns = 0;
    for _ in 0..100 {
        idle_turns = match compactor.turn(&Tenant::single()).await.expect("a turn") {
            Turn::Worked => 0,
            Turn::Idle | Turn::Elsewhere => idle_turns + 1,
        };
        if idle_turns == 2 {
            return;
        }
        // The store's clock, as a compactor knows it, may be a moment behind.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it never settles");
}

/// Every span that readers see, read from the rows: trace id and span id, each once, deleted traces left out.
pub async fn spans(store: &Store) -> BTreeSet<(TraceId, [u8; 8])> {
    let (catalog, snapshot) = (catalog(store), snapshot(store).await);
    let mut found = BTreeSet::new();
    for block in &snapshot.blocks {
        for (trace, span, _) in rows(&catalog, block).await {
            let span = (trace, span);
            if !snapshot.deleted().contains(&span.0) {
                assert!(found.insert(span), "{span:?} is there twice");
            }
        }
    }
    found
}

/// The rows of a block: trace id, span id, start.
pub async fn rows(catalog: &Catalog, block: &BlockRef) -> Vec<(TraceId, [u8; 8], u64)> {
    let opened = catalog.open_block(block).await.expect("it opens");
    let mut rows = Vec::new();
    for row_group in 0..opened.row_group_count() {
        let bytes =
            catalog.store().get_range(&block.key, opened.row_group_range(row_group)).await.expect("a row group");
        let read = opened.read_row_group(row_group, bytes).expect("not damaged");
        rows.extend(read.into_iter().map(|row| {
            let id = TraceId::from_wire(&row.span.trace_id).expect("a trace id");
            (id, row.span.span_id.try_into().expect("a span id"), row.span.start_time_unix_nano)
        }));
    }
    rows
}

/// The spans of [`block_of`].
pub fn expected(traces: std::ops::Range<u8>) -> BTreeSet<(TraceId, [u8; 8])> {
    traces.flat_map(|number| (1..=3u8).map(move |span| (trace(number), [number, span, 1, 1, 1, 1, 1, 1]))).collect()
}

/// Every object's key, leases apart.
pub async fn keys(store: &Store) -> Vec<String> {
    let listed = store.list("tenants/", None).await.expect("list");
    listed.into_iter().map(|object| object.key).filter(|key| !key.contains("/lease/")).collect()
}
