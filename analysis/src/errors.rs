//! Which span made a request fail, and what became of its error on the way up.

use serde::Serialize;

use crate::attributes::{Attributes, Value};
use crate::critical_path::CriticalPath;
use crate::finding::{Confidence, Finding, Rule};
use crate::skeleton::{Kind, Status};
use crate::statement::redact;
use crate::trace::Trace;
use crate::tree::NONE;

/// What the span above did with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Label {
    /// Failed with the same type.
    Propagated,
    /// Failed with another type.
    Transformed,
    /// Gave up waiting: the side that answers went on, and did not fail.
    TimedOut,
    /// Did not fail.
    Suppressed,
}

/// A failed span, and what became of its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorEdge {
    /// The failed span.
    pub span: u32,
    /// The failed span above that it made fail, if any.
    pub into: Option<u32>,
    /// What happened; nothing for a failed root.
    pub label: Option<Label>,
}

/// The failures of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorReport {
    /// All failed spans, in preorder.
    pub edges: Vec<ErrorEdge>,
    /// Failed spans that made a failed root fail and have no failed span below them; the likeliest first.
    pub culprits: Vec<u32>,
}

/// Of so many failed spans, the first in preorder, the type is asked for; the errors of others count as propagated.
pub const MAX_TYPED_ERRORS: usize = 10_000;
/// Most culprits that are listed.
pub const MAX_CULPRITS: usize = 1_000;

/// A span's error in few words: `error.type`, the exception's type, or the status code of its protocol.
pub fn error_type(trace: &Trace, span: u32, attributes: &dyn Attributes) -> Option<String> {
    let row = trace.skeleton.row(span);
    let text = |value: Value<'_>| value.into_text().into_owned();
    if let Some(value) = attributes.attribute(row, "error.type") {
        return Some(text(value));
    }
    if let Some(exception) = attributes.exception(row).filter(|exception| !exception.kind.is_empty()) {
        return Some(exception.kind.into_owned());
    }
    let code = |key: &str| attributes.attribute(row, key);
    let http = ["http.response.status_code", "http.status_code"].iter().find_map(|key| code(key));
    if let Some(number) = http.and_then(|value| value.as_int()).filter(|number| *number >= 400) {
        return Some(number.to_string());
    }
    ["rpc.grpc.status_code", "db.response.status_code"].iter().find_map(|key| code(key)).map(text)
}

/// What spans that failed in the same way have in common: service, operation, type of the error, message without what differs
/// from one occurrence to the next, and the first frame of the application's own code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ErrorGroup {
    /// Service.
    pub service: String,
    /// Name of the span.
    pub operation: String,
    /// Type of the error; empty when nothing says.
    pub error_type: String,
    /// Message, redacted.
    pub message: String,
    /// First frame that is not of a library or runtime; empty without a stack trace.
    pub frame: String,
}

/// The group of a failed span.
pub fn error_group(trace: &Trace, span: u32, attributes: &dyn Attributes) -> ErrorGroup {
    let row = trace.skeleton.row(span);
    let exception = attributes.exception(row).unwrap_or_default();
    let message = match exception.message.is_empty() {
        false => redact(&exception.message),
        true => attributes.status_message(row).map(|message| redact(&message)).unwrap_or_default(),
    };
    ErrorGroup {
        service: trace.skeleton.service(span).to_owned(),
        operation: trace.skeleton.name(span).to_owned(),
        error_type: error_type(trace, span, attributes).unwrap_or_default(),
        message,
        frame: own_frame(&exception.stacktrace).to_owned(),
    }
}

/// The first line of a stack trace that is a frame and not one of a library or runtime.
fn own_frame(stacktrace: &str) -> &str {
    const FOREIGN: [&str; 14] = [
        "java.",
        "javax.",
        "jdk.",
        "sun.",
        "kotlin.",
        "scala.",
        "org.springframework.",
        "io.netty.",
        "node:",
        "node_modules",
        "site-packages",
        "<frozen",
        "/usr/lib/",
        "/rustc/",
    ];
    let frames = stacktrace.lines().map(str::trim).filter(|line| line.starts_with("at ") || line.starts_with("File "));
    frames.into_iter().find(|line| !FOREIGN.iter().any(|foreign| line.contains(foreign))).unwrap_or("")
}

/// Follows failures through the trace: linear in spans, a few attributes for each failed one.
///
/// A failed span makes its parent fail if that failed too. An internal span of the same service that says nothing of its
/// status is looked through. A call that went well, or says nothing, stops the error there.
pub fn errors(trace: &Trace, attributes: &dyn Attributes, path: &CriticalPath) -> ErrorReport {
    let (skeleton, tree) = (&trace.skeleton, &trace.tree);
    let count = skeleton.span_count() as usize;
    // Of each span the failed span that an error of its children would make fail, of each failed one whether it leads to a
    // failed root, and how many failed spans it made.
    let mut carrier = vec![NONE; count];
    let mut reaches_root = vec![false; count];
    let mut has_cause = vec![false; count];
    let mut report = ErrorReport::default();
    for span in tree.preorder().iter().copied() {
        let at = span as usize;
        let parent = tree.parent(span);
        let above = parent.map_or(NONE, |parent| {
            let is_looked_through =
                skeleton.is_error(parent) || skeleton.service_code(parent) == skeleton.service_code(span);
            if is_looked_through { carrier[parent as usize] } else { NONE }
        });
        if !skeleton.is_error(span) {
            let is_open = skeleton.kind(span) == Kind::Internal && skeleton.status(span) == Status::Unset;
            carrier[at] = if is_open { above } else { NONE };
            continue;
        }
        carrier[at] = span;
        reaches_root[at] = parent.is_none() || above != NONE && reaches_root[above as usize];
        if above != NONE {
            has_cause[above as usize] = true;
        }
        report.edges.push(ErrorEdge { span, into: (above != NONE).then_some(above), label: None });
    }
    let typed = report.edges.iter().take(MAX_TYPED_ERRORS);
    let mut types: Vec<(u32, Option<String>)> =
        typed.map(|edge| (edge.span, error_type(trace, edge.span, attributes))).collect();
    types.sort_unstable_by_key(|(span, _)| *span);
    let type_of = |span: u32| {
        let at = types.binary_search_by_key(&span, |(span, _)| *span).ok()?;
        types[at].1.as_deref()
    };
    for edge in &mut report.edges {
        edge.label = match edge.into {
            _ if gave_up(trace, edge.span) => Some(Label::TimedOut),
            None if tree.parent(edge.span).is_none() => None,
            None => Some(Label::Suppressed),
            Some(into) => match (type_of(edge.span), type_of(into)) {
                (Some(own), Some(above)) if own != above => Some(Label::Transformed),
                _ => Some(Label::Propagated),
            },
        };
    }
    let is_culprit = |span: &u32| reaches_root[*span as usize] && !has_cause[*span as usize];
    let mut culprits: Vec<u32> = report.edges.iter().map(|edge| edge.span).filter(is_culprit).collect();
    let is_off_path = |span: u32| path.visit(span).is_none();
    let place = |span: u32| (std::cmp::Reverse(tree.depth(span)), skeleton.start(span), span);
    culprits.sort_by_cached_key(|span| (is_off_path(*span), place(*span)));
    culprits.truncate(MAX_CULPRITS);
    culprits
        .sort_by_cached_key(|span| (is_off_path(*span), error_type(trace, *span, attributes).is_none(), place(*span)));
    report.culprits = culprits;
    report
}

/// Whether a failed client span ended before the side that answers, which did not fail.
fn gave_up(trace: &Trace, span: u32) -> bool {
    let skeleton = &trace.skeleton;
    skeleton.kind(span) == Kind::Client
        && trace.tree.children(span).iter().any(|child| {
            skeleton.kind(*child) == Kind::Server
                && !skeleton.is_error(*child)
                && skeleton.end(*child) > skeleton.end(span)
        })
}

/// Says which span made the trace's root fail.
pub(crate) fn findings(trace: &Trace, report: &ErrorReport, attributes: &dyn Attributes) -> Vec<Finding> {
    let (skeleton, tree) = (&trace.skeleton, &trace.tree);
    let Some((root, whole)) = trace.root().filter(|(root, _)| skeleton.is_error(*root)) else { return Vec::new() };
    let Some(culprit) = report.culprits.iter().copied().find(|span| tree.is_within(*span, root)) else {
        return Vec::new();
    };
    let mut spans = vec![culprit];
    let mut edges: Vec<&ErrorEdge> = report.edges.iter().collect();
    edges.sort_unstable_by_key(|edge| edge.span);
    let edge_of = |span: u32| edges.binary_search_by_key(&span, |edge| edge.span).ok().map(|at| edges[at]);
    let mut labels = Vec::new();
    let mut at = edge_of(culprit);
    // The chain is as long as the trace is deep at most; a long one need not be told whole.
    while let Some(edge) = at.filter(|_| spans.len() < 100) {
        labels.extend(edge.label);
        spans.extend(edge.into);
        at = edge.into.and_then(edge_of);
    }
    let steps = spans.len() - 1;
    let own_type = error_type(trace, culprit, attributes);
    let group = error_group(trace, culprit, attributes);
    let with = match (&own_type, group.message.as_str()) {
        (None, "") => String::new(),
        (Some(name), "") => format!(" with {name}"),
        (None, message) => format!(" with \"{}\"", short(message)),
        (Some(name), message) => format!(" with {name}: {}", short(message)),
    };
    let timed_out = labels.first() == Some(&Label::TimedOut);
    let what = if timed_out { "gave up waiting for an answer that still came" } else { "failed" };
    let text = if culprit == root {
        format!("{} {what}{with}; no span below it failed.", skeleton.label(root))
    } else {
        let changed = if labels.contains(&Label::Transformed) { ", its type changed on the way" } else { "" };
        format!(
            "{} failed because {} {what}{with} ({} up{changed}).",
            skeleton.label(root),
            skeleton.label(culprit),
            crate::chains::counted(steps, "step")
        )
    };
    let culprits = report.culprits.iter().filter(|span| tree.is_within(**span, root)).count();
    let confidence = if own_type.is_some() || culprits == 1 { Confidence::High } else { Confidence::Medium };
    let finding = Finding::new(trace, Rule::ErrorCulprit, spans, whole, confidence, text)
        .word("culprit", skeleton.span_id(culprit).to_string())
        .word("service", group.service)
        .word("operation", group.operation)
        .word("error_type", group.error_type)
        .word("message", group.message)
        .count("culprits", culprits as u64)
        .count("steps", steps as u64)
        .word("timed_out", if timed_out { "yes" } else { "no" });
    vec![finding]
}

/// The first line of a message, at most 100 characters.
fn short(message: &str) -> String {
    const MOST: usize = 100;
    let line = message.lines().next().unwrap_or("");
    match line.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests;
