//! Numbers that look random and depend on their seed alone, today and in every later version. Not for secrets.

/// A sequence of numbers (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    state: u64,
}

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl Dice {
    /// The sequence of some words: different words give sequences without likeness.
    pub(crate) fn new(words: &[u64]) -> Self {
        let state = words
            .iter()
            .fold(0x5b2_7a11, |state: u64, word| mix(state ^ mix(word.wrapping_add(0x9e37_79b9_7f4a_7c15))));
        Self { state }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`; 0 for 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number of the range, its end included.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// At least 0 and below 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether something happens that happens in `percent` of a hundred cases.
    pub(crate) fn percent(&mut self, percent: f64) -> bool {
        self.share() * 100.0 < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// Nanoseconds around a median of microseconds: half of them between 0.75 and 1.3 times it, none below a third or above
    /// three times. Skewed to the right, as durations are.
    pub(crate) fn micros(&mut self, median: u64) -> u64 {
        // Three dice together are nearly a bell.
        let bell = (self.share() + self.share() + self.share()) / 1.5 - 1.0;
        (median as f64 * 1_000.0 * (bell * 1.0986).exp()) as u64
    }

    /// An id that is not zero.
    pub(crate) fn id(&mut self) -> [u8; 8] {
        self.next().max(1).to_be_bytes()
    }

    /// `digits` lower-case hexadecimal digits, at most 16.
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        let mut hex = format!("{:016x}", self.next());
        hex.truncate(digits);
        hex
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_for_ever() {
        let mut dice = Dice::new(&[1, 2]);
        let first: Vec<u64> = (0..3).map(|_| dice.below(1_000)).collect();
        let mut again = Dice::new(&[1, 2]);
        assert_eq!(first, (0..3).map(|_| again.below(1_000)).collect::<Vec<_>>());
        let mut other = Dice::new(&[2, 1]);
        assert_ne!(first, (0..3).map(|_| other.below(1_000)).collect::<Vec<_>>());
        let mut durations: Vec<u64> = (0..1_001).map(|_| dice.micros(900)).collect();
        durations.sort_unstable();
        assert!(durations[0] >= 300_000 && durations[1_000] <= 2_700_000);
        assert!((840_000..960_000).contains(&durations[500]), "{}", durations[500]);
    }
}
