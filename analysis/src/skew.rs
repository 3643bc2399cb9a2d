//! Clocks of hosts that disagree: bounds of the offset from the calls between them, and a correction that can be taken
//! back. Stored data stays as it is.
//!
//! A server span lies inside the client span that waits for it. If the server's clock is ahead by θ, then
//! `server end - client end <= θ <= server start - client start`. All calls between two hosts together leave an interval for θ
//! (as in NTP, RFC 5905). If it holds 0, nothing is wrong; if it is empty, the calls are asynchronous or a clock drifts;
//! else the end nearest 0 is the smallest change that restores order.

use std::collections::{BTreeMap, VecDeque};

use crate::finding::{Confidence, Finding, Rule, readable_nanos};
use crate::skeleton::{Kind, Skeleton, Status};
use crate::trace::Trace;

/// What the calls between two hosts say of their clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The clocks may agree.
    Settled,
    /// The second host's clock is ahead by so many nanoseconds, or behind if negative.
    Offset(i64),
    /// No one offset explains all calls.
    Inconsistent,
}

/// Two hosts that call each other, as codes of the skeleton's texts; a service stands for a host that is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPair {
    /// The host with the smaller code.
    pub first: u32,
    /// The other.
    pub second: u32,
    /// Calls between them.
    pub calls: Vec<u32>,
    /// The second host's clock is ahead by at least this many nanoseconds.
    pub lower_nanos: i64,
    /// And by at most this many.
    pub upper_nanos: i64,
    /// What follows.
    pub verdict: Verdict,
}

/// How far each host's clock is ahead of the root's, in nanoseconds, by code of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SkewCorrection {
    ahead: BTreeMap<u32, i64>,
}

/// The clock that timed the span: its host, else its service; nothing when neither is known.
fn clock(skeleton: &Skeleton, span: u32) -> Option<u32> {
    match (skeleton.host(span), skeleton.service(span)) {
        ("", "") => None,
        ("", _) => Some(skeleton.service_code(span)),
        _ => Some(skeleton.host_code(span)),
    }
}

/// Whether two spans were timed by one clock, or by two that may agree.
pub(crate) fn clocks_agree(skeleton: &Skeleton, pairs: &[HostPair], a: u32, b: u32) -> bool {
    let (Some(a), Some(b)) = (clock(skeleton, a), clock(skeleton, b)) else { return false };
    let key = (a.min(b), a.max(b));
    let pair = pairs.binary_search_by_key(&key, |pair| (pair.first, pair.second)).map(|at| pairs[at].verdict);
    a == b || pair.is_ok_and(|verdict| verdict == Verdict::Settled)
}

/// All pairs of hosts with calls between them, by code. Linear in spans.
pub fn skew(trace: &Trace) -> Vec<HostPair> {
    let skeleton = &trace.skeleton;
    struct Bounds {
        lower: i128,
        upper: i128,
        calls: Vec<u32>,
    }
    let mut pairs: BTreeMap<(u32, u32), Bounds> = BTreeMap::new();
    for server in (0..skeleton.span_count()).filter(|span| skeleton.kind(*span) == Kind::Server) {
        let Some(client) = trace.tree.parent(server) else { continue };
        // A client that failed may have stopped waiting: that call says nothing of the server's end.
        if skeleton.kind(client) != Kind::Client || skeleton.status(client) == Status::Error {
            continue;
        }
        let (Some(from), Some(to)) = (clock(skeleton, client), clock(skeleton, server)) else { continue };
        let times = [skeleton.start(client), skeleton.end(client), skeleton.start(server), skeleton.end(server)];
        if from == to || times.contains(&0) {
            continue;
        }
        let [client_start, client_end, start, end] = times.map(i128::from);
        let (mut lower, mut upper) = (end - client_end, start - client_start);
        if from > to {
            (lower, upper) = (-upper, -lower);
        }
        let bounds = pairs.entry((from.min(to), from.max(to))).or_insert(Bounds { lower, upper, calls: Vec::new() });
        bounds.lower = bounds.lower.max(lower);
        bounds.upper = bounds.upper.min(upper);
        bounds.calls.push(server);
    }
    let pair = |((first, second), bounds): ((u32, u32), Bounds)| {
        let narrow = |nanos: i128| nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        let (lower_nanos, upper_nanos) = (narrow(bounds.lower), narrow(bounds.upper));
        let verdict = match (bounds.lower, bounds.upper) {
            (lower, upper) if lower > upper => Verdict::Inconsistent,
            (lower, upper) if lower <= 0 && upper >= 0 => Verdict::Settled,
            (lower, upper) => {
                let nearest = if lower > 0 { lower } else { upper };
                i64::try_from(nearest).map_or(Verdict::Inconsistent, Verdict::Offset)
            }
        };
        HostPair { first, second, calls: bounds.calls, lower_nanos, upper_nanos, verdict }
    };
    pairs.into_iter().map(pair).collect()
}

impl SkewCorrection {
    /// Follows offsets from the root's host to all others that calls lead to, nearest first. A host that would get times before
    /// 1970 or past what 64 bits hold is left alone.
    pub fn new(trace: &Trace, pairs: &[HostPair]) -> Self {
        let skeleton = &trace.skeleton;
        let Some(origin) = trace.tree.main_root().and_then(|root| clock(skeleton, root)) else {
            return Self::default();
        };
        let mut neighbours: BTreeMap<u32, Vec<(u32, i64)>> = BTreeMap::new();
        for pair in pairs {
            let offset = match pair.verdict {
                Verdict::Settled => 0,
                Verdict::Offset(nanos) => nanos,
                Verdict::Inconsistent => continue,
            };
            neighbours.entry(pair.first).or_default().push((pair.second, offset));
            neighbours.entry(pair.second).or_default().push((pair.first, offset.saturating_neg()));
        }
        let mut ahead = BTreeMap::from([(origin, 0i64)]);
        let mut pending = VecDeque::from([origin]);
        while let Some(host) = pending.pop_front() {
            for (other, offset) in neighbours.get(&host).into_iter().flatten() {
                if !ahead.contains_key(other) {
                    ahead.insert(*other, ahead[&host].saturating_add(*offset));
                    pending.push_back(*other);
                }
            }
        }
        for span in 0..skeleton.span_count() {
            let Some(host) = clock(skeleton, span) else { continue };
            let Some(nanos) = ahead.get(&host).copied() else { continue };
            let fits = |time: u64| {
                time == 0 || i128::from(time) - i128::from(nanos) > 0 && time.checked_sub_signed(nanos).is_some()
            };
            if !fits(skeleton.start(span)) || !fits(skeleton.end_as_sent(span)) {
                ahead.remove(&host);
            }
        }
        ahead.retain(|_, nanos| *nanos != 0);
        Self { ahead }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.ahead.is_empty()
    }

    /// How far each host's clock is ahead of the root's, in nanoseconds, by code of the host's text; hosts that need no
    /// correction are not listed.
    pub fn offsets(&self) -> impl Iterator<Item = (u32, i64)> + '_ {
        self.ahead.iter().map(|(host, nanos)| (*host, *nanos))
    }

    /// How far the clock that timed the span is ahead of the root's, in nanoseconds.
    pub fn ahead_nanos(&self, skeleton: &Skeleton, span: u32) -> i64 {
        clock(skeleton, span).and_then(|host| self.ahead.get(&host).copied()).unwrap_or(0)
    }

    /// The trace as the root's clock would have timed it. Spans may change their numbers; rows stay.
    pub fn apply(&self, skeleton: &Skeleton) -> Skeleton {
        skeleton.shifted(|span| self.ahead_nanos(skeleton, span).wrapping_neg())
    }

    /// The trace as it was before [`SkewCorrection::apply`], exactly.
    pub fn revert(&self, skeleton: &Skeleton) -> Skeleton {
        skeleton.shifted(|span| self.ahead_nanos(skeleton, span))
    }
}

/// Findings about pairs of hosts whose clocks disagree.
pub(crate) fn findings(trace: &Trace, pairs: &[HostPair]) -> Vec<Finding> {
    let strings = trace.skeleton.strings();
    let finding = |pair: &HostPair| {
        let (first, second) = (&strings[pair.first as usize], &strings[pair.second as usize]);
        let uncertain = pair.upper_nanos.saturating_sub(pair.lower_nanos);
        let (rule, nanos, confidence, text) = match pair.verdict {
            Verdict::Settled => return None,
            Verdict::Offset(nanos) => {
                let by = readable_nanos(nanos.unsigned_abs());
                let way = if nanos > 0 { "ahead of" } else { "behind" };
                let text = format!(
                    "The clock of {second} is {by} {way} that of {first}, or up to {} more: spans of one seem to start or end outside of what calls them.",
                    readable_nanos(uncertain.unsigned_abs())
                );
                let confidence = if pair.calls.len() >= 3 { Confidence::High } else { Confidence::Medium };
                (Rule::ClockSkew, nanos.unsigned_abs(), confidence, text)
            }
            Verdict::Inconsistent => {
                let text = format!(
                    "No one offset between the clocks of {first} and {second} explains their calls: some answer after their caller stopped waiting, or a clock drifts."
                );
                (Rule::ClockInconsistent, 0, Confidence::Low, text)
            }
        };
        let offset = if let Verdict::Offset(nanos) = pair.verdict { nanos } else { 0 };
        let finding = Finding::new(trace, rule, pair.calls.clone(), nanos, confidence, text)
            .offset("offset", offset)
            .offset("lower", pair.lower_nanos)
            .offset("upper", pair.upper_nanos)
            .count("calls", pair.calls.len() as u64)
            .word("first_host", first.as_str())
            .word("second_host", second.as_str());
        Some(finding)
    };
    pairs.iter().filter_map(finding).collect()
}
