//! Numbers of bytes as people write them: `64MiB`. For configuration only; columns and wire code use plain integers.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A number of bytes, written `512KiB`, `64MiB`, `1.5GiB`, `10MB` or as a plain count of bytes.
///
/// Units are B, KiB, MiB, GiB, TiB (powers of 1,024) and kB, MB, GB, TB (powers of 1,000); letter case does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

/// Why a text is not a number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ByteSizeError {
    /// The text does not begin with a number.
    #[error("{text:?} is not a size: write a number and a unit, such as 64MiB")]
    NoNumber {
        /// The text as given.
        text: String,
    },
    /// What follows the number is not a unit.
    #[error("{unit:?} is not a unit of size: use B, KiB, MiB, GiB, TiB, kB, MB, GB or TB")]
    Unit {
        /// What stands where the unit belongs.
        unit: String,
    },
    /// The number of bytes does not fit 64 bits.
    #[error("{text:?} is too large: at most 16 EiB fit")]
    TooLarge {
        /// The text as given.
        text: String,
    },
}

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// So many times 1,024 bytes.
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// So many times 1,024² bytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// So many times 1,024³ bytes.
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory; the largest length there is when it does not fit.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        let number = number.replace('_', "");
        let unit = unit.trim();
        let factor = if unit.is_empty() {
            1
        } else {
            let known = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
            match known {
                Some((_, factor)) => *factor,
                None if number.is_empty() => return Err(ByteSizeError::NoNumber { text: text.to_owned() }),
                None => return Err(ByteSizeError::Unit { unit: unit.to_owned() }),
            }
        };
        let too_large = || ByteSizeError::TooLarge { text: text.to_owned() };
        if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) {
            let whole: u64 = number.parse().map_err(|_| too_large())?;
            return whole.checked_mul(factor).map(Self).ok_or_else(too_large);
        }
        let fraction: f64 = number.parse().map_err(|_| ByteSizeError::NoNumber { text: text.to_owned() })?;
        let bytes = fraction * factor as f64;
        if bytes >= u64::MAX as f64 { Err(too_large()) } else { Ok(Self(bytes.round() as u64)) }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS
            .into_iter()
            .find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor) && factor.is_power_of_two())
            .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;
        impl Visitor<'_> for Sizes {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"64MiB\", or a number of bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes).map(ByteSize).map_err(|_| E::custom("a size cannot be negative"))
            }
        }
        deserializer.deserialize_any(Sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_from_text() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(text.parse::<ByteSize>().ok(), expect.map(ByteSize), "{text:?}");
        };
        check("0", Some(0));
        check("17", Some(17));
        check("17B", Some(17));
        check("64MiB", Some(64 << 20));
        check("64 mib", Some(64 << 20));
        check("1.5GiB", Some(3 << 29));
        check("10MB", Some(10_000_000));
        check("1_024", Some(1024));
        check("16777216TiB", None);
        check("99999999999999999999", None);
        check("", None);
        check("MiB", None);
        check("-1", None);
        check("64M", None);
        check("1.2.3MiB", None);
    }

    #[test]
    fn texts_round_trip() {
        for size in [0, 1, 1000, 1024, 1536, 10_000_000, 64 << 20, u64::MAX].map(ByteSize) {
            assert_eq!(size.to_string().parse(), Ok(size), "{size}");
        }
        assert_eq!(ByteSize::mib(64).to_string(), "64MiB");
        assert_eq!(ByteSize(1000).to_string(), "1000B");
    }
}
