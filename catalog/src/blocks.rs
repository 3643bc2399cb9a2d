//! Opening blocks: fetching the parts that are kept in memory.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use spanlake_block::{Block, Damage, SearchIndex};

use crate::block_ref::BlockRef;
use crate::catalog::Catalog;
use crate::error::Error;

impl Catalog {
    /// Opens a block: reads its tail, which holds the trace-id filter, the row-group directory and the column schema. One
    /// ranged GET, none when it is in memory; callers who ask for the same block at the same time share it.
    ///
    /// # Errors
    /// [`Error::DamagedBlock`]; [`Error::Storage`], where [`Error::is_gone`] asks for a new snapshot.
    pub async fn open_block(&self, block: &BlockRef) -> Result<Arc<Block>, Error> {
        let read = || {
            self.read_part(block, block.meta.tail_offset..block.meta.object_bytes, |bytes| {
                let opened = Block::open(&block.meta, bytes)?;
                let held_bytes = opened.memory_bytes();
                Ok((opened, held_bytes))
            })
        };
        self.inner.tails.get_or_read(&block.key, read).await
    }

    /// Opens a block's search index: the trace summaries and the value filters. One ranged GET, which brings the tail along when
    /// that is not in memory either: it lies right behind. None when both are.
    ///
    /// # Errors
    /// As [`Catalog::open_block`].
    pub async fn open_search(&self, block: &BlockRef) -> Result<Arc<SearchIndex>, Error> {
        let read = || async {
            let came_along = Mutex::new(None);
            let read_both = || {
                self.read_part(block, block.meta.search_offset..block.meta.object_bytes, |mut bytes| {
                    let search_bytes = (block.meta.tail_offset - block.meta.search_offset) as usize;
                    let tail = bytes.split_off(search_bytes.min(bytes.len()));
                    let opened = Block::open(&block.meta, tail)?;
                    *came_along.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
                    let held_bytes = opened.memory_bytes();
                    Ok((opened, held_bytes))
                })
            };
            let opened = self.inner.tails.get_or_read(&block.key, read_both).await?;
            let open = |bytes| {
                let search = opened.open_search(bytes)?;
                let held_bytes = search.memory_bytes();
                Ok((search, held_bytes))
            };
            let came_along = came_along.into_inner().unwrap_or_else(PoisonError::into_inner);
            // What came in damaged is read once more, as ever.
            if let Some(Ok((search, held_bytes))) = came_along.map(open) {
                return Ok((search, held_bytes.max(1) as u64));
            }
            self.read_part(block, opened.search_range(), open).await
        };
        self.inner.searches.get_or_read(&block.key, read).await
    }

    /// Reads ranges of a block, in the order asked for, through the cache on disk if there is one: a request for each group of near
    /// ranges that are not in it. Whoever finds damage in them says so with [`Catalog::forget_ranges`] before asking again.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn read_ranges(
        &self,
        block: &BlockRef,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, spanlake_storage::Error> {
        let Self { inner } = self;
        inner.ranges.get_ranges(&inner.store, &block.key, block.meta.object_bytes, ranges).await
    }

    /// Lets go of ranges that turned out to be damaged: the next read asks the store. No request.
    pub fn forget_ranges(&self, block: &BlockRef, ranges: &[Range<u64>]) {
        self.inner.ranges.forget(&block.key, ranges);
    }

    /// Reads a range and opens what is in it. Damage may have come in on the way, so it is looked at twice.
    async fn read_part<T>(
        &self,
        block: &BlockRef,
        range: Range<u64>,
        open: impl Fn(Bytes) -> Result<(T, usize), Damage>,
    ) -> Result<(T, u64), Error> {
        let mut reads = 1;
        loop {
            let read = self.read_ranges(block, std::slice::from_ref(&range)).await?;
            match open(read.into_iter().next().unwrap_or_default()) {
                Ok((opened, held_bytes)) => return Ok((opened, held_bytes.max(1) as u64)),
                Err(Damage::Corrupt { .. }) if reads == 1 => {
                    reads += 1;
                    self.forget_ranges(block, std::slice::from_ref(&range));
                }
                Err(source) => return Err(Error::DamagedBlock { key: Arc::clone(&block.key), source }),
            }
        }
    }
}
