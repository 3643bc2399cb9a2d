//! OTLP as protobuf: `TracesData` and `ExportTraceServiceRequest`, which have the same bytes.

use bytes::Bytes;
use spanlake_otlp::{Batch, Limits, Malformed, index, readable};

use crate::weight::{self, Part};
use crate::{Error, Format, Parsed};

/// The key of `resourceSpans`, with which every message begins. It is also a line feed.
pub(crate) const FIRST_KEY: u8 = 0x0a;

/// A file is read whole: nothing is cut from it.
const LIMITS: Limits = Limits {
    max_spans: usize::MAX,
    max_depth: spanlake_otlp::MAX_DEPTH,
    max_span_bytes: usize::MAX,
    max_attributes: usize::MAX,
    max_value_bytes: usize::MAX,
    max_events: usize::MAX,
    max_links: usize::MAX,
};

/// The file, when it is OTLP protobuf with spans in it.
pub(crate) fn read(bytes: &[u8]) -> Option<Parsed> {
    let mut parsed = Parsed::new(Format::OtlpProtobuf);
    let (messages, is_cut) = messages(bytes)?;
    for message in messages {
        add(&mut parsed, &checked(message).ok()?);
    }
    if is_cut {
        parsed.reject(None, "the file ends inside its last message, which is left out".to_owned());
    }
    (parsed.span_count() + parsed.rejected_count > 0).then_some(parsed)
}

/// Whether a file begins like one.
pub(crate) fn is_likely(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(&FIRST_KEY | 0))
}

/// About how many bytes of memory a file takes when it is read.
pub(crate) fn weigh(bytes: &[u8]) -> usize {
    let (messages, _) = messages(bytes).unwrap_or_default();
    messages.into_iter().map(|message| weight::weigh_protobuf(message, Part::Request)).fold(0, usize::saturating_add)
}

/// Why a file that begins like OTLP protobuf is none.
pub(crate) fn error(bytes: &[u8]) -> Error {
    match checked(bytes) {
        Err(Malformed { offset, what }) => Error::Protobuf { offset, what: what.to_string() },
        Ok(_) => Error::Unknown { what: "it may be OTLP protobuf, but holds no spans".to_owned() },
    }
}

fn checked(message: &[u8]) -> Result<Batch, Malformed> {
    index(Bytes::copy_from_slice(message), &LIMITS)
}

fn add(parsed: &mut Parsed, batch: &Batch) {
    let rejected = usize::try_from(batch.rejected.span_count).unwrap_or(usize::MAX);
    parsed.reject_spans(rejected, batch.rejected.first_reason.clone());
    parsed.judge(None, readable::request(batch).resource_spans);
}

/// The messages of a file, and whether its last one is cut: itself, or each behind its length in four bytes, the highest first.
fn messages(bytes: &[u8]) -> Option<(Vec<&[u8]>, bool)> {
    match bytes.first() {
        Some(&FIRST_KEY) => Some((vec![bytes], false)),
        // A length below 16 MiB. Nothing else that is read here begins with a zero.
        Some(0) => framed(bytes),
        _ => None,
    }
}

fn framed(mut bytes: &[u8]) -> Option<(Vec<&[u8]>, bool)> {
    let mut messages = Vec::new();
    while let Some((message, rest)) = first_message(bytes) {
        messages.push(message);
        bytes = rest;
    }
    (!messages.is_empty()).then_some((messages, !bytes.is_empty()))
}

fn first_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}
