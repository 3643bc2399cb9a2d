//! Whether this process can do its work, and if not, why.
//!
//! It is ready once the store has been written and read, stops being so when requests fail and a new probe fails too,
//! and never is again once it stops.

use std::sync::Arc;
use std::time::Duration;

use spanlake_storage::{Kind, Operation, ProbeError, Store};
use tokio::sync::watch;

/// How often the store's errors are looked at: an outage shows within about a second.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Pause between probes of a store that fails.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Starting,
    Ready,
    StoreFails(String),
    Stopping,
}

/// The state of readiness; clones share it.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<watch::Sender<State>>);

impl Readiness {
    /// Not ready yet: the store has not been probed.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::Starting)))
    }

    /// Why the process is not ready, as a sentence; `Ok` when it is.
    ///
    /// # Errors
    /// The reason.
    pub fn check(&self) -> Result<(), String> {
        match &*self.0.borrow() {
            State::Ready => Ok(()),
            State::Starting => Err("starting: the object store has not been written and read yet".to_owned()),
            State::StoreFails(reason) => Err(reason.clone()),
            State::Stopping => Err("stopping".to_owned()),
        }
    }

    /// The process stops: it is not ready from now on, whatever a probe says.
    pub fn stop(&self) {
        self.0.send_replace(State::Stopping);
    }

    fn set(&self, next: State) {
        self.0.send_if_modified(|state| {
            let change = *state != State::Stopping && *state != next;
            if change {
                *state = next;
            }
            change
        });
    }

    /// Waits for the first verdict on the store, whatever it is.
    pub async fn first_verdict(&self) {
        // The channel cannot close: this value holds its sender.
        let _ = self.0.subscribe().wait_for(|state| *state != State::Starting).await;
    }

    /// Probes the store, and again whenever its requests fail, for ever. A probe is about 15 small requests; while all
    /// is well there is only the first. Returns only when the store turns out to be unfit for good.
    pub async fn watch(&self, store: &Store) -> ProbeError {
        loop {
            let was_ready = self.check().is_ok();
            match store.probe().await {
                Ok(()) => {
                    if matches!(*self.0.borrow(), State::StoreFails(_)) {
                        tracing::warn!("the object store works again");
                    }
                    self.set(State::Ready);
                    wait_for_errors(store).await;
                }
                Err(error @ (ProbeError::NoConditionalCreate { .. } | ProbeError::Inconsistent { .. })) => {
                    return error;
                }
                Err(error) => {
                    if was_ready {
                        tracing::error!(%error, "the object store fails; /ready answers 503");
                    }
                    self.set(State::StoreFails(error.to_string()));
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
            }
        }
    }
}

/// Returns when requests to the store have failed since the call.
async fn wait_for_errors(store: &Store) {
    let seen = error_count(store);
    while error_count(store) == seen {
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

/// Failures of the store so far that speak of the store, not of one key.
fn error_count(store: &Store) -> u64 {
    let kinds = [Kind::Unavailable, Kind::Denied, Kind::Full];
    let count = |operation| kinds.iter().map(|kind| store.meter().error_count(operation, *kind)).sum::<u64>();
    Operation::ALL.into_iter().map(count).sum()
}
