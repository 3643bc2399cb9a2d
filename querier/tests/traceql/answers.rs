//! Two answers side by side: equal but for the last bits of doubles, or where they first differ.

use spanlake_querier::{FoundSpan, FoundTrace, Series, SpanSet};
use spanlake_traceql::Value;
use spanlake_traceql::reference;

type Labels = [(String, Value)];

/// Traces in order, with everything said about them; the engine gives the first `most_spans` of each spanset.
pub fn of_traces(expect: &[reference::FoundTrace], found: &[FoundTrace], most_spans: usize) -> Option<String> {
    let expect_ids: Vec<_> = expect.iter().map(|trace| id(&trace.trace_id)).collect();
    let found_ids: Vec<_> = found.iter().map(|trace| id(&trace.trace_id.0)).collect();
    if expect_ids != found_ids {
        return Some(format!("expected traces {expect_ids:?}, found {found_ids:?}"));
    }
    for (expect, found) in expect.iter().zip(found) {
        let is_same = expect.root_service.as_deref() == found.root_service.as_deref()
            && expect.root_name.as_deref() == found.root_name.as_deref()
            && (expect.start_unix_nanos, expect.end_unix_nanos) == (found.start_unix_nanos, found.end_unix_nanos)
            && are_same_services(expect, found)
            && expect.span_sets.len() == found.span_sets.len()
            && expect.span_sets.iter().zip(&found.span_sets).all(|(a, b)| are_same_sets(a, b, most_spans));
        if !is_same {
            let (expect, found) = (describe_expected(expect, most_spans), describe_found(found));
            return Some(format!("expected {expect}\n   found {found}"));
        }
    }
    None
}

fn describe_expected(trace: &reference::FoundTrace, most_spans: usize) -> String {
    let services: Vec<_> = trace.services.iter().map(|(service, (spans, errors))| (service, spans, errors)).collect();
    let span = |span: &reference::FoundSpan| (id(&span.span_id), span.start_unix_nanos, span.duration_nanos);
    let spans = |set: &reference::SpanSet| set.spans.iter().take(most_spans).map(span).collect::<Vec<_>>();
    let sets: Vec<_> = trace.span_sets.iter().map(|set| (set.spans.len(), &set.attributes, spans(set))).collect();
    format!(
        "trace {} root {:?} {:?} from {} to {} services {services:?} sets {sets:?}",
        id(&trace.trace_id),
        trace.root_service,
        trace.root_name,
        trace.start_unix_nanos,
        trace.end_unix_nanos,
    )
}

fn describe_found(trace: &FoundTrace) -> String {
    let services: Vec<_> = trace.services.iter().map(|one| (&one.service, one.span_count, one.error_count)).collect();
    let span = |span: &FoundSpan| (id(&span.span_id), span.start_unix_nanos, span.duration_nanos);
    let spans = |set: &SpanSet| set.spans.iter().map(span).collect::<Vec<_>>();
    let sets: Vec<_> = trace.span_sets.iter().map(|set| (set.matched, &set.attributes, spans(set))).collect();
    format!(
        "trace {} root {:?} {:?} from {} to {} services {services:?} sets {sets:?}",
        id(&trace.trace_id.0),
        trace.root_service,
        trace.root_name,
        trace.start_unix_nanos,
        trace.end_unix_nanos,
    )
}

fn id(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn are_same_services(expect: &reference::FoundTrace, found: &FoundTrace) -> bool {
    let expect = expect.services.iter().map(|(service, (spans, errors))| (service.as_str(), *spans, *errors));
    let found = found.services.iter().map(|service| (&*service.service, service.span_count, service.error_count));
    expect.eq(found)
}

fn are_same_sets(expect: &reference::SpanSet, found: &SpanSet, most_spans: usize) -> bool {
    let expected_spans = expect.spans.iter().take(most_spans);
    let expected_spans = expected_spans.map(|span| (&span.span_id[..], span.start_unix_nanos, span.duration_nanos));
    let found_spans = found.spans.iter().map(|span| (&span.span_id[..], span.start_unix_nanos, span.duration_nanos));
    expect.spans.len() == found.matched as usize
        && expected_spans.eq(found_spans)
        && are_same_labels(&expect.attributes, &found.attributes)
}

/// Series in any order.
pub fn of_series(expect: &[reference::Series], found: &[Series]) -> Option<String> {
    for one in found {
        if found.iter().filter(|other| are_same_labels(&one.labels, &other.labels)).count() > 1 {
            return Some(format!("found several series {:?}", one.labels));
        }
        if !expect.iter().any(|other| are_same_labels(&one.labels, &other.labels)) {
            return Some(format!("found series that are not expected: {one:?}\n\nexpected {expect:#?}"));
        }
    }
    for one in expect {
        let Some(other) = found.iter().find(|other| are_same_labels(&one.labels, &other.labels)) else {
            return Some(format!("expected series that are not found: {one:?}\n\nfound {found:#?}"));
        };
        let is_same = |(a, b): (&(i64, f64), &(i64, f64))| a.0 == b.0 && are_close(a.1, b.1);
        if one.samples.len() != other.samples.len() || !one.samples.iter().zip(&other.samples).all(is_same) {
            return Some(format!("expected {one:?}\n\nfound {other:?}"));
        }
    }
    None
}

fn are_same_labels(a: &Labels, b: &Labels) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && are_same(&a.1, &b.1))
}

fn are_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => are_close(*a, *b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| are_same(a, b)),
        (a, b) => a == b,
    }
}

/// Equal, or different only by the order of a sum.
fn are_close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-12 + 1e-9 * a.abs().max(b.abs())
}
