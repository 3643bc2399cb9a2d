//! Traces deleted on request: hidden from every answer at once, and from storage once every block is rewritten.
//!
//! A deletion is a tombstone in the manifest. It hides the trace whatever block its spans lie in, those that arrive later
//! included, until the compactor has seen that no live block holds the trace and lets go of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use spanlake_model::{Tenant, TraceId};

use crate::catalog::Catalog;
use crate::commit::{Committed, draft_after, pause, put, unix_nanos_now};
use crate::error::Error;
use crate::keys;

/// Most traces of one tenant that may wait for their removal from storage. Each takes 35 bytes of every manifest and 100 in
/// memory.
pub const MAX_DELETED_TRACES: usize = 10_000;

/// Most bytes of the reason for a deletion; the audit keeps it for ever.
pub const MAX_REASON_BYTES: usize = 1_000;

/// How often a deletion is tried while other commits win.
const MAX_TRIES: usize = 32;

/// When a trace was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// The manifest that deleted it. Its age by the store's clock decides when the tombstone may be forgotten.
    pub sequence: u64,
    /// When that was by the clock of the process that was asked, in Unix nanoseconds: for people, not for decisions.
    pub unix_nanos: u64,
}

/// The traces of a tenant that no answer may show. Cheap to clone: clones share the set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeletedTraces {
    by_id: Arc<BTreeMap<TraceId, Tombstone>>,
    ids: Arc<HashSet<TraceId>>,
}

impl DeletedTraces {
    /// Whether the trace is deleted. Takes constant time.
    pub fn contains(&self, id: &TraceId) -> bool {
        !self.ids.is_empty() && self.ids.contains(id)
    }

    /// Whether nothing is deleted.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// How many traces are deleted and still remembered.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The deleted traces in order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&TraceId, &Tombstone)> {
        self.by_id.iter()
    }

    /// The ids as a set that a merge can share.
    pub fn ids(&self) -> Arc<HashSet<TraceId>> {
        Arc::clone(&self.ids)
    }

    /// Those deleted by a manifest after number `sequence`.
    pub fn since(&self, sequence: u64) -> impl Iterator<Item = &TraceId> {
        self.by_id.iter().filter(move |(_, tombstone)| tombstone.sequence > sequence).map(|(id, _)| id)
    }

    /// These and more; an id that is there keeps its tombstone's age unless the new one is later.
    pub(crate) fn with(&self, more: impl IntoIterator<Item = (TraceId, Tombstone)>) -> Self {
        let mut by_id = BTreeMap::clone(&self.by_id);
        by_id.extend(more);
        by_id.into_iter().collect()
    }

    /// These without those that are as they were judged: by id, the manifest that deleted the trace.
    pub(crate) fn without(&self, forgotten: &[(TraceId, u64)]) -> Self {
        if forgotten.is_empty() {
            return self.clone();
        }
        let forgotten: HashSet<(TraceId, u64)> = forgotten.iter().copied().collect();
        let stays = |(id, tombstone): &(&TraceId, &Tombstone)| !forgotten.contains(&(**id, tombstone.sequence));
        self.by_id.iter().filter(stays).map(|(id, tombstone)| (*id, *tombstone)).collect()
    }
}

impl FromIterator<(TraceId, Tombstone)> for DeletedTraces {
    fn from_iter<I: IntoIterator<Item = (TraceId, Tombstone)>>(tombstones: I) -> Self {
        let by_id: BTreeMap<TraceId, Tombstone> = tombstones.into_iter().collect();
        let ids = by_id.keys().copied().collect();
        Self { by_id: Arc::new(by_id), ids: Arc::new(ids) }
    }
}

/// How a deletion ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// The manifest since which the traces are gone.
    pub sequence: u64,
    /// How many of the ids were not deleted already.
    pub new_count: usize,
    /// The key of the audit object.
    pub audit_key: String,
}

/// Who asked for what, kept for ever. Written before the deletion takes effect, so that none is without it; the log tells
/// how it ended.
#[derive(Serialize)]
struct Audit<'a> {
    format_version: u32,
    action: &'static str,
    tenant: &'a str,
    trace_ids: Vec<String>,
    reason: &'a str,
    unix_nanos: u64,
}

impl Catalog {
    /// Deletes traces: every snapshot taken after this returns hides them, in all processes, whatever block they lie in.
    /// Their rows go when the compactor rewrites the blocks. `reason` says who asked and why, for the audit object and
    /// the log line of target `audit`. Costs a PUT more than a commit.
    ///
    /// # Errors
    /// [`Error::InvalidEdit`] for no ids, more than [`MAX_DELETED_TRACES`], or a reason of more than
    /// [`MAX_REASON_BYTES`]; [`Error::TooManyDeleted`] when too many wait for the compactor; and as
    /// [`Catalog::snapshot`]. Deleting again is safe after any error.
    pub async fn delete_traces(&self, tenant: &Tenant, ids: &[TraceId], reason: &str) -> Result<Deletion, Error> {
        if ids.is_empty() || ids.len() > MAX_DELETED_TRACES {
            let problem = format!("it deletes {} traces: 1 to {MAX_DELETED_TRACES} at once can be", ids.len());
            return Err(Error::InvalidEdit { problem });
        }
        if reason.len() > MAX_REASON_BYTES {
            let problem = format!("its reason has {} bytes, more than {MAX_REASON_BYTES}", reason.len());
            return Err(Error::InvalidEdit { problem });
        }
        let audit_key = self.write_audit(tenant, ids, reason).await?;
        let outcome = self.commit_deletion(tenant, ids, audit_key.clone()).await;
        match &outcome {
            Ok(deletion) => tracing::info!(
                target: "audit",
                %tenant,
                trace_count = ids.len(),
                new_count = deletion.new_count,
                manifest_sequence = deletion.sequence,
                audit_key,
                reason,
                "traces deleted"
            ),
            Err(error) => tracing::warn!(
                target: "audit",
                %tenant,
                trace_count = ids.len(),
                audit_key,
                reason,
                %error,
                "traces not deleted"
            ),
        }
        outcome
    }

    async fn write_audit(&self, tenant: &Tenant, ids: &[TraceId], reason: &str) -> Result<String, Error> {
        let audit = Audit {
            format_version: 1,
            action: "delete_traces",
            tenant: tenant.as_str(),
            trace_ids: ids.iter().map(TraceId::to_string).collect(),
            reason,
            unix_nanos: unix_nanos_now(),
        };
        let key = keys::audit(tenant, &self.inner.ids.next());
        let mut body = serde_json::to_vec(&audit).expect("texts and numbers always become JSON");
        body.push(b'\n');
        self.inner.create_own(&key, Bytes::from(body)).await?;
        Ok(key)
    }

    async fn commit_deletion(&self, tenant: &Tenant, ids: &[TraceId], audit_key: String) -> Result<Deletion, Error> {
        let state = self.state(tenant);
        let (store, metrics) = (&self.inner.store, &self.inner.metrics);
        let mut last = None;
        for _ in 0..MAX_TRIES {
            let snapshot = state.snapshot(store, metrics).await?;
            let mut draft = draft_after(&snapshot, unix_nanos_now());
            let new: HashSet<&TraceId> = ids.iter().filter(|id| !draft.contents.deleted.contains(id)).collect();
            let new_count = new.len();
            if draft.contents.deleted.len() + new_count > MAX_DELETED_TRACES {
                return Err(Error::TooManyDeleted { tenant: tenant.clone(), waiting: draft.contents.deleted.len() });
            }
            // Those that are there are renewed: the compactor may be about to forget the old ones, which are judged by what was
            // stored before now.
            let tombstone = Tombstone { sequence: draft.sequence, unix_nanos: draft.written_unix_nanos };
            draft.contents.deleted = draft.contents.deleted.with(ids.iter().map(|id| (*id, tombstone)));
            match put(&state, store, metrics, draft).await? {
                Committed::Won { sequence } => return Ok(Deletion { sequence, new_count, audit_key }),
                Committed::Lost { .. } => pause().await,
                // Deleting twice says the same, so it is tried again.
                Committed::Unknown { key } => {
                    last = Some(key);
                    pause().await;
                }
            }
        }
        let key = last.clone().unwrap_or_else(|| keys::manifests(tenant));
        let message = "other commits kept winning, or the outcome is unknown: delete the traces again";
        let error = spanlake_storage::Error::new(
            spanlake_storage::Kind::Unavailable,
            spanlake_storage::Operation::Put,
            &key,
            message,
        );
        Err(if last.is_some() { error.that_may_have_happened() } else { error }.into())
    }
}
