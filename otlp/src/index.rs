//! Indexes one request in one pass: finds the spans, checks every byte a reader will look at, judges span by span.

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;
use spanlake_model::{SpanId, TraceId};

use crate::batch::{Batch, Group, Reason, Rejections, SpanEntry};
use crate::check::{Checker, Findings};
use crate::limits::{Limits, MAX_DEPTH};
use crate::proto;
use crate::rewrite::{self, Rewritten};
use crate::wire::{Fault, Kind, Malformed, Read, Reader};

/// Largest request that [`index`] takes: its offsets, and those of what the cold path writes behind it, fit 32 bits.
pub const MAX_REQUEST_BYTES: usize = 1 << 30;

/// Checks and indexes an encoded `ExportTraceServiceRequest`.
///
/// Spans that cannot be kept are left out and counted in [`Batch::rejected`]; spans past a limit that cuts are kept,
/// cut and marked ([`TRUNCATED`](crate::TRUNCATED)). An empty request is an empty batch. Allocates in proportion to
/// the accepted spans, never to a declared length.
///
/// # Errors
/// [`Malformed`] when the bytes are not the protobuf message: nothing of the request is kept.
pub fn index(bytes: Bytes, limits: &Limits) -> Result<Batch, Malformed> {
    if bytes.len() > MAX_REQUEST_BYTES {
        let what = Fault::RequestTooLarge { request_bytes: bytes.len(), max_bytes: MAX_REQUEST_BYTES };
        return Err(Malformed { offset: MAX_REQUEST_BYTES, what });
    }
    let limits = &Limits { max_depth: limits.max_depth.min(MAX_DEPTH), ..limits.clone() };
    let mut indexer = Indexer {
        limits,
        checker: Checker::new(limits),
        groups: Vec::new(),
        spans: Vec::new(),
        rejected: Rejections::default(),
        truncated_spans: 0,
        span_ordinal: 0,
        request_bytes: bytes.len(),
        tail: Vec::new(),
    };
    indexer.request(Reader::new(&bytes)).map_err(|malformed| *malformed)?;
    let Indexer { groups, spans, rejected, truncated_spans, tail, .. } = indexer;
    let bytes = if tail.is_empty() { bytes } else { Bytes::from([bytes.as_ref(), &tail].concat()) };
    Ok(Batch { bytes, groups, spans, rejected, truncated_spans })
}

struct Indexer<'l> {
    limits: &'l Limits,
    checker: Checker,
    groups: Vec<Group>,
    spans: Vec<SpanEntry>,
    rejected: Rejections,
    truncated_spans: u32,
    /// Spans met so far, accepted or not.
    span_ordinal: u64,
    request_bytes: usize,
    /// What the cold path encodes again, to be put behind the request.
    tail: Vec<u8>,
}

/// How far the index had come before a resource or a scope, to go back to when all of its spans are refused.
struct Mark {
    groups: usize,
    spans: usize,
    truncated_spans: u32,
}

/// What surrounds spans: the resource of a `ResourceSpans`, or the scope of a `ScopeSpans`.
#[derive(Default)]
struct Surrounding {
    message: Range<u32>,
    schema_url: Range<u32>,
    schema_url_cut: bool,
    found: Findings,
    seen: u32,
}

impl Indexer<'_> {
    fn request(&mut self, mut reader: Reader<'_>) -> Read<()> {
        while let Some(key) = reader.key()? {
            match key {
                proto::request::RESOURCE_SPANS => self.resource_spans(reader.message()?)?,
                _ => reader.skip(key, &proto::REQUEST)?,
            }
        }
        Ok(())
    }

    fn resource_spans(&mut self, whole: Reader<'_>) -> Read<()> {
        use proto::resource_spans::*;
        let mark = self.mark();
        let mut resource = Surrounding::default();
        let mut reader = whole;
        while let Some(key) = reader.key()? {
            match key {
                SCOPE_SPANS => self.scope_spans(reader.message()?)?,
                RESOURCE => {
                    let message = reader.message()?;
                    self.checker.found = resource.found;
                    self.checker.resource(message)?;
                    self.checker.once(&mut resource.seen, key);
                    resource.found = self.checker.found;
                    resource.message = range_of(&message);
                }
                SCHEMA_URL => self.schema_url(&mut resource, reader.message()?),
                _ => reader.skip(key, &proto::RESOURCE_SPANS)?,
            }
        }
        let rewrite = |limits: &Limits| {
            rewrite::resource(all_of(whole, RESOURCE, &proto::RESOURCE_SPANS), limits, resource.schema_url_cut)
        };
        if let Some(message) = self.settle(&mark, &resource, "resource", rewrite) {
            for group in &mut self.groups[mark.groups..] {
                group.resource = message.clone();
                group.resource_schema_url = resource.schema_url.clone();
            }
        }
        Ok(())
    }

    fn scope_spans(&mut self, whole: Reader<'_>) -> Read<()> {
        use proto::scope_spans::*;
        let mark = self.mark();
        let mut scope = Surrounding::default();
        let mut reader = whole;
        while let Some(key) = reader.key()? {
            match key {
                SPANS => self.span(reader.message()?, mark.groups)?,
                SCOPE => {
                    let message = reader.message()?;
                    self.checker.found = scope.found;
                    self.checker.scope(message)?;
                    self.checker.once(&mut scope.seen, key);
                    scope.found = self.checker.found;
                    scope.message = range_of(&message);
                }
                SCHEMA_URL => self.schema_url(&mut scope, reader.message()?),
                _ => reader.skip(key, &proto::SCOPE_SPANS)?,
            }
        }
        let rewrite =
            |limits: &Limits| rewrite::scope(all_of(whole, SCOPE, &proto::SCOPE_SPANS), limits, scope.schema_url_cut);
        if let Some(message) = self.settle(&mark, &scope, "scope", rewrite) {
            for group in &mut self.groups[mark.groups..] {
                group.scope = message.clone();
                group.scope_schema_url = scope.schema_url.clone();
            }
        }
        Ok(())
    }

    /// Takes a schema URL: of several the last counts, as protobuf has it, and a long one is cut by its range.
    fn schema_url(&mut self, surrounding: &mut Surrounding, text: Reader<'_>) {
        self.checker.found = Findings::default();
        self.checker.text(text.rest());
        surrounding.found.invalid_utf8 |= self.checker.found.invalid_utf8;
        surrounding.schema_url = range_of(&text);
        surrounding.schema_url_cut = self.checker.found.over_limit;
        if surrounding.schema_url_cut {
            let text = std::str::from_utf8(text.rest()).unwrap_or_default();
            let length = rewrite::cut_at(text, self.limits.max_value_bytes);
            surrounding.schema_url.end = surrounding.schema_url.start + to_offset(length);
        }
    }

    /// Judges a resource or scope after its spans. Returns where its message lies, or nothing when no span is left.
    fn settle(
        &mut self,
        mark: &Mark,
        surrounding: &Surrounding,
        name: &str,
        rewrite: impl FnOnce(&Limits) -> Option<Rewritten>,
    ) -> Option<Range<u32>> {
        let span_count = self.spans.len() - mark.spans;
        if span_count == 0 {
            return None;
        }
        let Surrounding { found, schema_url_cut, .. } = surrounding;
        if found.invalid_utf8 {
            self.refuse_since(mark, Reason::InvalidUtf8, || format!("a text of the {name} is not UTF-8"));
            return None;
        }
        if found.too_deep {
            let max_depth = self.limits.max_depth;
            self.refuse_since(mark, Reason::TooDeep, || {
                format!("an attribute value of the {name} is nested deeper than {max_depth} levels")
            });
            return None;
        }
        if !found.repeated && !found.over_limit && !schema_url_cut {
            return Some(surrounding.message.clone());
        }
        let Some(rewritten) = rewrite(self.limits) else {
            self.refuse_since(mark, Reason::TooDeep, || format!("the {name} is nested too deep"));
            return None;
        };
        if rewritten.truncated {
            self.truncated_spans = mark.truncated_spans + to_offset(span_count);
        }
        Some(self.append(&rewritten.encoded))
    }

    fn span(&mut self, message: Reader<'_>, group: usize) -> Read<()> {
        let ordinal = self.span_ordinal;
        self.span_ordinal += 1;
        let span_bytes = message.rest().len();
        let Limits { max_spans, max_depth, max_span_bytes, .. } = *self.limits;
        if span_bytes > max_span_bytes {
            self.rejected.add(Reason::SpanTooLarge, 1, || {
                format!("span {ordinal} of the request has {span_bytes} bytes: at most {max_span_bytes} are allowed")
            });
            return Ok(());
        }
        if self.spans.len() >= max_spans {
            self.rejected.add(Reason::TooManySpans, 1, || {
                format!("the request has more than {max_spans} spans: send smaller batches")
            });
            return Ok(());
        }
        self.checker.found = Findings::default();
        let head = self.checker.span(message)?;
        let found = self.checker.found;
        let Some(trace_id) = TraceId::from_wire(head.trace_id) else {
            self.refuse_id(Reason::InvalidTraceId, "trace", ordinal, head.trace_id, 16);
            return Ok(());
        };
        let Some(span_id) = SpanId::from_wire(head.span_id) else {
            self.refuse_id(Reason::InvalidSpanId, "span", ordinal, head.span_id, 8);
            return Ok(());
        };
        if found.invalid_utf8 {
            self.rejected
                .add(Reason::InvalidUtf8, 1, || format!("a text of span {ordinal} of the request is not UTF-8"));
            return Ok(());
        }
        let mut span = range_of(&message);
        let mut too_deep = found.too_deep;
        if !too_deep && (found.repeated || found.over_limit) {
            match rewrite::span(message.rest(), self.limits) {
                Some(rewritten) => {
                    self.truncated_spans += u32::from(rewritten.truncated);
                    span = self.append(&rewritten.encoded);
                }
                None => too_deep = true,
            }
        }
        if too_deep {
            self.rejected.add(Reason::TooDeep, 1, || {
                format!("an attribute value of span {ordinal} of the request is nested deeper than {max_depth} levels")
            });
            return Ok(());
        }
        if self.groups.len() == group {
            self.groups.push(Group::default());
        }
        self.spans.push(SpanEntry {
            trace_id,
            span_id,
            parent_span_id: head.parent_span_id.try_into().unwrap_or_default(),
            start_unix_nanos: head.start_unix_nanos,
            end_unix_nanos: head.end_unix_nanos,
            group: to_offset(group),
            span,
        });
        Ok(())
    }

    #[cold]
    fn refuse_id(&mut self, reason: Reason, name: &str, ordinal: u64, id: &[u8], id_bytes: usize) {
        self.rejected.add(reason, 1, || match id.len() {
            len if len == id_bytes => format!("the {name} id of span {ordinal} of the request is zero"),
            len => format!("the {name} id of span {ordinal} of the request has {len} bytes: {id_bytes} are needed"),
        });
    }

    #[cold]
    fn refuse_since(&mut self, mark: &Mark, reason: Reason, sentence: impl FnOnce() -> String) {
        self.rejected.add(reason, (self.spans.len() - mark.spans) as u64, sentence);
        self.spans.truncate(mark.spans);
        self.groups.truncate(mark.groups);
        self.truncated_spans = mark.truncated_spans;
    }

    fn mark(&self) -> Mark {
        Mark { groups: self.groups.len(), spans: self.spans.len(), truncated_spans: self.truncated_spans }
    }

    #[cold]
    fn append(&mut self, encoded: &[u8]) -> Range<u32> {
        let start = self.request_bytes + self.tail.len();
        self.tail.extend_from_slice(encoded);
        to_offset(start)..to_offset(start + encoded.len())
    }
}

/// Every occurrence of one message field in a message that has been walked before.
fn all_of<'a>(mut reader: Reader<'a>, wanted: u32, kind: &'static Kind) -> impl Iterator<Item = &'a [u8]> {
    std::iter::from_fn(move || {
        while let Ok(Some(key)) = reader.key() {
            if key & 7 != 2 {
                reader.skip(key, kind).ok()?;
                continue;
            }
            let content = reader.bytes().ok()?;
            if key == wanted {
                return Some(content);
            }
        }
        None
    })
}

fn range_of(message: &Reader<'_>) -> Range<u32> {
    to_offset(message.offset())..to_offset(message.end())
}

fn to_offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a request of at most MAX_REQUEST_BYTES, encoded again, stays below 4 GiB")
}
