//! All that is known of one span, as text.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use spanlake_analysis::OtlpTrace;
use spanlake_model::{SpanId, TraceId};

use super::document::{kind, status};
use crate::commands::readable;
use crate::commands::terminal::{Paint, is_harmful};

/// Values nested deeper are not written.
const MAX_DEPTH: usize = 16;
/// Longest text of one value.
const MAX_VALUE_CHARS: usize = 4_000;

/// The span with its attributes, resource, events and links; nothing if it is not in the trace.
pub fn text(one: &OtlpTrace<'_>, id: SpanId, paint: Paint) -> String {
    let skeleton = &one.trace.skeleton;
    let Some(number) = (0..skeleton.span_count()).find(|span| skeleton.span_id(*span) == id) else {
        return String::new();
    };
    let row = skeleton.row(number);
    let Some(span) = one.attributes.span(row) else { return String::new() };
    let mut lines = Lines { paint, out: String::new() };
    lines.title(&format!("span {id}"));
    lines.pair("service", skeleton.service(number));
    lines.pair("name", &span.name);
    lines.pair("kind", kind(skeleton.kind(number)));
    let message = span.status.as_ref().map_or("", |status| status.message.as_str());
    lines.pair("status", format!("{} {message}", status(skeleton.status(number))).trim());
    lines.pair("start", &format!("{} UTC", readable::moment(span.start_time_unix_nano)));
    lines.pair("duration", &readable::duration(skeleton.duration(number)));
    if let Some(parent) = skeleton.parent_span_id(number) {
        lines.pair("parent", &parent.to_string());
    }
    lines.pairs("attributes", &span.attributes);
    lines.pairs("resource", one.attributes.resource(row));
    for event in &span.events {
        let offset = event.time_unix_nano.saturating_sub(span.start_time_unix_nano);
        lines.pairs_of(&format!("event {} at +{}", event.name, readable::duration(offset)), &event.attributes);
    }
    for link in &span.links {
        let trace = TraceId::from_wire(&link.trace_id).map_or_else(|| "?".to_owned(), |id| id.to_string());
        let span = SpanId::from_wire(&link.span_id).map_or_else(|| "?".to_owned(), |id| id.to_string());
        lines.pairs_of(&format!("link to span {span} of trace {trace}"), &link.attributes);
    }
    lines.out
}

struct Lines {
    paint: Paint,
    out: String,
}

impl Lines {
    fn title(&mut self, title: &str) {
        self.out.push_str(&self.paint.head(&harmless(title)));
        self.out.push('\n');
    }

    fn pair(&mut self, key: &str, value: &str) {
        let key = self.paint.dim(&format!("{:<28}", harmless(key)));
        self.out.push_str(format!("  {key} {}", harmless(value)).trim_end());
        self.out.push('\n');
    }

    fn pairs(&mut self, title: &str, pairs: &[KeyValue]) {
        if !pairs.is_empty() {
            self.pairs_of(title, pairs);
        }
    }

    fn pairs_of(&mut self, title: &str, pairs: &[KeyValue]) {
        self.title(title);
        for pair in pairs {
            self.pair(&pair.key, &pair.value.as_ref().map_or_else(String::new, value_text));
        }
    }
}

/// A text from outside; only line feeds keep their meaning, and what follows one is set in.
fn harmless(text: &str) -> String {
    let cut: String = text.chars().take(MAX_VALUE_CHARS).collect();
    let lines: Vec<String> =
        cut.lines().map(|line| line.chars().map(|c| if is_harmful(c) { ' ' } else { c }).collect()).collect();
    lines.join(&format!("\n{:31}", ""))
}

/// A value as text: texts as they are, arrays and maps with brackets, bytes by their number.
pub fn value_text(value: &AnyValue) -> String {
    nested(value, 0)
}

/// Recursion is bounded by [`MAX_DEPTH`].
fn nested(value: &AnyValue, depth: usize) -> String {
    match &value.value {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BytesValue(bytes)) => format!("({} bytes)", bytes.len()),
        Some(_) if depth >= MAX_DEPTH => "...".to_owned(),
        Some(Value::ArrayValue(array)) => {
            let values: Vec<String> = array.values.iter().map(|value| nested(value, depth + 1)).collect();
            format!("[{}]", values.join(", "))
        }
        Some(Value::KvlistValue(list)) => {
            let pair = |pair: &KeyValue| {
                let value = pair.value.as_ref().map_or_else(String::new, |value| nested(value, depth + 1));
                format!("{}: {value}", pair.key)
            };
            format!("{{{}}}", list.values.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        Some(_) => "?".to_owned(),
    }
}
