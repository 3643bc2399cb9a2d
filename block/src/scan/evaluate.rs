//! Evaluating a plan: fetched column chunks in, matching rows and traces out.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, RecordBatch, StringArray};
use arrow_buffer::BooleanBuffer;
use bytes::Bytes;

use super::{Condition, Field, Literal, Op, Prepared, RowGroupPlan, Scope};
use crate::Damage;
use crate::read::{Block, Fetched, SearchIndex};
use crate::schema::{self, ValueType};
use crate::text;

impl Block {
    /// The rows of the row group that meet all conditions of the plan, ascending, counted from the block's first row;
    /// `bytes` are those of [`RowGroupPlan::ranges`], one each.
    ///
    /// # Errors
    /// [`Damage`] if a fetched byte is not what was written.
    pub fn matching_rows(&self, plan: &RowGroupPlan, bytes: Vec<Bytes>) -> Result<Vec<u32>, Damage> {
        if bytes.len() != plan.ranges.len() {
            return Err(Damage::new("row group", format!("{} of {} ranges were read", bytes.len(), plan.ranges.len())));
        }
        let row_count = self.directory.row_groups[plan.row_group].row_count as usize;
        let ranges = plan.ranges.iter().map(|range| range.start).zip(bytes).collect();
        let fetched = Fetched::new(self.meta.object_bytes, ranges);
        self.check_chunks(plan.row_group, &fetched, plan.leaves.iter().copied())?;
        let mut all = BooleanBuffer::new_set(row_count);
        if !plan.leaves.is_empty() {
            let leaves = Some(plan.leaves.as_slice());
            let mut reader = self.reader(&self.dictionary, plan.row_group, fetched, leaves, None, row_count)?;
            let batch = match reader.next() {
                Some(batch) => batch.map_err(|error| Damage::new("row group", error.to_string()))?,
                None => return Err(Damage::new("row group", "it has no rows")),
            };
            for prepared in plan.conditions.iter() {
                all = &all & &self.evaluate(prepared, &batch, &plan.leaves)?;
            }
        } else if !plan.conditions.is_empty() {
            all = BooleanBuffer::new_unset(row_count);
        }
        let first_row = self.first_rows[plan.row_group];
        Ok(all.set_indices().map(|row| first_row + row as u32).collect())
    }

    /// The traces with a span that meets all conditions of the plan, as ascending indexes into
    /// [`SearchIndex::summaries`]; `bytes` are those of [`RowGroupPlan::ranges`], one each.
    ///
    /// # Errors
    /// [`Damage`] if a fetched byte is not what was written.
    pub fn matching_traces(
        &self,
        search: &SearchIndex,
        plan: &RowGroupPlan,
        bytes: Vec<Bytes>,
    ) -> Result<Vec<u32>, Damage> {
        let mut traces = Vec::new();
        let mut past_last = 0;
        for row in self.matching_rows(plan, bytes)? {
            if row >= past_last {
                let trace = search.summaries.trace_of(row);
                let summary = &search.summaries.traces[trace as usize];
                past_last = summary.first_row + summary.span_count;
                traces.push(trace);
            }
        }
        Ok(traces)
    }

    fn evaluate(&self, prepared: &Prepared, batch: &RecordBatch, leaves: &[usize]) -> Result<BooleanBuffer, Damage> {
        let Condition { field, op, value } = &prepared.condition;
        let column = |leaf: usize| leaves.binary_search(&leaf).ok().map(|i| batch.column(i));
        let fixed = |name: &str| column(self.leading_leaf(name)).ok_or_else(|| damage("a planned column is missing"));
        match field {
            Field::Name => strings(fixed(schema::NAME)?, |text| Ok(text_meets(*op, value, text))),
            Field::Kind => numbers::<Int32Type>(fixed(schema::KIND)?, |n| int_meets(*op, value, n.into())),
            Field::StatusCode => numbers::<Int32Type>(fixed(schema::STATUS_CODE)?, |n| int_meets(*op, value, n.into())),
            Field::DurationNanos => numbers::<Int64Type>(fixed(schema::DURATION_NANOS)?, |n| int_meets(*op, value, n)),
            Field::StartUnixNanos => numbers::<UInt64Type>(fixed(schema::START_UNIX_NANOS)?, |n| {
                int_meets(*op, value, i64::try_from(n).unwrap_or(i64::MAX))
            }),
            Field::Attribute { scope, key } => {
                let mut any = BooleanBuffer::new_unset(batch.num_rows());
                if *scope != Scope::Span && prepared.resources.contains(&true) {
                    let meets = |id: i32| prepared.resources.get(id as usize).copied().unwrap_or(false);
                    any = &any | &numbers::<Int32Type>(fixed(schema::RESOURCE_ID)?, meets)?;
                }
                if *scope != Scope::Resource {
                    for (i, described) in self.columns.iter().enumerate().filter(|(_, column)| column.key == *key) {
                        let array = column(schema::LEADING_COLUMNS + i).ok_or_else(|| damage("a column is missing"))?;
                        any = &any | &attribute(described.value_type, array, *op, value)?;
                    }
                    if let Some(rest) = column(schema::LEADING_COLUMNS + self.columns.len()) {
                        any = &any | &residual(rest, key, &prepared.condition)?;
                    }
                }
                Ok(any)
            }
        }
    }
}

fn damage(problem: &str) -> Damage {
    Damage::new("row group", problem)
}

fn with_validity(matches: BooleanBuffer, array: &dyn Array) -> BooleanBuffer {
    match array.nulls() {
        Some(nulls) => &matches & nulls.inner(),
        None => matches,
    }
}

fn numbers<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    meets: impl Fn(T::Native) -> bool,
) -> Result<BooleanBuffer, Damage> {
    let array = array.as_primitive_opt::<T>().ok_or_else(|| damage("a column of numbers has another type"))?;
    let values = array.values();
    Ok(with_validity(BooleanBuffer::collect_bool(values.len(), |row| meets(values[row])), array))
}

/// Decides each distinct text once.
fn strings(array: &ArrayRef, meets: impl Fn(&str) -> Result<bool, Damage>) -> Result<BooleanBuffer, Damage> {
    let wrong_type = || damage("a column of texts has another type");
    let array = array.as_dictionary_opt::<Int32Type>().ok_or_else(wrong_type)?;
    let texts: &StringArray = array.values().as_string_opt().ok_or_else(wrong_type)?;
    let decide = |i: usize| Ok(texts.is_valid(i) && meets(texts.value(i))?);
    let decided = (0..texts.len()).map(decide).collect::<Result<Vec<bool>, Damage>>()?;
    if !decided.contains(&true) {
        return Ok(BooleanBuffer::new_unset(array.len()));
    }
    let keys = array.keys().values();
    let matches =
        BooleanBuffer::collect_bool(keys.len(), |row| decided.get(keys[row] as usize).copied().unwrap_or(false));
    Ok(with_validity(matches, array.keys()))
}

fn attribute(value_type: ValueType, array: &ArrayRef, op: Op, value: &Literal) -> Result<BooleanBuffer, Damage> {
    match value_type {
        ValueType::String => strings(array, |text| Ok(text_meets(op, value, text))),
        ValueType::Int => numbers::<Int64Type>(array, |int| int_meets(op, value, int)),
        ValueType::Double => numbers::<Float64Type>(array, |double| double_meets(op, value, double)),
        ValueType::Bool => {
            let array = array.as_boolean_opt().ok_or_else(|| damage("a column of booleans has another type"))?;
            let values = array.values();
            let matches = BooleanBuffer::collect_bool(values.len(), |row| bool_meets(op, value, values.value(row)));
            Ok(with_validity(matches, array))
        }
    }
}

/// Looks into the residual texts that mention the key.
fn residual(array: &ArrayRef, key: &str, condition: &Condition) -> Result<BooleanBuffer, Damage> {
    let finder = text::finder(key);
    strings(array, |text| {
        if finder.find(text.as_bytes()).is_none() {
            return Ok(false);
        }
        let attributes =
            text::read_attributes(text).map_err(|error| Damage::new("attributes text", error.to_string()))?;
        Ok(attributes.iter().any(|attribute| attribute.key == key && condition.is_met_by(attribute)))
    })
}

fn ordered<T: PartialOrd>(op: Op, value: T, literal: T) -> bool {
    match op {
        Op::Eq => value == literal,
        Op::Ne => value != literal,
        Op::Lt => value < literal,
        Op::Le => value <= literal,
        Op::Gt => value > literal,
        Op::Ge => value >= literal,
        Op::Exists => true,
        Op::Contains => false,
    }
}

pub(crate) fn text_meets(op: Op, literal: &Literal, text: &str) -> bool {
    match (op, literal) {
        (Op::Exists, _) => true,
        (Op::Contains, Literal::String(part)) => text.contains(part.as_str()),
        (op, Literal::String(other)) => ordered(op, text, other.as_str()),
        _ => false,
    }
}

pub(crate) fn int_meets(op: Op, literal: &Literal, int: i64) -> bool {
    match (op, literal) {
        (Op::Exists, _) => true,
        (Op::Contains, Literal::String(part)) => int.to_string().contains(part.as_str()),
        (op, Literal::Int(other)) => ordered(op, int, *other),
        (op, Literal::Double(other)) => ordered(op, int as f64, *other),
        _ => false,
    }
}

pub(crate) fn double_meets(op: Op, literal: &Literal, double: f64) -> bool {
    match (op, literal) {
        (Op::Exists, _) => true,
        (Op::Contains, Literal::String(part)) => double.to_string().contains(part.as_str()),
        (op, Literal::Int(other)) => ordered(op, double, *other as f64),
        (op, Literal::Double(other)) => ordered(op, double, *other),
        _ => false,
    }
}

pub(crate) fn bool_meets(op: Op, literal: &Literal, bool: bool) -> bool {
    match (op, literal) {
        (Op::Exists, _) => true,
        (Op::Contains, Literal::String(part)) => (if bool { "true" } else { "false" }).contains(part.as_str()),
        (Op::Eq | Op::Ne, Literal::Bool(other)) => ordered(op, bool, *other),
        _ => false,
    }
}
