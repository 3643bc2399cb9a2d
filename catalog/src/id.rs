//! Names for new blocks: unique everywhere, sorted by the time they were made.
//!
//! An id is a ULID in lower case: 48 bits of Unix milliseconds, then 80 random bits, as 26 characters of Crockford's
//! base 32. Within one process every id is greater than the one before, whatever the clock does.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use spanlake_model::world;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Characters of an id.
pub(crate) const ID_LEN: usize = 26;

const RANDOM_BITS: u32 = 80;

/// Makes ids.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    last: Mutex<u128>,
}

impl Ids {
    /// A new id.
    pub(crate) fn next(&self) -> String {
        let since_epoch = world::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.next_at(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    fn next_at(&self, unix_millis: u64) -> String {
        let random = world::simulated_u128().unwrap_or_else(rand::random);
        let fresh = (u128::from(unix_millis) << RANDOM_BITS) | (random >> (128 - RANDOM_BITS));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // A step of random size keeps ids of two processes apart whose clocks both stand still.
        let step = (random & u128::from(u32::MAX)) + 1;
        *last = if fresh > *last { fresh } else { *last + step };
        encode(*last)
    }
}

fn encode(id: u128) -> String {
    (0..ID_LEN as u32).rev().map(|i| char::from(ALPHABET[((id >> (5 * i)) & 31) as usize])).collect()
}

/// When an id was made, in Unix milliseconds, by the clock of who made it; nothing for a text that is no id.
pub(crate) fn unix_millis(id: &str) -> Option<u64> {
    let digit = |byte: u8| ALPHABET.iter().position(|letter| *letter == byte).map(|value| value as u128);
    let value = id.bytes().try_fold(0u128, |value, byte| Some(value.checked_mul(32)? + digit(byte)?));
    value.filter(|_| is_id(id)).and_then(|value| u64::try_from(value >> RANDOM_BITS).ok())
}

/// Whether a text could be an id.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == ID_LEN && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_whatever_the_clock_does() {
        let ids = Ids::default();
        let mut last = String::new();
        for unix_millis in [5, 5, 5, 3, 0, 6, 6, 1_700_000_000_000, 1_700_000_000_000, 7] {
            let id = ids.next_at(unix_millis);
            assert!(id > last && is_id(&id), "{id} after {last}");
            last = id;
        }
    }

    #[test]
    fn ids_sort_by_time() {
        let earlier = Ids::default().next_at(1_700_000_000_000);
        let later = Ids::default().next_at(1_700_000_000_001);
        assert!(earlier < later);
        assert_eq!(encode(0), "0".repeat(26));
        assert_eq!(encode(u128::MAX), format!("7{}", "z".repeat(25)));
    }

    #[test]
    fn ids_tell_when_they_were_made() {
        for millis in [0, 5, 1_700_000_000_000] {
            assert_eq!(unix_millis(&Ids::default().next_at(millis)), Some(millis));
        }
        assert_eq!((unix_millis("x"), unix_millis(&"u".repeat(26)), unix_millis(&"z".repeat(26))), (None, None, None));
    }

    #[test]
    fn what_is_no_id() {
        assert!(!is_id("") && !is_id(&"0".repeat(25)) && !is_id(&"O".repeat(26)) && !is_id(&"u".repeat(26)));
    }
}
