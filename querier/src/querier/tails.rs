//! How many may watch spans come, and when all of them must end.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

/// Most who watch at once: each looks for new blocks every second.
const MAX_TAILS: usize = 16;

/// Who watches.
#[derive(Debug)]
pub(crate) struct Tails {
    /// Places for more.
    pub(crate) places: Arc<Semaphore>,
    /// Whether the process stops.
    pub(crate) stopping: watch::Sender<bool>,
}

impl Default for Tails {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_TAILS)), stopping: watch::Sender::new(false) }
    }
}
