//! The manifest: which blocks above level 0 are live, which objects are retired, who may commit. One JSON object with a
//! checksum over its own bytes.
//!
//! Version 1 holds everything in one object. A version that splits the blocks by time window into objects of their own
//! needs only another `format_version`: readers refuse what is newer than they know, and a writer that adds a field raises
//! it, because an older writer would drop the field at its next commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use spanlake_model::Tenant;

use crate::block_ref::{BlockRef, newest_first};
use crate::error::Error;
use crate::keys;

/// The version of the manifest that this code writes; it reads this one and all before it.
pub const MANIFEST_FORMAT_VERSION: u64 = 1;

/// What closes the JSON object: the checksum of every byte before it, in eight hexadecimal digits.
const SUFFIX_START: &str = ",\"crc32c\":\"";
const SUFFIX_END: &str = "\"}\n";
const SUFFIX_BYTES: usize = SUFFIX_START.len() + 8 + SUFFIX_END.len();

/// An object that is not live any more and waits for its deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// The object's key.
    pub key: Arc<str>,
    /// The manifest that retired it. Its age by the store's clock (`last_modified` of that manifest) decides when the
    /// object may be deleted.
    pub sequence: u64,
    /// When that was by the committing process's clock, in Unix nanoseconds: for people, not for decisions.
    pub unix_nanos: u64,
}

/// A manifest, read and checked.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) sequence: u64,
    pub(crate) epoch: u64,
    /// What the next manifest names as its predecessor: nonce and checksum of this one.
    pub(crate) link: String,
    /// The link of the manifest before; empty in the first one.
    pub(crate) previous: String,
    /// Newest first.
    pub(crate) blocks: Vec<BlockRef>,
    /// By key. A block stays here until its object is known to be deleted, so that the listing never shows it as live.
    pub(crate) retired: BTreeMap<Arc<str>, Retired>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format_version: u64,
    tenant: String,
    sequence: u64,
    previous: String,
    nonce: String,
    epoch: u64,
    written_unix_nanos: u64,
    /// Names below `blocks/`.
    blocks: Vec<String>,
    retired: Vec<RetiredDocument>,
}

#[derive(Serialize, Deserialize)]
struct RetiredDocument {
    /// `l0/<name>` or `blocks/<name>`.
    key: String,
    sequence: u64,
    unix_nanos: u64,
}

#[derive(Deserialize)]
struct VersionOnly {
    format_version: u64,
}

/// What a new manifest says.
pub(crate) struct Draft<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) sequence: u64,
    pub(crate) epoch: u64,
    pub(crate) previous: String,
    pub(crate) written_unix_nanos: u64,
    pub(crate) blocks: Vec<BlockRef>,
    pub(crate) retired: BTreeMap<Arc<str>, Retired>,
}

impl Manifest {
    /// Writes a manifest under a new random nonce, which tells it from every other attempt at the same number.
    pub(crate) fn encode(mut draft: Draft<'_>) -> (Self, Bytes) {
        draft.blocks.sort_by(|a, b| newest_first(a).cmp(&newest_first(b)));
        let tenant_prefix = format!("{}{}/", keys::TENANTS, draft.tenant);
        let nonce = format!("{:032x}", rand::random::<u128>());
        let below = |prefix: &str, key: &str| key.strip_prefix(prefix).unwrap_or(key).to_owned();
        let blocks_prefix = keys::blocks(draft.tenant);
        let document = Document {
            format_version: MANIFEST_FORMAT_VERSION,
            tenant: draft.tenant.to_string(),
            sequence: draft.sequence,
            previous: draft.previous,
            nonce,
            epoch: draft.epoch,
            written_unix_nanos: draft.written_unix_nanos,
            blocks: draft.blocks.iter().map(|block| below(&blocks_prefix, &block.key)).collect(),
            retired: draft
                .retired
                .values()
                .map(|retired| RetiredDocument {
                    key: below(&tenant_prefix, &retired.key),
                    sequence: retired.sequence,
                    unix_nanos: retired.unix_nanos,
                })
                .collect(),
        };
        let mut text = serde_json::to_string(&document).expect("texts and numbers always become JSON");
        text.pop();
        let crc = crc32c::crc32c(text.as_bytes());
        text.push_str(&format!("{SUFFIX_START}{crc:08x}{SUFFIX_END}"));
        let manifest = Self {
            sequence: document.sequence,
            epoch: document.epoch,
            link: link(&document.nonce, crc),
            previous: document.previous,
            blocks: draft.blocks,
            retired: draft.retired,
        };
        (manifest, Bytes::from(text))
    }

    /// Reads a manifest and checks that it is the one that belongs under its key.
    ///
    /// # Errors
    /// [`Error::DamagedManifest`], or [`Error::NewerFormat`] for it or for a block it names.
    pub(crate) fn decode(tenant: &Tenant, sequence: u64, bytes: &[u8]) -> Result<Self, Error> {
        let key = keys::manifest(tenant, sequence);
        let damaged = |problem: String| Error::DamagedManifest { key: key.clone(), problem };
        let (text, crc) = checked_text(bytes).map_err(damaged)?;
        let parse_error = |error: serde_json::Error| damaged(format!("its JSON does not fit: {error}"));
        let version: VersionOnly = serde_json::from_str(&text).map_err(parse_error)?;
        let supported = MANIFEST_FORMAT_VERSION;
        if version.format_version > supported {
            return Err(Error::NewerFormat { key, found: version.format_version, supported });
        }
        let document: Document = serde_json::from_str(&text).map_err(parse_error)?;
        if document.tenant != tenant.as_str() || document.sequence != sequence {
            return Err(damaged(format!(
                "it is number {} of tenant {:?}, so it lies in the wrong place",
                document.sequence, document.tenant
            )));
        }
        let blocks_prefix = keys::blocks(tenant);
        let mut blocks = Vec::with_capacity(document.blocks.len());
        for name in document.blocks {
            let block_key = format!("{blocks_prefix}{name}");
            let meta = keys::block_meta(&block_key)?
                .ok_or_else(|| damaged(format!("it names {name:?}, which is no block")))?;
            blocks.push(BlockRef { tenant: tenant.clone(), key: Arc::from(block_key), meta });
        }
        let retired = document.retired.into_iter().map(|retired| {
            let key: Arc<str> = Arc::from(format!("{}{tenant}/{}", keys::TENANTS, retired.key));
            (Arc::clone(&key), Retired { key, sequence: retired.sequence, unix_nanos: retired.unix_nanos })
        });
        Ok(Self {
            sequence,
            epoch: document.epoch,
            link: link(&document.nonce, crc),
            previous: document.previous,
            blocks,
            retired: retired.collect(),
        })
    }
}

fn link(nonce: &str, crc: u32) -> String {
    format!("{nonce}-{crc:08x}")
}

/// Checks the checksum and gives back the JSON object without it, closed.
fn checked_text(bytes: &[u8]) -> Result<(String, u32), String> {
    let at = bytes.len().checked_sub(SUFFIX_BYTES).ok_or_else(|| format!("it has only {} bytes", bytes.len()))?;
    let (body, suffix) = bytes.split_at(at);
    let written = std::str::from_utf8(suffix)
        .ok()
        .and_then(|suffix| suffix.strip_prefix(SUFFIX_START)?.strip_suffix(SUFFIX_END))
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .ok_or("it does not end with its checksum")?;
    let found = crc32c::crc32c(body);
    if found != written {
        return Err(format!("its checksum is {found:08x}, written was {written:08x}"));
    }
    let mut text = String::from_utf8(body.to_vec()).map_err(|_| "it is not UTF-8")?;
    text.push('}');
    Ok((text, written))
}

#[cfg(test)]
mod tests;
