//! Manifests round-trip, and every bit of them is guarded.

use spanlake_block::BlockMeta;

use super::*;
use crate::checked_json::{SUFFIX_BYTES, SUFFIX_END, SUFFIX_START};
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

fn draft(tenant: &Tenant) -> Draft<'_> {
    let retired = block(tenant, &keys::l0(tenant), 3);
    let gone = Retired { key: retired.key, sequence: 6, unix_nanos: 99 };
    let mut moved = block(tenant, &keys::blocks(tenant), 35);
    moved.meta.level = 2;
    let in_part = (0..3).rev().map(|i| block(tenant, &keys::blocks(tenant), i * 10)).collect();
    let (part, part_bytes) = Part::create(tenant, in_part, Vec::new());
    let (retired_part, retired_bytes) = Part::create(tenant, Vec::new(), vec![gone.clone()]);
    let deleted = [(TraceId([1; 16]), 5), (TraceId([9; 16]), 5), (TraceId([4; 16]), 7)];
    Draft {
        tenant,
        sequence: 7,
        epoch: 2,
        previous: "before".to_owned(),
        written_unix_nanos: 1,
        new_parts: [(&part, part_bytes), (&retired_part, retired_bytes)]
            .map(|(part, bytes)| (keys::manifest_part(tenant, &part.id), bytes))
            .into(),
        contents: Contents {
            parts: vec![part],
            blocks: vec![block(tenant, &keys::blocks(tenant), 40), moved, block(tenant, &keys::blocks(tenant), 30)],
            retired_parts: vec![retired_part],
            retired: vec![Retired { key: block(tenant, &keys::blocks(tenant), 9).key, ..gone }],
            deleted: deleted.map(|(id, sequence)| (id, Tombstone { sequence, unix_nanos: 3 })).into_iter().collect(),
            quarantined: [Quarantined {
                key: block(tenant, &keys::l0(tenant), 4).key,
                problem: "\"flipped\" é".to_owned(),
                unix_nanos: 9,
            }]
            .into(),
        },
    }
}

fn sample() -> (Tenant, Manifest, Bytes, Vec<(String, Bytes)>) {
    let tenant = Tenant::parse("team-a.b'(*)").expect("a name");
    let mut draft = draft(&tenant);
    let parts = std::mem::take(&mut draft.new_parts);
    let (manifest, bytes) = Manifest::encode(draft);
    (tenant, manifest, bytes, parts)
}

fn read(tenant: &Tenant, bytes: &[u8], parts: &[(String, Bytes)]) -> Result<Manifest, Error> {
    let head = Head::decode(tenant, 7, bytes)?;
    let mut read = HashMap::new();
    for ((id, crc32c), (_, bytes)) in head.parts()?.into_iter().zip(parts) {
        let part = Part::decode(tenant, &id, crc32c, bytes)?;
        read.insert(id, Arc::new(part));
    }
    head.assemble(&read)
}

#[test]
fn manifests_round_trip() {
    let (tenant, written, bytes, parts) = sample();
    let read = read(&tenant, &bytes, &parts).expect("it is what was written");
    assert_eq!((read.sequence, read.epoch), (7, 2));
    assert_eq!(Head::decode(&tenant, 7, &bytes).expect("good").previous(), "before");
    assert_eq!(read.link, written.link);
    let (read, written) = (read.contents, written.contents);
    assert_eq!((&read.blocks, &read.retired), (&written.blocks, &written.retired));
    assert_eq!((&read.deleted, &read.quarantined), (&written.deleted, &written.quarantined));
    assert_eq!(read.blocks.iter().map(|block| block.meta.level).collect::<Vec<_>>(), [1, 2, 1]);
    for (read, written) in [(&read.parts[0], &written.parts[0]), (&read.retired_parts[0], &written.retired_parts[0])] {
        assert_eq!((&read.blocks, &read.retired), (&written.blocks, &written.retired));
        assert_eq!(read.time_range, written.time_range);
    }
    for bytes in parts.iter().map(|(_, bytes)| bytes).chain([&bytes]) {
        serde_json::from_slice::<serde_json::Value>(bytes).expect("the whole object is JSON");
    }
}

#[test]
fn two_attempts_at_one_number_differ() {
    let tenant = Tenant::single();
    assert_ne!(Manifest::encode(draft(&tenant)).1, Manifest::encode(draft(&tenant)).1);
}

#[test]
fn parts_that_do_not_fit_are_damage() {
    let (tenant, _, bytes, parts) = sample();
    let head = || Head::decode(&tenant, 7, &bytes).expect("good");
    assert!(matches!(head().assemble(&HashMap::new()), Err(Error::DamagedManifest { .. })), "none was read");
    let named = head().parts().expect("names");
    let (id, crc32c) = &named[0];
    let damaged = |id: &str, crc32c: u32, bytes: &[u8]| match Part::decode(&tenant, id, crc32c, bytes) {
        Err(error @ Error::DamagedManifest { .. }) => assert!(error.to_string().contains("manifest-parts"), "{error}"),
        other => panic!("{other:?}"),
    };
    damaged(id, crc32c ^ 1, &parts[0].1);
    damaged(&named[1].0, *crc32c, &parts[0].1);
    for at in 0..parts[0].1.len() {
        let mut flipped = parts[0].1.to_vec();
        flipped[at] ^= 1;
        damaged(id, *crc32c, &flipped);
    }
    let swapped = [(named[0].0.clone(), 1), (named[1].0.clone(), 0)].map(|(id, at)| {
        let part = Part::decode(&tenant, &named[at].0, named[at].1, &parts[at].1).expect("good");
        (id, Arc::new(part))
    });
    assert!(matches!(head().assemble(&swapped.into()), Err(Error::DamagedManifest { .. })), "other counts");
}

#[test]
fn every_flipped_bit_and_every_cut_is_named() {
    let (tenant, _, bytes, _) = sample();
    let key = keys::manifest(&tenant, 7);
    let check = |bytes: &[u8], what: &str| match Head::decode(&tenant, 7, bytes).map(|_| ()) {
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
    let (tenant, _, bytes, _) = sample();
    assert!(matches!(Head::decode(&tenant, 8, &bytes), Err(Error::DamagedManifest { .. })));
    assert!(matches!(Head::decode(&Tenant::single(), 7, &bytes), Err(Error::DamagedManifest { .. })));
}

#[test]
fn a_newer_version_is_refused_before_its_fields_are_looked_at() {
    let text = "{\"format_version\":3,\"windows\":[]";
    let crc = crc32c::crc32c(text.as_bytes());
    let bytes = format!("{text}{SUFFIX_START}{crc:08x}{SUFFIX_END}");
    match Head::decode(&Tenant::single(), 7, bytes.as_bytes()).map(|_| ()) {
        Err(error @ Error::NewerFormat { found: 3, supported: 2, .. }) => {
            assert!(error.to_string().contains("upgrade spanlake"));
        }
        other => panic!("{other:?}"),
    }
}
