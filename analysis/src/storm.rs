//! Retry storms: retries multiply the calls of an edge. Counts of client spans and of the logical calls behind them, by edge, to be
//! summed over traces of a time bucket and compared with what is usual.

use std::collections::BTreeMap;

use crate::finding::{Confidence, Evidence, Finding, Quantity, Rule, share};
use crate::settings::Settings;
use crate::siblings::{Member, sibling_groups};
use crate::skeleton::Kind;
use crate::trace::Trace;

/// Calls of one edge in one time bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EdgeTraffic {
    /// Client spans: every attempt.
    pub attempts: u64,
    /// Calls that the application wanted: attempts without those that only repeat a failed one.
    pub logical_calls: u64,
    /// Attempts that failed.
    pub errors: u64,
    /// Sum of the attempts' durations in nanoseconds.
    pub total_nanos: u64,
}

impl EdgeTraffic {
    /// Attempts for each logical call; 1 when there are none.
    pub fn amplification(&self) -> f64 {
        if self.logical_calls == 0 { 1.0 } else { self.attempts as f64 / self.logical_calls as f64 }
    }

    fn merge(&mut self, other: &Self) {
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.logical_calls = self.logical_calls.saturating_add(other.logical_calls);
        self.errors = self.errors.saturating_add(other.errors);
        self.total_nanos = self.total_nanos.saturating_add(other.total_nanos);
    }
}

/// An edge: who calls, and the name of the call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// The calling service.
    pub service: String,
    /// The name of its client span.
    pub name: String,
}

/// The traffic of all edges over some traces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traffic {
    /// By edge.
    pub edges: BTreeMap<Edge, EdgeTraffic>,
    /// Traces: what came in.
    pub entries: u64,
}

impl Traffic {
    /// Adds a trace.
    pub fn add(&mut self, trace: &Trace) {
        let skeleton = &trace.skeleton;
        let mut edges: BTreeMap<(u32, u32), EdgeTraffic> = BTreeMap::new();
        for span in (0..skeleton.span_count()).filter(|span| skeleton.kind(*span) == Kind::Client) {
            let edge = edges.entry((skeleton.service_code(span), skeleton.name_code(span))).or_default();
            edge.attempts += 1;
            edge.logical_calls += 1;
            edge.errors += u64::from(skeleton.is_error(span));
            edge.total_nanos = edge.total_nanos.saturating_add(skeleton.duration(span));
        }
        sibling_groups(trace, |_, members| {
            let call = members[0].call;
            if skeleton.kind(call) != Kind::Client {
                return;
            }
            let repeats = |before: &Member, after: &Member| {
                skeleton.is_error(before.call) && skeleton.start(after.child) >= skeleton.end(before.child)
            };
            let repeated = members.windows(2).filter(|pair| repeats(&pair[0], &pair[1])).count() as u64;
            if let Some(edge) = edges.get_mut(&(skeleton.service_code(call), skeleton.name_code(call))) {
                edge.logical_calls -= repeated;
            }
        });
        let strings = skeleton.strings();
        for ((service, name), edge) in edges {
            let key = Edge { service: strings[service as usize].clone(), name: strings[name as usize].clone() };
            self.edges.entry(key).or_default().merge(&edge);
        }
        self.entries += u64::from(skeleton.span_count() > 0);
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (edge, traffic) in &other.edges {
            self.edges.entry(edge.clone()).or_default().merge(traffic);
        }
        self.entries = self.entries.saturating_add(other.entries);
    }

    /// The product of amplifications along a chain of edges: three tries at each of three levels are 27 calls.
    pub fn chain_amplification<'a>(&self, chain: impl IntoIterator<Item = &'a Edge>) -> f64 {
        chain.into_iter().filter_map(|edge| self.edges.get(edge)).map(EdgeTraffic::amplification).product()
    }
}

/// What is usual for an edge in a bucket of the same length: medians over a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsualTraffic {
    /// Amplification.
    pub amplification: f64,
    /// Attempts.
    pub attempts: f64,
    /// Traces.
    pub entries: f64,
}

/// The edges on which a storm rages: amplification far above the usual, calls fail, and there are more of them although no more
/// comes in.
pub fn storms(now: &Traffic, usual: impl Fn(&Edge) -> Option<UsualTraffic>, settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (edge, traffic) in &now.edges {
        let Some(usual) = usual(edge) else { continue };
        let amplification = traffic.amplification();
        let error_share = share(traffic.errors, traffic.attempts);
        let is_up = traffic.attempts as f64 >= usual.attempts * settings.storm_calls_factor;
        let is_flat = (now.entries as f64 - usual.entries).abs() <= usual.entries * settings.storm_entry_share;
        if amplification < usual.amplification.max(1.0) * settings.storm_factor
            || error_share < settings.storm_error_share
            || !is_up
            || !is_flat
        {
            continue;
        }
        let extra = traffic.attempts - traffic.logical_calls;
        let typical = traffic.total_nanos / traffic.attempts.max(1);
        let text = format!(
            "Retry storm: {} makes {:.1} calls of {} for each one it wants (usually {:.1}), {:.0} % fail, and no more requests come in than usual.",
            edge.service,
            amplification,
            edge.name,
            usual.amplification,
            error_share * 100.0
        );
        let at_stake_nanos = extra.saturating_mul(typical).min(traffic.total_nanos);
        let number = |name, quantity| Evidence { name, quantity };
        findings.push(Finding {
            rule: Rule::RetryStorm,
            spans: Vec::new(),
            evidence: vec![
                number("amplification", Quantity::Ratio(amplification)),
                number("usual_amplification", Quantity::Ratio(usual.amplification)),
                number("error_share", Quantity::Ratio(error_share)),
                number("attempts", Quantity::Count(traffic.attempts)),
                number("usual_attempts", Quantity::Ratio(usual.attempts)),
                number("entries", Quantity::Count(now.entries)),
            ],
            at_stake_nanos,
            share_of_root: share(at_stake_nanos, traffic.total_nanos),
            confidence: Confidence::High,
            text,
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation;

    fn traffic(text: &str, traces: usize) -> Traffic {
        let trace = notation::trace(text);
        let mut traffic = Traffic::default();
        (0..traces).for_each(|_| traffic.add(&trace));
        traffic
    }

    const STORM: &str = "shop | GET / | server | 0..100 |
                           shop | pay | client | 0..10 | error; x3 +20
                           shop | pay | client | 70..80 |";

    #[test]
    fn storms_and_what_only_looks_like_one() {
        let usual = UsualTraffic { amplification: 1.1, attempts: 110.0, entries: 100.0 };
        let count = |now: &Traffic, usual: UsualTraffic| storms(now, |_| Some(usual), &Settings::default()).len();
        let now = traffic(STORM, 100);
        assert_eq!(count(&now, usual), 1);
        // It is always so; or more comes in; or nothing fails.
        assert_eq!(count(&now, UsualTraffic { amplification: 3.0, ..usual }), 0);
        assert_eq!(count(&now, UsualTraffic { entries: 20.0, ..usual }), 0);
        assert_eq!(count(&now, UsualTraffic { attempts: 390.0, ..usual }), 0);
        assert_eq!(count(&traffic(&STORM.replace("error; ", ""), 100), usual), 0);
        assert!(storms(&now, |_| None, &Settings::default()).is_empty());
    }

    #[test]
    fn amplification_multiplies() {
        let now = traffic(STORM, 10);
        let edge = Edge { service: "shop".to_owned(), name: "pay".to_owned() };
        assert_eq!(
            now.edges[&edge],
            EdgeTraffic { attempts: 40, logical_calls: 10, errors: 30, total_nanos: 400_000_000 }
        );
        assert_eq!(now.chain_amplification([&edge, &edge]), 16.0);
        let mut merged = traffic(STORM, 4);
        merged.merge(&traffic(STORM, 6));
        assert_eq!(merged, now);
    }
}
