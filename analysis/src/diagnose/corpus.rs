//! The traces of `analysis/corpus`: each says in its comments which findings it must give, and no others.
//!
//! ```text
//! # expect: n-plus-one high 390 ms        rule, confidence, time at stake (three digits)
//! # expect: nothing
//! # text: one call for all of them        part of some sentence
//! # truncated | stored 5 ms ago           what the caller knows
//! # edge: shop pay = 95/100               answered / calls of that edge
//! # caller: shop POST /pay = edge
//! # order: first / second = 40 traces, 3 refuted, 40 close
//! # baseline: shop GET / = 100 ms         around which 1,000 durations lie, 10 % to both sides
//! # calls: pg SELECT = 2                  as usual in 1,000 traces
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;
use crate::baseline::Baseline;
use crate::finding::readable_nanos;
use crate::history::{EdgeCalls, SiblingOrder, UsualCalls};
use crate::notation;
use crate::skeleton::Kind;

/// What the comments of a trace say was observed, by label (service and name).
#[derive(Default)]
struct Observed {
    edges: BTreeMap<String, EdgeCalls>,
    callers: BTreeMap<String, String>,
    orders: BTreeMap<(String, String), SiblingOrder>,
    baselines: BTreeMap<String, Baseline>,
    calls: BTreeMap<String, u64>,
}

impl History for Observed {
    fn edge(&self, service: &str, name: &str) -> Option<EdgeCalls> {
        self.edges.get(&format!("{service} {name}")).copied()
    }

    fn usual_caller(&self, service: &str, name: &str) -> Option<String> {
        self.callers.get(&format!("{service} {name}")).cloned()
    }

    fn order(&self, trace: &Trace, first: u32, second: u32) -> Option<SiblingOrder> {
        self.orders.get(&(trace.skeleton.label(first), trace.skeleton.label(second))).copied()
    }

    fn baseline(&self, service: &str, name: &str, _kind: Kind) -> Option<&Baseline> {
        self.baselines.get(&format!("{service} {name}"))
    }

    fn usual_calls(&self, trace: &Trace, span: u32) -> Option<UsualCalls> {
        let median = *self.calls.get(&trace.skeleton.label(span))?;
        Some(UsualCalls { traces: 1_000, median, p95: median, path_nanos: 0 })
    }
}

fn number(text: &str) -> u64 {
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

/// Durations around a number of milliseconds.
fn around(millis: u64) -> Baseline {
    let mut baseline = Baseline::default();
    for at in 0..1_000 {
        let nanos = millis * (900_000 + at * 200);
        baseline.record(nanos, nanos / 2);
    }
    baseline
}

fn check(name: &str, text: &str) {
    let mut observed = Observed::default();
    let mut completeness = Completeness::default();
    let (mut expect, mut parts) = (Vec::new(), Vec::new());
    for line in text.lines().filter_map(|line| line.strip_prefix("# ")) {
        let Some((what, rest)) = line.split_once(": ") else {
            completeness.truncated |= line == "truncated";
            if let Some(rest) = line.strip_prefix("stored ") {
                completeness.since_newest_ingest_nanos = Some(number(rest) * 1_000_000);
            }
            continue;
        };
        let (key, value) = rest.split_once(" = ").unwrap_or((rest, ""));
        match what {
            "expect" if rest == "nothing" => {}
            "expect" => expect.push(rest.trim().to_owned()),
            "text" => parts.push(rest),
            "edge" => {
                let (answered, calls) = value.split_once('/').expect("answered/calls");
                observed.edges.insert(key.to_owned(), EdgeCalls { calls: number(calls), answered: number(answered) });
            }
            "caller" => drop(observed.callers.insert(key.to_owned(), value.to_owned())),
            "order" => {
                let (first, second) = key.split_once(" / ").expect("two operations");
                let numbers: Vec<u64> = value.split(", ").map(number).collect();
                let [traces, refuted, close] = numbers[..] else { panic!("three numbers: {line}") };
                observed.orders.insert((first.to_owned(), second.to_owned()), SiblingOrder { traces, refuted, close });
            }
            "baseline" => drop(observed.baselines.insert(key.to_owned(), around(number(value)))),
            "calls" => drop(observed.calls.insert(key.to_owned(), number(value))),
            _ => {}
        }
    }
    let (trace, attributes) = notation::read(text);
    let diagnosis = diagnose(&trace, &attributes, &observed, &completeness, &Settings::default());
    let confidence = |finding: &Finding| format!("{:?}", finding.confidence).to_lowercase();
    let found: Vec<String> = diagnosis
        .findings
        .iter()
        .map(|finding| format!("{} {} {}", finding.rule, confidence(finding), readable_nanos(finding.at_stake_nanos)))
        .collect();
    let texts: Vec<&str> = diagnosis.findings.iter().map(|finding| finding.text.as_str()).collect();
    assert_eq!(found, expect, "{name}\n{}", texts.join("\n"));
    for part in parts {
        assert!(texts.iter().any(|text| text.contains(part)), "{name} does not say {part:?}\n{}", texts.join("\n"));
    }
    assert!(text.contains("# expect: "), "{name} expects nothing, not even nothing");
}

#[test]
fn every_trace_of_the_corpus() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut paths: Vec<_> =
        fs::read_dir(directory).expect("the corpus").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(paths.len() >= 40, "only {} traces", paths.len());
    let mut failures = Vec::new();
    for path in paths {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a text");
        if let Err(panic) = std::panic::catch_unwind(|| check(&name, &text)) {
            let message = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| format!("{name}: panicked"));
            failures.push(message);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
