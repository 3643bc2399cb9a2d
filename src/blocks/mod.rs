//! `spanlake blocks`: lists blocks, looks into one, holds them against their checksums and their own indexes, and replaces
//! damaged ones by what can be read of them.
//!
//! It works on the store beside running processes: reading disturbs nobody, and a repair is a commit like a compactor's.

mod list;
mod repair;
mod salvage;
mod show;
#[cfg(test)]
mod tests;
mod verify;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use spanlake_catalog::{BlockRef, BlockState, Catalog};
use spanlake_model::Tenant;
use spanlake_storage::Store;

use crate::cli::SettingArgs;
use crate::config;

/// What can be done with blocks.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Every block of a tenant: key, level, time, spans, traces, bytes, and whether it is live, quarantined, retired, an
    /// orphan or kept.
    List(list::ListArgs),
    /// One block: its facts, and the bytes of its columns, indexes and row groups.
    Show(show::ShowArgs),
    /// Hold all live blocks, or some, against their checksums, their order and their indexes. Ends with 1 if any is damaged.
    Verify(verify::VerifyArgs),
    /// Replace damaged blocks by what can be read of them; without --apply, only say what would be lost.
    Repair(repair::RepairArgs),
}

/// Where the blocks are, and how answers look. The store's other settings come from the file and the environment, as for
/// `serve`.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// Where blocks are kept: file:///directory, s3://bucket/prefix, gs://, az:// (storage.url).
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
    /// Only this tenant; all by default.
    #[arg(long)]
    tenant: Option<String>,
    /// How answers look.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    /// TOML file with settings.
    #[arg(long, value_name = "FILE", env = "SPANLAKE_CONFIG")]
    config: Option<std::path::PathBuf>,
    /// Any other setting; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

/// The form of an answer on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// One JSON document.
    Json,
}

/// The store as a command sees it.
pub(crate) struct World {
    catalog: Catalog,
    tenants: Vec<Tenant>,
    output: Output,
    /// Say nothing of progress.
    is_quiet: bool,
}

impl StoreArgs {
    /// Opens the store. One LIST for each tenant unless one is named.
    async fn open(&self) -> anyhow::Result<World> {
        let settings = SettingArgs {
            config: self.config.clone(),
            storage_url: self.storage.clone(),
            set: self.set.clone(),
            ..SettingArgs::default()
        };
        let config = config::load(&settings, std::env::vars_os())?.config;
        let store = Store::open(&config.storage).with_context(|| format!("cannot open {}", config.storage.url))?;
        let catalog = Catalog::new(store, config.catalog);
        let tenants = match &self.tenant {
            Some(name) => vec![Tenant::parse(name)?],
            None => catalog.tenants().await.context("the tenants cannot be listed")?,
        };
        Ok(World { catalog, tenants, output: self.output, is_quiet: false })
    }
}

impl World {
    /// The live blocks of all chosen tenants, or those that are named by key or by the last part of it.
    async fn live_blocks(&self, names: &[String]) -> anyhow::Result<Vec<BlockRef>> {
        let mut found = Vec::new();
        for tenant in &self.tenants {
            let snapshot = self.catalog.snapshot(tenant).await?;
            found.extend(snapshot.blocks.iter().filter(|block| names.is_empty() || is_named(block, names)).cloned());
        }
        missing(names, &found)?;
        Ok(found)
    }

    /// Blocks of any state by key, or by the last part of it.
    async fn blocks(&self, names: &[String]) -> anyhow::Result<Vec<(BlockRef, BlockState)>> {
        let mut found = Vec::new();
        for tenant in &self.tenants {
            let all = self.catalog.inventory(tenant).await?;
            found.extend(all.into_iter().filter(|(block, _)| names.is_empty() || is_named(block, names)));
        }
        missing(names, &found.iter().map(|(block, _)| block.clone()).collect::<Vec<_>>())?;
        Ok(found)
    }

    /// Whether a block that vanished had been merged or expired meanwhile.
    async fn is_still_live(&self, block: &BlockRef) -> anyhow::Result<bool> {
        let snapshot = self.catalog.snapshot(&block.tenant).await?;
        Ok(snapshot.blocks.iter().any(|live| live.key == block.key))
    }
}

fn is_named(block: &BlockRef, names: &[String]) -> bool {
    names.iter().any(|name| *block.key == **name || block.key.rsplit('/').next() == Some(name))
}

fn missing(names: &[String], found: &[BlockRef]) -> anyhow::Result<()> {
    match names.iter().find(|name| !found.iter().any(|block| is_named(block, std::slice::from_ref(name)))) {
        Some(name) => anyhow::bail!("there is no such block: {name} (`spanlake blocks list` names them all)"),
        None => Ok(()),
    }
}

/// Verifies blocks of these tenants, two at once: of each its key and whether it is sound. Reads each block whole.
///
/// # Errors
/// If the store fails.
pub(crate) async fn verify_some(
    catalog: Catalog,
    tenants: Vec<Tenant>,
    blocks: &[BlockRef],
) -> anyhow::Result<Vec<(String, bool)>> {
    let world = World { catalog, tenants, output: Output::Json, is_quiet: true };
    let verified = verify::verify_all(&world, blocks, 2).await?;
    Ok(verified.into_iter().map(|(block, verified)| (block.key.to_string(), verified.is_sound())).collect())
}

/// Runs a command and gives the exit code: 1 if blocks are damaged.
///
/// # Errors
/// If the settings are wrong, or the store fails.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(async {
        match command {
            Command::List(args) => list::run(&args).await,
            Command::Show(args) => show::run(&args).await,
            Command::Verify(args) => verify::run(&args).await,
            Command::Repair(args) => repair::run(&args).await,
        }
    })
}

/// A moment for people: `2026-01-31T12:00:00Z`, in UTC.
pub(crate) fn utc(unix_nanos: u64) -> String {
    let (days, second) = (unix_nanos / 86_400_000_000_000, unix_nanos / 1_000_000_000 % 86_400);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": days since 0000-03-01, in eras of 400 years.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Prints JSON on stdout. Whoever closed the pipe does not want it.
pub(crate) fn print_json(value: &serde_json::Value) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{value:#}");
}

/// Prints text on stdout. Whoever closed the pipe does not want it.
fn print_text(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
