//! Reads the times and durations of query parameters: Go's durations, Prometheus durations, and the four ways Tempo's
//! clients write a point in time.

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A point in time as a parameter gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    /// Unix nanoseconds.
    pub(crate) unix_nanos: u64,
    /// Whether it was written as whole seconds: as the end of a range it then means the end of that second.
    pub(crate) whole_seconds: bool,
}

impl Point {
    /// The last nanosecond the point covers.
    pub(crate) fn last_unix_nanos(self) -> u64 {
        if self.whole_seconds { self.unix_nanos.saturating_add(NANOS_PER_SECOND - 1) } else { self.unix_nanos }
    }
}

/// Reads Unix seconds (at most 10 digits, or with a fraction), Unix nanoseconds (more than 10 digits) or RFC 3339.
pub(crate) fn point(text: &str) -> Option<Point> {
    let exact = |unix_nanos| Some(Point { unix_nanos, whole_seconds: false });
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let number: u64 = text.parse().ok()?;
        return if text.len() > 10 {
            exact(number)
        } else {
            Some(Point { unix_nanos: number.checked_mul(NANOS_PER_SECOND)?, whole_seconds: true })
        };
    }
    if let Some((seconds, fraction)) = text.split_once('.')
        && !seconds.is_empty()
        && seconds.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
    {
        let seconds: u64 = seconds.parse().ok()?;
        return exact(seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(fraction_nanos(fraction))?);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        let nanos = seconds * NANOS_PER_SECOND as f64;
        // Negative, infinite and not-a-number times have no place on the axis.
        return if (0.0..u64::MAX as f64).contains(&nanos) { exact(nanos as u64) } else { None };
    }
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    exact(u64::try_from(time.timestamp_nanos_opt()?).ok()?)
}

/// The digits behind a decimal point, as nanoseconds; digits past the ninth are cut.
fn fraction_nanos(digits: &str) -> u64 {
    digits.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0, |nanos, digit| nanos * 10 + u64::from(digit - b'0'))
}

const GO_UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
];

const PROMETHEUS_UNITS: [(&str, u64); 7] = [
    ("ms", 1_000_000),
    ("s", NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
    ("d", 86_400 * NANOS_PER_SECOND),
    ("w", 7 * 86_400 * NANOS_PER_SECOND),
    ("y", 365 * 86_400 * NANOS_PER_SECOND),
];

/// Reads a duration as Go writes it (`1h2m3.5s`, `100us`, `0`) into nanoseconds. Negative ones are refused.
pub(crate) fn go_duration_nanos(text: &str) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" { Some(0) } else { sum(text, &GO_UNITS) }
}

/// Writes a duration as Go does: `1.5s`, `2m0s`, `1h0m0.25s`, `150\u{b5}s`.
pub(crate) fn go_duration_text(nanos: i64) -> String {
    let (sign, left) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    if left < NANOS_PER_SECOND {
        return match left {
            0 => "0s".to_owned(),
            1..1_000 => format!("{sign}{left}ns"),
            1_000..1_000_000 => format!("{sign}{}\u{b5}s", with_fraction(left, 1_000)),
            _ => format!("{sign}{}ms", with_fraction(left, 1_000_000)),
        };
    }
    let (minutes, rest) = (left / (60 * NANOS_PER_SECOND), left % (60 * NANOS_PER_SECOND));
    let seconds = with_fraction(rest, NANOS_PER_SECOND);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// So many units, with the digits behind the point that are not zero.
fn with_fraction(nanos: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", nanos / unit, nanos % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Reads a duration as Prometheus writes it (`15m`, `1d12h`, `0`) into nanoseconds.
pub(crate) fn prometheus_duration_nanos(text: &str) -> Option<u64> {
    if text == "0" || text.contains('.') { (text == "0").then_some(0) } else { sum(text, &PROMETHEUS_UNITS) }
}

/// Adds up one or more numbers with units; `None` when the text is anything else or the sum does not fit.
fn sum(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut rest = text;
    let mut total = 0u64;
    loop {
        let (number, tail) = rest.split_at(rest.find(|c| !is_number(c))?);
        let (unit, tail) = tail.split_at(tail.find(is_number).unwrap_or(tail.len()));
        let (_, nanos) = units.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        if !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let part = u128::from(*nanos) * u128::from(fraction_nanos(fraction)) / u128::from(NANOS_PER_SECOND);
        total = total.checked_add(whole.checked_mul(*nanos)?)?.checked_add(u64::try_from(part).ok()?)?;
        rest = tail;
        if rest.is_empty() {
            return Some(total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points() {
        let check = |text: &str, expect: Option<(u64, bool)>| {
            let expect = expect.map(|(unix_nanos, whole_seconds)| Point { unix_nanos, whole_seconds });
            assert_eq!(point(text), expect, "{text:?}");
        };
        check("1700000000", Some((1_700_000_000_000_000_000, true)));
        check("0", Some((0, true)));
        check("1700000000.25", Some((1_700_000_000_250_000_000, false)));
        check("1700000000.1234567891", Some((1_700_000_000_123_456_789, false)));
        check("1.7e9", Some((1_700_000_000_000_000_000, false)));
        check("1700000000000000001", Some((1_700_000_000_000_000_001, false)));
        check("2023-11-14T22:13:20Z", Some((1_700_000_000_000_000_000, false)));
        check("2023-11-14T23:13:20.5+01:00", Some((1_700_000_000_500_000_000, false)));
        for wrong in ["", "-1", "abc", "NaN", "inf", "1.2.3", "1960-01-01T00:00:00Z", "99999999999999999999999", "."] {
            check(wrong, None);
        }
    }

    #[test]
    fn go_durations() {
        let check = |text: &str, expect: Option<u64>| assert_eq!(go_duration_nanos(text), expect, "{text:?}");
        check("100ms", Some(100_000_000));
        check("1.5s", Some(1_500_000_000));
        check(".5s", Some(500_000_000));
        check("1h2m3s4ms5us6ns", Some(3_723_004_005_006));
        check("7\u{b5}s", Some(7_000));
        check("0", Some(0));
        check("+1s", Some(1_000_000_000));
        for wrong in ["", "1", "s", "1d", "-1s", "1s2", "..s", "1.2.3s", "1 s", "99999999999999h", "1\u{661}s"] {
            check(wrong, None);
        }
    }

    #[test]
    fn go_durations_are_written() {
        let check = |nanos: i64, expect: &str| assert_eq!(go_duration_text(nanos), expect);
        check(0, "0s");
        check(7, "7ns");
        check(1_500, "1.5\u{b5}s");
        check(10_000, "10\u{b5}s");
        check(2_030_000, "2.03ms");
        check(1_500_000_000, "1.5s");
        check(-1_500_000_000, "-1.5s");
        check(10_000_000_000, "10s");
        check(60_000_000_000, "1m0s");
        check(3_600_000_000_000, "1h0m0s");
        check(3_723_004_005_006, "1h2m3.004005006s");
        check(i64::MIN, "-2562047h47m16.854775808s");
    }

    #[test]
    fn prometheus_durations() {
        let check = |text: &str, expect: Option<u64>| assert_eq!(prometheus_duration_nanos(text), expect, "{text:?}");
        check("15m", Some(900 * NANOS_PER_SECOND));
        check("1d12h", Some(36 * 3_600 * NANOS_PER_SECOND));
        check("250ms", Some(250_000_000));
        check("0", Some(0));
        for wrong in ["", "1", "1.5h", "5us", "-1h"] {
            check(wrong, None);
        }
    }
}
