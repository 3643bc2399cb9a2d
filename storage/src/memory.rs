//! Objects in this process's memory: for tests and for trying things out. Knows no time-outs and never fails.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use spanlake_model::world;

use crate::driver::{Backend, Driver, Object, Page};
use crate::error::{Error, Kind, Operation};

#[derive(Default)]
pub(crate) struct Memory {
    objects: Mutex<BTreeMap<String, (Bytes, SystemTime)>>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "memory of {} objects", self.lock().len())
    }
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Bytes, SystemTime)>> {
        // Every change of the map is one call, so a panic elsewhere leaves it whole.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Driver for Memory {
    fn backend(&self) -> Backend {
        Backend::Memory
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, Error> {
        let operation = if range.is_some() { Operation::GetRange } else { Operation::Get };
        let objects = self.lock();
        let (body, _) =
            objects.get(key).ok_or_else(|| Error::new(Kind::NotFound, operation, key, "there is no such object"))?;
        Ok(match range {
            None => body.clone(),
            Some(range) => {
                let clip = |at: u64| usize::try_from(at).map_or(body.len(), |at| at.min(body.len()));
                body.slice(clip(range.start)..clip(range.end))
            }
        })
    }

    async fn put_new(&self, key: &str, body: Bytes) -> Result<(), Error> {
        let mut objects = self.lock();
        if objects.contains_key(key) {
            return Err(Error::new(Kind::AlreadyExists, Operation::Put, key, "the key is taken"));
        }
        objects.insert(key.to_owned(), (body, world::now()));
        Ok(())
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        _next: Option<String>,
        limit: usize,
    ) -> Result<Page, Error> {
        let objects = self.lock();
        let from = match start_after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let objects = objects
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, (body, last_modified))| Object {
                key: key.clone(),
                object_bytes: body.len() as u64,
                last_modified: *last_modified,
            })
            .collect();
        Ok(Page { objects, next: None })
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.lock().remove(key);
        Ok(())
    }
}
