//! How much HTTP/2 clients may send before it is read: memory that no other budget counts, so it has one of its own.
//!
//! Each connection gets a share of what is left of its listener's pool when it begins, so that a few have wide windows and
//! thousands together not more memory than the pool and the least window of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What the windows of a listener add up to, beside the least one of each connection.
const POOL_BYTES: u32 = 32 << 20;
/// The part of what is left that a new connection gets: 4 MiB for the first, half as much for the sixth.
const SHARE: u32 = 8;
/// HTTP/2 knows no smaller one at the start of a connection (RFC 9113, section 6.9.2). With 4,096 connections, the default
/// bound, these are 256 MiB.
const LEAST_BYTES: u32 = 65_535;
/// The widest window of one stream: a usual export request in one go.
const STREAM_BYTES: u32 = 1 << 20;

/// The pool of a listener. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Windows(Arc<AtomicU32>);

/// A connection's window; its bytes return when it is dropped.
#[derive(Debug)]
pub(super) struct Window {
    pool: Windows,
    taken: u32,
}

impl Windows {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU32::new(POOL_BYTES)))
    }

    /// A window for a new connection.
    pub(super) fn take(&self) -> Window {
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left - left / SHARE));
        let taken = before.unwrap_or_else(|left| left) / SHARE;
        Window { pool: self.clone(), taken }
    }
}

impl Window {
    /// Bytes for all streams of the connection.
    pub(super) fn connection_bytes(&self) -> u32 {
        self.taken.max(LEAST_BYTES)
    }

    /// Bytes for each stream.
    pub(super) fn stream_bytes(&self) -> u32 {
        self.connection_bytes().min(STREAM_BYTES)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.pool.0.fetch_add(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_have_wide_windows_and_many_stay_within_the_pool() {
        let windows = Windows::new();
        let all: Vec<Window> = (0..4_096).map(|_| windows.take()).collect();
        assert_eq!((all[0].connection_bytes(), all[0].stream_bytes()), (4 << 20, 1 << 20));
        assert!(all[5].connection_bytes() > 2 << 20, "{}", all[5].connection_bytes());
        assert_eq!((all[4_095].connection_bytes(), all[4_095].stream_bytes()), (LEAST_BYTES, LEAST_BYTES));
        let sum: u64 = all.iter().map(|window| u64::from(window.connection_bytes())).sum();
        assert!(sum <= u64::from(POOL_BYTES) + 4_096 * u64::from(LEAST_BYTES), "{sum}");
        drop(all);
        assert_eq!(windows.take().connection_bytes(), 4 << 20);
    }
}
