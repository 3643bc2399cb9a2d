//! Blocks as the SQL engine reads them: through the bounds of a query.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use spanlake_catalog::BlockRef;
use spanlake_table::{Error as TableError, Opened, QueryMemory, Source};

use crate::error::Error;
use crate::fetch::{Budget, Reads};
use crate::querier::Querier;

/// The reads of one query, for plans that outlive the call that made them.
pub(super) struct QuerySource {
    querier: Querier,
    budget: Arc<Budget>,
    /// Keys of the blocks whose search index counts as looked into: a plan opens a block several times.
    counted: Mutex<HashSet<Arc<str>>>,
}

impl QuerySource {
    pub(super) fn new(querier: Querier) -> Self {
        let budget = Arc::new(Budget::new(&querier.inner.shared));
        Self { querier, budget, counted: Mutex::new(HashSet::new()) }
    }

    /// The memory of the query.
    pub(super) fn memory(&self) -> Arc<QueryMemory> {
        Arc::clone(&self.budget.memory)
    }

    pub(super) fn reads(&self) -> Reads<'_> {
        Reads::within(&self.querier.inner.shared, Arc::clone(&self.budget))
    }
}

impl fmt::Debug for QuerySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reads of a query")
    }
}

fn refused(error: Error) -> TableError {
    TableError::Refused(Box::new(error))
}

#[async_trait]
impl Source for QuerySource {
    async fn open(&self, at: &BlockRef) -> Result<Opened, TableError> {
        let reads = self.reads();
        let is_first = self.counted.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(&at.key));
        // The index first: it brings the block along.
        let search = if is_first { reads.search_index(at).await } else { reads.search_index_again(at).await };
        let search = search.map_err(refused)?;
        let block = reads.open(at).await.map_err(refused)?;
        let hidden = reads.hidden(at, &block, &search);
        Ok(Opened { block, search, hidden })
    }

    async fn fetch(&self, at: &BlockRef, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, TableError> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        self.reads().fetch(at, ranges).await.map_err(refused)
    }
}
