//! Corpora: streams of OTLP requests, the same bytes for the same [`Spec`], made in constant memory.
//!
//! It knows OTLP and OpenTelemetry's conventions, nothing of blocks or servers.

mod attributes;
mod entropy;
mod exporters;
mod figures;
mod file;
mod job;
mod large;
mod shop;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use opentelemetry_proto::tonic::trace::v1::Span;
use spanlake_model::TraceId;

pub use exporters::Request;
pub use figures::{Figures, KnownTrace};
pub use file::{Message, Reader, Writer, read_ids, write_ids};

use crate::dice::Dice;
use exporters::{Disturbance, Exporters, Fleet};

/// Which traffic a corpus imitates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A shop of 15 services under OpenTelemetry's current semantic conventions.
    Shop,
    /// Hostile: 30 attributes of random text on every span, from 5,000 pods.
    Entropy,
    /// Hostile: traces of 100,000 spans, with late and duplicate spans.
    Large,
}

/// What fixes a corpus, byte for byte.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The traffic.
    pub kind: Kind,
    /// Spans to make; the last trace is finished, so that there are a few more.
    pub span_count: u64,
    /// Same seed, same bytes.
    pub seed: u64,
    /// When the first trace starts, in Unix nanoseconds.
    pub start_unix_nanos: u64,
    /// Spans of each large trace of [`Kind::Large`].
    pub large_trace_span_count: u32,
}

impl Spec {
    /// 2026-01-01 00:00 UTC, so that a corpus does not depend on the day it is made.
    pub const START_UNIX_NANOS: u64 = 1_767_225_600_000_000_000;
    /// Spans of a large trace unless told otherwise.
    pub const LARGE_TRACE_SPAN_COUNT: u32 = 100_000;

    /// A corpus with the default start and trace sizes.
    pub fn new(kind: Kind, span_count: u64, seed: u64) -> Self {
        let start_unix_nanos = Self::START_UNIX_NANOS;
        Self { kind, span_count, seed, start_unix_nanos, large_trace_span_count: Self::LARGE_TRACE_SPAN_COUNT }
    }
}

/// A span on its way to the exporter of the pod that made it.
pub(crate) struct Placed {
    /// Index into the fleet's pods.
    pub pod: u32,
    /// Index into the fleet's scopes.
    pub scope: u32,
    /// Whether its exporter holds it back for a while.
    pub late: bool,
    pub span: Span,
}

/// Where traffic puts what it makes.
#[derive(Default)]
pub(crate) struct Sink {
    pub spans: Vec<Placed>,
    /// Traces whose last span is made, with their number of distinct spans.
    pub finished: Vec<(TraceId, u32)>,
}

/// A source of spans.
trait Traffic {
    /// Makes the next trace, or the next part of one: at most a few thousand spans.
    fn step(&mut self, dice: &mut Dice, sink: &mut Sink);

    /// Finishes the traces under way.
    fn finish(&mut self, dice: &mut Dice, sink: &mut Sink);
}

/// Spans of a request, or 0 if it is not one.
pub(crate) fn span_count(body: bytes::Bytes) -> u64 {
    let batch = spanlake_otlp::index(body, &spanlake_otlp::Limits::default());
    batch.map_or(0, |batch| batch.spans.len() as u64 + batch.rejected.span_count)
}

/// The requests of a corpus, one by one.
pub struct Corpus {
    dice: Dice,
    traffic: Box<dyn Traffic + Send>,
    exporters: Exporters,
    figures: Figures,
    ready: VecDeque<Request>,
    span_count: u64,
    done: bool,
}

impl Corpus {
    /// Opens the stream that the spec fixes.
    pub fn new(spec: &Spec) -> Self {
        let mut dice = Dice::new(spec.seed ^ 0x5eed_0f5b_a91a_4e00);
        let (traffic, fleet, disturbance): (Box<dyn Traffic + Send>, Fleet, Disturbance) = match spec.kind {
            Kind::Shop => {
                let (shop, fleet) = shop::Shop::new(spec, &mut dice);
                (Box::new(shop), fleet, Disturbance::NONE)
            }
            Kind::Entropy => {
                let (entropy, fleet) = entropy::Entropy::new(spec, &mut dice);
                (Box::new(entropy), fleet, Disturbance::NONE)
            }
            Kind::Large => {
                let (large, fleet) = large::Large::new(spec, &mut dice);
                (Box::new(large), fleet, Disturbance::LOSSY)
            }
        };
        let figures = Figures::new(&fleet, spec.seed);
        let exporters = Exporters::new(fleet, disturbance);
        Self { dice, traffic, exporters, figures, ready: VecDeque::new(), span_count: spec.span_count, done: false }
    }

    /// What the requests handed out so far add up to.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    fn make_more(&mut self) {
        let mut sink = Sink::default();
        let last = self.figures.span_count >= self.span_count;
        if last {
            self.traffic.finish(&mut self.dice, &mut sink);
        } else {
            self.traffic.step(&mut self.dice, &mut sink);
        }
        for placed in sink.spans {
            self.figures.add_span(&placed.span);
            self.exporters.accept(placed, &mut self.dice, &mut self.ready);
        }
        for (trace_id, span_count) in sink.finished {
            self.figures.add_trace(trace_id, span_count);
        }
        if last {
            self.exporters.drain(&mut self.ready);
            self.done = true;
        }
    }
}

impl Iterator for Corpus {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        loop {
            if let Some(request) = self.ready.pop_front() {
                self.figures.add_request(&request);
                return Some(request);
            }
            if self.done {
                return None;
            }
            self.make_more();
        }
    }
}
