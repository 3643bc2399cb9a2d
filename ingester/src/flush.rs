//! One flush: requests become a block, the block becomes durable, every request hears of it.
//!
//! It decides nothing about when; it answers each request exactly once.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use spanlake_block::Written;
use spanlake_model::Tenant;
use spanlake_otlp::Batch;
use tokio::time::{Instant, timeout};

use crate::error::{PushError, retry_after};
use crate::ingester::Shared;
use crate::lane::Pending;

/// Where blocks go. The catalog is the only sink outside tests.
#[async_trait]
pub(crate) trait Sink: std::fmt::Debug + Send + Sync + 'static {
    /// Makes one block of the requests: CPU only, some hundred milliseconds at most.
    fn seal(&self, batches: &[Batch]) -> Result<Written, FlushFailure>;

    /// Makes the block durable and visible: one create-only PUT.
    async fn publish(&self, tenant: &Tenant, block: Written) -> Result<(), FlushFailure>;
}

/// Why the requests of a flush are not acknowledged. None of them is.
#[derive(Debug, Clone)]
pub(crate) enum FlushFailure {
    /// The store did not take the block, or nobody knows.
    Unavailable(Arc<str>),
    /// The store has no room.
    Full(Arc<str>),
    /// The block could not be made.
    Defect(Arc<str>),
}

impl From<FlushFailure> for PushError {
    fn from(failure: FlushFailure) -> Self {
        match failure {
            FlushFailure::Unavailable(reason) => Self::Unavailable { reason, retry_after: retry_after() },
            FlushFailure::Full(reason) => Self::Full { reason, retry_after: retry_after() },
            FlushFailure::Defect(reason) => Self::Internal(reason),
        }
    }
}

/// Seals and publishes the requests as one block and answers them all alike. When they cannot be sealed together each is
/// tried alone, so that one request that trips a defect does not fail the others.
pub(crate) async fn flush(shared: Arc<Shared>, tenant: Tenant, requests: Vec<Pending>) {
    let started = Instant::now();
    let (batches, waiting): (Vec<_>, Vec<_>) = requests.into_iter().map(split).unzip();
    shared.metrics.flush_bytes.observe(batches.iter().map(|b| b.bytes.len()).sum::<usize>() as f64);
    shared.metrics.flush_spans.observe(batches.iter().map(|b| b.spans.len()).sum::<usize>() as f64);
    let batches = Arc::new(batches);
    let whole = 0..batches.len();
    match seal(&shared, &batches, whole.clone()).await {
        Err(failure @ FlushFailure::Defect(_)) if batches.len() > 1 => {
            tracing::error!(%tenant, ?failure, "a flush could not be sealed: trying its requests one by one");
            for (i, waiting) in waiting.into_iter().enumerate() {
                let outcome = match seal(&shared, &batches, i..i + 1).await {
                    Ok(block) => publish(&shared, &tenant, block).await,
                    Err(failure) => Err(failure),
                };
                answer(&tenant, vec![waiting], &outcome);
            }
        }
        Err(failure) => answer(&tenant, waiting, &Err(failure)),
        Ok(block) => {
            // The block stands for the requests from here on; their bytes need not stay.
            drop(batches);
            let outcome = publish(&shared, &tenant, block).await;
            answer(&tenant, waiting, &outcome);
        }
    }
    shared.metrics.flush_seconds.observe(started.elapsed().as_secs_f64());
}

/// The batch goes into the block; the charge, the spans' account and the caller wait for the outcome.
fn split(mut request: Pending) -> (Batch, Pending) {
    (std::mem::take(&mut request.batch), request)
}

async fn seal(shared: &Arc<Shared>, batches: &Arc<Vec<Batch>>, range: Range<usize>) -> Result<Written, FlushFailure> {
    let (sink, batches) = (Arc::clone(&shared.sink), Arc::clone(batches));
    let metrics = shared.metrics.clone();
    let sealed = shared.on_cpu(move || {
        let started = Instant::now();
        let sealed = sink.seal(&batches[range]);
        metrics.seal_seconds.observe(started.elapsed().as_secs_f64());
        sealed
    });
    match sealed.await {
        Some(sealed) => sealed,
        None => Err(FlushFailure::Defect(Arc::from("the block writer panicked"))),
    }
}

async fn publish(shared: &Shared, tenant: &Tenant, block: Written) -> Result<(), FlushFailure> {
    let started = Instant::now();
    shared.metrics.put_bytes.observe(block.bytes.len() as f64);
    let outcome = timeout(shared.publish_timeout, shared.sink.publish(tenant, block)).await;
    shared.metrics.put_seconds.observe(started.elapsed().as_secs_f64());
    outcome.unwrap_or_else(|_elapsed| Err(FlushFailure::Unavailable(Arc::from("the store did not answer in time"))))
}

fn answer(tenant: &Tenant, waiting: Vec<Pending>, outcome: &Result<(), FlushFailure>) {
    if let Err(failure) = outcome {
        tracing::error!(%tenant, request_count = waiting.len(), ?failure, "a flush failed: its requests are refused");
    }
    for Pending { charge, unsettled, queued_at, ack, .. } in waiting {
        match outcome {
            Ok(()) => unsettled.acknowledge(queued_at.elapsed()),
            Err(_) => drop(unsettled),
        }
        drop(charge);
        // A caller that went away has nobody to tell; its spans are stored and counted all the same.
        let _ = ack.send(outcome.clone());
    }
}
