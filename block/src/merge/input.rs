//! A block to be merged: what is known of it before any row is read, and its row groups while they are needed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::{HashMap, HashSet};

use super::MergeError;
use crate::damage::check_crc;
use crate::read::{ColumnValues, Fetched, Keys, read_origins};
use crate::schema::{AttributeColumn, Fixed};
use crate::section::{Kind, Sections};
use crate::{Block, BlockMeta, Damage, SEARCH_MAGIC, TAIL_MAGIC};

/// A resource or scope as it was sent: its OTLP bytes and its schema URL.
pub(super) type Origin = Arc<(Box<[u8]>, Box<str>)>;

/// The resources and scopes of the inputs of a merge so far. Inputs usually have the same ones, and share them.
#[derive(Debug, Default)]
pub struct SharedOrigins(HashSet<Origin>);

impl SharedOrigins {
    fn share(&mut self, bytes: &[u8], schema_url: String) -> Origin {
        let origin = Arc::new((Box::from(bytes), schema_url.into_boxed_str()));
        if let Some(same) = self.0.get(&origin) {
            return Arc::clone(same);
        }
        self.0.insert(Arc::clone(&origin));
        origin
    }
}

/// A block to be merged: its tail opened, and how many spans have each key.
#[derive(Debug)]
pub struct MergeInput {
    pub(super) block: Block,
    /// How many spans have each key and scalar type.
    pub(super) keys: HashMap<AttributeColumn, u64>,
    /// Keys that lie in the residual column.
    pub(super) residual_keys: Vec<String>,
    pub(super) resources: Vec<Origin>,
    pub(super) scopes: Vec<Origin>,
}

impl MergeInput {
    /// Opens an input from its facts and everything behind its row groups: the bytes from [`BlockMeta::search_offset`] to
    /// the object's end, one ranged GET. The inputs of one merge are opened with the same `origins`.
    ///
    /// # Errors
    /// [`Damage`] if the bytes are not what was written.
    pub fn open(meta: &BlockMeta, search_and_tail: Bytes, origins: &mut SharedOrigins) -> Result<Self, Damage> {
        let expect_bytes = meta.object_bytes.saturating_sub(meta.search_offset);
        let search_bytes = meta.tail_offset.saturating_sub(meta.search_offset) as usize;
        if search_and_tail.len() as u64 != expect_bytes || search_bytes > search_and_tail.len() {
            let problem = format!("they have {} bytes, {expect_bytes} were written", search_and_tail.len());
            return Err(Damage::new("search index and tail", problem));
        }
        let search = search_and_tail.slice(..search_bytes);
        let tail = search_and_tail.slice(search_bytes..);
        let mut block = Block::open(meta, tail.clone())?;
        block.forget_origins();
        check_crc("search index", &search, block.directory.search_crc32c)?;
        let keys = Sections::open("search index", SEARCH_MAGIC, &search)?.get(Kind::Keys)?;
        let Keys { keys, residual_keys } = Keys::read(&keys)?;
        let tail = Sections::open("tail", TAIL_MAGIC, &tail)?;
        let mut read =
            |part, kind| read_origins(part, &tail.get(kind)?, |bytes, schema_url| Ok(origins.share(bytes, schema_url)));
        Ok(Self {
            keys: keys.into_iter().collect(),
            residual_keys: residual_keys.into_keys().collect(),
            resources: read("resources", Kind::Resources)?,
            scopes: read("scopes", Kind::Scopes)?,
            block,
        })
    }

    /// The block's facts.
    pub fn meta(&self) -> &BlockMeta {
        self.block.meta()
    }

    /// How many rows it has.
    pub(super) fn row_count(&self) -> u64 {
        self.block.meta().span_count
    }

    /// The row group of a row.
    pub(super) fn row_group_of(&self, row: u64) -> usize {
        self.block.first_rows.partition_point(|first| u64::from(*first) <= row).saturating_sub(1)
    }

    /// The rows of a row group.
    pub(super) fn rows_of(&self, row_group: usize) -> Range<u64> {
        let first = u64::from(self.block.first_rows[row_group]);
        first..first + u64::from(self.block.directory.row_groups[row_group].row_count)
    }

    /// The Parquet leaf of an attribute column, if the block has it.
    pub(super) fn attribute_leaf(&self, column: &AttributeColumn) -> Option<usize> {
        let index = self.block.columns.iter().position(|known| known == column)?;
        Some(crate::schema::LEADING_COLUMNS + index)
    }

    /// The Parquet leaf of a column that every block has.
    pub(super) fn leaf(&self, column: Fixed) -> usize {
        column.leaf(self.block.columns.len())
    }
}

/// Some rows of a row group of an input that a pass merges.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) input: usize,
    pub(super) row_group: usize,
    /// Rows within the row group.
    pub(super) rows: Range<usize>,
    /// Number of its first row in the pass.
    pub(super) base: u32,
}

/// The inputs with the row groups that were handed in and are still needed.
#[derive(Debug)]
pub(super) struct Inputs {
    pub(super) all: Vec<MergeInput>,
    held: Vec<BTreeMap<usize, Fetched>>,
}

impl Inputs {
    pub(super) fn new(all: Vec<MergeInput>) -> Self {
        let held = all.iter().map(|_| BTreeMap::new()).collect();
        Self { all, held }
    }

    pub(super) fn is_held(&self, input: usize, row_group: usize) -> bool {
        self.held[input].contains_key(&row_group)
    }

    /// Takes a row group, each of its column chunks held against its checksum.
    pub(super) fn hold(&mut self, input: usize, row_group: usize, bytes: Bytes) -> Result<(), MergeError> {
        let is_known = self.all.get(input).is_some_and(|known| row_group < known.block.row_group_count());
        if !is_known {
            return Err(MergeError::Missing { input, row_group });
        }
        let checked = self.all[input].block.checked_row_group(row_group, bytes);
        let fetched = checked.map_err(|damage| MergeError::Damaged { input, damage })?;
        self.held[input].insert(row_group, fetched);
        Ok(())
    }

    /// Lets go of the row groups of an input that end at or before a row.
    pub(super) fn release(&mut self, input: usize, row: u64) {
        let known = &self.all[input];
        self.held[input].retain(|row_group, _| known.rows_of(*row_group).end > row);
    }

    pub(super) fn fetched(&self, input: usize, row_group: usize) -> Result<&Fetched, MergeError> {
        self.held[input].get(&row_group).ok_or(MergeError::Missing { input, row_group })
    }

    /// A flat column of a piece.
    pub(super) fn values(&self, piece: &Piece, leaf: usize) -> Result<ColumnValues, MergeError> {
        let fetched = self.fetched(piece.input, piece.row_group)?;
        let shape = &self.all[piece.input].block.plain;
        shape.values(piece.row_group, leaf, fetched, piece.rows.clone()).map_err(|error| MergeError::Damaged {
            input: piece.input,
            damage: Damage::new("row group", error.to_string()),
        })
    }

    /// A column that every block has, of every piece.
    pub(super) fn column(&self, pieces: &[Piece], column: Fixed) -> Result<Vec<ColumnValues>, MergeError> {
        pieces.iter().map(|piece| self.values(piece, self.all[piece.input].leaf(column))).collect()
    }
}
