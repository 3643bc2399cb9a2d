//! The one error of reading: bytes that are not what was written.

use spanlake_model::world::{self, Rule};

/// Part of a block that cannot be trusted. The caller knows the object's key and adds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The bytes are not what a writer of any version would have written.
    #[error("the block is damaged: {part}: {problem}")]
    Corrupt {
        /// Which part of the block.
        part: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The block is of a version that this reader does not know.
    #[error(
        "the block has format version {found}, this build reads versions 1 to {}: upgrade spanlake",
        crate::FORMAT_VERSION
    )]
    NewerVersion {
        /// The version found.
        found: u16,
    },
}

impl Damage {
    pub(crate) fn new(part: &'static str, problem: impl Into<String>) -> Self {
        Self::Corrupt { part, problem: problem.into() }
    }
}

/// Checks a byte range against the checksum that the block carries for it.
pub(crate) fn check_crc(part: &'static str, bytes: &[u8], expect: u32) -> Result<(), Damage> {
    let found = crc32c::crc32c(bytes);
    if found == expect || world::is_broken(Rule::CompareChecksums) {
        return Ok(());
    }
    Err(Damage::new(part, format!("its {} bytes have checksum {found:08x}, written was {expect:08x}", bytes.len())))
}
