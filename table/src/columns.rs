//! Which attribute columns a table shows: those asked for, or those that its blocks have most.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use spanlake_block::{AttributeColumn, Column, ValueType};
use spanlake_catalog::{BlockRef, Snapshot};

use crate::error::Error;
use crate::source::Source;

/// Blocks that [`attribute_columns`] looks at, newest first: keys change slowly, and each costs a request when cold.
pub const MAX_DISCOVERY_BLOCKS: usize = 64;

/// Most columns that [`attribute_columns`] gives: what a person can survey, and more than a dashboard names.
pub const MAX_ATTRIBUTE_COLUMNS: usize = 1_000;

/// Blocks that are opened at once.
const OPENING: usize = 8;

/// The attribute columns of the newest [`MAX_DISCOVERY_BLOCKS`] blocks: scalar types of span and resource attributes, at most
/// `limit` and never more than [`MAX_ATTRIBUTE_COLUMNS`], those on most spans first; resource attributes count as often
/// as there are spans in their block. Ordered by name. At most one request a block.
///
/// # Errors
/// [`Error`] if a block cannot be opened.
pub async fn attribute_columns(
    source: &Arc<dyn Source>,
    snapshot: &Snapshot,
    limit: usize,
) -> Result<Vec<Column>, Error> {
    let newest = snapshot.blocks.newest(MAX_DISCOVERY_BLOCKS);
    let total = attribute_counts(source, &newest, |_| true).await?;
    let mut ranked: Vec<(String, Column, u64)> =
        total.into_iter().map(|(column, count)| (column.field().name().clone(), column, count)).collect();
    ranked.sort_by(|a, b| (Reverse(a.2), &a.0).cmp(&(Reverse(b.2), &b.0)));
    ranked.truncate(limit.min(MAX_ATTRIBUTE_COLUMNS));
    ranked.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(ranked.into_iter().map(|(_, column, _)| column).collect())
}

/// On how many spans the blocks have each attribute column that is asked for. At most one request a block.
pub(crate) async fn attribute_counts(
    source: &Arc<dyn Source>,
    blocks: &[BlockRef],
    is_asked: impl Fn(&Column) -> bool,
) -> Result<HashMap<Column, u64>, Error> {
    let blocks = blocks.to_vec();
    let counted = stream::iter(blocks).map(|at| async move { count(source.as_ref(), &at).await });
    let mut counted = counted.buffer_unordered(OPENING);
    let mut total: HashMap<Column, u64> = HashMap::new();
    while let Some(counts) = counted.try_next().await? {
        for (column, count) in counts.into_iter().filter(|(column, _)| is_asked(column)) {
            *total.entry(column).or_default() += count;
        }
    }
    Ok(total)
}

async fn count(source: &dyn Source, at: &BlockRef) -> Result<HashMap<Column, u64>, Error> {
    let opened = source.open(at).await?;
    let mut counts: HashMap<Column, u64> = HashMap::new();
    for (attribute, count) in opened.search.keys() {
        counts.insert(Column::SpanAttribute(attribute.clone()), *count);
    }
    let attributes = opened.block.resources().iter().flat_map(|entry| &entry.resource.attributes);
    for attribute in attributes {
        let value_type = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(_)) => ValueType::String,
            Some(Value::IntValue(_)) => ValueType::Int,
            Some(Value::DoubleValue(_)) => ValueType::Double,
            Some(Value::BoolValue(_)) => ValueType::Bool,
            _ => continue,
        };
        let column = AttributeColumn { key: attribute.key.clone(), value_type };
        counts.insert(Column::ResourceAttribute(column), at.meta.span_count);
    }
    Ok(counts)
}
