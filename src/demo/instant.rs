//! Instants as people write them: RFC 3339, in Unix nanoseconds.

use toml::value::{Datetime, Offset};

/// Reads `2026-01-02T15:04:05Z`, with or without a fraction and with any offset.
///
/// # Errors
/// A sentence that says what is missing.
pub fn parse(text: &str) -> Result<u64, String> {
    let example = "write it as 2026-01-02T15:04:05Z";
    let instant: Datetime = text.parse().map_err(|_| format!("this is no instant: {example}"))?;
    let (Some(date), Some(time), Some(offset)) = (instant.date, instant.time, instant.offset) else {
        return Err(format!("an instant has a date, a time and an offset: {example}"));
    };
    let offset_minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let days = days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let minutes = (days * 24 + i64::from(time.hour)) * 60 + i64::from(time.minute) - offset_minutes;
    let seconds = minutes * 60 + i64::from(time.second);
    u64::try_from(seconds)
        .ok()
        .and_then(|seconds| seconds.checked_mul(1_000_000_000)?.checked_add(time.nanosecond.into()))
        .ok_or_else(|| "the instant must lie between 1970 and 2554".to_owned())
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(parse("2025-11-26T12:00:00Z"), Ok(1_764_158_400_000_000_000));
        assert_eq!(parse("2025-11-26T13:30:00.5+01:30"), Ok(1_764_158_400_500_000_000));
        assert_eq!(parse("2024-02-29T23:59:59Z"), Ok(1_709_251_199_000_000_000));
        for wrong in ["", "now", "2025-11-26", "2025-11-26T12:00:00", "1969-12-31T23:59:59Z", "9999-01-01T00:00:00Z"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
