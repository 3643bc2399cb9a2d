//! What every backend must do, as plain functions over a store: run on memory, on a directory and on a real S3 server.
//!
//! Each function works under a prefix of its own, so that one bucket serves many runs, and panics with what was wrong.

use std::ops::Range;

use bytes::Bytes;

use crate::{Created, Kind, Store};

/// Runs the whole suite.
pub async fn all(store: &Store) {
    let root = format!("conformance/{:032x}", rand::random::<u128>());
    create_is_create_only(store, &root).await;
    racing_creates_have_one_winner(store, &root).await;
    listings_are_sorted_and_complete(store, &root).await;
    listings_start_after_a_key(store, &root).await;
    directories_can_be_skipped(store, &root).await;
    listings_have_pages(store, &root).await;
    ranges_are_what_was_asked(store, &root).await;
    short_objects_are_damaged(store, &root).await;
    absent_objects(store, &root).await;
    odd_characters_round_trip(store, &root).await;
    large_and_empty_objects(store, &root).await;
    bad_keys_are_refused(store).await;
    store.probe().await.expect("the probe passes where the suite does");
}

fn numbered(count: usize) -> Bytes {
    (0..count).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// A second create of a key fails if the bytes differ and is recognised as one's own if they do not.
pub async fn create_is_create_only(store: &Store, root: &str) {
    let key = format!("{root}/once/object");
    let body = Bytes::from_static(b"first");
    assert_eq!(store.create(&key, body.clone()).await.expect("create"), Created::New);
    let error = store.create(&key, Bytes::from_static(b"second")).await.expect_err("the key is taken");
    assert_eq!((error.kind(), error.may_have_happened(), error.key()), (Kind::AlreadyExists, false, key.as_str()));
    assert_eq!(store.create(&key, body.clone()).await.expect("create again"), Created::Ours);
    assert_eq!(store.get(&key).await.expect("get"), body);
}

/// Of 16 creates of one key at once, one wins, and its bytes are what is read. Five times.
pub async fn racing_creates_have_one_winner(store: &Store, root: &str) {
    for round in 0..5 {
        let key = format!("{root}/race/{round}");
        let body = move |i: usize| Bytes::from(format!("body {i}").repeat(1 + 5_000 * (round % 2)));
        let racers = (0..16).map(|i| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move { store.create(&key, body(i)).await })
        });
        let mut winners = Vec::new();
        for (i, racer) in futures::future::join_all(racers).await.into_iter().enumerate() {
            match racer.expect("no panic") {
                Ok(Created::New | Created::Ours) => winners.push(i),
                Err(error) => assert_eq!(error.kind(), Kind::AlreadyExists, "{error}"),
            }
        }
        assert_eq!(winners.len(), 1, "winners of round {round}: {winners:?}");
        assert_eq!(store.get(&key).await.expect("get"), body(winners[0]));
    }
}

async fn keys(store: &Store, prefix: &str, start_after: Option<&str>) -> Vec<String> {
    store.list(prefix, start_after).await.expect("list").into_iter().map(|object| object.key).collect()
}

/// Listings show what was created and not what was deleted, in byte order, with sizes, at any depth, and only below the
/// prefix.
pub async fn listings_are_sorted_and_complete(store: &Store, root: &str) {
    let prefix = format!("{root}/list/");
    let mut names = ["b", "a/z", "a-b", "a.c/x", "a/b/c", "a0", "Z", "ab", "a!/y", "é", "zz/1/2/3"].map(str::to_owned);
    for (i, name) in names.iter().enumerate() {
        store.create(&format!("{prefix}{name}"), numbered(i)).await.expect("create");
    }
    store.create(&format!("{root}/list-not/x"), numbered(1)).await.expect("create");
    names.sort();
    let expect: Vec<String> = names.iter().map(|name| format!("{prefix}{name}")).collect();
    assert_eq!(keys(store, &prefix, None).await, expect);
    assert_eq!(keys(store, &format!("{prefix}a/"), None).await, [format!("{prefix}a/b/c"), format!("{prefix}a/z")]);
    assert!(keys(store, &format!("{prefix}nothing/"), None).await.is_empty());
    let sized = store.list(&prefix, None).await.expect("list");
    assert_eq!(sized.iter().map(|object| object.object_bytes).sum::<u64>(), (0..names.len() as u64).sum::<u64>());
    store.delete(&format!("{prefix}b")).await.expect("delete");
    assert!(!keys(store, &prefix, None).await.contains(&format!("{prefix}b")));
}

/// A listing of one level begins behind any key, whether that exists or not.
pub async fn listings_start_after_a_key(store: &Store, root: &str) {
    let prefix = format!("{root}/after/");
    let mut all: Vec<String> =
        ["1", "2", "22", "2-x", "2.x", "3", "a", "Z"].map(|name| format!("{prefix}{name}")).into();
    for key in &all {
        store.create(key, numbered(3)).await.expect("create");
    }
    all.sort();
    let mut probes = all.clone();
    probes.extend(["", "0", "1.", "2-", "20", "3x", "~"].map(|name| format!("{prefix}{name}")));
    for after in probes {
        let expect: Vec<&String> = all.iter().filter(|key| **key > after).collect();
        assert_eq!(keys(store, &prefix, Some(&after)).await.iter().collect::<Vec<_>>(), expect, "after {after}");
        let two = store.list_up_to(&prefix, Some(&after), 2).await.expect("list");
        assert_eq!(two.iter().map(|object| &object.key).collect::<Vec<_>>(), expect[..expect.len().min(2)]);
    }
}

/// Going from directory to directory, one object at a time, meets each directory once, in whichever order the store has.
pub async fn directories_can_be_skipped(store: &Store, root: &str) {
    let prefix = format!("{root}/skip/");
    let mut names = ["a", "a-b", "a!", "a.b", "a0", "a_", "B", "b"].map(str::to_owned);
    for name in &names {
        for below in ["l0/1", "l0/2", "manifest/1"] {
            store.create(&format!("{prefix}{name}/{below}"), numbered(1)).await.expect("create");
        }
    }
    let mut met = Vec::new();
    let mut after: Option<String> = None;
    while let Some(object) = store.list_up_to(&prefix, after.as_deref(), 1).await.expect("list").into_iter().next() {
        let below = object.key.strip_prefix(&prefix).expect("below the prefix");
        let name = below.split('/').next().expect("a segment").to_owned();
        assert!(!met.contains(&name), "{name} is met twice");
        after = Some(format!("{prefix}{name}/~"));
        met.push(name);
    }
    met.sort();
    names.sort();
    assert_eq!(met, names);
}

/// More objects than a page of a listing holds are all listed.
pub async fn listings_have_pages(store: &Store, root: &str) {
    use futures::StreamExt as _;
    let prefix = format!("{root}/pages/");
    let count = 1_100;
    let creates = (0..count).map(|i| {
        let key = format!("{prefix}{i:05}");
        async move { store.create(&key, Bytes::from_static(b"x")).await.expect("create") }
    });
    futures::stream::iter(creates).buffer_unordered(16).collect::<Vec<_>>().await;
    let listed = keys(store, &prefix, None).await;
    assert_eq!(listed.len(), count);
    assert!(listed.is_sorted());
    let after = format!("{prefix}00049");
    assert_eq!(keys(store, &prefix, Some(&after)).await.len(), count - 50);
}

/// Ranges, near and far, overlapping, repeated, empty and out of order, come back as asked.
pub async fn ranges_are_what_was_asked(store: &Store, root: &str) {
    let key = format!("{root}/ranges/object");
    let body = numbered(600_000);
    store.create(&key, body.clone()).await.expect("create");
    let part = |range: &Range<u64>| body.slice(range.start as usize..range.end as usize);
    for range in [0..1, 0..600_000, 599_999..600_000, 5..5, 1_000..70_000] {
        assert_eq!(store.get_range(&key, range.clone()).await.expect("get_range"), part(&range), "{range:?}");
    }
    let ranges = [500_000..500_010, 0..10, 5..20, 100_000..100_001, 0..10, 7..7, 30..40, 599_000..600_000];
    let before = store.meter().counts();
    let parts = store.get_ranges(&key, &ranges).await.expect("get_ranges");
    assert_eq!(parts, ranges.iter().map(part).collect::<Vec<_>>());
    if store.backend() == crate::Backend::Remote {
        // [0..40] and [100000], [500000..] and [599000..]: gaps over 64 KiB keep them apart.
        assert_eq!(store.meter().counts().since(&before).get_range.request_count, 4);
    }
    assert_eq!(store.get_ranges(&key, &[]).await.expect("get_ranges"), Vec::<Bytes>::new());
}

/// A range that the object does not have is damage, and the message names key and range.
pub async fn short_objects_are_damaged(store: &Store, root: &str) {
    let key = format!("{root}/short/object");
    store.create(&key, numbered(100)).await.expect("create");
    for range in [50..101, 100..101, 5_000..6_000, 0..1 << 40] {
        let error = store.get_range(&key, range.clone()).await.expect_err("the object is too short");
        assert_eq!(error.kind(), Kind::Damaged, "{range:?}: {error}");
        assert!(error.to_string().contains(&key), "{error}");
        let error = store.get_ranges(&key, &[0..10, range.clone()]).await.expect_err("the object is too short");
        assert_eq!(error.kind(), Kind::Damaged, "{range:?}: {error}");
    }
    let error = store.get_range(&key, 50..101).await.expect_err("the object is too short").to_string();
    assert!(error.contains("50") && error.contains("101"), "{error}");
}

/// Absent objects are not found, and deleting them is success.
pub async fn absent_objects(store: &Store, root: &str) {
    let key = format!("{root}/absent/object");
    assert_eq!(store.get(&key).await.expect_err("absent").kind(), Kind::NotFound);
    assert_eq!(store.get_range(&key, 0..1).await.expect_err("absent").kind(), Kind::NotFound);
    store.delete(&key).await.expect("deleting an absent object");
    store.create(&format!("{key}/below"), numbered(1)).await.expect("create");
    assert_eq!(store.get(&key).await.expect_err("only something below it").kind(), Kind::NotFound);
    store.delete(&format!("{key}/below")).await.expect("delete");
    store.delete(&format!("{key}/below")).await.expect("delete again");
    assert_eq!(store.get(&format!("{key}/below")).await.expect_err("deleted").kind(), Kind::NotFound);
    assert_eq!(store.create(&format!("{key}/below"), numbered(2)).await.expect("create anew"), Created::New);
}

/// Every character a tenant's name may have survives the way into a listing and back.
pub async fn odd_characters_round_trip(store: &Store, root: &str) {
    let names = ["team-a!_.*'()", "UPPER", "...", "a b", "%2F", "100%", "a+b", "a=b&c", "x".repeat(150).as_str()]
        .map(str::to_owned);
    for name in &names {
        let key = format!("{root}/odd/{name}/l0/object");
        store.create(&key, Bytes::from(name.clone())).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(store.get(&key).await.expect("get"), name.as_bytes());
        assert_eq!(keys(store, &format!("{root}/odd/{name}/"), None).await, [key]);
    }
    let listed = keys(store, &format!("{root}/odd/"), None).await;
    let mut expect = names.map(|name| format!("{root}/odd/{name}/l0/object"));
    expect.sort();
    assert_eq!(listed, expect);
}

/// An object of 8 MiB and one of no bytes.
pub async fn large_and_empty_objects(store: &Store, root: &str) {
    for object_bytes in [8 << 20, 0] {
        let key = format!("{root}/size/{object_bytes}");
        let body = numbered(object_bytes);
        store.create(&key, body.clone()).await.expect("create");
        assert!(store.get(&key).await.expect("get") == body, "{object_bytes} bytes come back");
        let listed = store.list(&format!("{root}/size/"), None).await.expect("list");
        assert!(listed.iter().any(|object| object.key == key && object.object_bytes == object_bytes as u64));
        let error = store.create(&key, Bytes::from_static(b"x")).await.expect_err("taken");
        assert_eq!(error.kind(), Kind::AlreadyExists);
    }
}

/// What is no key is refused before anything is asked of the backend.
pub async fn bad_keys_are_refused(store: &Store) {
    let before = store.meter().counts();
    for key in ["", "/a", "a/", "a//b", "a/../b", "..", "a\0b", ".spanlake/tmp/x", &"k".repeat(2_000)] {
        let kind = |outcome: Result<(), crate::Error>| outcome.expect_err("not a key").kind();
        assert_eq!(kind(store.get(key).await.map(drop)), Kind::Invalid, "{key:?}");
        assert_eq!(kind(store.create(key, Bytes::new()).await.map(drop)), Kind::Invalid, "{key:?}");
        assert_eq!(kind(store.delete(key).await), Kind::Invalid, "{key:?}");
    }
    for prefix in ["a", "/", "../", "a/./"] {
        assert_eq!(store.list(prefix, None).await.expect_err("not a prefix").kind(), Kind::Invalid, "{prefix:?}");
    }
    assert_eq!(store.meter().counts().since(&before).request_count(), 0);
}
