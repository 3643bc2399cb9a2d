//! Numbers and times as people read and write them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use spanlake_model::HumanDuration;

pub use spanlake_analysis::{readable_nanos as duration, readable_share as share};

use crate::client::Failure;

/// Now, in Unix nanoseconds.
pub fn now_unix_nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// A moment with milliseconds, in UTC: `2026-01-31 12:00:00.250`.
pub fn moment(unix_nanos: u64) -> String {
    let text = crate::blocks::utc(unix_nanos);
    let millis = unix_nanos / 1_000_000 % 1_000;
    format!("{}.{millis:03}", text.trim_end_matches('Z').replace('T', " "))
}

/// A count with a unit from a thousand on: `950`, `1.2k`, `3.4M`.
pub fn count(number: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k")];
    match UNITS.iter().find(|(least, _)| number >= *least) {
        Some((10_000, unit)) => format!("{:.1}{unit}", number as f64 / 1e3),
        Some((least, unit)) => format!("{:.1}{unit}", number as f64 / *least as f64),
        None => number.to_string(),
    }
}

/// Bytes with a unit: `12 B`, `3.4 MiB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A number with at most four digits that count.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    if size >= 1e15 {
        format!("{value:e}")
    } else if size >= 1000.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if size >= 1.0 {
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else if size >= 1e-6 {
        let digits = 3 + (-size.log10()).floor().max(0.0) as usize;
        format!("{value:.digits$}").trim_end_matches('0').to_owned()
    } else {
        format!("{value:e}")
    }
}

/// The text of a value in protobuf's JSON: `{"stringValue":"x"}`.
pub fn any_value(value: &Value) -> String {
    match value.as_object().and_then(|members| members.values().next()) {
        Some(inner) => plain_value(inner),
        None => plain_value(value),
    }
}

/// The text of a JSON value: texts as they are, all else as JSON.
pub fn plain_value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Reads a length of time, as `15m`, `1h` or `7d`.
///
/// # Errors
/// If it is none.
pub fn parse_duration(flag: &str, text: &str) -> Result<u64, Failure> {
    text.parse::<HumanDuration>()
        .map(HumanDuration::as_nanos)
        .map_err(|error| Failure::usage(format!("{flag}: {error}")))
}

/// Reads a moment: Unix seconds, or milli-, micro- or nanoseconds by the number of digits, RFC 3339, `now`, or how long ago (`2h`).
///
/// # Errors
/// If it is none of them.
pub fn parse_moment(flag: &str, text: &str, now_unix_nanos: u64) -> Result<u64, Failure> {
    let text = text.trim();
    if text == "now" {
        return Ok(now_unix_nanos);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: Option<u64> = text.parse().ok();
        // Today's seconds have 10 digits, milliseconds 13, microseconds 16, nanoseconds 19.
        let unit = match text.len() {
            0..=11 => 1_000_000_000,
            12..=14 => 1_000_000,
            15..=17 => 1_000,
            _ => 1,
        };
        let nanos = number.and_then(|number| number.checked_mul(unit));
        return nanos.ok_or_else(|| Failure::usage(format!("{flag}: {text:?} is past what can be stored")));
    }
    if let Some(nanos) = rfc3339(text) {
        return Ok(nanos);
    }
    let ago = text.trim_start_matches('-').trim_end_matches("ago").trim();
    match ago.parse::<HumanDuration>() {
        Ok(ago) => Ok(now_unix_nanos.saturating_sub(ago.as_nanos())),
        Err(_) => Err(Failure::usage(format!(
            "{flag}: {text:?} is not a time: write Unix seconds, RFC 3339 such as 2026-01-31T12:00:00Z, now, or how long ago, such as 2h"
        ))),
    }
}

/// Unix nanoseconds of `2026-01-31T12:00:00[.5](Z|+01:00)`; of a date alone, its beginning in UTC.
fn rfc3339(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let is = |at: usize, marks: &[u8]| text.as_bytes().get(at).is_some_and(|byte| marks.contains(byte));
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !(is(4, b"-") && is(7, b"-") && (1..=12).contains(&month) && (1..=31).contains(&day) && year >= 1970) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    let next_month = if month == 12 { days_from_civil(year + 1, 1, 1) } else { days_from_civil(year, month + 1, 1) };
    if days >= next_month {
        return None;
    }
    if text.len() == 10 {
        return u64::try_from(days).ok()?.checked_mul(86_400_000_000_000);
    }
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(is(10, b"Tt ") && is(13, b":") && is(16, b":") && hour < 24 && minute < 60 && second <= 60) {
        return None;
    }
    let rest = text.get(19..)?;
    let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let fraction = if digits > 0 { rest.get(1..=digits)? } else { "" };
    let nanos = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let zone = rest.get(if digits > 0 { digits + 1 } else { 0 }..)?;
    let offset_seconds = match zone {
        "" | "Z" | "z" => 0,
        zone => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let zone = zone.strip_prefix(['+', '-'])?;
            let (hours, minutes) = zone.split_once(':')?;
            sign * (hours.parse::<i64>().ok().filter(|hours| *hours < 24)? * 3600
                + minutes.parse::<i64>().ok().filter(|m| *m < 60)? * 60)
        }
    };
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset_seconds;
    u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(u64::try_from(nanos).ok()?)
}

/// Days since 1970-01-01. Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        const NOW: u64 = 1_764_115_200_000_000_000;
        let check =
            |text: &str, expect: Option<u64>| assert_eq!(parse_moment("--from", text, NOW).ok(), expect, "{text}");
        check("2025-11-26T00:00:00Z", Some(NOW));
        check("2025-11-26T01:00:00+01:00", Some(NOW));
        check("2025-11-26 00:00:00.25", Some(NOW + 250_000_000));
        check("2025-11-26", Some(NOW));
        check("1764115200", Some(NOW));
        check("1764115200000000001", Some(NOW + 1));
        check("1764115200001", Some(NOW + 1_000_000));
        check("1764115200000001", Some(NOW + 1_000));
        check("2025-02-29", None);
        check("2024-02-29", Some(1_709_164_800_000_000_000));
        check("now", Some(NOW));
        check("2h", Some(NOW - 7_200_000_000_000));
        check("-1h", Some(NOW - 3_600_000_000_000));
        for wrong in ["", "yesterday", "2025-13-01", "2025-11-26T25:00:00Z", "2025-11-26T00:00:00+x", "ü", "2025-1ü-26"]
        {
            check(wrong, None);
        }
        assert_eq!(moment(NOW + 250_000_000), "2025-11-26 00:00:00.250");
    }

    #[test]
    fn numbers() {
        let check = |value: f64, expect: &str| assert_eq!(number(value), expect);
        check(0.0, "0");
        check(12.0, "12");
        check(1234.5, "1234");
        check(1.5, "1.5");
        check(0.125, "0.125");
        check(0.000_123_4, "0.000123");
        assert_eq!((count(950), count(12_345), count(3_400_000)), ("950".into(), "12.3k".into(), "3.4M".into()));
        assert_eq!((bytes(12), bytes(3_565_158)), ("12 B".into(), "3.4 MiB".into()));
    }
}
