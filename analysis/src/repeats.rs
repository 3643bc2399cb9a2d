//! One query for each row of another, the same query again and again, and many calls at once.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::attributes::{Attributes, Value};
use crate::chains::counted;
use crate::critical_path::CriticalPath;
use crate::finding::{Confidence, Finding, Rule, readable_nanos, share};
use crate::settings::{Settings, part_of};
use crate::siblings::{Member, median};
use crate::skeleton::Kind;
use crate::statement::{has_placeholders, is_truncated, normalise_route, normalise_statement};
use crate::trace::Trace;

/// Where the text of a call is found, the most telling first.
const TEXT_KEYS: [&str; 7] =
    ["db.query.text", "db.statement", "url.template", "http.route", "url.full", "http.url", "db.query.summary"];
/// What names the system that is called.
const SYSTEM_KEYS: [&str; 6] =
    ["db.system.name", "db.system", "server.address", "net.peer.name", "rpc.service", "peer.service"];

/// What a call says: its text as sent.
pub(crate) fn call_text<'a>(attributes: &'a dyn Attributes, row: u32, key: &str) -> Option<Cow<'a, str>> {
    attributes.attribute(row, key).map(Value::into_text)
}

/// The key under which calls of this kind have their text, found on one of them.
pub(crate) fn text_key(attributes: &dyn Attributes, row: u32) -> Option<&'static str> {
    TEXT_KEYS.into_iter().find(|key| attributes.attribute(row, key).is_some())
}

fn system(attributes: &dyn Attributes, row: u32) -> Option<String> {
    SYSTEM_KEYS.into_iter().find_map(|key| attributes.attribute(row, key)).map(|value| value.into_text().into_owned())
}

/// Calls of one normalised text.
struct Repeat {
    members: Vec<Member>,
    /// Texts as sent, as far as needed to tell one from several.
    texts: BTreeSet<String>,
    truncated: bool,
    placeholders: bool,
}

/// Most different texts that are kept of one repeat.
const MAX_TEXTS: usize = 1_000;

/// Judges calls of one operation below one parent.
pub(crate) fn check(
    trace: &Trace,
    parent: u32,
    members: &[Member],
    attributes: &dyn Attributes,
    path: &CriticalPath,
    settings: &Settings,
    findings: &mut Vec<Finding>,
) {
    let skeleton = &trace.skeleton;
    let row = |member: &Member| skeleton.row(member.call);
    let Some(first) = members.first().filter(|_| members.len() >= settings.repeated_calls.min(settings.fan_out_calls))
    else {
        return;
    };
    let total = members.iter().map(|member| skeleton.duration(member.child)).fold(0, u64::saturating_add);
    let floor = settings.repeated_nanos.max(part_of(skeleton.duration(parent), settings.repeated_share));
    let is_call = skeleton.kind(first.call) == Kind::Client
        || ["db.system.name", "db.system"].iter().any(|key| attributes.attribute(row(first), key).is_some());
    if total < floor || !is_call {
        return;
    }
    let key = text_key(attributes, row(first));
    let mut repeats: BTreeMap<String, Repeat> = BTreeMap::new();
    // Neighbours often have the same text.
    for member in members {
        let text = key.and_then(|key| call_text(attributes, row(member), key)).unwrap_or_default();
        let normalised = match key {
            Some("db.query.text" | "db.statement") => normalise_statement(&text),
            Some("url.full" | "http.url") => normalise_route(&text),
            _ => text.clone().into_owned(),
        };
        let repeat = repeats.entry(normalised).or_insert_with(|| Repeat {
            members: Vec::new(),
            texts: BTreeSet::new(),
            truncated: false,
            placeholders: false,
        });
        repeat.members.push(*member);
        repeat.truncated |= is_truncated(&text);
        repeat.placeholders |= has_placeholders(&text);
        if repeat.texts.len() < MAX_TEXTS && !repeat.texts.contains(text.as_ref()) {
            repeat.texts.insert(text.into_owned());
        }
    }
    for (normalised, repeat) in repeats {
        let nanos = |member: &Member| skeleton.duration(member.child);
        let total = repeat.members.iter().map(nanos).fold(0, u64::saturating_add);
        if total < floor {
            continue;
        }
        let sequential = sequential_share(trace, &repeat.members);
        if sequential >= settings.repeated_sequential_share && repeat.members.len() >= settings.repeated_calls {
            findings.push(repeated(trace, parent, key, &normalised, &repeat, sequential, total, attributes, path));
        } else if let Some(burst) = burst(trace, &repeat.members, settings) {
            findings.push(fan_out(trace, parent, burst, path));
        }
    }
}

/// The share of calls, without the first, that begin when all before them have ended.
fn sequential_share(trace: &Trace, members: &[Member]) -> f64 {
    let mut until = 0;
    let mut after = 0u64;
    for (at, member) in members.iter().enumerate() {
        after += u64::from(at > 0 && trace.skeleton.start(member.child) >= until);
        until = until.max(trace.skeleton.end(member.child));
    }
    share(after, members.len().saturating_sub(1) as u64)
}

/// The most calls that start within the window, if they are enough for a fan-out.
fn burst<'a>(trace: &Trace, members: &'a [Member], settings: &Settings) -> Option<&'a [Member]> {
    let start = |at: usize| trace.skeleton.start(members[at].child);
    let (mut from, mut best) = (0, 0..0);
    for to in 0..members.len() {
        while start(to) - start(from) > settings.fan_out_window_nanos {
            from += 1;
        }
        if to + 1 - from > best.len() {
            best = from..to + 1;
        }
    }
    (best.len() >= settings.fan_out_calls).then(|| &members[best])
}

#[allow(clippy::too_many_arguments, reason = "one call, and all of it is what the sentence is made of")]
fn repeated(
    trace: &Trace,
    parent: u32,
    key: Option<&str>,
    normalised: &str,
    repeat: &Repeat,
    sequential: f64,
    total: u64,
    attributes: &dyn Attributes,
    path: &CriticalPath,
) -> Finding {
    let skeleton = &trace.skeleton;
    let members = &repeat.members;
    let first = members[0];
    let typical = median(members.iter().map(|member| skeleton.duration(member.child)).collect());
    let spans: Vec<u32> = members.iter().map(|member| member.child).collect();
    let on_path = spans.iter().map(|span| path.nanos_within(*span)).fold(0, u64::saturating_add);
    let saving = total.saturating_sub(typical.saturating_mul(2)).min(on_path);
    // A text with placeholders, or none, cannot show whether values differ; the usual reason for repeats is that they do.
    let same = repeat.texts.len() == 1 && key.is_some() && !repeat.placeholders && !repeat.truncated;
    let source = source_query(trace, parent, &first, attributes);
    let confidence = match (repeat.truncated || key.is_none(), source.is_some() || same) {
        (true, _) => Confidence::Low,
        (false, true) => Confidence::High,
        (false, false) => Confidence::Medium,
    };
    let times = format!("{} calls of {}", members.len(), skeleton.label(first.call));
    let (rule, text) = if same {
        let text = format!(
            "{times} with the very same values, one after the other, take {}: keep the first answer and save about {}.",
            readable_nanos(total),
            readable_nanos(saving)
        );
        (Rule::DuplicateCalls, text)
    } else {
        let text = format!(
            "N+1: {times}, one after the other below {}, take {}: one call for all of them saves about {}.",
            skeleton.label(parent),
            readable_nanos(total),
            readable_nanos(saving)
        );
        (Rule::NPlusOne, text)
    };
    let mut finding = Finding::new(trace, rule, spans, saving, confidence, text)
        .count("calls", members.len() as u64)
        .count("distinct_texts", repeat.texts.len() as u64)
        .nanos("total", total)
        .nanos("median", typical)
        .ratio("sequential_share", sequential);
    if key.is_some() {
        finding = finding.word("text", normalised);
    }
    if let Some(source) = source {
        finding = finding.word("source", skeleton.label(source));
    }
    finding
}

/// A different call to the same system that ended just before the first one, whose rows the others may be about.
fn source_query(trace: &Trace, parent: u32, first: &Member, attributes: &dyn Attributes) -> Option<u32> {
    let skeleton = &trace.skeleton;
    let siblings = trace.tree.children(parent);
    let at = siblings.partition_point(|sibling| *sibling < first.child);
    let start = skeleton.start(first.child);
    let before = siblings[..at].iter().rev().take(8).find(|sibling| skeleton.end(**sibling) <= start)?;
    let call = match skeleton.kind(*before) {
        Kind::Client => *before,
        _ => trace.inner_call(*before)?,
    };
    let system = system(attributes, skeleton.row(first.call))?;
    let key = text_key(attributes, skeleton.row(first.call))?;
    let text = |span: u32| call_text(attributes, skeleton.row(span), key).map(|text| normalise_statement(&text));
    let same_system = self::system(attributes, skeleton.row(call)).is_some_and(|other| other == system);
    (same_system && text(call) != text(first.call)).then_some(*before)
}

fn fan_out(trace: &Trace, parent: u32, burst: &[Member], path: &CriticalPath) -> Finding {
    let skeleton = &trace.skeleton;
    let spans: Vec<u32> = burst.iter().map(|member| member.child).collect();
    let durations: Vec<u64> = spans.iter().map(|span| skeleton.duration(*span)).collect();
    let start = spans.iter().map(|span| skeleton.start(*span)).min().unwrap_or(0);
    let end = spans.iter().map(|span| skeleton.end(*span)).max().unwrap_or(start);
    let fastest = durations.iter().copied().min().unwrap_or(0);
    let on_path = spans.iter().map(|span| path.nanos_within(*span)).fold(0, u64::saturating_add);
    let at_stake = (end - start).saturating_sub(fastest).min(on_path);
    let text = format!(
        "{} starts {} of {} at once; the slowest takes {}, the fastest {}: ask for all in one call, or bound how many run together.",
        skeleton.label(parent),
        counted(spans.len(), "call"),
        skeleton.label(burst[0].call),
        readable_nanos(durations.iter().copied().max().unwrap_or(0)),
        readable_nanos(fastest)
    );
    Finding::new(trace, Rule::FanOut, spans, at_stake, Confidence::Medium, text)
        .count("calls", burst.len() as u64)
        .nanos("wall", end - start)
        .nanos("fastest", fastest)
        .nanos("median", median(durations))
}
