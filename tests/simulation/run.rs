//! One run: actors over a faulty store for some minutes of virtual time, then the reckoning.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use spanlake_ingester::PushError;
use spanlake_model::Tenant;
use spanlake_model::world::{self, Simulation};
use tokio::time::{Instant, sleep};

use crate::aftermath::{age, heal};
use crate::ask::ask;
use crate::clocks::{go_wrong, set_some_wrong};
use crate::cluster::{Cluster, IngesterProcess, QuerierProcess};
use crate::deletions::delete;
use crate::gate::Death;
use crate::invariants::check_all;
use crate::ledger::{EPOCH_NANOS, Ledger};
use crate::mover::{Claims, Mover};

/// What a run is made of.
#[derive(Clone)]
pub struct Options {
    /// Virtual time in which the actors act.
    pub length: Duration,
    /// The store's faults; drawn from the seed when there is none.
    pub plan: Option<String>,
    /// The rule of ours that is switched off.
    pub broken: Option<world::Rule>,
    /// Who changes which blocks are live.
    pub workers: Workers,
    /// Whether it goes on, with compactors alone, until everything is done and the retention is over.
    pub has_aftermath: bool,
}

/// Who changes which blocks are live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// Compactors.
    Compactors,
    /// Movers, which check who owns what.
    Movers,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            length: Duration::from_secs(60),
            plan: None,
            broken: None,
            workers: Workers::Compactors,
            has_aftermath: true,
        }
    }
}

/// How a run went.
#[derive(Debug, Default)]
pub struct Report {
    pub violations: Vec<String>,
    /// Hash over all events, and their number.
    pub digest: (u64, u64),
    pub plan: String,
    pub tail: String,
    pub request_count: usize,
    pub acknowledged_count: usize,
    pub answer_count: u64,
    pub failed_answer_count: u64,
    pub deletion_count: u64,
    pub kill_count: u64,
    pub fault_count: u64,
    pub block_count: usize,
    /// Those of level 0.
    pub l0_count: usize,
    pub manifest_count: usize,
}

/// What the actors share.
pub struct Scene {
    pub cluster: Cluster,
    pub length: Duration,
    pub damages: bool,
    pub tenants: Vec<Tenant>,
    pub ledger: RefCell<Ledger>,
    pub claims: Claims,
    pub ingesters: Vec<RefCell<Rc<IngesterProcess>>>,
    pub queriers: Vec<RefCell<Rc<QuerierProcess>>>,
    /// Compactors and movers own their processes; this is for killing them.
    pub workers: Vec<RefCell<std::sync::Arc<crate::gate::Gate>>>,
    pub answers: Cell<u64>,
    pub failures: Cell<u64>,
    /// Those that were acknowledged.
    pub deletions: Cell<u64>,
    pub kills: Cell<u64>,
}

/// Of so many requests one is searched for while many blocks are not merged.
const SEARCHED: usize = 4;

/// Runs a seed.
pub fn run(seed: u64, options: &Options) -> Report {
    simulated(seed, options.broken, async move |random| {
        let plan = options.plan.clone().unwrap_or_else(|| draw_plan(random, options.length));
        act(random, plan, options).await
    })
}

/// Runs something on a runtime whose time is virtual, with chance and clock of its own.
pub fn simulated<T>(seed: u64, broken: Option<world::Rule>, work: impl AsyncFnOnce(&mut StdRng) -> T) -> T {
    let builder = &mut tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime without I/O");
    runtime.block_on(async {
        let began = Instant::now();
        let start = SystemTime::UNIX_EPOCH + Duration::from_nanos(EPOCH_NANOS);
        let _simulation = Simulation::begin(seed, move || start + began.elapsed());
        world::break_rule(broken);
        work(&mut StdRng::seed_from_u64(seed)).await
    })
}

/// A plan of faults: a few of each kind, rarely many.
fn draw_plan(random: &mut StdRng, length: Duration) -> String {
    let mut rules = vec![format!("seed={}", random.random::<u32>())];
    rules.push(format!("latency={}ms~{}s", random.random_range(1..40), random.random_range(1..21)));
    let percents = [
        "put,delete # error-after",
        "put # slowdown",
        "put # timeout",
        "put # timeout-after",
        "put # conflict",
        "put in=/manifest/ # timeout-after",
        "put in=/manifest/ # error-after",
        "put # throttled",
        "put # flip",
        "get,get_range # error",
        "get,get_range # slowdown",
        "get_range # short",
        "get,get_range # flip",
        "get # short",
        "get,get_range # slow=4s",
        "list # error",
        "list # timeout",
        "delete # timeout-after",
    ];
    for rule in percents {
        if random.random_bool(0.3) {
            let percent: f64 = if random.random_bool(0.1) { 30.0 } else { random.random_range(0.5..8.0) };
            rules.push(rule.replace('#', &format!("{percent:.2}%")));
        }
    }
    if random.random_bool(0.5) {
        rules.push(format!("put,delete {}% late={}ms", random.random_range(1..15), random.random_range(100..15_000)));
    }
    for fault in ["slowdown", "denied", "expired", "timeout"] {
        if random.random_bool(0.15) {
            let from = random.random_range(0..length.as_secs().max(1));
            rules.push(format!("from={from}s for={}s {fault}", random.random_range(1..15)));
        }
    }
    rules.join("; ")
}

async fn act(random: &mut StdRng, plan: String, options: &Options) -> Report {
    let cluster = Cluster::new(plan.parse().expect("a plan"));
    let tenants: Vec<Tenant> = ["a", "b"].map(|name| Tenant::parse(name).expect("a name")).into();
    let ingesters = (0..2).map(|i| RefCell::new(cluster.boot_ingester(&format!("ingester {i}")))).collect();
    let queriers = (0..2).map(|i| RefCell::new(cluster.boot_querier(&format!("querier {i}")))).collect();
    let workers = (0..2).map(|i| RefCell::new(cluster.boot(&format!("worker {i}")).gate)).collect();
    for name in ["compactor 0", "compactor 1", "mover 0", "mover 1"] {
        cluster.clock(name);
    }
    set_some_wrong(&cluster, random);
    let damages = plan.contains("flip") || plan.contains("short");
    let ledger = RefCell::new(Ledger::of(&cluster));
    let scene = Scene {
        cluster,
        length: options.length,
        damages,
        tenants,
        ledger,
        claims: Claims::default(),
        ingesters,
        queriers,
        workers,
        answers: Cell::new(0),
        failures: Cell::new(0),
        deletions: Cell::new(0),
        kills: Cell::new(0),
    };
    let mut child = || StdRng::seed_from_u64(random.random());
    let until = sleep(options.length);
    let workers = options.workers;
    tokio::select! {
        biased;
        () = async { tokio::join!(
            send(&scene, child()), send(&scene, child()), send(&scene, child()),
            ask(&scene, child()), ask(&scene, child()),
            delete(&scene, child()), go_wrong(&scene.cluster, child()),
            compact(&scene, workers, 0, child()), compact(&scene, workers, 1, child()),
            keep_ingester(&scene, 0, child()), keep_ingester(&scene, 1, child()),
            keep_querier(&scene, 0, child()), keep_querier(&scene, 1, child()),
            harm(&scene, child()),
        ); } => {}
        () = until => {}
        () = scene.cluster.history.first_violation() => {}
    }
    reckon(scene, plan, options.has_aftermath).await
}

/// Ends everything, lets what was sent land, and checks all there is.
async fn reckon(scene: Scene, plan: String, has_aftermath: bool) -> Report {
    let Scene { cluster, tenants, ledger, ingesters, queriers, workers, answers, failures, deletions, kills, .. } =
        scene;
    let mut ledger = ledger.into_inner();
    ledger.give_up();
    for gate in ingesters.iter().map(|slot| std::sync::Arc::clone(&slot.borrow().process.gate)) {
        gate.kill();
    }
    queriers.iter().for_each(|slot| slot.borrow().process.gate.kill());
    workers.iter().for_each(|slot| slot.borrow().kill());
    cluster.faulty.set_rules(Vec::new());
    sleep(Duration::from_secs(60)).await;
    let checked = async {
        if !cluster.history.violations().is_empty() {
            return Ok(());
        }
        // What is searched for in full once all is merged is searched for in part before that.
        check_all(&cluster, &mut ledger, &tenants, if has_aftermath { SEARCHED } else { 1 }).await?;
        if !has_aftermath {
            return Ok(());
        }
        heal(&cluster, &mut ledger, &tenants).await?;
        age(&cluster, &mut ledger, &tenants).await
    };
    if let Err(violation) = checked.await {
        cluster.history.violate(violation);
    }
    let (mut block_count, mut l0_count, mut manifest_count) = (0, 0, 0);
    for object in cluster.truth.list("", None).await.expect("the true store does not fail") {
        block_count += usize::from(object.key.ends_with(".parquet"));
        l0_count += usize::from(object.key.contains("/l0/"));
        manifest_count += usize::from(object.key.contains("/manifest/"));
    }
    Report {
        violations: cluster.history.violations(),
        digest: cluster.history.digest(),
        plan,
        tail: cluster.history.tail(),
        request_count: ledger.requests.len(),
        acknowledged_count: ledger.requests.iter().filter(|request| request.is_acknowledged).count(),
        answer_count: answers.get(),
        failed_answer_count: failures.get(),
        deletion_count: deletions.get(),
        kill_count: kills.get(),
        fault_count: cluster.faulty.met_count(),
        block_count,
        l0_count,
        manifest_count,
    }
}

/// One of several.
pub fn pick<'a, T>(random: &mut StdRng, of: &'a [T]) -> &'a T {
    &of[random.random_range(0..of.len())]
}

/// Waits a random while.
pub async fn pause(random: &mut StdRng, up_to_millis: u64) {
    sleep(Duration::from_millis(random.random_range(1..=up_to_millis))).await;
}

/// Sends requests, some of them again, as clients do that heard no answer or were told to repeat.
async fn send(scene: &Scene, mut random: StdRng) {
    while scene.cluster.history.elapsed() < scene.length {
        let number = {
            let mut ledger = scene.ledger.borrow_mut();
            let sent = ledger.requests.len();
            let deleted = ledger.with_deleted(&scene.cluster.watch.all_deleted());
            if !deleted.is_empty() && random.random_bool(0.1) {
                *pick(&mut random, &deleted)
            } else if sent > 0 && random.random_bool(0.2) {
                random.random_range(0..sent)
            } else {
                let tenant = pick(&mut random, &scene.tenants).clone();
                ledger.make(&mut random, &tenant)
            }
        };
        let (tenant, body) = {
            let request = &scene.ledger.borrow().requests[number];
            (request.tenant.clone(), request.body.clone())
        };
        let process = Rc::clone(&pick(&mut random, &scene.ingesters).borrow());
        let begun = scene.ledger.borrow_mut().send(number);
        let outcome = process.process.gate.hear(process.ingester.push(tenant, body)).await;
        scene.ledger.borrow_mut().answered(number, begun, matches!(outcome, Some(Ok(_))));
        match &outcome {
            Some(Ok(accepted)) => {
                let request = &scene.ledger.borrow().requests[number];
                let sent: usize = request.spans.values().map(|spans| spans.len()).sum();
                if accepted.span_count != sent as u64 || accepted.rejected_count != 0 {
                    scene.cluster.history.violate(format!("request {number} of {sent} spans: {accepted:?}"));
                }
                scene.cluster.history.note(format_args!("request {number} is acknowledged"));
            }
            Some(Err(PushError::Unavailable { .. } | PushError::Full { .. } | PushError::Throttled { .. })) => {
                scene.cluster.history.note(format_args!("request {number} is refused"));
            }
            Some(Err(error)) => scene.cluster.history.violate(format!("request {number}: {error}")),
            None => scene.cluster.history.note(format_args!("request {number} is not answered")),
        }
        pause(&mut random, 2_000).await;
    }
}

/// Compacts, with a new process whenever the old one has died.
async fn compact(scene: &Scene, workers: Workers, slot: usize, mut random: StdRng) {
    if workers == Workers::Movers {
        return move_blocks(scene, slot, random).await;
    }
    loop {
        let (process, compactor) = scene.cluster.boot_compactor(&format!("compactor {slot}"));
        *scene.workers[slot].borrow_mut() = std::sync::Arc::clone(&process.gate);
        process.gate.hear(compactor.run()).await;
        pause(&mut random, 3_000).await;
    }
}

async fn move_blocks(scene: &Scene, slot: usize, mut random: StdRng) {
    let boot = || {
        let mover = Mover::new(&scene.cluster, &format!("mover {slot}"));
        *scene.workers[slot].borrow_mut() = std::sync::Arc::clone(&mover.process.gate);
        mover
    };
    let mut mover = boot();
    loop {
        pause(&mut random, 3_000).await;
        let tenant = pick(&mut random, &scene.tenants).clone();
        let gate = std::sync::Arc::clone(&mover.process.gate);
        let pass = gate.hear(mover.pass(&scene.cluster, &scene.claims, &tenant, &mut random));
        match pass.await {
            Some(Ok(())) => {}
            Some(Err(error)) => scene.cluster.history.note(format_args!("mover {slot}: {error}")),
            None => {
                pause(&mut random, 3_000).await;
                mover = boot();
            }
        }
    }
}

async fn keep_ingester(scene: &Scene, slot: usize, mut random: StdRng) {
    loop {
        let gate = std::sync::Arc::clone(&scene.ingesters[slot].borrow().process.gate);
        gate.death().await;
        pause(&mut random, 2_000).await;
        *scene.ingesters[slot].borrow_mut() = scene.cluster.boot_ingester(&format!("ingester {slot}"));
    }
}

async fn keep_querier(scene: &Scene, slot: usize, mut random: StdRng) {
    loop {
        let gate = std::sync::Arc::clone(&scene.queriers[slot].borrow().process.gate);
        gate.death().await;
        pause(&mut random, 2_000).await;
        *scene.queriers[slot].borrow_mut() = scene.cluster.boot_querier(&format!("querier {slot}"));
    }
}

/// Kills processes between any two of their steps, and lets some stand still for longer than anyone waits for them.
async fn harm(scene: &Scene, mut random: StdRng) {
    loop {
        pause(&mut random, 8_000).await;
        let victim = random.random_range(0..scene.ingesters.len() + scene.queriers.len() + scene.workers.len());
        let gates = scene.ingesters.iter().map(|slot| std::sync::Arc::clone(&slot.borrow().process.gate));
        let gates = gates.chain(scene.queriers.iter().map(|slot| std::sync::Arc::clone(&slot.borrow().process.gate)));
        let mut gates = gates.chain(scene.workers.iter().map(|slot| std::sync::Arc::clone(&slot.borrow())));
        let gate = gates.nth(victim).expect("it is one of them");
        if random.random_bool(0.25) {
            gate.freeze(Duration::from_millis(random.random_range(100..45_000)));
        } else {
            let call = gate.calls() + random.random_range(1..8);
            gate.kill_at(Death { call, after_effect: random.random_bool(0.5) });
            scene.kills.set(scene.kills.get() + 1);
        }
    }
}
