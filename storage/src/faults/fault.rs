//! What can go wrong with one request, and how each thing looks to the caller.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::SmallRng;

use crate::error::{Error, Kind, Operation};

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request fails without an effect. A create that meets [`Kind::Unavailable`] (500) does not say so.
    Before(Kind),
    /// The request takes effect and then fails as if it had not been answered.
    After(Kind),
    /// The request fails without an effect: 503 SlowDown, of which a create's caller cannot know that.
    SlowDown,
    /// The request fails without an effect: the credentials have expired.
    Expired,
    /// The request never ends and has no effect.
    HangBefore,
    /// The request takes effect and is never answered.
    HangAfter,
    /// A create or delete is never answered and takes effect so much later, perhaps after the caller's next attempt. A read
    /// or listing is never answered.
    Late(Duration),
    /// A create reports that the key is taken though it is not (409 of colliding creates). Elsewhere as a 500.
    Collision,
    /// A read gives only the first half of the bytes, as if they were all. A create is refused: the upload was cut.
    Short,
    /// A read gives one wrong bit. A create is refused: the store compares the checksum that was sent along.
    Flip,
    /// A read or listing does not know objects that were created less than so long ago through this driver. No store that
    /// passes the probe does this.
    Stale(Duration),
    /// The request takes effect after so many milliseconds.
    Slow(u64),
    /// The request is answered after a random time around `median`, rarely (1 in 200) after `tail`, and takes effect halfway.
    Latency {
        /// Half of all requests take less.
        median: Duration,
        /// What a rare one takes.
        tail: Duration,
    },
}

impl Fault {
    /// The error that a request meets.
    pub(super) fn error(self, operation: Operation, key: &str) -> Error {
        let failed = |kind, message: &str| Error::new(kind, operation, key, format!("a fault was injected: {message}"));
        let doubtful = |error: Error| {
            if matches!(operation, Operation::Put | Operation::Delete) { error.that_may_have_happened() } else { error }
        };
        match self {
            Self::Before(Kind::Unavailable) => doubtful(failed(Kind::Unavailable, "500")),
            Self::Before(kind) => failed(kind, "refused"),
            Self::After(kind) => doubtful(failed(kind, "no answer")),
            Self::SlowDown => doubtful(failed(Kind::Throttled, "503 SlowDown")),
            Self::Expired => failed(Kind::Denied, "400 ExpiredToken"),
            Self::Collision if operation == Operation::Put => failed(Kind::AlreadyExists, "409 Conflict"),
            Self::Short => failed(Kind::Unavailable, "400 IncompleteBody"),
            Self::Flip => failed(Kind::Unavailable, "400 BadDigest"),
            _ => doubtful(failed(Kind::Unavailable, "500")),
        }
    }
}

/// A random latency: log-normal around the median with a sigma of 0.5, so that one in a hundred takes three times as long, and
/// the tail in one of 200.
pub(super) fn latency(median: Duration, tail: Duration, random: &mut SmallRng) -> Duration {
    if random.random_range(0..200) == 0 {
        return tail;
    }
    // The sum of twelve uniform numbers is close to a normal one.
    let normal: f64 = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
    median.mul_f64((0.5 * normal).exp())
}

/// Any fault that leaves a store correct, weighted towards those that are met in practice.
pub(super) fn mixed(operation: Operation, random: &mut SmallRng) -> Fault {
    let read = matches!(operation, Operation::Get | Operation::GetRange);
    match random.random_range(0..10) {
        0 => Fault::Before(Kind::Throttled),
        1 => Fault::SlowDown,
        2 => Fault::After(Kind::Unavailable),
        3 => Fault::Slow(random.random_range(1..50)),
        4 if operation == Operation::Put => Fault::Collision,
        5 if operation == Operation::GetRange => Fault::Short,
        6 if !read => Fault::HangAfter,
        7 if operation == Operation::Put => Fault::Late(Duration::from_millis(random.random_range(1..8_000))),
        _ => Fault::Before(Kind::Unavailable),
    }
}
