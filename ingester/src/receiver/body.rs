//! Request bodies: read under limits on bytes, silence and time, and charged before they are kept.

use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::ReceiverConfig;
use crate::error::PushError;
use crate::ingester::Admission;

/// Steps in which a body of undeclared length is charged: far fewer waits than frames, little charged for nothing.
const STEP_BYTES: usize = 64 << 10;

/// How much of a body must have come before more is charged than any request is: a sender that declares much and sends nothing
/// must not keep others out, nor thousands that wait with their first bytes.
const FIRST_BYTES: usize = 4 << 10;

/// Once more than that has come, a body of declared length is charged whole, so that it never has to wait in its middle, as long as it
/// comes at a pace at which it is there within [`PACE_PARTS`] of these intervals. A slower one is charged as it comes.
const PACE_INTERVAL: Duration = Duration::from_millis(250);
/// With [`PACE_INTERVAL`]: 4 s for the whole body.
const PACE_PARTS: usize = 16;

/// What is known of a body's length before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// It ends where it ends; perhaps at this length.
    Until(Option<u64>),
    /// So many bytes belong to it; more may follow.
    Exact(usize),
}

/// A body being read.
#[derive(Debug)]
pub(crate) struct BodyReader {
    body: Body,
    /// Received and not yet taken.
    rest: Bytes,
    is_begun: bool,
    is_over: bool,
    idle_timeout: Duration,
    deadline: Instant,
}

impl BodyReader {
    pub fn new(body: Body, config: &ReceiverConfig) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            is_begun: false,
            is_over: false,
            idle_timeout: config.body_idle_timeout.get(),
            deadline: Instant::now() + config.body_timeout.get(),
        }
    }

    /// The whole body, or the part that [`Length::Exact`] names.
    pub async fn read(
        &mut self,
        length: Length,
        max_bytes: usize,
        admission: &mut Admission,
    ) -> Result<Bytes, PushError> {
        let (declared, wanted) = match length {
            Length::Until(declared) => (declared.unwrap_or(0), usize::MAX),
            Length::Exact(bytes) => (bytes as u64, bytes),
        };
        if declared > max_bytes as u64 {
            return Err(too_large(format!("{declared} bytes"), max_bytes));
        }
        let declared = declared as usize;
        admission.hold(0).await?;
        let mut bytes = Vec::with_capacity(if declared == 0 { FIRST_BYTES } else { declared.min(FIRST_BYTES) });
        let mut pace = Pace::new(declared);
        while bytes.len() < wanted {
            let chunk = match pace.until {
                Some(until) => match timeout_at(until, self.chunk(wanted - bytes.len())).await {
                    Ok(chunk) => chunk?,
                    Err(_elapsed) => {
                        if pace.is_lost(bytes.len()) {
                            let capacity = bytes.len().next_multiple_of(STEP_BYTES);
                            bytes.shrink_to(capacity);
                            admission.give_back(capacity);
                        }
                        continue;
                    }
                },
                None => self.chunk(wanted - bytes.len()).await?,
            };
            let Some(chunk) = chunk else {
                if wanted == usize::MAX {
                    break;
                }
                let found = bytes.len();
                return Err(PushError::Malformed(format!(
                    "the body ends after {found} of the message's {wanted} bytes"
                )));
            };
            let total = bytes.len() + chunk.len();
            if total > max_bytes {
                return Err(too_large(format!("more than {max_bytes} bytes"), max_bytes));
            }
            if total > bytes.capacity() {
                let is_ahead = pace.is_kept && declared >= total;
                let most = if declared >= total { declared } else { max_bytes };
                let step = total.max(bytes.len() * 2);
                let step = if step < STEP_BYTES { step.next_power_of_two() } else { step.next_multiple_of(STEP_BYTES) };
                let step = step.min(most);
                let capacity = if is_ahead { declared } else { step };
                admission.hold(capacity).await?;
                bytes.reserve_exact(capacity - bytes.len());
                if is_ahead {
                    pace.begin(bytes.len());
                }
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(admission.keep(bytes))
    }

    /// Exactly this many bytes from the front; nothing when the body ends before the first.
    pub async fn prefix<const N: usize>(&mut self) -> Result<Option<[u8; N]>, PushError> {
        let mut prefix = [0; N];
        let mut filled = 0;
        while filled < N {
            let Some(chunk) = self.chunk(N - filled).await? else {
                return match filled {
                    0 => Ok(None),
                    _ => Err(PushError::Malformed(format!("the body ends after {filled} of its first {N} bytes"))),
                };
            };
            prefix[filled..filled + chunk.len()].copy_from_slice(&chunk);
            filled += chunk.len();
        }
        Ok(Some(prefix))
    }

    /// Whether nothing follows.
    pub async fn at_end(&mut self) -> Result<bool, PushError> {
        Ok(self.chunk(1).await?.is_none())
    }

    /// Whether any of it has been asked for: from then on a sender that waits for `100 Continue` sends it.
    pub fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// What is left of it in the connection; an empty body after its end.
    pub fn into_unread(self) -> Body {
        if self.is_over { Body::empty() } else { self.body }
    }

    /// The next bytes, at least one and at most `max`; nothing at the end.
    async fn chunk(&mut self, max: usize) -> Result<Option<Bytes>, PushError> {
        while self.rest.is_empty() {
            self.is_begun = true;
            let Ok(frame) = timeout_at(self.deadline, timeout(self.idle_timeout, self.body.frame())).await else {
                return Err(PushError::SlowBody("it took longer than body_timeout in all"));
            };
            match frame {
                Err(_elapsed) => return Err(PushError::SlowBody("nothing came for body_idle_timeout")),
                Ok(None) => {
                    self.is_over = true;
                    return Ok(None);
                }
                Ok(Some(Err(error))) => return Err(PushError::BrokenBody(error.to_string())),
                Ok(Some(Ok(frame))) => self.rest = frame.into_data().unwrap_or_default(),
            }
        }
        let taken = self.rest.split_to(max.min(self.rest.remaining()));
        Ok(Some(taken))
    }
}

/// Whether a body of declared length comes fast enough to keep what it was charged ahead.
struct Pace {
    is_kept: bool,
    /// When it is looked at next, while more is charged than has come.
    until: Option<Instant>,
    least_bytes: usize,
    seen_bytes: usize,
}

impl Pace {
    fn new(declared: usize) -> Self {
        Self { is_kept: true, until: None, least_bytes: (declared / PACE_PARTS).max(STEP_BYTES), seen_bytes: 0 }
    }

    /// All is charged from here on.
    fn begin(&mut self, received: usize) {
        self.until = Some(Instant::now() + PACE_INTERVAL);
        self.seen_bytes = received;
    }

    /// An interval is over with so many bytes received in all.
    fn is_lost(&mut self, received: usize) -> bool {
        self.is_kept = received - self.seen_bytes >= self.least_bytes;
        self.seen_bytes = received;
        self.until = self.is_kept.then(|| Instant::now() + PACE_INTERVAL);
        !self.is_kept
    }
}

fn too_large(what: String, max_bytes: usize) -> PushError {
    PushError::TooLarge { what, limit: max_bytes as u64, setting: "max_request_bytes" }
}
