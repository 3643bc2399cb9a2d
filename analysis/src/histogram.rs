//! Durations of one operation, counted in buckets of equal relative width: the baseline that spans are compared with.
//!
//! A bucket is named by the highest six bits of a value: 0 to 63 have a bucket each, from there on each power of two is
//! split into 32 buckets of equal width. A bucket's width is at most 1/32 of its lowest value, so the
//! middle of a bucket is off by less than 1/64 (1.6 %) from every value in it. Counts add up, so histograms
//! merge exactly, in any order, and equal contents have equal bytes.

/// Version of the encoding.
const VERSION: u8 = 1;
/// Bits of a value, below its highest, that tell its bucket.
const SUB_BITS: u32 = 5;
/// Values below this have a bucket each.
const EXACT: u64 = 1 << (SUB_BITS + 1);
/// Buckets of the values of 64 bits.
const BUCKET_COUNT: usize = ((64 - SUB_BITS as usize) << SUB_BITS) + (1 << SUB_BITS);

/// The largest relative error of a quantile.
pub const RELATIVE_ERROR: f64 = 1.0 / (1 << (SUB_BITS + 1)) as f64;

/// Why bytes are no histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HistogramError {
    /// They end in the middle of a number.
    #[error("the histogram ends in the middle of a number")]
    Short,
    /// The first byte is a version that this program does not know.
    #[error("the histogram has version {0}: only version 1 is known")]
    Version(u8),
    /// A number does not fit, repeats a bucket, or contradicts another.
    #[error("the histogram has a number at byte {at} that does not fit the others")]
    Inconsistent {
        /// Where the number ends.
        at: usize,
    },
}

/// Counts by bucket, with the exact count, sum, least and greatest value. Sums and counts stop at the greatest number
/// of 64 bits instead of wrapping.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    /// Bucket and count, by bucket; no count is 0.
    buckets: Vec<(u16, u64)>,
    count: u64,
    sum: u64,
    least: u64,
    greatest: u64,
}

fn bucket(value: u64) -> u16 {
    if value < EXACT {
        return value as u16;
    }
    let shift = value.ilog2() - SUB_BITS;
    (((shift as u64) << SUB_BITS) + (value >> shift)) as u16
}

fn log(value: u64) -> f64 {
    (value.max(1) as f64).ln()
}

/// Median of a histogram and median absolute deviation from it, of logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: u64,
    centre: f64,
    /// At least the width of a bucket, so that values which never vary do not make every other one extreme.
    deviation: f64,
}

impl Spread {
    /// How many robust deviations a value is above the median: `(ln v - median) / (1.4826 MAD)`.
    pub fn z(&self, value: u64) -> f64 {
        (log(value) - self.centre) / (1.4826 * self.deviation)
    }
}

/// Least and greatest value of a bucket.
fn bounds(bucket: u16) -> (u64, u64) {
    let bucket = u64::from(bucket);
    if bucket < EXACT {
        return (bucket, bucket);
    }
    let shift = (bucket >> SUB_BITS) - 1;
    let top = bucket - (shift << SUB_BITS);
    let low = top << shift;
    (low, low + ((1 << shift) - 1))
}

fn middle(bucket: u16) -> u64 {
    let (low, high) = bounds(bucket);
    low + (high - low) / 2
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        self.record_many(value, 1);
    }

    /// Counts a value several times.
    pub fn record_many(&mut self, value: u64, count: u64) {
        if count == 0 {
            return;
        }
        self.least = if self.count == 0 { value } else { self.least.min(value) };
        self.greatest = self.greatest.max(value);
        self.sum = self.sum.saturating_add(value.saturating_mul(count));
        self.count = self.count.saturating_add(count);
        self.add(bucket(value), count);
    }

    fn add(&mut self, bucket: u16, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |(other, _)| *other) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }

    /// Adds all of another's values.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.least = if self.count == 0 { other.least } else { self.least.min(other.least) };
        self.greatest = self.greatest.max(other.greatest);
        self.sum = self.sum.saturating_add(other.sum);
        self.count = self.count.saturating_add(other.count);
        for (bucket, count) in &other.buckets {
            self.add(*bucket, *count);
        }
    }

    /// The memory that its buckets take, beside itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<(u16, u64)>()
    }

    /// Greatest value and count of each bucket that has any, ascending.
    pub fn steps(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.buckets.iter().map(|(bucket, count)| (bounds(*bucket).1, *count))
    }

    /// Values counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The least value; nothing when there is none.
    pub fn least(&self) -> Option<u64> {
        (self.count > 0).then_some(self.least)
    }

    /// The greatest value; nothing when there is none.
    pub fn greatest(&self) -> Option<u64> {
        (self.count > 0).then_some(self.greatest)
    }

    /// The value below or at which a share of the values lies, within [`RELATIVE_ERROR`]; 0 and 1 give the least and the
    /// greatest, exactly. Nothing when there are no values.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let rank = ((self.count as f64 * share.clamp(0.0, 1.0)).ceil() as u64).clamp(1, self.count);
        if rank == 1 {
            return Some(self.least);
        }
        if rank == self.count {
            return Some(self.greatest);
        }
        let mut below = 0u64;
        for (bucket, count) in &self.buckets {
            below = below.saturating_add(*count);
            if below >= rank {
                return Some(middle(*bucket).clamp(self.least, self.greatest));
            }
        }
        Some(self.greatest)
    }

    /// As [`Histogram::quantile`], among `total` values of which those not counted here are 0; 0 when there are none.
    pub fn quantile_with_zeros(&self, share: f64, total: u64) -> u64 {
        let total = total.max(self.count);
        let zeros = total - self.count;
        let rank = ((total as f64 * share.clamp(0.0, 1.0)).ceil() as u64).clamp(1, total.max(1));
        if rank <= zeros || self.count == 0 {
            return 0;
        }
        self.quantile((rank - zeros) as f64 / self.count as f64).unwrap_or(0)
    }

    /// The middle value; 0 when there are none.
    pub fn median(&self) -> u64 {
        self.quantile(0.5).unwrap_or(0)
    }

    /// The share of values below this one; of those in its own bucket the half counts. 0 when there are no values.
    pub fn rank(&self, value: u64) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let own = bucket(value);
        let mut below = 0.0;
        for (other, count) in &self.buckets {
            match other.cmp(&own) {
                std::cmp::Ordering::Less => below += *count as f64,
                std::cmp::Ordering::Equal => below += *count as f64 / 2.0,
                std::cmp::Ordering::Greater => break,
            }
        }
        below / self.count as f64
    }

    /// Median and robust spread, on logarithms: what single values are judged by. Made once for many of them.
    pub fn spread(&self) -> Spread {
        let centre = log(self.median());
        let mut away: Vec<(f64, u64)> =
            self.buckets.iter().map(|(bucket, count)| ((log(middle(*bucket)) - centre).abs(), *count)).collect();
        away.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut seen = 0u64;
        let half = self.count.div_ceil(2);
        let middle = away.into_iter().find(|(_, count)| {
            seen = seen.saturating_add(*count);
            seen >= half
        });
        let deviation = middle.map_or(0.0, |(distance, _)| distance).max(2.0 * RELATIVE_ERROR);
        Spread { median: self.median(), centre, deviation }
    }

    /// The bytes: version 1, then as LEB128 numbers the count of buckets, for each its distance from the one before (the
    /// first from -1) and its count, then sum, least and greatest value if there is any bucket. Equal histograms have
    /// equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        number(&mut bytes, self.buckets.len() as u64);
        let mut next = 0;
        for (bucket, count) in &self.buckets {
            number(&mut bytes, u64::from(bucket - next));
            number(&mut bytes, *count);
            next = bucket + 1;
        }
        if !self.buckets.is_empty() {
            [self.sum, self.least, self.greatest].into_iter().for_each(|value| number(&mut bytes, value));
        }
        bytes
    }

    /// Reads what [`Histogram::encode`] wrote.
    ///
    /// # Errors
    /// [`HistogramError`] for anything else; it never panics and takes no more memory than there are buckets.
    pub fn decode(bytes: &[u8]) -> Result<Self, HistogramError> {
        match bytes.first() {
            None => return Err(HistogramError::Short),
            Some(&VERSION) => {}
            Some(version) => return Err(HistogramError::Version(*version)),
        }
        let mut reader = Reader { bytes, at: 1 };
        let bucket_count = reader.number()?;
        let mut histogram = Self::default();
        let mut next = 0u64;
        for _ in 0..bucket_count {
            let bucket = next.checked_add(reader.number()?).filter(|bucket| *bucket < BUCKET_COUNT as u64);
            let bucket = bucket.ok_or_else(|| reader.inconsistent())?;
            let count = reader.number()?;
            if count == 0 {
                return Err(reader.inconsistent());
            }
            histogram.count = histogram.count.saturating_add(count);
            histogram.buckets.push((bucket as u16, count));
            next = bucket + 1;
        }
        if let (Some((first, _)), Some((last, _))) =
            (histogram.buckets.first().copied(), histogram.buckets.last().copied())
        {
            histogram.sum = reader.number()?;
            histogram.least = reader.number()?;
            histogram.greatest = reader.number()?;
            if bucket(histogram.least) != first
                || bucket(histogram.greatest) != last
                || histogram.least > histogram.greatest
            {
                return Err(reader.inconsistent());
            }
        }
        if reader.at != bytes.len() {
            return Err(reader.inconsistent());
        }
        Ok(histogram)
    }
}

fn number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn inconsistent(&self) -> HistogramError {
        HistogramError::Inconsistent { at: self.at }
    }

    fn number(&mut self) -> Result<u64, HistogramError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(HistogramError::Short)?;
            self.at += 1;
            let part = u64::from(byte & 0x7f);
            // The tenth byte holds one bit, and no last byte is 0 but a single one: each number has one form.
            if shift == 63 && part > 1 || byte == 0 && shift > 0 {
                return Err(self.inconsistent());
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.inconsistent())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    }

    #[test]
    fn buckets_follow_each_other_and_are_narrow() {
        let mut expect = 0;
        for bucket in 0..BUCKET_COUNT as u16 {
            let (low, high) = bounds(bucket);
            assert_eq!(low, expect, "bucket {bucket}");
            assert_eq!((super::bucket(low), super::bucket(high)), (bucket, bucket));
            assert!((high - low) as f64 <= low as f64 / 32.0);
            expect = high.wrapping_add(1);
        }
        assert_eq!(expect, 0, "the last bucket ends with the greatest number");
    }

    #[test]
    fn steps_hold_every_value() {
        let steps: Vec<(u64, u64)> = of(&[5, 5, 1000]).steps().collect();
        assert_eq!(steps, [(5, 2), (1007, 1)]);
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(Histogram::default().encode(), [1, 0]);
        assert_eq!(of(&[5, 5, 1000]).encode(), [1, 2, 5, 2, 0xb8, 1, 1, 0xf2, 7, 5, 0xe8, 7]);
    }

    #[test]
    fn damaged_bytes() {
        let check = |bytes: &[u8], expect| assert_eq!(Histogram::decode(bytes), Err(expect), "{bytes:?}");
        check(&[], HistogramError::Short);
        check(&[2, 0], HistogramError::Version(2));
        check(&[1], HistogramError::Short);
        check(&[1, 0, 0], HistogramError::Inconsistent { at: 2 });
        check(&[1, 1, 5, 0, 5, 5, 5], HistogramError::Inconsistent { at: 4 });
        check(&[1, 1, 0xff, 0x7f, 1, 5, 5, 5], HistogramError::Inconsistent { at: 4 });
        check(&[1, 1, 5, 1, 6, 6, 6], HistogramError::Inconsistent { at: 7 });
        check(&[1, 0x80, 0], HistogramError::Inconsistent { at: 3 });
    }

    #[test]
    fn values_that_never_vary() {
        let histogram = of(&[1_000_000; 500]);
        assert!(histogram.spread().z(1_000_000).abs() < 1.0);
        assert!(histogram.spread().z(1_010_000) < 3.5);
        assert!(histogram.spread().z(2_000_000) > 3.5);
        assert_eq!((histogram.rank(2_000_000), histogram.rank(1_000_000), histogram.rank(5)), (1.0, 0.5, 0.0));
    }

    proptest! {
        #[test]
        fn quantiles_are_close(mut values in prop::collection::vec(any::<u64>().prop_map(|v| v >> (v % 64)), 1..200), share in 0.0..1.0f64) {
            let histogram = of(&values);
            values.sort_unstable();
            let rank = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len());
            let (exact, found) = (values[rank - 1] as f64, histogram.quantile(share).expect("values") as f64);
            prop_assert!((exact - found).abs() <= exact * RELATIVE_ERROR + 1e-9, "{exact} {found}");
        }

        #[test]
        fn merging_is_exact_and_bytes_are_unique(a in prop::collection::vec(any::<u64>(), 0..60), b in prop::collection::vec(0..5_000u64, 0..60)) {
            let together = of(&[a.clone(), b.clone()].concat());
            let (mut ab, mut ba) = (of(&a), of(&b));
            ab.merge(&of(&b));
            ba.merge(&of(&a));
            prop_assert_eq!(&ab, &together);
            prop_assert_eq!(ba.encode(), together.encode());
            prop_assert_eq!(Histogram::decode(&together.encode()), Ok(together));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let versioned = [vec![VERSION], bytes.clone()].concat();
            for bytes in [bytes, versioned] {
                if let Ok(histogram) = Histogram::decode(&bytes) {
                    prop_assert_eq!(histogram.encode(), bytes);
                }
            }
        }
    }
}
