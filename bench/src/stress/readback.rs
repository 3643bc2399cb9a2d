//! What a directory holds after all: the spans of every trace, read from the blocks that are live.

use std::collections::HashMap;
use std::path::Path;

use spanlake_catalog::Catalog;
use spanlake_model::Tenant;
use spanlake_storage::{Config, Store};

use super::traffic::{Ids, TRACE_SPANS};
use crate::Error;

/// How acknowledged spans were found.
#[derive(Debug, Default, Clone, Copy, serde::Serialize)]
pub(super) struct Account {
    pub(super) acknowledged_spans: u64,
    pub(super) lost_spans: u64,
    /// Beyond one of each.
    pub(super) duplicated_spans: u64,
}

impl Account {
    /// Counts requests of one template, all acknowledged, against what a tenant's live blocks hold.
    pub(super) async fn of(data: &Path, tenant: &str, ids: Ids, acknowledged: &[u64]) -> Result<Self, Error> {
        let stored = stored(data, tenant, ids.salt).await?;
        let mut account = Self::default();
        for request in acknowledged {
            for trace in 0..ids.traces {
                let found = stored.get(&ids.trace_id(*request, trace)).copied().unwrap_or(0);
                account.acknowledged_spans += TRACE_SPANS;
                account.lost_spans += TRACE_SPANS.saturating_sub(found);
                account.duplicated_spans += found.saturating_sub(TRACE_SPANS);
            }
        }
        Ok(account)
    }
}

/// Spans of each trace whose id begins with the salt.
async fn stored(data: &Path, tenant: &str, salt: u64) -> Result<HashMap<[u8; 16], u64>, Error> {
    let config = Config { url: data.display().to_string(), ..Config::default() };
    let store = Store::open(&config).map_err(Error::stage("open the store"))?;
    let catalog = Catalog::new(store, spanlake_catalog::Config::default());
    let tenant = Tenant::parse(tenant).map_err(Error::stage("tenant"))?;
    let snapshot = catalog.snapshot(&tenant).await.map_err(Error::stage("snapshot"))?;
    let mut found = HashMap::new();
    for block in &snapshot.blocks {
        let search = catalog.open_search(block).await.map_err(Error::stage("search index"))?;
        for summary in search.summaries().iter().filter(|summary| summary.trace_id.0[..8] == salt.to_be_bytes()) {
            *found.entry(summary.trace_id.0).or_default() += u64::from(summary.span_count);
        }
    }
    Ok(found)
}
