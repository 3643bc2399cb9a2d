//! `kill -9` at random moments of ingest, compaction and deletion: every acknowledged span is found by id exactly once, and
//! none of a trace that was deleted.
//!
//! `SPANLAKE_CRASH_ROUNDS` sets the number of kills for each backend (default 20).

use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, SeedableRng};

use crate::Backend;
use crate::http::Connection;
use crate::process::{Server, Setup};
use crate::traffic::{Batch, Found, Ledger, SentTrace, find, seed};

/// An acknowledgement waits for a group commit, so only many senders keep one always under way.
const SENDERS: u64 = 12;
/// The compactor has no time to rest: it merges, drops and deletes while it is killed.
const COMPACTION: [(&str, &str); 6] = [
    ("compactor.interval", "100ms"),
    ("compactor.l0_min_age", "0s"),
    ("compactor.l0_fan_in", "4"),
    ("compactor.l0_max_wait", "500ms"),
    ("compactor.window_grace", "0s"),
    // Spans of today are never dropped.
    ("compactor.retention", "24h"),
];
/// Deleted traces of the last rounds, and as many of all before, that a round looks for.
const DELETED_CHECKS: usize = 100;
/// A killed process is ready again within this, on a machine that runs other tests beside it.
const RESTART_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn nothing_acknowledged_is_lost_on_a_directory() {
    crash(Backend::Directory);
}

#[test]
fn nothing_acknowledged_is_lost_on_s3() {
    crash(Backend::S3);
}

/// Spans by what became of them.
#[derive(Default, Debug)]
struct Counter {
    acknowledged: u64,
    found: u64,
    lost: u64,
    duplicated: u64,
    unknown_found: u64,
    unknown_absent: u64,
}

impl Counter {
    /// Looks an acknowledged batch up.
    fn check(&mut self, connection: &mut Connection, batch: &Batch) {
        for trace in &batch.traces {
            let sent = trace.span_ids.len() as u64;
            self.acknowledged += sent;
            match find(connection, trace) {
                Found::Exactly => self.found += sent,
                Found::Nothing => self.lost += sent,
                Found::Differs { missing, duplicated, unknown } => {
                    assert_eq!(unknown, 0, "trace {} has spans that nobody sent", trace.hex());
                    self.found += sent - missing as u64;
                    self.lost += missing as u64;
                    self.duplicated += duplicated as u64;
                }
            }
        }
    }

    /// Looks up a batch whose acknowledgement never came: either outcome is right, but a batch is stored whole.
    fn check_unknown(&mut self, connection: &mut Connection, batch: &Batch) {
        let outcomes: Vec<Found> = batch.traces.iter().map(|trace| find(connection, trace)).collect();
        if outcomes.iter().all(|found| *found == Found::Exactly) {
            self.unknown_found += batch.span_count();
        } else {
            let absent = outcomes.iter().all(|found| *found == Found::Nothing);
            assert!(absent, "a request without an acknowledgement is stored in part: {outcomes:?}");
            self.unknown_absent += batch.span_count();
        }
    }
}

fn crash(backend: Backend) {
    let rounds: u32 = match std::env::var("SPANLAKE_CRASH_ROUNDS") {
        Ok(text) => text.parse().expect("SPANLAKE_CRASH_ROUNDS is a number"),
        Err(_) => 20,
    };
    let seed = seed("crash");
    let mut random = StdRng::seed_from_u64(seed);
    let setup = COMPACTION.iter().fold(Setup::new(backend).noisy(), |setup, (key, value)| setup.with(key, value));
    let mut deletions = Deletions::default();
    let ledger = Ledger::default();
    let mut counter = Counter::default();
    let mut all: Vec<Batch> = Vec::new();
    let mut resent = 0;
    let mut slowest_start = Duration::ZERO;

    let mut server = setup.start();
    for round in 1..=rounds {
        let lifetime = Duration::from_millis(random.random_range(5..1_200));
        let address = server.otlp_http;
        ledger.send_while(address, random.random(), SENDERS, Duration::ZERO, || {
            sleep(lifetime);
            server.kill();
        });
        if round % 20 == 0 {
            println!("{backend:?}: {round} of {rounds} kills");
        }
        let started = Instant::now();
        server = setup.start();
        slowest_start = slowest_start.max(started.elapsed());

        let mut acknowledged = ledger.take_acknowledged();
        let mut connection = Connection::new(server.http);
        let mut check = Counter::default();
        for batch in ledger.take_unknown() {
            // A client resends what was not acknowledged, with the same ids; either way it is stored once.
            if random.random() {
                check.check_unknown(&mut connection, &batch);
            } else {
                resent += batch.span_count();
                resend(&ledger, &server, batch);
                acknowledged.extend(ledger.take_acknowledged());
            }
        }
        acknowledged.iter().for_each(|batch| check.check(&mut connection, batch));
        assert_eq!((check.lost, check.duplicated), (0, 0), "after this round's kill: {check:?}");
        // The next kill comes while what this deletes is still in the store.
        acknowledged.retain(|batch| !random.random_ratio(1, 8) || !deletions.delete(&mut connection, batch));
        deletions.check_some(&mut connection, &mut random);
        counter.unknown_found += check.unknown_found;
        counter.unknown_absent += check.unknown_absent;
        all.extend(acknowledged);
    }

    // Once more at the end: no later crash may take away what an earlier round had found.
    let mut connection = Connection::new(server.http);
    all.iter().for_each(|batch| counter.check(&mut connection, batch));
    deletions.check(&mut connection);
    // Nothing in the store is damaged, whatever the moment of a kill.
    let verified = setup.run(&["blocks", "verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
    println!("deleted {} traces; {}", deletions.deleted.len(), String::from_utf8_lossy(&verified.stdout).trim());
    println!(
        "crash on {backend:?}: {rounds} kills, acknowledged {}, found {}, lost {}, duplicated {} spans; \
         {resent} resent; without an answer: {} stored, {} absent; slowest restart {slowest_start:?}",
        counter.acknowledged,
        counter.found,
        counter.lost,
        counter.duplicated,
        counter.unknown_found,
        counter.unknown_absent,
    );
    server.stop();
    assert!(counter.acknowledged > 0, "no span was acknowledged, so nothing was tested");
    assert_eq!((counter.lost, counter.duplicated), (0, 0), "lost and duplicated spans: {counter:?}");
    assert!(slowest_start < RESTART_LIMIT, "a restart took {slowest_start:?}");
}

/// Traces that were deleted.
#[derive(Default)]
struct Deletions {
    deleted: Vec<SentTrace>,
}

impl Deletions {
    /// Deletes the traces of a batch. False if the server cannot delete.
    fn delete(&mut self, connection: &mut Connection, batch: &Batch) -> bool {
        for trace in &batch.traces {
            let path = format!("/api/v1/traces/{}", trace.hex());
            let answer = connection.request("DELETE", &path, &[], b"").expect("an answer");
            match answer.status {
                200..300 => self.deleted.push(trace.clone()),
                // A build without deletion.
                404 | 405 if self.deleted.is_empty() => return false,
                status => panic!("deletion answered {status}: {}", answer.text()),
            }
        }
        true
    }

    /// Once deleted, a trace stays away.
    fn check(&self, connection: &mut Connection) {
        check_absent(&self.deleted, connection);
    }

    /// The same, of the latest and some earlier ones: a round does not take longer for the rounds before it.
    fn check_some(&self, connection: &mut Connection, random: &mut StdRng) {
        let (earlier, latest) = self.deleted.split_at(self.deleted.len().saturating_sub(DELETED_CHECKS));
        check_absent(latest, connection);
        check_absent(earlier.choose_multiple(random, DELETED_CHECKS), connection);
    }
}

fn check_absent<'a>(deleted: impl IntoIterator<Item = &'a SentTrace>, connection: &mut Connection) {
    for trace in deleted {
        assert_eq!(find(connection, trace), Found::Nothing, "deleted trace {}", trace.hex());
    }
}

fn resend(ledger: &Ledger, server: &Server, batch: Batch) {
    assert!(ledger.send(&mut Connection::new(server.otlp_http), batch), "the server answers after its restart");
}
