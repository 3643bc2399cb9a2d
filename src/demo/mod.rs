//! `spanlake serve --demo` and `spanlake demo`: a shop with planted faults (crate `demo`) whose spans go into a tenant of their
//! own, over the same OTLP receiver as everybody's. It decides when what is written; the shop decides what.

mod instant;
mod ownership;
mod remove;
mod write;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use spanlake_catalog::Catalog;
use spanlake_model::{HumanDuration, Tenant};
use spanlake_storage::Store;

pub use write::{Target, run};

/// Whose the demo's spans are.
const TENANT: &str = "demo";

/// Some of the shop's clocks are ahead, by less than this.
const CLOCK_AHEAD_NANOS: u64 = 1_000_000_000;

/// The tenant that the demo's spans belong to.
pub fn tenant() -> Tenant {
    Tenant::parse(TENANT).expect("four letters are a name")
}

/// What can be done with the demo beside running it.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Delete the tenant `demo` from the store, if a demo filled it and nobody else sent spans to it. Stop the server first; no
    /// other tenant is touched.
    Remove(remove::RemoveArgs),
}

/// Whether a demo runs, and which.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Fill the store with the traces of a shop that has faults to find, and go on as time does.
    #[arg(long)]
    demo: bool,
    /// Which shop: the same number gives the same spans. Default 1.
    #[arg(long, value_name = "N", requires = "demo")]
    seed: Option<u64>,
    /// Let the demo end at this instant (RFC 3339) instead of going on: for pictures that must not change.
    #[arg(long, value_name = "TIME", requires = "demo", value_parser = instant::parse)]
    demo_now: Option<u64>,
    /// How much of the past the demo begins with. Default 1h, about 110,000 spans.
    #[arg(long, value_name = "DURATION", requires = "demo")]
    demo_history: Option<HumanDuration>,
}

/// The demo to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    seed: u64,
    /// The instant at which time stands still; none when it goes on.
    fixed_now_unix_nanos: Option<u64>,
    history_nanos: u64,
}

impl DemoArgs {
    /// The demo that is asked for, if any.
    pub fn plan(&self) -> Option<Plan> {
        self.demo.then(|| Plan {
            seed: self.seed.unwrap_or(1),
            fixed_now_unix_nanos: self.demo_now,
            history_nanos: self.demo_history.unwrap_or(HumanDuration::from_secs(3_600)).as_nanos(),
        })
    }
}

impl Plan {
    /// The instant up to which there is a past.
    pub fn now_unix_nanos(&self) -> u64 {
        self.fixed_now_unix_nanos.unwrap_or_else(now_unix_nanos)
    }
}

/// The end of the newest span that an earlier demo has left in the store, up to the plan's instant; 0 for none, or when that cannot
/// be read: spans that are written twice are kept once. One snapshot of the tenant.
pub async fn written_until(plan: &Plan, catalog: &Catalog) -> u64 {
    let Ok(snapshot) = catalog.snapshot(&tenant()).await else { return 0 };
    let now = plan.now_unix_nanos();
    let ends = snapshot.blocks.iter().map(|block| block.meta.max_end_unix_nanos);
    ends.filter(|end| *end <= now.saturating_add(CLOCK_AHEAD_NANOS)).max().unwrap_or(0)
}

/// Marks the tenant as the demo's, so that one command may take it away. Where it has other spans, or that cannot be found out, it
/// is left as it is, and a warning says what follows.
pub async fn claim(store: &Store, catalog: &Catalog) {
    match ownership::claim(store, catalog).await {
        Ok(true) => {}
        Ok(false) => tracing::warn!(
            "the tenant {TENANT} has spans that are not the demo's: the demo's are put beside them, and `spanlake demo remove` will take nothing away without --force"
        ),
        Err(error) => tracing::warn!("the tenant {TENANT} cannot be marked as the demo's: {error:#}"),
    }
}

fn now_unix_nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Does what `spanlake demo` is asked for.
///
/// # Errors
/// If the settings are wrong, or the store fails.
pub fn execute(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Remove(args) => remove::run(args),
    }
}
