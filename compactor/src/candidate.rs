//! Blocks of the catalog as the decision needs them, and the time in their names. No I/O.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use spanlake_block::BlockMeta;
use spanlake_catalog::{BlockRef, Snapshot};
use spanlake_model::TraceId;

use crate::plan::Candidate;

/// All live blocks. `holding` are those that are known to hold deleted traces, `left_out` those that count as damaged for now.
pub(crate) fn candidates(
    snapshot: &Snapshot,
    holding: &HashMap<Arc<str>, HashSet<TraceId>>,
    left_out: &HashSet<Arc<str>>,
) -> Vec<Candidate> {
    let quarantined: HashSet<&str> = snapshot.quarantined().iter().map(|quarantined| &*quarantined.key).collect();
    let candidate = |block: &BlockRef| Candidate {
        key: Arc::clone(&block.key),
        meta: block.meta.clone(),
        written_unix_nanos: written_unix_nanos(block),
        is_quarantined: quarantined.contains(&*block.key) || left_out.contains(&block.key),
        holds_deleted: !holding.is_empty() && holding.contains_key(&block.key),
    };
    snapshot.blocks.iter().map(candidate).collect()
}

/// When a block was written, by its writer's clock. One with another kind of id is as old as its spans.
pub fn written_unix_nanos(block: &BlockRef) -> u64 {
    let name = block.key.rsplit('/').next().unwrap_or_default();
    let written = BlockMeta::parse_name(name).ok().and_then(|(id, _)| unix_nanos_of(id));
    written.unwrap_or(block.meta.max_end_unix_nanos)
}

/// The time in a block's id: an id is a ULID, whose first 10 characters are Unix milliseconds in Crockford's base 32
/// (<https://github.com/ulid/spec>).
fn unix_nanos_of(id: &str) -> Option<u64> {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let digits = id.as_bytes().get(..10).filter(|_| id.len() == 26)?;
    let unix_millis = digits.iter().try_fold(0u64, |millis, digit| {
        let value = ALPHABET.iter().position(|known| known == digit)?;
        Some(millis << 5 | value as u64)
    })?;
    unix_millis.checked_mul(1_000_000)
}

/// Unix nanoseconds of a time.
pub(crate) fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_when_they_were_made() {
        let check = |id: &str, expect| assert_eq!(unix_nanos_of(id), expect, "{id}");
        // The example of the ULID specification.
        check("01arz3ndektsv4rrffq69g5fav", Some(1_469_922_850_259_000_000));
        check("00000000000000000000000000", Some(0));
        check("01arz3ndek", None);
        check("01ARZ3NDEKTSV4RRFFQ69G5FAV", None);
        check("7zzzzzzzzzzzzzzzzzzzzzzzzz", None);
    }
}
