//! Hostile traffic 2: traces of 100,000 spans under way at the same time, among ordinary ones; some spans come late,
//! some spans and requests come twice.

use super::exporters::Fleet;
use super::job::Job;
use super::shop::Shop;
use super::shop::words::LongTail;
use super::{Sink, Spec, Traffic};
use crate::dice::Dice;

/// Large traces under way at once.
const CONCURRENT_JOBS: usize = 2;
/// Share of a large trace's spans that their exporter holds back.
const LATE_SHARE: f64 = 0.02;
/// Ordinary traces between two parts of large ones.
const SHOP_TRACES_PER_PART: usize = 1;
const NANOS_PER_PART: u64 = 3_000_000;

pub(super) struct Large {
    shop: Shop,
    tail: LongTail,
    jobs: Vec<Job>,
    next: usize,
    now_unix_nanos: u64,
    trace_span_count: u32,
}

impl Large {
    pub(super) fn new(spec: &Spec, dice: &mut Dice) -> (Self, Fleet) {
        let (shop, fleet) = Shop::new(spec, dice);
        let large = Self {
            shop,
            tail: LongTail::new(),
            jobs: Vec::new(),
            next: 0,
            now_unix_nanos: spec.start_unix_nanos,
            trace_span_count: spec.large_trace_span_count,
        };
        (large, fleet)
    }

    fn step_job(&mut self, at: usize, dice: &mut Dice, sink: &mut Sink) {
        if self.jobs[at].step(dice, &self.tail, sink) {
            self.jobs.swap_remove(at);
        }
    }
}

impl Traffic for Large {
    fn step(&mut self, dice: &mut Dice, sink: &mut Sink) {
        self.now_unix_nanos += NANOS_PER_PART;
        while self.jobs.len() < CONCURRENT_JOBS {
            self.jobs.push(Job::start(dice, self.trace_span_count, self.now_unix_nanos, LATE_SHARE));
        }
        self.next = (self.next + 1) % self.jobs.len();
        self.step_job(self.next, dice, sink);
        for _ in 0..SHOP_TRACES_PER_PART {
            self.shop.step(dice, sink);
        }
    }

    fn finish(&mut self, dice: &mut Dice, sink: &mut Sink) {
        // A trace cut short still ends with its root; its size is what was made of it.
        for mut job in self.jobs.drain(..) {
            job.cut();
            while !job.step(dice, &self.tail, sink) {}
        }
    }
}
