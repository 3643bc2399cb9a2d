//! Which attribute values a selection of spans has more often than a baseline does.
//!
//! For each value: a of n selected, b of m others. The score is what is certain of the difference, the gap between the
//! 95 % Wilson intervals of a/n and b/m, so that a value seen twice never beats one seen a thousand times. Two phases:
//! count the selection, then count the baseline with every value of the selection counted exactly
//! ([`ValueCounts::beside`]). Counts are whole numbers and add up, so either may be counted in parts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::finding::share;

mod joint;

pub use joint::{JointCounts, MAX_TRACKED, Pair, merge_together, pairs};

/// The weight of a span that stands for itself alone; one that was sampled stands for as many as its sampling threshold
/// says.
pub const WEIGHT_ONE: u64 = 1 << 16;
/// Values of one key that are counted; later ones are not, unless they are candidates.
pub const MAX_VALUES_PER_KEY: usize = 10_000;
/// Keys that are counted; later ones are not.
pub const MAX_KEYS: usize = 5_000;

/// Fewer spans than this say nothing.
const LEAST_SPANS: u64 = 5;
/// A quantile of the normal distribution: 95 % lie within so many deviations.
const Z95: f64 = 1.959_963_984_540_054;

/// An attribute's value as it is counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Seen<'a> {
    /// Any value as text.
    Text(&'a str),
    /// A number, which is also compared as a distribution.
    Number(f64),
}

/// Spans counted and the sums of their weights, in sixty-five-thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Spans.
    pub count: u64,
    weight: u128,
    squares: u128,
}

impl Tally {
    fn add(&mut self, weight: u64) {
        self.count = self.count.saturating_add(1);
        self.weight = self.weight.saturating_add(weight.into());
        self.squares = self.squares.saturating_add(u128::from(weight) * u128::from(weight));
    }

    /// Spans of weight one.
    fn add_many(&mut self, count: u64) {
        let weight = u128::from(WEIGHT_ONE);
        self.merge(&Self { count, weight: weight * u128::from(count), squares: weight * weight * u128::from(count) });
    }

    fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.weight = self.weight.saturating_add(other.weight);
        self.squares = self.squares.saturating_add(other.squares);
    }

    fn without(&self, other: &Self) -> Self {
        Self {
            count: self.count.saturating_sub(other.count),
            weight: self.weight.saturating_sub(other.weight),
            squares: self.squares.saturating_sub(other.squares),
        }
    }

    /// As many equally weighed spans as say the same.
    fn effective(&self) -> f64 {
        if self.squares == 0 { 0.0 } else { self.weight as f64 * self.weight as f64 / self.squares as f64 }
    }

    fn share_of(&self, all: &Self) -> f64 {
        if all.weight == 0 { 0.0 } else { (self.weight as f64 / all.weight as f64).clamp(0.0, 1.0) }
    }
}

/// What was counted of one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct KeyCounts {
    present: Tally,
    values: BTreeMap<String, Tally>,
    /// Bytes of the values' texts.
    text_bytes: u64,
    /// Whether some values were not counted.
    is_cut: bool,
    /// Weights of numbers by the leading bits of the number, in order.
    numbers: BTreeMap<u32, u128>,
}

/// How often each attribute value occurs in a set of spans.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ValueCounts {
    all: Tally,
    keys: BTreeMap<String, KeyCounts>,
}

impl ValueCounts {
    /// Empty counts of a baseline in which every value of the selection will be counted, whatever the bounds.
    pub fn beside(selected: &Self) -> Self {
        let empty = |(key, counts): (&String, &KeyCounts)| {
            let values = counts.values.keys().map(|value| (value.clone(), Tally::default())).collect();
            (key.clone(), KeyCounts { values, text_bytes: counts.text_bytes, ..KeyCounts::default() })
        };
        Self { all: Tally::default(), keys: selected.keys.iter().map(empty).collect() }
    }

    /// Counts a span; of a key that comes twice the first value. `weight` is in multiples of [`WEIGHT_ONE`].
    pub fn add<'a>(&mut self, weight: u64, attributes: impl IntoIterator<Item = (&'a str, Seen<'a>)>) {
        self.all.add(weight);
        let mut done: Vec<&str> = Vec::new();
        for (key, value) in attributes {
            if done.contains(&key) {
                continue;
            }
            done.push(key);
            if !self.keys.contains_key(key) {
                if self.keys.len() >= MAX_KEYS {
                    continue;
                }
                self.keys.insert(key.to_owned(), KeyCounts::default());
            }
            if let Some(counts) = self.keys.get_mut(key) {
                counts.add(weight, value);
            }
        }
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.all.merge(&other.all);
        for (key, theirs) in &other.keys {
            if self.keys.len() >= MAX_KEYS && !self.keys.contains_key(key) {
                continue;
            }
            let ours = self.keys.entry(key.clone()).or_default();
            ours.present.merge(&theirs.present);
            ours.is_cut |= theirs.is_cut;
            for (value, tally) in &theirs.values {
                if let Some(of) = ours.value(value) {
                    of.merge(tally);
                }
            }
            for (bits, weight) in &theirs.numbers {
                let of = ours.numbers.entry(*bits).or_default();
                *of = of.saturating_add(*weight);
            }
        }
    }

    /// Counts so many spans of weight [`WEIGHT_ONE`]. Which values they have is told by [`ValueCounts::add_value`].
    pub fn add_spans(&mut self, count: u64) {
        self.all.add_many(count);
    }

    /// Counts a value that so many of the spans of [`ValueCounts::add_spans`] have. Each span has one value of a key at most.
    pub fn add_value(&mut self, key: &str, value: Seen<'_>, count: u64) {
        if !self.keys.contains_key(key) {
            if self.keys.len() >= MAX_KEYS {
                return;
            }
            self.keys.insert(key.to_owned(), KeyCounts::default());
        }
        if let Some(counts) = self.keys.get_mut(key) {
            counts.add_many(count, value);
        }
    }

    /// Spans counted.
    pub fn span_count(&self) -> u64 {
        self.all.count
    }

    /// Values that are counted, of all keys.
    pub fn value_count(&self) -> usize {
        self.keys.values().map(|counts| counts.values.len() + counts.numbers.len()).sum()
    }

    /// Bytes of the texts of all counted values.
    pub fn text_bytes(&self) -> u64 {
        self.keys.values().map(|counts| counts.text_bytes).sum()
    }

    /// The number below which a share of a key's numbers lies, within 3 %; nothing when it has none.
    pub fn number_quantile(&self, key: &str, share: f64) -> Option<f64> {
        let numbers = &self.keys.get(key)?.numbers;
        let all = numbers.values().fold(0u128, |sum, weight| sum.saturating_add(*weight));
        let rank = all as f64 * share.clamp(0.0, 1.0);
        let mut below = 0u128;
        let at = numbers.iter().find(|(_, weight)| {
            below = below.saturating_add(**weight);
            below as f64 >= rank
        });
        at.or_else(|| numbers.last_key_value()).map(|(bits, _)| of_leading_bits(*bits))
    }
}

impl KeyCounts {
    fn add_many(&mut self, count: u64, value: Seen<'_>) {
        self.present.add_many(count);
        let text = match value {
            Seen::Text(text) => Cow::Borrowed(text),
            Seen::Number(number) => {
                let of = self.numbers.entry(leading_bits(number)).or_default();
                *of = of.saturating_add(u128::from(WEIGHT_ONE) * u128::from(count));
                Cow::Owned(number.to_string())
            }
        };
        if let Some(of) = self.value(&text) {
            of.add_many(count);
        }
    }

    fn add(&mut self, weight: u64, value: Seen<'_>) {
        self.present.add(weight);
        match value {
            Seen::Text(text) => {
                if let Some(of) = self.value(text) {
                    of.add(weight);
                }
            }
            Seen::Number(number) => {
                let of = self.numbers.entry(leading_bits(number)).or_default();
                *of = of.saturating_add(weight.into());
                if let Some(of) = self.value(&number.to_string()) {
                    of.add(weight);
                }
            }
        }
    }

    fn value(&mut self, value: &str) -> Option<&mut Tally> {
        if !self.values.contains_key(value) {
            if self.values.len() >= MAX_VALUES_PER_KEY {
                self.is_cut = true;
                return None;
            }
            self.values.insert(value.to_owned(), Tally::default());
            self.text_bytes += value.len() as u64;
        }
        self.values.get_mut(value)
    }

    /// Whether nearly every span has a value of its own, as ids do.
    fn is_identity(&self) -> bool {
        self.is_cut || self.present.count >= 20 && share(self.values.len() as u64, self.present.count) > 0.5
    }
}

/// Sign, exponent and five bits of a number, in its order: about 3 % apart.
fn leading_bits(number: f64) -> u32 {
    let bits = number.to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    (ordered >> 47) as u32
}

/// The middle of the numbers that begin with these bits.
fn of_leading_bits(leading: u32) -> f64 {
    let ordered = u64::from(leading) << 47 | 1 << 46;
    f64::from_bits(if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered })
}

/// A value that one side has certainly more often than the other, or a number that is distributed differently.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Key of the attribute.
    pub key: String,
    /// The value; nothing for spans without the attribute.
    pub value: Option<String>,
    /// Spans of the selection that have it.
    pub selected: u64,
    /// Spans of the baseline that have it.
    pub baseline: u64,
    /// Their share of the selection, weighed.
    pub selected_share: f64,
    /// Their share of the baseline, weighed.
    pub baseline_share: f64,
    /// What is certain of the difference of shares, 0 to 1; negative for what the selection has less often.
    pub score: f64,
    /// G statistic of the two shares: breaks ties.
    pub g: f64,
    /// Values of other keys that nearly always come with it (φ >= 0.95).
    pub together: Vec<(String, Option<String>)>,
}

/// A key of numbers that are distributed differently.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberShift {
    /// Key of the attribute.
    pub key: String,
    /// Kolmogorov-Smirnov D: the greatest distance between the two distribution functions, over buckets 3 % apart.
    pub d: f64,
}

/// What a selection has in common.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Breakdown {
    /// Values, the most certain difference first.
    pub differences: Vec<Difference>,
    /// Keys of numbers, the greatest shift first.
    pub numbers: Vec<NumberShift>,
    /// Keys left out because nearly every span has its own value.
    pub identity_keys: Vec<String>,
}

/// Lower and upper end of the 95 % Wilson interval of a share seen in so many spans.
pub fn wilson(share: f64, count: f64) -> (f64, f64) {
    if count <= 0.0 {
        return (0.0, 1.0);
    }
    let z2 = Z95 * Z95;
    let centre = (share + z2 / (2.0 * count)) / (1.0 + z2 / count);
    let half = Z95 / (1.0 + z2 / count) * (share * (1.0 - share) / count + z2 / (4.0 * count * count)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// The certain part of the difference of two shares, with its sign.
fn certain(a: &Tally, selected: &Tally, b: &Tally, baseline: &Tally) -> f64 {
    let (a_low, a_high) = wilson(a.share_of(selected), selected.effective());
    let (b_low, b_high) = wilson(b.share_of(baseline), baseline.effective());
    if a_low > b_high {
        a_low - b_high
    } else if b_low > a_high {
        a_high - b_low
    } else {
        0.0
    }
}

fn g_statistic(a: u64, n: u64, b: u64, m: u64) -> f64 {
    let all = (n + m) as f64;
    let (has, lacks) = ((a + b) as f64, all - (a + b) as f64);
    let term = |seen: u64, row: f64, column: u64| {
        let expected = row * column as f64 / all;
        if seen == 0 || expected <= 0.0 { 0.0 } else { seen as f64 * (seen as f64 / expected).ln() }
    };
    let sum =
        term(a, has, n) + term(n.saturating_sub(a), lacks, n) + term(b, has, m) + term(m.saturating_sub(b), lacks, m);
    (2.0 * sum).max(0.0)
}

/// Compares a selection with a baseline. Keys in `chosen_by` made the selection and are left out, as are keys whose values
/// identify spans. A value counts from five spans and 1 % of the side that has it more often.
pub fn breakdown(selected: &ValueCounts, baseline: &ValueCounts, chosen_by: &[&str]) -> Breakdown {
    let mut found = Breakdown::default();
    let nothing = KeyCounts::default();
    let least = |all: &Tally| LEAST_SPANS.max(all.count.div_ceil(100));
    let mut keys: Vec<&String> = selected.keys.keys().chain(baseline.keys.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys.into_iter().filter(|key| !chosen_by.contains(&key.as_str())) {
        let (ours, theirs) = (selected.keys.get(key).unwrap_or(&nothing), baseline.keys.get(key).unwrap_or(&nothing));
        if let Some(d) = kolmogorov_smirnov(ours, theirs) {
            found.numbers.push(NumberShift { key: key.clone(), d });
        }
        let mut judge = |value: Option<&String>, a: &Tally, b: &Tally| {
            let score = certain(a, &selected.all, b, &baseline.all);
            let enough = if score > 0.0 { a.count >= least(&selected.all) } else { b.count >= least(&baseline.all) };
            let judged = selected.all.count.min(baseline.all.count) >= LEAST_SPANS;
            if score != 0.0 && enough && judged {
                found.differences.push(Difference {
                    key: key.clone(),
                    value: value.cloned(),
                    selected: a.count,
                    baseline: b.count,
                    selected_share: a.share_of(&selected.all),
                    baseline_share: b.share_of(&baseline.all),
                    score,
                    g: g_statistic(a.count, selected.all.count, b.count, baseline.all.count),
                    together: Vec::new(),
                });
            }
        };
        judge(None, &selected.all.without(&ours.present), &baseline.all.without(&theirs.present));
        if ours.is_identity() || ours.present.count == 0 && theirs.is_identity() {
            if ours.numbers.is_empty() && theirs.numbers.is_empty() {
                found.identity_keys.push(key.clone());
            }
            continue;
        }
        let none = Tally::default();
        let mut values: Vec<&String> = ours.values.keys().chain(theirs.values.keys()).collect();
        values.sort_unstable();
        values.dedup();
        for value in values {
            judge(Some(value), ours.values.get(value).unwrap_or(&none), theirs.values.get(value).unwrap_or(&none));
        }
    }
    sort(&mut found.differences);
    found.numbers.sort_by(|a, b| b.d.total_cmp(&a.d).then_with(|| a.key.cmp(&b.key)));
    found
}

fn sort(differences: &mut [Difference]) {
    differences.sort_by(|a, b| {
        let certain = b.score.abs().total_cmp(&a.score.abs()).then_with(|| b.g.total_cmp(&a.g));
        certain.then_with(|| (&a.key, &a.value).cmp(&(&b.key, &b.value)))
    });
}

/// D of two sets of numbers; nothing unless both have at least five kinds of them.
fn kolmogorov_smirnov(ours: &KeyCounts, theirs: &KeyCounts) -> Option<f64> {
    const LEAST: usize = 5;
    if ours.numbers.len() < LEAST || theirs.numbers.len() < LEAST {
        return None;
    }
    let sum = |counts: &KeyCounts| counts.numbers.values().fold(0u128, |sum, weight| sum.saturating_add(*weight));
    let (our_sum, their_sum) = (sum(ours) as f64, sum(theirs) as f64);
    let mut bits: Vec<u32> = ours.numbers.keys().chain(theirs.numbers.keys()).copied().collect();
    bits.sort_unstable();
    bits.dedup();
    let (mut a, mut b, mut d) = (0u128, 0u128, 0f64);
    for bits in bits {
        a = a.saturating_add(ours.numbers.get(&bits).copied().unwrap_or(0));
        b = b.saturating_add(theirs.numbers.get(&bits).copied().unwrap_or(0));
        d = d.max((a as f64 / our_sum - b as f64 / their_sum).abs());
    }
    Some(d)
}

#[cfg(test)]
mod tests;
