//! Index sections about keys and resources: which columns there are, what the residual column holds and where.

use std::ops::Range;

use foldhash::{HashMap, HashMapExt as _};

use super::attributes::Split;
use super::rows::Rows;
use crate::section::Writer;

/// Every key and type with the number of its values; then every key of the residual column with its row groups.
pub(crate) fn write_keys(split: &Split<'_>, row_groups: &[Range<u32>]) -> Vec<u8> {
    let mut out = Writer::default();
    out.varint((split.columns.len() + split.others.len()) as u64);
    for gathered in split.columns.iter().chain(&split.others) {
        out.raw(&[gathered.value_type as u8]);
        out.bytes(gathered.key.as_bytes());
        out.varint(gathered.rows.len() as u64);
    }
    let mut residual: HashMap<&str, Vec<u64>> = HashMap::new();
    let mut group = 0;
    for (row, attribute) in &split.rest {
        while *row >= row_groups[group].end {
            group += 1;
        }
        let groups = residual.entry(attribute.key).or_default();
        if groups.last() != Some(&(group as u64)) {
            groups.push(group as u64);
        }
    }
    let mut residual: Vec<_> = residual.into_iter().collect();
    residual.sort_unstable();
    out.varint(residual.len() as u64);
    for (key, groups) in residual {
        out.bytes(key.as_bytes());
        out.ascending(groups.into_iter());
    }
    out.0
}

/// For each row group the numbers of the resources in it.
pub(crate) fn write_resource_sets(rows: &Rows<'_>, resource_count: usize, row_groups: &[Range<u32>]) -> Vec<u8> {
    let mut out = Writer::default();
    out.varint(row_groups.len() as u64);
    for range in row_groups {
        let mut present = vec![false; resource_count];
        for id in &rows.resource_ids[range.start as usize..range.end as usize] {
            present[*id as usize] = true;
        }
        let ids: Vec<u64> = (0..resource_count).filter(|id| present[*id]).map(|id| id as u64).collect();
        out.ascending(ids.into_iter());
    }
    out.0
}
