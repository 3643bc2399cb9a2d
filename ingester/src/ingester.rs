//! The way in: admits requests under the bounds, checks them, hands them to their tenant's lane, waits for durability.
//!
//! It knows nothing of HTTP, gRPC or compression.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use spanlake_catalog::Catalog;
use spanlake_model::{Tenant, world};
use spanlake_otlp::{Batch, Group, Limits, Rejections, SpanEntry};
use spanlake_storage::Backend;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::budget::{Budget, Charge};
use crate::config::Config;
use crate::cores::{Cores, Work};
use crate::error::PushError;
use crate::flush::Sink;
use crate::lane::{self, Lane, Pending, Policy};
use crate::metrics::{Metrics, ReasonLabel, Unsettled};
use crate::sink::CatalogSink;

/// Work on more bytes than this leaves the threads that serve connections: at some hundred MB/s it would hold one up
/// for a millisecond or more.
pub(crate) const INLINE_BYTES: usize = 256 << 10;

/// The part of a request's bytes that is charged ahead for the index of its spans: enough for spans of 192 bytes, less than most
/// services send.
const INDEX_SHARE: usize = 192 / size_of::<SpanEntry>();

/// What was stored of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Spans that are durable now.
    pub span_count: u64,
    /// Spans that were refused one by one; repeating them cannot help.
    pub rejected_count: u64,
    /// A sentence about what was refused or cut; empty when all was stored as sent.
    pub message: String,
}

/// The ingest role. Cheap to clone; all clones share one set of bounds.
#[derive(Debug, Clone)]
pub struct Ingester(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub policy: Policy,
    pub publish_timeout: Duration,
    pub sink: Arc<dyn Sink>,
    pub metrics: Metrics,
    pub config: Config,
    limits: Limits,
    budget: Arc<Budget>,
    lanes: Mutex<HashMap<Tenant, Arc<Lane>>>,
    lane_closed: Notify,
    closing: watch::Sender<bool>,
    /// Sealing and other long computations take a core each, so that they never outnumber the cores.
    cores: Arc<Cores>,
}

impl Ingester {
    /// An ingester that writes to this catalog. Makes no request to the store.
    pub fn new(config: Config, catalog: Catalog, registry: &mut Registry) -> Self {
        let remote = catalog.store().backend() == Backend::Remote;
        Self::with_sink(config, remote, Arc::new(CatalogSink::new(catalog)), registry)
    }

    pub(crate) fn with_sink(config: Config, remote: bool, sink: Arc<dyn Sink>, registry: &mut Registry) -> Self {
        let metrics = Metrics::new(registry);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Shared {
            policy: Policy {
                interval: config.flush_interval(remote),
                max_bytes: config.flush_bytes.as_usize(),
                max_spans: config.flush_spans,
                max_in_flight: config.max_flushes_in_flight.max(1),
            },
            publish_timeout: config.publish_timeout.get(),
            sink,
            limits: config.limits.to_otlp(),
            budget: Budget::new(
                config.max_in_flight_bytes.bytes(),
                config.tenant_in_flight_bytes(),
                config.max_hold.get(),
                metrics.in_flight.clone(),
            ),
            metrics,
            lanes: Mutex::default(),
            lane_closed: Notify::new(),
            closing: watch::Sender::new(false),
            cores: Cores::new(cores),
            config,
        }))
    }

    /// Stores one decompressed `ExportTraceServiceRequest` in protobuf and returns when its spans are durable and
    /// visible to the next query. Costs one PUT, shared with the tenant's other requests of the moment; none when there
    /// is nothing to store. A caller that goes away does not stop what is under way.
    ///
    /// # Errors
    /// [`PushError`]; then no span counts as stored, though some may be found when the outcome of a PUT is unknown.
    pub async fn push(&self, tenant: Tenant, request: Bytes) -> Result<Accepted, PushError> {
        let mut admission = self.admit(tenant)?;
        admission.hold(request.len()).await?;
        admission.store(request).await
    }

    /// Takes no more work, flushes what is in hand and waits for it, at most `shutdown_timeout`. Returns whether
    /// everything in hand was answered.
    pub async fn shutdown(&self) -> bool {
        let deadline = Instant::now() + self.0.config.shutdown_timeout.get();
        self.0.closing.send_replace(true);
        self.0.budget.close();
        for lane in self.0.lock_lanes().values() {
            lane.close();
        }
        loop {
            let closed = self.0.lane_closed.notified();
            tokio::pin!(closed);
            closed.as_mut().enable();
            let left = self.0.lock_lanes().len();
            if left == 0 {
                return true;
            }
            if timeout_at(deadline, closed).await.is_err() {
                tracing::error!(
                    tenant_count = left,
                    "shutdown ends with requests in hand: their senders must repeat them"
                );
                return false;
            }
        }
    }

    /// Whether [`Ingester::shutdown`] has begun.
    pub fn is_closing(&self) -> bool {
        *self.0.closing.borrow()
    }

    /// Waits for [`Ingester::shutdown`] to begin.
    pub(crate) async fn until_closing(&self) {
        // The sender lives as long as the ingester does.
        let _ = self.0.closing.subscribe().wait_for(|is_closing| *is_closing).await;
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Opens the tenant's lane for one request, which holds no bytes yet.
    pub(crate) fn admit(&self, tenant: Tenant) -> Result<Admission, PushError> {
        let lane = {
            let mut lanes = self.0.lock_lanes();
            // Asked under the lock: once `shutdown` has seen the lanes, there are no new ones.
            if self.is_closing() {
                return Err(PushError::shutting_down());
            }
            let open_count = lanes.len();
            if let Some(lane) = lanes.get(&tenant) {
                Arc::clone(lane)
            } else if open_count >= self.0.config.max_tenants {
                return Err(PushError::throttled(format!("{open_count} tenants are open (max_tenants)")));
            } else {
                let lane = Arc::new(Lane::new(tenant.clone(), self.0.budget.tenant()));
                lanes.insert(tenant, Arc::clone(&lane));
                self.0.metrics.tenants_open.inc();
                lane
            }
        };
        let charge = lane.budget.charge();
        Ok(Admission { charge, lane: LaneGuard { shared: Arc::clone(&self.0), lane: Some(lane) } })
    }
}

impl Shared {
    /// Runs a computation over so many bytes beside the threads that serve connections, at most one per core and one short one
    /// more; tenants take turns. Nothing when it panicked.
    pub async fn on_cpu<T: Send + 'static>(
        &self,
        tenant: &Tenant,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if world::is_simulated() {
            return Some(work());
        }
        let length = if bytes <= INLINE_BYTES { Work::Short } else { Work::Long };
        let permit = self.cores.acquire(tenant, length).await;
        let outcome = tokio::task::spawn_blocking(move || {
            // Kept until the work ends, even when the caller goes away.
            let _permit = permit;
            work()
        });
        outcome.await.ok()
    }

    /// Whether more than one tenant has requests in hand.
    pub fn has_several_tenants(&self) -> bool {
        self.budget.active_tenants() > 1
    }

    /// A block has been made whose first request waited for it so long: what may be held follows. The interval of flushes is
    /// meant to be waited for.
    pub fn block_made(&self, waited: Duration) {
        self.budget.delayed(waited.saturating_sub(self.policy.interval));
    }

    /// The whole budget: no request can hold more.
    pub fn in_flight_bytes(&self) -> usize {
        self.budget.bytes()
    }

    fn lock_lanes(&self) -> MutexGuard<'_, HashMap<Tenant, Arc<Lane>>> {
        // The map is changed by single insertions and removals, so a poisoned one is sound.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a lane open. The last guard to go closes it.
#[derive(Debug)]
pub(crate) struct LaneGuard {
    shared: Arc<Shared>,
    lane: Option<Arc<Lane>>,
}

impl LaneGuard {
    pub fn lane(&self) -> &Arc<Lane> {
        self.lane.as_ref().expect("a guard holds its lane until it is dropped")
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        let Some(lane) = self.lane.take() else { return };
        let mut lanes = self.shared.lock_lanes();
        let tenant = lane.tenant.clone();
        drop(lane);
        // Lanes are cloned out of the map under its lock only, so one that nobody else holds cannot be in use.
        if lanes.get(&tenant).is_some_and(|lane| Arc::strong_count(lane) == 1) {
            lanes.remove(&tenant);
            self.shared.metrics.tenants_open.dec();
            self.shared.lane_closed.notify_waiters();
        }
    }
}

/// One request on its way in, with the bytes it holds.
#[derive(Debug)]
pub(crate) struct Admission {
    charge: Charge,
    lane: LaneGuard,
}

impl Admission {
    /// Makes sure that `bytes` in all, and the index of the spans in them, are charged before they are kept.
    pub async fn hold(&mut self, bytes: usize) -> Result<(), PushError> {
        self.charge.raise_to(self.with_index(bytes)).await
    }

    /// A request that fits the budget by itself is not refused for its index.
    fn with_index(&self, bytes: usize) -> usize {
        bytes.saturating_add(bytes / INDEX_SHARE).min(self.lane.shared.budget.bytes()).max(bytes)
    }

    /// Whose request it is.
    pub fn tenant(&self) -> Tenant {
        self.lane.lane().tenant.clone()
    }

    /// Gives back what is charged above `bytes`, which may have to be waited for again.
    pub fn give_back(&mut self, bytes: usize) {
        self.charge.lower_to(self.with_index(bytes));
    }

    /// From here on these bytes are all that the request holds; what is charged above them is given back.
    pub fn keep(&mut self, mut bytes: Vec<u8>) -> Bytes {
        if bytes.capacity() > bytes.len() + bytes.len() / 4 {
            bytes.shrink_to_fit();
        }
        self.charge.lower_to(self.with_index(bytes.capacity()));
        Bytes::from(bytes)
    }

    /// The last step: index, queue, wait for the flush.
    pub async fn store(mut self, request: Bytes) -> Result<Accepted, PushError> {
        let shared = Arc::clone(&self.lane.shared);
        let indexed = if request.len() <= INLINE_BYTES {
            spanlake_otlp::index(request, &shared.limits)
        } else {
            let limits = shared.limits.clone();
            let (tenant, bytes) = (&self.lane.lane().tenant, request.len());
            let indexed = shared.on_cpu(tenant, bytes, move || spanlake_otlp::index(request, &limits)).await;
            indexed.ok_or_else(|| PushError::Internal(Arc::from("the decoder panicked")))?
        };
        let batch = indexed.map_err(|malformed| PushError::Malformed(malformed.to_string()))?;

        let (span_count, rejected_count) = (batch.spans.len() as u64, batch.rejected.span_count);
        let metrics = &shared.metrics;
        metrics.spans_received.inc_by(span_count + rejected_count);
        metrics.spans_truncated.inc_by(u64::from(batch.truncated_spans));
        for (reason, count) in batch.rejected.iter() {
            metrics.spans_rejected.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc_by(count);
        }
        let accepted = Accepted { span_count, rejected_count, message: message(&batch) };
        if span_count == 0 {
            return Ok(accepted);
        }
        let unsettled = Unsettled::new(metrics, span_count);
        let queued_at = Instant::now();
        self.charge.settle_at(held_bytes(&batch));
        let (ack, acknowledged) = oneshot::channel();
        lane::enqueue(self.lane, Pending { batch, charge: self.charge, unsettled, queued_at, ack });
        match acknowledged.await {
            Ok(Ok(())) => Ok(accepted),
            Ok(Err(failure)) => Err(failure.into()),
            Err(_dropped) => Err(PushError::Internal(Arc::from("the flush panicked"))),
        }
    }
}

/// What an indexed request takes in memory: for short spans the index outweighs the bytes.
fn held_bytes(batch: &Batch) -> usize {
    batch.bytes.len() + batch.spans.len() * size_of::<SpanEntry>() + batch.groups.len() * size_of::<Group>()
}

fn message(batch: &Batch) -> String {
    let mut sentences = Vec::new();
    if batch.rejected.span_count > 0 {
        let Rejections { span_count, first_reason, .. } = &batch.rejected;
        sentences.push(format!("{span_count} spans rejected, the first one because {first_reason}"));
    }
    if batch.truncated_spans > 0 {
        sentences.push(format!("{} spans stored but truncated to the server's limits", batch.truncated_spans));
    }
    sentences.join("; ")
}

#[cfg(test)]
mod tests;
