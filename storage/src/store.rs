//! The store: the rules every backend shares, around one driver. Retries, reading back, coalescing, bounds, counting.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use spanlake_model::world::{self, Rule};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::directory::Directory;
use crate::driver::{Backend, Driver, Object};
use crate::error::{Error, Kind, Operation};
use crate::faults;
use crate::hedge::Hedge;
use crate::key;
use crate::location::Location;
use crate::memory::Memory;
use crate::meter::Meter;
use crate::ranges::{check_lengths, coalesce, split};
use crate::remote;
use crate::retry::{Attempts, Retry};

mod hedged;

/// Requests one [`Store::get_ranges`] has in flight at once.
pub const PARALLEL_RANGES: usize = 8;

/// The largest object [`Store::create`] takes. One PUT is atomic and can be conditional on every service, a multipart
/// upload can not; the services allow 5 GiB in one, but the body is held in memory here.
pub const MAX_CREATE_BYTES: u64 = 1 << 30;

/// The transfer time allowed for reading an object of unknown size, as if it had this many bytes.
const WHOLE_OBJECT_BYTES: u64 = 8 << 20;

/// How a create succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The request made the object.
    New,
    /// The object was there with the same bytes: an earlier attempt of ours, whose answer was lost, made it.
    Ours,
}

/// A store of objects. Cheap to clone; clones share connections, limits and the meter.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    driver: Arc<dyn Driver>,
    meter: Meter,
    retry: Retry,
    hedge: Hedge,
    permits: Semaphore,
    request_timeout: Duration,
    max_list_objects: usize,
    description: String,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.description)
    }
}

impl Store {
    /// Opens the store that `config.url` names. A directory is created if it is not there; a bucket is not contacted
    /// (use [`Store::probe`]). No requests.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a URL or settings that cannot work, with a sentence that says what to change; for a directory
    /// also [`Kind::Denied`] or [`Kind::Full`].
    pub fn open(config: &Config) -> Result<Self, Error> {
        let location = Location::parse(&config.url)
            .map_err(|problem| Error::new(Kind::Invalid, Operation::List, &config.url, problem))?;
        let driver: Arc<dyn Driver> = match &location {
            Location::Memory => Arc::new(Memory::default()),
            Location::Directory(root) => Arc::new(Directory::open(root)?),
            Location::Bucket(bucket) => remote::open(bucket, config)?,
        };
        let driver = match config.faults.as_str() {
            "" => driver,
            text => faults::wrap(driver, text)
                .map_err(|problem| Error::new(Kind::Invalid, Operation::List, &config.url, problem))?,
        };
        Ok(Self::over(driver, config))
    }

    /// An empty store in memory, with default settings.
    pub fn memory() -> Self {
        Self::over(Arc::new(Memory::default()), &Config { url: "memory://".to_owned(), ..Config::default() })
    }

    /// The rules of this module over any driver: how tests put faults between the two.
    pub fn over(driver: Arc<dyn Driver>, config: &Config) -> Self {
        let meter = Meter::default();
        let hedges = config.hedge && driver.backend() == Backend::Remote;
        Self(Arc::new(Inner {
            driver,
            retry: Retry::new(config.retry.clone(), meter.retries_refused()),
            hedge: Hedge::new(hedges, config.request_timeout.0 / 2),
            meter,
            permits: Semaphore::new(config.max_concurrent_requests.clamp(1, Semaphore::MAX_PERMITS)),
            request_timeout: config.request_timeout.0,
            max_list_objects: config.max_list_objects,
            description: config.url.clone(),
        }))
    }

    /// What kind of place the objects lie in.
    pub fn backend(&self) -> Backend {
        self.0.driver.backend()
    }

    /// The driver underneath, for putting another one around it.
    pub fn driver(&self) -> Arc<dyn Driver> {
        Arc::clone(&self.0.driver)
    }

    /// The counts of everything that was asked of the store.
    pub fn meter(&self) -> &Meter {
        &self.0.meter
    }

    /// Reads a whole object. One request, more when it fails.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none; [`Kind::Throttled`], [`Kind::Unavailable`] or [`Kind::Denied`] by the store.
    pub async fn get(&self, key: &str) -> Result<Bytes, Error> {
        key::check(Operation::Get, key)?;
        let mut attempts = self.0.retry.begin(WHOLE_OBJECT_BYTES);
        loop {
            match self.get_once(key, WHOLE_OBJECT_BYTES, &attempts).await {
                Err(error) if attempts.again(&error).await => self.0.meter.record_retry(),
                outcome => return outcome,
            }
        }
    }

    /// Reads `range` of an object. One request, more when it fails; none for an empty range.
    ///
    /// # Errors
    /// As [`Store::get`]; [`Kind::Damaged`] if the object ends before the range does.
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        key::check(Operation::GetRange, key)?;
        if range.start > range.end {
            let message = format!("the range {}..{} is backwards", range.start, range.end);
            return Err(Error::new(Kind::Invalid, Operation::GetRange, key, message));
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let parts = self.get_joined(key, std::slice::from_ref(&range)).await?;
        Ok(parts.into_iter().next().unwrap_or_default())
    }

    /// Reads several ranges of an object and returns them in the order asked for. Ranges closer than
    /// [`COALESCE_GAP_BYTES`](crate::COALESCE_GAP_BYTES) share a request; up to [`PARALLEL_RANGES`] requests run at once.
    ///
    /// # Errors
    /// As [`Store::get_range`], for the first range that fails.
    pub async fn get_ranges(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        key::check(Operation::GetRange, key)?;
        if let Some(range) = ranges.iter().find(|range| range.start > range.end) {
            let message = format!("the range {}..{} is backwards", range.start, range.end);
            return Err(Error::new(Kind::Invalid, Operation::GetRange, key, message));
        }
        let joined = coalesce(ranges);
        let parts: Vec<Bytes> = if self.backend() == Backend::Remote {
            let reads = joined.iter().cloned().map(|range| async move { self.get_joined(key, &[range]).await });
            // Boxed, because the compiler cannot see through the combinators that this future can be sent.
            let reads: Vec<futures::future::BoxFuture<'_, _>> = reads.map(|read| read.boxed()).collect();
            futures::stream::iter(reads)
                .buffered(PARALLEL_RANGES)
                .map_ok(|parts| futures::stream::iter(parts.into_iter().map(Ok)))
                .try_flatten()
                .try_collect()
                .await?
        } else {
            self.get_joined(key, &joined).await?
        };
        Ok(split(ranges, &joined, &parts))
    }

    /// Creates an object, which must not exist. Durable and visible when this returns. One request; after an unclear answer
    /// the object is read back and the same bytes are sent again under the same key, until the outcome is known.
    ///
    /// # Errors
    /// [`Kind::AlreadyExists`] if the key holds other bytes; [`Kind::Full`] at once when there is no room (nothing is left
    /// behind); [`Kind::Invalid`] for a bad key or more than [`MAX_CREATE_BYTES`]; otherwise as [`Store::get`], with
    /// [`Error::may_have_happened`] if the outcome is still unknown at the deadline.
    pub async fn create(&self, key: &str, body: Bytes) -> Result<Created, Error> {
        key::check(Operation::Put, key)?;
        let object_bytes = body.len() as u64;
        if object_bytes > MAX_CREATE_BYTES {
            let message = format!("{object_bytes} bytes are more than the {MAX_CREATE_BYTES} one object may have");
            return Err(Error::new(Kind::Invalid, Operation::Put, key, message));
        }
        let mut attempts = self.0.retry.begin(object_bytes);
        let mut unclear = false;
        loop {
            let put = self.0.driver.put_new(key, body.clone());
            let error = match self.request(Operation::Put, key, object_bytes, &attempts, |()| object_bytes, put).await {
                Ok(()) => return Ok(Created::New),
                Err(error) => error,
            };
            unclear |= error.may_have_happened();
            let error = if unclear { error.that_may_have_happened() } else { error };
            if !error.read_back_proves() {
                return Err(error);
            }
            if unclear || error.kind() == Kind::AlreadyExists {
                match self.read_back(key, &body, &attempts).await {
                    ReadBack::Ours => return Ok(Created::Ours),
                    ReadBack::Other => {
                        let message = "another object has the key already";
                        return Err(Error::new(Kind::AlreadyExists, Operation::Put, key, message));
                    }
                    ReadBack::Unproven(error) => return Err(error),
                    ReadBack::Absent | ReadBack::Unknown => {}
                }
            }
            let again = match error.kind() {
                // Only 409s reach this: two creates collided and neither is there.
                Kind::AlreadyExists => attempts.again_to_settle(Kind::Unavailable).await,
                kind @ (Kind::Throttled | Kind::Unavailable) if unclear => attempts.again_to_settle(kind).await,
                _ => attempts.again(&error).await,
            };
            if !again {
                return Err(match error.kind() {
                    Kind::AlreadyExists => Error::new(Kind::Unavailable, Operation::Put, key, NEVER_SETTLED)
                        .that_may_have_happened()
                        .with_source(error),
                    _ => error,
                });
            }
            self.0.meter.record_retry();
        }
    }

    /// Lists the objects whose keys begin with `prefix` (empty, or ending in a slash) and come after `start_after`, sorted
    /// by key in byte order, with every object whose create returned before the call began. One request for each 1,000
    /// objects.
    ///
    /// What comes after a key is the store's own order, and there are two: by bytes (S3, memory, directories), where `a-b/x`
    /// comes before `a/x`, and by path segment (SeaweedFS), where it comes behind. They agree between keys that differ only
    /// behind their last slash.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for more than [`Config::max_list_objects`] objects; otherwise as [`Store::get`].
    pub async fn list(&self, prefix: &str, start_after: Option<&str>) -> Result<Vec<Object>, Error> {
        let max = self.0.max_list_objects;
        let objects = self.list_up_to(prefix, start_after, max.saturating_add(1)).await?;
        if objects.len() > max {
            let message = format!("there are more than {max} objects, the bound storage.max_list_objects");
            return Err(Error::new(Kind::Invalid, Operation::List, prefix, message));
        }
        Ok(objects)
    }

    /// The first `limit` objects, in the store's own order, of what [`Store::list`] would return. One request for each 1,000
    /// objects.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn list_up_to(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Object>, Error> {
        key::check_prefix(prefix)?;
        let mut objects = Vec::new();
        let mut next = None;
        loop {
            let page = self.list_page(prefix, start_after, next, limit - objects.len()).await?;
            objects.extend(page.objects.into_iter().filter(|object| {
                // Google's offset is part of what it lists.
                object.key.starts_with(prefix) && start_after != Some(object.key.as_str())
            }));
            next = page.next;
            if next.is_none() || objects.len() >= limit {
                break;
            }
        }
        objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        objects.dedup_by(|a, b| a.key == b.key);
        objects.truncate(limit);
        Ok(objects)
    }

    /// Deletes an object; an absent one is success. One request, more when it fails.
    ///
    /// # Errors
    /// As [`Store::get`], without [`Kind::NotFound`].
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        key::check(Operation::Delete, key)?;
        let mut attempts = self.0.retry.begin(0);
        loop {
            let call = self.0.driver.delete(key);
            match self.request(Operation::Delete, key, 0, &attempts, |()| 0, call).await {
                Err(error) if error.kind() == Kind::NotFound => return Ok(()),
                Err(error) if attempts.again(&error).await => self.0.meter.record_retry(),
                outcome => return outcome,
            }
        }
    }

    async fn get_once(&self, key: &str, expected_bytes: u64, attempts: &Attempts<'_>) -> Result<Bytes, Error> {
        let call = || self.0.driver.get(key, None);
        self.read(Operation::Get, key, expected_bytes, attempts, |body: &Bytes| body.len() as u64, call).await
    }

    /// Looks at what is under the key. Bytes that differ from ours are believed only when they come twice: taking our own object,
    /// spoilt on the way, for another's would let a caller delete what it has just committed.
    async fn read_back(&self, key: &str, body: &Bytes, attempts: &Attempts<'_>) -> ReadBack {
        let mut other: Option<Bytes> = None;
        for _ in 0..MAX_LOOKS {
            match self.get_once(key, body.len() as u64, attempts).await {
                Ok(found) if found == *body || world::is_broken(Rule::CompareWhatIsThere) => {
                    return self.confirm(key, attempts).await;
                }
                Ok(found) if other.as_ref() == Some(&found) => return ReadBack::Other,
                Ok(found) => other = Some(found),
                Err(error) if error.kind() == Kind::NotFound => return ReadBack::Absent,
                Err(_) => return ReadBack::Unknown,
            }
        }
        ReadBack::Unknown
    }

    async fn confirm(&self, key: &str, attempts: &Attempts<'_>) -> ReadBack {
        match tokio::time::timeout_at(attempts.deadline(), self.0.driver.confirm(key)).await {
            Ok(Ok(())) => ReadBack::Ours,
            Ok(Err(error)) => ReadBack::Unproven(error),
            Err(_) => {
                let message = "it is there, but could not be made durable before the deadline";
                let error = Error::new(Kind::Unavailable, Operation::Put, key, message);
                ReadBack::Unproven(error.that_may_have_happened())
            }
        }
    }

    /// Reads ranges that are worth a request each, all of them again if one fails.
    async fn get_joined(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let range_bytes = ranges.iter().map(|range| range.end - range.start).sum();
        let mut attempts = self.0.retry.begin(range_bytes);
        loop {
            let call = || async {
                let parts = match ranges {
                    [range] => vec![self.0.driver.get(key, Some(range.clone())).await?],
                    _ => self.0.driver.get_many(key, ranges).await?,
                };
                check_lengths(key, ranges, &parts)?;
                Ok(parts)
            };
            let size = |parts: &Vec<Bytes>| parts.iter().map(|part| part.len() as u64).sum();
            match self.read(Operation::GetRange, key, range_bytes, &attempts, size, call).await {
                Err(error) if attempts.again(&error).await => self.0.meter.record_retry(),
                outcome => return outcome,
            }
        }
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        next: Option<String>,
        limit: usize,
    ) -> Result<crate::driver::Page, Error> {
        let mut attempts = self.0.retry.begin(0);
        loop {
            let call = self.0.driver.list_page(prefix, start_after, next.clone(), limit);
            match self.request(Operation::List, prefix, 0, &attempts, |_| 0, call).await {
                Err(error) if attempts.again(&error).await => self.0.meter.record_retry(),
                outcome => return outcome,
            }
        }
    }
}

impl Config {
    /// What is wrong with these settings, if it can be known without asking the store: opens nothing and makes no directory.
    pub fn problem(&self) -> Option<String> {
        match Location::parse(&self.url) {
            _ if !self.faults.is_empty() && faults::problem(&self.faults).is_some() => faults::problem(&self.faults),
            Err(problem) => Some(problem),
            Ok(Location::Memory | Location::Directory(_)) => None,
            Ok(Location::Bucket(bucket)) => remote::open(&bucket, self).err().map(|error| error.message().to_owned()),
        }
    }
}

/// Reads of one read-back: two that agree, and one that may be spoilt.
const MAX_LOOKS: usize = 3;

const NEVER_SETTLED: &str = "creates of the key collided until the deadline";

enum ReadBack {
    Ours,
    /// Our bytes are there, and syncing them failed. Syncing again would prove nothing: the kernel reports a lost write
    /// once, and then calls the next sync a success.
    Unproven(Error),
    Other,
    Absent,
    Unknown,
}

#[cfg(test)]
mod tests;
