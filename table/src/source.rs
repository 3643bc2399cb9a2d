//! Where blocks are read from: the one seam between scans and objects.
//!
//! A query engine puts its own bounds behind [`Source`]; [`CatalogSource`] reads as the catalog does, with the catalog's
//! caches. Neither knows what is looked for.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use spanlake_block::{Block, SearchIndex};
use spanlake_catalog::{BlockRef, Catalog, DeletedTraces};

use crate::error::Error;
use crate::hidden::HiddenTraces;

/// A block with everything that is needed to plan a scan of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Its tail.
    pub block: Arc<Block>,
    /// Its search index.
    pub search: Arc<SearchIndex>,
    /// Its traces that are deleted.
    pub hidden: HiddenTraces,
}

/// Reads blocks. Dropping a future stops its work.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync {
    /// Opens a block: its tail and its search index.
    ///
    /// # Errors
    /// [`Error`], with the object's key.
    async fn open(&self, at: &BlockRef) -> Result<Opened, Error>;

    /// Reads ranges of a block, in the order asked for. Ranges that lie close may share a request.
    ///
    /// # Errors
    /// [`Error`], with the object's key.
    async fn fetch(&self, at: &BlockRef, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error>;
}

/// Reads through a catalog, without bounds on a query.
#[derive(Debug, Clone)]
pub struct CatalogSource {
    catalog: Catalog,
    deleted: DeletedTraces,
}

impl CatalogSource {
    /// Reads blocks of this catalog, and shows every trace. No requests.
    pub fn new(catalog: Catalog) -> Self {
        Self::hiding(catalog, DeletedTraces::default())
    }

    /// Reads blocks of this catalog, and hides the traces that a snapshot of their tenant says are deleted. No requests.
    pub fn hiding(catalog: Catalog, deleted: DeletedTraces) -> Self {
        Self { catalog, deleted }
    }
}

#[async_trait]
impl Source for CatalogSource {
    /// At most one ranged GET, none when the catalog holds the block.
    async fn open(&self, at: &BlockRef) -> Result<Opened, Error> {
        // The index first: it brings the block along.
        let search = self.catalog.open_search(at).await?;
        let block = self.catalog.open_block(at).await?;
        let hidden = HiddenTraces::of(&block, &search, &self.deleted);
        Ok(Opened { block, search, hidden })
    }

    /// One ranged GET for each group of near ranges, as [`Store::get_ranges`](spanlake_storage::Store::get_ranges) joins them;
    /// none for no range.
    async fn fetch(&self, at: &BlockRef, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.catalog.read_ranges(at, ranges).await?)
    }
}
