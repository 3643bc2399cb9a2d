//! Scans: which rows of a block meet conditions on span fields and attributes.
//!
//! A plan is made from the tail and the search index alone and names the byte ranges to fetch; evaluation takes those
//! bytes. Row groups that cannot match are left out of the plan: by the value filters, by the resources present, by the
//! bounds of times and durations, by the keys that occur.

mod distinct;
mod evaluate;
mod project;
mod prune;

use std::ops::Range;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use spanlake_otlp::ValueRef;

use crate::read::{Block, SearchIndex};
use crate::schema::{self, ValueType};
use crate::value_hash;
pub use distinct::{DistinctValues, ValueField, ValuesPlan};
pub(crate) use project::runs;
pub use project::{Column, Projection, ProjectionPlan};
pub use prune::Prune;

/// Where an attribute is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// On the span, and on its resource.
    Any,
    /// On the span.
    Span,
    /// On its resource.
    Resource,
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// The span's name.
    Name,
    /// The span's kind, as OTLP numbers it.
    Kind,
    /// The status code, as OTLP numbers it.
    StatusCode,
    /// End minus start, in nanoseconds; negative when the end lies before the start.
    DurationNanos,
    /// Start, in Unix nanoseconds.
    StartUnixNanos,
    /// An attribute.
    Attribute {
        /// Where to look.
        scope: Scope,
        /// Its key.
        key: String,
    },
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Equal: texts as they are, numbers by value whatever their type.
    Eq,
    /// Present, comparable and not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// The value's text contains the literal's text, case-sensitive. Numbers and booleans have their usual text.
    Contains,
    /// Present, with any value. The literal is ignored.
    Exists,
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Text.
    String(String),
    /// Integer.
    Int(i64),
    /// Double.
    Double(f64),
    /// Boolean.
    Bool(bool),
    /// Nothing, for [`Op::Exists`].
    None,
}

/// One condition on one span. An array attribute meets it when one of its elements does.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What is looked at.
    pub field: Field,
    /// How it is compared.
    pub op: Op,
    /// With what.
    pub value: Literal,
}

/// A row group that may hold matching rows, and the bytes that decide it.
#[derive(Debug, Clone)]
pub struct RowGroupPlan {
    /// Which row group.
    pub row_group: usize,
    /// Ranges of the object to fetch, ascending and apart from each other.
    pub ranges: Vec<Range<u64>>,
    /// Parquet leaf columns in those ranges, ascending.
    leaves: Vec<usize>,
    conditions: Arc<[Prepared]>,
}

/// A condition with what the block's resources say of it.
#[derive(Debug)]
struct Prepared {
    condition: Condition,
    /// For each resource whether it meets the condition; empty when resources do not matter.
    resources: Vec<bool>,
}

impl Block {
    /// The row groups that may hold a span that meets all conditions, with what to fetch of each.
    pub fn plan_scan(&self, search: &SearchIndex, conditions: &[Condition]) -> Vec<RowGroupPlan> {
        let prepared: Arc<[Prepared]> =
            conditions.iter().map(|condition| self.prepare(condition.clone())).collect::<Vec<_>>().into();
        (0..self.row_group_count())
            .filter(|group| prepared.iter().all(|condition| self.may_match(search, *group, condition)))
            .map(|group| self.plan_row_group(search, group, &prepared))
            .collect()
    }

    fn prepare(&self, condition: Condition) -> Prepared {
        let resources = match &condition.field {
            Field::Attribute { scope: Scope::Any | Scope::Resource, key } => {
                let meets = |attribute: &KeyValue| attribute.key == *key && condition.is_met_by(attribute);
                self.resources().iter().map(|entry| entry.resource.attributes.iter().any(meets)).collect()
            }
            _ => Vec::new(),
        };
        Prepared { condition, resources }
    }

    fn may_match(&self, search: &SearchIndex, group: usize, prepared: &Prepared) -> bool {
        let Condition { field, op, value } = &prepared.condition;
        let described = &self.directory.row_groups[group];
        let filter = &search.value_filters[group];
        match field {
            Field::Name if *op == Op::Eq => {
                let seed = value_hash::seed(value_hash::INTRINSIC, schema::NAME, ValueType::String);
                literal_hashes(value, |_| seed).is_none_or(|all| all.iter().any(|hash| filter.may_contain(*hash)))
            }
            Field::DurationNanos => {
                bounds_allow(*op, value, described.min_duration_nanos, described.max_duration_nanos)
            }
            Field::StartUnixNanos => {
                let as_int = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
                // The latest start is not stored; it is not after the latest end or the latest start of an inverted span.
                bounds_allow(*op, value, as_int(described.min_start_unix_nanos), as_int(described.max_end_unix_nanos))
            }
            Field::Attribute { scope, key } => {
                let by_resource = search.resource_sets[group]
                    .iter()
                    .any(|id| prepared.resources.get(*id as usize).copied().unwrap_or(false));
                if by_resource || *scope == Scope::Resource {
                    return by_resource;
                }
                let occurs = self.columns.iter().any(|column| column.key == *key) || search.is_residual(key, group);
                let seed = |value_type| value_hash::seed(value_hash::SPAN, key, value_type);
                occurs
                    && (*op != Op::Eq
                        || literal_hashes(value, seed)
                            .is_none_or(|all| all.iter().any(|hash| filter.may_contain(*hash))))
            }
            Field::Name | Field::Kind | Field::StatusCode => true,
        }
    }

    fn plan_row_group(&self, search: &SearchIndex, row_group: usize, prepared: &Arc<[Prepared]>) -> RowGroupPlan {
        let mut leaves: Vec<usize> =
            prepared.iter().flat_map(|prepared| self.leaves_of(search, row_group, &prepared.condition)).collect();
        leaves.sort_unstable();
        leaves.dedup();
        let ranges = self.chunk_ranges(row_group, leaves.iter().copied());
        RowGroupPlan { row_group, ranges, leaves, conditions: prepared.clone() }
    }

    /// Where the chunks of some leaf columns, ascending, lie in the object; neighbours as one range.
    pub(crate) fn chunk_ranges(&self, row_group: usize, leaves: impl Iterator<Item = usize>) -> Vec<Range<u64>> {
        let chunks = self.plain.metadata().row_group(row_group).columns();
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for leaf in leaves {
            let (start, len) = chunks[leaf].byte_range();
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = start + len,
                _ => ranges.push(start..start + len),
            }
        }
        ranges
    }

    /// The Parquet columns that decide a condition. All columns before the events are flat: leaf and column are one.
    fn leaves_of(&self, search: &SearchIndex, row_group: usize, condition: &Condition) -> Vec<usize> {
        let fixed = |name: &str| self.leading_leaf(name);
        match &condition.field {
            Field::Name => vec![fixed(schema::NAME)],
            Field::Kind => vec![fixed(schema::KIND)],
            Field::StatusCode => vec![fixed(schema::STATUS_CODE)],
            Field::DurationNanos => vec![fixed(schema::DURATION_NANOS)],
            Field::StartUnixNanos => vec![fixed(schema::START_UNIX_NANOS)],
            Field::Attribute { scope, key } => {
                let mut leaves = Vec::new();
                if *scope != Scope::Span {
                    leaves.push(fixed(schema::RESOURCE_ID));
                }
                if *scope != Scope::Resource {
                    let own = self.columns.iter().enumerate().filter(|(_, column)| column.key == *key);
                    leaves.extend(own.map(|(i, _)| schema::LEADING_COLUMNS + i));
                    if search.is_residual(key, row_group) {
                        leaves.push(schema::LEADING_COLUMNS + self.columns.len());
                    }
                }
                leaves
            }
        }
    }

    fn leading_leaf(&self, name: &str) -> usize {
        self.plain.schema().index_of(name).expect("read_footer gave every fixed column")
    }
}

/// The hashes under which a literal may be in a filter, or nothing if the filters cannot tell.
fn literal_hashes(literal: &Literal, seed: impl Fn(ValueType) -> u64) -> Option<Vec<u64>> {
    let hash = |value: ValueRef<'_>| value_hash::value(seed(ValueType::of(&value)?), value);
    match literal {
        Literal::String(text) => Some(vec![hash(ValueRef::String(text))?]),
        Literal::Bool(bool) => Some(vec![hash(ValueRef::Bool(*bool))?]),
        Literal::Int(int) if int.unsigned_abs() <= 1 << 53 => {
            let double = hash(ValueRef::Double(*int as f64))?;
            let mut hashes = vec![hash(ValueRef::Int(*int))?, double];
            if *int == 0 {
                hashes.push(hash(ValueRef::Double(-0.0))?);
            }
            Some(hashes)
        }
        Literal::Double(double) if *double != 0.0 && double.fract() != 0.0 => {
            Some(vec![hash(ValueRef::Double(*double))?])
        }
        Literal::Int(_) | Literal::Double(_) | Literal::None => None,
    }
}

/// Whether a value between `min` and `max` can meet the comparison.
fn bounds_allow(op: Op, literal: &Literal, min: i64, max: i64) -> bool {
    let (Literal::Int(_) | Literal::Double(_)) = literal else { return true };
    let meets = |bound: i64, op: Op| evaluate::int_meets(op, literal, bound);
    match op {
        Op::Lt | Op::Le => meets(min, op),
        Op::Gt | Op::Ge => meets(max, op),
        Op::Eq => meets(min, Op::Le) && meets(max, Op::Ge),
        Op::Ne | Op::Contains | Op::Exists => true,
    }
}

impl Condition {
    /// Whether an attribute, of whatever key, meets the condition; a value that was not sent is an empty one.
    fn is_met_by(&self, attribute: &KeyValue) -> bool {
        attribute.value.as_ref().map_or(self.op == Op::Exists, |value| self.meets(value))
    }

    /// Whether an attribute value meets the condition.
    fn meets(&self, value: &AnyValue) -> bool {
        match &value.value {
            Some(Value::StringValue(text)) => evaluate::text_meets(self.op, &self.value, text),
            Some(Value::IntValue(int)) => evaluate::int_meets(self.op, &self.value, *int),
            Some(Value::DoubleValue(double)) => evaluate::double_meets(self.op, &self.value, *double),
            Some(Value::BoolValue(bool)) => evaluate::bool_meets(self.op, &self.value, *bool),
            Some(Value::ArrayValue(array)) => {
                self.op == Op::Exists || array.values.iter().any(|element| self.meets(element))
            }
            _ => self.op == Op::Exists,
        }
    }
}
