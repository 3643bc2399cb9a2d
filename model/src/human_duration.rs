//! Lengths of time as people write them: `250ms`, `1h30m`. For configuration only; spans carry nanoseconds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A length of time, written as one or more numbers with units: `250ms`, `1.5s`, `1h30m`, `14d`.
///
/// Units are ns, us (or µs), ms, s, m, h, d and w. A bare number is refused, except 0: it would leave the unit to be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HumanDuration(pub Duration);

/// Why a text is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HumanDurationError {
    /// A number was expected.
    #[error("{text:?} is not a duration: write a number and a unit, such as 250ms")]
    NoNumber {
        /// The text as given.
        text: String,
    },
    /// The number has no unit.
    #[error("{text:?} has no unit: use ns, us, ms, s, m, h, d or w, such as 250ms")]
    NoUnit {
        /// The text as given.
        text: String,
    },
    /// What follows the number is not a unit.
    #[error("{unit:?} is not a unit of time: use ns, us, ms, s, m, h, d or w")]
    Unit {
        /// What stands where the unit belongs.
        unit: String,
    },
    /// The nanoseconds do not fit 64 bits.
    #[error("{text:?} is too long: at most 584 years fit")]
    TooLong {
        /// The text as given.
        text: String,
    },
}

const UNITS: [(&str, u64); 9] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

impl HumanDuration {
    /// So many milliseconds.
    pub const fn from_millis(count: u64) -> Self {
        Self(Duration::from_millis(count))
    }

    /// So many seconds.
    pub const fn from_secs(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }

    /// The length as the standard library has it.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// The whole nanoseconds; the largest number there is when they do not fit.
    pub fn as_nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl From<Duration> for HumanDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

impl FromStr for HumanDuration {
    type Err = HumanDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let no_number = || HumanDurationError::NoNumber { text: text.to_owned() };
        let too_long = || HumanDurationError::TooLong { text: text.to_owned() };
        if rest.is_empty() {
            return Err(no_number());
        }
        let mut total_nanos = 0u64;
        while !rest.is_empty() {
            let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, tail) = rest.split_at(unit_at);
            let tail = tail.trim_start();
            let next_at =
                tail.find(|c: char| c.is_ascii_digit() || c == '.' || c.is_whitespace()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(next_at);
            if number.is_empty() {
                return Err(no_number());
            }
            if unit.is_empty() {
                return Err(HumanDurationError::NoUnit { text: text.to_owned() });
            }
            let known = UNITS.iter().find(|(name, _)| *name == unit);
            let factor = known.ok_or_else(|| HumanDurationError::Unit { unit: unit.to_owned() })?.1;
            let nanos = if number.bytes().all(|b| b.is_ascii_digit()) {
                let whole: u64 = number.parse().map_err(|_| too_long())?;
                whole.checked_mul(factor).ok_or_else(too_long)?
            } else {
                let nanos = number.parse::<f64>().map_err(|_| no_number())? * factor as f64;
                if nanos >= u64::MAX as f64 {
                    return Err(too_long());
                }
                nanos.round() as u64
            };
            total_nanos = total_nanos.checked_add(nanos).ok_or_else(too_long)?;
            rest = tail.trim_start();
        }
        Ok(Self(Duration::from_nanos(total_nanos)))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.as_nanos();
        // Weeks are read but not written: 14d says more than 2w.
        let (unit, factor) = UNITS
            .into_iter()
            .find(|(unit, factor)| *unit != "w" && nanos != 0 && nanos.is_multiple_of(*factor))
            .unwrap_or(("s", 1_000_000_000));
        write!(f, "{}{unit}", nanos / factor)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Durations;
        impl Visitor<'_> for Durations {
            type Value = HumanDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with a unit, such as \"250ms\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<HumanDuration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Durations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_from_text() {
        let check = |text: &str, expect: Option<u64>| {
            let expect = expect.map(|nanos| HumanDuration(Duration::from_nanos(nanos)));
            assert_eq!(text.parse::<HumanDuration>().ok(), expect, "{text:?}");
        };
        check("0", Some(0));
        check("0s", Some(0));
        check("250ms", Some(250_000_000));
        check("1.5s", Some(1_500_000_000));
        check("1h30m", Some(5_400_000_000_000));
        check("1h 30m", Some(5_400_000_000_000));
        check("7µs", Some(7_000));
        check("2w", Some(1_209_600_000_000_000));
        check("", None);
        check("5", None);
        check("ms", None);
        check("5 parsecs", None);
        check("-5s", None);
        check("1h30", None);
        check("99999999999999w", None);
    }

    #[test]
    fn texts_round_trip() {
        for nanos in [0, 1, 1_500, 250_000_000, 90_000_000_000, 86_400_000_000_000, u64::MAX] {
            let duration = HumanDuration(Duration::from_nanos(nanos));
            assert_eq!(duration.to_string().parse(), Ok(duration), "{duration}");
        }
        assert_eq!(HumanDuration::from_secs(14 * 86_400).to_string(), "14d");
        assert_eq!(HumanDuration::from_millis(1500).to_string(), "1500ms");
    }
}
