//! The critical path: the chain of work that decided how long a trace took. Shorten something else and the trace takes
//! as long as before.
//!
//! From a span's end back to its start: the child that ended last before the current moment is what the span waited
//! for; the path goes through that child, and on from the child's start. What lies between is the span's own time.
//! Children that run on their own (messages, work that outlives its parent) are no part of it. The idea is that of CRISP (USENIX
//! ATC 2022) and of critical path tracing (ACM Queue 20(1), 2022).
//!
//! The segments of a path are disjoint, without gaps, and add up to the root's duration. No recursion; n log n in spans.

use crate::trace::{Blocking, Trace};

/// A child that overlaps its successor by at most one in so many of the parent's duration still precedes it.
const OVERLAP_SHARE: u64 = 100;

/// A stretch of the path in which one span did its own work, or waited for something that no span tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The span.
    pub span: u32,
    /// Start in Unix nanoseconds.
    pub start: u64,
    /// End in Unix nanoseconds, after the start.
    pub end: u64,
    /// Whether a child that does not decide was running beside it.
    pub overlapped: bool,
}

impl Segment {
    /// Nanoseconds.
    pub fn duration(&self) -> u64 {
        self.end - self.start
    }
}

/// A span that the path goes through, with the part of it that the path takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// The span.
    pub span: u32,
    /// Where the path enters, in Unix nanoseconds.
    pub start: u64,
    /// Where it leaves.
    pub end: u64,
    /// Nanoseconds on the path in which none of the span's children is on it.
    pub own_nanos: u64,
    /// At most so many nanoseconds would the trace be shorter if this span alone did its own work in no time: then
    /// whatever else runs beside it, or beside what waits for it, decides.
    pub drag_nanos: u64,
}

/// The critical path below one root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CriticalPath {
    /// By time.
    pub segments: Vec<Segment>,
    /// By span.
    pub visits: Vec<Visit>,
}

impl CriticalPath {
    /// The path through `root`'s time.
    pub fn of(trace: &Trace, root: u32) -> Self {
        let mut walk = Walk::new(trace);
        let (start, end) = (trace.skeleton.start(root), trace.skeleton.end(root));
        let mut pending = vec![Pending { span: root, start, end, limit: end - start }];
        let mut path = Self::default();
        while let Some(here) = pending.pop() {
            walk.choose(here.span, here.start, here.end);
            let own_nanos = walk.own_segments(here.span, here.start, here.end, &mut path.segments);
            let drag_nanos = own_nanos.min(here.limit);
            path.visits.push(Visit { span: here.span, start: here.start, end: here.end, own_nanos, drag_nanos });
            for chosen in &walk.chosen {
                let limit = here.limit.min(chosen.end - chosen.next_end.clamp(chosen.start, chosen.end));
                pending.push(Pending { span: chosen.span, start: chosen.start, end: chosen.end, limit });
            }
        }
        path.segments.sort_unstable_by_key(|segment| segment.start);
        path.visits.sort_unstable_by_key(|visit| visit.span);
        path
    }

    /// The path through the root that stands for the trace; empty for a trace without spans or time.
    pub fn of_trace(trace: &Trace) -> Self {
        trace.tree.main_root().map_or_else(Self::default, |root| Self::of(trace, root))
    }

    /// The visit of a span, if the path goes through it.
    pub fn visit(&self, span: u32) -> Option<&Visit> {
        self.visits.binary_search_by_key(&span, |visit| visit.span).ok().map(|at| &self.visits[at])
    }

    /// Nanoseconds of the path inside the span and what is below it.
    pub fn nanos_within(&self, span: u32) -> u64 {
        self.visit(span).map_or(0, |visit| visit.end - visit.start)
    }

    /// Nanoseconds from the path's start to its end: the root's duration.
    pub fn duration(&self) -> u64 {
        self.segments.iter().map(Segment::duration).sum()
    }
}

/// Of each span by how many nanoseconds it could run later without making the root end later: 0 on the path; nothing
/// for spans that `root` does not wait for. n log n in spans.
pub fn slack(trace: &Trace, root: u32) -> Vec<Option<u64>> {
    let mut slack = vec![None; trace.skeleton.span_count() as usize];
    let mut walk = Walk::new(trace);
    let mut pending = vec![(root, trace.skeleton.start(root), trace.skeleton.end(root), 0u64)];
    while let Some((span, start, end, own)) = pending.pop() {
        slack[span as usize] = Some(own);
        walk.choose(span, start, end);
        pending.extend(walk.chosen.iter().map(|chosen| (chosen.span, chosen.start, chosen.end, own)));
        pending.extend(
            walk.passed.iter().map(|(child, room)| (child.span, child.start, child.end, own.saturating_add(*room))),
        );
    }
    slack
}

struct Pending {
    span: u32,
    start: u64,
    end: u64,
    /// How much sooner this part of the path could end before something beside it decides.
    limit: u64,
}

#[derive(Clone, Copy)]
struct Chosen {
    span: u32,
    start: u64,
    end: u64,
    /// When the child that would decide in its place ended; 0 for none.
    next_end: u64,
}

/// Memory that each step uses anew.
struct Walk<'a> {
    trace: &'a Trace,
    by_start: Vec<Blocking>,
    by_end: Vec<Blocking>,
    edges: Vec<u64>,
    /// Latest first.
    chosen: Vec<Chosen>,
    /// Children that do not decide, each with the time by which it could be later.
    passed: Vec<(Blocking, u64)>,
}

impl<'a> Walk<'a> {
    fn new(trace: &'a Trace) -> Self {
        Self {
            trace,
            by_start: Vec::new(),
            by_end: Vec::new(),
            edges: Vec::new(),
            chosen: Vec::new(),
            passed: Vec::new(),
        }
    }

    /// Chooses the children of `span` that the path goes through between `start` and `end`.
    fn choose(&mut self, span: u32, start: u64, end: u64) {
        let clamp = |child: Blocking| Blocking { start: child.start.max(start), end: child.end.min(end), ..child };
        self.by_start.clear();
        let children = self.trace.blocking_children(span).map(clamp).filter(|child| child.start < child.end);
        self.by_start.extend(children);
        self.by_end.clone_from(&self.by_start);
        // Of children that end together the longest decides.
        self.by_end.sort_unstable_by(|a, b| b.end.cmp(&a.end).then(a.start.cmp(&b.start)).then(a.span.cmp(&b.span)));
        self.edges.clear();
        self.edges.extend(self.by_start.iter().flat_map(|child| [child.start, child.end]));
        self.edges.sort_unstable();
        self.chosen.clear();
        self.passed.clear();
        let tolerance = self.trace.skeleton.duration(span) / OVERLAP_SHARE;
        let mut until = end;
        for (at, child) in self.by_end.iter().enumerate() {
            let child_end = if child.end <= until {
                child.end
            } else if child.start < until && child.end - until <= tolerance && self.nothing_between(until, child.end) {
                until
            } else {
                let room = self.chosen.last().map_or(0, |last| last.end.saturating_sub(child.end));
                self.passed.push((*child, room));
                continue;
            };
            let next_end = self.by_end.get(at + 1).map_or(0, |next| next.end);
            self.chosen.push(Chosen { span: child.span, start: child.start, end: child_end, next_end });
            until = child.start;
        }
    }

    /// Whether no child starts or ends strictly between two moments.
    fn nothing_between(&self, from: u64, to: u64) -> bool {
        let first = self.edges.partition_point(|edge| *edge <= from);
        self.edges.get(first).is_none_or(|edge| *edge >= to)
    }

    /// Adds what the chosen children leave of the span, split by whether other children run, and says how much it is.
    fn own_segments(&self, span: u32, start: u64, end: u64, segments: &mut Vec<Segment>) -> u64 {
        let mut own_nanos = 0;
        let mut children = self.by_start.iter().peekable();
        // Until when some child runs that started before `at`.
        let mut running_until = start;
        let mut at = start;
        let gaps = self.chosen.iter().rev().map(|chosen| (chosen.start, chosen.end)).chain([(end, end)]);
        for (gap_end, resume) in gaps {
            own_nanos += gap_end.saturating_sub(at);
            while at < gap_end {
                while let Some(child) = children.next_if(|child| child.start <= at) {
                    running_until = running_until.max(child.end);
                }
                let overlapped = running_until > at;
                let next_start = children.peek().map_or(gap_end, |child| child.start);
                let to = if overlapped { running_until } else { next_start }.min(gap_end);
                match segments.last_mut() {
                    Some(last) if last.span == span && last.end == at && last.overlapped == overlapped => last.end = to,
                    _ => segments.push(Segment { span, start: at, end: to, overlapped }),
                }
                at = to;
            }
            at = at.max(resume);
        }
        own_nanos
    }
}

#[cfg(test)]
mod tests;
