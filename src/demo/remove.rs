//! `spanlake demo remove`: takes the tenant `demo` out of the store, object by object.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use spanlake_catalog::Catalog;
use spanlake_storage::{Object, Store};
use tokio::task::JoinSet;

use super::{TENANT, ownership};
use crate::cli::SettingArgs;
use crate::client::Failure;
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
    /// Delete the tenant even if no demo filled it, or others sent spans to it.
    #[arg(long)]
    force: bool,
}

pub fn run(args: &RemoveArgs) -> anyhow::Result<ExitCode> {
    let config = config::load(&args.settings, std::env::vars_os())?.config;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(async {
        let store = Store::open(&config.storage).with_context(|| format!("cannot open {}", config.storage.url))?;
        let objects = store.list(&prefix(), None).await?;
        let bytes: u64 = objects.iter().map(|object| object.object_bytes).sum();
        if !objects.is_empty() && !args.force {
            let catalog = Catalog::new(store.clone(), config.catalog.clone());
            let url = &config.storage.url;
            let why = not_ours(&store, &catalog).await.with_context(|| {
                format!(
                    "cannot tell whose spans the tenant {TENANT} has: nothing is deleted from {url}. --force deletes the \
                     whole tenant all the same"
                )
            })?;
            if let Some(why) = why {
                let text =
                    format!("{why}: nothing is deleted from {url}. --force deletes the whole tenant all the same");
                return Err(Failure::error(text).into());
            }
        }
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

/// Why the tenant is not the demo's alone, if it is not.
async fn not_ours(store: &Store, catalog: &Catalog) -> anyhow::Result<Option<String>> {
    if !ownership::is_marked(store).await? {
        return Ok(Some(format!(
            "the tenant {TENANT} was not filled by a demo, or by one of an older version: it lacks {}",
            ownership::marker()
        )));
    }
    let foreign = ownership::foreign_service(catalog).await?;
    Ok(foreign.map(|service| {
        let who =
            if service.is_empty() { "without a service".to_owned() } else { format!("of the service {service:?}") };
        format!("the tenant {TENANT} has spans that are not the demo's, such as spans {who}")
    }))
}

fn prefix() -> String {
    format!("tenants/{TENANT}/")
}

/// When an object goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// What refers to others: whoever reads meanwhile sees the blocks of the last manifest or none.
    Manifest,
    Other,
    /// What says that all of it is the demo's: a removal that was interrupted can be repeated.
    Marker,
}

fn turn(key: &str) -> Turn {
    match key.strip_prefix(&prefix()) {
        Some(rest) if rest.starts_with("manifest/") => Turn::Manifest,
        _ if key == ownership::marker() => Turn::Marker,
        _ => Turn::Other,
    }
}

/// Deletes by turn, manifests the oldest before the newest.
async fn delete(store: &Store, objects: Vec<Object>) -> anyhow::Result<()> {
    let (manifests, others): (Vec<_>, Vec<_>) = objects.into_iter().partition(|one| turn(&one.key) == Turn::Manifest);
    let (marker, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|one| turn(&one.key) == Turn::Marker);
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
    for marker in marker {
        store.delete(&marker.key).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_goes_last() {
        let mut keys =
            vec![ownership::marker(), "tenants/demo/blocks/a".to_owned(), "tenants/demo/manifest/1".to_owned()];
        keys.sort_by_key(|key| turn(key));
        assert_eq!(keys, ["tenants/demo/manifest/1", "tenants/demo/blocks/a", &ownership::marker()]);
    }

    #[tokio::test]
    async fn everything_is_deleted() {
        let store = Store::memory();
        for key in [&ownership::marker(), "tenants/demo/a", "tenants/demo/manifest/1"] {
            store.create(key, "x".into()).await.expect("memory");
        }
        let objects = store.list(&prefix(), None).await.expect("memory");
        assert_eq!(objects.len(), 3);
        delete(&store, objects).await.expect("memory");
        assert!(store.list(&prefix(), None).await.expect("memory").is_empty());
    }
}
