//! `compare()`: which values spans of a selection have, and the others, for every attribute. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use arrow_buffer::BooleanBuffer;
use foldhash::fast::RandomState;
use spanlake_block::NIL;
use spanlake_traceql::{Field, Intrinsic, Scope, Value};

use super::super::answer::Series;
use super::super::column::Column;
use super::super::scalar::Label;
use super::buckets::Buckets;
use super::count::{By, Codes};

/// Counts by bucket, of those that have any.
type Sparse = Vec<(u32, u64)>;

/// Counts of one attribute's values in one class.
#[derive(Debug, Default)]
struct Values {
    by_value: BTreeMap<Label, Sparse>,
    all: Sparse,
}

/// All that is counted.
#[derive(Debug)]
pub(super) struct Comparison {
    /// Name and place of each attribute that is looked at.
    names: Vec<(String, usize)>,
    /// By class (the selection last) and attribute.
    values: BTreeMap<(bool, usize), Values>,
    /// Memory held, estimated from above.
    held_bytes: u64,
}

/// What `compare()` looks at on every span.
pub(super) const INTRINSICS: [Intrinsic; 6] = [
    Intrinsic::Name,
    Intrinsic::Kind,
    Intrinsic::Status,
    Intrinsic::StatusMessage,
    Intrinsic::RootName,
    Intrinsic::RootServiceName,
];

fn add(counts: &mut Sparse, bucket: u32, more: u64) -> bool {
    match counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
        Ok(at) => {
            counts[at].1 += more;
            false
        }
        Err(at) => {
            counts.insert(at, (bucket, more));
            true
        }
    }
}

impl Comparison {
    /// Of these fields, by their places in a plan.
    pub(super) fn new(fields: impl Iterator<Item = (Field, usize)>) -> Self {
        let name = |field: &Field| match field {
            // A label is a name, not an expression: keys are not put in quotes.
            Field::Attribute { scope: Scope::Resource, key, .. } => format!("resource.{key}"),
            Field::Attribute { key, .. } => format!("span.{key}"),
            intrinsic => intrinsic.to_string(),
        };
        let names = fields.map(|(field, place)| (name(&field), place)).collect();
        Self { names, values: BTreeMap::new(), held_bytes: 0 }
    }

    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Counts rows of a chunk.
    pub(super) fn count(
        &mut self,
        columns: &[Option<Column>],
        starts: &[i64],
        rows: &[u32],
        selected: &BooleanBuffer,
        buckets: &Buckets,
    ) {
        let row_count = starts.len();
        let placed: Vec<Option<u32>> =
            rows.iter().map(|row| buckets.of(starts[*row as usize] as u64).map(|bucket| bucket as u32)).collect();
        for (name, (text, place)) in self.names.iter().enumerate() {
            if columns.get(*place).is_none_or(Option::is_none) {
                continue;
            }
            let by = By { name: String::new(), places: vec![*place] };
            let codes = Codes::new(columns, &by, row_count);
            let mut of_chunk: HashMap<(bool, u32), Sparse, RandomState> = HashMap::default();
            for (row, bucket) in rows.iter().map(|row| *row as usize).zip(&placed) {
                let (code, Some(bucket)) = (codes.code(row), bucket) else { continue };
                if code != NIL {
                    add(of_chunk.entry((selected.value(row), code)).or_default(), *bucket, 1);
                }
            }
            for ((class, code), counts) in of_chunk {
                let label = codes.label(code);
                match &label.0 {
                    Value::Nil | Value::Array(_) => continue,
                    // An empty message says nothing.
                    Value::String(empty) if empty.is_empty() && text == "statusMessage" => continue,
                    _ => {}
                }
                let values = self.values.entry((class, name)).or_default();
                let mut bytes = 0;
                let known = values.by_value.entry(label).or_insert_with_key(|Label(value)| {
                    bytes = 96 + if let Value::String(text) = value { text.len() as u64 } else { 0 };
                    Sparse::new()
                });
                for (bucket, count) in counts {
                    add(&mut values.all, bucket, count);
                    bytes += if add(known, bucket, count) { 16 } else { 0 };
                }
                self.held_bytes += bytes;
            }
        }
    }

    /// How many series there will be.
    pub(super) fn series_count(&self, top: usize) -> usize {
        self.values.values().map(|values| values.by_value.len().min(top) + 2).sum()
    }

    /// The series: for each class and attribute the most frequent values, and how many spans have any.
    pub(super) fn into_series(self, top: usize, buckets: &Buckets) -> Vec<Series> {
        let mut series = Vec::new();
        let dense = |counts: &Sparse| {
            let mut samples: Vec<(i64, f64)> =
                (0..buckets.count).map(|bucket| (buckets.edge_ms(bucket), 0.0)).collect();
            counts.iter().for_each(|(bucket, count)| samples[*bucket as usize].1 = *count as f64);
            samples
        };
        let meta = |name: &str, value: &str| (format!("__meta_{name}"), Value::String(value.to_owned()));
        for ((selected, name), values) in self.values {
            let class = if selected { "selection" } else { "baseline" };
            let name = &self.names[name].0;
            let total = |counts: &Sparse| counts.iter().map(|(_, count)| count).sum::<u64>();
            let mut ranked: Vec<(Label, Sparse)> = values.by_value.into_iter().collect();
            let more = ranked.len() > top;
            ranked.sort_by_cached_key(|(_, counts)| Reverse(total(counts)));
            ranked.truncate(top);
            for (Label(value), counts) in ranked {
                let labels = vec![meta("type", class), (name.clone(), value)];
                series.push(Series { labels, samples: dense(&counts), exemplars: Vec::new() });
            }
            if more {
                let labels =
                    vec![meta("type", class), meta("error", "__too_many_values__"), (name.clone(), Value::Nil)];
                series.push(Series { labels, samples: dense(&Sparse::new()), exemplars: Vec::new() });
            }
            let labels = vec![meta("type", &format!("{class}_total")), (name.clone(), Value::Nil)];
            series.push(Series { labels, samples: dense(&values.all), exemplars: Vec::new() });
        }
        series
    }
}
