//! A crash between every two steps: one short history, run again with a kill before and after each call that a process makes
//! to the store, until there is no such call any more.

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use spanlake_model::Tenant;
use tokio::time::{sleep, timeout};

use crate::cluster::{Cluster, GRACE};
use crate::deletions::delete_once;
use crate::gate::Death;
use crate::invariants::check_all;
use crate::ledger::Ledger;
use crate::mover::{Claims, Mover};
use crate::run::simulated;

/// More calls than the history makes.
const MAX_CALLS: u64 = 400;

/// Who dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Ingester,
    Compactor,
    Mover,
    /// A querier that deletes a trace.
    Deleter,
}

/// Ingest, the deletion of a trace, compaction, and all of it once more with new processes. Whether the victim died.
async fn history(random: &mut StdRng, victim: Victim, death: Death) -> Result<bool, String> {
    let cluster = Cluster::new("latency=5ms~20ms".parse().expect("a plan"));
    let tenant = Tenant::single();
    let claims = Claims::default();
    let mut ledger = Ledger::of(&cluster);
    let first_ingester = cluster.boot_ingester("ingester");
    let deleter = cluster.boot_querier("deleter");
    let mut mover = Mover::new(&cluster, "mover");
    let (mut process, mut compactor) = cluster.boot_compactor("compactor");
    let gate = match victim {
        Victim::Ingester => first_ingester.process.gate.clone(),
        Victim::Compactor => process.gate.clone(),
        Victim::Mover => mover.process.gate.clone(),
        Victim::Deleter => deleter.process.gate.clone(),
    };
    gate.kill_at(death);
    for round in 0..2 {
        let ingester =
            if round == 0 { first_ingester.clone() } else { cluster.boot_ingester(&format!("ingester {round}")) };
        for _ in 0..3 {
            let number = ledger.make(random, &tenant);
            let sent = ledger.send(number);
            let push = ingester.ingester.push(tenant.clone(), ledger.requests[number].body.clone());
            let heard = ingester.process.gate.hear(push).await;
            ledger.answered(number, sent, matches!(heard, Some(Ok(_))));
        }
        let ids = ledger.requests[3 * round].spans.keys().take(1 + round).copied().collect();
        delete_once(&cluster, &deleter, &tenant, &ids).await;
        if round == 1 {
            mover = Mover::new(&cluster, "mover 1");
            (process, compactor) = cluster.boot_compactor("compactor 1");
        }
        if victim == Victim::Mover {
            for _ in 0..3 {
                let gate = mover.process.gate.clone();
                gate.hear(mover.pass(&cluster, &claims, &tenant, random)).await;
                sleep(GRACE.get()).await;
            }
        } else {
            // Long enough for a merge, the grace, the deletion and a sweep.
            let work = process.gate.hear(compactor.clone().run());
            let _ = timeout(Duration::from_secs(60), work).await;
        }
    }
    let died = gate.is_dead();
    for gate in [&gate, &process.gate, &mover.process.gate, &deleter.process.gate] {
        gate.kill();
    }
    sleep(Duration::from_secs(60)).await;
    check_all(&cluster, &mut ledger, &[tenant], 1).await?;
    match cluster.history.violations().first() {
        Some(violation) => Err(violation.clone()),
        None => Ok(died),
    }
}

/// Tries every call where `SPANLAKE_SIM_SEEDS` asks for a long run, else one in so many.
fn crash_everywhere(victim: Victim, usual_stride: usize) -> u64 {
    let stride = if std::env::var("SPANLAKE_SIM_SEEDS").is_ok() { 1 } else { usual_stride };
    for call in (1..MAX_CALLS).step_by(stride) {
        for after_effect in [false, true] {
            let death = Death { call, after_effect };
            let outcome = simulated(call, None, async |_| history(&mut StdRng::seed_from_u64(9), victim, death).await);
            let died = outcome.unwrap_or_else(|violation| panic!("{victim:?} dies at {death:?}: {violation}"));
            if !died {
                return call - 1;
            }
        }
    }
    panic!("the history has more than {MAX_CALLS} calls");
}

#[test]
fn an_ingester_may_die_between_any_two_steps() {
    let steps = crash_everywhere(Victim::Ingester, 1);
    assert!(steps >= 3, "only {steps} steps");
}

#[test]
fn a_compactor_may_die_between_any_two_steps() {
    let steps = crash_everywhere(Victim::Compactor, 9);
    println!("the compactor has {steps} steps");
    assert!(steps >= 15, "only {steps} steps");
}

#[test]
fn a_deleter_may_die_between_any_two_steps() {
    let steps = crash_everywhere(Victim::Deleter, 1);
    assert!(steps >= 5, "only {steps} steps");
}

#[test]
fn a_mover_may_die_between_any_two_steps() {
    let steps = crash_everywhere(Victim::Mover, 2);
    assert!(steps >= 15, "only {steps} steps");
}
