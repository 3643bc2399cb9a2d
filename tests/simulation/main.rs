//! The whole system in one process: ingesters, compactors and queriers over one faulty store, in virtual time, from a seed.
//!
//! Nothing here uses the network, files or threads. `SPANLAKE_SIM_SEEDS` sets how many seeds run, `SPANLAKE_SIM_FIRST` the
//! first one, `SPANLAKE_SIM_PRINT` prints every event; a failed run prints its seed.

mod aftermath;
mod ask;
mod clocks;
mod cluster;
mod deletions;
mod duty;
mod gate;
mod history;
mod invariants;
mod ledger;
mod matrix;
mod mover;
mod mutants;
mod run;
mod steps;
mod watch;

use run::{Options, Workers, run};

/// Seeds of a normal test run: seconds of work.
const USUAL_SEEDS: u64 = 6;

fn number(variable: &str, usual: u64) -> u64 {
    let text = std::env::var(variable);
    text.map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[test]
fn histories_break_no_promise() {
    let first = number("SPANLAKE_SIM_FIRST", 0);
    let count = number("SPANLAKE_SIM_SEEDS", USUAL_SEEDS);
    let (mut requests, mut acknowledged, mut answers, mut failed, mut kills, mut faults) = (0, 0, 0, 0, 0, 0);
    let (mut deletions, mut blocks, mut l0_blocks, mut manifests) = (0, 0, 0, 0);
    let mut broken = Vec::new();
    for seed in first..first + count {
        let workers = if seed % 4 == 3 { Workers::Movers } else { Workers::Compactors };
        let report = run(seed, &Options { workers, ..Options::default() });
        requests += report.request_count;
        acknowledged += report.acknowledged_count;
        answers += report.answer_count;
        failed += report.failed_answer_count;
        deletions += report.deletion_count;
        kills += report.kill_count;
        faults += report.fault_count;
        blocks += report.block_count;
        l0_blocks += report.l0_count;
        manifests += report.manifest_count;
        if let Some(violation) = report.violations.first() {
            println!("seed {seed} with {:?}:\n{}{violation}", report.plan, report.tail);
            println!("repeat it: SPANLAKE_SIM_FIRST={seed} SPANLAKE_SIM_SEEDS=1 SPANLAKE_SIM_PRINT=1");
            broken.push((seed, violation.clone()));
        }
    }
    println!(
        "{count} seeds from {first}: {acknowledged} of {requests} requests acknowledged, {answers} answers checked, \
         {failed} queries failed, {deletions} deletions, {kills} kills, {faults} faults, {blocks} blocks left, {l0_blocks} of level 0, {manifests} manifests"
    );
    assert!(broken.is_empty(), "{} of {count} seeds broke a promise: {broken:#?}", broken.len());
    assert!(
        acknowledged > requests / 4 && answers > 0 && deletions > 0,
        "too little was acknowledged to test anything"
    );
}

#[test]
fn a_seed_repeats_exactly() {
    let [one, again] = [(); 2].map(|()| run(1, &Options::default()));
    assert_eq!(one.digest, again.digest, "{}\n{}", one.tail, again.tail);
    assert_ne!(one.digest, run(2, &Options::default()).digest);
}
