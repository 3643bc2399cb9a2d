//! One flush: requests become a block, the block becomes durable, every request hears of it.
//!
//! It decides nothing about when; it answers each request exactly once.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use spanlake_block::Written;
use spanlake_model::Tenant;
use spanlake_otlp::Batch;
use tokio::time::{Instant, timeout_at};

use crate::error::{PushError, retry_after};
use crate::ingester::Shared;
use crate::lane::Pending;

/// The least share of `publish_timeout` that a request must have left for a flush to take it: a PUT begun later than that
/// would be given up before a healthy store answers. An eighth is 1 s by default.
const LEAST_TIME_SHARE: u32 = 8;

/// Where blocks go. The catalog is the only sink outside tests.
#[async_trait]
pub(crate) trait Sink: std::fmt::Debug + Send + Sync + 'static {
    /// Makes one block of the requests: CPU only, some hundred milliseconds at most.
    fn seal(&self, batches: &[Batch]) -> Result<Written, FlushFailure>;

    /// Makes the block durable and visible: one create-only PUT.
    async fn publish(&self, tenant: &Tenant, block: Written) -> Result<(), FlushFailure>;
}

/// Why the requests of a flush are not acknowledged. None of them is. The texts are for the log.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum FlushFailure {
    /// The store did not take the block, or nobody knows.
    #[error("the store is unavailable: {0}")]
    Unavailable(Arc<str>),
    /// The store has no room.
    #[error("the store is full: {0}")]
    Full(Arc<str>),
    /// The block could not be made.
    #[error("the block could not be made: {0}")]
    Defect(Arc<str>),
}

impl From<FlushFailure> for PushError {
    fn from(failure: FlushFailure) -> Self {
        match failure {
            // What the store said is in the log: it has keys and endpoints in it.
            FlushFailure::Unavailable(_) => Self::Unavailable { retry_after: retry_after() },
            FlushFailure::Full(_) => Self::Full { retry_after: retry_after() },
            FlushFailure::Defect(reason) => Self::Internal(reason),
        }
    }
}

/// Seals and publishes the requests as one block and answers them all alike. When they cannot be sealed together each is
/// tried alone, so that one request that trips a defect does not fail the others. Those whose time is nearly over are
/// refused unsealed. Until `blocked_until` earlier flushes kept this one from its start.
pub(crate) async fn flush(shared: Arc<Shared>, tenant: Tenant, requests: Vec<Pending>, blocked_until: Option<Instant>) {
    let started = Instant::now();
    let patience = shared.publish_timeout;
    let (late, requests): (Vec<_>, Vec<_>) =
        requests.into_iter().partition(|request| request.queued_at + patience < started + patience / LEAST_TIME_SHARE);
    if !late.is_empty() {
        let reason = "what was flushed before took so long that no time is left";
        answer(&tenant, late, &Err(FlushFailure::Unavailable(Arc::from(reason))));
    }
    let Some(oldest) = requests.iter().map(|request| request.queued_at).min() else { return };
    // Counted from when the sender began to wait, not from now: its own time runs while requests queue behind slow PUTs.
    let deadline = oldest + patience;
    let (batches, waiting): (Vec<_>, Vec<_>) = requests.into_iter().map(split).unzip();
    shared.metrics.flush_bytes.observe(batches.iter().map(|b| b.bytes.len()).sum::<usize>() as f64);
    shared.metrics.flush_spans.observe(batches.iter().map(|b| b.spans.len()).sum::<usize>() as f64);
    let batches = Arc::new(batches);
    let whole = 0..batches.len();
    let sealed = seal(&shared, &tenant, &batches, whole.clone()).await;
    // What was waited for the store is no sign of a slow processor.
    shared.block_made(blocked_until.map_or(oldest, |until| until.max(oldest)).elapsed());
    match sealed {
        Err(failure @ FlushFailure::Defect(_)) if batches.len() > 1 => {
            tracing::error!(%tenant, %failure, "a flush could not be sealed: trying its requests one by one");
            for (i, waiting) in waiting.into_iter().enumerate() {
                let outcome = match seal(&shared, &tenant, &batches, i..i + 1).await {
                    Ok(block) => publish(&shared, &tenant, block, deadline).await,
                    Err(failure) => Err(failure),
                };
                answer(&tenant, vec![waiting], &outcome);
            }
        }
        Err(failure) => answer(&tenant, waiting, &Err(failure)),
        Ok(block) => {
            // The block stands for the requests from here on; their bytes need not stay.
            drop(batches);
            let outcome = publish(&shared, &tenant, block, deadline).await;
            answer(&tenant, waiting, &outcome);
        }
    }
    shared.metrics.flush_seconds.observe(started.elapsed().as_secs_f64());
}

/// The batch goes into the block; the charge, the spans' account and the caller wait for the outcome.
fn split(mut request: Pending) -> (Batch, Pending) {
    (std::mem::take(&mut request.batch), request)
}

async fn seal(
    shared: &Arc<Shared>,
    tenant: &Tenant,
    batches: &Arc<Vec<Batch>>,
    range: Range<usize>,
) -> Result<Written, FlushFailure> {
    let (sink, batches) = (Arc::clone(&shared.sink), Arc::clone(batches));
    let metrics = shared.metrics.clone();
    let bytes = batches[range.clone()].iter().map(|batch| batch.bytes.len()).sum();
    let sealed = shared.on_cpu(tenant, bytes, move || {
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

async fn publish(shared: &Shared, tenant: &Tenant, block: Written, deadline: Instant) -> Result<(), FlushFailure> {
    let started = Instant::now();
    if started >= deadline {
        let reason = "making the block took so long that no time is left";
        return Err(FlushFailure::Unavailable(Arc::from(reason)));
    }
    shared.metrics.put_bytes.observe(block.bytes.len() as f64);
    let outcome = timeout_at(deadline, shared.sink.publish(tenant, block)).await;
    shared.metrics.put_seconds.observe(started.elapsed().as_secs_f64());
    outcome.unwrap_or_else(|_elapsed| Err(FlushFailure::Unavailable(Arc::from("the store did not answer in time"))))
}

fn answer(tenant: &Tenant, waiting: Vec<Pending>, outcome: &Result<(), FlushFailure>) {
    if let Err(failure) = outcome {
        tracing::error!(%tenant, request_count = waiting.len(), %failure, "a flush failed: its requests are refused");
    }
    for Pending { charge, unsettled, queued_at, ack, .. } in waiting {
        match outcome {
            Ok(()) => {
                unsettled.acknowledge(queued_at.elapsed());
                charge.accepted();
            }
            Err(_) => drop((unsettled, charge)),
        }
        // A caller that went away has nobody to tell; its spans are stored and counted all the same.
        let _ = ack.send(outcome.clone());
    }
}
