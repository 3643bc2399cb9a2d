//! The real sink: blocks from the block writer into the catalog.

use std::sync::Arc;

use async_trait::async_trait;
use spanlake_block::{WriteOptions, Written, write_block};
use spanlake_catalog::Catalog;
use spanlake_model::Tenant;
use spanlake_otlp::Batch;
use spanlake_storage::Kind;

use crate::flush::{FlushFailure, Sink};

/// Seals into level-0 blocks and publishes them.
#[derive(Debug)]
pub(crate) struct CatalogSink {
    catalog: Catalog,
    options: WriteOptions,
}

impl CatalogSink {
    pub fn new(catalog: Catalog) -> Self {
        Self { catalog, options: WriteOptions::default() }
    }
}

#[async_trait]
impl Sink for CatalogSink {
    fn seal(&self, batches: &[Batch]) -> Result<Written, FlushFailure> {
        write_block(batches, &self.options).map_err(|error| FlushFailure::Defect(Arc::from(error.to_string())))
    }

    async fn publish(&self, tenant: &Tenant, block: Written) -> Result<(), FlushFailure> {
        match self.catalog.publish_l0(tenant, block).await {
            Ok(_block) => Ok(()),
            Err(error) => Err(failure(&error)),
        }
    }
}

/// Whatever the store's trouble, the sender may try again: no failure of a create is the request's fault.
fn failure(error: &spanlake_catalog::Error) -> FlushFailure {
    let reason = Arc::from(error.to_string());
    match error.storage_kind() {
        Some(Kind::Full) => FlushFailure::Full(reason),
        _ => FlushFailure::Unavailable(reason),
    }
}
