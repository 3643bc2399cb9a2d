//! Which attribute columns `spans` has for a query, and under which names.
//!
//! `span.<key>` is the attribute in the type that most spans give it, `span.<key>:<type>` in the type named; `resource.`
//! likewise. A key that itself ends like a type is only reached with its type after it. Names that a query quotes are
//! looked for in all of its blocks; when it asks for all columns, those that the newest blocks have most come along.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use spanlake_block::{AttributeColumn, Column, ValueType};
use spanlake_catalog::BlockRef;

use super::text::Looked;
use super::view::ViewColumn;
use crate::columns::{MAX_DISCOVERY_BLOCKS, attribute_counts};
use crate::error::Error;
use crate::source::Source;

/// Most attribute columns of `SELECT *`.
pub(super) const MAX_STAR_ATTRIBUTES: usize = 200;

const TYPES: [(&str, ValueType); 4] = [
    (":string", ValueType::String),
    (":int", ValueType::Int),
    (":double", ValueType::Double),
    (":bool", ValueType::Bool),
];

/// An attribute's key and whether it is the resource's.
type Key = (bool, String);

/// A name as a query quotes it.
struct Asked {
    key: Key,
    value_type: Option<ValueType>,
}

impl Asked {
    fn parse(name: &str) -> Option<Self> {
        let (is_resource, rest) = match name.strip_prefix("span.") {
            Some(rest) => (false, rest),
            None => (true, name.strip_prefix("resource.")?),
        };
        let typed = TYPES.iter().find_map(|(suffix, value_type)| Some((rest.strip_suffix(suffix)?, *value_type)));
        Some(match typed {
            Some((key, value_type)) => Self { key: (is_resource, key.to_owned()), value_type: Some(value_type) },
            None => Self { key: (is_resource, rest.to_owned()), value_type: None },
        })
    }
}

fn key_of(column: &Column) -> Option<(Key, ValueType)> {
    match column {
        Column::SpanAttribute(AttributeColumn { key, value_type }) => Some(((false, key.clone()), *value_type)),
        Column::ResourceAttribute(AttributeColumn { key, value_type }) => Some(((true, key.clone()), *value_type)),
        _ => None,
    }
}

fn column_of((is_resource, key): &Key, value_type: ValueType) -> Column {
    let attribute = AttributeColumn { key: key.clone(), value_type };
    if *is_resource { Column::ResourceAttribute(attribute) } else { Column::SpanAttribute(attribute) }
}

/// On how many spans each key has each type.
type Counts = BTreeMap<Key, BTreeMap<ValueType, u64>>;

/// The type that most spans give a key; of equals the first.
fn main_type(counts: &BTreeMap<ValueType, u64>) -> Option<ValueType> {
    counts.iter().max_by_key(|(value_type, count)| (**count, Reverse(**value_type))).map(|(value_type, _)| *value_type)
}

/// The attribute columns for a query. At most one request a block, and none when it names no attribute.
pub(super) async fn columns(
    source: &Arc<dyn Source>,
    blocks: &[BlockRef],
    looked: &Looked,
) -> Result<Vec<ViewColumn>, Error> {
    let asked: Vec<(&String, Asked)> =
        looked.quoted.iter().filter_map(|name| Some((name, Asked::parse(name)?))).collect();
    let untyped: BTreeSet<&Key> =
        asked.iter().filter(|(_, asked)| asked.value_type.is_none()).map(|(_, asked)| &asked.key).collect();
    let (newest, older) = blocks.split_at(blocks.len().min(MAX_DISCOVERY_BLOCKS));
    let mut counts = Counts::new();
    if looked.asks_for_all || !untyped.is_empty() {
        let is_asked =
            |column: &Column| looked.asks_for_all || key_of(column).is_some_and(|(key, _)| untyped.contains(&key));
        add(&mut counts, attribute_counts(source, newest, is_asked).await?);
    }
    let missing: BTreeSet<&Key> = untyped.iter().copied().filter(|key| !counts.contains_key(*key)).collect();
    if !missing.is_empty() && !older.is_empty() {
        let is_asked = |column: &Column| key_of(column).is_some_and(|(key, _)| missing.contains(&key));
        add(&mut counts, attribute_counts(source, older, is_asked).await?);
    }
    let mut columns = Vec::new();
    for (name, Asked { key, value_type }) in &asked {
        // What no block has is a text that is always null.
        let value_type = value_type.or_else(|| main_type(counts.get(key)?)).unwrap_or(ValueType::String);
        columns.push(ViewColumn::attribute((*name).clone(), column_of(key, value_type)));
    }
    if looked.asks_for_all {
        columns.extend(of_star(&counts));
    }
    Ok(columns)
}

fn add(counts: &mut Counts, found: impl IntoIterator<Item = (Column, u64)>) {
    for (column, count) in found {
        if let Some((key, value_type)) = key_of(&column) {
            *counts.entry(key).or_default().entry(value_type).or_default() += count;
        }
    }
}

/// The columns that most spans have, by name.
fn of_star(counts: &Counts) -> Vec<ViewColumn> {
    let mut ranked: Vec<(u64, String, Column)> = Vec::new();
    for (key, types) in counts {
        let main = main_type(types);
        let is_like_a_type = TYPES.iter().any(|(suffix, _)| key.1.ends_with(suffix));
        for (value_type, count) in types {
            let mut name = format!("{}{}", if key.0 { "resource." } else { "span." }, key.1);
            if main != Some(*value_type) || is_like_a_type {
                name.push_str(TYPES.iter().find(|(_, known)| known == value_type).map_or("", |(suffix, _)| suffix));
            }
            ranked.push((*count, name, column_of(key, *value_type)));
        }
    }
    ranked.sort_by(|a, b| (Reverse(a.0), &a.1).cmp(&(Reverse(b.0), &b.1)));
    ranked.truncate(MAX_STAR_ATTRIBUTES);
    ranked.sort_by(|a, b| a.1.cmp(&b.1));
    ranked.into_iter().map(|(_, name, column)| ViewColumn::attribute(name, column)).collect()
}
