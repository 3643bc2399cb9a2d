//! Memory of queries: one bound for the process, and a share of it that one query may take.
//!
//! DataFusion takes from it through its own trait, everything else through [`QueryMemory::hold`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};

/// One query may take at most this part of the memory of all: one in four.
const QUERY_SHARE: usize = 4;

/// What all queries of a process may take together.
#[derive(Debug)]
pub struct ProcessMemory {
    limit: usize,
    used: AtomicUsize,
}

/// Memory was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{asked_bytes} bytes are asked for, but {whose} has {left_bytes} of {limit_bytes} bytes left")]
pub struct Refused {
    /// Whose bound it is: the query or the process.
    pub whose: &'static str,
    /// Bytes asked for.
    pub asked_bytes: usize,
    /// Bytes left.
    pub left_bytes: usize,
    /// The bound.
    pub limit_bytes: usize,
}

impl ProcessMemory {
    /// A bound of so many bytes.
    pub fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit_bytes, used: AtomicUsize::new(0) })
    }

    /// The memory of one query.
    pub fn query(self: &Arc<Self>) -> Arc<QueryMemory> {
        Arc::new(QueryMemory { process: Arc::clone(self), limit: self.limit / QUERY_SHARE, used: AtomicUsize::new(0) })
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes memory that several queries share until what is returned is dropped.
    ///
    /// # Errors
    /// [`Refused`] past the bound.
    pub fn hold(self: &Arc<Self>, bytes: usize) -> std::result::Result<HeldByProcess, Refused> {
        self.take(bytes)?;
        Ok(HeldByProcess { process: Arc::clone(self), bytes })
    }

    fn take(&self, bytes: usize) -> std::result::Result<(), Refused> {
        try_add(&self.used, self.limit, bytes).map_err(|left_bytes| Refused {
            whose: "the process",
            asked_bytes: bytes,
            left_bytes,
            limit_bytes: self.limit,
        })
    }
}

/// Memory taken from the process until this is dropped.
#[derive(Debug)]
pub struct HeldByProcess {
    process: Arc<ProcessMemory>,
    bytes: usize,
}

impl Drop for HeldByProcess {
    fn drop(&mut self) {
        self.process.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The memory of one query, given back when it ends.
#[derive(Debug)]
pub struct QueryMemory {
    process: Arc<ProcessMemory>,
    limit: usize,
    used: AtomicUsize,
}

/// Adds if the sum stays within a limit; if not, gives what is left.
fn try_add(used: &AtomicUsize, limit: usize, bytes: usize) -> std::result::Result<(), usize> {
    let grown = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= limit);
    let grown = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
    grown.map(|_| ()).map_err(|used| limit.saturating_sub(used))
}

impl QueryMemory {
    /// Takes memory from the query's share and the process until what is returned is dropped.
    ///
    /// # Errors
    /// [`Refused`] past a bound.
    pub fn hold(self: &Arc<Self>, bytes: usize) -> std::result::Result<Held, Refused> {
        self.take(bytes)?;
        Ok(Held { query: Arc::clone(self), bytes })
    }

    fn take(&self, bytes: usize) -> std::result::Result<(), Refused> {
        try_add(&self.used, self.limit, bytes).map_err(|left_bytes| Refused {
            whose: "the query",
            asked_bytes: bytes,
            left_bytes,
            limit_bytes: self.limit,
        })?;
        self.process.take(bytes).inspect_err(|_| {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        })
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.process.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Memory taken from a query's share until this is dropped.
#[derive(Debug)]
pub struct Held {
    query: Arc<QueryMemory>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.query.give_back(self.bytes);
    }
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
        self.give_back(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let who = reservation.consumer().name();
        self.take(additional).map_err(|refused| resources_datafusion_err!("{who}: {refused}"))
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
        let pools: Vec<Arc<QueryMemory>> = (0..5).map(|_| process.query()).collect();
        let registered = |pool: &Arc<QueryMemory>| {
            let pool: Arc<dyn MemoryPool> = Arc::<QueryMemory>::clone(pool);
            MemoryConsumer::new("sort").register(&pool)
        };
        let reservations: Vec<_> = pools.iter().map(registered).collect();
        let refused = reservations[0].try_grow(101).expect_err("a quarter is 100").to_string();
        assert!(refused.contains("the query has 100 of 100 bytes left"), "{refused}");
        let held = pools[0].hold(60).expect("its share");
        let refused = reservations[0].try_grow(41).expect_err("40 are left").to_string();
        assert!(refused.contains("the query has 40 of 100 bytes left"), "{refused}");
        drop(held);
        for reservation in &reservations[..4] {
            reservation.try_grow(100).expect("its share");
        }
        let refused = reservations[4].try_grow(1).expect_err("all is taken").to_string();
        assert!(refused.contains("sort: 1 bytes are asked for, but the process has 0 of 400"), "{refused}");
        assert_eq!(pools[4].reserved(), 0);
        assert!(pools[4].hold(1).is_err() && process.hold(1).is_err());
        drop(reservations);
        let held = process.hold(400).expect("all is given back");
        assert_eq!(process.used_bytes(), 400);
        drop(held);
        assert_eq!(process.used_bytes(), 0);
    }
}
