//! Tables of live blocks and what is due for them.

use std::sync::Arc;

use spanlake_model::{ByteSize, HumanDuration, Tenant};

use spanlake_block::BlockMeta;
use spanlake_compactor::{Candidate, Config, Plan, TenantConfig, select};

const SECOND: u64 = 1_000_000_000;
/// A whole number of hours, so that windows are easy to count.
const NOW: u64 = 1_000_000 * 3_600 * SECOND;

fn config() -> Config {
    Config {
        l0_min_age: HumanDuration::from_secs(10),
        l0_fan_in: 3,
        l0_max_wait: HumanDuration::from_secs(60),
        max_inputs: 4,
        l0_max_input_bytes: ByteSize(1_000),
        max_input_bytes: ByteSize(1_000),
        max_block_bytes: ByteSize(400),
        window: HumanDuration::from_secs(3_600),
        window_grace: HumanDuration::from_secs(600),
        ..Config::default()
    }
}

/// A block of `level` whose last span ended, and which was written, so many seconds before now.
fn block(key: &str, level: u8, age_seconds: u64, object_bytes: u64) -> Candidate {
    let at = NOW - age_seconds * SECOND;
    let meta = BlockMeta {
        format_version: 1,
        level,
        span_count: 1,
        trace_count: 1,
        min_start_unix_nanos: at,
        max_end_unix_nanos: at,
        object_bytes,
        search_offset: 0,
        tail_offset: 0,
        tail_crc32c: 0,
    };
    Candidate { key: Arc::from(key), meta, written_unix_nanos: at, is_quarantined: false, holds_deleted: false }
}

fn shown(plan: &Plan) -> String {
    match plan {
        Plan::Nothing => "nothing".to_owned(),
        Plan::Merge { level, inputs } => format!("merge {} to {level}", inputs.join(" ")),
        Plan::Move { level, blocks } => format!("move {} to {level}", blocks.join(" ")),
        Plan::Drop { blocks } => format!("drop {}", blocks.join(" ")),
    }
}

fn check_with(config: &Config, blocks: &[Candidate], expect: &str) {
    assert_eq!(shown(&select(blocks, config, config.retention.as_nanos(), NOW)), expect);
    let reversed: Vec<Candidate> = blocks.iter().rev().cloned().collect();
    assert_eq!(shown(&select(&reversed, config, config.retention.as_nanos(), NOW)), expect, "in reverse order");
}

fn check(blocks: &[Candidate], expect: &str) {
    check_with(&config(), blocks, expect);
}

#[test]
fn level_0_waits_for_fan_in_or_age() {
    check(&[], "nothing");
    check(&[block("a", 0, 20, 1)], "nothing");
    check(&[block("a", 0, 20, 1), block("b", 0, 15, 1)], "nothing");
    check(&[block("a", 0, 20, 1), block("b", 0, 15, 1), block("c", 0, 10, 1)], "merge a b c to 1");
    check(&[block("a", 0, 20, 1), block("b", 0, 15, 1), block("c", 0, 9, 1)], "nothing");
    check(&[block("a", 0, 60, 1), block("b", 0, 15, 1)], "merge a b to 1");
    check(&[block("a", 0, 600, 1)], "nothing");
    check(&[block("a", 0, 600, 1), block("b", 0, 1, 1)], "nothing");
}

#[test]
fn level_0_is_bounded_in_blocks_and_bytes() {
    let many: Vec<Candidate> = (0..9).map(|i| block(&i.to_string(), 0, 50 - i, 1)).collect();
    check(&many, "merge 0 1 2 3 to 1");
    let large = [block("a", 0, 40, 400), block("b", 0, 30, 400), block("c", 0, 20, 400)];
    check(&large, "merge a b to 1");
    let huge = [block("a", 0, 40, 9_000), block("b", 0, 30, 9_000), block("c", 0, 20, 1)];
    check(&huge, "merge a b to 1");
}

#[test]
fn a_block_from_the_future_is_old_enough() {
    let mut early = block("a", 0, 20, 1);
    early.written_unix_nanos = NOW + 24 * 3_600 * SECOND;
    check(&[early, block("b", 0, 15, 1), block("c", 0, 15, 1)], "merge b c a to 1");
}

#[test]
fn level_0_that_fills_a_merge_does_not_wait() {
    check(&[block("a", 0, 20, 400), block("b", 0, 15, 700)], "merge a b to 1");
    check(&[block("a", 0, 20, 400), block("b", 0, 15, 500)], "nothing");
}

#[test]
fn windows_are_merged_once_closed() {
    // Now is the start of an hour: the last hour ended 0 s ago, inside the grace, the hour before it is closed.
    check(&[block("a", 1, 1_800, 1), block("b", 1, 1_700, 1)], "nothing");
    check(&[block("a", 1, 5_400, 1), block("b", 1, 5_300, 1)], "merge a b to 2");
    check(&[block("a", 1, 9_000, 1), block("b", 1, 5_300, 1)], "move a b to 2");
    let two = [block("a", 1, 5_400, 1), block("b", 1, 5_300, 1), block("c", 1, 9_000, 1), block("d", 1, 8_900, 1)];
    check(&two, "merge c d to 2");
    check(&[block("a", 2, 5_400, 1), block("b", 2, 5_300, 1)], "nothing");
}

#[test]
fn one_alone_in_a_closed_window_is_moved() {
    check(&[block("a", 1, 5_400, 900)], "move a to 2");
    check(&[block("a", 1, 5_400, 9_000)], "move a to 2");
    check(&[block("a", 1, 1_800, 1)], "nothing");
    check(&[block("a", 1, 1_800, 9_000)], "nothing");
    check(&[block("a", 1, 5_400, 1), block("b", 2, 5_300, 1)], "move a to 2");
    check(&[block("a", 1, 9_000, 1), block("b", 1, 5_400, 1), block("c", 1, 5_300, 1)], "merge b c to 2");
}

#[test]
fn a_window_that_is_full_does_not_wait_for_its_end() {
    check(&[block("a", 1, 1_800, 600), block("b", 1, 1_700, 399)], "nothing");
    check(&[block("a", 1, 1_800, 500), block("b", 1, 1_700, 300), block("c", 1, 1_600, 300)], "merge a b to 2");
    let many: Vec<Candidate> = (0..9).map(|i| block(&i.to_string(), 1, 1_800 - i, 1)).collect();
    check(&many, "merge 0 1 2 3 to 2");
}

/// Late spans come as small blocks, again and again: they are gathered before they are merged.
#[test]
fn late_blocks_of_a_closed_window_wait_for_each_other() {
    let late = |key: &str, written_seconds_ago: u64| {
        let mut late = block(key, 1, 5_400, 1);
        late.written_unix_nanos = NOW - written_seconds_ago * SECOND;
        late
    };
    check(&[late("a", 500)], "nothing");
    check(&[late("a", 600)], "move a to 2");
    check(&[late("a", 700), late("b", 500)], "nothing");
    check(&[late("a", 700), late("b", 600)], "merge a b to 2");
    check(&[late("a", 700), late("b", 500), late("c", 1)], "merge a b c to 2");
}

#[test]
fn small_blocks_of_a_closed_window_are_merged_when_four_are_alike() {
    let blocks = |sizes: &[u64]| -> Vec<Candidate> {
        sizes.iter().enumerate().map(|(at, size)| block(&at.to_string(), 2, 5_400 - at as u64, *size)).collect()
    };
    check(&blocks(&[10, 10, 10]), "nothing");
    check(&blocks(&[10, 10, 10, 10]), "merge 0 1 2 3 to 2");
    check(&blocks(&[10, 10, 10, 90]), "nothing");
    check(&blocks(&[10, 90, 80, 10, 10, 70, 65]), "merge 1 2 5 6 to 2");
    check(&blocks(&[100, 100, 100, 100]), "nothing");
    let open: Vec<Candidate> = (0..4).map(|at| block(&at.to_string(), 2, 1_800 - at, 10)).collect();
    check(&open, "nothing");
}

#[test]
fn blocks_with_deleted_traces_are_rewritten_where_they_are() {
    let holding = |key: &str, level: u8, age_seconds: u64| {
        let mut holding = block(key, level, age_seconds, 10);
        holding.holds_deleted = true;
        holding
    };
    check(&[holding("a", 2, 9_000), holding("b", 2, 12_000)], "merge b to 2");
    check(&[holding("a", 1, 100)], "merge a to 1");
    check(&[holding("a", 0, 59)], "nothing");
    check(&[holding("a", 0, 60)], "merge a to 1");
    check(&[holding("a", 0, 60), block("b", 0, 50, 1)], "merge a b to 1");
}

#[test]
fn damaged_blocks_are_left_alone() {
    let damaged = |key: &str, level: u8, age_seconds: u64| {
        let mut damaged = block(key, level, age_seconds, 10);
        (damaged.is_quarantined, damaged.holds_deleted) = (true, true);
        damaged
    };
    check(&[damaged("a", 0, 600), block("b", 0, 600, 1)], "nothing");
    check(&[damaged("a", 1, 5_400), damaged("b", 1, 5_300), block("c", 1, 5_300, 1)], "move c to 2");
    let config = Config { retention: HumanDuration::from_secs(60), ..config() };
    check_with(&config, &[damaged("a", 1, 9_000)], "nothing");
}

#[test]
fn a_tenant_may_keep_its_spans_longer_or_for_ever() {
    let tenants = [("long", Some(100)), ("ever", Some(0)), ("same", None)]
        .map(|(name, seconds)| (name.to_owned(), TenantConfig { retention: seconds.map(HumanDuration::from_secs) }));
    let config = Config { retention: HumanDuration::from_secs(10), tenants: tenants.into(), ..Config::default() };
    for (name, seconds) in [("long", 100), ("ever", 0), ("same", 10), ("other", 10)] {
        let tenant = Tenant::parse(name).expect("a name");
        assert_eq!(config.retention_nanos(&tenant), seconds * SECOND, "{name}");
    }
}

#[test]
fn level_0_comes_before_windows() {
    let blocks = [block("a", 1, 5_400, 1), block("b", 1, 5_300, 1), block("x", 0, 70, 1), block("y", 0, 65, 1)];
    check(&blocks, "merge x y to 1");
}

#[test]
fn retention_drops_whole_blocks_of_any_level_first() {
    let config = Config { retention: HumanDuration::from_secs(7_200), ..config() };
    let blocks = [block("a", 2, 7_201, 1), block("b", 0, 9_000, 1), block("c", 1, 7_200, 1), block("d", 0, 70, 1)];
    check_with(&config, &blocks, "drop b a");
    check_with(&config, &blocks[2..], "move c to 2");
    let mut open_ended = block("a", 1, 9_000, 1);
    open_ended.meta.max_end_unix_nanos = 0;
    open_ended.meta.min_start_unix_nanos = NOW;
    check_with(&config, &[open_ended], "nothing");
    check(&blocks[..1], "nothing");
}

/// A sender whose clock is behind by more than the retention finds what was acknowledged, for a while.
#[test]
fn what_arrives_late_stays_for_a_while() {
    let config = |late_seconds: u64| Config {
        retention: HumanDuration::from_secs(7_200),
        late_retention: HumanDuration::from_secs(late_seconds),
        ..config()
    };
    let late = |written_unix_nanos: u64| {
        let mut late = block("a", 2, 1_000_000, 1);
        late.written_unix_nanos = written_unix_nanos;
        [late]
    };
    let written = |seconds_ago: u64| late(NOW - seconds_ago * SECOND);
    check_with(&config(3_600), &written(3_599), "nothing");
    check_with(&config(3_600), &written(3_600), "drop a");
    // No longer than what is on time: the retention is a promise in both directions.
    check_with(&config(24 * 3_600), &written(7_199), "nothing");
    check_with(&config(24 * 3_600), &written(7_200), "drop a");
    check_with(&config(0), &written(0), "drop a");
    // By a clock that is a little ahead, and by one that is wrong.
    check_with(&config(3_600), &late(NOW + 3_599 * SECOND), "nothing");
    check_with(&config(3_600), &late(NOW + 3_600 * SECOND), "drop a");
}
