//! Where everything lies: the keys of blocks and manifests, written and read in this one place.

use spanlake_block::{BlockMeta, FORMAT_VERSION};
use spanlake_model::Tenant;

use crate::error::Error;
use crate::id::is_id;

/// Prefix of everything that belongs to tenants.
pub(crate) const TENANTS: &str = "tenants/";

/// Prefix of everything that belongs to one tenant.
pub(crate) fn tenant(tenant: &Tenant) -> String {
    format!("{TENANTS}{tenant}/")
}

/// Prefix of a tenant's level-0 blocks.
pub(crate) fn l0(tenant: &Tenant) -> String {
    format!("{TENANTS}{tenant}/l0/")
}

/// Prefix of a tenant's blocks above level 0.
pub(crate) fn blocks(tenant: &Tenant) -> String {
    format!("{TENANTS}{tenant}/blocks/")
}

/// Prefix of a tenant's damaged blocks that were replaced.
pub(crate) fn damaged(tenant: &Tenant) -> String {
    format!("{TENANTS}{tenant}/damaged/")
}

/// Prefix of a tenant's manifests.
pub(crate) fn manifests(tenant: &Tenant) -> String {
    format!("{TENANTS}{tenant}/manifest/")
}

/// Key of one manifest.
pub(crate) fn manifest(tenant: &Tenant, sequence: u64) -> String {
    format!("{TENANTS}{tenant}/manifest/{sequence:020}.json")
}

/// Prefix of the parts of a tenant's manifests.
pub(crate) fn manifest_parts(tenant: &Tenant) -> String {
    format!("{TENANTS}{tenant}/manifest-parts/")
}

/// Key of one part.
pub(crate) fn manifest_part(tenant: &Tenant, id: &str) -> String {
    format!("{TENANTS}{tenant}/manifest-parts/{id}.json")
}

/// Prefix of a tenant's leases.
pub(crate) fn leases(tenant: &Tenant) -> String {
    format!("{TENANTS}{tenant}/lease/")
}

/// Key of one lease.
pub(crate) fn lease(tenant: &Tenant, sequence: u64) -> String {
    format!("{TENANTS}{tenant}/lease/{sequence:020}.json")
}

/// The sequence number in the key of a manifest or a lease, if it is one.
pub(crate) fn manifest_sequence(key: &str) -> Option<u64> {
    let name = key.rsplit('/').next()?.strip_suffix(".json")?;
    (name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.parse().ok())?
}

/// Key of one audit object.
pub(crate) fn audit(tenant: &Tenant, id: &str) -> String {
    format!("{TENANTS}{tenant}/audit/{id}.json")
}

/// What comes after all keys of a tenant and before those of any other, in stores that order keys by bytes as in those that
/// order them by segment.
pub(crate) fn after_tenant(tenant_segment: &str) -> String {
    format!("{TENANTS}{tenant_segment}/~")
}

/// Reads the facts in a block's key; `None` if it is not the name of a block.
///
/// # Errors
/// [`Error::NewerFormat`] for the name of a block that this build cannot read.
pub(crate) fn block_meta(key: &str) -> Result<Option<BlockMeta>, Error> {
    let name = key.rsplit('/').next().unwrap_or_default();
    // The id and the version come first in every version; what follows may change.
    let mut fields = name.split('_');
    let id = fields.next().unwrap_or_default();
    let version = fields.next().and_then(|field| u64::from_str_radix(field, 16).ok());
    let supported = u64::from(FORMAT_VERSION);
    if let Some(found) = version.filter(|found| *found > supported && is_id(id) && name.ends_with(".parquet")) {
        return Err(Error::NewerFormat { key: key.to_owned(), found, supported });
    }
    Ok(BlockMeta::parse_name(name).ok().map(|(_, meta)| meta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_keys_round_trip() {
        let tenant = Tenant::single();
        for sequence in [1, 10, u64::MAX] {
            assert_eq!(manifest_sequence(&manifest(&tenant, sequence)), Some(sequence));
        }
        for wrong in ["tenants/a/manifest/1.json", "tenants/a/manifest/0000000000000000001x.json", "x", ""] {
            assert_eq!(manifest_sequence(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_of_newer_versions_are_errors_and_foreign_names_are_not() {
        let newer = format!("tenants/a/l0/{}_2_anything.parquet", "0".repeat(26));
        assert!(matches!(block_meta(&newer), Err(Error::NewerFormat { found: 2, .. })));
        for foreign in ["tenants/a/l0/notes_ff.parquet", "tenants/a/l0/x.txt", "tenants/a/l0/01_1.parquet"] {
            assert!(matches!(block_meta(foreign), Ok(None)), "{foreign}");
        }
    }
}
