//! Numbers, texts, ids and bytes in all the ways JSON senders write them. `null` is nothing, which every caller takes
//! for the default.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

/// A whole number: a JSON number or a string, a float when it is integral.
pub(super) struct Whole<T> {
    field: &'static str,
    number: PhantomData<T>,
}

impl<T> Whole<T> {
    pub(super) fn new(field: &'static str) -> Self {
        Self { field, number: PhantomData }
    }
}

impl<'de, T: TryFrom<i128>> DeserializeSeed<'de> for Whole<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T: TryFrom<i128>> Whole<T> {
    fn fit<E: Error>(&self, number: i128) -> Result<Option<T>, E> {
        let bits = 8 * size_of::<T>();
        let fit = T::try_from(number);
        fit.map(Some).map_err(|_| E::custom(format_args!("{} does not fit {bits} bits: {number}", self.field)))
    }

    fn fit_float<E: Error>(&self, number: f64) -> Result<Option<T>, E> {
        // Past 2^64 nothing fits any of our types, and the conversion below would saturate at 2^127.
        if number.fract() != 0.0 || number.abs() > 2f64.powi(65) {
            return Err(E::custom(format_args!("{} is not a whole number in range: {number}", self.field)));
        }
        self.fit(number as i128)
    }
}

impl<T: TryFrom<i128>> Visitor<'_> for Whole<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number, or one in a string, for {}", self.field)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<T>, E> {
        self.fit(number.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<T>, E> {
        self.fit(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<T>, E> {
        self.fit_float(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
        if let Ok(number) = text.parse::<i128>() {
            return self.fit(number);
        }
        match text.parse::<f64>() {
            Ok(number) => self.fit_float(number),
            Err(_) => Err(E::custom(format_args!("{} is not a whole number: {text:?}", self.field))),
        }
    }
}

/// An enum: its number, in a string or not, or its name.
pub(super) struct Enum {
    pub(super) field: &'static str,
    pub(super) number_of: fn(&str) -> Option<i32>,
}

impl<'de> DeserializeSeed<'de> for Enum {
    type Value = Option<i32>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<i32>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Enum {
    type Value = Option<i32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number or a name for {}", self.field)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<i32>, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<i32>, E> {
        Whole::new(self.field).visit_u64(number)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<i32>, E> {
        Whole::new(self.field).visit_i64(number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<i32>, E> {
        Whole::new(self.field).visit_f64(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<i32>, E> {
        if let Some(number) = (self.number_of)(text) {
            return Ok(Some(number));
        }
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(E::custom(format_args!("{} has no value named {text:?}", self.field))),
        }
    }
}

/// A floating-point number: a JSON number, or a string with a number, `NaN`, `Infinity` or `-Infinity`.
pub(super) struct Double;

impl<'de> DeserializeSeed<'de> for Double {
    type Value = Option<f64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<f64>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Double {
    type Value = Option<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or one in a string, for doubleValue")
    }

    fn visit_unit<E: Error>(self) -> Result<Option<f64>, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<f64>, E> {
        Ok(Some(number as f64))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<f64>, E> {
        Ok(Some(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<f64>, E> {
        Ok(Some(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<f64>, E> {
        // Rust's own reader takes the three names of proto3 JSON too.
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(E::custom(format_args!("doubleValue is not a number: {text:?}"))),
        }
    }
}

/// A truth value: `true`, `false`, or either in a string.
pub(super) struct Bool;

impl<'de> DeserializeSeed<'de> for Bool {
    type Value = Option<bool>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<bool>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Bool {
    type Value = Option<bool>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false for boolValue")
    }

    fn visit_unit<E: Error>(self) -> Result<Option<bool>, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Option<bool>, E> {
        Ok(Some(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<bool>, E> {
        text.parse().map(Some).map_err(|_| E::custom(format_args!("boolValue is not true or false: {text:?}")))
    }
}

/// What a JSON string stands for.
pub(super) trait FromText: Sized {
    /// The kind of text, for messages.
    const KIND: &'static str;

    /// Reads the text, or says what is wrong with it.
    fn from_text(text: &[u8]) -> Result<Self, String>;
}

/// A JSON string.
pub(super) struct Text<T> {
    field: &'static str,
    value: PhantomData<T>,
}

impl<T> Text<T> {
    pub(super) fn new(field: &'static str) -> Self {
        Self { field, value: PhantomData }
    }
}

impl<'de, T: FromText> DeserializeSeed<'de> for Text<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, T: FromText> Visitor<'de> for Text<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string ({}) for {}", T::KIND, self.field)
    }

    fn visit_none<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    /// Strings are taken as bytes because only so does the reader hand over lone surrogates.
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_bytes(self)
    }

    fn visit_bytes<E: Error>(self, text: &[u8]) -> Result<Option<T>, E> {
        T::from_text(text).map(Some).map_err(|what| E::custom(format_args!("{} {what}", self.field)))
    }
}

impl FromText for String {
    const KIND: &'static str = "text";

    fn from_text(text: &[u8]) -> Result<Self, String> {
        match std::str::from_utf8(text) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => std::str::from_utf8(&replace_surrogates(text))
                .map(str::to_owned)
                .map_err(|error| format!("is not UTF-8 from its byte {}", error.valid_up_to())),
        }
    }
}

/// Puts U+FFFD for lone surrogates, which arrive in the three bytes that UTF-8 would have for them if it allowed them.
fn replace_surrogates(text: &[u8]) -> Vec<u8> {
    let mut replaced = text.to_vec();
    let mut at = 0;
    while let Some(three) = replaced.get_mut(at..at + 3) {
        if matches!(three, [0xed, 0xa0..=0xbf, 0x80..=0xbf]) {
            three.copy_from_slice("\u{fffd}".as_bytes());
        }
        at += 1;
    }
    replaced
}

/// An id: hexadecimal digits of either case.
pub(super) struct Hex(pub(super) Vec<u8>);

impl FromText for Hex {
    const KIND: &'static str = "hexadecimal id";

    fn from_text(text: &[u8]) -> Result<Self, String> {
        if text.len() % 2 == 1 {
            return Err(format!("has an odd number of hexadecimal digits: {}", text.len()));
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
        let bytes: Option<Vec<u8>> = text.chunks_exact(2).map(pair).collect();
        bytes.map(Self).ok_or_else(|| format!("is not hexadecimal: {:?}", String::from_utf8_lossy(text)))
    }
}

/// Bytes in base64, of the standard or the URL alphabet, padded or not.
pub(super) struct Base64(pub(super) Vec<u8>);

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

impl FromText for Base64 {
    const KIND: &'static str = "base64";

    fn from_text(text: &[u8]) -> Result<Self, String> {
        let url = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
        let alphabet = if url { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
        let decoded = GeneralPurpose::new(alphabet, LENIENT).decode(text);
        decoded.map(Self).map_err(|error| format!("is not base64: {error}"))
    }
}

/// An array of texts, `null` being none.
pub(super) struct Texts(pub(super) &'static str);

impl<'de> DeserializeSeed<'de> for Texts {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<String>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of strings for {}", self.0)
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<String>, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = elements.next_element_seed(Text::new(self.0))? {
            texts.extend(text);
        }
        Ok(texts)
    }
}
