//! A few words beside a row, for what was found about it; the sentences are below the picture.

use std::collections::BTreeMap;

use crate::baseline::percentile;
use crate::diagnose::Diagnosis;
use crate::finding::{Finding, Quantity, Rule, readable_nanos};
use crate::trace::Trace;

/// By span the note of the weightiest finding about it.
pub(super) fn notes(trace: &Trace, diagnosis: &Diagnosis) -> BTreeMap<u32, String> {
    let mut notes = BTreeMap::new();
    for finding in &diagnosis.findings {
        let Some(note) = note(finding) else { continue };
        for span in named(trace, diagnosis, finding) {
            notes.entry(span).or_insert_with(|| note.clone());
        }
    }
    notes
}

/// The spans beside which a finding is noted.
fn named(trace: &Trace, diagnosis: &Diagnosis, finding: &Finding) -> Vec<u32> {
    match finding.rule {
        // The whole chain failed; the first cause is what matters.
        Rule::ErrorCulprit => {
            let is_named = |span: &&u32| finding.spans.contains(span);
            diagnosis.errors.culprits.iter().find(is_named).copied().into_iter().collect()
        }
        // Its first call says where the run begins.
        Rule::SequentialCalls => {
            finding.spans.iter().copied().min_by_key(|span| trace.skeleton.start(*span)).into_iter().collect()
        }
        _ => finding.spans.clone(),
    }
}

fn note(finding: &Finding) -> Option<String> {
    let nanos = |name: &str| match finding.evidence(name) {
        Some(Quantity::Nanos(nanos)) => readable_nanos(nanos.unsigned_abs()),
        _ => String::new(),
    };
    let word = |name: &str| match finding.evidence(name) {
        Some(Quantity::Text(text)) => text.as_str(),
        _ => "",
    };
    let count = |name: &str| match finding.evidence(name) {
        Some(Quantity::Count(count)) => *count,
        _ => 0,
    };
    let rank = match finding.evidence("rank") {
        Some(Quantity::Ratio(rank)) => percentile(*rank),
        _ => String::new(),
    };
    let stake = readable_nanos(finding.at_stake_nanos);
    Some(match finding.rule {
        Rule::ErrorCulprit => format!("culprit {}", word("error_type")).trim_end().to_owned(),
        Rule::CalleeNotTraced => "callee not traced".to_owned(),
        Rule::ClockSkew => format!("clock off by {}", nanos("offset")),
        Rule::ClockInconsistent => "clocks disagree".to_owned(),
        Rule::SequentialCalls => format!("in sequence: {stake}"),
        Rule::NPlusOne => format!("N+1: saves {stake}"),
        Rule::DuplicateCalls => format!("same call: saves {stake}"),
        Rule::FanOut => format!("fan-out: {stake}"),
        Rule::Retries => format!("{} tries, {} lost", count("attempts"), nanos("wasted")),
        Rule::MaskedFailure => format!("failed once: {}", nanos("wasted")),
        Rule::SlowOperation => format!("{rank}, usually {}", nanos("usual")),
        Rule::MoreCallsThanUsual => format!("usually {} calls", count("usual_calls")),
        Rule::ImpossibleTime => "impossible time".to_owned(),
        Rule::DuplicateSpanId => "id repeats".to_owned(),
        Rule::ParentCycle => "cycle cut here".to_owned(),
        Rule::MissingParent | Rule::UninstrumentedGap | Rule::RetryStorm => return None,
    })
}
