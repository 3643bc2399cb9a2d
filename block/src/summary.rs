//! Trace summaries: what a list of traces shows, without touching span columns.

use std::ops::Range;
use std::sync::Arc;

use foldhash::HashMap;
use spanlake_model::TraceId;

use crate::Damage;
use crate::section::{Reader, Writer};

/// What one block knows of a trace; other blocks may hold more of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSummary {
    /// The trace.
    pub trace_id: TraceId,
    /// `service.name` of the root span's resource. `None`: the root span is not in this block, or names no service.
    pub root_service: Option<Arc<str>>,
    /// Name of the root span, the earliest span without a parent. `None`: it is not in this block.
    pub root_name: Option<Arc<str>>,
    /// Earliest start of its spans that have one, in Unix nanoseconds; zero when none has.
    pub start_unix_nanos: u64,
    /// Latest end of those spans, in Unix nanoseconds; never before the start.
    pub end_unix_nanos: u64,
    /// How many spans of it the block has.
    pub span_count: u32,
    /// How many of them have status ERROR.
    pub error_count: u32,
    /// First row of the trace in the block.
    pub first_row: u32,
    services: Range<u32>,
}

/// How many spans of a trace one service has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCount {
    /// `service.name`.
    pub service: Arc<str>,
    /// Spans of the trace.
    pub span_count: u32,
    /// Those of them with status ERROR.
    pub error_count: u32,
}

/// All summaries of a block, ordered by trace id, which is also the order of rows.
#[derive(Debug, Default)]
pub(crate) struct Summaries {
    pub(crate) traces: Vec<TraceSummary>,
    services: Vec<ServiceCount>,
}

impl Summaries {
    /// The services of a trace, in order of first appearance.
    pub(crate) fn services(&self, summary: &TraceSummary) -> &[ServiceCount] {
        &self.services[summary.services.start as usize..summary.services.end as usize]
    }

    /// The trace that a row belongs to, as an index into `traces`.
    pub(crate) fn trace_of(&self, row: u32) -> u32 {
        self.traces.partition_point(|trace| trace.first_row <= row) as u32 - 1
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of_val(self.traces.as_slice()) + size_of_val(self.services.as_slice())
    }

    /// Reads the section that [`SummaryWriter::finish`] wrote.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Damage> {
        let mut reader = Reader::new("trace summaries", bytes);
        let count = reader.count(16)?;
        let ids = reader.raw(16 * count)?;
        let min_start = reader.u64()?;
        let column = |reader: &mut Reader<'_>| (0..count).map(|_| reader.varint()).collect::<Result<Vec<_>, _>>();
        let starts = column(&mut reader)?;
        let durations = column(&mut reader)?;
        let span_counts = column(&mut reader)?;
        let error_counts = column(&mut reader)?;
        let names = read_texts(&mut reader)?;
        let root_names = column(&mut reader)?;
        let service_names = read_texts(&mut reader)?;
        let root_services = column(&mut reader)?;
        let outside = || Damage::new("trace summaries", "a number is out of range");
        let pick = |texts: &[Arc<str>], number: u64| match number {
            0 => Ok(None),
            number => texts.get(number as usize - 1).cloned().map(Some).ok_or_else(outside),
        };

        let mut all = Self { traces: Vec::with_capacity(count), services: Vec::new() };
        let mut first_row = 0_u32;
        for i in 0..count {
            let services_start = all.services.len() as u32;
            for _ in 0..reader.count(3)? {
                all.services.push(ServiceCount {
                    service: service_names.get(reader.varint()? as usize).cloned().ok_or_else(outside)?,
                    span_count: reader.varint_u32()?,
                    error_count: reader.varint_u32()?,
                });
            }
            let id: [u8; 16] = ids[16 * i..16 * (i + 1)].try_into().expect("16 bytes were cut");
            let start_unix_nanos = min_start.wrapping_add(starts[i]);
            let span_count = u32::try_from(span_counts[i]).map_err(|_| outside())?;
            all.traces.push(TraceSummary {
                trace_id: TraceId(id),
                root_service: pick(&service_names, root_services[i])?,
                root_name: pick(&names, root_names[i])?,
                start_unix_nanos,
                end_unix_nanos: start_unix_nanos.saturating_add(durations[i]),
                span_count,
                error_count: u32::try_from(error_counts[i]).map_err(|_| outside())?,
                first_row,
                services: services_start..all.services.len() as u32,
            });
            first_row = first_row.checked_add(span_count).ok_or_else(outside)?;
        }
        Ok(all)
    }
}

fn read_texts(reader: &mut Reader<'_>) -> Result<Vec<Arc<str>>, Damage> {
    (0..reader.count(1)?).map(|_| reader.text().map(Arc::from)).collect()
}

/// A span as its trace's summary sees it.
pub(crate) struct SummarySpan<'a> {
    pub(crate) start_unix_nanos: u64,
    pub(crate) duration_nanos: i64,
    pub(crate) is_root: bool,
    /// Span id, kind and duration, which order spans of one start.
    pub(crate) identity: ([u8; 8], i32, i64),
    pub(crate) is_error: bool,
    pub(crate) name: &'a str,
    pub(crate) service: Option<&'a str>,
}

impl SummarySpan<'_> {
    /// Which of several roots is the first.
    fn order(&self) -> (u64, ([u8; 8], i32, i64), &str) {
        (self.start_unix_nanos, self.identity, self.name)
    }
}

/// Collects summaries, trace by trace in order of trace id.
#[derive(Default)]
pub(crate) struct SummaryWriter {
    ids: Vec<u8>,
    starts: Vec<u64>,
    durations: Vec<u64>,
    span_counts: Vec<u64>,
    error_counts: Vec<u64>,
    root_names: Vec<u64>,
    root_services: Vec<u64>,
    names: Numbered,
    services: Numbered,
    service_counts: Writer,
    /// For each service number its place among the services of the trace being added, or [`NONE`].
    places: Vec<u32>,
}

const NONE: u32 = u32::MAX;

#[derive(Default)]
struct Numbered {
    numbers: HashMap<Arc<str>, u64>,
    texts: Vec<Arc<str>>,
}

impl Numbered {
    fn number(&mut self, text: &str) -> u64 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u64;
        let text: Arc<str> = Arc::from(text);
        self.numbers.insert(Arc::clone(&text), number);
        self.texts.push(text);
        number
    }

    fn write(&self, out: &mut Writer) {
        out.varint(self.texts.len() as u64);
        self.texts.iter().for_each(|text| out.bytes(text.as_bytes()));
    }
}

impl SummaryWriter {
    /// Adds the next trace, with its spans in row order.
    pub(crate) fn push<'a>(&mut self, trace_id: TraceId, spans: impl Iterator<Item = SummarySpan<'a>>) {
        let (mut start, mut end) = (u64::MAX, 0);
        let (mut span_count, mut error_count) = (0, 0);
        let mut root: Option<SummarySpan<'a>> = None;
        let mut services: Vec<(u64, u64, u64)> = Vec::new();
        for span in spans {
            // A start of zero is a start that was not given: it says nothing of when the trace was.
            if span.start_unix_nanos != 0 {
                start = start.min(span.start_unix_nanos);
                end = end.max(span.start_unix_nanos.saturating_add(span.duration_nanos.max(0) as u64));
            }
            span_count += 1;
            error_count += u64::from(span.is_error);
            if let Some(service) = span.service {
                let number = self.services.number(service);
                self.places.resize(self.services.texts.len(), NONE);
                let place = &mut self.places[number as usize];
                if *place == NONE {
                    *place = services.len() as u32;
                    services.push((number, 0, 0));
                }
                let counted = &mut services[*place as usize];
                counted.1 += 1;
                counted.2 += u64::from(span.is_error);
            }
            if span.is_root && root.as_ref().is_none_or(|root| span.order() < root.order()) {
                root = Some(span);
            }
        }
        self.ids.extend_from_slice(&trace_id.0);
        let start = if end == 0 { 0 } else { start };
        self.starts.push(start);
        self.durations.push(end.saturating_sub(start));
        self.span_counts.push(span_count);
        self.error_counts.push(error_count);
        self.root_names.push(root.as_ref().map_or(0, |root| self.names.number(root.name) + 1));
        let root_service = root.and_then(|root| root.service);
        self.root_services.push(root_service.map_or(0, |service| self.services.number(service) + 1));
        self.service_counts.varint(services.len() as u64);
        for (service, spans, errors) in services {
            self.places[service as usize] = NONE;
            [service, spans, errors].into_iter().for_each(|number| self.service_counts.varint(number));
        }
    }

    /// The section.
    pub(crate) fn finish(self) -> Vec<u8> {
        let min_start = self.starts.iter().copied().min().unwrap_or(0);
        let mut out = Writer::default();
        out.varint(self.starts.len() as u64);
        out.raw(&self.ids);
        out.u64(min_start);
        self.starts.iter().for_each(|start| out.varint(start - min_start));
        for column in [&self.durations, &self.span_counts, &self.error_counts] {
            column.iter().for_each(|value| out.varint(*value));
        }
        self.names.write(&mut out);
        self.root_names.iter().for_each(|value| out.varint(*value));
        self.services.write(&mut out);
        self.root_services.iter().for_each(|value| out.varint(*value));
        out.raw(&self.service_counts.0);
        out.0
    }
}
