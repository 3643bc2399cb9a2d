//! Which attributes have a column of their own in the outputs, from the counts of the inputs.

use std::collections::BTreeMap;

use super::input::MergeInput;
use crate::WriteOptions;
use crate::schema::{AttributeColumn, LEADING_COLUMNS};

/// An attribute column of the outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) column: AttributeColumn,
    /// Its values hardly repeat, so that a dictionary would save nothing.
    pub(super) is_plain: bool,
}

/// Chooses the attribute columns, ordered by key and type.
pub(super) fn choose(inputs: &[MergeInput], options: &WriteOptions) -> Vec<Chosen> {
    let row_count: u64 = inputs.iter().map(MergeInput::row_count).sum();
    let mut counts: BTreeMap<&AttributeColumn, u64> = BTreeMap::new();
    for (column, count) in inputs.iter().flat_map(|input| &input.keys) {
        let sum = counts.entry(column).or_default();
        *sum = sum.saturating_add(*count);
    }
    let frequent = counts.into_iter().filter(|(_, count)| options.is_frequent(*count, row_count));
    let mut ranked: Vec<(u64, Chosen)> = frequent.map(|(column, count)| weigh(inputs, column, count)).collect();
    // What holds most bytes comes first; equals stay in their order.
    ranked.sort_by_key(|(worth, _)| std::cmp::Reverse(*worth));
    ranked.truncate(options.max_attribute_columns);
    let mut chosen: Vec<Chosen> = ranked.into_iter().map(|(_, chosen)| chosen).collect();
    chosen.sort_by(|a, b| a.column.cmp(&b.column));
    chosen
}

/// How many bytes a column holds, about, and whether most of it lies in the inputs without a dictionary.
fn weigh(inputs: &[MergeInput], column: &AttributeColumn, count: u64) -> (u64, Chosen) {
    let mut value_bytes = 0_u64;
    let (mut plain_rows, mut column_rows) = (0, 0);
    for input in inputs {
        let Some(index) = input.block.columns.iter().position(|known| known == column) else { continue };
        for group in input.block.plain.metadata().row_groups() {
            let chunk = group.column(LEADING_COLUMNS + index);
            value_bytes = value_bytes.saturating_add(chunk.uncompressed_size().max(0) as u64);
            column_rows += group.num_rows();
            if chunk.dictionary_page_offset().is_none() {
                plain_rows += group.num_rows();
            }
        }
    }
    let worth = value_bytes.saturating_add(count.saturating_mul(column.key.len() as u64));
    (worth, Chosen { column: column.clone(), is_plain: plain_rows * 2 > column_rows })
}
