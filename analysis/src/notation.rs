//! Traces as a person writes them, for tests: one line a span, children below their parent and indented more.
//!
//! ```text
//! service | name         | kind     | start..end ms | what else
//! shop    | GET /        | server   | 0..100        |
//!   shop  | SELECT items | client   | 10..20        | x3 +25; db.query.text=SELECT {i}
//! ```
//!
//! What else, separated by `;`: `error`, `ok`, `id=7` (hexadecimal), `parent=99`, `host=h`, `flags=0x300`,
//! `x3 +25` (three times, each 25 ms later, `{i}` being its number), `exception=Type: message`, `message=text` of the
//! status, `resource.key=value` and any other `key=value` as attributes. The first line of a text may be a heading.
//! Times have three decimals at most and count from one second into 2025, so that none is in 1970. `#` opens a comment.

use std::borrow::Cow;

use spanlake_model::{SpanId, TraceId};

use crate::attributes::{Attributes, Exception, Value};
use crate::skeleton::{Kind, SkeletonBuilder, SpanRow, Status};
use crate::trace::Trace;

/// When the clock of written traces starts.
pub(crate) const EPOCH: u64 = 1_735_689_601_000_000_000;

/// One span as written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) kind: Kind,
    pub(crate) status: Status,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) flags: u32,
    attributes: Vec<(String, String)>,
    exception: Option<(String, String)>,
    message: Option<String>,
}

/// The attributes of written spans, by row.
#[derive(Debug, Clone, Default)]
pub(crate) struct WrittenAttributes(Vec<Written>);

impl Attributes for WrittenAttributes {
    fn attribute(&self, row: u32, key: &str) -> Option<Value<'_>> {
        let (_, value) = self.0[row as usize].attributes.iter().find(|(name, _)| name == key)?;
        Some(Value::Text(Cow::Borrowed(value)))
    }

    fn exception(&self, row: u32) -> Option<Exception<'_>> {
        let (kind, message) = self.0[row as usize].exception.as_ref()?;
        Some(Exception { kind: kind.into(), message: message.into(), stacktrace: Cow::Borrowed("") })
    }

    fn status_message(&self, row: u32) -> Option<Cow<'_, str>> {
        self.0[row as usize].message.as_deref().map(Cow::Borrowed)
    }
}

/// The spans of a text, in its order.
pub(crate) fn written(text: &str) -> Vec<Written> {
    let mut spans: Vec<Written> = Vec::new();
    // Indent and id of each span that the next one may be below.
    let mut above: Vec<(usize, u64)> = Vec::new();
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    for line in lines.filter(|line| !line.contains("start..end")) {
        let indent = line.len() - line.trim_start().len();
        let columns: Vec<&str> = line.splitn(5, '|').map(str::trim).collect();
        let [service, name, kind, times, ..] = columns[..] else { panic!("not a span: {line}") };
        let (start, end) = times.split_once("..").unwrap_or_else(|| panic!("no times: {line}"));
        while above.pop_if(|(other, _)| *other >= indent).is_some() {}
        let mut span = Written {
            id: spans.len() as u64 + 1,
            parent: above.last().map_or(0, |(_, id)| *id),
            start: nanos(start),
            end: nanos(end),
            kind: kind_of(kind),
            service: service.to_owned(),
            name: name.to_owned(),
            ..Written::default()
        };
        let (times, step) = options(&mut span, columns.get(4).copied().unwrap_or(""));
        above.push((indent, span.id));
        for at in 0..times {
            let mut copy = span.clone();
            copy.id += at;
            copy.start = copy.start.wrapping_add(step * at);
            copy.end = copy.end.wrapping_add(step * at);
            for (_, value) in &mut copy.attributes {
                *value = value.replace("{i}", &at.to_string());
            }
            spans.push(copy);
        }
    }
    spans
}

/// The trace of a text, with its attributes.
pub(crate) fn read(text: &str) -> (Trace, WrittenAttributes) {
    let spans = written(text);
    (build(&spans), WrittenAttributes(spans))
}

/// The trace of a text.
pub(crate) fn trace(text: &str) -> Trace {
    build(&written(text))
}

/// The trace of spans as written.
pub(crate) fn build(spans: &[Written]) -> Trace {
    let mut builder = SkeletonBuilder::with_capacity(TraceId([7; 16]), spans.len());
    for span in spans {
        builder.push(SpanRow {
            span_id: SpanId(span.id.to_be_bytes()),
            parent_span_id: Some(SpanId(span.parent.to_be_bytes())),
            start_unix_nanos: span.start,
            end_unix_nanos: span.end,
            kind: span.kind,
            status: span.status,
            service: &span.service,
            name: &span.name,
            host: &span.host,
            flags: span.flags,
        });
    }
    Trace::new(builder.finish())
}

fn options(span: &mut Written, text: &str) -> (u64, u64) {
    let (mut times, mut step) = (1, 0);
    for option in text.split(';').map(str::trim).filter(|option| !option.is_empty()) {
        if let Some((count, later)) = option.strip_prefix('x').and_then(|rest| rest.split_once(" +")) {
            times = count.parse().expect("a number of times");
            step = nanos(later) - EPOCH;
            continue;
        }
        match option.split_once('=') {
            None if option == "error" => span.status = Status::Error,
            None if option == "ok" => span.status = Status::Ok,
            None => panic!("no option: {option}"),
            Some(("id", id)) => span.id = u64::from_str_radix(id, 16).expect("a hexadecimal id"),
            Some(("parent", id)) => span.parent = u64::from_str_radix(id, 16).expect("a hexadecimal id"),
            Some(("host", host)) => span.host = host.to_owned(),
            Some(("flags", flags)) => {
                span.flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).expect("hexadecimal flags");
            }
            Some(("exception", text)) => {
                let (kind, message) = text.split_once(": ").unwrap_or((text, ""));
                span.exception = Some((kind.to_owned(), message.to_owned()));
            }
            Some(("message", text)) => span.message = Some(text.to_owned()),
            Some((key, value)) => span.attributes.push((key.to_owned(), value.to_owned())),
        }
    }
    (times, step)
}

fn kind_of(text: &str) -> Kind {
    match text {
        "internal" => Kind::Internal,
        "server" => Kind::Server,
        "client" => Kind::Client,
        "producer" => Kind::Producer,
        "consumer" => Kind::Consumer,
        "" | "-" => Kind::Unspecified,
        other => panic!("no kind: {other}"),
    }
}

/// Unix nanoseconds of a number of milliseconds; `1970` and `@` before a number of nanoseconds are taken as they are.
fn nanos(text: &str) -> u64 {
    if let Some(nanos) = text.trim().strip_prefix('@') {
        return nanos.parse().expect("nanoseconds");
    }
    let millis: f64 = text.trim().parse().unwrap_or_else(|_| panic!("no time: {text}"));
    EPOCH.wrapping_add_signed((millis * 1e6).round() as i64)
}
