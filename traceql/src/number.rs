//! Numbers and durations as text: what the lexer cut out becomes a value, and durations become text again.

use std::fmt;

/// What a literal that starts with a digit is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
    /// In nanoseconds.
    Duration(i64),
}

/// Why it is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotANumber {
    /// It is one, and does not fit into 64 bits.
    TooLarge,
    /// It is a duration with a unit that does not exist, or no number at all.
    Malformed,
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;
const NANOS_PER_HOUR: u128 = 3_600 * NANOS_PER_SECOND;
/// Units of Prometheus, in the one order in which they may follow each other; each takes whole numbers only.
const PROMETHEUS_UNITS: [(&str, u128); 7] = [
    ("y", 365 * 24 * NANOS_PER_HOUR),
    ("w", 7 * 24 * NANOS_PER_HOUR),
    ("d", 24 * NANOS_PER_HOUR),
    ("h", NANOS_PER_HOUR),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
    ("ms", 1_000_000),
];
/// Units of Go, in any order; each takes fractions.
const GO_UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("h", NANOS_PER_HOUR),
];

/// Reads an integer, a float or a duration, without a sign.
pub(crate) fn number(text: &str) -> Result<Number, NotANumber> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Number::Int).map_err(|_| NotANumber::TooLarge);
    }
    if is_float(text) {
        let value: f64 = text.parse().map_err(|_| NotANumber::Malformed)?;
        return if value.is_finite() { Ok(Number::Float(value)) } else { Err(NotANumber::TooLarge) };
    }
    let nanos = match prometheus_nanos(text) {
        Err(NotANumber::Malformed) => go_nanos(text)?,
        known => known?,
    };
    i64::try_from(nanos).map(Number::Duration).map_err(|_| NotANumber::TooLarge)
}

/// Digits with a point or an exponent or both.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_is_sound = match mantissa.split_once('.') {
        Some((whole, part)) => {
            (digits(whole) || whole.is_empty()) && (digits(part) || part.is_empty()) && mantissa.len() > 1
        }
        None => digits(mantissa),
    };
    mantissa_is_sound && exponent.is_none_or(|exponent| digits(exponent.trim_start_matches(['+', '-'])))
}

/// `1w2d`, `1h30m`.
fn prometheus_nanos(text: &str) -> Result<u128, NotANumber> {
    let mut rest = text;
    let mut units = PROMETHEUS_UNITS.iter();
    let mut total = 0_u128;
    while !rest.is_empty() {
        let (digits, unit, after) = component(rest);
        if digits.is_empty() || digits.contains('.') {
            return Err(NotANumber::Malformed);
        }
        let (_, nanos) = units.find(|(name, _)| *name == unit).ok_or(NotANumber::Malformed)?;
        let count: u128 = digits.parse().map_err(|_| NotANumber::TooLarge)?;
        total = add(total, count.checked_mul(*nanos))?;
        rest = after;
    }
    Ok(total)
}

/// `1.5ms`, `10us`, `1s1h`.
fn go_nanos(text: &str) -> Result<u128, NotANumber> {
    let mut rest = text;
    let mut total = 0_u128;
    while !rest.is_empty() {
        let (digits, unit, after) = component(rest);
        let (_, nanos) = GO_UNITS.iter().find(|(name, _)| *name == unit).ok_or(NotANumber::Malformed)?;
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        if part.contains('.') || (whole.is_empty() && part.is_empty()) {
            return Err(NotANumber::Malformed);
        }
        let count: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| NotANumber::TooLarge)? };
        total = add(total, count.checked_mul(*nanos))?;
        // Below a nanosecond nothing is left: the largest unit has 13 digits, 18 are enough to be exact.
        let part = &part[..part.len().min(18)];
        if !part.is_empty() {
            let numerator: u128 = part.parse().map_err(|_| NotANumber::Malformed)?;
            let scale = 10_u128.pow(u32::try_from(part.len()).map_err(|_| NotANumber::Malformed)?);
            total = add(total, Some(numerator * nanos / scale))?;
        }
        rest = after;
    }
    Ok(total)
}

/// Splits `1.5ms30s` into `1.5`, `ms` and the rest.
fn component(text: &str) -> (&str, &str, &str) {
    let is_digit = |character: char| character.is_ascii_digit() || character == '.';
    let digits_end = text.find(|character| !is_digit(character)).unwrap_or(text.len());
    let (digits, rest) = text.split_at(digits_end);
    let unit_end = rest.find(is_digit).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    (digits, unit, rest)
}

/// Adds, within what durations can hold.
fn add(total: u128, more: Option<u128>) -> Result<u128, NotANumber> {
    let sum = more.and_then(|more| total.checked_add(more)).ok_or(NotANumber::TooLarge)?;
    if sum > i64::MAX.unsigned_abs().into() { Err(NotANumber::TooLarge) } else { Ok(sum) }
}

/// A duration as Go writes it: `1h30m0s`, `1.5s`, `300µs`. It reads back as the same nanoseconds.
pub(crate) fn write_duration(f: &mut fmt::Formatter<'_>, nanos: i64) -> fmt::Result {
    if nanos < 0 {
        f.write_str("-")?;
    }
    let nanos = nanos.unsigned_abs();
    match nanos {
        0 => f.write_str("0s"),
        1..1_000 => write!(f, "{nanos}ns"),
        1_000..1_000_000 => write_decimal(f, nanos, 1_000, "µs"),
        1_000_000..1_000_000_000 => write_decimal(f, nanos, 1_000_000, "ms"),
        _ => {
            let seconds_nanos = nanos % 60_000_000_000;
            let minutes = nanos / 60_000_000_000;
            if minutes >= 60 {
                write!(f, "{}h", minutes / 60)?;
            }
            if minutes > 0 {
                write!(f, "{}m", minutes % 60)?;
            }
            write_decimal(f, seconds_nanos, 1_000_000_000, "s")
        }
    }
}

/// `value / scale` without trailing zeros; the scale is a power of ten.
fn write_decimal(f: &mut fmt::Formatter<'_>, value: u64, scale: u64, unit: &str) -> fmt::Result {
    write!(f, "{}", value / scale)?;
    let part = value % scale;
    if part > 0 {
        let width = scale.ilog10() as usize;
        write!(f, ".{}", format!("{part:0width$}").trim_end_matches('0'))?;
    }
    f.write_str(unit)
}
