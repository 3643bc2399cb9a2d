//! Owning a tenant: whoever raises the epoch in its manifest may commit, and everyone before may not any more.

use spanlake_storage::{Kind, Operation, Store};

use crate::commit::{Committed, draft_after, pause, put, unix_nanos_now};
use crate::error::Error;
use crate::keys;
use crate::metrics::Metrics;
use crate::tenant::TenantState;

/// How often a claim is tried while other commits win.
const MAX_CLAIMS: usize = 16;

/// Raises the epoch by one and gives back the new one, which is the caller's alone.
pub(crate) async fn claim(state: &TenantState, store: &Store, metrics: &Metrics) -> Result<u64, Error> {
    let unavailable = |sequence, message: &str| {
        let key = keys::manifest(state.tenant(), sequence);
        spanlake_storage::Error::new(Kind::Unavailable, Operation::Put, &key, message)
    };
    let mut sequence = 0;
    for _ in 0..MAX_CLAIMS {
        let snapshot = state.snapshot(store, metrics).await?;
        let mut draft = draft_after(&snapshot, unix_nanos_now());
        draft.epoch += 1;
        sequence = draft.sequence;
        let epoch = draft.epoch;
        match put(state, store, metrics, draft).await? {
            Committed::Won { .. } => return Ok(epoch),
            Committed::Lost { .. } => pause().await,
            Committed::Unknown { .. } => {
                let message = "it is unknown whether the tenant was claimed: claim it again";
                return Err(unavailable(sequence, message).that_may_have_happened().into());
            }
        }
    }
    Err(unavailable(sequence, "other commits kept winning while the tenant was to be claimed").into())
}
