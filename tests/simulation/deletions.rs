//! Deletes traces while everything goes on, and checks what a deletion promises of itself: it is in force when it is
//! acknowledged, and kept in an audit. What answers may show since is in [`crate::duty`].

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use spanlake_model::{Tenant, TraceId};
use spanlake_querier::Error;
use tokio::time::{Instant, timeout};

use crate::cluster::{Cluster, DELETED_MIN_AGE, MAX_SKEW, QuerierProcess};
use crate::invariants::may_fail;
use crate::ledger::Ledger;
use crate::run::{Scene, pause, pick, simulated};

/// Share of deletions that are of traces which were deleted before.
const AGAIN: f64 = 0.25;

/// Deletes some traces, alone or a few at once, and some of them again.
pub async fn delete(scene: &Scene, mut random: StdRng) {
    loop {
        pause(&mut random, 5_000).await;
        let process = Rc::clone(&pick(&mut random, &scene.queriers).borrow());
        let tenant = pick(&mut random, &scene.tenants).clone();
        let ids = choose(scene, &tenant, &mut random);
        if ids.is_empty() {
            continue;
        }
        match delete_once(&scene.cluster, &process, &tenant, &ids).await {
            Some(Ok(())) => scene.deletions.set(scene.deletions.get() + 1),
            Some(Err(error)) => {
                scene.cluster.history.note(format_args!("a deletion fails: {error}"));
                if !may_fail(&error, scene.damages) {
                    scene.cluster.history.violate(format!("a deletion fails: {error}"));
                }
            }
            None => {}
        }
    }
}

fn choose(scene: &Scene, tenant: &Tenant, random: &mut StdRng) -> BTreeSet<TraceId> {
    let known: Vec<TraceId> = match random.random_bool(AGAIN) {
        true => {
            scene.cluster.watch.all_deleted().into_iter().filter(|(of, ..)| of == tenant).map(|(_, id, _)| id).collect()
        }
        false => scene.ledger.borrow().traces().into_iter().filter(|(of, _)| of == tenant).map(|(_, id)| id).collect(),
    };
    let count = if random.random_bool(0.7) { 1 } else { random.random_range(2..=3) };
    if known.is_empty() { BTreeSet::new() } else { (0..count).map(|_| *pick(random, &known)).collect() }
}

/// Deletes traces as the server does; nothing if the process dies.
pub async fn delete_once(
    cluster: &Cluster,
    process: &QuerierProcess,
    tenant: &Tenant,
    ids: &BTreeSet<TraceId>,
) -> Option<Result<(), Error>> {
    cluster.watch.expect_deletion(tenant, ids);
    let (asked, list) = (Instant::now(), ids.iter().copied().collect::<Vec<_>>());
    let outcome = process.process.gate.hear(process.querier.delete_traces(tenant, &list, "a simulation")).await?;
    let deletion = match outcome {
        Ok(deletion) => deletion,
        Err(error) => return Some(Err(error)),
    };
    cluster.history.note(format_args!("{ids:?} of {tenant} are deleted by number {}", deletion.sequence));
    for id in ids {
        let times = cluster.watch.deleted(tenant, *id);
        if times.last().is_none_or(|last| last.renewed < asked) {
            cluster.history.violate(format!("the deletion of trace {id} is acknowledged and not in force"));
        }
    }
    match cluster.truth.get(&deletion.audit_key).await {
        Ok(audit) if ids.iter().all(|id| String::from_utf8_lossy(&audit).contains(&id.to_string())) => {}
        _ => cluster.history.violate(format!("{} does not say what was deleted", deletion.audit_key)),
    }
    Some(Ok(()))
}

/// A tombstone says when it was made by a clock that is ahead of all others: the store's decides when it is forgotten.
#[test]
fn a_deletion_by_a_clock_that_is_ahead_is_forgotten_in_time() {
    simulated(7, None, async |random| {
        let cluster = Cluster::new(Default::default());
        let tenant = Tenant::single();
        let mut ledger = Ledger::of(&cluster);
        let number = ledger.make(random, &tenant);
        let ids = ledger.requests[number].spans.keys().copied().collect();
        let querier = cluster.boot_querier("querier");
        cluster.clock("querier").set_ahead(i64::try_from(MAX_SKEW.as_nanos()).expect("minutes"));
        delete_once(&cluster, &querier, &tenant, &ids).await.expect("it lives").expect("good weather");
        let (process, compactor) = cluster.boot_compactor("compactor");
        let _ = timeout(DELETED_MIN_AGE.get() + Duration::from_secs(10), process.gate.hear(compactor.run())).await;
        assert!(cluster.watch.all_deleted().iter().all(|(_, _, is_so)| !is_so), "nothing holds it, and it is old");
        assert_eq!(cluster.history.violations(), Vec::<String>::new());
    });
}
