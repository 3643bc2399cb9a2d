//! What a corpus adds up to, and which of its traces to ask for later.

use std::collections::HashSet;

use opentelemetry_proto::tonic::trace::v1::Span;
use serde::Serialize;
use spanlake_model::TraceId;

use super::exporters::{Fleet, Request};
use crate::dice::Dice;

/// Ordinary traces remembered by id, at most.
const MAX_SAMPLED_TRACES: usize = 2000;
/// From this size on, every trace is remembered.
const BIG_TRACE_SPAN_COUNT: u32 = 2000;
/// Big traces remembered, at most.
const MAX_BIG_TRACES: usize = 1000;

/// A trace of the corpus, for lookups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownTrace {
    /// Its id.
    pub trace_id: TraceId,
    /// Its distinct spans.
    pub span_count: u32,
}

/// Sums over a corpus.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Distinct spans.
    pub span_count: u64,
    /// Traces.
    pub trace_count: u64,
    /// Requests.
    pub request_count: u64,
    /// Spans in all requests: more than `span_count` when some are sent twice.
    pub sent_span_count: u64,
    /// Bytes of all requests, uncompressed.
    pub otlp_bytes: u64,
    /// Span attributes.
    pub attribute_count: u64,
    /// Spans with an error status.
    pub error_count: u64,
    /// Span events.
    pub event_count: u64,
    /// Span links.
    pub link_count: u64,
    /// Span attribute keys.
    pub key_count: u64,
    /// Resources.
    pub resource_count: u64,
    /// Attributes of the average resource.
    pub resource_attributes: f64,
    /// Spans of the largest trace.
    pub largest_trace_span_count: u32,
    #[serde(skip)]
    keys: HashSet<String>,
    #[serde(skip)]
    sampled: Vec<KnownTrace>,
    #[serde(skip)]
    big: Vec<KnownTrace>,
    #[serde(skip)]
    dice: Dice,
}

impl Figures {
    pub(super) fn new(fleet: &Fleet, seed: u64) -> Self {
        let attributes: usize = fleet.pods.iter().map(|pod| pod.attributes.len()).sum();
        Self {
            span_count: 0,
            trace_count: 0,
            request_count: 0,
            sent_span_count: 0,
            otlp_bytes: 0,
            attribute_count: 0,
            error_count: 0,
            event_count: 0,
            link_count: 0,
            key_count: 0,
            resource_count: fleet.pods.len() as u64,
            resource_attributes: attributes as f64 / fleet.pods.len().max(1) as f64,
            largest_trace_span_count: 0,
            keys: HashSet::new(),
            sampled: Vec::new(),
            big: Vec::new(),
            // Its own dice, so that what is remembered never changes what is made.
            dice: Dice::new(!seed),
        }
    }

    pub(super) fn add_span(&mut self, span: &Span) {
        self.span_count += 1;
        self.attribute_count += span.attributes.len() as u64;
        self.event_count += span.events.len() as u64;
        self.link_count += span.links.len() as u64;
        self.error_count += u64::from(span.status.as_ref().is_some_and(|status| status.code == 2));
        for attribute in &span.attributes {
            if !self.keys.contains(&attribute.key) {
                self.keys.insert(attribute.key.clone());
                self.key_count += 1;
            }
        }
    }

    pub(super) fn add_trace(&mut self, trace_id: TraceId, span_count: u32) {
        let known = KnownTrace { trace_id, span_count };
        self.trace_count += 1;
        self.largest_trace_span_count = self.largest_trace_span_count.max(span_count);
        if span_count >= BIG_TRACE_SPAN_COUNT {
            if self.big.len() < MAX_BIG_TRACES {
                self.big.push(known);
            }
        } else if self.sampled.len() < MAX_SAMPLED_TRACES {
            self.sampled.push(known);
        } else {
            let slot = self.dice.below(self.trace_count) as usize;
            if let Some(sample) = self.sampled.get_mut(slot) {
                *sample = known;
            }
        }
    }

    pub(super) fn add_request(&mut self, request: &Request) {
        self.request_count += 1;
        self.sent_span_count += u64::from(request.span_count);
        self.otlp_bytes += request.body.len() as u64;
    }

    /// An even sample of the ordinary traces, then every big one.
    pub fn known_traces(&self) -> impl Iterator<Item = &KnownTrace> {
        self.sampled.iter().chain(&self.big)
    }

    /// OTLP bytes per sent span.
    pub fn bytes_per_span(&self) -> f64 {
        self.otlp_bytes as f64 / self.sent_span_count.max(1) as f64
    }

    /// Attributes per span.
    pub fn attributes_per_span(&self) -> f64 {
        self.attribute_count as f64 / self.span_count.max(1) as f64
    }

    /// Spans per trace.
    pub fn spans_per_trace(&self) -> f64 {
        self.span_count as f64 / self.trace_count.max(1) as f64
    }

    /// Share of spans with an error status.
    pub fn error_share(&self) -> f64 {
        self.error_count as f64 / self.span_count.max(1) as f64
    }

    /// The figures as lines of a table.
    pub fn rows(&self) -> Vec<[String; 2]> {
        let row = |name: &str, value: String| [name.to_owned(), value];
        vec![
            row("spans", self.span_count.to_string()),
            row("spans sent (with duplicates)", self.sent_span_count.to_string()),
            row("traces", self.trace_count.to_string()),
            row("spans per trace", format!("{:.1}", self.spans_per_trace())),
            row("largest trace, spans", self.largest_trace_span_count.to_string()),
            row("requests", self.request_count.to_string()),
            row("OTLP bytes per span", format!("{:.1}", self.bytes_per_span())),
            row("attributes per span", format!("{:.2}", self.attributes_per_span())),
            row("attribute keys", self.key_count.to_string()),
            row("resources", self.resource_count.to_string()),
            row("attributes per resource", format!("{:.1}", self.resource_attributes)),
            row("spans with an error", format!("{:.2} %", 100.0 * self.error_share())),
            row("events", self.event_count.to_string()),
            row("links", self.link_count.to_string()),
        ]
    }
}
