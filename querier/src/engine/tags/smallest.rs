//! Distinct values within bounds: whatever order they come in, the smallest ones stay. It knows values, not where they are from.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use spanlake_block::DistinctValues;
use spanlake_traceql::Value;

/// Bytes that a value other than a text counts.
const SCALAR_BYTES: u64 = 8;

/// A value that attributes have, ordered by type, then value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Ranked {
    Bool(bool),
    Int(i64),
    Double(Total),
    Text(String),
}

/// A double in the total order.
#[derive(Debug, Clone, Copy)]
struct Total(f64);

impl PartialEq for Total {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Total {}

impl PartialOrd for Total {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Total {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Ranked {
    fn bytes(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            _ => SCALAR_BYTES,
        }
    }
}

/// The longest beginning of the ordered distinct values that is within the bounds.
#[derive(Debug)]
pub(super) struct Smallest {
    values: BTreeSet<Ranked>,
    bytes: u64,
    limit: usize,
    max_bytes: u64,
    /// The smallest value that did not fit: from it on, nothing can be in the answer.
    end: Option<Ranked>,
}

impl Smallest {
    /// Nothing yet, and at most so many values that take at most so many bytes.
    pub(super) fn new(limit: usize, max_bytes: u64) -> Self {
        Self { values: BTreeSet::new(), bytes: 0, limit, max_bytes, end: None }
    }

    pub(super) fn push_text(&mut self, text: &str) {
        // Most texts were seen before or come behind the end: those cost no allocation.
        let is_past_end = matches!(&self.end, Some(Ranked::Text(end)) if text >= end.as_str());
        if !is_past_end {
            self.push(Ranked::Text(text.to_owned()));
        }
    }

    pub(super) fn push_int(&mut self, int: i64) {
        self.push(Ranked::Int(int));
    }

    pub(super) fn push_bool(&mut self, bool: bool) {
        self.push(Ranked::Bool(bool));
    }

    /// Adds a double, if it is a number; a negative zero is a zero.
    pub(super) fn push_double(&mut self, double: f64) {
        if !double.is_nan() {
            self.push(Ranked::Double(Total(double + 0.0)));
        }
    }

    pub(super) fn push_all(&mut self, found: DistinctValues) {
        found.bools.into_iter().for_each(|bool| self.push_bool(bool));
        found.ints.into_iter().for_each(|int| self.push_int(int));
        found.doubles.into_iter().for_each(|double| self.push_double(double));
        found.texts.into_iter().for_each(|text| self.push(Ranked::Text(text)));
    }

    pub(super) fn merge(&mut self, other: Self) {
        other.values.into_iter().chain(other.end).for_each(|value| self.push(value));
    }

    fn push(&mut self, value: Ranked) {
        if self.end.as_ref().is_some_and(|end| value >= *end) {
            return;
        }
        let bytes = value.bytes();
        if self.values.insert(value) {
            self.bytes += bytes;
        }
        while self.values.len() > self.limit || self.bytes > self.max_bytes {
            let Some(last) = self.values.pop_last() else { break };
            self.bytes -= last.bytes();
            self.end = Some(last);
        }
    }

    /// The values in order.
    pub(super) fn into_values(self) -> Vec<Value> {
        let value = |ranked| match ranked {
            Ranked::Bool(bool) => Value::Bool(bool),
            Ranked::Int(int) => Value::Int(int),
            Ranked::Double(double) => Value::Float(double.0),
            Ranked::Text(text) => Value::String(text),
        };
        self.values.into_iter().map(value).collect()
    }

    /// The texts in order.
    pub(super) fn into_texts(self) -> Vec<String> {
        let text = |ranked| match ranked {
            Ranked::Text(text) => Some(text),
            _ => None,
        };
        self.values.into_iter().filter_map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(limit: usize, max_bytes: u64, texts: &[&str]) -> Vec<String> {
        let mut smallest = Smallest::new(limit, max_bytes);
        texts.iter().for_each(|text| smallest.push_text(text));
        smallest.into_texts()
    }

    #[test]
    fn the_smallest_stay_whatever_the_order() {
        let cases: [(usize, u64, &[&str]); 7] = [
            (10, 100, &["a", "bb", "ccc", "d"]),
            (2, 100, &["a", "bb"]),
            (10, 3, &["a", "bb"]),
            // A value behind one that does not fit is left out even if it would fit.
            (10, 4, &["a", "bb"]),
            (10, 2, &["a"]),
            (10, 0, &[]),
            (0, 100, &[]),
        ];
        let orders =
            [["a", "bb", "ccc", "d"], ["d", "ccc", "bb", "a"], ["ccc", "a", "d", "bb"], ["bb", "d", "a", "ccc"]];
        for (limit, max_bytes, expect) in cases {
            for texts in orders {
                assert_eq!(kept(limit, max_bytes, &texts), expect, "{limit} {max_bytes} {texts:?}");
                let (mut left, mut right) = (Smallest::new(limit, max_bytes), Smallest::new(limit, max_bytes));
                texts[..2].iter().for_each(|text| left.push_text(text));
                texts[1..].iter().for_each(|text| right.push_text(text));
                left.merge(right);
                assert_eq!(left.into_texts(), expect, "{limit} {max_bytes} {texts:?}");
            }
        }
    }

    #[test]
    fn values_are_ordered_by_type() {
        let mut smallest = Smallest::new(10, 100);
        smallest.push_text("a");
        [1.5, f64::NAN, -0.0, 0.0].into_iter().for_each(|double| smallest.push_double(double));
        smallest.push_int(7);
        smallest.push_bool(true);
        let expect =
            [Value::Bool(true), Value::Int(7), Value::Float(0.0), Value::Float(1.5), Value::String("a".to_owned())];
        assert_eq!(smallest.into_values(), expect);
    }
}
