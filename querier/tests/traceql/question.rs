//! What is asked of both, and how their answers are told apart.

use std::fmt;

use rand::Rng as _;
use rand::rngs::StdRng;
use spanlake_model::{Tenant, TimeRange};
use spanlake_querier::{FoundTrace, MetricsRequest, SearchEvent, TraceqlSearch};
use spanlake_traceql::reference::random::{EPOCH_UNIX_NANOS, metrics_query, search_query};
use spanlake_traceql::reference::{self, Interval};
use tokio::sync::mpsc;

use crate::answers;
use crate::world::{Layout, World};

const SECOND: u64 = 1_000_000_000;
const MAX_SERIES: usize = 1_000_000;

/// A request to the engine.
#[derive(Debug, Clone)]
pub enum Question {
    Search { request: TraceqlSearch, watched: bool },
    Metrics(MetricsRequest),
}

impl Question {
    pub fn search(rng: &mut StdRng) -> Self {
        let from = EPOCH_UNIX_NANOS + rng.random_range(0..250) * SECOND;
        let range = TimeRange { start_unix_nanos: from, end_unix_nanos: from + rng.random_range(0..120) * SECOND };
        let request = TraceqlSearch {
            query: search_query(rng),
            range: rng.random_bool(0.3).then_some(range),
            limit: [1, 3, 20, 1_000][rng.random_range(0..4)],
            spans_per_span_set: [1, 3, 100][rng.random_range(0..3)],
        };
        Self::Search { request, watched: rng.random_bool(0.5) }
    }

    pub fn metrics(rng: &mut StdRng) -> Self {
        let start = EPOCH_UNIX_NANOS + rng.random_range(0..200) * SECOND + rng.random_range(0..2) * 1_500_000;
        let end = start + rng.random_range(20..300) * SECOND;
        let start = if rng.random_range(0..8) == 0 { 0 } else { start };
        let step = [1, 7, 10, 60][rng.random_range(0..4)] * SECOND;
        Self::Metrics(MetricsRequest {
            query: metrics_query(rng),
            start_unix_nanos: start,
            end_unix_nanos: end,
            step_nanos: (start > 0 && rng.random_range(0..4) > 0).then_some(step),
            exemplars: 0,
            max_series: Some(MAX_SERIES),
        })
    }

    /// How the engine's answer differs from the reference's, as text for people.
    pub async fn difference(&self, world: &World, layout: &Layout) -> Option<String> {
        match self {
            Self::Search { request, watched } => search(world, layout, request, *watched).await,
            Self::Metrics(request) => metrics(world, layout, request).await,
        }
    }
}

async fn search(world: &World, layout: &Layout, request: &TraceqlSearch, watched: bool) -> Option<String> {
    let range = request.range.map(|range| (range.start_unix_nanos, range.end_unix_nanos));
    let expect = reference::search(&layout.stored(), &request.query, range, request.limit);
    let (watch, listener) = if watched {
        let (sender, receiver) = mpsc::channel(1);
        (Some(sender), Some(tokio::spawn(listen(receiver))))
    } else {
        (None, None)
    };
    let answer = match world.querier.traceql_search(&[Tenant::single()], request, watch).await {
        Ok(answer) => answer,
        Err(error) => return Some(format!("the engine fails: {error}")),
    };
    if let Some(stopped) = answer.stopped {
        return Some(format!("the engine stops early: {stopped}"));
    }
    if let Some(listener) = listener {
        let heard = listener.await.expect("the listener does not panic");
        if heard != answer.traces {
            return Some(format!("the engine says {heard:#?} while it runs, and answers {:#?}", answer.traces));
        }
    }
    answers::of_traces(&expect, &answer.traces, request.spans_per_span_set)
}

/// The traces of all events.
async fn listen(mut events: mpsc::Receiver<SearchEvent>) -> Vec<FoundTrace> {
    let mut traces = Vec::new();
    while let Some(event) = events.recv().await {
        if let SearchEvent::Traces(more) = event {
            traces.extend(more);
        }
    }
    traces
}

async fn metrics(world: &World, layout: &Layout, request: &MetricsRequest) -> Option<String> {
    let interval = Interval {
        start_unix_nanos: request.start_unix_nanos,
        end_unix_nanos: request.end_unix_nanos,
        step_nanos: request.step_nanos,
    };
    let expect = reference::metrics(&layout.stored(), &request.query, interval);
    let answer = match world.querier.traceql_metrics(&[Tenant::single()], request).await {
        Ok(answer) => answer,
        Err(error) => return Some(format!("the engine fails: {error}")),
    };
    if let Some(partial) = answer.partial {
        return Some(format!("the engine answers in part: {partial}"));
    }
    answers::of_series(&expect, &answer.series)
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Search { request, watched } => {
                let TraceqlSearch { query, range, limit, spans_per_span_set } = request;
                write!(f, "search {query}\n  range {range:?} limit {limit} spss {spans_per_span_set} watched {watched}")
            }
            Self::Metrics(request) => {
                let MetricsRequest { query, start_unix_nanos, end_unix_nanos, step_nanos, .. } = request;
                write!(f, "metrics {query}\n  from {start_unix_nanos} to {end_unix_nanos} step {step_nanos:?}")
            }
        }
    }
}
