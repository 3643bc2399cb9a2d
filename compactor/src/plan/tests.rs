//! Tables of live blocks and what is due for them.

use spanlake_model::{ByteSize, HumanDuration};

use super::*;

const SECOND: u64 = 1_000_000_000;
/// A whole number of hours, so that windows are easy to count.
const NOW: u64 = 1_000_000 * 3_600 * SECOND;

fn config() -> Config {
    Config {
        l0_min_age: HumanDuration::from_secs(10),
        l0_fan_in: 3,
        l0_max_wait: HumanDuration::from_secs(60),
        max_inputs: 4,
        max_input_bytes: ByteSize(1_000),
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
    Candidate { key: Arc::from(key), meta, written_unix_nanos: at }
}

fn shown(plan: &Plan) -> String {
    match plan {
        Plan::Nothing => "nothing".to_owned(),
        Plan::Merge { level, inputs } => format!("merge {} to {level}", inputs.join(" ")),
        Plan::Drop { blocks } => format!("drop {}", blocks.join(" ")),
    }
}

fn check_with(config: &Config, blocks: &[Candidate], expect: &str) {
    assert_eq!(shown(&select(blocks, config, NOW)), expect);
    let reversed: Vec<Candidate> = blocks.iter().rev().cloned().collect();
    assert_eq!(shown(&select(&reversed, config, NOW)), expect, "in reverse order");
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
fn a_block_from_the_future_is_young() {
    let mut early = block("a", 0, 20, 1);
    early.written_unix_nanos = NOW + SECOND;
    check(&[early, block("b", 0, 15, 1), block("c", 0, 15, 1)], "nothing");
}

#[test]
fn windows_are_merged_once_closed() {
    // Now is the start of an hour: the last hour ended 0 s ago, inside the grace, the hour before it is closed.
    check(&[block("a", 1, 1_800, 1), block("b", 1, 1_700, 1)], "nothing");
    check(&[block("a", 1, 5_400, 1), block("b", 1, 5_300, 1)], "merge a b to 2");
    check(&[block("a", 1, 5_400, 1)], "nothing");
    check(&[block("a", 1, 9_000, 1), block("b", 1, 5_300, 1)], "nothing");
    let two = [block("a", 1, 5_400, 1), block("b", 1, 5_300, 1), block("c", 1, 9_000, 1), block("d", 1, 8_900, 1)];
    check(&two, "merge c d to 2");
    check(&[block("a", 2, 5_400, 1), block("b", 2, 5_300, 1)], "nothing");
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
    check_with(&config, &blocks[2..], "nothing");
    let mut open_ended = block("a", 1, 9_000, 1);
    open_ended.meta.max_end_unix_nanos = 0;
    open_ended.meta.min_start_unix_nanos = NOW;
    check_with(&config, &[open_ended], "nothing");
    check(&blocks[..1], "nothing");
}
