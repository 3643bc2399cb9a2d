//! Split-block Bloom filters: one cache line a probe, deterministic, specified in `FORMAT.md`.
//!
//! Construction: Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters" (2007), in the split-block
//! form that Parquet also uses; here the number of 32-byte blocks need not be a power of two.

use twox_hash::XxHash3_64;

use crate::Damage;

const WORDS: usize = 8;
const BLOCK_BYTES: usize = 4 * WORDS;

/// Odd multipliers that spread one 32-bit hash over the eight words of a block (Parquet specification, BloomFilter.md).
const SALT: [u32; WORDS] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// XXH3-64 of `bytes` under `seed`: the hash of every filter in a block.
pub(crate) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, bytes)
}

/// A filter being filled.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    blocks: Vec<[u32; WORDS]>,
}

impl Filter {
    /// An empty filter with room for `keys` at `bits_per_key`; 12 bits give about 0.5 % false positives.
    pub(crate) fn with_room_for(keys: usize, bits_per_key: usize) -> Self {
        let blocks = (keys * bits_per_key).div_ceil(8 * BLOCK_BYTES).max(1);
        Self { blocks: vec![[0; WORDS]; blocks] }
    }

    /// Adds a hash.
    pub(crate) fn insert(&mut self, hash: u64) {
        let index = block_index(hash, self.blocks.len());
        let block = &mut self.blocks[index];
        for (word, salt) in block.iter_mut().zip(SALT) {
            *word |= mask(hash, salt);
        }
    }

    /// Appends the blocks, each as eight little-endian words.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.blocks.len() * BLOCK_BYTES);
        for word in self.blocks.iter().flatten() {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// Reads what [`Filter::write`] wrote.
    ///
    /// # Errors
    /// [`Damage`] if the bytes are not a whole number of blocks, at least one.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Damage> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(BLOCK_BYTES) {
            return Err(Damage::new("filter", format!("{} bytes are not whole 32-byte blocks", bytes.len())));
        }
        let blocks = bytes
            .chunks_exact(BLOCK_BYTES)
            .map(|block| {
                let mut words = [0; WORDS];
                for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
                    *word = u32::from_le_bytes(bytes.try_into().expect("chunks_exact(4) gives 4 bytes"));
                }
                words
            })
            .collect();
        Ok(Self { blocks })
    }

    /// Whether the hash may have been added: `false` is certain.
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        let block = &self.blocks[block_index(hash, self.blocks.len())];
        block.iter().zip(SALT).all(|(word, salt)| word & mask(hash, salt) != 0)
    }

    /// Memory held, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.blocks.len() * BLOCK_BYTES
    }
}

fn block_index(hash: u64, blocks: usize) -> usize {
    // The upper half picks the block by multiply-shift, the lower half the bits inside it.
    (((hash >> 32) * blocks as u64) >> 32) as usize
}

fn mask(hash: u64, salt: u32) -> u32 {
    1 << ((hash as u32).wrapping_mul(salt) >> 27)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_all_it_holds_and_few_others() {
        let key = |i: u64| hash(0, &i.to_le_bytes());
        let mut filter = Filter::with_room_for(10_000, 12);
        (0..10_000).for_each(|i| filter.insert(key(i)));
        let mut bytes = Vec::new();
        filter.write(&mut bytes);
        let filter = Filter::read(&bytes).expect("written a line above");
        assert!((0..10_000).all(|i| filter.may_contain(key(i))));
        let false_positives = (10_000..110_000).filter(|i| filter.may_contain(key(*i))).count();
        assert!(false_positives < 1_000, "{false_positives} of 100,000 absent keys answered maybe");
        assert!(Filter::read(&bytes[1..]).is_err() && Filter::read(&[]).is_err());
    }
}
