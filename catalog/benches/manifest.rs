//! What a tenant of 100,000 blocks costs: loading its manifest, committing to it, a snapshot, choosing blocks by time. In
//! milliseconds, requests and bytes, over the store in memory.
//!
//! `cargo bench -p spanlake-catalog --bench manifest`, with `-- <blocks>` for another number.

use std::time::Instant;

use bytes::Bytes;
use spanlake_block::{BlockMeta, WriteReport, Written};
use spanlake_catalog::{BlockRef, Catalog, Committed, Config, Edit};
use spanlake_model::{Tenant, TimeRange};
use spanlake_storage::{Counts, Store};

const MINUTE: u64 = 60_000_000_000;
const BEGIN: u64 = 1_700_000_000_000_000_000;

/// Blocks committed at once while the tenant grows.
const BATCH: usize = 250;

/// Level-0 blocks beside the manifest, as an hour of grace leaves them.
const L0_BLOCKS: u64 = 2_000;

fn written(level: u8, end: u64) -> Written {
    let bytes = Bytes::from_static(b"a name is all");
    let meta = BlockMeta {
        format_version: 1,
        level,
        span_count: 1_000_000,
        trace_count: 100_000,
        min_start_unix_nanos: end - 60 * MINUTE,
        max_end_unix_nanos: end,
        object_bytes: bytes.len() as u64,
        search_offset: 4,
        tail_offset: 8,
        tail_crc32c: 0x89ab_cdef,
    };
    Written { bytes, meta, report: WriteReport::default() }
}

async fn commit(catalog: &Catalog, tenant: &Tenant, edit: Edit) {
    match catalog.commit(tenant, edit).await.expect("commit") {
        Committed::Won { .. } => {}
        other => panic!("{other:?}"),
    }
}

struct Report {
    store: Store,
    before: Counts,
    begun: Instant,
}

impl Report {
    fn begin(store: &Store) -> Self {
        Self { store: store.clone(), before: store.meter().counts(), begun: Instant::now() }
    }

    fn end(self, what: &str, times: u32) {
        let elapsed = self.begun.elapsed() / times;
        let counts = self.store.meter().counts().since(&self.before);
        let each = |count: u64| count as f64 / f64::from(times);
        println!(
            "{what:<44} {:>9.3} ms  GET {:>5.1} ({:>10.0} B)  PUT {:>4.1} ({:>9.0} B)  LIST {:>4.1}",
            elapsed.as_secs_f64() * 1_000.0,
            each(counts.get.request_count),
            each(counts.get.bytes),
            each(counts.put.request_count),
            each(counts.put.bytes),
            each(counts.list.request_count),
        );
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let count: usize = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    let (store, tenant) = (Store::memory(), Tenant::single());
    let catalog = Catalog::new(store.clone(), Config::default());
    let growing = Report::begin(&store);
    let mut end = BEGIN;
    let mut commits = 0;
    while (commits as usize) * BATCH < count {
        let mut add = Vec::with_capacity(BATCH);
        for _ in 0..BATCH {
            end += 10 * MINUTE;
            add.push(catalog.stage_block(&tenant, written(2, end)).await.expect("stage"));
        }
        commit(&catalog, &tenant, Edit { add, ..Edit::default() }).await;
        commits += 1;
    }
    growing.end("grow by 250 blocks, their PUTs included", commits);
    for at in 0..L0_BLOCKS {
        catalog.publish_l0(&tenant, written(0, end + at)).await.expect("publish");
    }
    println!("{count} blocks in the manifest, {L0_BLOCKS} in level 0");

    const TIMES: u32 = 10;
    let load = Report::begin(&store);
    for _ in 0..TIMES {
        let cold = Catalog::new(store.clone(), Config::default());
        assert_eq!(cold.snapshot(&tenant).await.expect("snapshot").blocks.len(), count + L0_BLOCKS as usize);
    }
    load.end("load: the first snapshot of a process", TIMES);

    let reader = Catalog::new(store.clone(), Config::default());
    reader.snapshot(&tenant).await.expect("snapshot");
    let same = Report::begin(&store);
    for _ in 0..TIMES {
        reader.snapshot(&tenant).await.expect("snapshot");
    }
    same.end("snapshot: nothing has changed", TIMES);

    let l0 = |at: u64, from: &[BlockRef]| from[at as usize * 16..(at as usize + 1) * 16].to_vec();
    let inputs: Vec<BlockRef> = reader
        .snapshot(&tenant)
        .await
        .expect("snapshot")
        .blocks
        .iter()
        .filter(|b| b.meta.level == 0)
        .cloned()
        .collect();
    let mut staged = Vec::new();
    for at in 0..2 * u64::from(TIMES) {
        staged.push(reader.stage_block(&tenant, written(1, end + at)).await.expect("stage"));
    }
    let merge = Report::begin(&store);
    for at in 0..u64::from(TIMES) {
        let edit = Edit { add: vec![staged[at as usize].clone()], remove: l0(at, &inputs), ..Edit::default() };
        commit(&reader, &tenant, edit).await;
    }
    merge.end("commit: 16 of level 0 become one", TIMES);

    let mut refresh_nanos = 0;
    for at in u64::from(TIMES)..2 * u64::from(TIMES) {
        let edit = Edit { add: vec![staged[at as usize].clone()], remove: l0(at, &inputs), ..Edit::default() };
        commit(&catalog, &tenant, edit).await;
        let begun = Instant::now();
        reader.snapshot(&tenant).await.expect("snapshot");
        refresh_nanos += begun.elapsed().as_nanos();
    }
    println!("{:<44} {:>9.3} ms", "snapshot: another has committed", refresh_nanos as f64 / f64::from(TIMES) / 1e6);

    let old = reader.snapshot(&tenant).await.expect("snapshot").blocks.to_vec();
    let middle = Report::begin(&store);
    for at in 0..TIMES {
        let remove = vec![old[count / 2 + at as usize * 1_500].clone()];
        commit(&reader, &tenant, Edit { remove, ..Edit::default() }).await;
    }
    middle.end("commit: a block in the middle of time goes", TIMES);

    let snapshot = reader.snapshot(&tenant).await.expect("snapshot");
    let day = TimeRange { start_unix_nanos: end - 2_000 * MINUTE, end_unix_nanos: end - 560 * MINUTE };
    let plan = Report::begin(&store);
    let chosen = (0..100).map(|_| snapshot.blocks_in(day).count()).max().unwrap_or_default();
    plan.end(&format!("plan: {chosen} blocks of a day"), 100);
    let all = Report::begin(&store);
    let bytes: u64 = snapshot.blocks.iter().map(|block| block.meta.object_bytes).sum();
    all.end(&format!("plan: every block, {bytes} bytes"), 1);
}
