//! Bodies of refused requests: read away, so that a sender in the middle of its body hears the answer instead of finding a
//! broken connection, but no faster than leaves the time to those who are let in.
//!
//! Reading a byte away takes a tenth to a twentieth of the time that storing it takes, most of it in the kernel. A server that is
//! offered ten times what it can take would spend half its time on it. Whoever must wait is held back by TCP: the system's
//! buffers fill and the sender stops.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

/// Bytes that may be read away for each that is accepted: about a tenth of the time.
const PER_ACCEPTED_BYTE: i64 = 1;

/// What a refusal costs beside reading its body, as so many bytes.
const REFUSAL_BYTES: i64 = 16 << 10;

/// Bytes a second that may be read away whatever is accepted: some fifteen large requests, or a hundred usual ones. They take less
/// than a hundredth of a core. What is not used of them is kept for a second.
const BYTES_PER_SECOND: i64 = 4_000_000;

/// The most that is read beyond the credit: nobody waits longer than four seconds for what large bodies took.
const MOST_DEBT: i64 = 4 * BYTES_PER_SECOND;

/// Bodies read away at once. A few keep both sides busy; thousands would wake up for a window of TCP at a time, among the tasks
/// of those who are let in.
const TURNS: usize = 32;

/// How long a sender is held back for its turn. Most give up after 10 s, a Collector after 30.
const MAX_WAIT: Duration = Duration::from_secs(25);

/// How often the first in line looks whether there is credit.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The most of a body that is read away, and how long it may take once it is its turn.
const MAX_BYTES: usize = 64 << 20;
const MAX_TIME: Duration = Duration::from_secs(1);

/// Shared by all requests of one router.
#[derive(Debug)]
pub(crate) struct Discards {
    turns: Semaphore,
    credit: Mutex<Credit>,
}

/// Bytes that may be read away; below zero by what was read beyond them.
#[derive(Debug)]
struct Credit {
    bytes: i64,
    at: Instant,
}

impl Discards {
    pub fn new() -> Self {
        let credit = Credit { bytes: BYTES_PER_SECOND, at: Instant::now() };
        Self { turns: Semaphore::new(TURNS), credit: Mutex::new(credit) }
    }

    /// A body of so many bytes was accepted.
    pub fn accepted(&self, bytes: usize) {
        self.change(PER_ACCEPTED_BYTE * bytes as i64);
    }

    /// Reads a refused body away when its turn comes, within bounds of time and bytes; past them the connection breaks.
    pub async fn discard(&self, body: Body) {
        if body.is_end_stream() {
            return;
        }
        let turn = timeout(MAX_WAIT, async {
            let turn = self.turns.acquire().await;
            while self.change(0) <= 0 {
                sleep(LOOK_INTERVAL).await;
            }
            turn
        });
        let Ok(_turn) = turn.await else { return };
        let mut read = 0;
        let _ = timeout(MAX_TIME, read_away(body, &mut read)).await;
        self.change(-(read as i64 + REFUSAL_BYTES));
    }

    /// Adds to the credit and gives what there is.
    fn change(&self, bytes: i64) -> i64 {
        // A change is complete before anything can panic.
        let mut credit = self.credit.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let micros = now.duration_since(credit.at).as_micros().min(1_000_000) as i64;
        credit.at = now;
        let earned = micros * (BYTES_PER_SECOND / 1_000_000);
        credit.bytes = (credit.bytes + earned + bytes).clamp(-MOST_DEBT, BYTES_PER_SECOND);
        credit.bytes
    }
}

async fn read_away(mut body: Body, read: &mut usize) {
    while let Some(Ok(frame)) = body.frame().await {
        *read += frame.data_ref().map_or(0, bytes::Bytes::len);
        if *read >= MAX_BYTES {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1_000_000;

    fn body(bytes: usize) -> Body {
        Body::from(vec![0; bytes])
    }

    fn silent() -> Body {
        Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>())
    }

    async fn seconds<T>(work: impl Future<Output = T>) -> f64 {
        let started = Instant::now();
        work.await;
        (started.elapsed().as_secs_f64() * 10.0).round() / 10.0
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_are_read_away_at_a_pace_and_what_is_accepted_raises_it() {
        let discards = Discards::new();
        assert_eq!(seconds(discards.discard(body(12 * MB))).await, 0.0, "there is credit at first");
        assert_eq!(seconds(discards.discard(body(1))).await, 2.0, "8 MB too many were read, 4 a second earned");
        discards.discard(body(12 * MB)).await;
        assert_eq!(seconds(discards.discard(Body::empty())).await, 0.0, "nothing is left to be read");
        discards.accepted(16 * MB);
        assert_eq!(seconds(discards.discard(body(60 * MB))).await, 0.0, "one for each that is accepted");
        assert_eq!(seconds(discards.discard(body(1))).await, 4.0, "the most that anybody waits for large bodies");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_sender_has_its_turn_for_a_second_and_nobody_waits_longer_than_senders_do() {
        let discards = Discards::new();
        assert_eq!(seconds(discards.discard(silent())).await, 1.0);
        let all = |count: usize| futures::future::join_all((0..count).map(|_| discards.discard(silent())));
        assert_eq!(seconds(all(TURNS + 1)).await, 2.0);
        assert_eq!(seconds(all(30 * TURNS)).await, 26.0);
    }
}
