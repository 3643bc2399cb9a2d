//! `spanlake serve`: opens the store, starts the roles, and stops them in order.
//!
//! Roles meet only in the store. What differs between one process with every role and one with a single role is which
//! of them are started here, and nothing else.

mod admin;
mod blocks;
mod log;
mod process;
mod readiness;
mod roles;
mod server;
mod signals;
mod status;
mod welcome;
mod windows;

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use spanlake_catalog::Catalog;
use spanlake_storage::{ProbeError, Store};
use tokio::task::JoinSet;

use self::readiness::Readiness;
use self::roles::{Listeners, Roles, Running};
use self::signals::StopSignals;
use crate::config::{Config, Role};
use crate::demo;

/// Longest time from the signal to the end of the process, `server.shutdown_delay` not counted: below the 10 s that
/// are promised.
const STOP_TIMEOUT: Duration = Duration::from_millis(9_500);

/// Longest wait for the first probe of the store before spans are taken all the same: a store that is slow now may answer
/// by the time they come, and refuses them with a reason if not.
const PROBE_WAIT: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// If the store or a port cannot be had, if the store lacks what we ask of every store, or if spans were still
/// unacknowledged when the time to stop was over.
pub fn run(mut config: Config, print_addresses: bool, demo: Option<demo::Plan>) -> anyhow::Result<()> {
    let started = Instant::now();
    config.tenancy.demo = demo.is_some();
    log::begin(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    let outcome = runtime.block_on(serve(&config, print_addresses, demo, started));
    // A file operation that hangs must not keep a process that has said its last word.
    runtime.shutdown_background();
    outcome
}

async fn serve(
    config: &Config,
    print_addresses: bool,
    demo: Option<demo::Plan>,
    started: Instant,
) -> anyhow::Result<()> {
    if demo.is_some() && ![Role::Ingester, Role::Querier].into_iter().all(|role| config.roles.contains(role)) {
        anyhow::bail!("the demo is sent to this process and read from it: --demo needs the roles ingester and querier");
    }
    let mut signals = StopSignals::new()?;
    let store = Store::open(&config.storage).with_context(|| format!("cannot open {}", config.storage.url))?;
    let mut registry = Registry::with_prefix("spanlake");
    store.meter().register(&mut registry);
    let roles = Roles::new(config, &store, &mut registry);
    let listeners = Listeners::bind(config).await?;
    let addresses = listeners.addresses();
    let readiness = Readiness::new();
    // Readiness and metrics answer from here on; spans are taken once the store has been probed, or is slow to answer.
    let mut running = Running::start(listeners, &roles, registry, &readiness, config);
    let mut watch = pin!(readiness.watch(&store));
    tokio::select! {
        _ = tokio::time::timeout(PROBE_WAIT, readiness.first_verdict()) => {}
        error = &mut watch => return Err(unfit(&error, config)),
        _ = signals.next() => {
            signals.end_at_next();
            return stop(running, &readiness, &roles, Duration::ZERO).await;
        }
    };
    running.receive(&roles);
    welcome::print(config, &addresses, readiness.check().err(), started.elapsed());
    if print_addresses {
        welcome::print_json(&addresses);
    }
    // Ends with this function.
    let mut demos = JoinSet::new();
    if let (Some(plan), Some(otlp_http)) = (demo, addresses.otlp_http) {
        let catalog = Catalog::new(store.clone(), config.catalog.clone());
        let (http, path_prefix) = (addresses.http, config.otlp.path_prefix.clone());
        let (storage_url, store) = (config.storage.url.clone(), store.clone());
        demos.spawn(async move {
            demo::claim(&store, &catalog).await;
            let written_until_unix_nanos = demo::written_until(&plan, &catalog).await;
            let target = demo::Target { otlp_http, path_prefix, http, storage_url, written_until_unix_nanos };
            demo::run(plan, target).await;
        });
    }
    tokio::select! {
        _ = signals.next() => {
            signals.end_at_next();
            demos.abort_all();
            stop(running, &readiness, &roles, config.server.shutdown_delay.get()).await
        }
        error = watch => {
            roles.shutdown().await;
            Err(unfit(&error, config))
        }
    }
}

fn unfit(error: &ProbeError, config: &Config) -> anyhow::Error {
    anyhow::anyhow!("{} cannot be used: {error}", config.storage.url)
}

/// Not ready, no new work, flush and acknowledge, then the end of the connections.
async fn stop(running: Running, readiness: &Readiness, roles: &Roles, delay: Duration) -> anyhow::Result<()> {
    readiness.stop();
    tracing::info!("stopping");
    tokio::time::sleep(delay).await;
    let flushed = async {
        running.stop_receiving();
        roles.shutdown().await
    };
    let deadline = tokio::time::Instant::now() + STOP_TIMEOUT;
    if !tokio::time::timeout_at(deadline, flushed).await.unwrap_or(false) {
        anyhow::bail!("stopped with spans that were not acknowledged: their senders must repeat them");
    }
    tracing::info!("every received span is acknowledged or refused");
    if tokio::time::timeout_at(deadline, running.drain()).await.is_err() {
        tracing::warn!("connections that did not end in time are cut");
    }
    Ok(())
}
