//! Which of the values found come together, and which pairs say more than either alone: a third look at the spans, for a
//! few values only.

use super::{Difference, Seen, Tally, ValueCounts, certain};

/// Most values of which it is counted which come together.
pub const MAX_TRACKED: usize = 64;
/// Two values at least so correlated are one finding.
const TOGETHER_PHI: f64 = 0.95;
/// Of so many values pairs are tried.
const PAIRED: usize = 10;
/// A pair is kept if its score is higher by this than either one's.
const PAIR_GAIN: f64 = 0.1;

/// How often tracked values come together, in the selection and in the baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JointCounts {
    tracked: Vec<(String, Option<String>)>,
    /// By pair of tracked values, the smaller first; a value with itself is how often it comes at all.
    selected: Vec<Tally>,
    baseline: Vec<Tally>,
    all_selected: Tally,
    all_baseline: Tally,
}

/// Two values that together say more than either alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Key and value of the one.
    pub first: (String, Option<String>),
    /// Key and value of the other.
    pub second: (String, Option<String>),
    /// Share of the selection that has both, weighed.
    pub selected_share: f64,
    /// Share of the baseline that has both, weighed.
    pub baseline_share: f64,
    /// What is certain of the difference.
    pub score: f64,
}

impl JointCounts {
    /// Tracks the first [`MAX_TRACKED`] of the values found.
    pub fn new(differences: &[Difference]) -> Self {
        let tracked: Vec<_> =
            differences.iter().take(MAX_TRACKED).map(|one| (one.key.clone(), one.value.clone())).collect();
        let cells = tracked.len() * tracked.len();
        Self {
            tracked,
            selected: vec![Tally::default(); cells],
            baseline: vec![Tally::default(); cells],
            all_selected: Tally::default(),
            all_baseline: Tally::default(),
        }
    }

    /// Counts a span of the selection or of the baseline; as [`ValueCounts::add`].
    pub fn add<'a>(
        &mut self,
        is_selected: bool,
        weight: u64,
        attributes: impl IntoIterator<Item = (&'a str, Seen<'a>)>,
    ) {
        let attributes: Vec<(&str, Seen<'_>)> = attributes.into_iter().collect();
        let holds = |(key, value): &(String, Option<String>)| {
            let seen = attributes.iter().find(|(other, _)| other == key).map(|(_, seen)| seen);
            match (seen, value) {
                (None, None) => true,
                (Some(Seen::Text(text)), Some(value)) => text == value,
                (Some(Seen::Number(number)), Some(value)) => number.to_string() == *value,
                _ => false,
            }
        };
        let held: Vec<usize> = (0..self.tracked.len()).filter(|at| holds(&self.tracked[*at])).collect();
        let (cells, all) = match is_selected {
            true => (&mut self.selected, &mut self.all_selected),
            false => (&mut self.baseline, &mut self.all_baseline),
        };
        all.add(weight);
        for (at, first) in held.iter().enumerate() {
            for second in &held[at..] {
                cells[first * self.tracked.len() + second].add(weight);
            }
        }
    }

    /// The values that are tracked.
    pub fn tracked(&self) -> &[(String, Option<String>)] {
        &self.tracked
    }

    /// Counts so many spans of weight [`WEIGHT_ONE`](super::WEIGHT_ONE) that have the same tracked values: a bit for each that they
    /// have, the first one lowest.
    pub fn add_held(&mut self, is_selected: bool, held: u64, count: u64) {
        let places: Vec<usize> = (0..self.tracked.len()).filter(|place| held >> place & 1 == 1).collect();
        let (cells, all) = match is_selected {
            true => (&mut self.selected, &mut self.all_selected),
            false => (&mut self.baseline, &mut self.all_baseline),
        };
        all.add_many(count);
        for (at, first) in places.iter().enumerate() {
            for second in &places[at..] {
                cells[first * self.tracked.len() + second].add_many(count);
            }
        }
    }

    /// Adds what was counted elsewhere of the same values.
    pub fn merge(&mut self, other: &Self) {
        if self.tracked != other.tracked {
            return;
        }
        self.selected.iter_mut().zip(&other.selected).for_each(|(ours, theirs)| ours.merge(theirs));
        self.baseline.iter_mut().zip(&other.baseline).for_each(|(ours, theirs)| ours.merge(theirs));
        self.all_selected.merge(&other.all_selected);
        self.all_baseline.merge(&other.all_baseline);
    }

    fn cell(&self, first: usize, second: usize) -> usize {
        first.min(second) * self.tracked.len() + first.max(second)
    }

    /// The correlation φ of two values over both sides.
    fn phi(&self, first: usize, second: usize) -> f64 {
        let count = |a: usize, b: usize| {
            let cell = self.cell(a, b);
            (self.selected[cell].count + self.baseline[cell].count) as f64
        };
        let all = (self.all_selected.count + self.all_baseline.count) as f64;
        let (a, b, both) = (count(first, first), count(second, second), count(first, second));
        let spread = (a * (all - a) * b * (all - b)).sqrt();
        if spread <= 0.0 { 0.0 } else { (both * all - a * b) / spread }
    }
}

/// Folds values that nearly always come together into the one that says most; the order stays.
pub fn merge_together(differences: Vec<Difference>, joint: &JointCounts) -> Vec<Difference> {
    let place = |one: &Difference| joint.tracked.iter().position(|(key, value)| *key == one.key && *value == one.value);
    let mut kept: Vec<(Option<usize>, Difference)> = Vec::new();
    for one in differences {
        let at = place(&one);
        // Only tracked values are compared, so this is at most their number each time.
        let leader = kept.iter_mut().filter(|(leader, _)| leader.is_some()).find(|(leader, kept)| match (leader, at) {
            (Some(leader), Some(at)) => {
                kept.score.signum() == one.score.signum() && joint.phi(*leader, at) >= TOGETHER_PHI
            }
            _ => false,
        });
        match leader {
            Some((_, leader)) => leader.together.push((one.key, one.value)),
            None => kept.push((at, one)),
        }
    }
    kept.into_iter().map(|(_, one)| one).collect()
}

/// Pairs among the first ten values that the selection has more often, whose score is well above either one's; best first.
pub fn pairs(differences: &[Difference], joint: &JointCounts) -> Vec<Pair> {
    let place = |one: &Difference| joint.tracked.iter().position(|(key, value)| *key == one.key && *value == one.value);
    let top: Vec<(usize, &Difference)> = differences
        .iter()
        .filter(|one| one.score > 0.0)
        .filter_map(|one| Some((place(one)?, one)))
        .take(PAIRED)
        .collect();
    let mut found = Vec::new();
    for (at, (first, one)) in top.iter().enumerate() {
        for (second, other) in top[at + 1..].iter().filter(|(_, other)| other.key != one.key) {
            let cell = joint.cell(*first, *second);
            let (a, b) = (&joint.selected[cell], &joint.baseline[cell]);
            let score = certain(a, &joint.all_selected, b, &joint.all_baseline);
            if score >= one.score.max(other.score) + PAIR_GAIN {
                found.push(Pair {
                    first: (one.key.clone(), one.value.clone()),
                    second: (other.key.clone(), other.value.clone()),
                    selected_share: a.share_of(&joint.all_selected),
                    baseline_share: b.share_of(&joint.all_baseline),
                    score,
                });
            }
        }
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| (&a.first, &a.second).cmp(&(&b.first, &b.second))));
    found
}

impl ValueCounts {
    /// Spans counted, with their weights.
    pub fn all(&self) -> Tally {
        self.all
    }
}
