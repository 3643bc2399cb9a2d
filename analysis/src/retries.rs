//! Calls that were tried again: what that cost, whether with back-off, and failures that a later attempt hid.

use crate::attributes::Attributes;
use crate::critical_path::CriticalPath;
use crate::finding::{Confidence, Finding, Rule, readable_nanos};
use crate::repeats::{call_text, text_key};
use crate::settings::Settings;
use crate::siblings::{Member, median};
use crate::skeleton::Kind;
use crate::trace::Trace;

/// Only groups up to this size are asked for `http.request.resend_count`: nobody retries so often.
const MAX_RESENT: usize = 100;

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
    let failed = |member: &Member| skeleton.is_error(member.call) || skeleton.is_error(member.child);
    let any_failed = members.iter().any(failed);
    let is_client = skeleton.kind(members[0].call) == Kind::Client;
    let ask_resent = is_client && members.len() <= MAX_RESENT;
    if !any_failed && !ask_resent {
        return;
    }
    let resent = |member: &Member| {
        ask_resent
            && attributes
                .attribute(skeleton.row(member.call), "http.request.resend_count")
                .and_then(|value| value.as_int())
                .is_some_and(|count| count >= 1)
    };
    let key = if any_failed || members.iter().any(resent) {
        text_key(attributes, skeleton.row(members[0].call))
    } else {
        return;
    };
    let text = |member: &Member| key.and_then(|key| call_text(attributes, skeleton.row(member.call), key));
    let is_next = |before: &Member, after: &Member| {
        skeleton.start(after.child) >= skeleton.end(before.child)
            && (failed(before) || resent(after))
            // Failures of calls with different values are several failures, not attempts.
            && text(before) == text(after)
    };
    for run in members.chunk_by(is_next).filter(|run| run.len() > 1) {
        let masked = !skeleton.is_error(parent) && run.last().is_some_and(|last| !failed(last));
        if run.len() >= settings.retry_attempts {
            findings.push(retries(trace, parent, run, masked, path, settings));
        } else if masked {
            findings.extend(masked_failure(trace, parent, run, path, settings));
        }
    }
}

/// Time of all attempts but the last, and of the pauses between them.
fn wasted(trace: &Trace, run: &[Member]) -> u64 {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return 0 };
    trace.skeleton.start(last.child) - trace.skeleton.start(first.child)
}

/// What of it lies on the critical path of the parent: all if the path waits for the last attempt.
fn at_stake(trace: &Trace, run: &[Member], path: &CriticalPath) -> u64 {
    match run.last().and_then(|last| path.visit(last.child)) {
        Some(_) => wasted(trace, run),
        None => 0,
    }
}

fn pauses(trace: &Trace, run: &[Member]) -> Vec<u64> {
    let pause = |pair: &[Member]| trace.skeleton.start(pair[1].child).saturating_sub(trace.skeleton.end(pair[0].child));
    run.windows(2).map(pause).collect()
}

/// The median factor by which one pause is longer than the one before; nothing for fewer than two pauses.
fn growth(pauses: &[u64]) -> Option<f64> {
    let mut ratios: Vec<f64> =
        pauses.windows(2).map(|pair| if pair[1] == 0 { 0.0 } else { pair[1] as f64 / pair[0].max(1) as f64 }).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied()
}

fn retries(
    trace: &Trace,
    parent: u32,
    run: &[Member],
    masked: bool,
    path: &CriticalPath,
    settings: &Settings,
) -> Finding {
    let skeleton = &trace.skeleton;
    let lost = wasted(trace, run);
    let pauses = pauses(trace, run);
    let growth = growth(&pauses);
    let no_back_off = growth.is_some_and(|growth| growth < settings.back_off_ratio);
    let last_failed = run.last().is_some_and(|last| skeleton.is_error(last.call) || skeleton.is_error(last.child));
    let outcome = if last_failed { "and never succeeded" } else { "before it succeeded" };
    let back_off = if no_back_off { ", without back-off" } else { "" };
    let text = format!(
        "{} tried {} {} times {outcome}{back_off}: {} went into attempts that failed and the pauses after them.",
        skeleton.label(parent),
        skeleton.label(run[0].call),
        run.len(),
        readable_nanos(lost)
    );
    let spans = run.iter().map(|member| member.child).collect();
    let finding = Finding::new(trace, Rule::Retries, spans, at_stake(trace, run, path), Confidence::High, text)
        .count("attempts", run.len() as u64)
        .nanos("wasted", lost)
        .nanos("median_pause", median(pauses))
        .word("back_off", if no_back_off { "no" } else { "yes" })
        .word("masked", if masked { "yes" } else { "no" });
    match growth {
        Some(growth) => finding.ratio("pause_growth", growth),
        None => finding,
    }
}

fn masked_failure(
    trace: &Trace,
    parent: u32,
    run: &[Member],
    path: &CriticalPath,
    settings: &Settings,
) -> Option<Finding> {
    let skeleton = &trace.skeleton;
    let lost = wasted(trace, run);
    if lost < settings.masked_nanos {
        return None;
    }
    let text = format!(
        "{} failed and went well when {} tried again: no error for the caller, but {} lost.",
        skeleton.label(run[0].call),
        skeleton.label(parent),
        readable_nanos(lost)
    );
    let spans = run.iter().map(|member| member.child).collect();
    let finding = Finding::new(trace, Rule::MaskedFailure, spans, at_stake(trace, run, path), Confidence::Medium, text);
    Some(finding.count("attempts", run.len() as u64).nanos("wasted", lost))
}
