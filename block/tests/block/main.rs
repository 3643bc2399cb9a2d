//! The block format from outside: what is written is read back, scans agree with a naive filter, damage is named.

mod damage;
mod distinct;
mod golden;
mod item_keys;
mod merge;
mod round_trip;
mod scan;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use spanlake_block::{Block, SpanRow, Verified, Verifier, WriteOptions, Written, write_block};
use spanlake_otlp::{Batch, Limits, arbitrary, index};

/// Requests as an ingester holds them.
pub fn batches(requests: &[ExportTraceServiceRequest]) -> Vec<Batch> {
    let indexed = |request: &ExportTraceServiceRequest| index(Bytes::from(request.encode_to_vec()), &Limits::default());
    requests.iter().map(|request| indexed(request).expect("the strategies give sound requests")).collect()
}

/// A block's tail, as a reader fetches it.
pub fn tail(written: &Written) -> Bytes {
    written.bytes.slice(written.meta.tail_offset as usize..)
}

/// Opens a block that was just written.
pub fn open(written: &Written) -> Block {
    Block::open(&written.meta, tail(written)).expect("the block was just written")
}

/// The bytes of a range of the object.
pub fn fetch(written: &Written, range: std::ops::Range<u64>) -> Bytes {
    written.bytes.slice(range.start as usize..range.end as usize)
}

/// What a verification says of a block.
pub fn verified(written: &Written) -> Verified {
    let mut verifier = Verifier::open(&written.meta, tail(written)).expect("the block was just written");
    verifier.search(fetch(written, verifier.search_range()));
    for group in 0..verifier.row_group_count() {
        verifier.row_group(fetch(written, verifier.row_group_range(group)));
    }
    verifier.finish()
}

/// Every span of the block, in row order.
pub fn all_rows(written: &Written) -> Vec<SpanRow> {
    let block = open(written);
    (0..block.row_group_count())
        .flat_map(|group| {
            let bytes = fetch(written, block.row_group_range(group));
            block.read_row_group(group, bytes).expect("the block was just written")
        })
        .collect()
}

/// Spans with where they came from, in one comparable form: encoded, attributes by key, sorted, identical ones once.
pub fn comparable(requests: &[ExportTraceServiceRequest]) -> Vec<Vec<u8>> {
    let mut spans: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for request in requests {
        for mut resource_spans in arbitrary::canonical(request).resource_spans {
            resource_spans.resource.get_or_insert_default();
            for mut scope_spans in std::mem::take(&mut resource_spans.scope_spans) {
                scope_spans.scope.get_or_insert_default();
                for mut span in std::mem::take(&mut scope_spans.spans) {
                    span.attributes.sort_by(|a, b| a.key.cmp(&b.key));
                    if span.status == Some(Status::default()) {
                        span.status = None;
                    }
                    let identity = Span {
                        trace_id: span.trace_id.clone(),
                        span_id: span.span_id.clone(),
                        kind: span.kind,
                        start_time_unix_nano: span.start_time_unix_nano,
                        end_time_unix_nano: span.end_time_unix_nano,
                        name: span.name.clone(),
                        ..Span::default()
                    };
                    let one = ScopeSpans { spans: vec![span], ..scope_spans.clone() };
                    let one = ResourceSpans { scope_spans: vec![one], ..resource_spans.clone() };
                    spans.push((identity.encode_to_vec(), one.encode_to_vec()));
                }
            }
        }
    }
    // A stable sort, so that of identical spans the first one given is kept.
    spans.sort_by(|a, b| a.0.cmp(&b.0));
    spans.dedup_by(|a, b| a.0 == b.0);
    spans.into_iter().map(|(_, span)| span).collect()
}

/// Rows as a request, one `ResourceSpans` a span.
pub fn as_request(rows: &[SpanRow]) -> ExportTraceServiceRequest {
    let resource_spans = rows.iter().map(|row| ResourceSpans {
        resource: Some(row.resource.resource.clone()),
        schema_url: row.resource.schema_url.clone(),
        scope_spans: vec![ScopeSpans {
            scope: row.scope.scope.clone(),
            schema_url: row.scope.schema_url.clone(),
            spans: vec![row.span.clone()],
        }],
    });
    ExportTraceServiceRequest { resource_spans: resource_spans.collect() }
}

/// Options under which even a few spans have attribute columns and several row groups.
pub fn small_options(row_group_rows: usize, max_attribute_columns: usize) -> WriteOptions {
    WriteOptions { row_group_rows, max_attribute_columns, min_values: 1, page_rows: 3, ..WriteOptions::default() }
}

/// Writes requests as one block.
pub fn write(requests: &[ExportTraceServiceRequest], options: &WriteOptions) -> Option<Written> {
    write_block(&batches(requests), options).ok()
}
