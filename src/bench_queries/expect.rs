//! What the answers must be: of TraceQL by the slow evaluator, of the rest by what was counted when the corpus was read.
//! It never looks into a block.

use spanlake_bench::Error;
use spanlake_traceql::reference::{self, FoundTrace, Interval, Series};
use spanlake_traceql::{Value, parse};

use super::answer::{sample, span_line};
use super::facts::{Facts, SERVICE_KEY};
use super::questions::{Asked, Overview, Question, SPANS_PER_SPAN_SET};

/// The lines of the right answer, as `answer` would read them. Takes minutes for a million spans.
///
/// # Errors
/// [`Error::Stage`] for a query that does not parse, or spans that were not kept.
pub(super) fn lines(facts: &Facts, question: &Question) -> Result<Vec<String>, Error> {
    let stored = || facts.stored.as_deref().ok_or("the spans were not kept").map_err(Error::stage("expect"));
    let parse = |text: &str| parse(text).map_err(|error| Error::stage("query")(error.to_string()));
    Ok(match &question.asked {
        Asked::Search { query, limit } => {
            reference::search(stored()?, &parse(query)?, None, *limit).iter().map(trace).collect()
        }
        Asked::Metrics { query, start_unix_nanos, end_unix_nanos, step_nanos } => {
            let interval = Interval {
                start_unix_nanos: *start_unix_nanos,
                end_unix_nanos: *end_unix_nanos,
                step_nanos: Some(*step_nanos),
            };
            sorted(reference::metrics(stored()?, &parse(query)?, interval).iter().map(series))
        }
        Asked::Names => {
            let scopes = facts.keys.iter();
            sorted(scopes.flat_map(|(scope, keys)| keys.iter().map(move |key| format!("{scope} {key}"))))
        }
        Asked::Values { key, .. } if *key == SERVICE_KEY => facts.services.keys().cloned().collect(),
        Asked::Values { .. } => facts.routes.iter().cloned().collect(),
        Asked::Trace(id) => {
            let (_, spans) = if facts.ordinary.0 == *id { &facts.ordinary } else { &facts.largest };
            sorted(spans.iter().map(|(start, end, name)| span_line(*start, *end, name)))
        }
        Asked::Overview { of: Overview::Heatmap | Overview::Breakdown, .. } => vec![facts.span_count.to_string()],
        Asked::Overview { of: Overview::Map, .. } => vec!["edges".to_owned()],
        Asked::Overview { of: Overview::Services, .. } | Asked::Sql(_) => {
            facts.services.iter().map(|(service, spans)| format!("{service} {spans}")).collect()
        }
    })
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort_unstable();
    lines
}

fn trace(found: &FoundTrace) -> String {
    let millis = found.end_unix_nanos.saturating_sub(found.start_unix_nanos) / 1_000_000;
    let rootless = found.root_service.is_none() && found.root_name.is_none();
    let service = found.root_service.as_deref().unwrap_or(if rootless { "<root span not yet received>" } else { "" });
    let name = found.root_name.as_deref().unwrap_or_default();
    let mut line = format!("{} {} {millis} ms {service} {name}", hex(&found.trace_id), found.start_unix_nanos);
    for (service, (spans, errors)) in &found.services {
        line.push_str(&format!(" | {service} {spans} {errors}"));
    }
    for set in &found.span_sets {
        line.push_str(&format!(" || {}", set.spans.len()));
        for (key, value) in &set.attributes {
            line.push_str(&format!(" {}", label(key, value)));
        }
        for span in set.spans.iter().take(SPANS_PER_SPAN_SET) {
            line.push_str(&format!(" {} {} {}", hex(&span.span_id), span.start_unix_nanos, span.duration_nanos));
        }
    }
    line
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn label(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) => format!("{key}={text}"),
        Value::Int(number) => format!("{key}={number}"),
        Value::Float(number) => format!("{key}={}", serde_json::json!(number)),
        other => format!("{key}={other:?}"),
    }
}

fn series(series: &Series) -> String {
    let mut line = series.labels.iter().map(|(key, value)| label(key, value)).collect::<Vec<_>>().join(" ");
    for (timestamp_ms, value) in &series.samples {
        line.push_str(&sample(*timestamp_ms, *value));
    }
    line
}
