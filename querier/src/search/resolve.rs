//! What is answered about the traces a search chose. A trace in one block is answered from the block's summary; one in
//! several blocks is counted from its spans, because copies of a span in two blocks must count once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use spanlake_block::{CheckedRowGroup, Damage, ResourceEntry, SearchIndex, SpanRow, TraceSummary};
use spanlake_catalog::BlockRef;
use spanlake_model::TraceId;

use super::candidates::Winner;
use super::scan::Scanned;
use super::{FoundTrace, ServiceSpans};
use crate::error::Error;
use crate::fetch::Reads;

/// Most traces decoded in one go: a decode on another thread cannot be stopped, so it must be short.
const TRACES_PER_READ: usize = 64;

/// As much of a span as the answer needs; ordered so that copies are neighbours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SpanFacts {
    start_unix_nanos: u64,
    span_id: Vec<u8>,
    kind: i32,
    end_unix_nanos: u64,
    name: Arc<str>,
    service: Option<Arc<str>>,
    is_error: bool,
    is_root: bool,
}

impl SpanFacts {
    fn is_same_span(&self, other: &Self) -> bool {
        (self.start_unix_nanos, self.end_unix_nanos, self.kind)
            == (other.start_unix_nanos, other.end_unix_nanos, other.kind)
            && self.span_id == other.span_id
            && self.name == other.name
    }
}

/// Describes the winners, in their order. Those in several blocks cost one read per row group that holds any of them
/// (and one more for every [`TRACES_PER_READ`]).
pub(super) async fn resolve(
    reads: &Reads<'_>,
    blocks: &[BlockRef],
    scanned: &[Option<Scanned>],
    winners: Vec<Winner>,
) -> Result<Vec<FoundTrace>, Error> {
    let mut wanted: BTreeMap<(usize, usize), Vec<TraceId>> = BTreeMap::new();
    for winner in winners.iter().filter(|winner| winner.pieces.len() > 1) {
        for piece in &winner.pieces {
            for row_group in part(scanned, piece.block)?.block.row_groups_for(&winner.trace_id) {
                wanted.entry((piece.block, row_group)).or_default().push(winner.trace_id);
            }
        }
    }
    let parts = wanted.into_iter().flat_map(|(place, ids)| {
        let chunks = ids.chunks(TRACES_PER_READ).map(<[TraceId]>::to_vec).collect::<Vec<_>>();
        chunks.into_iter().map(move |ids| (place, ids))
    });
    let mut facts: HashMap<TraceId, Vec<SpanFacts>> = HashMap::new();
    let mut found = std::pin::pin!(
        stream::iter(parts)
            .map(|((block, row_group), ids)| async move {
                let opened = Arc::clone(&part(scanned, block)?.block);
                let of = Arc::clone(&opened);
                let read = move |checked: &CheckedRowGroup| {
                    let rows = |id: &TraceId| of.trace_in(checked, id);
                    ids.iter().map(|id| Ok((*id, facts_of(rows(id)?)))).collect::<Result<Vec<_>, Damage>>()
                };
                reads.row_group(&blocks[block], &opened, row_group, read).await
            })
            .buffer_unordered(reads.width())
    );
    while let Some(spans) = found.try_next().await? {
        for (id, spans) in spans {
            facts.entry(id).or_default().extend(spans);
        }
    }
    winners
        .into_iter()
        .map(|winner| match (winner.pieces.as_slice(), facts.remove(&winner.trace_id)) {
            (&[piece], _) => {
                let index = &part(scanned, piece.block)?.index;
                Ok(from_summary(index, &index.summaries()[piece.ordinal]))
            }
            (_, spans) => Ok(from_spans(&winner, spans.unwrap_or_default())),
        })
        .collect()
}

fn part(scanned: &[Option<Scanned>], block: usize) -> Result<&Scanned, Error> {
    let part = scanned.get(block).and_then(Option::as_ref);
    part.ok_or_else(|| Error::Internal("a block of a chosen trace was let go of".to_owned()))
}

fn from_summary(index: &SearchIndex, summary: &TraceSummary) -> FoundTrace {
    let mut services: Vec<_> = index
        .services(summary)
        .iter()
        .map(|s| ServiceSpans { service: Arc::clone(&s.service), span_count: s.span_count, error_count: s.error_count })
        .collect();
    services.sort_unstable_by(|a, b| a.service.cmp(&b.service));
    FoundTrace {
        trace_id: summary.trace_id,
        root_service: summary.root_service.clone(),
        root_name: summary.root_name.clone(),
        start_unix_nanos: summary.start_unix_nanos,
        end_unix_nanos: summary.end_unix_nanos,
        services,
        span_sets: Vec::new(),
    }
}

fn from_spans(winner: &Winner, mut spans: Vec<SpanFacts>) -> FoundTrace {
    spans.sort_unstable();
    spans.dedup_by(|later, kept| later.is_same_span(kept));
    let root = spans.iter().find(|span| span.is_root);
    let mut services: BTreeMap<&Arc<str>, (u32, u32)> = BTreeMap::new();
    for (span, service) in spans.iter().filter_map(|span| Some((span, span.service.as_ref()?))) {
        let (span_count, error_count) = services.entry(service).or_default();
        *span_count = span_count.saturating_add(1);
        *error_count = error_count.saturating_add(u32::from(span.is_error));
    }
    FoundTrace {
        trace_id: winner.trace_id,
        root_service: root.and_then(|root| root.service.clone()),
        root_name: root.map(|root| Arc::clone(&root.name)),
        start_unix_nanos: winner.start_unix_nanos,
        end_unix_nanos: winner.end_unix_nanos,
        services: services
            .into_iter()
            .map(|(service, (span_count, error_count))| ServiceSpans {
                service: Arc::clone(service),
                span_count,
                error_count,
            })
            .collect(),
        span_sets: Vec::new(),
    }
}

fn facts_of(rows: Vec<SpanRow>) -> Vec<SpanFacts> {
    let mut services: HashMap<usize, Option<Arc<str>>> = HashMap::new();
    let facts = rows.iter().map(|SpanRow { resource, span, .. }| SpanFacts {
        start_unix_nanos: span.start_time_unix_nano,
        span_id: span.span_id.clone(),
        kind: span.kind,
        end_unix_nanos: span.end_time_unix_nano,
        name: Arc::from(span.name.as_str()),
        service: services.entry(Arc::as_ptr(resource) as usize).or_insert_with(|| service_of(resource)).clone(),
        is_error: span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32),
        is_root: span.parent_span_id.iter().all(|byte| *byte == 0),
    });
    facts.collect()
}

/// The `service.name` of a resource, where it is a text.
fn service_of(resource: &ResourceEntry) -> Option<Arc<str>> {
    let named = resource.resource.attributes.iter().filter(|attribute| attribute.key == "service.name");
    let mut values = named.filter_map(|attribute| attribute.value.as_ref()?.value.as_ref());
    values.find_map(|value| match value {
        Value::StringValue(text) => Some(Arc::from(text.as_str())),
        _ => None,
    })
}
