//! Rigs that cannot fail prove nothing: for each rule of ours that is switched off, a run must go red.
//!
//! Syncing is switched off in the storage crate's tests, where a power cut can be seen.

use spanlake_model::{Tenant, TraceId};
use spanlake_storage::faults::Plan;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use spanlake_model::world::Rule;

use crate::cluster::{Cluster, DELETED_MIN_AGE, MAX_SKEW};
use crate::deletions::delete_once;
use crate::invariants::{check_traces, flatten};
use crate::ledger::Ledger;
use crate::matrix::{Ask, End, end_of};
use crate::run::{Options, Workers, run, simulated};

/// Runs seeds with a rule switched off until one goes red, and checks that it does so for the expected reason.
fn goes_red(options: &Options, seeds: u64, expect: &[&str]) {
    let broken = options.broken.expect("a rule is switched off");
    for seed in 0..seeds {
        // A decoder that meets what a checksum would have refused may panic, which is as red as can be.
        let Ok(report) = catch_unwind(AssertUnwindSafe(|| run(seed, options))) else {
            println!("without {broken:?}, seed {seed}: a panic");
            return;
        };
        if let Some(violation) = report.violations.first() {
            println!("without {broken:?}, seed {seed}: {violation}");
            assert!(expect.iter().any(|part| violation.contains(part)), "without {broken:?}: {violation}");
            return;
        }
    }
    panic!("{seeds} seeds ran well without {broken:?}: they test nothing of it");
}

/// For rules that show while everything goes on.
fn without_aftermath() -> Options {
    Options { has_aftermath: false, ..Options::default() }
}

#[test]
fn without_comparing_checksums() {
    let plan = Some("seed=1; latency=10ms~1s; get_range 30% flip; get 10% flip".to_owned());
    let options =
        Options { plan, broken: Some(Rule::CompareChecksums), workers: Workers::Movers, ..without_aftermath() };
    goes_red(&options, 20, &["trace ", "a query fails", "the search for"]);
}

#[test]
fn without_the_epoch() {
    let options = Options { broken: Some(Rule::CheckEpoch), workers: Workers::Movers, ..without_aftermath() };
    goes_red(&options, 30, &["which is over"]);
}

/// A query lists the blocks slowly, while a compactor whose clock jumps ahead moves and deletes them. What is wrong with the
/// answer, if anything.
fn answer_during_deletes(broken: Option<Rule>) -> Result<(), String> {
    simulated(7, broken, async |random| {
        let cluster = Cluster::new(Default::default());
        let tenant = Tenant::single();
        let mut ledger = Ledger::default();
        let ingester = cluster.boot_ingester("ingester");
        for _ in 0..2 {
            let number = ledger.make(random, &tenant);
            let body = ledger.requests[number].body.clone();
            ingester.ingester.push(tenant.clone(), body).await.expect("good weather");
            ledger.requests[number].is_acknowledged = true;
        }
        let (_, id) = ledger.traces()[0].clone();
        let expected = ledger.expect(&tenant, id);
        let querier = cluster.boot_querier("querier");
        let (process, compactor) = cluster.boot_compactor("compactor");
        // Old enough to be merged.
        tokio::time::sleep(Duration::from_secs(10)).await;
        cluster.faulty.set_rules("list in=/l0/ #1 slow=4s".parse::<Plan>().expect("a plan").rules);
        let question = querier.querier.trace(std::slice::from_ref(&tenant), id, None);
        let compaction = async {
            // The question comes first.
            tokio::time::sleep(Duration::from_millis(100)).await;
            for _ in 0..4 {
                process.gate.hear(compactor.turn(&tenant)).await.expect("it lives").expect("good weather");
                cluster.clock("compactor").set_ahead(i64::try_from(MAX_SKEW.as_nanos()).expect("minutes"));
            }
            let catalog = cluster.true_catalog();
            let snapshot = catalog.snapshot(&tenant).await.expect("the true store does not fail");
            assert!(snapshot.blocks.iter().all(|block| block.meta.level > 0), "the blocks were merged");
        };
        let (answer, ()) = tokio::join!(question, compaction);
        ledger.check(&expected, &flatten(answer.map_err(|error| error.to_string())?.trace))
    })
}

#[test]
fn without_waiting_before_deletes() {
    assert_eq!(answer_during_deletes(None), Ok(()));
    let violation = answer_during_deletes(Some(Rule::WaitBeforeDelete)).expect_err("the blocks went away");
    assert!(violation.contains("is missing"), "{violation}");
}

#[test]
fn without_answering_spans_once() {
    let options = Options { broken: Some(Rule::AnswerSpansOnce), ..without_aftermath() };
    goes_red(&options, 20, &["answered twice"]);
}

#[test]
fn without_hiding_deleted_traces() {
    let options = Options { broken: Some(Rule::HideDeletedTraces), ..without_aftermath() };
    goes_red(&options, 10, &["is deleted and shown"]);
}

#[test]
fn without_dropping_the_rows_of_deleted_traces() {
    let options = Options { broken: Some(Rule::DropDeletedRows), ..Options::default() };
    goes_red(&options, 10, &["is deleted and shown", "still not carried out"]);
}

#[test]
fn without_looking_before_a_deletion_is_forgotten() {
    let options = Options { broken: Some(Rule::LookBeforeForgetting), ..Options::default() };
    goes_red(&options, 10, &["is deleted and shown"]);
}

/// A compactor lists the blocks, and long after that the lease comes; meanwhile spans of a deleted trace arrive. What is wrong with
/// the answer then, if anything.
fn answer_after_a_long_look(broken: Option<Rule>) -> Result<(), String> {
    simulated(7, broken, async |random| {
        let cluster = Cluster::new("latency=1ms~2ms".parse().expect("a plan"));
        let tenant = Tenant::single();
        let mut ledger = Ledger::of(&cluster);
        let (ingester, querier) = (cluster.boot_ingester("ingester"), cluster.boot_querier("querier"));
        let (other, number) = (ledger.make(random, &tenant), ledger.make(random, &tenant));
        let send = async |ledger: &mut Ledger, number: usize| {
            let sent = ledger.send(number);
            let pushed = ingester.ingester.push(tenant.clone(), ledger.requests[number].body.clone()).await;
            ledger.answered(number, sent, pushed.is_ok());
        };
        // A block that is to be looked at makes a turn due.
        send(&mut ledger, other).await;
        let of_other = |id: &TraceId| ledger.requests[other].spans.contains_key(id);
        let ids = ledger.requests[number].spans.keys().copied().filter(|id| !of_other(id)).collect();
        delete_once(&cluster, &querier, &tenant, &ids).await.expect("it lives").expect("good weather");
        tokio::time::sleep(DELETED_MIN_AGE.get() - Duration::from_secs(3)).await;
        let (_process, compactor) = cluster.boot_compactor("compactor");
        cluster.faulty.set_rules("latency=1ms~2ms; list in=/lease/ slow=4s".parse::<Plan>().expect("a plan").rules);
        let arrival = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            send(&mut ledger, number).await;
        };
        let (turn, ()) = tokio::join!(compactor.turn(&tenant), arrival);
        turn.expect("good weather");
        cluster.faulty.set_rules(Vec::new());
        tokio::time::sleep(Duration::from_secs(1)).await;
        check_traces(&cluster, &mut ledger, &cluster.true_querier()).await?;
        match cluster.history.violations().first() {
            Some(violation) => Err(violation.clone()),
            None => Ok(()),
        }
    })
}

#[test]
fn without_the_age_as_of_the_listing() {
    assert_eq!(answer_after_a_long_look(None), Ok(()));
    let violation = answer_after_a_long_look(Some(Rule::AgeAsOfTheListing)).expect_err("it was forgotten too early");
    assert!(violation.contains("is deleted and shown"), "{violation}");
}

#[test]
fn without_measuring_leases_by_ones_own_waiting() {
    let plan = Some("seed=1; latency=10ms~1s".to_owned());
    let options = Options { plan, broken: Some(Rule::MeasureLeasesHere), ..without_aftermath() };
    goes_red(&options, 10, &["the lease is taken from"]);
}

#[test]
fn without_asking_for_the_stores_clock() {
    let violation = answer_during_deletes(Some(Rule::AskTheStoresClock)).expect_err("the blocks went away");
    assert!(violation.contains("is missing"), "{violation}");
}

/// A manifest landed, its answer was lost, and reading it back is cut off twice alike.
#[test]
fn without_believing_only_sound_manifests() {
    let end = |broken| end_of(Ask::PutManifest, "#1 timeout-after; get #1-2 short", broken);
    assert_eq!(end(None), End::Well);
    assert_eq!(end(Some(Rule::BelieveSoundManifests)), End::Lost, "its outputs are deleted though they are live");
}

/// Two that have read the same manifest claim the tenant in the same instant: they write the same bytes, but for the nonce.
fn owners_after_a_race(broken: Option<Rule>) -> (u64, u64) {
    simulated(7, broken, async |_| {
        let cluster = Cluster::new("list slow=20ms; put slow=20ms".parse().expect("a plan"));
        let (one, two) = (cluster.boot("one"), cluster.boot("two"));
        let tenant = Tenant::single();
        let (one, two) = tokio::join!(one.catalog.claim(&tenant), two.catalog.claim(&tenant));
        (one.expect("a claim"), two.expect("a claim"))
    })
}

#[test]
fn without_nonces_or_comparing_what_is_there() {
    let (one, two) = owners_after_a_race(None);
    assert_ne!(one, two);
    for broken in [Rule::NonceInManifest, Rule::CompareWhatIsThere] {
        let (one, two) = owners_after_a_race(Some(broken));
        assert_eq!(one, two, "without {broken:?} both believe that they own the tenant");
    }
}
