//! The seam between the rules all backends share and what each backend does: one request, no retry, no reading back.

use std::fmt;
use std::ops::Range;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;

use crate::Error;

/// What kind of place objects lie in. Callers use it to choose defaults (how long to gather a batch), never for
/// correctness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// This process's memory; gone when it ends.
    Memory,
    /// A directory of a file system.
    Directory,
    /// A bucket of a service: S3, Google Cloud Storage, Azure Blob Storage.
    Remote,
}

/// One listed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub object_bytes: u64,
    /// When the store says it was written, by the store's clock.
    pub last_modified: SystemTime,
}

/// A part of a listing.
#[derive(Debug, Default)]
pub struct Page {
    /// The objects found, in any order.
    pub objects: Vec<Object>,
    /// Where the listing goes on; `None` at its end.
    pub next: Option<String>,
}

/// One backend. Every method makes one attempt and says what happened; [`crate::Store`] retries, reads back and counts.
#[async_trait]
pub trait Driver: fmt::Debug + Send + Sync {
    /// Where the objects lie.
    fn backend(&self) -> Backend;

    /// Reads an object, or the part of it in `range`. A short answer may be returned as it is: the caller checks.
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, Error>;

    /// Reads several ranges of one object, in order. The default asks for one after the other.
    async fn get_many(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let mut parts = Vec::with_capacity(ranges.len());
        for range in ranges {
            parts.push(self.get(key, Some(range.clone())).await?);
        }
        Ok(parts)
    }

    /// Creates an object, durably, or fails with [`crate::Kind::AlreadyExists`] if the key is taken.
    async fn put_new(&self, key: &str, body: Bytes) -> Result<(), Error>;

    /// Makes an object durable that an earlier, unclear attempt created. Backends whose reads prove durability do
    /// nothing.
    async fn confirm(&self, _key: &str) -> Result<(), Error> {
        Ok(())
    }

    /// Lists up to `limit` objects (fewer are allowed) whose key begins with `prefix` and comes after `start_after`,
    /// going on at `next` when a page before gave one.
    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page, Error>;

    /// Deletes an object; an absent one is success.
    async fn delete(&self, key: &str) -> Result<(), Error>;
}
