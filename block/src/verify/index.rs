//! What the search index says of a row group, against the rows: value filters, keys, resource sets, keys of events and links.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, ListArray};
use foldhash::{HashMap, HashMapExt as _, HashSet};
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use spanlake_model::TimeRange;
use spanlake_otlp::ValueRef;

use super::problem::{Check, Problems};
use super::rows::{Columns, text_at};
use crate::baselines::{BaselineWriter, Baselines};
use crate::read::SearchIndex;
use crate::schema::{self, AttributeColumn, ValueType};
use crate::text;
use crate::{Damage, value_hash};

/// What the rows of a block have, as far as the search index tells of it.
pub(super) struct Contents {
    columns: Vec<AttributeColumn>,
    /// Of each attribute column: the seed of its values, and how many rows have one.
    column_seeds: Vec<u64>,
    column_counts: Vec<u64>,
    name_seed: u64,
    /// Of each key outside a column: how many rows have it, by the type of the first value.
    rest_counts: HashMap<String, [u64; ValueType::COUNT]>,
    group: Group,
    /// `service.name` by number of the resource.
    services: Vec<Option<Arc<str>>>,
    baselines: BaselineWriter,
}

/// What a row group has.
#[derive(Default)]
struct Group {
    resources: HashSet<u32>,
    residual_keys: HashSet<String>,
    event_keys: HashSet<String>,
    link_keys: HashSet<String>,
    event_names: HashSet<String>,
}

impl Contents {
    pub(super) fn new(columns: &[AttributeColumn], services: Vec<Option<Arc<str>>>) -> Self {
        let seed = |column: &AttributeColumn| value_hash::seed(value_hash::SPAN, &column.key, column.value_type);
        Self {
            column_seeds: columns.iter().map(seed).collect(),
            column_counts: vec![0; columns.len()],
            columns: columns.to_vec(),
            name_seed: value_hash::seed(value_hash::INTRINSIC, schema::NAME, ValueType::String),
            rest_counts: HashMap::new(),
            group: Group::default(),
            services,
            baselines: BaselineWriter::new(),
        }
    }

    /// Reads a batch of rows, the first of which is `first_row` of the block, in row group `number`.
    pub(super) fn rows(
        &mut self,
        columns: &Columns<'_>,
        first_row: u64,
        number: usize,
        search: &SearchIndex,
        problems: &mut Problems,
    ) -> Result<(), Damage> {
        let mut probe = |row: usize, key: &str, seed: u64, value: ValueRef<'_>| {
            let may_have = |hash| search.value_filters[number].may_contain(hash);
            if !value_hash::value(seed, value).is_none_or(may_have) {
                problems.push(
                    Check::ValueFilters,
                    format_args!("row {}, row group {number}", first_row + row as u64),
                    format_args!("the value of {key:?} in the row group's filter"),
                    format_args!("a filter that rules it out"),
                );
            }
        };
        for row in 0..columns.names.len() {
            let name = columns.names.value(row);
            if row == 0 || columns.names.value(row - 1) != name {
                probe(row, schema::NAME, self.name_seed, ValueRef::String(name));
            }
            let resource = columns.resource_ids.value(row) as u32;
            self.group.resources.insert(resource);
            if search.baseline_bytes().is_some() {
                let service = self.services.get(resource as usize).and_then(Option::as_deref);
                let (start, duration) = (columns.starts.value(row), columns.durations.value(row));
                self.baselines.push(service, name, columns.kinds.value(row), start, duration);
            }
        }
        for (index, (column, array)) in self.columns.iter().zip(columns.attributes).enumerate() {
            let seed = self.column_seeds[index];
            self.column_counts[index] += (array.len() - array.null_count()) as u64;
            each_value(array, column.value_type, |row, value| probe(row, &column.key, seed, value))?;
        }
        for row in 0..columns.rests.len() {
            let Some(rest) = text_at(columns.rests, row) else { continue };
            let attributes = text::read_attributes(rest).map_err(|error| damage(&error))?;
            let mut seen: HashSet<&str> = HashSet::default();
            for attribute in &attributes {
                let key = attribute.key.as_str();
                let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
                probe_any(value, &mut |value_type, value| {
                    probe(row, key, value_hash::seed(value_hash::SPAN, key, value_type), value);
                });
                let is_first = seen.insert(key) && !self.has_column_value(columns, row, key);
                if let Some(value_type) = value.and_then(scalar).map(|(value_type, _)| value_type)
                    && is_first
                {
                    count(&mut self.rest_counts, key, value_type);
                }
                insert(&mut self.group.residual_keys, key);
            }
        }
        self.items(columns.events, true)?;
        self.items(columns.links, false)
    }

    fn has_column_value(&self, columns: &Columns<'_>, row: usize, key: &str) -> bool {
        let from = self.columns.partition_point(|column| column.key.as_str() < key);
        let of_key = self.columns[from..].iter().take_while(|column| column.key == key).enumerate();
        of_key.into_iter().any(|(index, _)| columns.attributes[from + index].is_valid(row))
    }

    fn items(&mut self, lists: &ListArray, are_events: bool) -> Result<(), Damage> {
        let shape = || Damage::new("row group", "a list does not hold records of texts");
        let first = usize::try_from(lists.value_offsets().first().copied().unwrap_or(0)).map_err(|_| shape())?;
        let last = usize::try_from(lists.value_offsets().last().copied().unwrap_or(0)).map_err(|_| shape())?;
        let items = lists.values().as_struct_opt().ok_or_else(shape)?;
        let texts = |name: &str| -> Result<_, Damage> {
            items.column_by_name(name).and_then(|column| column.as_string_opt::<i32>()).ok_or_else(shape)
        };
        let attributes = texts("attributes")?;
        let keys = if are_events { &mut self.group.event_keys } else { &mut self.group.link_keys };
        for item in first..last {
            if let Some(text) = text_at(attributes, item) {
                text::keys_of(text, &mut |key| insert(keys, key)).map_err(|error| damage(&error))?;
            }
        }
        if are_events {
            let names = texts("name")?;
            (first..last).for_each(|item| insert(&mut self.group.event_names, names.value(item)));
        }
        Ok(())
    }

    /// The row group is over: holds what its rows have against what is told of it.
    pub(super) fn end_row_group(&mut self, number: usize, search: &SearchIndex, problems: &mut Problems) {
        let group = std::mem::take(&mut self.group);
        let place = format_args!("row group {number}");
        let mut resources: Vec<u32> = group.resources.into_iter().collect();
        resources.sort_unstable();
        problems.expect(Check::ResourceSets, place, "resources", &resources, &search.resource_sets[number]);

        let of_rest = |key: &str| search.is_residual(key, number);
        compare(Check::Keys, place, "residual", &group.residual_keys, search.residual_keys(), of_rest, problems);
        if let Some(told) = search.event_keys() {
            let has = |key: &str| search.may_have_event_key(key, number);
            compare(Check::ItemKeys, place, "event", &group.event_keys, told, has, problems);
        }
        if let Some(told) = search.link_keys() {
            let has = |key: &str| search.may_have_link_key(key, number);
            compare(Check::ItemKeys, place, "link", &group.link_keys, told, has, problems);
        }
        if let Some(told) = search.event_names(number) {
            let has = |name: &str| search.may_have_event_name(name, number);
            compare(Check::ItemKeys, place, "event name", &group.event_names, told, has, problems);
        }
    }

    /// Forgets a row group that could not be read to its end.
    pub(super) fn abandon_row_group(&mut self) {
        self.group = Group::default();
    }

    /// All row groups were read: holds the counts of keys and of durations against those that are told.
    pub(super) fn end(self, search: &SearchIndex, problems: &mut Problems) {
        if search.baseline_bytes().is_some() {
            compare_baselines(&self.baselines.finish(), search, problems);
        }
        let mut counted: HashMap<(String, u8), u64> = HashMap::new();
        for (key, counts) in self.rest_counts {
            for (number, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                *counted.entry((key.clone(), number as u8)).or_default() += count;
            }
        }
        for (column, count) in self.columns.into_iter().zip(self.column_counts) {
            *counted.entry((column.key, column.value_type as u8)).or_default() += count;
        }
        for (column, told) in search.keys() {
            let count = counted.remove(&(column.key.clone(), column.value_type as u8)).unwrap_or(0);
            let place = format_args!("key {:?} of type {:?}", column.key, column.value_type);
            problems.expect(Check::Keys, place, "spans", &count, told);
        }
        for ((key, _), count) in counted.into_iter().filter(|(_, count)| *count > 0) {
            let place = format_args!("key {key:?}");
            problems.push(Check::Keys, place, format_args!("{count} spans"), format_args!("no such key"));
        }
    }
}

/// What the rows say of durations, as a section, and what is told must be the same.
fn compare_baselines(of_rows: &[u8], search: &SearchIndex, problems: &mut Problems) {
    let place = format_args!("search index");
    let expected = Baselines::read(of_rows, TimeRange::ALL, |_, _, _| true).unwrap_or_default();
    let found = match search.baselines(TimeRange::ALL, |_, _, _| true) {
        Ok(found) => found.unwrap_or_default(),
        Err(damage) => {
            let expected = format_args!("a section of durations");
            return problems.push(Check::Baselines, place, expected, format_args!("{damage}"));
        }
    };
    if expected == found {
        return;
    }
    let (of_rows, told) = (&expected.operations, &found.operations);
    let same = of_rows.iter().zip(told).take_while(|(of_rows, told)| of_rows == told).count();
    let describe = |all: &Baselines, at: usize| match all.operations.get(at) {
        Some(one) => {
            let counts = one.slots.iter().flat_map(|slot| &slot.counts);
            let spans = counts.fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
            format!("operation {at} {:?}, {spans} spans in {} slots", one.name, one.slots.len())
        }
        None => format!("{} operations, {} spans left out", all.operations.len(), all.left_out),
    };
    let [expected, found] = [&expected, &found].map(|all| describe(all, same));
    problems.push(Check::Baselines, place, format_args!("{expected}"), format_args!("{found}, or other durations"));
}

/// Names that rows have and names that are told of must be the same.
fn compare<'a>(
    check: Check,
    place: std::fmt::Arguments<'_>,
    what: &str,
    present: &HashSet<String>,
    told: impl Iterator<Item = &'a str>,
    is_told_here: impl Fn(&str) -> bool,
    problems: &mut Problems,
) {
    for name in present.iter().filter(|name| !is_told_here(name)) {
        problems.push(check, place, format_args!("{what} {name:?}"), format_args!("it is not told of"));
    }
    for name in told.filter(|name| is_told_here(name) && !present.contains(*name)) {
        problems.push(check, place, format_args!("no {what} {name:?}"), format_args!("it is told of"));
    }
}

/// Hands each value of a column to `push`, but for those that repeat the one in the row before.
fn each_value(
    array: &ArrayRef,
    value_type: ValueType,
    mut push: impl FnMut(usize, ValueRef<'_>),
) -> Result<(), Damage> {
    let wrong_type = || Damage::new("row group", "an attribute column has another type");
    let rows = (0..array.len()).filter(|row| array.is_valid(*row));
    match value_type {
        ValueType::String => {
            let texts = array.as_string_opt::<i32>().ok_or_else(wrong_type)?;
            let mut last = None;
            for row in rows {
                if last.replace(texts.value(row)) != Some(texts.value(row)) {
                    push(row, ValueRef::String(texts.value(row)));
                }
            }
        }
        ValueType::Int => {
            let ints = array.as_primitive_opt::<Int64Type>().ok_or_else(wrong_type)?;
            rows.for_each(|row| push(row, ValueRef::Int(ints.value(row))));
        }
        ValueType::Double => {
            let doubles = array.as_primitive_opt::<Float64Type>().ok_or_else(wrong_type)?;
            rows.for_each(|row| push(row, ValueRef::Double(doubles.value(row))));
        }
        ValueType::Bool => {
            let bools = array.as_boolean_opt().ok_or_else(wrong_type)?;
            rows.for_each(|row| push(row, ValueRef::Bool(bools.value(row))));
        }
    }
    Ok(())
}

fn scalar(value: &Value) -> Option<(ValueType, ValueRef<'_>)> {
    match value {
        Value::StringValue(text) => Some((ValueType::String, ValueRef::String(text))),
        Value::IntValue(int) => Some((ValueType::Int, ValueRef::Int(*int))),
        Value::DoubleValue(double) => Some((ValueType::Double, ValueRef::Double(*double))),
        Value::BoolValue(bool) => Some((ValueType::Bool, ValueRef::Bool(*bool))),
        _ => None,
    }
}

/// Hands a scalar to `push`, or each scalar of an array. As deep as the text parser lets values be.
fn probe_any(value: Option<&Value>, push: &mut dyn FnMut(ValueType, ValueRef<'_>)) {
    match value {
        Some(Value::ArrayValue(array)) => {
            let values = array.values.iter().map(|element: &AnyValue| element.value.as_ref());
            values.for_each(|value| probe_any(value, push));
        }
        Some(value) => {
            if let Some((value_type, value)) = scalar(value) {
                push(value_type, value);
            }
        }
        None => {}
    }
}

fn count(counts: &mut HashMap<String, [u64; ValueType::COUNT]>, key: &str, value_type: ValueType) {
    match counts.get_mut(key) {
        Some(counts) => counts[value_type as usize] += 1,
        None => {
            let mut first = [0; ValueType::COUNT];
            first[value_type as usize] = 1;
            counts.insert(key.to_owned(), first);
        }
    }
}

fn insert(names: &mut HashSet<String>, name: &str) {
    if !names.contains(name) {
        names.insert(name.to_owned());
    }
}

fn damage(error: &serde_json::Error) -> Damage {
    Damage::new("attributes text", error.to_string())
}
