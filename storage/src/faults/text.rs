//! Fault plans as text, for `storage.faults` and for tests: rules apart by semicolons, words apart by spaces.
//!
//! `seed=7; put,delete in=/manifest/ 5% after; list from=10s for=60s every=5m slowdown; get_range #3-4 flip; * latency=20ms~2s`

use std::str::FromStr;
use std::time::Duration;

use spanlake_model::HumanDuration;

use super::fault::Fault;
use super::rule::{Chance, Rule, Window};
use crate::error::{Kind, Operation};

/// The faults of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Where all chance comes from.
    pub seed: u64,
    /// What fails, when.
    pub rules: Vec<Rule>,
}

/// Why a text is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A word is none of the known ones, or its value does not fit.
    #[error("{word:?} in the rule {rule:?} is not understood: {expected}")]
    Word {
        /// The word.
        word: String,
        /// The rule it stands in.
        rule: String,
        /// What could stand there.
        expected: &'static str,
    },
    /// A rule names no fault.
    #[error("the rule {rule:?} names no fault: end it with one of {FAULTS}")]
    NoFault {
        /// The rule.
        rule: String,
    },
    /// A storm has no length.
    #[error("the rule {rule:?} begins but does not end: add for=60s")]
    NoLength {
        /// The rule.
        rule: String,
    },
}

const FAULTS: &str = "slowdown, throttled, error, error-after, timeout, timeout-after, late=5s, conflict, short, flip, \
                      stale=5s, denied, expired, full, slow=200ms, latency=20ms~2s";
const WORDS: &str = "write operations (put,get,get_range,list,delete or *), at=PREFIX, in=PART, 5%, #3, #3-7, from=10s, \
                     for=60s, every=5m, or a fault";

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let mut plan = Self::default();
        for rule in text.split(';').map(str::trim).filter(|rule| !rule.is_empty()) {
            match rule.strip_prefix("seed=") {
                Some(seed) => {
                    plan.seed = seed.trim().parse().map_err(|_| PlanError::Word {
                        word: seed.to_owned(),
                        rule: rule.to_owned(),
                        expected: "a seed is a whole number",
                    })?;
                }
                None => plan.rules.push(parse_rule(rule)?),
            }
        }
        Ok(plan)
    }
}

fn parse_rule(text: &str) -> Result<Rule, PlanError> {
    let mut rule = Rule::always(Fault::SlowDown);
    let mut fault = None;
    let (mut from, mut length, mut every) = (None, None, None);
    for word in text.split_whitespace() {
        let wrong = |expected| PlanError::Word { word: word.to_owned(), rule: text.to_owned(), expected };
        let duration = |text: &str| {
            let parsed = text.parse::<HumanDuration>();
            parsed.map(HumanDuration::get).map_err(|_| wrong("write a duration, such as 250ms"))
        };
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match (name, value) {
            ("*", "") => {}
            ("at", prefix) => rule.prefix = prefix.to_owned(),
            ("in", part) => rule.part = part.to_owned(),
            ("from", value) => from = Some(duration(value)?),
            ("for", value) => length = Some(duration(value)?),
            ("every", value) => every = Some(duration(value)?),
            _ => {
                if let Some(chance) = parse_chance(word) {
                    rule.chance = chance.ok_or_else(|| wrong("write a share as 5% or calls as #3 or #3-7"))?;
                } else if let Some(operations) = parse_operations(word) {
                    rule.operations = operations;
                } else {
                    fault = Some(parse_fault(name, value, duration, || wrong(WORDS))?);
                }
            }
        }
    }
    let rule_text = || text.to_owned();
    rule.fault = fault.ok_or_else(|| PlanError::NoFault { rule: rule_text() })?;
    if from.is_some() || length.is_some() || every.is_some() {
        let length = length.ok_or_else(|| PlanError::NoLength { rule: rule_text() })?;
        rule.window = Some(Window { from: from.unwrap_or_default(), length, every: every.unwrap_or_default() });
    }
    Ok(rule)
}

/// `None` if the word is no chance at all, `Some(None)` if it is a wrong one.
fn parse_chance(word: &str) -> Option<Option<Chance>> {
    if let Some(percent) = word.strip_suffix('%') {
        let percent = percent.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
        return Some(percent.map(Chance::Percent));
    }
    let calls = word.strip_prefix('#')?;
    let (first, last) = calls.split_once('-').unwrap_or((calls, calls));
    Some(first.parse().ok().zip(last.parse().ok()).map(|(first, last)| Chance::Calls(first, last)))
}

fn parse_operations(word: &str) -> Option<Vec<Operation>> {
    let operation = |name: &str| Operation::ALL.into_iter().find(|operation| operation.as_str() == name);
    word.split(',').map(operation).collect()
}

fn parse_fault(
    name: &str,
    value: &str,
    duration: impl Fn(&str) -> Result<Duration, PlanError>,
    wrong: impl Fn() -> PlanError,
) -> Result<Fault, PlanError> {
    Ok(match (name, value) {
        ("slowdown", "") => Fault::SlowDown,
        ("throttled", "") => Fault::Before(Kind::Throttled),
        ("error", "") => Fault::Before(Kind::Unavailable),
        ("error-after", "") => Fault::After(Kind::Unavailable),
        ("timeout", "") => Fault::HangBefore,
        ("timeout-after", "") => Fault::HangAfter,
        ("late", value) => Fault::Late(duration(value)?),
        ("conflict", "") => Fault::Collision,
        ("short", "") => Fault::Short,
        ("flip", "") => Fault::Flip,
        ("stale", value) => Fault::Stale(duration(value)?),
        ("denied", "") => Fault::Before(Kind::Denied),
        ("expired", "") => Fault::Expired,
        ("full", "") => Fault::Before(Kind::Full),
        ("slow", value) => Fault::Slow(u64::try_from(duration(value)?.as_millis()).unwrap_or(u64::MAX)),
        ("latency", value) => {
            let (median, tail) = value.split_once('~').unwrap_or((value, value));
            Fault::Latency { median: duration(median)?, tail: duration(tail)? }
        }
        _ => return Err(wrong()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_from_text() {
        let plan: Plan =
            "seed=7; put,delete at=tenants/ in=/manifest/ 2.5% error-after; list from=10s for=60s every=5m slowdown;
            get_range #3-4 flip; * latency=20ms~2s;"
                .parse()
                .expect("a plan");
        let seconds = Duration::from_secs;
        assert_eq!((plan.seed, plan.rules.len()), (7, 4));
        let first = Rule {
            operations: vec![Operation::Put, Operation::Delete],
            prefix: "tenants/".to_owned(),
            part: "/manifest/".to_owned(),
            chance: Chance::Percent(2.5),
            ..Rule::always(Fault::After(Kind::Unavailable))
        };
        assert_eq!(plan.rules[0], first);
        let window = Window { from: seconds(10), length: seconds(60), every: seconds(300) };
        assert_eq!(plan.rules[1].window, Some(window));
        assert_eq!((plan.rules[2].chance, plan.rules[2].fault), (Chance::Calls(3, 4), Fault::Flip));
        assert_eq!(plan.rules[3], Rule::always(Fault::Latency { median: Duration::from_millis(20), tail: seconds(2) }));
        assert_eq!("".parse(), Ok(Plan::default()));
    }

    #[test]
    fn every_fault_named_in_the_message_is_understood() {
        for fault in FAULTS.split(", ") {
            fault.parse::<Plan>().unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn mistakes_are_explained() {
        let check = |text: &str, part: &str| {
            let error = text.parse::<Plan>().expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        };
        check("put 5%", "names no fault");
        check("put 500% flip", "5%");
        check("putt flip", "\"putt\"");
        check("put flop", "\"flop\"");
        check("put late=5", "duration");
        check("put from=5s slowdown", "for=60s");
        check("seed=x", "whole number");
    }
}
