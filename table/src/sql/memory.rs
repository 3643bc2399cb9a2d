//! Memory of queries: one bound for the process, and a share of it that one query may take.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};

/// One query may take at most this part of the memory of all: one in four.
pub(super) const QUERY_SHARE: usize = 4;

/// What all queries of a process may take together.
#[derive(Debug)]
pub(super) struct ProcessMemory {
    limit: usize,
    used: AtomicUsize,
}

impl ProcessMemory {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    /// The memory of one query.
    pub(super) fn query(self: &Arc<Self>) -> Arc<QueryMemory> {
        Arc::new(QueryMemory { process: Arc::clone(self), limit: self.limit / QUERY_SHARE, used: AtomicUsize::new(0) })
    }

    /// Bytes in use.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// The memory of one query, given back when it ends.
#[derive(Debug)]
pub(super) struct QueryMemory {
    process: Arc<ProcessMemory>,
    limit: usize,
    used: AtomicUsize,
}

/// Adds if the sum stays within a limit; if not, gives what is left.
fn try_add(used: &AtomicUsize, limit: usize, bytes: usize) -> Result<(), usize> {
    let grown = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= limit);
    let grown = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
    grown.map(|_| ()).map_err(|used| limit.saturating_sub(used))
}

impl fmt::Display for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query memory of {} bytes", self.limit)
    }
}

impl MemoryPool for QueryMemory {
    fn name(&self) -> &str {
        "query memory"
    }

    fn grow(&self, _reservation: &MemoryReservation, additional: usize) {
        self.used.fetch_add(additional, Ordering::Relaxed);
        self.process.used.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, _reservation: &MemoryReservation, shrink: usize) {
        self.used.fetch_sub(shrink, Ordering::Relaxed);
        self.process.used.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let refused = |whose: &str, limit: usize, left: usize| {
            let who = reservation.consumer().name();
            resources_datafusion_err!("{who} asks for {additional} bytes, but {whose} has {left} of {limit} bytes left")
        };
        try_add(&self.used, self.limit, additional).map_err(|left| refused("the query", self.limit, left))?;
        try_add(&self.process.used, self.process.limit, additional).map_err(|left| {
            self.used.fetch_sub(additional, Ordering::Relaxed);
            refused("the process", self.process.limit, left)
        })
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

impl Drop for QueryMemory {
    fn drop(&mut self) {
        // Reservations are gone when the pool goes; what one forgot is given back here.
        self.process.used.fetch_sub(*self.used.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::MemoryConsumer;

    use super::*;

    #[test]
    fn a_query_has_a_share_and_the_process_a_bound() {
        let process = ProcessMemory::new(400);
        let pools: Vec<Arc<dyn MemoryPool>> = (0..5).map(|_| process.query() as Arc<dyn MemoryPool>).collect();
        let reservations: Vec<_> = pools.iter().map(|pool| MemoryConsumer::new("sort").register(pool)).collect();
        let refused = reservations[0].try_grow(101).expect_err("a quarter is 100").to_string();
        assert!(refused.contains("the query has 100 of 100 bytes left"), "{refused}");
        for reservation in &reservations[..4] {
            reservation.try_grow(100).expect("its share");
        }
        let refused = reservations[4].try_grow(1).expect_err("all is taken").to_string();
        assert!(refused.contains("sort asks for 1 bytes, but the process has 0 of 400"), "{refused}");
        assert_eq!(pools[4].reserved(), 0);
        drop(reservations);
        assert_eq!(process.used(), 0);
    }
}
