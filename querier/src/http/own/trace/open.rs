//! `POST /api/v1/open`: what is in a file of traces. Nothing of it is stored: whoever wants one of several traces sends the
//! file again with its id.

use std::borrow::Cow;

use ::http::header::CONTENT_LENGTH;
use ::http::{HeaderMap, StatusCode, Uri};
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;
use spanlake_analysis::{Completeness, NoHistory, OtlpTrace, Settings, Trace, from_otlp};
use spanlake_interchange::{Parsed, memory_bytes, parse_within, unpacked};
use spanlake_model::{SpanId, TraceId};

use super::diagnosis::TraceDiagnosis;
use super::load::{json as as_json, trace_id};
use super::skeleton::{Part, TraceSkeleton, error_count};
use super::spans::{SpanDetail, details};
use crate::error::Error;
use crate::http::own::describe::{HexTrace, Nanos, UnixNanos, described};
use crate::http::own::openapi::{Document, query, shared};
use crate::http::refusal::Refusal;
use crate::http::request::{Format, Observed, answer, params, tenants};
use crate::querier::Querier;

/// Most bytes of a file, as it comes and unpacked.
const MAX_FILE_BYTES: usize = 64 << 20;
/// A packed file of so many bytes has at most so many times as many: what gzip can do.
const MAX_PACKED: u64 = 1_032;
/// Traces that are listed.
const MAX_TRACES: usize = 10_000;
/// Spans of which everything is answered; the skeleton has the rest.
const MAX_DETAILS: usize = 50_000;
/// Problems that are told.
const MAX_PROBLEMS: usize = 20;

described! {
    /// What is in a file.
    pub(crate) struct OpenedFile {
        /// What the file is: `otlpJson`, `otlpJsonLines`, `otlpProtobuf`, `tempoJson`, `jaegerJson` or `zipkinJson`.
        format: &'static str,
        /// Its traces, by id.
        traces: Vec<Summary>,
        /// Spans or lines that could not be read.
        rejected_count: usize,
        /// What is wrong with the first of them.
        rejected: Vec<String>,
        /// The trace that was asked for, or the only one.
        skeleton: Option<TraceSkeleton>,
        /// What made it slow or fail.
        diagnosis: Option<TraceDiagnosis>,
        /// Its spans with all that was sent of them; of a very large one not all.
        spans: Option<Vec<SpanDetail>>,
    }

    /// A trace in few words.
    pub(crate) struct Summary {
        /// Its id.
        trace_id: HexTrace,
        /// Service of its root; empty when it has none.
        root_service: String,
        /// Name of its root.
        root_name: String,
        /// Earliest start.
        start_unix_nanos: UnixNanos,
        /// Nanoseconds from the earliest start to the latest end.
        duration_nanos: Nanos,
        /// Spans.
        span_count: u32,
        /// Failed spans.
        error_count: u32,
    }
}

impl Summary {
    /// A trace in few words.
    pub(super) fn of(trace: &Trace) -> Self {
        let skeleton = &trace.skeleton;
        let (start, end) = trace.bounds().unwrap_or_default();
        let root = trace.tree.main_root();
        Self {
            trace_id: HexTrace(skeleton.trace_id()),
            root_service: root.map(|root| skeleton.service(root).to_owned()).unwrap_or_default(),
            root_name: root.map(|root| skeleton.name(root).to_owned()).unwrap_or_default(),
            start_unix_nanos: UnixNanos(start),
            duration_nanos: Nanos::between(start, end),
            span_count: skeleton.span_count(),
            error_count: error_count(trace),
        }
    }
}

/// `POST /api/v1/open`
pub(super) async fn open(State(querier): State<Querier>, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    let observed = Observed::start(&querier, "open");
    let result = opened(&querier, &uri, &headers, body).await;
    observed.end(result)
}

/// Describes the endpoint.
pub(super) fn describe(document: &mut Document) {
    let text = json!({ "type": "string" });
    document
        .post("/api/v1/open", "openFile", "What is in a file of traces; nothing of it is stored")
        .text(
            "Reads OTLP JSON, JSON lines and protobuf, Tempo's and Jaeger's JSON and Zipkin's of version 2, packed with gzip \
             or not, of at most 64 MiB as they come and unpacked.",
        )
        .parameters([shared("tenant"), query("trace", "The trace to answer whole, of several.", text)])
        .body("application/octet-stream", json!({}))
        .answers::<OpenedFile>("What is in it.")
        .fails(&["400", "401", "404", "422", "429", "500", "504"])
        .add();
}

async fn opened(querier: &Querier, uri: &Uri, headers: &HeaderMap, body: Body) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let wanted = params(uri)?.get("trace").map(trace_id).transpose()?;
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_FILE_BYTES as u64) {
        return Err(too_large());
    }
    // The memory of a body is charged before it comes: how many come at once is not for their senders to say.
    let held = querier.hold(length.unwrap_or(MAX_FILE_BYTES as u64))?;
    let bytes = tokio::time::timeout(querier.config().query_timeout.get(), to_bytes(body, MAX_FILE_BYTES));
    let timed_out = |_| Refusal::from(Error::TimedOut { limit: querier.config().query_timeout.get() });
    let bytes = bytes.await.map_err(timed_out)?.map_err(|_| too_large())?;
    let settings = querier.config().diagnosis.settings();
    // First what it is, then what that takes: a small file is charged for little, and one of many small parts for all of them.
    let most = if bytes.starts_with(&[0x1f, 0x8b]) { MAX_PACKED.saturating_mul(bytes.len() as u64) } else { 0 };
    let most = most.min(MAX_FILE_BYTES as u64);
    let unpack = move || {
        let inflated = match unpacked(&bytes, MAX_FILE_BYTES).map_err(refused)? {
            Cow::Owned(inflated) => Some(inflated),
            Cow::Borrowed(_) => None,
        };
        // What was not packed goes on as it came, with its charge.
        let (content, held) = match inflated {
            Some(inflated) => (Bytes::from(inflated), None),
            None => (bytes, Some(held)),
        };
        let memory = memory_bytes(&content) as u64;
        Ok::<_, Refusal>((content, held, memory))
    };
    let (content, held, memory) = querier.computed(&tenants, most, unpack).await??;
    let held = match held {
        Some(held) => held,
        None => querier.hold(content.len() as u64)?,
    };
    let work = move || {
        let parsed = parse_within(&content, MAX_FILE_BYTES).map_err(refused)?;
        drop((content, held));
        OpenedFile::of(&parsed, wanted, &settings).and_then(|file| as_json(&file, 1 << 20))
    };
    let body = querier.computed(&tenants, memory, work).await??;
    Ok(answer(Format::Json, body))
}

fn too_large() -> Refusal {
    let text = format!(
        "the file is longer than {MAX_FILE_BYTES} bytes, or did not arrive whole: split it, or store its spans"
    );
    Refusal(StatusCode::UNPROCESSABLE_ENTITY, text)
}

fn refused(e: spanlake_interchange::Error) -> Refusal {
    match e {
        spanlake_interchange::Error::TooLarge { .. } | spanlake_interchange::Error::TooDense { .. } => {
            Refusal(StatusCode::UNPROCESSABLE_ENTITY, e.to_string())
        }
        e => Refusal::bad(e.to_string()),
    }
}

impl OpenedFile {
    fn of(parsed: &Parsed, wanted: Option<TraceId>, settings: &Settings) -> Result<Self, Refusal> {
        let traces = from_otlp(&parsed.spans);
        let chosen = match wanted {
            Some(id) => {
                let absent = || Refusal(StatusCode::NOT_FOUND, format!("trace {id} is not in the file"));
                Some(traces.iter().find(|one| one.trace.skeleton.trace_id() == id).ok_or_else(absent)?)
            }
            None if traces.len() == 1 => traces.first(),
            None => None,
        };
        let mut file = Self {
            format: parsed.format.as_str(),
            traces: traces.iter().take(MAX_TRACES).map(|one| Summary::of(&one.trace)).collect(),
            rejected_count: parsed.rejected_count,
            rejected: parsed.rejected.iter().take(MAX_PROBLEMS).map(ToString::to_string).collect(),
            skeleton: None,
            diagnosis: None,
            spans: None,
        };
        if let Some(one) = chosen {
            file.show(one, parsed, settings)?;
        }
        Ok(file)
    }

    /// Adds all of one trace.
    fn show(&mut self, one: &OtlpTrace<'_>, parsed: &Parsed, settings: &Settings) -> Result<(), Refusal> {
        // A file is as whole as it will ever be.
        let completeness = Completeness::default();
        self.skeleton = Some(TraceSkeleton::of(one, Part::default(), &completeness, settings)?);
        self.diagnosis = Some(TraceDiagnosis::of(one, &NoHistory, &completeness, settings, None));
        let id = one.trace.skeleton.trace_id();
        let mut room = MAX_DETAILS;
        let (spans, _) = details(&parsed.spans, |span| {
            let is_shown = TraceId::from_wire(&span.trace_id) == Some(id)
                && SpanId::from_wire(&span.span_id).is_some()
                && room > 0;
            room -= usize::from(is_shown);
            is_shown
        });
        self.spans = Some(spans);
        Ok(())
    }
}
