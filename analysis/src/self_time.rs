//! How long spans worked themselves, while none of the children that they wait for ran; and the table of operations.

use std::collections::BTreeMap;

use crate::critical_path::CriticalPath;
use crate::skeleton::{Kind, Operation};
use crate::skew::{HostPair, clocks_agree};
use crate::trace::{Trace, covered};

/// Of each span its self time in nanoseconds: its duration without the union of the children it waits for, each clamped
/// to it. Linear in spans.
pub fn self_times(trace: &Trace) -> Vec<u64> {
    let of = |span| {
        let waiting = covered(trace.blocking_children(span).map(|child| (child.start, child.end)));
        trace.skeleton.duration(span).saturating_sub(waiting)
    };
    (0..trace.skeleton.span_count()).map(of).collect()
}

/// One line of the table of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationTotals {
    /// The operation, as codes of the trace's skeleton.
    pub operation: Operation,
    /// Its spans.
    pub span_count: u64,
    /// Those that failed.
    pub error_count: u64,
    /// Sum of durations in nanoseconds; parallel spans each count.
    pub total_nanos: u64,
    /// Longest span in nanoseconds.
    pub longest_nanos: u64,
    /// Sum of self times in nanoseconds.
    pub self_nanos: u64,
    /// Time on the critical path in nanoseconds.
    pub path_nanos: u64,
}

/// The table of operations, most self time first, ties by operation.
pub fn operation_totals(trace: &Trace, self_nanos: &[u64], path: &CriticalPath) -> Vec<OperationTotals> {
    let skeleton = &trace.skeleton;
    let mut totals: BTreeMap<Operation, OperationTotals> = BTreeMap::new();
    let line = |operation| OperationTotals {
        operation,
        span_count: 0,
        error_count: 0,
        total_nanos: 0,
        longest_nanos: 0,
        self_nanos: 0,
        path_nanos: 0,
    };
    for span in 0..skeleton.span_count() {
        let operation = skeleton.operation(span);
        let of = totals.entry(operation).or_insert_with(|| line(operation));
        of.span_count += 1;
        of.error_count += u64::from(skeleton.is_error(span));
        of.total_nanos = of.total_nanos.saturating_add(skeleton.duration(span));
        of.longest_nanos = of.longest_nanos.max(skeleton.duration(span));
        of.self_nanos = of.self_nanos.saturating_add(self_nanos.get(span as usize).copied().unwrap_or(0));
    }
    for segment in &path.segments {
        let operation = skeleton.operation(segment.span);
        let of = totals.entry(operation).or_insert_with(|| line(operation));
        of.path_nanos = of.path_nanos.saturating_add(segment.end - segment.start);
    }
    let mut lines: Vec<OperationTotals> = totals.into_values().collect();
    lines.sort_by(|a, b| b.self_nanos.cmp(&a.self_nanos).then(a.operation.cmp(&b.operation)));
    lines
}

/// Where a call spent its time outside the server: network, queues, proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallOverhead {
    /// The client span.
    pub client: u32,
    /// The server span.
    pub server: u32,
    /// From the client's start to the server's, in nanoseconds.
    pub before_nanos: u64,
    /// From the server's end to the client's, in nanoseconds.
    pub after_nanos: u64,
}

/// The overhead of each call whose server span lies inside its client span, in span order of clients. A server that
/// pokes out of its client says that the call is asynchronous; between hosts whose clocks are not settled neither half
/// can be told: both are left out. `pairs` is what [`crate::skew()`] says of the trace.
pub fn call_overheads(trace: &Trace, pairs: &[HostPair]) -> Vec<CallOverhead> {
    let skeleton = &trace.skeleton;
    let mut found = Vec::new();
    for client in (0..skeleton.span_count()).filter(|span| skeleton.kind(*span) == Kind::Client) {
        let mut servers = trace.tree.children(client).iter().filter(|child| skeleton.kind(**child) == Kind::Server);
        let (Some(server), None) = (servers.next(), servers.next()) else { continue };
        let before = skeleton.start(*server).checked_sub(skeleton.start(client));
        let after = skeleton.end(client).checked_sub(skeleton.end(*server));
        if let (Some(before_nanos), Some(after_nanos)) = (before, after)
            && clocks_agree(skeleton, pairs, client, *server)
        {
            found.push(CallOverhead { client, server: *server, before_nanos, after_nanos });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation;
    use crate::skew::skew;

    #[test]
    fn the_table_of_operations() {
        let trace = notation::trace(
            "s | root | server | 0..100 |
               pg | SELECT | client | 10..40 |
               pg | SELECT | client | 20..60 | error
               s | send | producer | 70..75 |
                 m | read | consumer | 72..90 |",
        );
        let self_nanos = self_times(&trace);
        let millis: Vec<u64> = self_nanos.iter().map(|nanos| nanos / 1_000_000).collect();
        // The consumer runs on its own, so its producer does not wait for it.
        assert_eq!(millis, [45, 30, 40, 5, 18]);
        let totals = operation_totals(&trace, &self_nanos, &CriticalPath::of_trace(&trace));
        let name = |totals: &OperationTotals| trace.skeleton.strings()[totals.operation.name as usize].clone();
        let told: Vec<_> = totals
            .iter()
            .map(|totals| {
                (
                    name(totals),
                    totals.span_count,
                    totals.error_count,
                    totals.self_nanos / 1_000_000,
                    totals.path_nanos / 1_000_000,
                )
            })
            .collect();
        let expect = [("SELECT", 2, 1, 70, 40), ("root", 1, 0, 45, 55), ("read", 1, 0, 18, 0), ("send", 1, 0, 5, 5)];
        assert_eq!(told, expect.map(|(name, spans, errors, own, path)| (name.to_owned(), spans, errors, own, path)));
        assert_eq!((totals[0].total_nanos, totals[0].longest_nanos), (70_000_000, 40_000_000));
    }

    #[test]
    fn overheads_only_where_clocks_agree() {
        let trace = notation::trace(
            "s | root | server | 0..100 | host=a
               s | call | client | 10..40 | host=a
                 t | serve | server | 12..35 | host=b
               s | ahead | client | 50..60 | host=a
                 u | serve | server | 55..65 | host=c
               s | again | client | 70..90 | host=a
                 u | serve | server | 76..89 | host=c",
        );
        let found = call_overheads(&trace, &skew(&trace));
        assert_eq!(found, [CallOverhead { client: 1, server: 2, before_nanos: 2_000_000, after_nanos: 5_000_000 }]);
    }
}
