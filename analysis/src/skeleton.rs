//! A trace as columns: ids, times, kinds and small codes for texts, attributes left out. Knows no structure: whose
//! child a span is, [`crate::Tree`] finds out.

use std::cmp::Ordering;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use serde::Serialize;
use spanlake_model::{SpanId, TraceId};

/// What a span is to the call it belongs to (OpenTelemetry `SpanKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Not said, or a number that OpenTelemetry does not know.
    #[default]
    Unspecified,
    /// Work inside a service.
    Internal,
    /// The answering side of a call.
    Server,
    /// The asking side of a call.
    Client,
    /// Sends a message and does not wait for what becomes of it.
    Producer,
    /// Handles a message.
    Consumer,
}

impl Kind {
    /// The kind that OTLP numbers so.
    pub fn from_otlp(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }
}

/// How a span ended (OpenTelemetry `StatusCode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nobody said.
    #[default]
    Unset,
    /// Said to be well.
    Ok,
    /// Failed.
    Error,
}

impl Status {
    /// The status that OTLP numbers so.
    pub fn from_otlp(number: i32) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }
}

/// One span as it goes into a [`SkeletonBuilder`].
#[derive(Debug, Clone, Copy, Default)]
pub struct SpanRow<'a> {
    /// Its own id.
    pub span_id: SpanId,
    /// Its parent's id; nothing, or all zero, for a root.
    pub parent_span_id: Option<SpanId>,
    /// Start in Unix nanoseconds.
    pub start_unix_nanos: u64,
    /// End in Unix nanoseconds; may lie before the start in damaged data.
    pub end_unix_nanos: u64,
    /// Kind.
    pub kind: Kind,
    /// Status.
    pub status: Status,
    /// `service.name` of its resource; empty when it has none.
    pub service: &'a str,
    /// Its name. Service, name and kind together are its operation.
    pub name: &'a str,
    /// Whose clock it was timed by: the host, pod or instance; empty when unknown.
    pub host: &'a str,
    /// OTLP flags: W3C trace flags in the low 8 bits, 0x100 "is remote" known, 0x200 the parent was remote.
    pub flags: u32,
}

/// Collects spans in any order.
#[derive(Debug, Default)]
pub struct SkeletonBuilder {
    trace_id: TraceId,
    columns: Columns,
    codes: HashMap<String, u32, RandomState>,
    strings: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Columns {
    span_id: Vec<u64>,
    parent_id: Vec<u64>,
    start: Vec<u64>,
    end: Vec<u64>,
    kind: Vec<Kind>,
    status: Vec<Status>,
    service: Vec<u32>,
    name: Vec<u32>,
    host: Vec<u32>,
    flags: Vec<u32>,
}

/// The columns of a trace, in span order: by start, id, kind, end, name, and then by everything else. A span's
/// position in this order is its number in all of this crate; the order, and so every answer, does not depend on the
/// order in which spans came. Copies that agree in every column are one span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skeleton {
    trace_id: TraceId,
    columns: Columns,
    /// In order, each once, so that codes compare as their texts do.
    strings: Vec<String>,
    /// Which of the rows pushed each span is.
    row: Vec<u32>,
    copy_count: u32,
}

impl SkeletonBuilder {
    /// Starts a trace of about that many spans.
    pub fn with_capacity(trace_id: TraceId, span_count: usize) -> Self {
        let mut builder = Self { trace_id, ..Self::default() };
        builder.columns.reserve(span_count.min(1 << 20));
        builder
    }

    /// Adds a span; it is row 0, 1, 2 and so on. Spans past the first 2^32 - 2 are left out.
    pub fn push(&mut self, span: SpanRow<'_>) {
        if self.columns.span_id.len() >= (u32::MAX - 1) as usize {
            return;
        }
        let (service, name, host) = (self.code(span.service), self.code(span.name), self.code(span.host));
        let columns = &mut self.columns;
        columns.span_id.push(u64::from_be_bytes(span.span_id.0));
        columns.parent_id.push(span.parent_span_id.map_or(0, |id| u64::from_be_bytes(id.0)));
        columns.start.push(span.start_unix_nanos);
        columns.end.push(span.end_unix_nanos);
        columns.kind.push(span.kind);
        columns.status.push(span.status);
        columns.service.push(service);
        columns.name.push(name);
        columns.host.push(host);
        columns.flags.push(span.flags);
    }

    fn code(&mut self, text: &str) -> u32 {
        if let Some(code) = self.codes.get(text) {
            return *code;
        }
        let code = self.strings.len() as u32;
        self.strings.push(text.to_owned());
        self.codes.insert(text.to_owned(), code);
        code
    }

    /// Puts the spans in order: n log n.
    pub fn finish(self) -> Skeleton {
        let Self { trace_id, mut columns, strings, .. } = self;
        let mut by_text: Vec<u32> = (0..strings.len() as u32).collect();
        by_text.sort_unstable_by(|a, b| strings[*a as usize].cmp(&strings[*b as usize]));
        let mut codes = vec![0; strings.len()];
        for (code, old) in by_text.iter().enumerate() {
            codes[*old as usize] = code as u32;
        }
        for column in [&mut columns.service, &mut columns.name, &mut columns.host] {
            column.iter_mut().for_each(|code| *code = codes[*code as usize]);
        }
        let mut sorted: Vec<String> = strings;
        sorted.sort_unstable();
        let row = (0..columns.span_id.len() as u32).collect();
        let mut skeleton = Skeleton { trace_id, columns, strings: sorted, row, copy_count: 0 };
        skeleton.sort();
        skeleton
    }
}

impl Columns {
    fn reserve(&mut self, count: usize) {
        for column in [&mut self.span_id, &mut self.parent_id, &mut self.start, &mut self.end] {
            column.reserve(count);
        }
        for column in [&mut self.service, &mut self.name, &mut self.host, &mut self.flags] {
            column.reserve(count);
        }
        self.kind.reserve(count);
        self.status.reserve(count);
    }

    fn compare(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (a as usize, b as usize);
        let key = |at: usize| (self.start[at], self.span_id[at], self.kind[at], self.end[at], self.name[at]);
        let rest = |at: usize| (self.parent_id[at], self.service[at], self.host[at], self.status[at], self.flags[at]);
        key(a).cmp(&key(b)).then_with(|| rest(a).cmp(&rest(b)))
    }

    fn pick(&self, order: &[u32]) -> Self {
        fn pick<T: Copy>(column: &[T], order: &[u32]) -> Vec<T> {
            order.iter().map(|at| column[*at as usize]).collect()
        }
        Self {
            span_id: pick(&self.span_id, order),
            parent_id: pick(&self.parent_id, order),
            start: pick(&self.start, order),
            end: pick(&self.end, order),
            kind: pick(&self.kind, order),
            status: pick(&self.status, order),
            service: pick(&self.service, order),
            name: pick(&self.name, order),
            host: pick(&self.host, order),
            flags: pick(&self.flags, order),
        }
    }
}

impl Skeleton {
    fn sort(&mut self) {
        let columns = &self.columns;
        // Start and id decide nearly always, and lie beside each other here.
        let mut keys: Vec<(u64, u64, u32)> =
            (0..self.row.len()).map(|at| (columns.start[at], columns.span_id[at], at as u32)).collect();
        keys.sort_unstable_by(|a, b| {
            (a.0, a.1)
                .cmp(&(b.0, b.1))
                .then_with(|| columns.compare(a.2, b.2))
                .then_with(|| self.row[a.2 as usize].cmp(&self.row[b.2 as usize]))
        });
        keys.dedup_by(|later, first| columns.compare(first.2, later.2) == Ordering::Equal);
        self.copy_count += (self.row.len() - keys.len()) as u32;
        let order: Vec<u32> = keys.into_iter().map(|(_, _, at)| at).collect();
        self.row = order.iter().map(|at| self.row[*at as usize]).collect();
        self.columns = self.columns.pick(&order);
    }

    /// The same trace with each span moved by the nanoseconds that `shift` gives, which wrap around; in span order again.
    /// A time of 0 is none and stays so.
    pub(crate) fn shifted(&self, shift: impl Fn(u32) -> i64) -> Self {
        let mut shifted = self.clone();
        for span in 0..self.span_count() {
            let nanos = shift(span);
            let at = span as usize;
            for time in [&mut shifted.columns.start[at], &mut shifted.columns.end[at]] {
                if *time != 0 {
                    *time = time.wrapping_add_signed(nanos);
                }
            }
        }
        shifted.sort();
        shifted
    }

    /// Only these spans, which come in span order and are given other numbers; rows stay. `top` names no
    /// parent any more.
    pub(crate) fn part(&self, spans: &[u32], top: u32) -> Self {
        let mut columns = self.columns.pick(spans);
        if let Ok(at) = spans.binary_search(&top) {
            columns.parent_id[at] = 0;
        }
        let row = spans.iter().map(|span| self.row[*span as usize]).collect();
        let mut part = Self { trace_id: self.trace_id, columns, strings: self.strings.clone(), row, copy_count: 0 };
        // Without its parent's id a span may have another place.
        part.sort();
        part
    }

    /// The trace's id.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// How many spans there are; they are numbered from 0.
    pub fn span_count(&self) -> u32 {
        self.row.len() as u32
    }

    /// Copies that were left out because they agree with another span in every column.
    pub fn copy_count(&self) -> u32 {
        self.copy_count
    }

    /// Which of the rows given to the builder the span is.
    pub fn row(&self, span: u32) -> u32 {
        self.row[span as usize]
    }

    /// The span's id.
    pub fn span_id(&self, span: u32) -> SpanId {
        SpanId(self.columns.span_id[span as usize].to_be_bytes())
    }

    pub(crate) fn id(&self, span: u32) -> u64 {
        self.columns.span_id[span as usize]
    }

    /// The id of the span's parent as a number; 0 for none.
    pub(crate) fn parent_id(&self, span: u32) -> u64 {
        self.columns.parent_id[span as usize]
    }

    /// The id of the parent that the span names.
    pub fn parent_span_id(&self, span: u32) -> Option<SpanId> {
        let id = self.parent_id(span);
        (id != 0).then_some(SpanId(id.to_be_bytes()))
    }

    /// Start in Unix nanoseconds.
    #[inline]
    pub fn start(&self, span: u32) -> u64 {
        self.columns.start[span as usize]
    }

    /// End in Unix nanoseconds; the start for a span that ends before it starts.
    #[inline]
    pub fn end(&self, span: u32) -> u64 {
        self.columns.end[span as usize].max(self.columns.start[span as usize])
    }

    /// End in Unix nanoseconds as it was sent.
    pub fn end_as_sent(&self, span: u32) -> u64 {
        self.columns.end[span as usize]
    }

    /// Nanoseconds from start to end; 0 for a span that ends before it starts.
    #[inline]
    pub fn duration(&self, span: u32) -> u64 {
        self.columns.end[span as usize].saturating_sub(self.columns.start[span as usize])
    }

    /// Kind.
    #[inline]
    pub fn kind(&self, span: u32) -> Kind {
        self.columns.kind[span as usize]
    }

    /// Status.
    #[inline]
    pub fn status(&self, span: u32) -> Status {
        self.columns.status[span as usize]
    }

    /// Whether the span failed.
    #[inline]
    pub fn is_error(&self, span: u32) -> bool {
        self.status(span) == Status::Error
    }

    /// Service.
    pub fn service(&self, span: u32) -> &str {
        self.string(self.columns.service[span as usize])
    }

    /// Name.
    pub fn name(&self, span: u32) -> &str {
        self.string(self.columns.name[span as usize])
    }

    /// Host, pod or instance whose clock timed the span; empty when unknown.
    pub fn host(&self, span: u32) -> &str {
        self.string(self.columns.host[span as usize])
    }

    /// OTLP flags.
    pub fn flags(&self, span: u32) -> u32 {
        self.columns.flags[span as usize]
    }

    /// The text's code in [`Skeleton::strings`] of the service.
    #[inline]
    pub fn service_code(&self, span: u32) -> u32 {
        self.columns.service[span as usize]
    }

    /// The text's code in [`Skeleton::strings`] of the name.
    #[inline]
    pub fn name_code(&self, span: u32) -> u32 {
        self.columns.name[span as usize]
    }

    /// The text's code in [`Skeleton::strings`] of the host.
    #[inline]
    pub fn host_code(&self, span: u32) -> u32 {
        self.columns.host[span as usize]
    }

    /// The span's operation: codes of service and name, and the kind.
    #[inline]
    pub fn operation(&self, span: u32) -> Operation {
        Operation { service: self.service_code(span), name: self.name_code(span), kind: self.kind(span) }
    }

    /// All services, names and hosts, in order, each once.
    pub fn strings(&self) -> &[String] {
        &self.strings
    }

    fn string(&self, code: u32) -> &str {
        &self.strings[code as usize]
    }

    /// How a person calls the span: service and name.
    pub fn label(&self, span: u32) -> String {
        match (self.service(span), self.name(span)) {
            ("", "") => "a span without a name".to_owned(),
            ("", name) => name.to_owned(),
            (service, "") => service.to_owned(),
            (service, name) => format!("{service} {name}"),
        }
    }
}

/// What a span does, as codes of one skeleton; spans of one operation are comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation {
    /// Code of the service.
    pub service: u32,
    /// Code of the name.
    pub name: u32,
    /// Kind.
    pub kind: Kind,
}
