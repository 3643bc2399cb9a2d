//! Random spans spread over blocks in memory, and a querier over them.

use std::fmt;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prometheus_client::registry::Registry;
use prost::Message as _;
use rand::Rng as _;
use rand::rngs::StdRng;
use spanlake_block::{WriteOptions, write_block};
use spanlake_catalog::Catalog;
use spanlake_model::Tenant;
use spanlake_otlp::Limits;
use spanlake_querier::{Config, Querier};
use spanlake_storage::Store;
use spanlake_traceql::reference::StoredSpan;
use spanlake_traceql::reference::random::{EPOCH_UNIX_NANOS, stored_spans};

/// Which spans lie in which block, and how blocks are written.
#[derive(Debug, Clone)]
pub struct Layout {
    pub blocks: Vec<Vec<StoredSpan>>,
    pub options: WriteOptions,
    /// Few, so that a search takes its blocks in several steps and may end before the last.
    pub fetches_per_query: usize,
}

/// A querier over a layout.
pub struct World {
    pub querier: Querier,
}

impl Layout {
    /// Some traces, each over one to four of at most twelve blocks, some spans in two; small row groups and pages.
    pub fn random(rng: &mut StdRng) -> Self {
        let trace_count = rng.random_range(1..16);
        let mut blocks = vec![Vec::new(); rng.random_range(1..=12)];
        let places = blocks.len();
        let mut of_trace = std::collections::HashMap::new();
        for one in stored_spans(rng, trace_count) {
            let choices = of_trace.entry(one.span.trace_id.clone()).or_insert_with(|| {
                (0..rng.random_range(1..=4)).map(|_| rng.random_range(0..places)).collect::<Vec<_>>()
            });
            let choice = choices[rng.random_range(0..choices.len())];
            if rng.random_range(0..10) == 0 {
                blocks[rng.random_range(0..places)].push(one.clone());
            }
            blocks[choice].push(one);
        }
        let options = WriteOptions {
            row_group_rows: rng.random_range(4..60),
            page_rows: rng.random_range(2..20),
            min_values: rng.random_range(1..6),
            max_attribute_columns: rng.random_range(0..12),
            ..WriteOptions::default()
        };
        Self { blocks, options, fetches_per_query: rng.random_range(1..=3) }
    }

    /// The level of a block: every other one tells how long operations took.
    pub fn level(block: usize) -> u8 {
        (block % 2) as u8
    }

    /// All spans, copies too.
    pub fn stored(&self) -> Vec<StoredSpan> {
        self.blocks.concat()
    }
}

impl World {
    pub async fn new(layout: &Layout) -> Self {
        let catalog = Catalog::new(Store::memory(), spanlake_catalog::Config::default());
        let config = Config { fetches_per_query: layout.fetches_per_query, ..Config::default() };
        let querier = Querier::new(config, catalog.clone(), &mut Registry::default());
        for (number, block) in layout.blocks.iter().enumerate().filter(|(_, block)| !block.is_empty()) {
            let bytes = Bytes::from(request(block).encode_to_vec());
            let batch = spanlake_otlp::index(bytes, &Limits::default()).expect("a good request");
            assert_eq!(batch.spans.len(), block.len(), "{:?}", batch.rejected);
            let options = WriteOptions { level: Layout::level(number), ..layout.options.clone() };
            let written = write_block(&[batch], &options).expect("a block");
            catalog.publish_l0(&Tenant::single(), written).await.expect("published");
        }
        Self { querier }
    }
}

fn request(spans: &[StoredSpan]) -> ExportTraceServiceRequest {
    let group = |stored: &StoredSpan| ResourceSpans {
        resource: Some(stored.resource.clone()),
        scope_spans: vec![ScopeSpans {
            scope: stored.scope.clone(),
            spans: vec![stored.span.clone()],
            schema_url: String::new(),
        }],
        schema_url: String::new(),
    };
    ExportTraceServiceRequest { resource_spans: spans.iter().map(group).collect() }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WriteOptions { row_group_rows, page_rows, min_values, max_attribute_columns, .. } = self.options;
        writeln!(
            f,
            "row groups of {row_group_rows}, pages of {page_rows}, columns from {min_values} values, at most \
             {max_attribute_columns}"
        )?;
        for (number, block) in self.blocks.iter().enumerate().filter(|(_, block)| !block.is_empty()) {
            writeln!(f, "block {number}")?;
            for one in block {
                describe(one, f)?;
            }
        }
        Ok(())
    }
}

/// One span in a few lines; times in milliseconds from the first that traces start at.
fn describe(one: &StoredSpan, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let span = &one.span;
    let id = |bytes: &[u8]| {
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if text.is_empty() { "none".to_owned() } else { text }
    };
    let ms = |nanos: u64| match nanos {
        0 => "no time".to_owned(),
        nanos => ((nanos.wrapping_sub(EPOCH_UNIX_NANOS) as i64) as f64 / 1e6).to_string(),
    };
    writeln!(
        f,
        "  trace {} span {} parent {} {:?} kind {} from {} to {} status {:?}",
        id(&span.trace_id),
        id(&span.span_id),
        id(&span.parent_span_id),
        span.name,
        span.kind,
        ms(span.start_time_unix_nano),
        ms(span.end_time_unix_nano),
        span.status.as_ref().map(|status| (status.code, status.message.as_str())),
    )?;
    list("span", &span.attributes, f)?;
    list("resource", &one.resource.attributes, f)?;
    for event in &span.events {
        list(&format!("event {:?} at {}", event.name, ms(event.time_unix_nano)), &event.attributes, f)?;
    }
    for link in &span.links {
        list(&format!("link to {} {}", id(&link.trace_id), id(&link.span_id)), &link.attributes, f)?;
    }
    match &one.scope {
        Some(scope) => list(&format!("scope {:?} {:?}", scope.name, scope.version), &scope.attributes, f),
        None => Ok(()),
    }
}

fn list(of: &str, attributes: &[KeyValue], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "    {of}:")?;
    for attribute in attributes {
        write!(f, " {}={:?}", attribute.key, attribute.value.as_ref().and_then(|value| value.value.as_ref()))?;
    }
    writeln!(f)
}
