//! What a rule says: which rule, which spans, the numbers, what is at stake, how sure it is, and one sentence.
//!
//! Ids of rules and names of evidence are stable: links, alerts and scripts hold on to them.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::trace::Trace;

/// Most spans that one finding names; the count in its evidence is of all.
pub const MAX_FINDING_SPANS: usize = 1_000;

/// The rules, in the order in which their findings come where nothing else decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Which span made the request fail.
    ErrorCulprit,
    /// Spans name a parent that is not there.
    MissingParent,
    /// Spans are each other's ancestors.
    ParentCycle,
    /// Different spans have one id and one kind.
    DuplicateSpanId,
    /// A span ends before it starts, starts in 1970, or takes no time where it must.
    ImpossibleTime,
    /// A call whose answering side usually has a span has none here.
    CalleeNotTraced,
    /// A stretch of the critical path of which no span tells.
    UninstrumentedGap,
    /// The clocks of two hosts disagree by a known amount.
    ClockSkew,
    /// The clocks of two hosts disagree, but not by one amount.
    ClockInconsistent,
    /// Calls to different targets one after the other that could run together.
    SequentialCalls,
    /// One query for each row of another.
    NPlusOne,
    /// The same query with the same values again and again.
    DuplicateCalls,
    /// Many calls to one route at once.
    FanOut,
    /// A call was tried again and again.
    Retries,
    /// A call failed, was tried again and then went well: no error, but latency.
    MaskedFailure,
    /// Retries multiply the calls between two services.
    RetryStorm,
    /// A span is much slower than its operation usually is.
    SlowOperation,
    /// An operation was called much more often than it usually is.
    MoreCallsThanUsual,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 18] = [
        Self::ErrorCulprit,
        Self::MissingParent,
        Self::ParentCycle,
        Self::DuplicateSpanId,
        Self::ImpossibleTime,
        Self::CalleeNotTraced,
        Self::UninstrumentedGap,
        Self::ClockSkew,
        Self::ClockInconsistent,
        Self::SequentialCalls,
        Self::NPlusOne,
        Self::DuplicateCalls,
        Self::FanOut,
        Self::Retries,
        Self::MaskedFailure,
        Self::RetryStorm,
        Self::SlowOperation,
        Self::MoreCallsThanUsual,
    ];

    /// The rule's stable id, also the name of its page in `docs/findings`.
    pub fn id(self) -> &'static str {
        match self {
            Self::ErrorCulprit => "error-culprit",
            Self::MissingParent => "missing-parent",
            Self::ParentCycle => "parent-cycle",
            Self::DuplicateSpanId => "duplicate-span-id",
            Self::ImpossibleTime => "impossible-time",
            Self::CalleeNotTraced => "callee-not-traced",
            Self::UninstrumentedGap => "uninstrumented-gap",
            Self::ClockSkew => "clock-skew",
            Self::ClockInconsistent => "clock-inconsistent",
            Self::SequentialCalls => "sequential-calls",
            Self::NPlusOne => "n-plus-one",
            Self::DuplicateCalls => "duplicate-calls",
            Self::FanOut => "fan-out",
            Self::Retries => "retries",
            Self::MaskedFailure => "masked-failure",
            Self::RetryStorm => "retry-storm",
            Self::SlowOperation => "slow-operation",
            Self::MoreCallsThanUsual => "more-calls-than-usual",
        }
    }
}

impl Rule {
    /// What the rule found, in few words for a person: the heading above its sentence.
    pub fn title(self) -> &'static str {
        match self {
            Self::ErrorCulprit => "Where it failed",
            Self::MissingParent => "Missing parent spans",
            Self::ParentCycle => "Spans that are each other's ancestors",
            Self::DuplicateSpanId => "Span ids that repeat",
            Self::ImpossibleTime => "Impossible times",
            Self::CalleeNotTraced => "Calls whose other side has no span",
            Self::UninstrumentedGap => "Time of which no span tells",
            Self::ClockSkew => "Clocks that disagree",
            Self::ClockInconsistent => "Clocks that disagree by no one amount",
            Self::SequentialCalls => "Calls in sequence that could run together",
            Self::NPlusOne => "One query for each row (N+1)",
            Self::DuplicateCalls => "The same query again and again",
            Self::FanOut => "Many calls at once",
            Self::Retries => "Tried again and again",
            Self::MaskedFailure => "A failure that a retry hid",
            Self::RetryStorm => "Retries that multiply calls",
            Self::SlowOperation => "Slower than usual",
            Self::MoreCallsThanUsual => "More calls than usual",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// One trace cannot prove it: worth a look.
    Low,
    /// Likely.
    Medium,
    /// As good as proved by what the spans say.
    High,
}

impl Confidence {
    /// Thirds: 1, 2 or 3.
    fn weight(self) -> u64 {
        self as u64 + 1
    }
}

/// One number, or word, of a finding's evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "unit", content = "value")]
pub enum Quantity {
    /// A count.
    Count(u64),
    /// A duration in nanoseconds, which may be negative.
    Nanos(i64),
    /// A ratio or share.
    Ratio(f64),
    /// A word or text.
    Text(String),
}

/// One named piece of evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    /// Its stable name.
    pub name: &'static str,
    /// Its value.
    #[serde(flatten)]
    pub quantity: Quantity,
}

/// What a rule found. A link to it is made of the trace's id, the rule's id and the first span.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Which rule.
    pub rule: Rule,
    /// The spans concerned, in span order, at most [`MAX_FINDING_SPANS`]; empty where it is about many traces.
    pub spans: Vec<u32>,
    /// The numbers behind the sentence.
    pub evidence: Vec<Evidence>,
    /// Nanoseconds that acting on it can save, or that it leaves unexplained; at most the root's duration for one trace.
    pub at_stake_nanos: u64,
    /// The same as a share of the root's duration, 0 to 1.
    pub share_of_root: f64,
    /// How sure it is.
    pub confidence: Confidence,
    /// One sentence for a person.
    pub text: String,
}

impl Finding {
    /// A finding in `trace` without evidence yet. The stake is cut to the root's duration.
    pub(crate) fn new(
        trace: &Trace,
        rule: Rule,
        mut spans: Vec<u32>,
        at_stake_nanos: u64,
        confidence: Confidence,
        text: String,
    ) -> Self {
        let whole = trace.root().map_or(0, |(_, nanos)| nanos);
        let at_stake_nanos = at_stake_nanos.min(whole);
        spans.sort_unstable();
        spans.dedup();
        spans.truncate(MAX_FINDING_SPANS);
        let share_of_root = share(at_stake_nanos, whole);
        Self { rule, spans, evidence: Vec::new(), at_stake_nanos, share_of_root, confidence, text }
    }

    pub(crate) fn count(mut self, name: &'static str, count: u64) -> Self {
        self.evidence.push(Evidence { name, quantity: Quantity::Count(count) });
        self
    }

    pub(crate) fn nanos(mut self, name: &'static str, nanos: u64) -> Self {
        let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
        self.evidence.push(Evidence { name, quantity: Quantity::Nanos(nanos) });
        self
    }

    pub(crate) fn offset(mut self, name: &'static str, nanos: i64) -> Self {
        self.evidence.push(Evidence { name, quantity: Quantity::Nanos(nanos) });
        self
    }

    pub(crate) fn ratio(mut self, name: &'static str, ratio: f64) -> Self {
        self.evidence.push(Evidence { name, quantity: Quantity::Ratio(ratio) });
        self
    }

    pub(crate) fn word(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.evidence.push(Evidence { name, quantity: Quantity::Text(text.into()) });
        self
    }

    /// What the finding is ranked by: time at stake, weighed by confidence.
    pub fn weight(&self) -> u128 {
        u128::from(self.at_stake_nanos) * u128::from(self.confidence.weight())
    }

    /// The evidence of that name.
    pub fn evidence(&self, name: &str) -> Option<&Quantity> {
        self.evidence.iter().find(|one| one.name == name).map(|one| &one.quantity)
    }
}

/// Puts the weightiest first; ties by rule, then by spans and text.
pub fn rank(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        let ties = || a.rule.cmp(&b.rule).then_with(|| a.spans.cmp(&b.spans)).then_with(|| a.text.cmp(&b.text));
        b.weight().cmp(&a.weight()).then_with(ties)
    });
}

/// A part of a whole, 0 for a part of nothing.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A duration as people write it: three digits, `1.84 s`, `409 ms`, `12.4 µs`.
pub fn readable_nanos(nanos: u64) -> String {
    const UNITS: [(f64, &str); 6] = [(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s"), (6e10, "min"), (3.6e12, "h")];
    let value = nanos as f64;
    // Rounding up must not print 1000 of one unit where 1 of the next is meant.
    let (unit, name) = UNITS.iter().rev().find(|(unit, _)| value >= unit * 0.9995).copied().unwrap_or(UNITS[0]);
    let number = value / unit;
    let decimals = match number {
        _ if unit == 1.0 => 0,
        number if number >= 99.95 => 0,
        number if number >= 9.995 => 1,
        _ => 2,
    };
    let mut text = format!("{number:.decimals$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    format!("{text} {name}")
}

/// A share as people write it: `41 %`, `0.4 %`.
pub fn readable_share(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 0.95 || percent == 0.0 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn durations_for_people() {
        let check = |nanos, expect: &str| assert_eq!(readable_nanos(nanos), expect);
        check(0, "0 ns");
        check(999, "999 ns");
        check(12_400, "12.4 µs");
        check(409_000_000, "409 ms");
        check(999_999_999, "1 s");
        check(1_840_000_000, "1.84 s");
        check(90_000_000_000, "1.5 min");
        check(u64::MAX, "5124096 h");
        assert_eq!((readable_share(0.412), readable_share(0.004)), ("41 %".to_owned(), "0.4 %".to_owned()));
    }

    #[test]
    fn as_json() {
        let finding = Finding {
            rule: Rule::NPlusOne,
            spans: vec![3, 4],
            evidence: vec![
                Evidence { name: "calls", quantity: Quantity::Count(37) },
                Evidence { name: "total", quantity: Quantity::Nanos(409_000_000) },
                Evidence { name: "text", quantity: Quantity::Text("SELECT ?".to_owned()) },
            ],
            at_stake_nanos: 390_000_000,
            share_of_root: 0.25,
            confidence: Confidence::High,
            text: "Ask once.".to_owned(),
        };
        let expect = concat!(
            r#"{"rule":"n-plus-one","spans":[3,4],"evidence":[{"name":"calls","unit":"count","value":37},"#,
            r#"{"name":"total","unit":"nanos","value":409000000},{"name":"text","unit":"text","value":"SELECT ?"}],"#,
            r#""at_stake_nanos":390000000,"share_of_root":0.25,"confidence":"high","text":"Ask once."}"#
        );
        assert_eq!(serde_json::to_string(&finding).expect("it has no keys that are not texts"), expect);
    }

    #[test]
    fn every_rule_has_its_id_and_its_page() {
        let ids: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        assert_eq!(ids.len(), Rule::ALL.len());
        let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/findings");
        let index = fs::read_to_string(pages.join("README.md")).expect("the index of findings");
        for id in ids {
            let page = fs::read_to_string(pages.join(format!("{id}.md"))).unwrap_or_default();
            for part in ["## Definition", "## Threshold", "## False positives", "## What to do"] {
                assert!(page.contains(part), "docs/findings/{id}.md lacks {part}");
            }
            assert!(index.contains(&format!("({id}.md)")), "docs/findings/README.md does not link to {id}.md");
        }
    }
}
