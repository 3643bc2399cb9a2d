//! What the store can do, one right after another, and how its blocks are.

use std::time::{Duration, Instant};

use bytes::Bytes;
use spanlake_catalog::{Catalog, Snapshot};
use spanlake_model::Tenant;
use spanlake_storage::{Backend, Error, Kind, ProbeError, Store};

use super::{Check, machine};
use crate::blocks;
use crate::commands::readable;
use crate::config::Config;

/// Level-0 blocks that a tenant may have while its compactor keeps up.
const FEW_LEVEL0_BLOCKS: usize = 200;
/// Age of spans in level-0 blocks at which a compactor would have merged them long ago.
const OLD: Duration = Duration::from_secs(30 * 60);

/// Tries the store step by step, and looks at the newest blocks. About 25 requests, and each block that is verified whole.
pub async fn checks(config: &Config, tenant: Option<&str>, block_count: usize) -> Vec<Check> {
    let url = &config.storage.url;
    if let Some(path) = crate::client::directory(url).filter(|path| !path.is_dir()) {
        let path = path.display();
        return vec![Check::skipped("store", format!("{path} does not exist yet: `spanlake serve` makes it"))];
    }
    let store = match Store::open(&config.storage) {
        Ok(store) => store,
        Err(error) => return vec![Check::fail("store", format!("{url} cannot be opened: {error}"), fix(&error))],
    };
    let mut checks = vec![Check::ok("store", url.clone())];
    let steps = steps(&store).await;
    let works = steps.iter().all(|check| check.verdict == super::Verdict::Ok);
    checks.extend(steps);
    if works {
        checks.push(races(&store).await);
        checks.extend(content(config, store, tenant, block_count).await);
    }
    checks
}

/// List, create, create again, read, delete.
async fn steps(store: &Store) -> Vec<Check> {
    let key = format!("probe/doctor-{:032x}", readable::now_unix_nanos());
    let body = Bytes::from_static(b"spanlake doctor, may be deleted\n");
    let mut checks = Vec::new();
    let started = Instant::now();
    let took = |since: Instant| readable::duration(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX));
    match store.list_up_to("probe/", None, 1).await {
        Ok(_) => checks.push(Check::ok("list", took(started))),
        Err(error) => return vec![failed("list", &error)],
    }
    let started = Instant::now();
    match store.create(&key, body.clone()).await {
        Ok(_) => checks.push(Check::ok("put", took(started))),
        Err(error) => {
            checks.push(failed("put", &error));
            return checks;
        }
    }
    let started = Instant::now();
    checks.push(match store.create(&key, Bytes::from_static(b"spanlake doctor, once more\n")).await {
        Err(error) if error.kind() == Kind::AlreadyExists => Check::ok("conditional put", took(started)),
        Err(error) => failed("conditional put", &error),
        Ok(_) => Check::fail(
            "conditional put",
            "an object was created twice",
            "use a store that honours If-None-Match: * (AWS S3, GCS, Azure, MinIO, Ceph), or a newer version of this one",
        ),
    });
    let started = Instant::now();
    checks.push(match store.get(&key).await {
        Ok(read) if read == body => Check::ok("get", took(started)),
        Ok(_) => {
            Check::fail("get", "other bytes were read than were written", "look for a cache between here and the store")
        }
        Err(error) => failed("get", &error),
    });
    checks.extend(store_clock(store, &key).await);
    let started = Instant::now();
    checks.push(match store.delete(&key).await {
        Ok(()) => Check::ok("delete", took(started)),
        Err(error) => failed("delete", &error),
    });
    checks
}

/// A bucket's own clock, from what was just written.
async fn store_clock(store: &Store, key: &str) -> Option<Check> {
    if store.backend() != Backend::Remote {
        return None;
    }
    let listed = store.list(key, None).await.ok()?;
    let written = listed.iter().find(|object| object.key == key)?.last_modified;
    // Its seconds are whole, and some have passed since.
    Some(machine::difference("clock of store", "the store's", written, Duration::from_secs(2)))
}

/// What only a race shows.
async fn races(store: &Store) -> Check {
    match store.probe().await {
        Ok(()) => Check::ok("races", "of several creates of one key, one succeeds"),
        Err(ProbeError::Step { step, source }) => {
            Check::fail("races", format!("{step} failed: {source}"), fix(&source))
        }
        Err(error) => Check::fail("races", error.to_string(), "use a store that honours If-None-Match: *"),
    }
}

fn failed(step: &str, error: &Error) -> Check {
    Check::fail(step, error.to_string(), fix(error))
}

fn fix(error: &Error) -> &'static str {
    match error.kind() {
        Kind::Denied => {
            "grant list, read, create and delete to these credentials; `spanlake config print` shows which are used"
        }
        Kind::Unavailable => {
            "see whether the endpoint answers from this machine (`curl`), and whether its name and port are right"
        }
        Kind::Throttled => "ask the store for a higher rate, or lower storage.max_concurrent_requests",
        Kind::Full => "free space on the disk, or raise the quota",
        Kind::NotFound => "create the bucket, or correct storage.url",
        _ => "correct storage.url and the settings below storage; `spanlake config print` shows them",
    }
}

/// The blocks: how many wait to be merged, which are damaged, and whether a few are sound.
async fn content(config: &Config, store: Store, tenant: Option<&str>, block_count: usize) -> Vec<Check> {
    let catalog = Catalog::new(store, config.catalog.clone());
    let tenants = match tenant.map(Tenant::parse) {
        Some(Ok(tenant)) => vec![tenant],
        Some(Err(error)) => return vec![Check::fail("tenant", error.to_string(), "correct --tenant")],
        None => match catalog.tenants().await {
            Ok(tenants) => tenants,
            Err(error) => return vec![Check::fail("tenants", error.to_string(), "look at the store's rights to list")],
        },
    };
    let mut checks = Vec::new();
    let mut newest = Vec::new();
    for tenant in &tenants {
        match catalog.snapshot(tenant).await {
            Ok(snapshot) => {
                checks.extend(backlog(tenant, &snapshot));
                newest.extend(snapshot.blocks.newest(block_count));
            }
            Err(error) => {
                let fix = "restore the object that is named from a backup of the bucket; docs/runbook.md has the steps";
                checks.push(Check::fail(format!("blocks of {tenant}"), error.to_string(), fix));
            }
        }
    }
    if tenants.is_empty() {
        checks.push(Check::skipped("blocks", "there are none yet: `spanlake send` sends a span"));
    }
    newest.sort_by_key(|block| std::cmp::Reverse(block.meta.max_end_unix_nanos));
    newest.truncate(block_count);
    if !newest.is_empty() {
        checks.push(checksums(catalog, tenants, newest).await);
    }
    checks
}

fn backlog(tenant: &Tenant, snapshot: &Snapshot) -> Vec<Check> {
    let mut checks = Vec::new();
    let name = format!("blocks of {tenant}");
    let old = readable::now_unix_nanos().saturating_sub(u64::try_from(OLD.as_nanos()).unwrap_or(u64::MAX));
    let level0 = || snapshot.blocks.iter().filter(|block| block.meta.level == 0);
    let (waiting, aged) = (level0().count(), level0().filter(|block| block.meta.max_end_unix_nanos < old).count());
    let bytes: u64 = snapshot.blocks.iter().map(|block| block.meta.object_bytes).sum();
    let spans: u64 = snapshot.blocks.iter().map(|block| block.meta.span_count).sum();
    let text = format!(
        "{} live with {} spans in {}; {waiting} wait to be merged",
        snapshot.blocks.len(),
        readable::count(spans),
        readable::bytes(bytes)
    );
    let fix = "run one process with the role compactor, or look at its log and /metrics (spanlake_compactor_*)";
    checks.push(if waiting > FEW_LEVEL0_BLOCKS || aged > FEW_LEVEL0_BLOCKS / 4 {
        Check::warn(name, text, fix)
    } else {
        Check::ok(name, text)
    });
    let damaged = snapshot.quarantined().len();
    if damaged > 0 {
        let text = format!("{damaged} blocks of {tenant} are damaged; queries read what they can of them");
        let fix = "`spanlake blocks verify` says what is lost, `spanlake blocks repair --apply` keeps the rest";
        checks.push(Check::fail("damage", text, fix));
    }
    checks
}

async fn checksums(catalog: Catalog, tenants: Vec<Tenant>, newest: Vec<spanlake_catalog::BlockRef>) -> Check {
    match blocks::verify_some(catalog, tenants, &newest).await {
        Ok(verified) => {
            let bad: Vec<&str> = verified.iter().filter(|(_, sound)| !sound).map(|(key, _)| key.as_str()).collect();
            let spans: u64 = newest.iter().map(|block| block.meta.span_count).sum();
            match bad.first() {
                None => Check::ok(
                    "checksums",
                    format!("{} blocks with {} spans are sound", verified.len(), readable::count(spans)),
                ),
                Some(first) => Check::fail(
                    "checksums",
                    format!("{} of {} blocks are damaged, such as {first}", bad.len(), verified.len()),
                    "`spanlake blocks verify` says what is lost, `spanlake blocks repair --apply` keeps the rest",
                ),
            }
        }
        Err(error) => Check::fail("checksums", format!("{error:#}"), "look at the store's rights to read"),
    }
}
