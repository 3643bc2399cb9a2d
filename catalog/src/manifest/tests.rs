//! Manifests round-trip, and every bit of them is guarded.

use spanlake_block::BlockMeta;

use super::*;
use crate::id::Ids;

fn block(tenant: &Tenant, prefix: &str, max_end_unix_nanos: u64) -> BlockRef {
    let meta = BlockMeta {
        format_version: 1,
        level: 1,
        span_count: 10,
        trace_count: 2,
        min_start_unix_nanos: 5,
        max_end_unix_nanos,
        object_bytes: 900,
        search_offset: 300,
        tail_offset: 600,
        tail_crc32c: 7,
    };
    let key = format!("{prefix}{}", meta.to_name(&Ids::default().next()));
    BlockRef { tenant: tenant.clone(), key: Arc::from(key), meta }
}

fn sample() -> (Tenant, Manifest, Bytes) {
    let tenant = Tenant::parse("team-a.b'(*)").expect("a name");
    let retired = block(&tenant, &keys::l0(&tenant), 3);
    let gone = Retired { key: retired.key, sequence: 6, unix_nanos: 99 };
    let (manifest, bytes) = Manifest::encode(Draft {
        tenant: &tenant,
        sequence: 7,
        epoch: 2,
        previous: "before".to_owned(),
        written_unix_nanos: 1,
        blocks: (0..5).map(|i| block(&tenant, &keys::blocks(&tenant), i * 10)).collect(),
        retired: [(Arc::clone(&gone.key), gone)].into(),
    });
    (tenant, manifest, bytes)
}

#[test]
fn manifests_round_trip() {
    let (tenant, written, bytes) = sample();
    let read = Manifest::decode(&tenant, 7, &bytes).expect("it is what was written");
    assert_eq!((read.sequence, read.epoch, &read.previous), (7, 2, &"before".to_owned()));
    assert_eq!((&read.link, &read.blocks, &read.retired), (&written.link, &written.blocks, &written.retired));
    assert!(read.blocks.is_sorted_by_key(|block| std::cmp::Reverse(block.meta.max_end_unix_nanos)));
    serde_json::from_slice::<serde_json::Value>(&bytes).expect("the whole object is JSON");
}

#[test]
fn two_attempts_at_one_number_differ() {
    let (tenant, _, _) = sample();
    let draft = || Draft {
        tenant: &tenant,
        sequence: 1,
        epoch: 0,
        previous: String::new(),
        written_unix_nanos: 1,
        blocks: Vec::new(),
        retired: BTreeMap::new(),
    };
    assert_ne!(Manifest::encode(draft()).1, Manifest::encode(draft()).1);
}

#[test]
fn every_flipped_bit_and_every_cut_is_named() {
    let (tenant, _, bytes) = sample();
    let key = keys::manifest(&tenant, 7);
    let check = |bytes: &[u8], what: &str| match Manifest::decode(&tenant, 7, bytes) {
        Err(error @ Error::DamagedManifest { .. }) => {
            assert!(error.to_string().contains(&format!("{key:?}")), "{what}: {error}");
        }
        other => panic!("{what}: {other:?}"),
    };
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1 << bit;
            // An upper-case digit of the checksum says the same as a lower-case one.
            if damaged.eq_ignore_ascii_case(&bytes) && at >= bytes.len() - SUFFIX_BYTES + SUFFIX_START.len() {
                continue;
            }
            check(&damaged, &format!("bit {bit} of byte {at}"));
        }
        check(&bytes[..at], &format!("cut at {at}"));
    }
}

#[test]
fn a_manifest_in_the_wrong_place_is_refused() {
    let (tenant, _, bytes) = sample();
    assert!(matches!(Manifest::decode(&tenant, 8, &bytes), Err(Error::DamagedManifest { .. })));
    assert!(matches!(Manifest::decode(&Tenant::single(), 7, &bytes), Err(Error::DamagedManifest { .. })));
}

#[test]
fn a_newer_version_is_refused_before_its_fields_are_looked_at() {
    let text = "{\"format_version\":2,\"windows\":[]";
    let crc = crc32c::crc32c(text.as_bytes());
    let bytes = format!("{text}{SUFFIX_START}{crc:08x}{SUFFIX_END}");
    match Manifest::decode(&Tenant::single(), 7, bytes.as_bytes()) {
        Err(error @ Error::NewerFormat { found: 2, supported: 1, .. }) => {
            assert!(error.to_string().contains("upgrade spanlake"));
        }
        other => panic!("{other:?}"),
    }
}
