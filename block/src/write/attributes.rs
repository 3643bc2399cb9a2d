//! Span attributes on their way to columns: gathered by key and type, then split into columns of their own and the rest.

use foldhash::HashMap;
use spanlake_otlp::{KeyValueRef, ValueRef};

use super::value_filters::ValueFilters;
use crate::schema::ValueType;
use crate::value_hash;

/// Values of one key and type, in row order; a row has at most one.
pub(crate) struct Gathered<'a> {
    pub(crate) key: &'a str,
    pub(crate) value_type: ValueType,
    pub(crate) rows: Vec<u32>,
    pub(crate) values: Values<'a>,
    /// Distinct values, counted anew in each row group and added up: an estimate of what a dictionary would hold.
    pub(crate) distinct_count: u64,
    seed: u64,
}

/// The values of a [`Gathered`] column.
pub(crate) enum Values<'a> {
    String(Vec<&'a str>),
    Int(Vec<i64>),
    Double(Vec<f64>),
    Bool(Vec<bool>),
}

struct Key {
    /// The row that last had this key: a second value in the same row goes to the rest.
    last_row: u32,
    /// Index of the gathered column of each [`ValueType`], if it was seen.
    columns: [Option<u32>; ValueType::COUNT],
}

/// Gathers the attributes of all spans of a block.
#[derive(Default)]
pub(crate) struct Attributes<'a> {
    keys: HashMap<&'a str, Key>,
    pub(crate) gathered: Vec<Gathered<'a>>,
    /// What cannot have a column: later values of a repeated key, and arrays, lists, bytes and empty values.
    rest: Vec<(u32, KeyValueRef<'a>)>,
}

impl<'a> Attributes<'a> {
    /// Adds an attribute of the span at `row`; rows never decrease.
    pub(crate) fn push(&mut self, row: u32, attribute: KeyValueRef<'a>, filters: &mut ValueFilters) {
        let value_type = ValueType::of(&attribute.value);
        let key = match self.keys.get_mut(attribute.key) {
            Some(key) => key,
            None => self.keys.entry(attribute.key).or_insert(Key { last_row: u32::MAX, columns: Default::default() }),
        };
        let repeated = key.last_row == row;
        key.last_row = row;
        let Some(value_type) = value_type.filter(|_| !repeated) else {
            filters.insert_any(attribute.key, attribute.value);
            self.rest.push((row, attribute));
            return;
        };
        let gathered = match key.columns[value_type as usize] {
            Some(index) => &mut self.gathered[index as usize],
            None => {
                key.columns[value_type as usize] = Some(self.gathered.len() as u32);
                self.gathered.push(Gathered::new(attribute.key, value_type));
                self.gathered.last_mut().expect("pushed a line above")
            }
        };
        gathered.push(row, attribute.value, filters);
    }

    /// Splits what was gathered: the keys worth a column, and everything else in row order.
    pub(crate) fn split(self, choose: impl Fn(&Gathered<'a>) -> Option<u64>, max_columns: usize) -> Split<'a> {
        let mut ranked: Vec<(u64, Gathered<'a>)> = Vec::new();
        let mut others: Vec<Gathered<'a>> = Vec::new();
        for gathered in self.gathered {
            match choose(&gathered) {
                Some(worth) => ranked.push((worth, gathered)),
                None => others.push(gathered),
            }
        }
        ranked.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.order().cmp(&b.1.order())));
        others.extend(ranked.drain(max_columns.min(ranked.len())..).map(|(_, gathered)| gathered));
        let mut columns: Vec<Gathered<'a>> = ranked.into_iter().map(|(_, gathered)| gathered).collect();
        columns.sort_by_key(Gathered::order);
        others.sort_by_key(Gathered::order);

        // First values come before later ones of the same key, as a reader must give them back.
        let mut rest: Vec<(u32, KeyValueRef<'a>)> = Vec::new();
        for gathered in &others {
            rest.extend(gathered.rows.iter().enumerate().map(|(i, row)| (*row, gathered.attribute(i))));
        }
        rest.extend(self.rest);
        rest.sort_by_key(|(row, _)| *row);
        Split { columns, others, rest }
    }
}

impl<'a> Gathered<'a> {
    fn new(key: &'a str, value_type: ValueType) -> Self {
        let values = match value_type {
            ValueType::String => Values::String(Vec::new()),
            ValueType::Int => Values::Int(Vec::new()),
            ValueType::Double => Values::Double(Vec::new()),
            ValueType::Bool => Values::Bool(Vec::new()),
        };
        let seed = value_hash::seed(value_hash::SPAN, key, value_type);
        Self { key, value_type, rows: Vec::new(), values, distinct_count: 0, seed }
    }

    fn push(&mut self, row: u32, value: ValueRef<'a>, filters: &mut ValueFilters) {
        // A value that repeats the one before it is in the filter already, unless a row group began between them.
        let fresh = self.rows.last().is_none_or(|last| *last < filters.first_row());
        let repeats = match (&mut self.values, value) {
            (Values::String(values), ValueRef::String(value)) => {
                let repeats = values.last() == Some(&value);
                values.push(value);
                repeats
            }
            (Values::Int(values), ValueRef::Int(value)) => {
                let repeats = values.last() == Some(&value);
                values.push(value);
                repeats
            }
            (Values::Double(values), ValueRef::Double(value)) => {
                values.push(value);
                false
            }
            (Values::Bool(values), ValueRef::Bool(value)) => {
                let repeats = values.last() == Some(&value);
                values.push(value);
                repeats
            }
            _ => unreachable!("a gathered column has one type, the type of its values"),
        };
        self.rows.push(row);
        if fresh || !repeats {
            self.distinct_count += u64::from(filters.insert(self.seed, value));
        }
    }

    /// Whether a dictionary would save nothing.
    pub(crate) fn hardly_repeats(&self) -> bool {
        self.distinct_count * 2 > self.rows.len() as u64
    }

    /// Columns are ordered by key, then by type.
    fn order(&self) -> (&'a str, ValueType) {
        (self.key, self.value_type)
    }

    fn attribute(&self, index: usize) -> KeyValueRef<'a> {
        let value = match &self.values {
            Values::String(values) => ValueRef::String(values[index]),
            Values::Int(values) => ValueRef::Int(values[index]),
            Values::Double(values) => ValueRef::Double(values[index]),
            Values::Bool(values) => ValueRef::Bool(values[index]),
        };
        KeyValueRef { key: self.key, value }
    }
}

/// What [`Attributes::split`] gives.
pub(crate) struct Split<'a> {
    /// Keys with a column, in column order.
    pub(crate) columns: Vec<Gathered<'a>>,
    /// Keys without one, kept for their counts.
    pub(crate) others: Vec<Gathered<'a>>,
    /// Everything without a column, by row.
    pub(crate) rest: Vec<(u32, KeyValueRef<'a>)>,
}
