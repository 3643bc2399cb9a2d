//! `spanlake demo remove`: takes the tenant `demo` out of the store, object by object.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use spanlake_storage::{Object, Store};
use tokio::task::JoinSet;

use super::TENANT;
use crate::cli::SettingArgs;
use crate::config;

/// Deletions in flight.
const PARALLEL_DELETES: usize = 16;

#[derive(Debug, Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    settings: SettingArgs,
    /// Really delete; without it, only say what would be.
    #[arg(long)]
    yes: bool,
}

pub fn run(args: &RemoveArgs) -> anyhow::Result<ExitCode> {
    let config = config::load(&args.settings, std::env::vars_os())?.config;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(async {
        let store = Store::open(&config.storage).with_context(|| format!("cannot open {}", config.storage.url))?;
        let objects = store.list(&prefix(), None).await?;
        let bytes: u64 = objects.iter().map(|object| object.object_bytes).sum();
        let what =
            format!("{} objects ({bytes} bytes) of the tenant {TENANT} in {}", objects.len(), config.storage.url);
        let said = if objects.is_empty() {
            format!("there is no demo in {}\n", config.storage.url)
        } else if args.yes {
            delete(&store, objects).await?;
            format!("deleted {what}\n")
        } else {
            format!("would delete {what}: stop the server, then repeat this with --yes\n")
        };
        crate::commands::print(&said)?;
        Ok(ExitCode::SUCCESS)
    })
}

fn prefix() -> String {
    format!("tenants/{TENANT}/")
}

/// What refers to others goes first, the oldest before the newest: whoever reads meanwhile sees the blocks of the last manifest or
/// none.
async fn delete(store: &Store, objects: Vec<Object>) -> anyhow::Result<()> {
    let manifests = format!("{}manifest/", prefix());
    let (manifests, others): (Vec<_>, Vec<_>) = objects.into_iter().partition(|one| one.key.starts_with(&manifests));
    // `list` sorts by key, and keys of manifests by age.
    for manifest in manifests {
        store.delete(&manifest.key).await?;
    }
    let mut running = JoinSet::new();
    for object in others {
        if running.len() >= PARALLEL_DELETES
            && let Some(done) = running.join_next().await
        {
            done??;
        }
        let store = store.clone();
        running.spawn(async move { store.delete(&object.key).await });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}
