//! Fields of the rows of a row group: from the cache of decoded columns, and what is not there from the object.
//!
//! It knows blocks and fields, not what a query is looking for.

use std::sync::Arc;

use bytes::Bytes;
use spanlake_block::{Block, Damage, RowField, RowValues, SearchIndex, is_sparse};
use spanlake_catalog::BlockRef;

use crate::error::Error;
use crate::fetch::Reads;
use crate::kept::Place;

/// Below this many rows, looking at columns that are in memory is too short to be worth another thread.
const INLINE_ROWS: usize = 4_096;

/// What a column takes for each row while it is decoded, about.
const COLUMN_ROW_BYTES: usize = 8;

/// Columns are decoded whole, and kept, when one row in so many is wanted.
const WORTH_KEEPING: usize = 256;

/// Which rows of a row group.
#[derive(Debug, Clone)]
pub(crate) enum WhichRows {
    All,
    /// Ascending, counted from the row group's first row.
    These(Arc<[u32]>),
}

impl WhichRows {
    fn picked(&self) -> Option<&[u32]> {
        match self {
            Self::All => None,
            Self::These(rows) => Some(rows),
        }
    }
}

/// A block with its search index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockParts<'a> {
    pub(crate) at: &'a BlockRef,
    pub(crate) block: &'a Arc<Block>,
    pub(crate) search: &'a Arc<SearchIndex>,
}

impl Reads<'_> {
    /// Reads fields of rows of a row group, and hands them in their order to `then`, on a thread that may block if there is much to
    /// do. At most one ranged read; none when all of them are in the cache.
    ///
    /// # Errors
    /// [`Error`], also past the query's memory.
    pub(crate) async fn fields<T: Send + 'static>(
        &self,
        of: BlockParts<'_>,
        row_group: usize,
        fields: Vec<RowField>,
        rows: WhichRows,
        then: impl Fn(Vec<RowValues>) -> Result<T, Damage> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let whole_plan = of.block.plan_fields(of.search, row_group, &fields);
        let row_count = of.block.row_count(row_group);
        let kept = Arc::clone(&self.shared.kept);
        let place = Place { object: Arc::clone(&of.at.key), row_group: row_group as u32 };
        let cached: Vec<Option<RowValues>> = fields.iter().map(|field| kept.column(&place, field)).collect();
        let missing: Vec<RowField> =
            fields.iter().zip(&cached).filter(|(_, cached)| cached.is_none()).map(|(field, _)| field.clone()).collect();
        let bytes = whole_plan.fetch_bytes();
        if missing.is_empty() {
            self.inspect(bytes)?;
            let look = move || {
                let values = cached.into_iter().flatten().map(|values| match rows.picked() {
                    Some(rows) => values.pick(rows),
                    None => Ok(values),
                });
                then(values.collect::<Result<_, _>>()?)
            };
            let looked = if row_count < INLINE_ROWS { look() } else { self.compute(look).await? };
            return looked.map_err(|damage| Error::damaged(&of.at.key, &damage));
        }
        let plan = if missing.len() == fields.len() {
            whole_plan
        } else {
            // What is in memory counts as looked into all the same.
            let plan = of.block.plan_fields(of.search, row_group, &missing);
            self.inspect(bytes.saturating_sub(plan.fetch_bytes()))?;
            plan
        };
        // Decoded whole, a column is worth keeping: it is checked and decompressed whole for a few rows too.
        let is_worth = |rows: &[u32]| kept.is_on() && rows.len() * WORTH_KEEPING >= row_count;
        let are_all = rows.picked().is_none_or(|rows| !is_sparse(rows, row_count) || is_worth(rows));
        let decoded_rows = if are_all { row_count } else { rows.picked().map_or(row_count, <[u32]>::len) };
        let decoded_bytes = (COLUMN_ROW_BYTES * missing.len() * decoded_rows) as u64;
        let (block, search) = (Arc::clone(of.block), Arc::clone(of.search));
        let ranges = plan.ranges.clone();
        let decode = move |bytes: Vec<Bytes>| {
            let decoded = block.read_fields(&search, &plan, rows.picked().filter(|_| !are_all), bytes)?;
            if are_all {
                for (field, values) in missing.iter().zip(&decoded) {
                    kept.keep_column(&place, field, values);
                }
            }
            let mut decoded = decoded.into_iter();
            let values = cached.iter().map(|cached| {
                let (values, is_whole) = match cached {
                    Some(cached) => (cached.clone(), true),
                    None => (decoded.next().unwrap_or_else(|| RowValues::nil(decoded_rows)), are_all),
                };
                match rows.picked().filter(|_| is_whole) {
                    Some(rows) => values.pick(rows),
                    None => Ok(values),
                }
            });
            then(values.collect::<Result<_, _>>()?)
        };
        self.read(of.at, ranges, decoded_bytes, decode).await
    }
}
