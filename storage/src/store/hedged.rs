//! Requests, one at a time or, for reads that take unusually long, two: the first good answer counts.

use std::future::Future;
use std::pin::pin;

use futures::future::{Either, select};
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::Store;
use crate::error::{Error, Kind, Operation};
use crate::retry::{Attempts, transfer_time};

impl Store {
    /// One request: waits for a permit, bounds its time, counts it.
    pub(super) async fn request<T>(
        &self,
        operation: Operation,
        key: &str,
        expected_bytes: u64,
        attempts: &Attempts<'_>,
        size: impl FnOnce(&T) -> u64,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let _permit = self.permit(operation, key, attempts).await?;
        self.sent(operation, key, expected_bytes, attempts, size, call).await
    }

    /// As [`Store::request`] for reads: where the backend is worth it, a read without an answer in the usual time is sent
    /// again. Dropping the future drops both requests.
    pub(super) async fn read<T, F>(
        &self,
        operation: Operation,
        key: &str,
        expected_bytes: u64,
        attempts: &Attempts<'_>,
        size: fn(&T) -> u64,
        call: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let inner = &self.0;
        let _permit = self.permit(operation, key, attempts).await?;
        let send = || self.sent(operation, key, expected_bytes, attempts, size, call());
        let began = Instant::now();
        let delay = inner.hedge.delay(expected_bytes);
        let mut first = pin!(send());
        let outcome = match delay {
            None => first.await,
            Some(delay) => match tokio::time::timeout(delay, first.as_mut()).await {
                Ok(outcome) => outcome,
                // A store that is busy with our own requests would only get busier.
                Err(_) => match inner.permits.try_acquire() {
                    Ok(_second_permit) if inner.hedge.take() => {
                        inner.meter.record_hedge();
                        self.first_of(operation, first, pin!(send())).await
                    }
                    _ => first.await,
                },
            },
        };
        // A second answer says that the first would have taken longer still, which is all that can be known.
        inner.hedge.observe(expected_bytes, began.elapsed());
        outcome
    }

    /// The answer of whichever request answers well first. A failure that trying again could mend waits for the other.
    async fn first_of<T>(
        &self,
        operation: Operation,
        first: impl Future<Output = Result<T, Error>> + Unpin,
        second: impl Future<Output = Result<T, Error>> + Unpin,
    ) -> Result<T, Error> {
        let meter = &self.0.meter;
        let lasting = |error: &Error| !matches!(error.kind(), Kind::Throttled | Kind::Unavailable | Kind::Damaged);
        match select(first, second).await {
            Either::Left((Err(error), second)) if !lasting(&error) => {
                let outcome = second.await;
                if outcome.is_ok() {
                    meter.record_hedge_won();
                }
                outcome.map_err(|_| error)
            }
            Either::Right((Err(error), first)) if !lasting(&error) => first.await,
            Either::Left((outcome, _given_up)) => {
                meter.record_given_up(operation);
                outcome
            }
            Either::Right((outcome, _given_up)) => {
                meter.record_given_up(operation);
                meter.record_hedge_won();
                outcome
            }
        }
    }

    async fn permit(
        &self,
        operation: Operation,
        key: &str,
        attempts: &Attempts<'_>,
    ) -> Result<SemaphorePermit<'_>, Error> {
        match tokio::time::timeout_at(attempts.deadline(), self.0.permits.acquire()).await {
            Ok(permit) => Ok(permit.expect("the semaphore is never closed")),
            Err(_) => {
                let message = "storage.max_concurrent_requests were in flight until the deadline";
                Err(Error::new(Kind::Unavailable, operation, key, message))
            }
        }
    }

    /// Bounds a request's time and counts it.
    async fn sent<T>(
        &self,
        operation: Operation,
        key: &str,
        expected_bytes: u64,
        attempts: &Attempts<'_>,
        size: impl FnOnce(&T) -> u64,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let until = (began + self.0.request_timeout + transfer_time(expected_bytes)).min(attempts.deadline());
        let outcome = match tokio::time::timeout_at(until, call).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let message = format!("no answer within {} ms", began.elapsed().as_millis());
                let error = Error::new(Kind::Unavailable, operation, key, message);
                Err(if operation == Operation::Put { error.that_may_have_happened() } else { error })
            }
        };
        self.0.meter.record(operation, began.elapsed(), outcome.as_ref().map(size).map_err(Error::kind));
        outcome
    }
}
