//! What holds for every trace, however odd.

use std::time::Instant;

use proptest::prelude::*;
use spanlake_model::{SpanId, TraceId};

use super::*;
use crate::attributes::{Exception, Value};
use crate::baseline::Baseline;
use crate::history::{EdgeCalls, SiblingOrder, UsualCalls};
use crate::notation::EPOCH;
use crate::render::{Style, render};
use crate::skeleton::{Kind, Skeleton, SkeletonBuilder, SpanRow, Status};
use crate::skew::SkewCorrection;

/// A span of a random trace.
#[derive(Debug, Clone)]
struct Random {
    id: u64,
    parent: u64,
    start: u64,
    end: u64,
    kind: i32,
    status: i32,
    service: usize,
    name: usize,
    host: usize,
    flags: u32,
}

const TEXTS: [&str; 4] = ["", "a", "b", "c"];

fn skeleton(spans: &[Random]) -> Skeleton {
    let mut builder = SkeletonBuilder::with_capacity(TraceId([1; 16]), spans.len());
    for span in spans {
        builder.push(SpanRow {
            span_id: SpanId(span.id.to_be_bytes()),
            parent_span_id: Some(SpanId(span.parent.to_be_bytes())),
            start_unix_nanos: span.start,
            end_unix_nanos: span.end,
            kind: Kind::from_otlp(span.kind),
            status: Status::from_otlp(span.status),
            service: TEXTS[span.service],
            name: TEXTS[span.name],
            host: TEXTS[span.host],
            flags: span.flags,
        });
    }
    builder.finish()
}

/// Spans of a few milliseconds whose parents mostly exist, some poking out of them.
fn plausible() -> impl Strategy<Value = Vec<Random>> {
    let span = (0..1u64 << 24, 0..1u64 << 24, 0..6i32, 0..3i32, 0..4usize, 0..4usize, 0..4usize, 0..4u32, any::<u16>());
    prop::collection::vec(span, 1..60).prop_map(|drawn| {
        let mut spans: Vec<Random> = Vec::new();
        for (at, (start, length, kind, status, service, name, host, flags, up)) in drawn.into_iter().enumerate() {
            let parent = if at == 0 { 0 } else { u64::from(up) % at as u64 + 1 };
            let parent = if up % 50 == 49 { 1_000 + u64::from(up) } else { parent };
            let start = EPOCH + start;
            spans.push(Random {
                id: at as u64 + 1,
                parent,
                start,
                end: start + length,
                kind,
                status,
                service,
                name,
                host,
                flags: flags << 8,
            });
        }
        spans[0].start = EPOCH;
        spans
    })
}

/// Anything: ids that repeat, cycles, times at both ends of what 64 bits hold.
fn anything() -> impl Strategy<Value = Vec<Random>> {
    let time = prop_oneof![Just(0), Just(u64::MAX), Just(1), 0..20u64, EPOCH..EPOCH + 50_000_000, any::<u64>()];
    let span =
        (0..12u64, 0..12u64, time.clone(), time, -1..7i32, -1..4i32, 0..4usize, 0..4usize, 0..4usize, any::<u32>());
    let span = span.prop_map(|(id, parent, start, end, kind, status, service, name, host, flags)| Random {
        id,
        parent,
        start,
        end,
        kind,
        status,
        service,
        name,
        host,
        flags,
    });
    prop::collection::vec(span, 0..40)
}

/// Says something for every span and key.
struct Talkative;

impl Attributes for Talkative {
    fn attribute(&self, row: u32, key: &str) -> Option<Value<'_>> {
        Some(match key.len() % 3 {
            0 => Value::Int(i64::from(row)),
            1 => Value::Text(format!("SELECT {row} FROM 'x").into()),
            _ => Value::Double(f64::NAN),
        })
    }

    fn exception(&self, _row: u32) -> Option<Exception<'_>> {
        Some(Exception { kind: "E".into(), message: "é 1.2.3.4:5".into(), stacktrace: "at x".into() })
    }
}

/// Knows everything, and that all is usually different.
struct Knowing(Baseline);

impl Knowing {
    fn new() -> Self {
        let mut baseline = Baseline::default();
        (0..300).for_each(|at| baseline.record(at, at));
        Self(baseline)
    }
}

impl History for Knowing {
    fn edge(&self, _service: &str, _name: &str) -> Option<EdgeCalls> {
        Some(EdgeCalls { calls: 100, answered: 99 })
    }

    fn usual_caller(&self, _service: &str, _name: &str) -> Option<String> {
        Some("edge".to_owned())
    }

    fn order(&self, _trace: &Trace, _first: u32, _second: u32) -> Option<SiblingOrder> {
        Some(SiblingOrder { traces: 200, refuted: 3, close: 10 })
    }

    fn baseline(&self, _service: &str, _name: &str, _kind: Kind) -> Option<&Baseline> {
        Some(&self.0)
    }

    fn usual_calls(&self, _trace: &Trace, _span: u32) -> Option<UsualCalls> {
        Some(UsualCalls { traces: 500, median: 1, p95: 1, path_nanos: 0 })
    }
}

/// Thresholds so low that every rule speaks.
fn eager() -> Settings {
    Settings {
        gap_nanos: 0,
        gap_share: 0.0,
        sequential_saving_nanos: 0,
        sequential_saving_share: 0.0,
        repeated_calls: 2,
        repeated_nanos: 0,
        repeated_share: 0.0,
        fan_out_calls: 2,
        masked_nanos: 0,
        more_calls: 1,
        outlier_share: 0.0,
        ..Settings::default()
    }
}

fn all(trace: &Trace) -> Diagnosis {
    let completeness = Completeness::default();
    diagnose(trace, &Talkative, &Knowing::new(), &completeness, &eager())
}

fn check_path(trace: &Trace, path: &CriticalPath) -> Result<(), TestCaseError> {
    let Some((root, whole)) = trace.root() else {
        prop_assert!(path.segments.is_empty());
        return Ok(());
    };
    let mut at = trace.skeleton.start(root);
    for segment in &path.segments {
        prop_assert_eq!(segment.start, at, "segments follow each other without gap or overlap");
        prop_assert!(segment.end > segment.start);
        prop_assert!(trace.tree.is_within(segment.span, root));
        let (start, end) = (trace.skeleton.start(segment.span), trace.skeleton.end(segment.span));
        prop_assert!(start <= segment.start && segment.end <= end, "a span is on the path only while it runs");
        at = segment.end;
    }
    prop_assert_eq!(path.duration(), whole);
    prop_assert_eq!(path.visits.iter().map(|visit| u128::from(visit.own_nanos)).sum::<u128>(), u128::from(whole));
    for visit in &path.visits {
        prop_assert!(visit.drag_nanos <= visit.own_nanos);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn paths_and_self_times(spans in prop_oneof![plausible(), anything()]) {
        let trace = Trace::new(skeleton(&spans));
        let diagnosis = all(&trace);
        check_path(&trace, &diagnosis.path)?;
        let picture = render(&trace, &diagnosis, &Style { width: 100, max_rows: 30, ..Style::default() });
        prop_assert!(picture.lines().all(|line| line.chars().count() <= 100), "{}", picture);
        for span in 0..trace.skeleton.span_count() {
            let waiting: u64 = {
                // The union of the children waited for, by brute force over their edges.
                let children: Vec<_> = trace.blocking_children(span).collect();
                let mut edges: Vec<u64> = children.iter().flat_map(|child| [child.start, child.end]).collect();
                edges.sort_unstable();
                let covers = |from: u64, to: u64| children.iter().any(|child| child.start <= from && to <= child.end);
                edges.windows(2).filter(|pair| covers(pair[0], pair[1])).map(|pair| pair[1] - pair[0]).sum()
            };
            prop_assert_eq!(diagnosis.self_nanos[span as usize] + waiting, trace.skeleton.duration(span));
        }
        if let Some((root, whole)) = trace.root() {
            let slack = crate::critical_path::slack(&trace, root);
            for visit in &diagnosis.path.visits {
                prop_assert_eq!(slack[visit.span as usize], Some(0));
            }
            for finding in &diagnosis.findings {
                prop_assert!(finding.at_stake_nanos <= whole && (0.0..=1.0).contains(&finding.share_of_root));
                prop_assert!(!finding.text.is_empty() && finding.spans.is_sorted());
                prop_assert!(finding.spans.iter().all(|span| *span < trace.skeleton.span_count()));
            }
        }
    }

    #[test]
    fn in_sequence_self_times_sum_to_the_root(lengths in prop::collection::vec((1..1_000u64, 0..1_000u64), 1..40)) {
        // A root whose children, and theirs, run strictly one after the other.
        let mut spans = vec![Random { id: 1, parent: 0, start: EPOCH, end: EPOCH, kind: 2, status: 0, service: 1, name: 1, host: 0, flags: 0 }];
        let mut now = EPOCH;
        for (at, (length, pause)) in lengths.iter().enumerate() {
            let id = 2 * at as u64 + 2;
            spans.push(Random { id, parent: 1, start: now, end: now + length, ..spans[0].clone() });
            spans.push(Random { id: id + 1, parent: id, start: now, end: now + length / 2, ..spans[0].clone() });
            now += length + pause;
        }
        spans[0].end = now;
        let trace = Trace::new(skeleton(&spans));
        prop_assert_eq!(self_times(&trace).iter().sum::<u64>(), now - EPOCH);
    }

    #[test]
    fn skew_can_be_taken_back(spans in prop_oneof![plausible(), anything()]) {
        let trace = Trace::new(skeleton(&spans));
        let correction = SkewCorrection::new(&trace, &skew::skew(&trace));
        let corrected = correction.apply(&trace.skeleton);
        prop_assert_eq!(corrected.span_count(), trace.skeleton.span_count());
        prop_assert_eq!(&correction.revert(&corrected), &trace.skeleton);
    }

    #[test]
    fn the_order_of_input_does_not_matter(spans in prop_oneof![plausible(), anything()], seed in any::<u64>()) {
        let mut shuffled = spans.clone();
        let mut state = seed;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(at, (state >> 33) as usize % (at + 1));
        }
        let silent = |spans: &[Random]| {
            let trace = Trace::new(skeleton(spans));
            let diagnosis = diagnose(&trace, &crate::NoAttributes, &Knowing::new(), &Completeness::default(), &eager());
            (trace.tree.clone(), diagnosis, trace.skeleton.strings().to_vec())
        };
        prop_assert_eq!(silent(&spans), silent(&shuffled));
    }
}

#[test]
fn extremes_end_in_good_time() {
    let row = |id: u64, parent: u64, start: u64, end: u64| Random {
        id,
        parent,
        start,
        end,
        kind: 3,
        status: 2,
        service: 1,
        name: 2,
        host: 0,
        flags: 0x100,
    };
    let deep: Vec<Random> = (0..100_000).map(|at| row(at + 1, at, EPOCH + at, EPOCH + 300_000 - at)).collect();
    let mut wide: Vec<Random> = (0..20_000).map(|at| row(at + 2, 1, EPOCH + at * 10, EPOCH + at * 10 + 9)).collect();
    wide.push(Random { kind: 2, ..row(1, 0, EPOCH, EPOCH + 200_000) });
    let orphans: Vec<Random> = (0..20_000).map(|at| row(at + 2, at + 500_000, EPOCH + at, EPOCH + at + 9)).collect();
    let cycle: Vec<Random> =
        (0..20_000).map(|at| row(at + 1, (at + 1) % 20_000 + 1, EPOCH + at, EPOCH + 100_000)).collect();
    let same: Vec<Random> = (0..20_000).map(|at| row(1, 1, EPOCH + at, EPOCH + 100_000)).collect();
    for (what, spans) in [("deep", deep), ("wide", wide), ("orphans", orphans), ("cycle", cycle), ("same", same)] {
        let started = Instant::now();
        let trace = Trace::new(skeleton(&spans));
        let diagnosis = all(&trace);
        check_path(&trace, &diagnosis.path).expect(what);
        assert!(!diagnosis.findings.is_empty(), "{what}");
        assert!(started.elapsed().as_secs() < 20, "{what} took {:?}", started.elapsed());
    }
}
