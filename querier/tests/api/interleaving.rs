//! Whatever OTLP can say, and however its spans are spread over blocks: the trace is the same.

use std::collections::BTreeSet;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, TracesData};
use proptest::prelude::*;
use proptest::test_runner::Config;
use prost::Message as _;
use spanlake_block::{WriteOptions, write_block};
use spanlake_model::{Tenant, TraceId};
use spanlake_otlp::{Limits, arbitrary};

use crate::world::World;

/// One request for each span. Start times are made unique, so that no two different spans pass for copies.
fn one_span_each(requests: Vec<ExportTraceServiceRequest>) -> Vec<ExportTraceServiceRequest> {
    let mut all = Vec::new();
    for resource in requests.into_iter().flat_map(|request| request.resource_spans) {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let mut span = span.clone();
                span.start_time_unix_nano = all.len() as u64;
                let scope = ScopeSpans { spans: vec![span], ..scope.clone() };
                let resource = ResourceSpans { scope_spans: vec![scope], ..resource.clone() };
                all.push(ExportTraceServiceRequest { resource_spans: vec![resource] });
            }
        }
    }
    all
}

async fn store(world: &World, requests: &[&ExportTraceServiceRequest]) {
    let batch = |request: &&ExportTraceServiceRequest| {
        spanlake_otlp::index(Bytes::from(request.encode_to_vec()), &Limits::default()).expect("a good request")
    };
    let batches: Vec<_> = requests.iter().map(batch).collect();
    let written = write_block(&batches, &WriteOptions::default()).expect("a block");
    world.catalog.publish_l0(&Tenant::single(), written).await.expect("published");
}

async fn traces(world: &World, ids: &BTreeSet<TraceId>) -> Vec<TracesData> {
    let mut traces = Vec::new();
    for id in ids {
        traces.push(world.querier.trace(&[Tenant::single()], *id, None).await.expect("found").trace);
    }
    traces
}

proptest! {
    #![proptest_config(Config { cases: 24, failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_spread_over_blocks_gives_the_same_traces(
        requests in proptest::collection::vec(arbitrary::request(), 1..4),
        places in proptest::collection::vec((0..4_usize, 0..4_usize), 64),
    ) {
        let requests = one_span_each(requests);
        prop_assume!(!requests.is_empty());
        let ids: BTreeSet<TraceId> = requests
            .iter()
            .filter_map(|request| TraceId::from_wire(&request.resource_spans[0].scope_spans[0].spans[0].trace_id))
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let whole = World::new();
            store(&whole, &requests.iter().collect::<Vec<_>>()).await;
            let spread = World::new();
            // Every span goes to one or two of four blocks.
            let mut blocks = vec![Vec::new(); 4];
            for (request, (one, other)) in requests.iter().zip(places.iter().cycle()) {
                blocks[*one].push(request);
                blocks[*other].push(request);
            }
            for block in blocks.iter().filter(|block| !block.is_empty()) {
                store(&spread, block).await;
            }
            let (expect, found) = (traces(&whole, &ids).await, traces(&spread, &ids).await);
            // Compared as bytes: attributes may be not-a-number, which is not equal to itself.
            let bytes = |all: &[TracesData]| all.iter().map(prost::Message::encode_to_vec).collect::<Vec<_>>();
            prop_assert_eq!(bytes(&found), bytes(&expect), "{:?}\n{:?}", found, expect);
            let spans = expect.iter().flat_map(|trace| &trace.resource_spans).flat_map(|r| &r.scope_spans);
            prop_assert_eq!(spans.map(|scope| scope.spans.len()).sum::<usize>(), requests.len());
            Ok(())
        })?;
    }
}
