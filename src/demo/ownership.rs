//! Whether the tenant `demo` is the demo's: a marker object that the demo leaves when it fills the tenant, and the services of the
//! spans that are there.

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use spanlake_catalog::{BlockRef, Catalog};
use spanlake_demo::SERVICES;
use spanlake_storage::{Kind, Store};

use super::{TENANT, tenant};

/// Blocks that are opened at once.
const PARALLEL_READS: usize = 16;

/// The marker's key.
pub fn marker() -> String {
    format!("tenants/{TENANT}/demo.json")
}

/// Leaves the marker, unless the tenant has spans that are not the shop's. Says whether the tenant is the demo's now. A LIST, a GET for
/// the tail of each block of a tenant without a marker, a PUT.
///
/// # Errors
/// If the store fails.
pub async fn claim(store: &Store, catalog: &Catalog) -> anyhow::Result<bool> {
    if is_marked(store).await? {
        return Ok(true);
    }
    if foreign_service(catalog).await?.is_some() {
        return Ok(false);
    }
    let body = "{\"filledBy\":\"spanlake serve --demo\"}\n";
    match store.create(&marker(), body.into()).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == Kind::AlreadyExists => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Whether a demo has filled the tenant. One GET.
///
/// # Errors
/// If the store fails.
pub async fn is_marked(store: &Store) -> anyhow::Result<bool> {
    match store.get(&marker()).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == Kind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A service of the tenant's spans that is none of the shop's, of several the first by name; empty for spans that name none. A
/// snapshot, and a GET for the tail of each block.
///
/// # Errors
/// If the store fails or a block is damaged.
pub async fn foreign_service(catalog: &Catalog) -> anyhow::Result<Option<String>> {
    let snapshot = catalog.snapshot(&tenant()).await.context("cannot read what the tenant has")?;
    let blocks: Vec<BlockRef> = snapshot.blocks.iter().cloned().collect();
    let foreign: Vec<Option<String>> = stream::iter(blocks)
        .map(|at| async move {
            let block = catalog.open_block(&at).await.with_context(|| format!("cannot read {}", at.key))?;
            let services = block.resources().iter().map(|entry| {
                let named = entry.resource.attributes.iter().find(|attribute| attribute.key == "service.name");
                match named.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
                    Some(Value::StringValue(name)) => name.clone(),
                    _ => String::new(),
                }
            });
            let first = services.filter(|name| !SERVICES.contains(&name.as_str())).min();
            anyhow::Ok(first)
        })
        .buffer_unordered(PARALLEL_READS)
        .try_collect()
        .await?;
    Ok(foreign.into_iter().flatten().min())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_empty_tenant_is_claimed_once() {
        let store = Store::memory();
        let catalog = Catalog::new(store.clone(), spanlake_catalog::Config::default());
        assert!(!is_marked(&store).await.expect("memory"));
        assert!(claim(&store, &catalog).await.expect("memory"));
        assert!(claim(&store, &catalog).await.expect("memory"));
        assert!(is_marked(&store).await.expect("memory"));
        assert_eq!(foreign_service(&catalog).await.expect("memory"), None);
    }
}
