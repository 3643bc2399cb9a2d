//! SIGTERM and SIGINT: the first asks for a graceful stop, the second ends the process at once.

use std::process;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code of a process ended by a signal is 128 and the signal's number, as shells have it.
const KILLED_BY_SIGNAL: i32 = 128;

/// The two signals that stop the process.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Takes the signals over from their default, which is to end at once.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the next of them.
    pub async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        }
    }

    /// From now on the next signal ends the process at once: with 143 for SIGTERM, 130 for SIGINT. Every acknowledged
    /// span is durable by then, so nothing is lost by it.
    pub fn end_at_next(mut self) {
        tokio::spawn(async move {
            let signal = self.next().await;
            process::exit(KILLED_BY_SIGNAL + signal.as_raw_value());
        });
    }
}
