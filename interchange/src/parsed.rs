//! What a file gives: spans, and what was left out. Every reader puts its spans here, so that they are judged by one measure.

use std::fmt;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use spanlake_model::{SpanId, TraceId};
use spanlake_otlp::MAX_DEPTH;

use crate::Format;

/// Most problems that are told one by one; more are only counted.
pub const MAX_PROBLEMS: usize = 100;

/// The spans of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// What the file is.
    pub format: Format,
    /// Its spans, in the order of the file. Each has a trace id and a span id.
    pub spans: Vec<ResourceSpans>,
    /// What was left out: the first [`MAX_PROBLEMS`].
    pub rejected: Vec<Problem>,
    /// How much was left out: spans, or lines that hold none that could be read.
    pub rejected_count: usize,
    /// Spans met so far, kept or not.
    seen: usize,
}

/// Something that was left out of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line of the file, from 1, where documents stand behind each other.
    pub line: Option<usize>,
    /// The span's place among all spans of the file, from 0.
    pub index: Option<usize>,
    /// What is wrong with it, in one sentence.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.index) {
            (Some(line), Some(index)) => write!(f, "line {line}, span {index}: {}", self.message),
            (Some(line), None) => write!(f, "line {line}: {}", self.message),
            (None, Some(index)) => write!(f, "span {index}: {}", self.message),
            (None, None) => f.write_str(&self.message),
        }
    }
}

impl Parsed {
    /// Nothing yet.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, spans: Vec::new(), rejected: Vec::new(), rejected_count: 0, seen: 0 }
    }

    /// How many spans there are.
    pub fn span_count(&self) -> usize {
        self.spans.iter().flat_map(|resource| &resource.scope_spans).map(|scope| scope.spans.len()).sum()
    }

    /// Leaves something out that is no single span.
    pub(crate) fn reject(&mut self, line: Option<usize>, message: String) {
        self.problem(Problem { line, index: None, message });
    }

    /// Leaves out `count` spans for one reason.
    pub(crate) fn reject_spans(&mut self, count: usize, message: String) {
        if count > 0 {
            self.rejected_count += count - 1;
            self.problem(Problem { line: None, index: None, message });
        }
    }

    fn problem(&mut self, problem: Problem) {
        self.rejected_count += 1;
        if self.rejected.len() < MAX_PROBLEMS {
            self.rejected.push(problem);
        }
    }

    /// The next span's place among all, for readers that judge spans themselves.
    pub(crate) fn next_index(&mut self) -> usize {
        self.seen += 1;
        self.seen - 1
    }

    /// Leaves a span out.
    pub(crate) fn reject_span(&mut self, line: Option<usize>, index: usize, message: String) {
        self.problem(Problem { line, index: Some(index), message });
    }

    /// Takes messages whose spans their reader has judged.
    pub(crate) fn accept(&mut self, mut messages: Vec<ResourceSpans>) {
        self.spans.append(&mut messages);
    }

    /// Takes messages, without the spans that no store would keep.
    pub(crate) fn judge(&mut self, line: Option<usize>, mut messages: Vec<ResourceSpans>) {
        for message in &mut messages {
            let surroundings = message.resource.as_ref().and_then(|resource| too_deep(&resource.attributes));
            for scope in &mut message.scope_spans {
                let around = scope.scope.as_ref().and_then(|scope| too_deep(&scope.attributes));
                let around = surroundings.clone().or(around);
                scope.spans.retain(|span| {
                    let index = self.next_index();
                    let fault = around.clone().or_else(|| fault(span));
                    let kept = fault.is_none();
                    if let Some(message) = fault {
                        self.reject_span(line, index, message);
                    }
                    kept
                });
            }
        }
        self.spans.append(&mut messages);
    }
}

/// Why a span cannot be kept.
fn fault(span: &Span) -> Option<String> {
    if TraceId::from_wire(&span.trace_id).is_none() {
        return Some(bad_id("trace id", &span.trace_id, 16));
    }
    if SpanId::from_wire(&span.span_id).is_none() {
        return Some(bad_id("span id", &span.span_id, 8));
    }
    let events = span.events.iter().map(|event| &event.attributes);
    let links = span.links.iter().map(|link| &link.attributes);
    [&span.attributes].into_iter().chain(events).chain(links).find_map(|attributes| too_deep(attributes))
}

fn bad_id(name: &str, id: &[u8], id_bytes: usize) -> String {
    match id.len() {
        0 => format!("it has no {name}"),
        len if len == id_bytes => format!("its {name} is zero"),
        len => format!("its {name} has {} hexadecimal digits: {} are needed", 2 * len, 2 * id_bytes),
    }
}

fn too_deep(attributes: &[KeyValue]) -> Option<String> {
    let mut pending: Vec<(&AnyValue, u32)> =
        attributes.iter().filter_map(|attribute| Some((attribute.value.as_ref()?, 1))).collect();
    while let Some((value, depth)) = pending.pop() {
        if depth > MAX_DEPTH {
            return Some(format!("an attribute's value is nested deeper than {MAX_DEPTH} levels"));
        }
        match &value.value {
            Some(Value::ArrayValue(array)) => pending.extend(array.values.iter().map(|value| (value, depth + 1))),
            Some(Value::KvlistValue(list)) => {
                pending.extend(list.values.iter().filter_map(|pair| Some((pair.value.as_ref()?, depth + 1))));
            }
            _ => {}
        }
    }
    None
}
