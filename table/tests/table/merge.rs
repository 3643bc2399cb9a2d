//! Merged traces: whole, distinct, and the same however their spans were split over blocks.

use std::collections::{BTreeMap, HashSet};

use futures::TryStreamExt as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use proptest::collection::vec;
use proptest::prelude::*;
use spanlake_block::{Column, Condition, Field, Literal, Op, Scope};
use spanlake_model::{TimeRange, TraceId};
use spanlake_otlp::arbitrary;
use spanlake_table::{Error, TraceRequest, merge};

use crate::differential::lines;
use crate::naive::{attribute_columns, compared};
use crate::world::{World, options, run};

type Traces = BTreeMap<TraceId, Vec<String>>;

async fn merged(world: &World, conditions: &[Condition], columns: &[Column]) -> Traces {
    let request = TraceRequest {
        conditions: conditions.to_vec(),
        range: TimeRange::ALL,
        columns: columns.to_vec(),
        max_traces: 1_000,
    };
    let stream = merge(world.source(), world.snapshot.clone(), request);
    let traces: Vec<_> = stream.try_collect().await.expect("just written");
    assert!(traces.windows(2).all(|pair| pair[0].trace_id < pair[1].trace_id), "traces are out of order");
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    traces.into_iter().map(|trace| (trace.trace_id, sorted(lines(&trace.rows)))).collect()
}

/// Every span as a request of its own, identical ones once.
fn singles(requests: &[ExportTraceServiceRequest]) -> Vec<ExportTraceServiceRequest> {
    let mut seen = HashSet::new();
    let mut singles = Vec::new();
    for resource_spans in requests.iter().flat_map(|request| arbitrary::canonical(request).resource_spans) {
        for scope_spans in &resource_spans.scope_spans {
            for span in &scope_spans.spans {
                let identity = (
                    span.trace_id.clone(),
                    span.span_id.clone(),
                    span.kind,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    span.name.clone(),
                );
                if seen.insert(identity) {
                    let scope_spans = ScopeSpans { spans: vec![span.clone()], ..scope_spans.clone() };
                    let resource_spans = ResourceSpans { scope_spans: vec![scope_spans], ..resource_spans.clone() };
                    singles.push(ExportTraceServiceRequest { resource_spans: vec![resource_spans] });
                }
            }
        }
    }
    singles
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_split_over_blocks_gives_the_same_traces(
        requests in vec(arbitrary::request(), 1..5),
        places in vec((0_usize..4, 0_usize..6), 32),
        shapes in vec((1_usize..10, 0_usize..5), 5),
        which in 0_u8..3,
        pick in any::<prop::sample::Index>(),
        few in any::<bool>(),
    ) {
        let spans = singles(&requests);
        if spans.is_empty() {
            return Ok(());
        }
        // A second place at 4 or 5 is none: the other spans lie in two blocks, or twice in one.
        let mut split: Vec<Vec<ExportTraceServiceRequest>> = vec![Vec::new(); 4];
        for (i, span) in spans.iter().enumerate() {
            let (first, second) = places[i % places.len()];
            split[first].push(span.clone());
            if second < 4 {
                split[second].push(span.clone());
            }
        }
        run(async {
            let whole = World::new(&[(spans.clone(), options(shapes[4].0, shapes[4].1))]).await;
            let blocks: Vec<_> =
                split.into_iter().zip(&shapes).map(|(spans, shape)| (spans, options(shape.0, shape.1))).collect();
            let parts = World::new(&blocks).await;
            let attributes = attribute_columns(&whole.rows);
            let row = &whole.rows[pick.index(whole.rows.len())];
            let condition = |field, op, value| vec![Condition { field, op, value }];
            let conditions = match (which, row.span.attributes.first()) {
                (0, _) => Vec::new(),
                (1, Some(attribute)) => {
                    let key = attribute.key.clone();
                    condition(Field::Attribute { scope: Scope::Span, key }, Op::Exists, Literal::None)
                }
                _ => condition(Field::Name, Op::Eq, Literal::String(row.span.name.clone())),
            };
            let columns = if few { vec![Column::Name] } else { compared(&attributes) };
            let expect = merged(&whole, &conditions, &columns).await;
            prop_assert_eq!(&merged(&parts, &conditions, &columns).await, &expect);
            let matches = |row: &&spanlake_block::SpanRow| match (which, &conditions.first().map(|c| &c.field)) {
                (0, _) => true,
                (_, Some(Field::Attribute { key, .. })) => row.span.attributes.iter().any(|a| a.key == *key),
                _ => Some(&Literal::String(row.span.name.clone())) == conditions.first().map(|c| &c.value),
            };
            let ids: HashSet<&[u8]> =
                whole.rows.iter().filter(matches).map(|row| row.span.trace_id.as_slice()).collect();
            let count = whole.rows.iter().filter(|row| ids.contains(row.span.trace_id.as_slice())).count();
            prop_assert_eq!(expect.values().map(Vec::len).sum::<usize>(), count);
            prop_assert_eq!(expect.len(), ids.len());
            Ok(())
        })?;
    }
}

#[test]
fn too_many_traces_are_refused() {
    run(async {
        let (requests, _) = crate::plans::shop(300);
        let world = World::new(&[(requests, options(50, 10))]).await;
        let request = TraceRequest {
            conditions: vec![Condition { field: Field::Kind, op: Op::Ge, value: Literal::Int(0) }],
            range: TimeRange::ALL,
            columns: vec![Column::Name],
            max_traces: 2,
        };
        let outcome = merge(world.source(), world.snapshot.clone(), request).try_collect::<Vec<_>>().await;
        assert!(matches!(outcome, Err(Error::TooManyTraces { max: 2 })), "{outcome:?}");
    });
}
