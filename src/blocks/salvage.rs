//! New blocks from what can be read of a damaged one. Pure but for the reading of row groups, which the caller does.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message as _;
use spanlake_block::{SpanRow, WriteError, WriteOptions, Written, write_block};
use spanlake_otlp::{Batch, Limits};

/// OTLP bytes that one new block is made of, about: bounds the memory of a repair.
const BLOCK_BYTES: usize = 64 << 20;

/// Gathers rows until they make a block.
pub(super) struct Salvage {
    options: WriteOptions,
    batches: Vec<Batch>,
    batch_bytes: usize,
}

impl Salvage {
    /// For blocks of this level.
    pub(super) fn new(level: u8) -> Self {
        // What is in the manifest is above level 0.
        let options = WriteOptions { level: level.max(1), ..WriteOptions::default() };
        Self { options, batches: Vec::new(), batch_bytes: 0 }
    }

    /// Takes the rows of a row group; gives a block when enough have gathered. Some hundred milliseconds of CPU.
    ///
    /// # Errors
    /// If the rows cannot be written again.
    pub(super) fn push(&mut self, rows: Vec<SpanRow>) -> anyhow::Result<Option<Written>> {
        if rows.is_empty() {
            return Ok(None);
        }
        let body = Bytes::from(as_request(rows).encode_to_vec());
        self.batch_bytes += body.len();
        // Limits were kept when the spans came in, and may have been others than today's.
        let limits = Limits {
            max_spans: usize::MAX,
            max_span_bytes: usize::MAX,
            max_attributes: usize::MAX,
            max_value_bytes: usize::MAX,
            max_events: usize::MAX,
            max_links: usize::MAX,
            ..Limits::default()
        };
        let batch = spanlake_otlp::index(body, &limits)?;
        anyhow::ensure!(batch.rejected.span_count == 0, "{} spans cannot be written again", batch.rejected.span_count);
        self.batches.push(batch);
        if self.batch_bytes >= BLOCK_BYTES { Ok(self.finish()?) } else { Ok(None) }
    }

    /// The last block, if any rows are left.
    ///
    /// # Errors
    /// If the rows cannot be written again.
    pub(super) fn finish(&mut self) -> Result<Option<Written>, WriteError> {
        self.batch_bytes = 0;
        match std::mem::take(&mut self.batches) {
            batches if batches.is_empty() => Ok(None),
            batches => write_block(&batches, &self.options).map(Some),
        }
    }
}

/// Rows as they were sent, neighbours of one resource and scope together.
fn as_request(rows: Vec<SpanRow>) -> ExportTraceServiceRequest {
    let mut resource_spans: Vec<ResourceSpans> = Vec::new();
    let mut last = None;
    for SpanRow { resource, scope, span } in rows {
        let same = last.as_ref().is_some_and(|(last_resource, last_scope)| {
            Arc::ptr_eq(last_resource, &resource) && Arc::ptr_eq(last_scope, &scope)
        });
        match resource_spans.last_mut().and_then(|group| group.scope_spans.last_mut()).filter(|_| same) {
            Some(group) => group.spans.push(span),
            None => {
                let scope_spans =
                    ScopeSpans { scope: scope.scope.clone(), schema_url: scope.schema_url.clone(), spans: vec![span] };
                resource_spans.push(ResourceSpans {
                    resource: Some(resource.resource.clone()),
                    schema_url: resource.schema_url.clone(),
                    scope_spans: vec![scope_spans],
                });
            }
        }
        last = Some((resource, scope));
    }
    ExportTraceServiceRequest { resource_spans }
}
