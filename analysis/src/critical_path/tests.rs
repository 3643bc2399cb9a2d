//! Critical paths of small traces, and of ones too deep or wide for recursion.

use std::fmt::Write;
use std::time::Instant;

use super::*;
use crate::notation::{self, EPOCH};

/// The path as `name start..end`, milliseconds, `~` for overlapped.
fn path(text: &str) -> String {
    let trace = notation::trace(text);
    let mut line = String::new();
    for segment in CriticalPath::of_trace(&trace).segments {
        let millis = |nanos: u64| (nanos - EPOCH) as f64 / 1e6;
        let mark = if segment.overlapped { "~" } else { "" };
        let name = trace.skeleton.name(segment.span);
        write!(line, "{name}{mark} {}..{}, ", millis(segment.start), millis(segment.end)).expect("a string");
    }
    line.trim_end_matches(", ").to_owned()
}

fn check(text: &str, expect: &str) {
    assert_eq!(path(text), expect, "{text}");
}

#[test]
fn children_in_turn_and_together() {
    check("s | r | server | 0..100 |", "r 0..100");
    // A child that ends just when the next begins is on the path.
    check(
        "s | r | server | 10..110 |
           s | a | client | 10..60 |
           s | b | client | 60..110 |",
        "a 10..60, b 60..110",
    );
    check(
        "s | r | server | 0..100 |
           s | a | client | 10..50 |
           s | b | client | 20..80 |
             t | c | server | 30..70 |",
        "r 0..10, r~ 10..20, b 20..30, c 30..70, b 70..80, r 80..100",
    );
}

#[test]
fn what_runs_on_its_own_is_not_on_the_path() {
    check(
        "s | r | server   | 0..100 |
           s | send | producer | 10..20 |
             t | work | consumer | 15..19 |
           s | later | internal | 30..200 |
           s | after | internal | 100..150 |
           s | early | internal | -20..-10 |",
        "r 0..10, send 10..20, r 20..100",
    );
    // A little late is late answering, not asynchronous.
    check(
        "s | r | server   | 0..100 |
           s | a | client | 50..104 |",
        "r 0..50, a 50..100",
    );
}

#[test]
fn children_that_poke_out_are_clamped() {
    check(
        "s | r | server | 0..100 |
           s | a | client | -10..40 |
             t | b | server | -20..30 |",
        "b 0..30, a 30..40, r 40..100",
    );
}

#[test]
fn a_little_overlap_still_is_a_sequence() {
    check(
        "s | r | server | 0..100 |
           s | a | client | 0..50.5 |
           s | b | client | 50..100 |",
        "a 0..50, b 50..100",
    );
    // But not if something else happens in the overlap.
    check(
        "s | r | server | 0..100 |
           s | a | client | 0..50.5 |
           s | c | client | 1..50.3 |
           s | b | client | 50..100 |",
        "r~ 0..1, c 1..50, b 50..100",
    );
}

#[test]
fn drag_and_slack() {
    let trace = notation::trace(
        "s | r | server | 0..100 |
           s | a | client | 0..90 |
             t | inner | server | 10..80 |
           s | b | client | 0..70 |
           s | z | producer | 1..2 |
             t | on its own | consumer | 50..90 |",
    );
    let path = CriticalPath::of_trace(&trace);
    let slack = slack(&trace, trace.tree.main_root().expect("a root"));
    let of = |name: &str| {
        let span = (0..6).find(|span| trace.skeleton.name(*span) == name).expect("a span of that name");
        let millis = |nanos: u64| nanos as f64 / 1e6;
        (path.visit(span).map(|visit| millis(visit.drag_nanos)), slack[span as usize].map(millis))
    };
    assert_eq!(of("r"), (Some(10.0), Some(0.0)));
    // Were it 20 ms shorter, `b` would decide.
    assert_eq!(of("a"), (Some(20.0), Some(0.0)));
    assert_eq!(of("inner"), (Some(20.0), Some(0.0)));
    assert_eq!(of("b"), (None, Some(20.0)));
    assert_eq!(of("z"), (None, Some(88.0)));
    assert_eq!(of("on its own"), (None, None));
}

#[test]
fn deep_chains_and_many_siblings() {
    let mut builder = crate::SkeletonBuilder::with_capacity(Default::default(), 100_000);
    let depth = 100_000u64;
    for level in 0..depth {
        builder.push(crate::SpanRow {
            span_id: spanlake_model::SpanId((level + 1).to_be_bytes()),
            parent_span_id: Some(spanlake_model::SpanId(level.to_be_bytes())),
            start_unix_nanos: EPOCH + level,
            end_unix_nanos: EPOCH + 2 * depth - level,
            name: "step",
            ..Default::default()
        });
    }
    let trace = Trace::new(builder.finish());
    let path = CriticalPath::of_trace(&trace);
    assert_eq!((path.visits.len(), path.duration()), (100_000, 200_000));
    assert_eq!(slack(&trace, 0)[99_999], Some(0));

    let text = "s | r | server | 0..40000 |
                  s | call | client | 0..2 | x20000 +2";
    let started = Instant::now();
    let trace = notation::trace(text);
    let path = CriticalPath::of_trace(&trace);
    assert_eq!((path.segments.len(), path.duration()), (20_000, 40_000_000_000));
    assert!(started.elapsed().as_secs() < 10, "took {:?}", started.elapsed());
}
