//! A part of a manifest: blocks of a stretch of time, or retired objects, in an immutable object of its own, so that a
//! commit writes anew only what it touches. One JSON object with a checksum over its own bytes, as the head is.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use spanlake_model::{Tenant, TimeRange};

use crate::block_ref::{BlockRef, newest_first};
use crate::checked_json::{close, open};
use crate::error::Error;
use crate::id::Ids;
use crate::keys;
use crate::manifest::{MANIFEST_FORMAT_VERSION, Retired, VersionOnly};

/// A part, read and checked.
#[derive(Debug)]
pub(crate) struct Part {
    /// Its name below `manifest-parts/`, without `.json`.
    pub(crate) id: String,
    /// The checksum of its bytes, which the head repeats.
    pub(crate) crc32c: u32,
    /// Newest first; empty in a part of retired objects.
    pub(crate) blocks: Vec<BlockRef>,
    /// In the order in which they were retired; empty in a part of blocks.
    pub(crate) retired: Vec<Retired>,
    /// The time all its blocks cover together.
    pub(crate) time_range: TimeRange,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format_version: u64,
    tenant: String,
    id: String,
    blocks: Vec<String>,
    retired: Vec<RetiredDocument>,
}

/// A retired object as text.
#[derive(Serialize, Deserialize)]
pub(crate) struct RetiredDocument {
    /// `l0/<name>` or `blocks/<name>`.
    key: String,
    sequence: u64,
    unix_nanos: u64,
}

impl Part {
    /// A new part of blocks (newest first) or retired objects, and the bytes to store under [`keys::manifest_part`].
    pub(crate) fn create(tenant: &Tenant, blocks: Vec<BlockRef>, retired: Vec<Retired>) -> (Arc<Self>, Bytes) {
        let document = Document {
            format_version: MANIFEST_FORMAT_VERSION,
            tenant: tenant.to_string(),
            id: Ids::default().next(),
            blocks: blocks.iter().map(entry).collect(),
            retired: retired.iter().map(|retired| RetiredDocument::of(tenant, retired)).collect(),
        };
        let (bytes, crc32c) = close(&document);
        let time_range = covered(&blocks);
        (Arc::new(Self { id: document.id, crc32c, blocks, retired, time_range }), bytes)
    }

    /// Reads a part and checks that it is the one that the head names.
    ///
    /// # Errors
    /// [`Error::DamagedManifest`], or [`Error::NewerFormat`] for it or for a block it names.
    pub(crate) fn decode(tenant: &Tenant, id: &str, crc32c: u32, bytes: &[u8]) -> Result<Self, Error> {
        let key = keys::manifest_part(tenant, id);
        let damaged = |problem: String| Error::DamagedManifest { key: key.clone(), problem };
        let (text, found) = open(bytes).map_err(damaged)?;
        if found != crc32c {
            return Err(damaged(format!("its checksum is {found:08x}, the manifest names {crc32c:08x}")));
        }
        let parse_error = |error: serde_json::Error| damaged(format!("its JSON does not fit: {error}"));
        let version: VersionOnly = serde_json::from_str(&text).map_err(parse_error)?;
        version.check(&key)?;
        let document: Document = serde_json::from_str(&text).map_err(parse_error)?;
        if document.tenant != tenant.as_str() || document.id != id {
            return Err(damaged(format!("it is {:?} of tenant {:?}", document.id, document.tenant)));
        }
        let blocks = blocks_of(tenant, &document.blocks, damaged)?;
        if !blocks.is_sorted_by_key(|block| newest_first(block)) {
            return Err(damaged("its blocks are not in order".to_owned()));
        }
        let retired = document.retired.into_iter().map(|retired| retired.read(tenant)).collect();
        let time_range = covered(&blocks);
        Ok(Self { id: document.id, crc32c, blocks, retired, time_range })
    }
}

impl RetiredDocument {
    pub(crate) fn of(tenant: &Tenant, retired: &Retired) -> Self {
        let prefix = keys::tenant(tenant);
        let key = retired.key.strip_prefix(prefix.as_str()).unwrap_or(&retired.key).to_owned();
        Self { key, sequence: retired.sequence, unix_nanos: retired.unix_nanos }
    }

    pub(crate) fn read(self, tenant: &Tenant) -> Retired {
        let key = Arc::from(format!("{}{}", keys::tenant(tenant), self.key));
        Retired { key, sequence: self.sequence, unix_nanos: self.unix_nanos }
    }
}

fn covered(blocks: &[BlockRef]) -> TimeRange {
    let ranges = || blocks.iter().map(|block| block.meta.time_range());
    TimeRange {
        start_unix_nanos: ranges().map(|range| range.start_unix_nanos).min().unwrap_or(0),
        end_unix_nanos: ranges().map(|range| range.end_unix_nanos).max().unwrap_or(0),
    }
}

/// A block in a manifest: its name, and `@<level>` behind it if it counts as one of another level than its name says.
pub(crate) fn entry(block: &BlockRef) -> String {
    let name = block.key.rsplit('/').next().unwrap_or_default();
    match keys::block_meta(name) {
        Ok(Some(named)) if named.level != block.meta.level => format!("{name}@{}", block.meta.level),
        _ => name.to_owned(),
    }
}

/// The blocks that entries name.
pub(crate) fn blocks_of(
    tenant: &Tenant,
    entries: &[String],
    damaged: impl Fn(String) -> Error,
) -> Result<Vec<BlockRef>, Error> {
    let prefix = keys::blocks(tenant);
    let mut blocks = Vec::with_capacity(entries.len());
    for entry in entries {
        let no_block = || damaged(format!("it names {entry:?}, which is no block"));
        let (name, level) = match entry.split_once('@') {
            Some((name, level)) => (name, Some(level.parse().map_err(|_| no_block())?)),
            None => (entry.as_str(), None),
        };
        let key = format!("{prefix}{name}");
        let mut meta = keys::block_meta(&key)?.ok_or_else(no_block)?;
        meta.level = level.unwrap_or(meta.level);
        blocks.push(BlockRef { tenant: tenant.clone(), key: Arc::from(key), meta });
    }
    Ok(blocks)
}
