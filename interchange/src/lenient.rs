//! JSON values as other programs really write them: times as numbers or texts, elements that are wrong one by one.

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;

/// An element of an array, or what is wrong with it: one bad span must not cost the file.
pub(crate) struct Element<T>(pub(crate) Result<T, String>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(Self(serde_json::from_value(value).map_err(|error| error.to_string())))
    }
}

/// Microseconds as nanoseconds, from a number or a number in a text; absent, negative and unreadable ones are none.
pub(crate) fn micros_as_nanos(value: &Value) -> Option<u64> {
    let from_float = |micros: f64| (0.0..1.8e16).contains(&micros).then(|| (micros * 1_000.0).round() as u64);
    match value {
        Value::Number(number) => match number.as_u64() {
            Some(micros) => micros.checked_mul(1_000),
            None => number.as_f64().and_then(from_float),
        },
        Value::String(text) => match text.trim().parse::<u64>() {
            Ok(micros) => micros.checked_mul(1_000),
            Err(_) => text.trim().parse().ok().and_then(from_float),
        },
        _ => None,
    }
}

/// `null` as the default.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn microseconds() {
        let nanos = |value: Value| micros_as_nanos(&value);
        assert_eq!(nanos(json!(1_764_115_200_000_001u64)), Some(1_764_115_200_000_001_000));
        assert_eq!(nanos(json!("1764115200000001")), Some(1_764_115_200_000_001_000));
        assert_eq!(nanos(json!(1.5)), Some(1_500));
        assert_eq!(nanos(json!("0.25")), Some(250));
        assert_eq!(nanos(json!(-1)), None);
        assert_eq!(nanos(json!(u64::MAX)), None);
        assert_eq!(nanos(json!(1e300)), None);
        assert_eq!(nanos(json!("NaN")), None);
        assert_eq!(nanos(json!(null)), None);
    }
}
