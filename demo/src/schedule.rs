//! When what happens: how many visitors a second of the day has, and the hours' windows in which faults show. It knows no spans.
//!
//! Windows lie at fixed minutes of every hour, so that the last hour always has each of them.

use crate::dice::Dice;

pub(crate) const NANOS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;
/// Visitors a second on average over the day.
const MEAN_VISITS: f64 = 1.5;

/// How many visitors come in a second (of Unix time): most at 16:00 UTC, fewest at 4:00.
pub(crate) fn visits(second: u64, dice: &mut Dice) -> u64 {
    let hour = (second % SECONDS_PER_DAY) as f64 / 3_600.0;
    let of_day = 1.0 + 0.35 * ((hour - 10.0) / 24.0 * std::f64::consts::TAU).sin();
    // Poisson, by Knuth's product; the bound is far from what such a mean gives.
    let threshold = (-MEAN_VISITS * of_day).exp();
    let (mut count, mut product) = (0, dice.share());
    while product > threshold && count < 16 {
        count += 1;
        product *= dice.share();
    }
    count
}

fn minute_of_hour(unix_nanos: u64) -> u64 {
    unix_nanos / NANOS_PER_SECOND / 60 % 60
}

/// The bank answers most charges with 503.
pub(crate) fn bank_is_overloaded(unix_nanos: u64) -> bool {
    (20..26).contains(&minute_of_hour(unix_nanos))
}

/// The new version of `pay` is being tried in one region.
pub(crate) fn new_version_runs(unix_nanos: u64) -> bool {
    (35..50).contains(&minute_of_hour(unix_nanos))
}

/// The newsletter goes out in the second.
pub(crate) fn batch_starts(second: u64) -> bool {
    second % 1_800 == 300
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_rhythm() {
        let of_hour = |hour: u64| -> u64 {
            let seconds = 1_764_115_200 + hour * 3_600..1_764_115_200 + (hour + 1) * 3_600;
            seconds.map(|second| visits(second, &mut Dice::new(&[1, second]))).sum()
        };
        let (night, afternoon) = (of_hour(3), of_hour(15));
        assert!(night * 3 < afternoon * 2, "{night} at night, {afternoon} in the afternoon");
        let day: u64 = (0..24).map(of_hour).sum();
        assert!((120_000..140_000).contains(&day), "{day} visits a day");
    }
}
