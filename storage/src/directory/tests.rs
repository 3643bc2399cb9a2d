//! What only a directory can get wrong: crashes, several processes, full disks.

use super::*;
use crate::{Config, Created, Store};

fn open(path: &Path) -> Store {
    Store::open(&Config { url: path.display().to_string(), ..Config::default() }).expect("open")
}

/// A sibling process for the race: this test binary, running only the test below.
fn sibling(root: &Path, number: usize) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["directory::tests::sibling_process", "--exact", "--nocapture"])
        .env("SPANLAKE_TEST_SIBLING_ROOT", root)
        .env("SPANLAKE_TEST_SIBLING_NUMBER", number.to_string())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the test binary runs")
}

const RACES: usize = 40;

#[tokio::test]
async fn sibling_process() {
    let Ok(root) = std::env::var("SPANLAKE_TEST_SIBLING_ROOT") else { return };
    let number = std::env::var("SPANLAKE_TEST_SIBLING_NUMBER").expect("set beside the root");
    let store = open(Path::new(&root));
    for i in 0..RACES {
        match store.create(&format!("race/{i}"), Bytes::from(format!("{number} {i}"))).await {
            Ok(Created::New | Created::Ours) => println!("won {i}"),
            Err(error) => assert_eq!(error.kind(), Kind::AlreadyExists, "{error}"),
        }
    }
}

#[tokio::test]
async fn processes_that_share_a_directory_never_both_win() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let siblings: Vec<_> = (0..3).map(|number| sibling(root.path(), number)).collect();
    let mut winners = vec![Vec::new(); RACES];
    for (number, sibling) in siblings.into_iter().enumerate() {
        let output = sibling.wait_with_output().expect("it ends");
        assert!(output.status.success(), "sibling {number} failed");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some((_, i)) = line.split_once("won ") {
                winners[i.trim().parse::<usize>().expect("a number")].push(number);
            }
        }
    }
    let store = open(root.path());
    for (i, winners) in winners.iter().enumerate() {
        assert_eq!(winners.len(), 1, "winners of race {i}: {winners:?}");
        let body = store.get(&format!("race/{i}")).await.expect("get");
        assert_eq!(body, format!("{} {i}", winners[0]));
    }
}

/// Creates objects at several depths and cuts the power after each acknowledgement: the first key that is not what was
/// acknowledged.
#[cfg(unix)]
async fn lost_by_power_cuts(broken: Option<world::Rule>) -> Option<String> {
    let _simulation = world::Simulation::begin(1, SystemTime::now);
    world::break_rule(broken);
    let root = tempfile::tempdir().expect("a temporary directory");
    let store = open(root.path());
    let mut created: Vec<(String, Bytes)> = Vec::new();
    for i in 0..12 {
        let key = ["a", "b/a", "b/c/d/e", "b/f"].map(|prefix| format!("{prefix}/{i}"))[i % 4].clone();
        let body = Bytes::from(format!("body {i}"));
        store.create(&key, body.clone()).await.expect("create");
        created.push((key, body));
        let left = tempfile::tempdir().expect("a temporary directory");
        sync::witness::after_a_power_cut(root.path(), left.path());
        let restarted = open(left.path());
        for (key, body) in &created {
            if restarted.get(key).await.ok().as_ref() != Some(body) {
                return Some(key.clone());
            }
        }
    }
    None
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_acknowledged_survives_a_power_cut() {
    assert_eq!(lost_by_power_cuts(None).await, None);
}

/// The test above can fail: without syncing it does.
#[cfg(unix)]
#[tokio::test]
async fn a_power_cut_is_noticed_without_syncing() {
    assert_eq!(lost_by_power_cuts(Some(world::Rule::SyncBeforeAck)).await.as_deref(), Some("a/0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_of_one_directory_race_safely() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let stores = [open(root.path()), open(root.path())];
    for i in 0..50 {
        let key = format!("a/{i}/b");
        let creates = stores.iter().enumerate().map(|(n, store)| store.create(&key, Bytes::from(n.to_string())));
        let won = futures::future::join_all(creates).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(won, 1, "{key}");
        assert_eq!(stores[0].get(&key).await.expect("get"), stores[1].get(&key).await.expect("get"));
    }
    assert_eq!(stores[1].list("a/", None).await.expect("list").len(), 50);
}

#[tokio::test]
async fn old_temporary_files_are_swept_and_young_ones_left() {
    let root = tempfile::tempdir().expect("a temporary directory");
    drop(open(root.path()));
    let temporary = root.path().join(".spanlake/tmp");
    for name in ["old", "young"] {
        fs::write(temporary.join(name), "half a block").expect("write");
    }
    let old = File::options().write(true).open(temporary.join("old")).expect("open");
    old.set_modified(SystemTime::now() - Duration::from_secs(2 * 3600)).expect("set the time");
    let store = open(root.path());
    assert!(!temporary.join("old").exists() && temporary.join("young").exists());
    assert!(store.list("", None).await.expect("list").is_empty(), "temporary files are no objects");
}

#[tokio::test]
async fn removed_directories_are_made_anew() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let store = open(root.path());
    store.create("a/b/c", Bytes::from_static(b"1")).await.expect("create");
    fs::remove_dir_all(root.path().join("a")).expect("remove");
    fs::remove_dir_all(root.path().join(".spanlake")).expect("remove");
    store.create("a/b/c", Bytes::from_static(b"2")).await.expect("create anew");
    assert_eq!(store.get("a/b/c").await.expect("get"), &b"2"[..]);
}

#[tokio::test]
async fn objects_and_directories_do_not_mix() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let store = open(root.path());
    store.create("a/b", Bytes::from_static(b"1")).await.expect("create");
    assert_eq!(store.create("a/b/c", Bytes::new()).await.expect_err("below an object").kind(), Kind::Invalid);
    assert_eq!(store.get("a").await.expect_err("a directory").kind(), Kind::NotFound);
    assert_eq!(store.get("a/b/c").await.expect_err("below an object").kind(), Kind::NotFound);
    store.delete("a/b/c").await.expect("absent");
    assert!(store.create("a", Bytes::new()).await.is_err());
    let left = fs::read_dir(root.path().join(".spanlake/tmp")).expect("the directory").count();
    assert_eq!(left, 0, "temporary files left behind");
}

/// Runs where `SPANLAKE_TEST_FULL_DIR` names a directory on a small file system of its own (a tmpfs of some MiB).
#[tokio::test]
async fn a_full_disk_is_said_so_at_once_and_recovers() {
    let Ok(full) = std::env::var("SPANLAKE_TEST_FULL_DIR") else {
        eprintln!("skipped: SPANLAKE_TEST_FULL_DIR names no small file system");
        return;
    };
    let root = tempfile::tempdir_in(full).expect("a temporary directory");
    let store = open(root.path());
    let body = Bytes::from(vec![7u8; 1 << 20]);
    let mut created = Vec::new();
    let error = loop {
        let key = format!("l0/{:04}", created.len());
        let began = std::time::Instant::now();
        match store.create(&key, body.clone()).await {
            Ok(_) => created.push(key),
            Err(error) => {
                assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
                break error;
            }
        }
        assert!(created.len() < 1_000, "the file system is not small");
    };
    assert_eq!((error.kind(), error.may_have_happened()), (Kind::Full, false), "{error}");
    let left = fs::read_dir(root.path().join(".spanlake/tmp")).expect("the directory").count();
    assert_eq!(left, 0, "temporary files left behind");
    let listed = store.list("l0/", None).await.expect("list");
    assert_eq!(listed.iter().map(|object| object.key.clone()).collect::<Vec<_>>(), created);
    assert!(listed.iter().all(|object| object.object_bytes == 1 << 20));
    store.delete(&created[0]).await.expect("delete");
    store.create("l0/after", body).await.expect("there is room again");
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_went_away_is_an_outage_and_not_an_empty_store() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let (root, elsewhere) = (home.path().join("data"), home.path().join("elsewhere"));
    let store = open(&root);
    store.create("a/kept", Bytes::from_static(b"kept")).await.expect("create");
    fs::rename(&root, &elsewhere).expect("rename");
    let gone = |what: &str, error: Error| assert_eq!(error.kind(), Kind::Unavailable, "{what}: {error}");
    let check = async |stand_in: &str| {
        gone(stand_in, store.get("a/kept").await.expect_err("it is not there"));
        gone(stand_in, store.list("a/", None).await.expect_err("it is not there"));
        gone(stand_in, store.create("a/lost", Bytes::from_static(b"lost")).await.expect_err("it is not there"));
    };
    check("nothing").await;
    assert!(!root.exists(), "nothing is made in its place");
    fs::create_dir(&root).expect("a stand-in");
    check("another directory").await;
    fs::remove_dir_all(&root).expect("remove");
    fs::write(&root, b"").expect("a stand-in");
    check("a file").await;
    fs::remove_file(&root).expect("remove");
    fs::rename(&elsewhere, &root).expect("rename back");
    assert_eq!(store.get("a/kept").await.expect("it is back"), "kept");
    store.create("a/new", Bytes::from_static(b"new")).await.expect("it is back");
}
