//! Random traces and queries meet, and everything there is to meet is met.

use std::collections::BTreeSet;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::super::random::{EPOCH_UNIX_NANOS, metrics_query, search_query, stored_spans};
use super::*;

#[test]
fn many_random_queries_find_something_but_not_everything() {
    let mut rng = StdRng::seed_from_u64(1);
    let (mut some, mut all) = (0, 0);
    for _ in 0..200 {
        let stored = stored_spans(&mut rng, 8);
        let found = search(&stored, &search_query(&mut rng), None, usize::MAX).len();
        some += usize::from(found > 0);
        all += usize::from(found == 8);
    }
    assert!((100..195).contains(&some) && (10..100).contains(&all), "{some} find something, {all} everything");
}

#[test]
fn many_random_metrics_queries_have_series() {
    let mut rng = StdRng::seed_from_u64(2);
    let mut some = 0;
    for _ in 0..200 {
        let stored = stored_spans(&mut rng, 8);
        let interval = Interval {
            start_unix_nanos: EPOCH_UNIX_NANOS,
            end_unix_nanos: EPOCH_UNIX_NANOS + 300 * SECOND,
            step_nanos: Some(60 * SECOND),
        };
        some += usize::from(!metrics(&stored, &metrics_query(&mut rng), interval).is_empty());
    }
    assert!((100..195).contains(&some), "{some} have series");
}

#[test]
fn random_traces_have_every_oddity() {
    let mut rng = StdRng::seed_from_u64(3);
    let stored = stored_spans(&mut rng, 200);
    let traces = trace::traces(&stored);
    assert_eq!(traces.len(), 200);
    let spans = || stored.iter().map(|one| &one.span);
    assert!(traces.iter().any(|trace| trace.root.is_none()));
    assert!(traces.iter().any(|trace| trace.spans.len() == 60));
    assert!(traces.iter().map(|trace| trace.spans.len()).sum::<usize>() < stored.len());
    assert!(spans().any(|span| span.start_time_unix_nano == 0));
    assert!(spans().any(|span| span.end_time_unix_nano < span.start_time_unix_nano));
    assert!(spans().any(|span| span.parent_span_id == span.span_id));
    let is_cut = |trace: &trace::Trace| {
        let ids: BTreeSet<_> = trace.spans.iter().map(|one| &one.span.span_id).collect();
        let names = |at: usize| &trace.spans[at].span;
        (0..trace.spans.len()).any(|at| {
            trace.parents[at].is_none()
                && !trace::names_no_parent(names(at))
                && names(at).parent_span_id != names(at).span_id
                && ids.contains(&names(at).parent_span_id)
        })
    };
    assert!(traces.iter().any(is_cut), "a cycle");
}

#[test]
fn random_queries_are_checked_trees() {
    let mut rng = StdRng::seed_from_u64(4);
    for round in 0..2_000 {
        let query = if round % 2 == 0 { search_query(&mut rng) } else { metrics_query(&mut rng) };
        let text = query.to_string();
        match crate::parse(&text) {
            Ok(read) => assert_eq!(read, query, "{text}"),
            Err(error) => panic!("{text}: {error}"),
        }
    }
}
