//! A trace as JSON, and its spans as rows.

use serde_json::{Value, json};
use spanlake_analysis::{Diagnosis, Kind, OtlpTrace, Status};

use super::finding::Told;
use crate::commands::readable;
use crate::commands::report::{Cell, Column, Report, Row};

/// The whole of a trace with what was found: spans in the order of the tree, findings by weight.
pub fn json(one: &OtlpTrace<'_>, diagnosis: &Diagnosis, findings: &[Told]) -> Value {
    let skeleton = &one.trace.skeleton;
    let path_nanos = path_nanos(one, diagnosis);
    let (start, end) = one.trace.bounds().unwrap_or((0, 0));
    let spans: Vec<Value> =
        one.trace.tree.preorder().iter().map(|span| span_json(one, diagnosis, &path_nanos, *span)).collect();
    let findings: Vec<Value> = findings.iter().map(Told::json).collect();
    let path: Vec<Value> = diagnosis
        .path
        .segments
        .iter()
        .map(|segment| {
            json!({
                "spanId": skeleton.span_id(segment.span).to_string(),
                "start": segment.start.saturating_sub(start),
                "end": segment.end.saturating_sub(start),
            })
        })
        .collect();
    json!({
        "traceId": skeleton.trace_id().to_string(),
        "startUnixNanos": start.to_string(),
        "durationNanos": end - start,
        "spanCount": skeleton.span_count(),
        "spans": spans,
        "criticalPath": path,
        "findings": findings,
    })
}

/// One finding.
pub fn finding_json(one: &OtlpTrace<'_>, finding: &spanlake_analysis::Finding) -> Value {
    let ids: Vec<String> = finding.spans.iter().map(|span| one.trace.skeleton.span_id(*span).to_string()).collect();
    json!({
        "rule": finding.rule,
        "confidence": finding.confidence,
        "atStakeNanos": finding.at_stake_nanos,
        "shareOfRoot": finding.share_of_root,
        "text": finding.text,
        "evidence": finding.evidence,
        "spanIds": ids,
        "doc": format!("docs/findings/{}.md", finding.rule),
    })
}

/// Nanoseconds on the critical path, by span.
fn path_nanos(one: &OtlpTrace<'_>, diagnosis: &Diagnosis) -> Vec<u64> {
    let mut nanos = vec![0_u64; one.trace.skeleton.span_count() as usize];
    for segment in &diagnosis.path.segments {
        if let Some(of) = nanos.get_mut(segment.span as usize) {
            *of = of.saturating_add(segment.duration());
        }
    }
    nanos
}

fn span_json(one: &OtlpTrace<'_>, diagnosis: &Diagnosis, path_nanos: &[u64], span: u32) -> Value {
    let skeleton = &one.trace.skeleton;
    let at = span as usize;
    json!({
        "spanId": skeleton.span_id(span).to_string(),
        "parentSpanId": skeleton.parent_span_id(span).map(|id| id.to_string()),
        "depth": one.trace.tree.depth(span),
        "service": skeleton.service(span),
        "name": skeleton.name(span),
        "kind": kind(skeleton.kind(span)),
        "status": status(skeleton.status(span)),
        "startUnixNanos": skeleton.start(span).to_string(),
        "durationNanos": skeleton.duration(span),
        "selfNanos": diagnosis.self_nanos.get(at),
        "pathNanos": path_nanos.get(at),
    })
}

/// The spans that are wanted as rows, in the order of the tree.
pub fn spans(one: &OtlpTrace<'_>, diagnosis: &Diagnosis, wanted: impl Fn(u32) -> bool) -> Report {
    let skeleton = &one.trace.skeleton;
    let path_nanos = path_nanos(one, diagnosis);
    let start = one.trace.bounds().map_or(0, |(start, _)| start);
    let duration = |nanos: u64| Cell::with_exact(readable::duration(nanos), nanos);
    let row = |span: u32| {
        let at = span as usize;
        let offset = skeleton.start(span).saturating_sub(start);
        let parent = skeleton.parent_span_id(span).map_or_else(String::new, |id| id.to_string());
        Row {
            cells: vec![
                skeleton.span_id(span).to_string().into(),
                Cell::with_exact(format!("+{}", readable::duration(offset)), offset),
                duration(skeleton.duration(span)),
                skeleton.service(span).into(),
                skeleton.name(span).into(),
                kind(skeleton.kind(span)).into(),
                status(skeleton.status(span)).into(),
                duration(diagnosis.self_nanos.get(at).copied().unwrap_or(0)),
                duration(path_nanos.get(at).copied().unwrap_or(0)),
                parent.into(),
            ],
            json: span_json(one, diagnosis, &path_nanos, span),
            is_bad: skeleton.is_error(span),
        }
    };
    let rows: Vec<Row> = one.trace.tree.preorder().iter().copied().filter(|span| wanted(*span)).map(row).collect();
    Report {
        columns: vec![
            Column::id("SPAN"),
            Column::number("START"),
            Column::number("DURATION"),
            Column::text("SERVICE"),
            Column::text("NAME"),
            Column::text("KIND"),
            Column::text("STATUS"),
            Column::number("SELF").wide(),
            Column::number("ON PATH").wide(),
            Column::id("PARENT").wide(),
        ],
        json: json!({ "spans": rows.iter().map(|row| row.json.clone()).collect::<Vec<_>>() }),
        rows,
    }
}

/// The name of a kind.
pub fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Unspecified => "unspecified",
        Kind::Internal => "internal",
        Kind::Server => "server",
        Kind::Client => "client",
        Kind::Producer => "producer",
        Kind::Consumer => "consumer",
    }
}

/// The name of a status.
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Unset => "unset",
        Status::Ok => "ok",
        Status::Error => "error",
    }
}
