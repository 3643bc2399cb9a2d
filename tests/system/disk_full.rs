//! A full disk: refusals with a hint within a second, recovery without a restart, nothing acknowledged lost.
//!
//! The disk is a small file system in memory, which needs the right to mount one; without it the test says so and ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::Backend;
use crate::accounting::assert_balanced;
use crate::http::{Connection, get};
use crate::process::Setup;
use crate::traffic::{Batch, Found, find, padded_batch, seed};

/// A file system of a fixed size, unmounted when dropped.
struct SmallDisk {
    path: PathBuf,
    _holder: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` when this user may not mount.
    fn mount(size: &str) -> Option<SmallDisk> {
        let holder = tempfile::tempdir().expect("a temporary directory");
        let path = holder.path().join("disk");
        fs::create_dir(&path).expect("a mount point");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "spanlake-test"])
            .arg(&path)
            .output()
            .ok()?;
        if !output.status.success() {
            println!("skipped: cannot mount a small disk: {}", String::from_utf8_lossy(&output.stderr).trim());
            return None;
        }
        Some(SmallDisk { path, _holder: holder })
    }

    /// Fills what is left with a file, but for less than one page.
    fn fill(&self) -> PathBuf {
        let ballast = self.path.join("ballast");
        let mut file = fs::File::create(&ballast).expect("a file on the small disk");
        let page = [0; 4096];
        while std::io::Write::write_all(&mut file, &page).is_ok() {}
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, so that a file still open elsewhere does not keep the mount in place for ever.
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            println!("cannot unmount {}", self.path.display());
        }
    }
}

#[test]
fn full_disk_refuses_and_recovers() {
    let Some(disk) = SmallDisk::mount("8m") else { return };
    let setup = Setup::new(Backend::Directory).with("storage.url", &url(&disk.path)).noisy();
    let server = setup.start();
    let mut random = StdRng::seed_from_u64(seed("disk full"));
    let mut connection = Connection::new(server.otlp_http);
    let mut acknowledged: Vec<Batch> = Vec::new();

    // Fill the disk with data of our own until it is refused.
    let mut refusal = None;
    for _ in 0..400 {
        let sent = padded_batch(&mut random, 2, 5, "before", 8 << 10);
        let started = Instant::now();
        let answer = connection.export(&sent.body).expect("an answer");
        if answer.status == 200 {
            acknowledged.push(sent);
        } else {
            refusal = Some((answer, started.elapsed()));
            break;
        }
    }
    let (answer, took) = refusal.expect("8 MiB hold fewer than 400 batches of 80 KiB");
    println!("disk full after {} batches: {} in {took:?}", acknowledged.len(), answer.status);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(took < Duration::from_secs(1), "the refusal took {took:?}");
    let hint: u32 =
        answer.header("retry-after").and_then(|value| value.parse().ok()).expect("a Retry-After in seconds");
    assert!((1..=5).contains(&hint), "Retry-After: {hint}");

    // With no page left at all: refused as fast, and what is there can still be read.
    let ballast = disk.fill();
    for _ in 0..3 {
        let started = Instant::now();
        let answer = connection.export(&padded_batch(&mut random, 2, 5, "full", 0).body).expect("an answer");
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(started.elapsed() < Duration::from_secs(1), "the refusal took {:?}", started.elapsed());
    }
    assert_found(&server, &acknowledged);

    // Freed, it accepts again, with no restart.
    fs::remove_file(ballast).expect("the ballast is there");
    let freed = Instant::now();
    loop {
        let sent = padded_batch(&mut random, 2, 5, "after", 0);
        if connection.export(&sent.body).expect("an answer").status == 200 {
            acknowledged.push(sent);
            break;
        }
        assert!(freed.elapsed() < Duration::from_secs(10), "no recovery 10 s after space was freed");
        sleep(Duration::from_millis(50));
    }
    println!("accepting again {:?} after space was freed", freed.elapsed());
    while get(server.http, "/ready").status != 200 {
        assert!(freed.elapsed() < Duration::from_secs(10), "/ready still refuses 10 s after space was freed");
        sleep(Duration::from_millis(50));
    }
    assert_found(&server, &acknowledged);
    assert_balanced(&server);
    server.stop();

    // Nothing half-written is in the way of a restart.
    let server = setup.start();
    assert_found(&server, &acknowledged);
    server.stop();
}

fn url(path: &Path) -> String {
    format!("file://{}/data", path.display())
}

fn assert_found(server: &crate::process::Server, acknowledged: &[Batch]) {
    let mut connection = Connection::new(server.http);
    for trace in acknowledged.iter().flat_map(|batch| &batch.traces) {
        assert_eq!(find(&mut connection, trace), Found::Exactly, "trace {}", trace.hex());
    }
}

/// A cache on a full disk costs hits, never an answer, whether it was full from the start or becomes full.
#[test]
fn full_cache_disk_costs_no_answer() {
    let setup = Setup::new(Backend::S3);
    let settings = setup.run(&["config", "print"]);
    if !String::from_utf8_lossy(&settings.stdout).contains("disk_path") {
        println!("skipped: this build has no cache on disk");
        return;
    }
    let Some(disk) = SmallDisk::mount("2m") else { return };
    let cache = disk.path.join("cache");
    let setup = setup.with("cache.disk_path", &cache.display().to_string()).noisy();
    let mut random = StdRng::seed_from_u64(seed("cache disk full"));
    let mut acknowledged: Vec<Batch> = Vec::new();
    let mut ballast = Some(disk.fill());
    for round in 0..3 {
        let server = setup.start();
        let mut connection = Connection::new(server.otlp_http);
        for _ in 0..5 {
            let sent = padded_batch(&mut random, 2, 5, "cache", 64 << 10);
            assert_eq!(connection.export(&sent.body).expect("an answer").status, 200);
            acknowledged.push(sent);
        }
        assert_found(&server, &acknowledged);
        // Full from the start, then with some room that the cache fills, then full again in the middle.
        match ballast.take() {
            Some(path) => fs::remove_file(path).expect("the ballast is there"),
            None => ballast = Some(disk.fill()),
        }
        assert_found(&server, &acknowledged);
        println!("round {round}: {} batches found", acknowledged.len());
        server.stop();
    }
}
