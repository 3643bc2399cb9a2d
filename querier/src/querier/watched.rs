//! Which queries run and which were slow, for people; and a way to end one.
//!
//! It knows requests by their path and text, not what answers them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Notify;

use crate::engine::explore::UnixNanos;

/// A query that takes longer is remembered as slow.
const SLOW: Duration = Duration::from_secs(1);
/// Slow queries that are remembered.
const MAX_SLOW: usize = 20;
/// Bytes of a query's text that are kept.
const MAX_TEXT_BYTES: usize = 4 << 10;

tokio::task_local! {
    /// The query that the task works on.
    pub(crate) static CURRENT: Arc<Effort>;
}

/// What a query has looked into so far.
#[derive(Debug, Default)]
pub(crate) struct Effort {
    bytes: AtomicU64,
    spans: AtomicU64,
}

impl Effort {
    /// Counts bytes of objects.
    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts spans of row groups.
    pub(crate) fn add_spans(&self, spans: u64) {
        self.spans.fetch_add(spans, Ordering::Relaxed);
    }
}

/// What a query is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The route, such as `/api/search`.
    pub(crate) kind: String,
    /// Its text.
    pub(crate) query: String,
    /// The tenants as the request names them.
    pub(crate) tenant: String,
    /// Whether it ends by itself: one that does not is never slow.
    pub(crate) has_end: bool,
}

/// The queries of a process. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    running: BTreeMap<u64, Running>,
    slow: VecDeque<WatchedQuery>,
}

#[derive(Debug)]
struct Running {
    asked: Asked,
    started: Instant,
    started_unix_nanos: u64,
    effort: Arc<Effort>,
    cancel: Arc<Notify>,
}

/// A query as it is told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WatchedQuery {
    /// Its number, as a text.
    pub(crate) id: String,
    /// The route, such as `/api/search`.
    pub(crate) kind: String,
    /// Its text.
    pub(crate) query: String,
    /// The tenants as the request names them; empty where tenancy is off.
    pub(crate) tenant: String,
    /// When it began.
    pub(crate) started_unix_nanos: UnixNanos,
    /// How long it took, or has taken so far.
    pub(crate) duration_nanos: u64,
    /// Bytes of objects looked into.
    pub(crate) inspected_bytes: u64,
    /// Spans of row groups looked into.
    pub(crate) inspected_spans: u64,
    /// The status it ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
}

/// A place among the running queries, given back when it is dropped.
pub(crate) struct Place {
    watched: Watched,
    id: u64,
    status: u16,
    pub(crate) effort: Arc<Effort>,
    pub(crate) cancel: Arc<Notify>,
}

impl Running {
    fn told(&self, id: u64, status: Option<u16>) -> WatchedQuery {
        WatchedQuery {
            id: id.to_string(),
            kind: self.asked.kind.clone(),
            query: self.asked.query.clone(),
            tenant: self.asked.tenant.clone(),
            started_unix_nanos: UnixNanos(self.started_unix_nanos),
            duration_nanos: u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX),
            inspected_bytes: self.effort.bytes.load(Ordering::Relaxed),
            inspected_spans: self.effort.spans.load(Ordering::Relaxed),
            status,
        }
    }
}

impl Watched {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock leaves it between two states.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to watch a query. How many there are is bounded by the connections of the server.
    pub(crate) fn begin(&self, mut asked: Asked, now_unix_nanos: u64) -> Place {
        asked.query.truncate(asked.query.floor_char_boundary(MAX_TEXT_BYTES));
        let (effort, cancel) = (Arc::new(Effort::default()), Arc::new(Notify::new()));
        let running = Running {
            asked,
            started: Instant::now(),
            started_unix_nanos: now_unix_nanos,
            effort: Arc::clone(&effort),
            cancel: Arc::clone(&cancel),
        };
        let mut state = self.state();
        state.next += 1;
        let id = state.next;
        state.running.insert(id, running);
        Place { watched: self.clone(), id, status: crate::http::refusal::CLIENT_GONE, effort, cancel }
    }

    /// Those that run, the oldest first, and those that were slow, the newest first.
    pub(crate) fn told(&self) -> (Vec<WatchedQuery>, Vec<WatchedQuery>) {
        let state = self.state();
        let running = state.running.iter().map(|(id, running)| running.told(*id, None)).collect();
        (running, state.slow.iter().rev().cloned().collect())
    }

    /// Ends a query. Says whether there is one.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        let state = self.state();
        let running = state.running.get(&id);
        // A permit is kept if the query does not listen yet.
        running.inspect(|running| running.cancel.notify_one()).is_some()
    }
}

impl Place {
    /// The query has ended with this status.
    pub(crate) fn end(mut self, status: u16) {
        self.status = status;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.watched.state();
        let Some(running) = state.running.remove(&self.id) else { return };
        if running.asked.has_end && running.started.elapsed() >= SLOW {
            let told = running.told(self.id, Some(self.status));
            state.slow.push_back(told);
            if state.slow.len() > MAX_SLOW {
                state.slow.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_told_of_while_they_run() {
        let watched = Watched::default();
        let asked =
            Asked { kind: "/api/search".to_owned(), query: "{}".to_owned(), tenant: String::new(), has_end: true };
        let place = watched.begin(asked, 7);
        place.effort.add_bytes(5);
        let (running, slow) = watched.told();
        assert_eq!((running[0].inspected_bytes, running[0].started_unix_nanos, slow.len()), (5, UnixNanos(7), 0));
        assert!(watched.cancel(1) && !watched.cancel(2));
        place.end(200);
        assert_eq!(watched.told(), (Vec::new(), Vec::new()));
    }
}
