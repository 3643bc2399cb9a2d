//! A history learned from traces: what is usual, from those that were seen. Bounded, and the same for the same traces in
//! the same order.

use std::collections::{BTreeMap, BTreeSet};

use crate::baseline::Baseline;
use crate::history::{EdgeCalls, History, SiblingOrder, UsualCalls};
use crate::profile::PathProfile;
use crate::self_time::self_times;
use crate::skeleton::Kind;
use crate::trace::Trace;
use crate::tree::NONE;

/// Siblings of one parent of which the order is learned; of more only the first so many operations.
const MAX_SIBLING_OPERATIONS: usize = 16;
/// Pairs of siblings, and operations, that are learned; later ones are not.
const MAX_LEARNED: usize = 100_000;
/// A call within so many nanoseconds of another's end follows it without a pause.
const CLOSE_NANOS: u64 = 1_000_000;

type Name = (String, String);

/// What was seen in some traces.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    profile: PathProfile,
    edges: BTreeMap<Name, EdgeCalls>,
    /// Of each server operation how often which service called it.
    callers: BTreeMap<Name, BTreeMap<String, u64>>,
    baselines: BTreeMap<(String, String, Kind), Baseline>,
    /// By the call paths of the two.
    orders: BTreeMap<(u32, u32), SiblingOrder>,
}

impl Observed {
    /// Learns from a trace.
    pub fn add(&mut self, trace: &Trace) {
        let numbers = self.profile.add_numbered(trace);
        self.add_edges(trace);
        self.add_baselines(trace);
        self.add_orders(trace, &numbers);
    }

    /// The call paths seen.
    pub fn profile(&self) -> &PathProfile {
        &self.profile
    }

    /// Operations of which durations and self times were seen.
    pub fn baselines(&self) -> impl Iterator<Item = (&str, &str, Kind, &Baseline)> {
        self.baselines
            .iter()
            .map(|((service, name, kind), baseline)| (service.as_str(), name.as_str(), *kind, baseline))
    }

    /// The memory that it takes, about, with all its texts: for a bound on one and on many of them. Linear in what was learned.
    pub fn memory_bytes(&self) -> usize {
        const ENTRY: usize = 96;
        const PAIR: usize = 64;
        let named = |(service, name): &Name| service.len() + name.len() + ENTRY;
        let edges: usize = self.edges.keys().map(named).sum();
        let of_callers = |callers: &BTreeMap<String, u64>| callers.keys().map(|text| text.len() + ENTRY).sum::<usize>();
        let callers: usize = self.callers.iter().map(|(callee, callers)| named(callee) + of_callers(callers)).sum();
        let of_operation = |((service, name, _), baseline): (&(String, String, Kind), &Baseline)| {
            service.len() + name.len() + ENTRY + baseline.memory_bytes()
        };
        let baselines: usize = self.baselines.iter().map(of_operation).sum();
        self.profile.memory_bytes() + edges + callers + baselines + PAIR * self.orders.len()
    }

    /// The memory that the texts of a trace may take when it is learned: each operation's names are kept in several places. Linear in
    /// spans.
    pub fn most_text_bytes(trace: &Trace) -> usize {
        const COPIES: usize = 5;
        let skeleton = &trace.skeleton;
        let operations: BTreeSet<(u32, u32)> =
            (0..skeleton.span_count()).map(|span| (skeleton.service_code(span), skeleton.name_code(span))).collect();
        let strings = skeleton.strings();
        let bytes = |(service, name): (u32, u32)| strings[service as usize].len() + strings[name as usize].len();
        operations.into_iter().map(bytes).fold(0, usize::saturating_add).saturating_mul(COPIES)
    }

    fn add_edges(&mut self, trace: &Trace) {
        let skeleton = &trace.skeleton;
        let name = |span: u32| (skeleton.service(span).to_owned(), skeleton.name(span).to_owned());
        for span in 0..skeleton.span_count() {
            match skeleton.kind(span) {
                Kind::Client => {
                    let is_server = |child: &u32| skeleton.kind(*child) == Kind::Server;
                    let answered = trace.tree.children(span).iter().any(is_server);
                    if let Some(edge) = learn(&mut self.edges, name(span)) {
                        edge.calls += 1;
                        edge.answered += u64::from(answered);
                    }
                }
                Kind::Server | Kind::Consumer => {
                    let Some(parent) = trace.tree.parent(span) else { continue };
                    if let Some(callers) = learn(&mut self.callers, name(span)) {
                        *callers.entry(skeleton.service(parent).to_owned()).or_default() += 1;
                    }
                }
                _ => {}
            }
        }
    }

    fn add_baselines(&mut self, trace: &Trace) {
        let skeleton = &trace.skeleton;
        for (span, self_nanos) in (0..skeleton.span_count()).zip(self_times(trace)) {
            let key = (skeleton.service(span).to_owned(), skeleton.name(span).to_owned(), skeleton.kind(span));
            if let Some(baseline) = learn(&mut self.baselines, key) {
                baseline.record(skeleton.duration(span), self_nanos);
            }
        }
    }

    fn add_orders(&mut self, trace: &Trace, numbers: &[u32]) {
        let skeleton = &trace.skeleton;
        let mut seen: BTreeSet<(u32, u32)> = BTreeSet::new();
        for parent in 0..skeleton.span_count() {
            if trace.tree.children(parent).len() < 2 {
                continue;
            }
            // First start and last end of each operation among the children.
            let mut times: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
            for child in trace.tree.children(parent) {
                let number = numbers[*child as usize];
                let (start, end) = (skeleton.start(*child), skeleton.end(*child));
                if number == NONE || times.len() >= MAX_SIBLING_OPERATIONS && !times.contains_key(&number) {
                    continue;
                }
                let of = times.entry(number).or_insert((start, end));
                *of = (of.0.min(start), of.1.max(end));
            }
            for (first, (_, first_end)) in &times {
                for (second, (second_start, _)) in times.iter().filter(|(second, _)| *second != first) {
                    if !seen.insert((*first, *second)) {
                        continue;
                    }
                    let Some(order) = learn(&mut self.orders, (*first, *second)) else { continue };
                    order.traces += 1;
                    order.refuted += u64::from(second_start < first_end);
                    order.close +=
                        u64::from((*first_end..=first_end.saturating_add(CLOSE_NANOS)).contains(second_start));
                }
            }
        }
    }
}

fn learn<K: Ord, V: Default>(known: &mut BTreeMap<K, V>, key: K) -> Option<&mut V> {
    if known.len() >= MAX_LEARNED && !known.contains_key(&key) {
        return None;
    }
    Some(known.entry(key).or_default())
}

impl History for Observed {
    fn edge(&self, service: &str, name: &str) -> Option<EdgeCalls> {
        self.edges.get(&(service.to_owned(), name.to_owned())).copied()
    }

    fn usual_caller(&self, service: &str, name: &str) -> Option<String> {
        let callers = self.callers.get(&(service.to_owned(), name.to_owned()))?;
        let most = callers.iter().max_by(|a, b| a.1.cmp(b.1).then_with(|| b.0.cmp(a.0)));
        most.map(|(service, _)| service.clone())
    }

    fn order(&self, trace: &Trace, first: u32, second: u32) -> Option<SiblingOrder> {
        let paths = self.profile.paths();
        self.orders.get(&(paths.find(trace, first)?, paths.find(trace, second)?)).copied()
    }

    fn baseline(&self, service: &str, name: &str, kind: Kind) -> Option<&Baseline> {
        self.baselines.get(&(service.to_owned(), name.to_owned(), kind))
    }

    fn usual_calls(&self, trace: &Trace, span: u32) -> Option<UsualCalls> {
        self.usual_calls_of(trace, &[span]).into_iter().next().flatten()
    }

    fn usual_calls_of(&self, trace: &Trace, spans: &[u32]) -> Vec<Option<UsualCalls>> {
        let unknown = vec![None; spans.len()];
        let Some((root, _)) = trace.root() else { return unknown };
        let numbers = self.profile.paths().find_all(trace);
        // Of another entry point nothing is known, and nothing below a parent that is not there.
        if numbers[root as usize] == NONE || trace.tree.parent(root).is_some() {
            return unknown;
        }
        let traces = self.profile.trace_count();
        let usual = |span: u32| {
            let counts = self.profile.counts(numbers[span as usize]);
            let quantile = |share| counts.map_or(0, |counts| counts.calls.quantile_with_zeros(share, traces));
            let path_nanos = counts.map_or(0, |counts| counts.path.quantile_with_zeros(0.5, traces));
            UsualCalls { traces, median: quantile(0.5), p95: quantile(0.95), path_nanos }
        };
        spans.iter().map(|span| trace.tree.is_within(*span, root).then(|| usual(*span))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::NoAttributes;
    use crate::history::Completeness;
    use crate::settings::Settings;
    use crate::{Rule, diagnose, notation};

    fn rules(trace: &Trace, observed: &Observed) -> Vec<(Rule, crate::Confidence)> {
        let found = diagnose(trace, &NoAttributes, observed, &Completeness::default(), &Settings::default());
        found.findings.iter().map(|finding| (finding.rule, finding.confidence)).collect()
    }

    #[test]
    fn what_was_seen_decides() {
        use crate::Confidence::*;
        let usual = "shop | GET / | server | 0..60 |
                       shop | call pay | client | 0..30 |
                         pay | serve | server | 1..29 |
                       shop | call stock | client | 20..59 |";
        let slow = "shop | GET / | server | 0..600 |
                       shop | call pay | client | 0..300 |
                       shop | call stock | client | 300..599 |";
        let mut observed = Observed::default();
        (0..300).for_each(|_| observed.add(&notation::trace(usual)));
        let slow = notation::trace(slow);
        let told = rules(&slow, &observed);
        assert_eq!(
            told,
            [
                (Rule::CalleeNotTraced, High),
                (Rule::SequentialCalls, High),
                (Rule::SlowOperation, High),
                (Rule::SlowOperation, High),
            ]
        );
        assert!(rules(&notation::trace(usual), &observed).is_empty());
        // A dependency that always held is none that could be broken.
        let mut observed = Observed::default();
        (0..300).for_each(|_| observed.add(&slow));
        assert!(rules(&slow, &observed).is_empty());
        assert_eq!(rules(&slow, &Observed::default()), [(Rule::SequentialCalls, Low)]);
    }

    #[test]
    fn usual_callers_and_calls() {
        let mut observed = Observed::default();
        let from = |service: &str| {
            notation::trace(&format!("{service} | call | client | 0..9 |\n  pay | serve | server | 1..8 |"))
        };
        ["edge", "shop", "shop"].iter().for_each(|service| observed.add(&from(service)));
        assert_eq!(observed.usual_caller("pay", "serve").as_deref(), Some("shop"));
        let usual = observed.usual_calls(&from("shop"), 1).expect("three traces");
        assert_eq!((usual.traces, usual.median), (3, 1));
        assert_eq!(observed.usual_calls(&from("edge"), 1).expect("three traces").median, 0);
    }

    #[test]
    fn texts_weigh_what_they_take() {
        let long = "n".repeat(256 << 10);
        let trace = notation::trace(&format!("shop | {long} | server | 0..9 |\n  pay | serve | client | 1..8 |"));
        let mut observed = Observed::default();
        observed.add(&trace);
        let bytes = observed.memory_bytes();
        assert!(bytes >= 3 * long.len(), "{bytes}");
        assert!((bytes - (8 << 10)..6 * long.len()).contains(&Observed::most_text_bytes(&trace)), "{bytes}");
    }

    #[test]
    fn a_deep_trace_is_looked_up_in_one_pass() {
        let mut builder = crate::SkeletonBuilder::with_capacity(spanlake_model::TraceId([1; 16]), 50_000);
        for span in 1..=50_000_u64 {
            builder.push(crate::SpanRow {
                span_id: spanlake_model::SpanId(span.to_be_bytes()),
                parent_span_id: (span > 1).then(|| spanlake_model::SpanId((span - 1).to_be_bytes())),
                start_unix_nanos: span,
                end_unix_nanos: 1_000_000 - span,
                service: "shop",
                name: "again",
                ..crate::SpanRow::default()
            });
        }
        let trace = Trace::new(builder.finish());
        let mut observed = Observed::default();
        observed.add(&trace);
        let spans: Vec<u32> = (0..trace.skeleton.span_count()).collect();
        let known = observed.usual_calls_of(&trace, &spans);
        assert!(known.iter().all(|usual| usual.is_some_and(|usual| usual.median == 1)));
        assert_eq!(known[40_000], observed.usual_calls(&trace, 40_000));
    }
}
