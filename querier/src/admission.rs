//! Which queries run and which wait: so many at once in the process, so many of one tenant, and turns between tenants.
//!
//! It knows tenants, not queries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spanlake_model::Tenant;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::error::Error;
use crate::metrics::Metrics;

mod queue;
#[cfg(test)]
mod tests;

use queue::{Bounds, Entered, Queue, Ticket};

/// The queue of a process. Clones share it.
///
/// Tenants take turns: however many queries of one tenant wait, the first one of another waits for no more than one of
/// theirs to start. A query over several tenants takes its turns under the whole list of them.
#[derive(Clone)]
pub(crate) struct Admission {
    state: Arc<Mutex<State>>,
    metrics: Metrics,
}

struct State {
    queue: Queue<Vec<Tenant>>,
    waiting: HashMap<Ticket, oneshot::Sender<()>>,
}

/// A place among the queries that wait or run, given back when it is dropped.
pub(crate) struct Place {
    admission: Admission,
    ticket: Ticket,
    /// Resolves when the turn comes; none when it has come.
    turn: Option<oneshot::Receiver<()>>,
}

impl Admission {
    pub(crate) fn new(config: &Config, metrics: Metrics) -> Self {
        let per_key = if config.tenancy_enabled {
            config.max_concurrent_queries_per_tenant
        } else {
            config.max_concurrent_queries
        };
        let bounds = Bounds {
            running: config.max_concurrent_queries,
            running_per_key: per_key,
            waiting: config.max_queued_queries,
        };
        let state = State { queue: Queue::new(bounds), waiting: HashMap::new() };
        Self { state: Arc::new(Mutex::new(state)), metrics }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Error::Busy`] when it would have to wait and the queue is full.
    pub(crate) fn enter(&self, tenants: &[Tenant]) -> Result<Place, Error> {
        let mut key = tenants.to_vec();
        key.sort_unstable();
        let mut state = self.state();
        let (ticket, turn) = match state.queue.enter(key) {
            Entered::Full => return Err(Error::Busy),
            Entered::Runs(ticket) => (ticket, None),
            Entered::Waits(ticket) => {
                let (start, turn) = oneshot::channel();
                state.waiting.insert(ticket, start);
                (ticket, Some(turn))
            }
        };
        self.observe(&state);
        drop(state);
        Ok(Place { admission: self.clone(), ticket, turn })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock leaves it between two states.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observe(&self, state: &State) {
        self.metrics.waiting.set(i64::try_from(state.queue.waiting()).unwrap_or(i64::MAX));
    }
}

impl Place {
    /// Waits for the turn to run. Dropping the place instead leaves the queue.
    pub(crate) async fn turn(&mut self) {
        if let Some(turn) = &mut self.turn {
            // The sender lives in the queue until it has sent: the place itself is what would take it out.
            let _ = turn.await;
            self.turn = None;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.waiting.remove(&self.ticket);
        for started in state.queue.leave(self.ticket) {
            if let Some(start) = state.waiting.remove(&started) {
                // Whoever dropped the other end drops its place too, and that gives the turn to the next.
                let _ = start.send(());
            }
        }
        self.admission.observe(&state);
    }
}
