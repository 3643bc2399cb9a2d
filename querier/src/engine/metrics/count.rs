//! Counts the spans of one chunk into groups and buckets. Pure; the innermost loop of metrics queries.

use std::collections::{BTreeMap, HashMap};

use arrow_array::StringArray;
use foldhash::fast::RandomState;
use spanlake_block::{AttributeValue, NIL, RowValues};
use spanlake_traceql::Value;

use super::super::column::Column;
use super::super::scalar::{Label, Scalar, Unit, one_value};
use super::buckets::Buckets;
use super::table::{Cells, Key, Kind};

/// Most attributes of `by()`.
pub(super) const MAX_BY: usize = 5;

/// One attribute of `by()`: the places of the fields that may have it, in order.
#[derive(Debug, Clone)]
pub(in crate::engine) struct By {
    pub(in crate::engine) name: String,
    pub(in crate::engine) places: Vec<usize>,
}

/// What to count, and how.
#[derive(Debug, Clone)]
pub(super) struct Counting {
    pub(super) kind: Kind,
    pub(super) by: Vec<By>,
    /// Place of the field that is measured.
    pub(super) value: Option<usize>,
    pub(super) buckets: Buckets,
    pub(super) max_groups: usize,
}

/// A span that stands for others.
#[derive(Debug, Clone)]
pub(super) struct Example {
    pub(super) row: u32,
    pub(super) key: Key,
    pub(super) value: Option<f64>,
}

/// What one chunk counts.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// In order of first rows.
    pub(super) groups: Vec<(Key, Cells)>,
    pub(super) examples: Vec<Example>,
    /// Whether rows were left out because there were too many groups.
    pub(super) overflowed: bool,
}

/// Values of one attribute as codes.
pub(in crate::engine) enum Codes<'a> {
    Texts { codes: &'a [u32], texts: &'a StringArray },
    Coded { codes: &'a [u32], values: &'a [AttributeValue], unit: Unit },
    Owned { codes: Vec<u32>, values: Vec<Value> },
}

impl<'a> Codes<'a> {
    pub(in crate::engine) fn new(columns: &'a [Option<Column>], by: &By, row_count: usize) -> Self {
        let there = by.places.iter().filter_map(|place| columns.get(*place)?.as_ref());
        let there: Vec<&Column> = there.filter(|column| !is_nil(column)).collect();
        match there.as_slice() {
            [] => Self::Owned { codes: vec![NIL; row_count], values: Vec::new() },
            [Column { values: RowValues::Texts { codes, texts }, .. }] => Self::Texts { codes, texts },
            [Column { values: RowValues::Coded { codes, values }, unit }] => Self::Coded { codes, values, unit: *unit },
            [Column { values: RowValues::Numbers(numbers), unit }] => {
                Self::ints(numbers.iter().map(|number| Some(*number)), *unit)
            }
            [Column { values: RowValues::Ints(array), unit }] => Self::ints(array.iter(), *unit),
            several => {
                let mut places: BTreeMap<Label, u32> = BTreeMap::new();
                let mut values = Vec::new();
                let codes = (0..row_count).map(|row| {
                    let Some(column) = several.iter().find(|column| column.has(row)) else { return NIL };
                    *places.entry(Label(column.one(row))).or_insert_with_key(|Label(value)| {
                        values.push(value.clone());
                        values.len() as u32 - 1
                    })
                });
                let codes = codes.collect();
                Self::Owned { codes, values }
            }
        }
    }

    fn ints(ints: impl Iterator<Item = Option<i64>>, unit: Unit) -> Self {
        let mut places: HashMap<i64, u32, RandomState> = HashMap::default();
        let mut values = Vec::new();
        let codes = ints.map(|int| {
            int.map_or(NIL, |int| {
                *places.entry(int).or_insert_with(|| {
                    values.push(Scalar::int(int, unit).to_value());
                    values.len() as u32 - 1
                })
            })
        });
        let codes = codes.collect();
        Self::Owned { codes, values }
    }

    pub(in crate::engine) fn code(&self, row: usize) -> u32 {
        match self {
            Self::Texts { codes, .. } | Self::Coded { codes, .. } => codes[row],
            Self::Owned { codes, .. } => codes[row],
        }
    }

    pub(in crate::engine) fn label(&self, code: u32) -> Label {
        if code == NIL {
            return Label(Value::Nil);
        }
        Label(match self {
            Self::Texts { texts, .. } => Value::String(texts.value(code as usize).to_owned()),
            Self::Coded { values, unit, .. } => one_value(&values[code as usize], *unit),
            Self::Owned { values, .. } => values[code as usize].clone(),
        })
    }
}

fn is_nil(column: &Column) -> bool {
    matches!(&column.values, RowValues::Coded { values, .. } if values.is_empty())
}

/// The groups of a chunk: codes to groups, made as they are met.
enum Places {
    /// One attribute: by its code, nil last.
    One { by_code: Vec<u32>, nil: u32 },
    /// Several: by all codes.
    Several(HashMap<[u32; MAX_BY], u32, RandomState>),
}

const NEW: u32 = u32::MAX;
/// A group for which there is no room.
const FULL: u32 = u32::MAX - 1;
/// Most cells of one chunk (up to 32 bytes each): with many buckets it has room for fewer groups.
const MAX_CELLS: usize = 1 << 21;

impl Counting {
    /// Counts rows of a chunk, ascending. `starts` are those of all its rows. Of the rows that count, `examples` are given, spread
    /// evenly.
    pub(super) fn count(&self, columns: &[Option<Column>], starts: &[i64], rows: &[u32], examples: usize) -> Counted {
        let mut counted = Counted::default();
        let codes: Vec<Codes<'_>> = self.by.iter().map(|by| Codes::new(columns, by, starts.len())).collect();
        let value = self.value.and_then(|place| columns.get(place)?.as_ref());
        let buckets = self.buckets.count;
        let max_groups = self.max_groups.min(MAX_CELLS / buckets).max(1);
        let mut by_key: BTreeMap<Key, u32> = BTreeMap::new();
        let mut keys: Vec<Key> = Vec::new();
        let mut places = match codes.len() {
            0 | 1 => Places::One { by_code: Vec::new(), nil: NEW },
            _ => Places::Several(HashMap::default()),
        };
        // First where each row counts, then what: the second loop is short and has no choices in it.
        let mut cells: Vec<(u32, u32)> = Vec::with_capacity(rows.len());
        for row in rows.iter().map(|row| *row as usize) {
            let Some(bucket) = self.buckets.of(starts[row] as u64) else { continue };
            let group = match &mut places {
                Places::One { by_code, nil } => {
                    let code = codes.first().map_or(0, |codes| codes.code(row));
                    if code == NIL {
                        nil
                    } else {
                        if by_code.len() <= code as usize {
                            by_code.resize(code as usize + 1, NEW);
                        }
                        &mut by_code[code as usize]
                    }
                }
                Places::Several(places) => {
                    let mut key = [NIL; MAX_BY];
                    codes.iter().zip(&mut key).for_each(|(codes, key)| *key = codes.code(row));
                    places.entry(key).or_insert(NEW)
                }
            };
            if *group == NEW {
                // Several codes may stand for one value.
                let key: Key = codes.iter().map(|codes| codes.label(codes.code(row))).collect();
                *group = match by_key.get(&key) {
                    Some(known) => *known,
                    None if keys.len() >= max_groups => FULL,
                    None => {
                        by_key.insert(key.clone(), keys.len() as u32);
                        keys.push(key);
                        keys.len() as u32 - 1
                    }
                };
            }
            if *group == FULL {
                counted.overflowed = true;
                continue;
            }
            cells.push((row as u32, *group * buckets as u32 + bucket as u32));
        }
        let all = self.kind.count(&cells, keys.len(), buckets, |row| value?.number(row));
        counted.groups = keys.into_iter().zip(all).collect();
        let stride = if examples == 0 { usize::MAX } else { cells.len().div_ceil(examples).max(1) };
        for (row, cell) in cells.iter().step_by(stride).take(examples) {
            let value = match self.kind {
                Kind::Count => None,
                // A span without a number is no example of one.
                _ => match value.and_then(|value| value.number(*row as usize)) {
                    Some(number) => Some(super::table::measured(number)),
                    None => continue,
                },
            };
            let key = counted.groups[*cell as usize / buckets].0.clone();
            counted.examples.push(Example { row: *row, key, value });
        }
        counted
    }
}
