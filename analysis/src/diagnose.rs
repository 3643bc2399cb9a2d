//! Every rule over one trace.

use crate::attributes::Attributes;
use crate::baseline::{self, Attribution, attribute_excess};
use crate::chains::{self, Gap, MissingParent};
use crate::critical_path::CriticalPath;
use crate::errors::{self, ErrorReport};
use crate::finding::{Finding, rank};
use crate::history::{Completeness, History};
use crate::repeats;
use crate::retries;
use crate::self_time::self_times;
use crate::settings::Settings;
use crate::siblings::{sequential_findings, sibling_groups};
use crate::skew::{self, HostPair};
use crate::storm;
use crate::trace::Trace;

/// What is known of one trace: the parts that a picture of it needs, and the findings.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// The critical path of the root that stands for the trace.
    pub path: CriticalPath,
    /// Of each span its self time in nanoseconds.
    pub self_nanos: Vec<u64>,
    /// Parents that are not there.
    pub missing_parents: Vec<MissingParent>,
    /// Stretches of the path of which no span tells.
    pub gaps: Vec<Gap>,
    /// What calls between hosts say of their clocks.
    pub host_pairs: Vec<HostPair>,
    /// Which call paths explain why the trace took longer than its operation usually does; empty without a baseline.
    pub excess: Vec<Attribution>,
    /// Failures.
    pub errors: ErrorReport,
    /// All findings, the weightiest first; [`Settings::shown_findings`] of them are shown.
    pub findings: Vec<Finding>,
}

/// Runs every rule over a trace, as its spans were timed. About linear in spans (n log n); asks for attributes only of spans that
/// a rule suspects.
pub fn diagnose(
    trace: &Trace,
    attributes: &dyn Attributes,
    history: &dyn History,
    completeness: &Completeness,
    settings: &Settings,
) -> Diagnosis {
    let path = CriticalPath::of_trace(trace);
    let missing_parents = chains::missing_parents(trace, completeness, settings);
    let gaps = chains::gaps(trace, &path, settings);
    let host_pairs = skew::skew(trace);
    let errors = errors::errors(trace, attributes, &path);
    let mut findings = errors::findings(trace, &errors, attributes);
    findings.extend(chains::missing_parent_findings(trace, &missing_parents, history));
    findings.extend(chains::damage_findings(trace));
    findings.extend(chains::untraced_callees(trace, &path, history, settings));
    findings.extend(chains::gap_findings(trace, &path, &gaps));
    findings.extend(skew::findings(trace, &host_pairs));
    findings.extend(sequential_findings(trace, &path, history, settings));
    sibling_groups(trace, |parent, members| {
        repeats::check(trace, parent, members, attributes, &path, settings, &mut findings);
        retries::check(trace, parent, members, attributes, &path, settings, &mut findings);
    });
    findings.extend(storm::findings(trace, &path, history, settings));
    findings.extend(baseline::slow_findings(trace, &path, history, settings));
    findings.extend(baseline::count_findings(trace, &path, history, settings));
    rank(&mut findings);
    let excess = attribute_excess(trace, &path, history, settings);
    Diagnosis { self_nanos: self_times(trace), path, missing_parents, gaps, host_pairs, excess, errors, findings }
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod properties;
