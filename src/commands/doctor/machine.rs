//! What this machine has: a clock, room on its disks, free ports.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Check;
use crate::commands::readable;
use crate::config::{Config, ListenAddress, Role};

/// Below this much room blocks fail soon.
const FEW_BYTES: u64 = 2 << 30;
/// Below this much room they fail.
const NO_BYTES: u64 = 200 << 20;
/// 2025-01-01: no clock of a machine that runs this program is before it.
const PAST_UNIX_SECONDS: u64 = 1_735_689_600;
/// A difference between two clocks that somebody should look at.
const LARGE_DIFFERENCE: Duration = Duration::from_secs(5);
/// A difference that makes leases and retention go wrong.
const BAD_DIFFERENCE: Duration = Duration::from_secs(60);

/// Looks at clock, disks and ports. `is_served` says that a Spanlake listens on the query port.
pub fn checks(config: &Config, is_served: bool) -> Vec<Check> {
    let mut checks = vec![clock()];
    checks.extend(disks(config));
    checks.extend(ports(config, is_served));
    checks
}

fn clock() -> Check {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if seconds < PAST_UNIX_SECONDS {
        let now = readable::moment(seconds * 1_000_000_000);
        return Check::fail("clock", format!("this machine believes it is {now}"), "set the clock, best with NTP");
    }
    Check::ok("clock", format!("{} UTC", readable::moment(readable::now_unix_nanos())))
}

/// Compares this machine's clock with another's.
pub fn difference(name: &str, whose: &str, other: SystemTime, slack: Duration) -> Check {
    let now = SystemTime::now();
    let difference = now.duration_since(other).unwrap_or_else(|error| error.duration());
    let ahead = if other > now { "ahead of" } else { "behind" };
    let nanos = u64::try_from(difference.as_nanos()).unwrap_or(u64::MAX);
    let text = format!("{whose} clock is {} {ahead} this machine's", readable::duration(nanos));
    let fix = "set both clocks with NTP: spans are found by their time, and leases end by it";
    match difference.saturating_sub(slack) {
        d if d > BAD_DIFFERENCE => Check::fail(name, text, fix),
        d if d > LARGE_DIFFERENCE => Check::warn(name, text, fix),
        _ => Check::ok(name, format!("{whose} clock agrees with this machine's")),
    }
}

fn disks(config: &Config) -> Vec<Check> {
    let mut places: Vec<(&str, PathBuf, &str)> = Vec::new();
    if let Some(path) = crate::client::directory(&config.storage.url) {
        let path = std::path::absolute(&path).unwrap_or(path);
        places.push(("disk of blocks", path, "free space, or set compactor retention"));
    }
    if !config.cache.disk_path.as_os_str().is_empty() {
        places.push(("disk of cache", config.cache.disk_path.clone(), "free space, or lower the cache's limit"));
    }
    places.into_iter().map(|(name, path, fix)| disk(name, &path, fix)).collect()
}

fn disk(name: &str, path: &Path, fix: &str) -> Check {
    // Of a directory that is not there yet, its nearest ancestor has the room.
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(there) {
        Ok(room) => {
            let free = room.f_bavail.saturating_mul(room.f_frsize);
            let all = room.f_blocks.saturating_mul(room.f_frsize);
            let text = format!("{} of {} are free at {}", readable::bytes(free), readable::bytes(all), there.display());
            match free {
                free if free < NO_BYTES => Check::fail(name, text, fix),
                free if free < FEW_BYTES => Check::warn(name, text, fix),
                _ => Check::ok(name, text),
            }
        }
        Err(error) => Check::warn(name, format!("{}: {error}", there.display()), "look at the mount"),
    }
}

fn ports(config: &Config, is_served: bool) -> Vec<Check> {
    let mut ports: Vec<(&str, &ListenAddress)> = vec![("server.http_listen", &config.server.http_listen)];
    if config.roles.contains(Role::Querier) {
        ports.push(("server.grpc_listen", &config.server.grpc_listen));
    }
    if config.roles.contains(Role::Ingester) {
        ports.push(("otlp.grpc_listen", &config.otlp.grpc_listen));
        ports.push(("otlp.http_listen", &config.otlp.http_listen));
    }
    ports.into_iter().map(|(key, address)| port(key, address, is_served)).collect()
}

fn port(key: &str, address: &ListenAddress, is_served: bool) -> Check {
    let name = format!("port {}", address.port);
    match TcpListener::bind((address.host.as_str(), address.port)) {
        Ok(_) => Check::ok(name, format!("{address} is free ({key})")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_served => {
            Check::ok(name, format!("{address} is in use, and a Spanlake runs here ({key})"))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let fix = format!("stop what listens there (`ss -ltnp` shows it), or set {key} to another port");
            Check::fail(name, format!("{address} is in use by another program ({key})"), fix)
        }
        Err(error) => Check::fail(name, format!("{address} cannot be used: {error} ({key})"), format!("correct {key}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Verdict;

    #[test]
    fn clocks_are_compared() {
        let check = |seconds: u64, expect: Verdict| {
            let other = SystemTime::now() - Duration::from_secs(seconds);
            assert_eq!(difference("c", "the store's", other, Duration::ZERO).verdict, expect, "{seconds}");
        };
        check(0, Verdict::Ok);
        check(20, Verdict::Warn);
        check(600, Verdict::Fail);
        let ahead = difference("c", "its", SystemTime::now() + Duration::from_secs(90), Duration::ZERO);
        assert!(ahead.text.contains("ahead of"), "{ahead:?}");
    }

    #[test]
    fn ports_in_use() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = ListenAddress::loopback(listener.local_addr().expect("an address").port());
        assert_eq!(port("otlp.http_listen", &address, false).verdict, Verdict::Fail);
        assert_eq!(port("otlp.http_listen", &address, true).verdict, Verdict::Ok);
        drop(listener);
        assert_eq!(port("otlp.http_listen", &address, false).verdict, Verdict::Ok);
    }

    #[test]
    fn room_on_a_disk() {
        let check = disk("disk", Path::new("/no/such/directory"), "free space");
        assert!(check.text.ends_with("are free at /"), "{check:?}");
    }
}
