//! A batch job's trace: one root, many partitions of spans below it. Made partition by partition.

use super::Sink;
use super::attributes::{int, text};
use super::shop::fleet::{Library, Service};
use super::shop::trace::{CLIENT, CONSUMER, Done, Frame, INTERNAL, Part, Trace};
use super::shop::words::{self, LongTail};
use crate::dice::Dice;

/// Spans of a partition, its own included.
const PARTITION_SPAN_COUNT: u32 = 100;
/// One partition in so many is a single deep chain instead of a wide fan.
const CHAIN_EVERY: u32 = 16;

/// A job under way.
pub(super) struct Job {
    trace_id: [u8; 16],
    root: Frame,
    job_id: String,
    start_unix_nanos: u64,
    now_unix_nanos: u64,
    span_count: u32,
    target_span_count: u32,
    partition: u32,
    /// Share of spans that their exporter holds back.
    late: f64,
}

impl Job {
    pub(super) fn start(dice: &mut Dice, span_count: u32, start_unix_nanos: u64, late: f64) -> Self {
        let root = Frame { service: Service::Inventory, pod: Service::Inventory.pod(dice), span_id: dice.id() };
        Self {
            trace_id: dice.id(),
            root,
            job_id: dice.uuid(),
            start_unix_nanos,
            now_unix_nanos: start_unix_nanos + 2_000_000,
            span_count: 0,
            target_span_count: span_count,
            partition: 0,
            late,
        }
    }

    /// Leaves out the partitions not yet made, so that the next step makes the root.
    pub(super) fn cut(&mut self) {
        self.target_span_count = self.span_count + 1;
    }

    /// Makes the next partition, or the root once all are made; says whether the trace is complete.
    pub(super) fn step(&mut self, dice: &mut Dice, tail: &LongTail, sink: &mut Sink) -> bool {
        let first = sink.spans.len();
        let mut trace = Trace::new(dice, tail, sink);
        trace.trace_id = self.trace_id;
        trace.span_count = self.span_count;
        let left = self.target_span_count.saturating_sub(self.span_count + 1);
        let complete = left == 0;
        if complete {
            self.finish_root(&mut trace);
        } else {
            self.partition(&mut trace, left.min(PARTITION_SPAN_COUNT));
        }
        self.span_count = trace.span_count;
        if complete {
            trace.finish();
        }
        for placed in &mut sink.spans[first..] {
            placed.late = dice.chance(self.late);
        }
        complete
    }

    fn finish_root(&self, trace: &mut Trace<'_>) {
        let done = Done { end_unix_nanos: self.now_unix_nanos + 40_000_000, failed: false };
        let part = Part::new(Library::Own, "inventory.reconcile", INTERNAL, self.start_unix_nanos, done).with(vec![
            text("app.job.id", self.job_id.clone()),
            text("app.job.name", "inventory.reconcile"),
            int("app.job.partitions", self.partition),
        ]);
        trace.push(self.root, None, part);
    }

    fn partition(&mut self, trace: &mut Trace<'_>, span_count: u32) {
        let chain = self.partition % CHAIN_EVERY == CHAIN_EVERY - 1;
        let service = *trace.dice.pick(&[Service::Inventory, Service::ProductCatalog, Service::Cart]);
        let frame = trace.enter(service);
        let start = self.now_unix_nanos;
        let mut at = start + 50_000;
        let mut parent = frame;
        let mut made = 1;
        while made < span_count {
            let product = words::product(trace.dice);
            let item = trace.nest(parent);
            let item_start = at;
            if made + 1 < span_count && !chain {
                at = trace.sql(item, item_start + 10_000, &words::READ_STOCK, 1).end_unix_nanos;
                made += 1;
            }
            at += trace.micros(90.0);
            let done = Done { end_unix_nanos: at, failed: false };
            let part = Part::new(Library::Own, "reconcile item", INTERNAL, item_start, done).with(vec![
                text("app.job.id", self.job_id.clone()),
                text("app.product.id", product),
                int("app.warehouse.id", trace.dice.below(40)),
                int("app.stock.delta", trace.dice.below(9)),
            ]);
            trace.push(item, Some(parent), part);
            made += 1;
            if chain {
                parent = item;
            }
        }
        let done = Done { end_unix_nanos: at + 20_000, failed: false };
        let kind = if self.partition.is_multiple_of(2) { CONSUMER } else { CLIENT };
        let part = Part::new(Library::Messaging, "reconcile partition", kind, start, done).with(vec![
            text("app.job.id", self.job_id.clone()),
            int("app.partition", self.partition),
            text("messaging.system", "kafka"),
            text("messaging.destination.name", "reconcile"),
            text("messaging.operation.type", "process"),
        ]);
        trace.push(frame, Some(self.root), part);
        // Partitions run eight at a time.
        self.now_unix_nanos = start + (at - start) / 8;
        self.partition += 1;
    }
}
