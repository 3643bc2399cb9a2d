//! What happened, in order: hashed, so that two runs of a seed can be compared, with the last events kept for people.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Events shown when a run fails.
const SHOWN: usize = 60;

/// One run's events. `SPANLAKE_SIM_PRINT` prints each as it happens.
#[derive(Debug)]
pub struct History {
    began: Instant,
    prints: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    hash: u64,
    event_count: u64,
    last: VecDeque<String>,
    violations: Vec<String>,
}

impl History {
    pub fn new() -> Self {
        let state =
            State { hash: 0xcbf2_9ce4_8422_2325, event_count: 0, last: VecDeque::new(), violations: Vec::new() };
        let prints = std::env::var("SPANLAKE_SIM_PRINT").is_ok();
        Self { began: Instant::now(), prints, state: Mutex::new(state) }
    }

    /// Virtual time since the run began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Notes an event.
    pub fn note(&self, event: fmt::Arguments<'_>) {
        let line = format!("{:>10.3} {event}", self.elapsed().as_secs_f64());
        if self.prints {
            println!("{line}");
        }
        let mut state = self.state.lock().expect("no holder panics");
        // FNV-1a: every byte and its place count.
        for byte in line.bytes() {
            state.hash = (state.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        state.event_count += 1;
        if state.last.len() == SHOWN {
            state.last.pop_front();
        }
        state.last.push_back(line);
    }

    /// Notes that something happened which must not.
    pub fn violate(&self, what: String) {
        self.note(format_args!("VIOLATION {what}"));
        self.state.lock().expect("no holder panics").violations.push(what);
    }

    /// Returns soon after something happened that must not.
    pub async fn first_violation(&self) {
        while self.state.lock().expect("no holder panics").violations.is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// What happened that must not.
    pub fn violations(&self) -> Vec<String> {
        self.state.lock().expect("no holder panics").violations.clone()
    }

    /// The hash over all events, and how many there were.
    pub fn digest(&self) -> (u64, u64) {
        let state = self.state.lock().expect("no holder panics");
        (state.hash, state.event_count)
    }

    /// The last events, oldest first.
    pub fn tail(&self) -> String {
        let state = self.state.lock().expect("no holder panics");
        state.last.iter().map(|line| format!("{line}\n")).collect()
    }
}
