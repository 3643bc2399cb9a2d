//! What needs no process: times for people, and that rows survive being written again.

use bytes::Bytes;
use spanlake_bench::{Corpus, Kind, Spec};
use spanlake_block::{Block, SpanRow, WriteOptions, Written, write_block};

use super::salvage::Salvage;
use super::utc;

#[test]
fn moments_are_told_as_people_write_them() {
    let check = |seconds: u64, expect: &str| assert_eq!(utc(seconds * 1_000_000_000), expect);
    check(0, "1970-01-01T00:00:00Z");
    check(951_782_399, "2000-02-28T23:59:59Z");
    check(951_782_400, "2000-02-29T00:00:00Z");
    check(1_767_225_600, "2026-01-01T00:00:00Z");
    check(4_107_542_400, "2100-03-01T00:00:00Z");
    assert_eq!(utc(u64::MAX), "2554-07-21T23:34:33Z");
}

fn rows(written: &Written) -> Vec<SpanRow> {
    let cut = |range: std::ops::Range<u64>| written.bytes.slice(range.start as usize..range.end as usize);
    let meta = &written.meta;
    let block = Block::open(meta, cut(meta.tail_offset..meta.object_bytes)).expect("just written");
    let groups = (0..block.row_group_count())
        .map(|group| block.read_row_group(group, cut(block.row_group_range(group))).expect("just written"));
    groups.flatten().collect()
}

#[test]
fn rows_that_are_written_again_are_the_same() {
    let limits = spanlake_otlp::Limits::default();
    let corpus = Corpus::new(&Spec::new(Kind::Shop, 2_000, 1));
    let batches: Vec<_> = corpus
        .map(|request| spanlake_otlp::index(Bytes::from(request.body), &limits).expect("a good request"))
        .collect();
    let options = WriteOptions { row_group_rows: 500, ..WriteOptions::default() };
    let written = write_block(&batches, &options).expect("there are spans");
    let before = rows(&written);
    let mut salvage = Salvage::new(0);
    assert!(salvage.push(before.clone()).expect("good rows").is_none());
    let again = salvage.finish().expect("good rows").expect("there are spans");
    assert_eq!(again.meta.level, 1);
    assert!(rows(&again) == before);
    assert!(salvage.finish().expect("nothing is left").is_none());
}
