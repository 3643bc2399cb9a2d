//! One process's way to the store. Closing it for good is `kill -9` as everyone else sees it: what the process had sent may
//! still land, nothing more is sent, and it hears no answer.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use spanlake_catalog::Catalog;
use spanlake_model::world::{Clock, on_clock};
use spanlake_storage::{Backend, Driver, Error, Operation, Page};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::history::History;
use crate::invariants::is_live;

/// Where in its calls a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// The number of the call, the first being 1.
    pub call: u64,
    /// Whether the call takes effect.
    pub after_effect: bool,
}

/// The gate of one process.
pub struct Gate {
    name: String,
    inner: Arc<dyn Driver>,
    truth: Catalog,
    history: Arc<History>,
    clock: Clock,
    state: Mutex<State>,
    dead: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    calls: u64,
    death: Option<Death>,
    frozen_until: Option<Instant>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gate of {}", self.name)
    }
}

impl Gate {
    /// `truth` sees the objects as they are, to judge what the process deletes.
    pub fn new(name: String, inner: Arc<dyn Driver>, truth: Catalog, history: Arc<History>, clock: Clock) -> Arc<Self> {
        Arc::new(Self { name, inner, truth, history, clock, state: Mutex::default(), dead: watch::Sender::new(false) })
    }

    /// Ends the process now.
    pub fn kill(&self) {
        if !self.dead.send_replace(true) {
            self.history.note(format_args!("{} is killed", self.name));
        }
    }

    /// Ends the process at a call that it will make.
    pub fn kill_at(&self, death: Death) {
        self.state().death = Some(death);
    }

    /// Calls made so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Stops the process for a while: what it sends leaves, and what it hears arrives, afterwards.
    pub fn freeze(&self, length: Duration) {
        self.history.note(format_args!("{} stands still for {} ms", self.name, length.as_millis()));
        self.state().frozen_until = Some(Instant::now() + length);
    }

    pub fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// Returns when the process has died.
    pub async fn death(&self) {
        let mut dead = self.dead.subscribe();
        dead.wait_for(|dead| *dead).await.expect("the gate holds the sender");
    }

    /// What a caller outside hears of `work` of this process, which goes by its clock: nothing if it dies first.
    pub async fn hear<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.death() => None,
            outcome = on_clock(Some(self.clock.clone()), work) => Some(outcome),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    async fn thaw(&self) {
        let until = self.state().frozen_until;
        if let Some(until) = until.filter(|until| *until > Instant::now()) {
            tokio::time::sleep_until(until).await;
        }
    }

    async fn pass<T>(
        &self,
        operation: Operation,
        key: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let (number, death) = {
            let mut state = self.state();
            state.calls += 1;
            (state.calls, state.death)
        };
        let dies = |after_effect| death == Some(Death { call: number, after_effect });
        self.thaw().await;
        if dies(false) {
            self.kill();
        }
        self.stop_if_dead().await;
        // The store has a clock of its own.
        let outcome = on_clock(None, call).await;
        if dies(true) {
            self.kill();
        }
        self.thaw().await;
        self.stop_if_dead().await;
        let told: &dyn fmt::Display = match &outcome {
            Ok(_) => &"ok",
            Err(error) => &error.kind(),
        };
        self.history.note(format_args!("{} {number} {operation} {key}: {told}", self.name));
        outcome
    }

    async fn stop_if_dead(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Driver for Gate {
    fn backend(&self) -> Backend {
        self.inner.backend()
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, Error> {
        let operation = if range.is_some() { Operation::GetRange } else { Operation::Get };
        self.pass(operation, key, self.inner.get(key, range)).await
    }

    async fn put_new(&self, key: &str, body: Bytes) -> Result<(), Error> {
        self.pass(Operation::Put, key, self.inner.put_new(key, body)).await
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page, Error> {
        self.pass(Operation::List, prefix, self.inner.list_page(prefix, start_after, next, limit)).await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        if on_clock(None, is_live(&self.truth, key)).await && !self.is_dead() {
            self.history.violate(format!("{} deletes {key}, which is live", self.name));
        }
        self.pass(Operation::Delete, key, self.inner.delete(key)).await
    }
}
