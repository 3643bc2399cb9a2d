//! Trace files as other programs write them, to and from OTLP messages: what a user drags into the page, imports or exports.
//! Pure: bytes in, spans out. It knows no files, no HTTP and no storage.
//!
//! [`parse`] finds out what a file is; nobody has to say. [`write_otlp_json_lines`] and [`write_jaeger_json`] write what other
//! programs read.
//!
//! ```
//! use spanlake_interchange::{Format, parse};
//!
//! let file = br#"[{"traceId":"463ac35c9f6413ad","id":"a2fb4a1d1a96d312","name":"get /",
//!     "timestamp":1764115200000000,"duration":2000,"localEndpoint":{"serviceName":"shop"}}]"#;
//! let parsed = parse(file)?;
//! assert_eq!((parsed.format, parsed.span_count()), (Format::ZipkinJson, 1));
//! # Ok::<(), spanlake_interchange::Error>(())
//! ```

mod attribute;
mod document;
mod gzip;
mod jaeger;
mod lenient;
mod otlp_json;
mod otlp_protobuf;
mod parsed;
mod shape;
mod weight;
mod write_otlp;
mod zipkin;

use std::borrow::Cow;
use std::fmt;

pub use gzip::DEFAULT_MAX_INFLATED_BYTES;
pub use jaeger::write_jaeger_json;
pub use parsed::{MAX_PROBLEMS, Parsed, Problem};
pub use write_otlp::write_otlp_json_lines;

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// OTLP/JSON: one document with `resourceSpans`.
    OtlpJson,
    /// OTLP/JSON, several documents behind each other, as the OpenTelemetry Collector's file exporter writes them.
    OtlpJsonLines,
    /// OTLP as protobuf: one message, or messages behind their lengths as the Collector's file exporter writes them.
    OtlpProtobuf,
    /// A trace as Tempo's and Spanlake's query API and Grafana give it: OTLP/JSON in a frame of its own.
    TempoJson,
    /// A trace as Jaeger's query API and its page give it.
    JaegerJson,
    /// Zipkin's JSON of version 2.
    ZipkinJson,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 6] =
        [Self::OtlpJson, Self::OtlpJsonLines, Self::OtlpProtobuf, Self::TempoJson, Self::JaegerJson, Self::ZipkinJson];

    /// The format as a word for programs, in camelCase.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtlpJson => "otlpJson",
            Self::OtlpJsonLines => "otlpJsonLines",
            Self::OtlpProtobuf => "otlpProtobuf",
            Self::TempoJson => "tempoJson",
            Self::JaegerJson => "jaegerJson",
            Self::ZipkinJson => "zipkinJson",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtlpJson => "OTLP JSON",
            Self::OtlpJsonLines => "OTLP JSON lines",
            Self::OtlpProtobuf => "OTLP protobuf",
            Self::TempoJson => "Tempo JSON",
            Self::JaegerJson => "Jaeger JSON",
            Self::ZipkinJson => "Zipkin v2 JSON",
        })
    }
}

/// Memory that JSON may take when it is read, for each byte that a file may have. Files of real spans take less than five times their
/// own size.
const MAX_WEIGHT: usize = 16;

/// The formats that [`parse`] tries, for messages.
const TRIED: &str =
    "OTLP JSON, OTLP JSON lines, OTLP protobuf, Tempo JSON, Jaeger JSON and Zipkin v2 JSON, each also gzipped";

/// Why nothing can be read from a file. Each is the user's to mend and says how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There are no bytes but white space.
    #[error("the file is empty")]
    Empty,
    /// The gzip stream is damaged or cut.
    #[error("the gzip stream breaks after {inflated_bytes} bytes of content: {what}")]
    Gzip {
        /// What came out before the damage.
        inflated_bytes: usize,
        /// What the decompressor says.
        what: String,
    },
    /// The file holds more than may be unpacked.
    #[error("the file unpacks to more than {max_bytes} bytes: split it")]
    TooLarge {
        /// The bound.
        max_bytes: usize,
    },
    /// It has so many small parts that it would take many times its size when it is read.
    #[error(
        "the file has so many small parts that reading it may take more than {max_bytes} bytes of memory: split it"
    )]
    TooDense {
        /// The bound.
        max_bytes: usize,
    },
    /// It looks like a known format, but breaks.
    #[error("the file is not valid {format} at line {line} column {column}: {what}")]
    Syntax {
        /// What it looks like: a format, or JSON when it broke before that could be seen.
        format: String,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// It looks like protobuf, but breaks.
    #[error("the file is not valid OTLP protobuf at byte {offset}: {what}")]
    Protobuf {
        /// Where, in the unpacked file.
        offset: usize,
        /// What is wrong there.
        what: String,
    },
    /// It is none of the formats.
    #[error("the file is no trace file that can be read: {what}; tried {TRIED}")]
    Unknown {
        /// What it is instead.
        what: String,
    },
}

/// Reads a trace file of any known format, packed with gzip or not.
///
/// Spans keep the order of the file. A span that cannot be kept (an id of zeros, a broken line among good ones) is left
/// out and told in [`Parsed::rejected`]; the rest is read. Takes a few times the memory of the unpacked file, of which there
/// may be [`DEFAULT_MAX_INFLATED_BYTES`].
///
/// # Errors
/// [`Error`] when there is nothing to read, in one sentence with the place and what was tried.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    parse_within(bytes, DEFAULT_MAX_INFLATED_BYTES)
}

/// The content of a file that may be packed with gzip.
///
/// # Errors
/// [`Error::Gzip`], [`Error::TooLarge`].
pub fn unpacked(bytes: &[u8], max_inflated_bytes: usize) -> Result<Cow<'_, [u8]>, Error> {
    Ok(gzip::inflate(bytes, max_inflated_bytes)?.map_or(Cow::Borrowed(bytes), Cow::Owned))
}

/// About how many bytes of memory [`parse`] takes for an unpacked file beside it: from its punctuation, or the lengths in it,
/// before anything is read. Linear in its bytes.
pub fn memory_bytes(unpacked: &[u8]) -> usize {
    let content = without_mark(unpacked);
    // A line feed begins both a message and a blank line, and the length behind it may look like a bracket: what may be either is
    // charged as what takes more.
    let json = if is_likely_json(content) { weight::weigh(content) } else { 0 };
    let protobuf = if otlp_protobuf::is_likely(content) { otlp_protobuf::weigh(content) } else { 0 };
    // Texts are copied.
    json.max(protobuf).saturating_add(unpacked.len())
}

/// The content behind a byte order mark.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn is_likely_json(bytes: &[u8]) -> bool {
    matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// [`parse`], with the most bytes a packed file may unpack to.
///
/// # Errors
/// As [`parse`].
pub fn parse_within(bytes: &[u8], max_inflated_bytes: usize) -> Result<Parsed, Error> {
    let bytes = &*unpacked(bytes, max_inflated_bytes)?;
    let bytes = without_mark(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(Error::Empty);
    }
    let max_bytes = max_inflated_bytes.saturating_mul(MAX_WEIGHT);
    if otlp_protobuf::is_likely(bytes) && otlp_protobuf::weigh(bytes) > max_bytes {
        return Err(Error::TooDense { max_bytes });
    }
    if let Some(parsed) = otlp_protobuf::read(bytes) {
        return Ok(parsed);
    }
    match bytes.trim_ascii_start().first() {
        Some(b'{' | b'[') => {
            if weight::weigh(bytes) > max_bytes {
                return Err(Error::TooDense { max_bytes });
            }
            document::read(bytes)
        }
        // A message begins with the key of `resourceSpans`; what else begins so is a broken one.
        Some(_) if bytes.first() == Some(&otlp_protobuf::FIRST_KEY) => Err(otlp_protobuf::error(bytes)),
        first => {
            let what = match first {
                Some(byte) if byte.is_ascii_graphic() => format!("it begins with {:?}", char::from(*byte)),
                Some(byte) => format!("it begins with the byte 0x{byte:02x}"),
                None => "it is blank".to_owned(),
            };
            Err(Error::Unknown { what })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_weighed_as_whatever_it_may_be() {
        // A message whose first part is as long as a bracket's code: it begins like JSON behind a blank line.
        for length in [b'{', b'['] {
            let size = usize::from(length);
            // Scopes' spans of two bytes, each as much as a span.
            let mut inner = b"\x12\x00".repeat(size / 2 - 1);
            inner.extend(if size.is_multiple_of(2) { &b"\x12\x00"[..] } else { b"\x12\x01\x08" });
            assert_eq!(inner.len(), size);
            let message = [&[otlp_protobuf::FIRST_KEY, length][..], &inner].concat().repeat(100);
            assert!(
                memory_bytes(&message) > message.len() * 100,
                "of {} bytes {}",
                message.len(),
                memory_bytes(&message)
            );
        }
        let json = format!("[{}{{}}]", "{},".repeat(100));
        let plain = memory_bytes(json.as_bytes());
        assert!(plain > 100 * json.len() / 2);
        assert!(memory_bytes(format!("\u{feff}{json}").as_bytes()) >= plain);
        assert!(memory_bytes(format!("\n{json}").as_bytes()) >= plain);
    }
}
