//! How often a span is rewritten: days of ingest played through `select`, with merges that only count bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use spanlake_block::BlockMeta;
use spanlake_compactor::{Candidate, Config, Plan, select};

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;
const BEGIN: u64 = 470_000 * HOUR;

struct Simulation {
    config: Config,
    blocks: Vec<Candidate>,
    now: u64,
    next_key: u64,
    ingested_bytes: u64,
    rewritten_bytes: u64,
    merges: u64,
    largest_merge_bytes: u64,
}

impl Simulation {
    fn new() -> Self {
        Self {
            config: Config::default(),
            blocks: Vec::new(),
            now: BEGIN,
            next_key: 0,
            ingested_bytes: 0,
            rewritten_bytes: 0,
            merges: 0,
            largest_merge_bytes: 0,
        }
    }

    fn add(&mut self, level: u8, start: u64, end: u64, object_bytes: u64) {
        let key = Arc::from(format!("{:012}", self.next_key));
        self.next_key += 1;
        let meta = BlockMeta {
            format_version: 1,
            level,
            span_count: 1,
            trace_count: 1,
            min_start_unix_nanos: start,
            max_end_unix_nanos: end,
            object_bytes,
            search_offset: 0,
            tail_offset: 0,
            tail_crc32c: 0,
        };
        let written_unix_nanos = self.now;
        self.blocks.push(Candidate { key, meta, written_unix_nanos, is_quarantined: false, holds_deleted: false });
    }

    /// An ingester flushes spans of the last moments, or of one moment in the past.
    fn flush(&mut self, object_bytes: u64, late_nanos: u64) {
        self.ingested_bytes += object_bytes;
        let end = self.now - late_nanos;
        self.add(0, end - SECOND, end, object_bytes);
    }

    fn take(&mut self, keys: &[Arc<str>]) -> Vec<Candidate> {
        let (taken, left) = std::mem::take(&mut self.blocks).into_iter().partition(|b| keys.contains(&b.key));
        self.blocks = left;
        taken
    }

    /// Does what is due until nothing is.
    fn compact(&mut self) {
        loop {
            match select(&self.blocks, &self.config, 0, self.now) {
                Plan::Nothing => return,
                Plan::Merge { level, inputs } => {
                    let inputs = self.take(&inputs);
                    self.merge(level, &inputs);
                }
                Plan::Move { level, blocks } => {
                    for mut block in self.take(&blocks) {
                        block.meta.level = level;
                        self.blocks.push(block);
                    }
                }
                Plan::Drop { .. } => panic!("nothing expires"),
            }
        }
    }

    /// Splits by window and by size, as a merge does; a level-0 block here has all its spans in one window.
    fn merge(&mut self, level: u8, inputs: &[Candidate]) {
        let total: u64 = inputs.iter().map(|input| input.meta.object_bytes).sum();
        self.merges += 1;
        self.rewritten_bytes += total;
        self.largest_merge_bytes = self.largest_merge_bytes.max(total);
        let mut windows: BTreeMap<u64, (u64, u64, u64)> = BTreeMap::new();
        for input in inputs {
            let (start, end) = (input.meta.min_start_unix_nanos, input.meta.max_end_unix_nanos);
            let window = windows.entry(end / self.config.window.as_nanos()).or_insert((start, end, 0));
            *window = (window.0.min(start), window.1.max(end), window.2 + input.meta.object_bytes);
        }
        for (start, end, mut left) in windows.into_values() {
            while left > 0 {
                let piece = left.min(self.config.max_block_bytes.bytes());
                self.add(level, start, end, piece);
                left -= piece;
            }
        }
    }

    /// Plays some hours in steps: what is flushed in a step, then what is due.
    fn play(&mut self, hours: u64, step: u64, mut flush: impl FnMut(&mut Self, u64)) {
        for number in 0..hours * HOUR / step {
            self.now += step;
            flush(self, number);
            self.compact();
        }
        // Nothing more arrives: what waits is finished.
        for _ in 0..180 {
            self.now += 60 * SECOND;
            self.compact();
        }
    }

    fn report(&self, what: &str) -> f64 {
        let amplification = self.rewritten_bytes as f64 / self.ingested_bytes as f64;
        let count = |level| self.blocks.iter().filter(|block| block.meta.level == level).count();
        println!(
            "{what}: each span rewritten {amplification:.2} times, {} MiB ingested, {} merges of at most {} MiB, blocks left: {} of level 0, {} of level 1, {} of level 2",
            self.ingested_bytes >> 20,
            self.merges,
            self.largest_merge_bytes >> 20,
            count(0),
            count(1),
            count(2),
        );
        amplification
    }
}

/// 100,000 spans a second: a flush of 700 kB four times a second.
#[test]
fn a_steady_high_rate_is_rewritten_twice() {
    let mut simulation = Simulation::new();
    simulation.play(3, 10 * SECOND, |simulation, _| (0..40).for_each(|_| simulation.flush(700 << 10, 0)));
    assert!(simulation.report("steady") <= 2.1);
    let largest = simulation.largest_merge_bytes;
    assert!(largest <= simulation.config.max_input_bytes.bytes(), "{largest}");
    assert!(simulation.blocks.iter().all(|block| block.meta.level == 2));
    assert!(simulation.blocks.len() as u64 <= 2 + 2 * simulation.ingested_bytes / (64 << 20));
}

/// A few spans every now and then, for two days.
#[test]
fn a_trickle_is_rewritten_twice() {
    let mut simulation = Simulation::new();
    simulation.play(48, 15 * SECOND, |simulation, _| simulation.flush(20 << 10, 0));
    assert!(simulation.report("trickle") <= 2.1);
    assert!(simulation.blocks.len() <= 49, "one block an hour");
}

/// Every tenth flush brings spans up to six hours old, each of another hour.
#[test]
fn late_spans_do_not_rewrite_what_was_in_time() {
    let mut simulation = Simulation::new();
    simulation.play(24, 10 * SECOND, |simulation, number| {
        for _ in 0..9 {
            simulation.flush(300 << 10, 0);
        }
        simulation.flush(300 << 10, (1 + number % 6) * HOUR);
    });
    assert!(simulation.report("late") <= 2.4);
    let per_hour = simulation.blocks.len() / 30;
    assert!(per_hour <= 40, "{per_hour} blocks in each hour");
}
