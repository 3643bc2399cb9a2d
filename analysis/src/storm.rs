//! Retry storms: retries multiply the calls of an edge. Counts of client spans and of the logical calls behind them, by edge, to be
//! summed over traces of a time bucket and compared with what is usual.

use std::collections::BTreeMap;

use crate::critical_path::CriticalPath;
use crate::finding::{Confidence, Finding, Rule, share};
use crate::history::History;
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
    /// Wanted calls that were seen: as many, unless the others are told from a sample.
    pub seen_calls: u64,
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
        self.seen_calls = self.seen_calls.saturating_add(other.seen_calls);
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
            edge.seen_calls += 1;
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
                edge.seen_calls -= repeated;
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

    /// The counts of all traces, when those counted here are a fair sample of so many. What was seen stays what it is.
    pub fn of_all(mut self, entries: u64) -> Self {
        let (all, sampled) = (u128::from(entries), u128::from(self.entries.max(1)));
        let scale = |count: &mut u64| {
            *count = u64::try_from((u128::from(*count) * all).div_ceil(sampled)).unwrap_or(u64::MAX);
        };
        for traffic in self.edges.values_mut() {
            [&mut traffic.attempts, &mut traffic.logical_calls, &mut traffic.errors, &mut traffic.total_nanos]
                .into_iter()
                .for_each(scale);
        }
        self.entries = entries;
        self
    }

    /// The product of amplifications along a chain of edges: three tries at each of three levels are 27 calls.
    pub fn chain_amplification<'a>(&self, chain: impl IntoIterator<Item = &'a Edge>) -> f64 {
        chain.into_iter().filter_map(|edge| self.edges.get(edge)).map(EdgeTraffic::amplification).product()
    }
}

/// What is usual for an edge in a bucket of the same length: medians over many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsualTraffic {
    /// Amplification.
    pub amplification: f64,
    /// Attempts.
    pub attempts: f64,
    /// Traces.
    pub entries: f64,
    /// Wanted calls that this was learned from.
    pub learned_calls: u64,
}

/// Traffic of an entry point in slots of time of one length, each known from a fair sample of its traces.
#[derive(Debug, Clone, Default)]
pub struct SampledSlots {
    /// How many traces came in, and what was counted of those in the sample.
    slots: Vec<(u64, Traffic)>,
}

impl SampledSlots {
    /// Adds a slot: all its traces, and what was counted of some of them. One that had none says nothing.
    pub fn push(&mut self, entries: u64, sampled: Traffic) {
        if entries > 0 && sampled.entries > 0 {
            self.slots.push((entries, sampled));
        }
    }

    /// What is usual for an edge in a time as long as `lengths` slots: medians over slots, so that a storm among them is not.
    pub fn usual(&self, edge: &Edge, lengths: f64) -> Option<UsualTraffic> {
        let of_edge = |traffic: &Traffic| traffic.edges.get(edge).copied();
        let met = || self.slots.iter().filter_map(|(_, traffic)| of_edge(traffic));
        let amplification = middle(met().map(|of| of.amplification()).collect())?;
        let attempts = |traffic: &Traffic| of_edge(traffic).map_or(0, |of| of.attempts) as f64;
        let for_each = middle(self.slots.iter().map(|(_, of)| attempts(of) / of.entries as f64).collect())?;
        let entries = lengths * middle(self.slots.iter().map(|(entries, _)| *entries as f64).collect())?;
        let learned_calls = met().map(|of| of.seen_calls).fold(0, u64::saturating_add);
        Some(UsualTraffic { amplification, attempts: for_each * entries, entries, learned_calls })
    }
}

/// The median; of an even number the higher of the two.
fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// A storm on an edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Storm {
    /// Where.
    pub edge: Edge,
    /// What passes there.
    pub traffic: EdgeTraffic,
    /// Traces that came in.
    pub entries: u64,
    /// What is usual.
    pub usual: UsualTraffic,
}

/// The edges on which a storm rages: amplification far above the usual, calls fail, and there are more of them although no more
/// comes in.
pub fn storms(now: &Traffic, usual: impl Fn(&Edge) -> Option<UsualTraffic>, settings: &Settings) -> Vec<Storm> {
    let storm = |(edge, traffic): (&Edge, &EdgeTraffic)| {
        let usual = usual(edge)?;
        let is_multiplied = traffic.amplification() >= usual.amplification.max(1.0) * settings.storm_factor;
        let fails = share(traffic.errors, traffic.attempts) >= settings.storm_error_share;
        let is_up = traffic.attempts as f64 >= usual.attempts * settings.storm_calls_factor;
        // Twice the deviation of what comes by chance.
        let most_entries = usual.entries * (1.0 + settings.storm_entry_share) + 2.0 * usual.entries.sqrt();
        let is_flat = now.entries as f64 <= most_entries;
        // Of calls that were seen: one trace that stands for a thousand is still one.
        let is_enough = traffic.seen_calls.min(usual.learned_calls) >= settings.storm_calls.max(1);
        let rages = is_multiplied && fails && is_up && is_flat && is_enough;
        rages.then(|| Storm { edge: edge.clone(), traffic: *traffic, entries: now.entries, usual })
    };
    now.edges.iter().filter_map(storm).collect()
}

/// The storms that a trace went through. At stake is what its own failed calls there take of its critical path.
pub(crate) fn findings(trace: &Trace, path: &CriticalPath, history: &dyn History, settings: &Settings) -> Vec<Finding> {
    let Some(now) = history.traffic() else { return Vec::new() };
    let skeleton = &trace.skeleton;
    let mut by_edge: BTreeMap<(&str, &str), Vec<u32>> = BTreeMap::new();
    for span in (0..skeleton.span_count()).filter(|span| skeleton.kind(*span) == Kind::Client) {
        by_edge.entry((skeleton.service(span), skeleton.name(span))).or_default().push(span);
    }
    let mut findings = Vec::new();
    for storm in storms(now, |edge| history.usual_traffic(edge), settings) {
        let Storm { edge, traffic, entries, usual } = storm;
        let Some(spans) = by_edge.get(&(edge.service.as_str(), edge.name.as_str())).cloned() else { continue };
        let failed = spans.iter().filter(|span| skeleton.is_error(**span));
        let at_stake = failed.map(|span| path.nanos_within(*span)).fold(0, u64::saturating_add);
        let error_share = share(traffic.errors, traffic.attempts);
        let text = format!(
            "Retry storm in these minutes: {} makes {:.1} calls of {} for each one it wants (usually {:.1}), {:.0} % fail, and no more requests come in than usual.",
            edge.service,
            traffic.amplification(),
            edge.name,
            usual.amplification,
            error_share * 100.0
        );
        let finding = Finding::new(trace, Rule::RetryStorm, spans, at_stake, Confidence::High, text)
            .ratio("amplification", traffic.amplification())
            .ratio("usual_amplification", usual.amplification)
            .ratio("error_share", error_share)
            .count("attempts", traffic.attempts)
            .ratio("usual_attempts", usual.attempts)
            .count("entries", entries)
            .ratio("usual_entries", usual.entries);
        findings.push(finding);
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
        let usual = UsualTraffic { amplification: 1.1, attempts: 110.0, entries: 100.0, learned_calls: 1_000 };
        let count = |now: &Traffic, usual: UsualTraffic| storms(now, |_| Some(usual), &Settings::default()).len();
        let now = traffic(STORM, 100);
        assert_eq!(count(&now, usual), 1);
        // It is always so; or more comes in; or nothing fails.
        assert_eq!(count(&now, UsualTraffic { amplification: 3.0, ..usual }), 0);
        assert_eq!(count(&now, UsualTraffic { entries: 20.0, ..usual }), 0);
        assert_eq!(count(&now, UsualTraffic { attempts: 390.0, ..usual }), 0);
        assert_eq!(count(&traffic(&STORM.replace("error; ", ""), 100), usual), 0);
        assert!(storms(&now, |_| None, &Settings::default()).is_empty());
        // One trace stands for all of them.
        assert_eq!(count(&traffic(STORM, 1).of_all(100), usual), 0);
        assert_eq!(count(&traffic(STORM, 20).of_all(100), usual), 1);
        // Fewer come in because it rages; a few calls are no storm.
        assert_eq!(count(&now, UsualTraffic { entries: 200.0, ..usual }), 1);
        assert_eq!(count(&now, UsualTraffic { learned_calls: 19, ..usual }), 0);
        assert_eq!(count(&traffic(STORM, 19), UsualTraffic { attempts: 20.0, entries: 19.0, ..usual }), 0);
    }

    #[test]
    fn what_is_usual_is_the_middle() {
        let mut slots = SampledSlots::default();
        let calm = "shop | GET / | server | 0..100 |
                      shop | pay | client | 0..10 |";
        // Each slot had 40 traces, of which ten are known; a fourth one had a storm.
        (0..3).for_each(|_| slots.push(40, traffic(calm, 10)));
        slots.push(60, traffic(STORM, 10));
        slots.push(0, Traffic::default());
        let edge = Edge { service: "shop".to_owned(), name: "pay".to_owned() };
        let usual = slots.usual(&edge, 0.5).expect("it is known");
        assert_eq!(usual, UsualTraffic { amplification: 1.0, attempts: 20.0, entries: 20.0, learned_calls: 40 });
        assert_eq!(slots.usual(&Edge { name: "other".to_owned(), ..edge.clone() }, 1.0), None);
        let all = traffic(STORM, 10).of_all(25);
        assert_eq!((all.entries, all.edges[&edge].attempts, all.edges[&edge].logical_calls), (25, 100, 25));
    }

    #[test]
    fn amplification_multiplies() {
        let now = traffic(STORM, 10);
        let edge = Edge { service: "shop".to_owned(), name: "pay".to_owned() };
        assert_eq!(
            now.edges[&edge],
            EdgeTraffic { attempts: 40, logical_calls: 10, errors: 30, total_nanos: 400_000_000, seen_calls: 10 }
        );
        assert_eq!(now.chain_amplification([&edge, &edge]), 16.0);
        let mut merged = traffic(STORM, 4);
        merged.merge(&traffic(STORM, 6));
        assert_eq!(merged, now);
    }
}
