//! What the tests of this crate share: requests to send and a sink that does as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prometheus_client::registry::Registry;
use prost::Message;
use spanlake_block::{BlockMeta, WriteReport, Written};
use spanlake_model::Tenant;
use spanlake_otlp::Batch;

use crate::config::Config;
use crate::flush::{FlushFailure, Sink};
use crate::ingester::Ingester;

/// A trace id that makes [`ScriptedSink`] panic when it seals.
pub(crate) const POISON: [u8; 16] = [0xDE; 16];

/// What the next publishes do; success at once when the script is over.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Succeed(Duration),
    Fail(FlushFailure),
}

/// A sink that follows a script and remembers what it was given.
#[derive(Debug, Default)]
pub(crate) struct ScriptedSink {
    pub script: Mutex<VecDeque<Act>>,
    /// Request counts of what was sealed.
    pub sealed: Mutex<Vec<usize>>,
    /// Tenant and span count of what was published.
    pub published: Mutex<Vec<(String, u64)>>,
}

impl ScriptedSink {
    pub fn then(&self, acts: impl IntoIterator<Item = Act>) {
        self.script.lock().unwrap().extend(acts);
    }

    pub fn sealed(&self) -> Vec<usize> {
        self.sealed.lock().unwrap().clone()
    }

    pub fn published_spans(&self) -> u64 {
        self.published.lock().unwrap().iter().map(|(_, span_count)| span_count).sum()
    }
}

#[async_trait]
impl Sink for ScriptedSink {
    fn seal(&self, batches: &[Batch]) -> Result<Written, FlushFailure> {
        let spans = || batches.iter().flat_map(|batch| &batch.spans);
        assert!(spans().all(|span| span.trace_id.0 != POISON), "poison");
        self.sealed.lock().unwrap().push(batches.len());
        let meta = BlockMeta {
            format_version: 1,
            level: 0,
            span_count: spans().count() as u64,
            trace_count: 1,
            min_start_unix_nanos: 0,
            max_end_unix_nanos: 0,
            object_bytes: 3,
            search_offset: 1,
            tail_offset: 2,
            tail_crc32c: 0,
        };
        Ok(Written { bytes: Bytes::from_static(b"abc"), meta, report: WriteReport::default() })
    }

    async fn publish(&self, tenant: &Tenant, block: Written) -> Result<(), FlushFailure> {
        let act = self.script.lock().unwrap().pop_front();
        match act {
            Some(Act::Fail(failure)) => return Err(failure),
            Some(Act::Succeed(after)) => tokio::time::sleep(after).await,
            None => {}
        }
        self.published.lock().unwrap().push((tenant.to_string(), block.meta.span_count));
        Ok(())
    }
}

pub(crate) fn ingester(config: Config) -> (Ingester, Arc<ScriptedSink>) {
    let sink = Arc::new(ScriptedSink::default());
    let ingester = Ingester::with_sink(config, false, Arc::clone(&sink) as Arc<dyn Sink>, &mut Registry::default());
    (ingester, sink)
}

pub(crate) fn span(trace_id: [u8; 16], i: usize) -> Span {
    Span {
        trace_id: trace_id.to_vec(),
        span_id: (i as u64 + 1).to_be_bytes().to_vec(),
        name: "GET /".to_owned(),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_001_000_000,
        ..Span::default()
    }
}

pub(crate) fn request_of(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
}

/// A request with this many good spans.
pub(crate) fn request(span_count: usize) -> Bytes {
    let spans = (0..span_count).map(|i| span([7; 16], i)).collect();
    Bytes::from(request_of(spans).encode_to_vec())
}

/// The account that must always balance: received, and the three ways a span can end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub received: u64,
    pub acked: u64,
    pub rejected: u64,
    pub failed: u64,
}

pub(crate) fn account(ingester: &Ingester) -> Account {
    let metrics = &ingester.shared().metrics;
    let rejected = spanlake_otlp::Reason::ALL.map(|reason| {
        let label = crate::metrics::ReasonLabel { reason: reason.as_str() };
        metrics.spans_rejected.get_or_create(&label).get()
    });
    let account = Account {
        received: metrics.spans_received.get(),
        acked: metrics.spans_acked.get(),
        rejected: rejected.iter().sum(),
        failed: metrics.spans_failed.get(),
    };
    assert_eq!(account.received, account.acked + account.rejected + account.failed, "{account:?}");
    account
}
