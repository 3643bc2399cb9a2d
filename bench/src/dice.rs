//! Chance with a fixed outcome: the random numbers corpora are made of.
//!
//! Written out here because a corpus must keep its bytes for ever: a library may change its algorithm between versions.
//! It must not be used where unpredictability matters.

/// A SplitMix64 generator (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// 64 even bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below zero");
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number of the closed range.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A number of [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of a non-empty list.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }

    /// A log-normal amount around `median`: how latencies spread.
    pub fn spread(&mut self, median: f64, sigma: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.unit()).cos();
        median * (sigma * normal).exp()
    }

    /// An exponentially distributed amount: the gap between two arrivals.
    pub fn gap(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// `N` even bytes, not all zero.
    pub fn id<const N: usize>(&mut self) -> [u8; N] {
        let mut id = [0; N];
        for chunk in id.chunks_mut(8) {
            let bits = self.bits().to_be_bytes();
            chunk.copy_from_slice(&bits[..chunk.len()]);
        }
        if id.iter().all(|byte| *byte == 0) {
            id[N - 1] = 1;
        }
        id
    }

    /// `digits` lower-case hexadecimal digits.
    pub fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits);
        let mut bits = 0;
        for position in 0..digits {
            if position % 16 == 0 {
                bits = self.bits();
            }
            text.push(char::from(b"0123456789abcdef"[(bits & 15) as usize]));
            bits >>= 4;
        }
        text
    }

    /// A version 4 UUID in its usual form.
    pub fn uuid(&mut self) -> String {
        let mut text = self.hex(36);
        for (position, mark) in [(8, "-"), (13, "-"), (14, "4"), (18, "-"), (23, "-")] {
            text.replace_range(position..=position, mark);
        }
        let variant = *self.pick(&["8", "9", "a", "b"]);
        text.replace_range(19..=19, variant);
        text
    }
}

/// Ranks drawn by Zipf's law: rank 0 is the most frequent.
#[derive(Debug, Clone)]
pub struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    /// `ranks` ranks (at least 1) with weights falling as `1 / rank^exponent`.
    pub fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let cumulative = (1..=ranks.max(1)).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Self { cumulative: cumulative.collect() }
    }

    /// One rank.
    pub fn draw(&self, dice: &mut Dice) -> usize {
        let sum = self.cumulative.last().copied().unwrap_or(0.0);
        let at = dice.unit() * sum;
        self.cumulative.partition_point(|upto| *upto <= at).min(self.cumulative.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_never_changes() {
        let mut dice = Dice::new(1);
        // The reference implementation's first outputs for seed 1.
        assert_eq!([dice.bits(), dice.bits()], [0x910a_2dec_8902_5cc1, 0xbeeb_8da1_658e_ec67]);
        let uuid = Dice::new(7).uuid();
        assert_eq!((uuid.len(), &uuid[14..15], uuid.matches('-').count()), (36, "4", 4));
    }

    #[test]
    fn zipf_prefers_low_ranks() {
        let (zipf, mut dice) = (Zipf::new(1000, 1.0), Dice::new(3));
        let mut counts = [0u32; 1000];
        for _ in 0..20_000 {
            counts[zipf.draw(&mut dice)] += 1;
        }
        assert!(counts[0] > 2 * counts[3] && counts[0] > 2000, "{} {}", counts[0], counts[3]);
    }
}
