//! The manifest: which blocks above level 0 are live, which objects are retired, which traces are deleted, who may commit.
//! A head with a checksum over its own bytes, and immutable parts that it names with theirs.
//!
//! Version 1 had everything in the head and knew no deleted traces and no quarantine. Readers refuse what is newer than
//! they know, and a writer that adds a field raises the version, because an older writer would drop the field at its next
//! commit.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use spanlake_model::world::{self, Rule};
use spanlake_model::{Tenant, TraceId};

use crate::block_ref::{BlockRef, newest_first};
use crate::checked_json::{close, open};
use crate::deleted::{DeletedTraces, Tombstone};
use crate::error::Error;
use crate::keys;
use crate::part::{Part, RetiredDocument, blocks_of, entry};
use crate::quarantine::{Quarantined, QuarantinedDocument};

/// The version of the manifest that this code writes; it reads this one and all before it.
pub const MANIFEST_FORMAT_VERSION: u64 = 2;

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

/// A manifest, read and checked, with its parts.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) sequence: u64,
    pub(crate) epoch: u64,
    /// What the next manifest names as its predecessor: nonce and checksum of this one.
    pub(crate) link: String,
    pub(crate) contents: Contents,
    /// The keys of all retired objects. A block stays here until its object is known to be deleted, so that the listing
    /// never shows it as live.
    retired_keys: HashSet<Arc<str>, foldhash::fast::RandomState>,
}

/// What a manifest says, apart from its place in the chain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contents {
    /// Parts of blocks, newest first, each behind the one before.
    pub(crate) parts: Vec<Arc<Part>>,
    /// The blocks in no part, newest first.
    pub(crate) blocks: Vec<BlockRef>,
    /// Parts of retired objects, oldest first.
    pub(crate) retired_parts: Vec<Arc<Part>>,
    /// The retired objects in no part, oldest first.
    pub(crate) retired: Vec<Retired>,
    pub(crate) deleted: DeletedTraces,
    pub(crate) quarantined: Arc<[Quarantined]>,
}

/// A manifest that is about to be written, but for its parts.
pub(crate) struct Draft<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) sequence: u64,
    pub(crate) epoch: u64,
    /// The link of the manifest before; empty in the first one.
    pub(crate) previous: String,
    pub(crate) written_unix_nanos: u64,
    pub(crate) contents: Contents,
    /// The objects of those parts that are new, to be stored before the head.
    pub(crate) new_parts: Vec<(String, Bytes)>,
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
    #[serde(default)]
    parts: Vec<PartDocument>,
    /// Names below `blocks/`.
    blocks: Vec<String>,
    #[serde(default)]
    retired_parts: Vec<PartDocument>,
    retired: Vec<RetiredDocument>,
    #[serde(default)]
    deleted: Vec<DeletedDocument>,
    #[serde(default)]
    quarantined: Vec<QuarantinedDocument>,
}

/// A part as the head names it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PartDocument {
    pub(crate) id: String,
    crc32c: String,
    /// How many blocks or retired objects it holds.
    count: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    min_start_unix_nanos: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    max_end_unix_nanos: u64,
}

/// The traces that one manifest deleted.
#[derive(Serialize, Deserialize)]
struct DeletedDocument {
    sequence: u64,
    unix_nanos: u64,
    /// 32 hexadecimal digits each.
    trace_ids: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct VersionOnly {
    format_version: u64,
}

impl VersionOnly {
    /// Whether this build may read on.
    pub(crate) fn check(&self, key: &str) -> Result<(), Error> {
        let (found, supported) = (self.format_version, MANIFEST_FORMAT_VERSION);
        if found > supported {
            return Err(Error::NewerFormat { key: key.to_owned(), found, supported });
        }
        Ok(())
    }
}

/// A head, read and checked; its parts are still to be read.
pub(crate) struct Head {
    document: Document,
    crc32c: u32,
    tenant: Tenant,
}

impl Head {
    /// Reads a head and checks that it is the one that belongs under its key.
    ///
    /// # Errors
    /// [`Error::DamagedManifest`], [`Error::NewerFormat`].
    pub(crate) fn decode(tenant: &Tenant, sequence: u64, bytes: &[u8]) -> Result<Self, Error> {
        let key = keys::manifest(tenant, sequence);
        let damaged = |problem: String| Error::DamagedManifest { key: key.clone(), problem };
        let (text, crc32c) = open(bytes).map_err(damaged)?;
        let parse_error = |error: serde_json::Error| damaged(format!("its JSON does not fit: {error}"));
        let version: VersionOnly = serde_json::from_str(&text).map_err(parse_error)?;
        version.check(&key)?;
        let document: Document = serde_json::from_str(&text).map_err(parse_error)?;
        if document.tenant != tenant.as_str() || document.sequence != sequence {
            return Err(damaged(format!(
                "it is number {} of tenant {:?}, so it lies in the wrong place",
                document.sequence, document.tenant
            )));
        }
        Ok(Self { document, crc32c, tenant: tenant.clone() })
    }

    /// The link that its successor names.
    pub(crate) fn link(&self) -> String {
        link(&self.document.nonce, self.crc32c)
    }

    /// The link of the manifest before.
    pub(crate) fn previous(&self) -> &str {
        &self.document.previous
    }

    /// The parts it names: id and checksum.
    pub(crate) fn parts(&self) -> Result<Vec<(String, u32)>, Error> {
        let named = self.document.parts.iter().chain(&self.document.retired_parts);
        named
            .map(|part| {
                let crc32c = u32::from_str_radix(&part.crc32c, 16);
                let crc32c = crc32c.map_err(|_| self.damaged(format!("the checksum of part {:?} is none", part.id)))?;
                if !crate::id::is_id(&part.id) {
                    return Err(self.damaged(format!("{:?} is no name of a part", part.id)));
                }
                Ok((part.id.clone(), crc32c))
            })
            .collect()
    }

    /// The manifest, from the head and the parts it names, by id.
    ///
    /// # Errors
    /// [`Error::DamagedManifest`] if they do not fit, or [`Error::NewerFormat`] for a block.
    pub(crate) fn assemble(self, parts: &HashMap<String, Arc<Part>>) -> Result<Manifest, Error> {
        let find = |named: &PartDocument| {
            let part = parts.get(&named.id).ok_or_else(|| self.damaged(format!("part {:?} was not read", named.id)))?;
            let count = (part.blocks.len() + part.retired.len()) as u64;
            if count != named.count {
                return Err(self.damaged(format!("part {:?} has {count} entries, not {}", named.id, named.count)));
            }
            Ok(Arc::clone(part))
        };
        let document = &self.document;
        let block_parts: Vec<Arc<Part>> = document.parts.iter().map(find).collect::<Result<_, _>>()?;
        let in_order = block_parts.windows(2).all(|pair| match (pair[0].blocks.last(), pair[1].blocks.first()) {
            (Some(last), Some(first)) => newest_first(last) < newest_first(first),
            _ => false,
        });
        if !in_order {
            return Err(self.damaged("its parts are not in order".to_owned()));
        }
        let quarantined = document.quarantined.iter().map(|quarantined| Quarantined {
            key: Arc::from(format!("{}{}", keys::tenant(&self.tenant), quarantined.key)),
            problem: quarantined.problem.clone(),
            unix_nanos: quarantined.unix_nanos,
        });
        let mut blocks = blocks_of(&self.tenant, &document.blocks, |problem| self.damaged(problem))?;
        blocks.sort_by(|a, b| newest_first(a).cmp(&newest_first(b)));
        let contents = Contents {
            parts: block_parts,
            blocks,
            retired_parts: document.retired_parts.iter().map(find).collect::<Result<_, _>>()?,
            quarantined: quarantined.collect(),
            deleted: decode_deleted(&document.deleted).map_err(|problem| self.damaged(problem))?,
            retired: Vec::new(),
        };
        let link = self.link();
        let retired = self.document.retired.into_iter().map(|retired| retired.read(&self.tenant)).collect();
        let contents = Contents { retired, ..contents };
        Ok(Manifest::new(self.document.sequence, self.document.epoch, link, contents))
    }

    fn damaged(&self, problem: String) -> Error {
        Error::DamagedManifest { key: keys::manifest(&self.tenant, self.document.sequence), problem }
    }
}

impl Manifest {
    fn new(sequence: u64, epoch: u64, link: String, contents: Contents) -> Self {
        let retired_keys = contents.all_retired().map(|retired| Arc::clone(&retired.key)).collect();
        Self { sequence, epoch, link, contents, retired_keys }
    }

    /// Whether an object is retired.
    pub(crate) fn is_retired(&self, key: &str) -> bool {
        self.retired_keys.contains(key)
    }

    /// All its parts.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Arc<Part>> {
        self.contents.parts.iter().chain(&self.contents.retired_parts)
    }

    /// Writes a head under a new random nonce, which tells it from every other attempt at the same number.
    pub(crate) fn encode(draft: Draft<'_>) -> (Self, Bytes) {
        let (tenant, contents) = (draft.tenant, &draft.contents);
        let prefix = keys::tenant(tenant);
        let document = Document {
            format_version: MANIFEST_FORMAT_VERSION,
            tenant: tenant.to_string(),
            sequence: draft.sequence,
            previous: draft.previous,
            nonce: match world::is_broken(Rule::NonceInManifest) {
                false => format!("{:032x}", world::simulated_u128().unwrap_or_else(rand::random)),
                true => String::new(),
            },
            epoch: draft.epoch,
            written_unix_nanos: draft.written_unix_nanos,
            parts: contents.parts.iter().map(|part| PartDocument::of(part)).collect(),
            blocks: contents.blocks.iter().map(entry).collect(),
            retired_parts: contents.retired_parts.iter().map(|part| PartDocument::of(part)).collect(),
            retired: contents.retired.iter().map(|retired| RetiredDocument::of(tenant, retired)).collect(),
            deleted: encode_deleted(&contents.deleted),
            quarantined: contents
                .quarantined
                .iter()
                .map(|quarantined| QuarantinedDocument {
                    key: quarantined.key.strip_prefix(prefix.as_str()).unwrap_or(&quarantined.key).to_owned(),
                    problem: quarantined.problem.clone(),
                    unix_nanos: quarantined.unix_nanos,
                })
                .collect(),
        };
        let (bytes, crc32c) = close(&document);
        let link = link(&document.nonce, crc32c);
        (Self::new(document.sequence, document.epoch, link, draft.contents), bytes)
    }
}

impl Contents {
    /// Every retired object, oldest first.
    pub(crate) fn all_retired(&self) -> impl Iterator<Item = &Retired> {
        self.retired_parts.iter().flat_map(|part| &part.retired).chain(&self.retired)
    }
}

impl PartDocument {
    fn of(part: &Part) -> Self {
        Self {
            id: part.id.clone(),
            crc32c: format!("{:08x}", part.crc32c),
            count: (part.blocks.len() + part.retired.len()) as u64,
            min_start_unix_nanos: part.time_range.start_unix_nanos,
            max_end_unix_nanos: part.time_range.end_unix_nanos,
        }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn encode_deleted(deleted: &DeletedTraces) -> Vec<DeletedDocument> {
    let mut by_manifest: BTreeMap<(u64, u64), Vec<String>> = BTreeMap::new();
    for (id, tombstone) in deleted.iter() {
        by_manifest.entry((tombstone.sequence, tombstone.unix_nanos)).or_default().push(id.to_string());
    }
    let document = |((sequence, unix_nanos), trace_ids)| DeletedDocument { sequence, unix_nanos, trace_ids };
    by_manifest.into_iter().map(document).collect()
}

fn decode_deleted(documents: &[DeletedDocument]) -> Result<DeletedTraces, String> {
    let mut tombstones = Vec::new();
    for document in documents {
        let tombstone = Tombstone { sequence: document.sequence, unix_nanos: document.unix_nanos };
        for text in &document.trace_ids {
            let id = TraceId::parse_hex(text).map_err(|problem| format!("it deletes {text:?}: {problem}"))?;
            tombstones.push((id, tombstone));
        }
    }
    Ok(tombstones.into_iter().collect())
}

fn link(nonce: &str, crc: u32) -> String {
    format!("{nonce}-{crc:08x}")
}

#[cfg(test)]
mod tests;
