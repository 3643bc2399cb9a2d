//! The fault matrix: what each fault does to each kind of request, one cell after the other, through the layer it reaches.
//!
//! Cells whose fault leaves nothing to see at a request (a delete that was applied and not answered, say) are not listed.

use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use spanlake_catalog::{Committed, Edit, Error};
use spanlake_ingester::PushError;
use spanlake_model::Tenant;
use spanlake_model::world::Rule;
use spanlake_storage::Kind;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::invariants::{check_all, flatten};
use crate::ledger::Ledger;
use crate::run::simulated;

/// How a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As if nothing had happened.
    Well,
    /// It says that it failed, and had no effect that anyone sees.
    Fails,
    /// It says that it failed or that nobody knows, and may have had its effect.
    Unknown,
    /// Another one had the place.
    Lost,
}

/// The kinds of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// An export request, up to the acknowledgement: PUT of a level-0 block.
    PutBlock,
    /// A commit: PUT of a manifest, by a catalog that has read the one before.
    PutManifest,
    /// A snapshot by a new process: GET of a manifest.
    GetManifest,
    /// A trace by id by a new process: GET of ranges of a block.
    GetBlock,
    /// DELETE of a retired object.
    Delete,
    /// A snapshot by a process that has taken one before: LIST.
    List,
}

/// What a scene is asked, under a plan of faults that starts with the question.
async fn ask(cluster: &Cluster, ledger: &mut Ledger, what: Ask, plan: &str) -> (End, Duration) {
    let tenant = Tenant::single();
    let mut random = StdRng::seed_from_u64(3);
    // A level-0 block, a block that was moved, and a retired one, all written in good weather.
    let ingester = cluster.boot_ingester("ingester");
    for _ in 0..2 {
        let number = ledger.make(&mut random, &tenant);
        let body = ledger.requests[number].body.clone();
        ingester.ingester.push(tenant.clone(), body).await.expect("good weather");
        ledger.requests[number].is_acknowledged = true;
    }
    let claims = Default::default();
    let mut mover = crate::mover::Mover::new(cluster, "mover");
    while mover.process.catalog.snapshot(&tenant).await.expect("good weather").retired().count() == 0 {
        mover.pass(cluster, &claims, &tenant, &mut random).await.expect("good weather");
    }
    let process = cluster.boot("asking");
    let before = process.catalog.snapshot(&tenant).await.expect("good weather");
    let retired = before.retired().next().expect("one was retired").key.clone();
    let fresh = cluster.boot_querier("fresh");

    let rules = plan.parse::<spanlake_storage::faults::Plan>().expect("a plan").rules;
    cluster.faulty.set_rules(rules);
    let began = Instant::now();
    let failed = |may_have_happened: bool| if may_have_happened { End::Unknown } else { End::Fails };
    let end = match what {
        Ask::PutBlock => {
            let number = ledger.make(&mut random, &tenant);
            let body = ledger.requests[number].body.clone();
            match ingester.ingester.push(tenant.clone(), body).await {
                Ok(_) => {
                    ledger.requests[number].is_acknowledged = true;
                    End::Well
                }
                // The sender repeats it either way.
                Err(PushError::Unavailable { .. }) => End::Unknown,
                Err(error) => panic!("{what:?} under {plan}: {error}"),
            }
        }
        Ask::PutManifest => {
            let edit = Edit { epoch: before.epoch, ..Edit::default() };
            match process.catalog.commit(&tenant, edit).await {
                Ok(Committed::Won { .. }) => End::Well,
                Ok(Committed::Lost { .. }) => End::Lost,
                Ok(Committed::Unknown { .. }) => End::Unknown,
                Err(error) => failed(error.may_have_happened()),
            }
        }
        Ask::GetManifest => match fresh.process.catalog.snapshot(&tenant).await {
            Ok(snapshot) => {
                assert_eq!(snapshot.manifest_sequence, before.manifest_sequence);
                End::Well
            }
            Err(error) => {
                assert!(!matches!(error, Error::Fenced { .. }), "{error}");
                End::Fails
            }
        },
        Ask::GetBlock => {
            let (_, id) = ledger.traces()[0].clone();
            let expected = ledger.expect(&tenant, id);
            match fresh.querier.trace(std::slice::from_ref(&tenant), id, None).await {
                Ok(answer) => {
                    ledger.check(&expected, &flatten(answer.trace)).unwrap_or_else(|what| panic!("{plan}: {what}"));
                    End::Well
                }
                Err(spanlake_querier::Error::Unavailable { .. } | spanlake_querier::Error::TimedOut { .. }) => {
                    End::Fails
                }
                Err(spanlake_querier::Error::Damaged { .. }) => End::Fails,
                Err(error) => panic!("{plan}: {error}"),
            }
        }
        Ask::Delete => match process.catalog.store().delete(&retired).await {
            Ok(()) => End::Well,
            Err(_) => End::Fails,
        },
        Ask::List => match process.catalog.snapshot(&tenant).await {
            Ok(snapshot) => {
                assert_eq!(snapshot.blocks, before.blocks);
                End::Well
            }
            Err(_) => End::Fails,
        },
    };
    (end, began.elapsed())
}

/// A fault of the cell's operation, unless it names one.
fn rule(operation: &str, fault: &str) -> String {
    if fault.starts_with("get ") { fault.to_owned() } else { format!("{operation} {fault}") }
}

/// How a cell's request ends, with a rule of ours switched off.
pub fn end_of(what: Ask, fault: &str, broken: Option<Rule>) -> End {
    simulated(5, broken, async |_| {
        let plan = plan_of(what, fault);
        ask(&Cluster::new(Default::default()), &mut Ledger::default(), what, &plan).await.0
    })
}

/// The plan of a cell: its faults are of its operation, unless they name one.
fn plan_of(what: Ask, fault: &str) -> String {
    let operation = match what {
        Ask::PutBlock | Ask::PutManifest => "put",
        Ask::GetManifest => "get",
        Ask::GetBlock => "get_range",
        Ask::Delete => "delete",
        Ask::List => "list",
    };
    let plan: Vec<String> = fault.split(';').map(|fault| rule(operation, fault.trim())).collect();
    plan.join("; ")
}

/// One cell: how the request ends, and that nothing is lost, doubled or torn once the weather is good again.
fn check(what: Ask, fault: &str, expect: End) {
    simulated(5, None, async |_| {
        let cluster = Cluster::new(Default::default());
        let mut ledger = Ledger::default();
        let (end, took) = ask(&cluster, &mut ledger, what, &plan_of(what, fault)).await;
        assert_eq!(end, expect, "{what:?} under {fault}, after {took:?}");
        assert!(took <= Duration::from_secs(31), "{what:?} under {fault} took {took:?}");
        cluster.faulty.set_rules(Vec::new());
        tokio::time::sleep(Duration::from_secs(60)).await;
        let whole = check_all(&cluster, &mut ledger, &[Tenant::single()], 1).await;
        whole.unwrap_or_else(|violation| panic!("{what:?} under {fault}: {violation}"));
        assert_eq!(cluster.history.violations(), Vec::<String>::new(), "{what:?} under {fault}");
    });
}

/// Every fault on one kind of request, with how it ends.
fn check_row(what: Ask, row: &[(&str, End)]) {
    for (fault, expect) in row {
        check(what, fault, *expect);
    }
}

#[test]
fn put_of_a_block() {
    use End::{Unknown, Well};
    check_row(
        Ask::PutBlock,
        &[
            ("slowdown", Unknown),
            ("throttled", Unknown),
            ("#1-2 slowdown", Well),
            ("#1 error-after", Well),
            ("#1 late=6s", Well),
            ("#1 timeout-after", Well),
            ("#1 timeout", Well),
            ("#1 short", Well),
            ("#1 flip", Well),
            ("denied", Unknown),
            ("expired", Unknown),
            ("slow=20s", Unknown),
            ("#1 conflict", Well),
            ("conflict", Unknown),
        ],
    );
}

#[test]
fn put_of_a_manifest() {
    use End::{Fails, Unknown, Well};
    check_row(
        Ask::PutManifest,
        &[
            ("throttled", Fails),
            ("slowdown", Unknown),
            ("#1-2 slowdown", Well),
            ("#1 error-after", Well),
            ("error-after", Well),
            ("#1 late=6s", Well),
            ("late=12s", Well),
            ("#1 timeout-after", Well),
            ("#1 timeout", Well),
            ("#1 short", Well),
            ("#1 flip", Well),
            ("denied", Fails),
            ("#1 timeout; #2 denied", Unknown),
            ("expired", Fails),
            ("slow=20s", Unknown),
            ("#1 conflict", Well),
            ("#1-3 conflict", Well),
            ("#1 timeout-after; get #1 flip", Well),
            ("#1 timeout-after; get #1-2 short", Well),
            ("#1 timeout-after; get #1-3 short", Unknown),
            ("conflict", Unknown),
        ],
    );
}

/// Reads of a manifest and of a block end alike.
const READS: [(&str, End); 11] = [
    ("slowdown", End::Fails),
    ("#1-2 slowdown", End::Well),
    ("#1-2 error", End::Well),
    ("#1 timeout", End::Well),
    ("#1 short", End::Well),
    ("short", End::Fails),
    ("#1 flip", End::Well),
    ("flip", End::Fails),
    ("denied", End::Fails),
    ("expired", End::Fails),
    ("slow=2s", End::Well),
];

#[test]
fn get_of_a_manifest() {
    check_row(Ask::GetManifest, &READS);
}

#[test]
fn get_of_a_block() {
    check_row(Ask::GetBlock, &READS);
}

#[test]
fn delete_of_an_object() {
    use End::{Fails, Well};
    check_row(
        Ask::Delete,
        &[
            ("slowdown", Fails),
            ("#1-2 slowdown", Well),
            ("error-after", Fails),
            ("#1 error-after", Well),
            ("#1 timeout", Well),
            ("#1 late=6s", Well),
            ("denied", Fails),
            ("expired", Fails),
        ],
    );
}

#[test]
fn list_of_blocks_and_manifests() {
    use End::{Fails, Well};
    check_row(
        Ask::List,
        &[
            ("slowdown", Fails),
            ("#1-2 slowdown", Well),
            ("#1 error", Well),
            ("#1 timeout", Well),
            ("slow=4s", Well),
            ("denied", Fails),
            ("expired", Fails),
        ],
    );
}

/// A manifest's place that another has taken is lost, whatever the weather was: the bytes differ by the nonce.
#[test]
fn a_taken_place_is_lost_under_every_fault() {
    for fault in ["", "put #1 error-after", "put #1 timeout", "put #1 conflict", "put #1 late=6s", "put #1 slowdown"] {
        simulated(5, None, async |_| {
            let cluster = Cluster::new(Default::default());
            let (one, two) = (cluster.boot("one"), cluster.boot("two"));
            let tenant = Tenant::single();
            let epoch = one.catalog.claim(&tenant).await.expect("good weather");
            // Both have read the same manifest before either writes.
            let fault = format!("latency=20ms~20ms; {fault}");
            cluster.faulty.set_rules(fault.parse::<spanlake_storage::faults::Plan>().expect("a plan").rules);
            let edit = || Edit { epoch, ..Edit::default() };
            let (one, two) = tokio::join!(one.catalog.commit(&tenant, edit()), two.catalog.commit(&tenant, edit()));
            let outcomes = [one.expect("an outcome"), two.expect("an outcome")];
            let won = outcomes.iter().filter(|outcome| matches!(outcome, Committed::Won { .. })).count();
            let lost = outcomes.iter().filter(|outcome| matches!(outcome, Committed::Lost { .. })).count();
            assert_eq!((won, lost), (1, 1), "under {fault:?}: {outcomes:?}");
        });
    }
}

/// Answers that hide what was created in the last seconds, which no store that passes the probe gives: a manifest's number
/// that is taken stays taken, and no reader goes back behind what it has seen.
#[test]
fn stale_answers_neither_take_a_place_twice_nor_go_back() {
    simulated(5, None, async |_| {
        let cluster = Cluster::new("list stale=5s".parse().expect("a plan"));
        let (one, two) = (cluster.boot("one"), cluster.boot("two"));
        let tenant = Tenant::single();
        let epoch = one.catalog.claim(&tenant).await.expect("a claim");
        let seen = one.catalog.snapshot(&tenant).await.expect("a snapshot");
        assert_eq!(seen.manifest_sequence, 1, "what it wrote itself it knows");
        let edit = Edit { epoch: 0, ..Edit::default() };
        let committed = two.catalog.commit(&tenant, edit).await.expect("an outcome");
        assert_eq!(committed, Committed::Lost { sequence: 1 });
        assert_eq!(epoch, 1);
    });
}

/// Names that are no objects of ours do no harm in a listing.
#[test]
fn unknown_names_are_passed_over() {
    simulated(5, None, async |_| {
        let cluster = Cluster::new(Default::default());
        let tenant = Tenant::single();
        let key = format!("tenants/{tenant}/l0/what-is-this");
        cluster.truth.create(&key, Bytes::from_static(b"?")).await.expect("create");
        let process = cluster.boot("one");
        assert!(process.catalog.snapshot(&tenant).await.expect("a snapshot").blocks.is_empty());
        let error = process.catalog.store().create(&key, Bytes::from_static(b"!")).await.expect_err("taken");
        assert_eq!(error.kind(), Kind::AlreadyExists);
    });
}
