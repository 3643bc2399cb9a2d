//! The division into parts, over random histories: nothing is lost, order holds, parts stay of a sensible size.

use std::collections::BTreeSet;

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use spanlake_block::BlockMeta;
use spanlake_model::Tenant;

use super::*;
use crate::id::Ids;
use crate::keys;

fn block(ids: &Ids, max_end_unix_nanos: u64) -> BlockRef {
    let tenant = Tenant::single();
    let meta = BlockMeta {
        format_version: 1,
        level: 1,
        span_count: 1,
        trace_count: 1,
        min_start_unix_nanos: max_end_unix_nanos.saturating_sub(5),
        max_end_unix_nanos,
        object_bytes: 9,
        search_offset: 4,
        tail_offset: 8,
        tail_crc32c: 1,
    };
    let key = Arc::from(format!("{}{}", keys::blocks(&tenant), meta.to_name(&ids.next())));
    BlockRef { tenant, key, meta }
}

fn keys_of<'a>(blocks: impl IntoIterator<Item = &'a BlockRef>) -> BTreeSet<Arc<str>> {
    blocks.into_iter().map(|block| Arc::clone(&block.key)).collect()
}

/// Adds blocks mostly at the end of time, sometimes late, and removes some anywhere, as compaction and retention do.
#[test]
fn parts_hold_every_block_in_order_whatever_happens() {
    for seed in 0..4u64 {
        let mut random = SmallRng::seed_from_u64(seed);
        let ids = Ids::default();
        let (mut parts, mut head): (Vec<Arc<Part>>, Vec<BlockRef>) = Default::default();
        let mut expect = BTreeSet::new();
        let (mut now, mut rewritten, mut added_count) = (1_000_000u64, 0usize, 0usize);
        for _ in 0..200 {
            for _ in 0..random.random_range(0..60) {
                now += random.random_range(0..10);
                let late = if random.random_range(0..20) == 0 { random.random_range(0..now) } else { 0 };
                head.push(block(&ids, now - late));
                added_count += 1;
            }
            expect.extend(keys_of(&head));
            let all: Vec<BlockRef> = parts.iter().flat_map(|part| &part.blocks).chain(&head).cloned().collect();
            let from = random.random_range(0..all.len().max(1));
            let gone: Vec<&BlockRef> = all.iter().skip(from).take(random.random_range(0..50)).collect();
            let removed: HashMap<&str, &BlockRef> = gone.iter().map(|block| (&*block.key, *block)).collect();
            head.retain(|block| !removed.contains_key(&*block.key));
            expect.retain(|key| !removed.contains_key(&**key));
            let (slots, left) = arrange(&parts, head, &removed);
            head = left;
            parts = slots
                .into_iter()
                .map(|slot| match slot {
                    Slot::Kept(part) => part,
                    Slot::New(blocks) => {
                        rewritten += blocks.len();
                        Part::create(&Tenant::single(), blocks, Vec::new()).0
                    }
                })
                .collect();
            let in_order: Vec<&BlockRef> = parts.iter().flat_map(|part| &part.blocks).collect();
            assert!(in_order.is_sorted_by_key(|block| newest_first(block)), "seed {seed}");
            assert!(head.is_sorted_by_key(|block| newest_first(block)) && head.len() <= MAX_HEAD_BLOCKS, "seed {seed}");
            assert!(parts.iter().all(|part| (1..=MAX_PART_BLOCKS).contains(&part.blocks.len())), "seed {seed}");
            assert_eq!(keys_of(in_order.into_iter().chain(&head)), expect, "seed {seed}");
        }
        assert!(parts.len() <= 2 + expect.len() * 4 / MAX_PART_BLOCKS, "seed {seed}: {} parts", parts.len());
        println!(
            "seed {seed}: {added_count} added, {rewritten} written into {} parts, {} left",
            parts.len(),
            expect.len()
        );
    }
}

#[test]
fn what_is_not_touched_stays_the_same_object() {
    let ids = Ids::default();
    let blocks = (0..5_000).map(|at| block(&ids, at)).collect();
    let create = |slots: Vec<Slot>| -> Vec<Arc<Part>> {
        let create = |slot: Slot| Part::create(&Tenant::single(), slot.into_blocks(), Vec::new()).0;
        slots.into_iter().map(create).collect()
    };
    let (slots, head) = arrange(&[], blocks, &HashMap::new());
    let parts = create(slots);
    assert_eq!((parts.len(), head.len()), (5, KEPT_HEAD_BLOCKS));
    let gone = &parts[2].blocks[7];
    let (slots, _) = arrange(&parts, head, &HashMap::from([(&*gone.key, gone)]));
    let kept = |slot: &Slot| matches!(slot, Slot::Kept(_));
    assert_eq!(slots.iter().map(kept).collect::<Vec<_>>(), [true, true, false, true, true]);
    assert_eq!(slots[2].blocks().len(), parts[2].blocks.len() - 1);
}
