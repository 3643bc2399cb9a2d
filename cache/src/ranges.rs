//! Ranges of objects, read through the pages on disk. Of callers who miss the same page at the same time one reads it.
//!
//! What is kept is not trusted: each page has a checksum on disk, and whoever decodes a range checks it as if it came from the store,
//! and says [`RangeCache::forget`] when it is damaged, before it asks again.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use spanlake_storage::{Error, Store};
use tokio::sync::watch;
use twox_hash::XxHash3_64;

use crate::config::Config;
use crate::disk::{Found, Name, Slots};
use crate::metrics::TierMetrics;

/// Objects are cached in pages of this size: ranges that lie as close as this share a request of the store anyway.
pub const PAGE_BYTES: u64 = 64 << 10;
/// Pages that wait to be written (16 MiB). One more is not kept: a slow disk must not hold up queries, nor fill the memory.
const PAGES_TO_WRITE: usize = 256;

/// A page that is being read, for those who wait for it. None until it is there; the sender goes away when the read failed.
type Flight = watch::Receiver<Option<Bytes>>;

type Flights = Mutex<HashMap<Name, Flight>>;

fn locked(flights: &Flights) -> MutexGuard<'_, HashMap<Name, Flight>> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The cache, or none: then ranges are read from the store. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct RangeCache {
    inner: Option<Arc<Inner>>,
}

#[derive(Debug)]
struct Inner {
    slots: Arc<Slots>,
    /// Until they are on disk, or turned out not to get there.
    flights: Arc<Flights>,
    to_write: SyncSender<(Name, Bytes)>,
    metrics: TierMetrics,
}

impl RangeCache {
    /// Opens the cache that the settings name; none when they name none. Reads the heads of all pages that an earlier process left.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(config: &Config, metrics: TierMetrics) -> io::Result<Self> {
        if config.disk_path.as_os_str().is_empty() || config.disk_bytes.bytes() == 0 {
            return Ok(Self::default());
        }
        let slots = Arc::new(Slots::open(&config.disk_path, config.disk_bytes.bytes(), PAGE_BYTES as usize)?);
        let (to_write, pages) = sync_channel(PAGES_TO_WRITE);
        let flights: Arc<Flights> = Arc::default();
        let writer = Writer { slots: Arc::clone(&slots), flights: Arc::clone(&flights), metrics: metrics.clone() };
        // Ends when the last clone of the cache is gone.
        std::thread::Builder::new().name("cache".to_owned()).spawn(move || writer.run(&pages))?;
        Ok(Self { inner: Some(Arc::new(Inner { slots, flights, to_write, metrics })) })
    }

    /// Reads ranges of an object of so many bytes, in the order asked for. What is not in the cache takes a request for each group
    /// of near pages.
    ///
    /// # Errors
    /// Those of the store; never one of the cache.
    pub async fn get_ranges(
        &self,
        store: &Store,
        key: &str,
        object_bytes: u64,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, Error> {
        let Some(inner) = &self.inner else { return store.get_ranges(key, ranges).await };
        if ranges.iter().any(|range| range.start > range.end || range.end > object_bytes) {
            // The store knows what to say of it.
            return store.get_ranges(key, ranges).await;
        }
        let mut pages: BTreeMap<u64, Option<Bytes>> =
            ranges.iter().flat_map(pages_of).map(|page| (page, None)).collect();
        inner.look(key, pages.keys().copied().collect(), &mut pages).await;
        inner.read_missing(store, key, object_bytes, &mut pages).await?;
        Ok(ranges.iter().map(|range| cut(range, &pages)).collect())
    }

    /// Lets go of what ranges of an object lie in, because it turned out to be damaged.
    pub fn forget(&self, key: &str, ranges: &[Range<u64>]) {
        let Some(inner) = &self.inner else { return };
        for page in ranges.iter().flat_map(pages_of) {
            inner.slots.remove(name(key, page));
            inner.metrics.failures.inc();
        }
    }
}

/// Writes pages, one after the other.
struct Writer {
    slots: Arc<Slots>,
    flights: Arc<Flights>,
    metrics: TierMetrics,
}

impl Writer {
    fn run(&self, pages: &Receiver<(Name, Bytes)>) {
        let mut is_failing = false;
        while let Ok((name, page)) = pages.recv() {
            match self.slots.write(name, &page) {
                Ok(()) => is_failing = false,
                Err(error) => {
                    self.metrics.failures.inc();
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "the read cache cannot be written, pages are read from the store");
                    }
                }
            }
            locked(&self.flights).remove(&name);
            self.metrics.held_bytes.set(i64::try_from(self.slots.held_bytes()).unwrap_or(i64::MAX));
        }
    }
}

/// The pages that a range lies in.
fn pages_of(range: &Range<u64>) -> Range<u64> {
    if range.is_empty() { 0..0 } else { range.start / PAGE_BYTES..range.end.div_ceil(PAGE_BYTES) }
}

fn name(key: &str, page: u64) -> Name {
    let mut bytes = Vec::with_capacity(key.len() + 8);
    bytes.extend_from_slice(&page.to_le_bytes());
    bytes.extend_from_slice(key.as_bytes());
    let [low, high] = [0, 1].map(|seed| Name::from(XxHash3_64::oneshot_with_seed(seed, &bytes)));
    high << 64 | low
}

/// A range out of the pages it lies in.
fn cut(range: &Range<u64>, pages: &BTreeMap<u64, Option<Bytes>>) -> Bytes {
    let part = |page: u64| {
        let bytes = pages.get(&page).and_then(Option::as_ref).cloned().unwrap_or_default();
        let within =
            |at: u64| usize::try_from(at.saturating_sub(page * PAGE_BYTES)).unwrap_or(usize::MAX).min(bytes.len());
        let (from, to) = (within(range.start), within(range.end));
        bytes.slice(from..to)
    };
    let mut of = pages_of(range);
    if of.end - of.start == 1 {
        return part(of.start);
    }
    let mut whole = Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or_default());
    of.by_ref().for_each(|page| whole.extend_from_slice(&part(page)));
    whole.into()
}

/// Pages that this caller reads for all. Whatever happens to it, nobody waits for them any longer when it is gone.
struct Claims<'a> {
    inner: &'a Inner,
    pages: Vec<(u64, Name, watch::Sender<Option<Bytes>>)>,
}

impl Drop for Claims<'_> {
    fn drop(&mut self) {
        let mut flights = locked(&self.inner.flights);
        self.pages.iter().filter(|(_, _, sender)| sender.borrow().is_none()).for_each(|(_, name, _)| {
            flights.remove(name);
        });
    }
}

/// Who gives which pages.
struct Division<'a> {
    /// This caller.
    claims: Claims<'a>,
    /// Another caller, who is reading them.
    waits: Vec<(u64, Flight)>,
    /// The disk, by now.
    landed: Vec<u64>,
}

impl Inner {
    /// Reads what is on disk.
    async fn look(&self, key: &str, wanted: Vec<u64>, pages: &mut BTreeMap<u64, Option<Bytes>>) {
        let names: Vec<(u64, Name)> = wanted.into_iter().map(|page| (page, name(key, page))).collect();
        let slots = Arc::clone(&self.slots);
        let read = move || names.into_iter().map(|(page, name)| (page, slots.read(name))).collect::<Vec<_>>();
        // A task that ended early found nothing.
        for (page, found) in tokio::task::spawn_blocking(read).await.unwrap_or_default() {
            match found {
                Found::Page(bytes) => {
                    self.metrics.hits.inc();
                    self.metrics.hit_bytes.inc_by(bytes.len() as u64);
                    pages.insert(page, Some(bytes));
                }
                Found::Absent => {}
                Found::Damaged => {
                    self.metrics.failures.inc();
                }
            }
        }
    }

    /// Reads what is not there from the store, or waits for whoever does.
    async fn read_missing(
        &self,
        store: &Store,
        key: &str,
        object_bytes: u64,
        pages: &mut BTreeMap<u64, Option<Bytes>>,
    ) -> Result<(), Error> {
        loop {
            let missing = pages.iter().filter(|(_, bytes)| bytes.is_none()).map(|(page, _)| *page);
            let Division { claims, waits, landed } = self.divide(key, missing.collect());
            if claims.pages.is_empty() && waits.is_empty() && landed.is_empty() {
                return Ok(());
            }
            if !landed.is_empty() {
                self.look(key, landed, pages).await;
            }
            // Read before waiting: two callers may wait for each other's pages.
            self.read(store, key, object_bytes, claims, pages).await?;
            for (page, mut flight) in waits {
                // When the other one failed or went away, the next round reads it here.
                if let Ok(bytes) = flight.wait_for(Option::is_some).await {
                    pages.insert(page, bytes.clone());
                }
            }
        }
    }

    fn divide(&self, key: &str, missing: Vec<u64>) -> Division<'_> {
        let claims = Claims { inner: self, pages: Vec::new() };
        let mut division = Division { claims, waits: Vec::new(), landed: Vec::new() };
        let mut flights = locked(&self.flights);
        for page in missing {
            let name = name(key, page);
            match flights.get(&name) {
                Some(flight) => division.waits.push((page, flight.clone())),
                None if self.slots.has(name) => division.landed.push(page),
                None => {
                    let (sender, flight) = watch::channel(None);
                    flights.insert(name, flight);
                    division.claims.pages.push((page, name, sender));
                }
            }
        }
        drop(flights);
        division
    }

    async fn read(
        &self,
        store: &Store,
        key: &str,
        object_bytes: u64,
        claims: Claims<'_>,
        pages: &mut BTreeMap<u64, Option<Bytes>>,
    ) -> Result<(), Error> {
        if claims.pages.is_empty() {
            return Ok(());
        }
        self.metrics.misses.inc_by(claims.pages.len() as u64);
        let range = |page: u64| page * PAGE_BYTES..((page + 1) * PAGE_BYTES).min(object_bytes);
        let ranges: Vec<Range<u64>> = claims.pages.iter().map(|(page, _, _)| range(*page)).collect();
        let read = store.get_ranges(key, &ranges).await?;
        for ((page, name, sender), bytes) in claims.pages.iter().zip(read) {
            // A copy of its own: what came is a part of a larger buffer, which would be kept whole.
            let bytes = Bytes::copy_from_slice(&bytes);
            sender.send_replace(Some(bytes.clone()));
            if self.to_write.try_send((*name, bytes.clone())).is_err() {
                // The writer is behind: that costs a hit.
                locked(&self.flights).remove(name);
            }
            pages.insert(*page, Some(bytes));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
