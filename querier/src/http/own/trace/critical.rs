//! `/api/v1/traces/{id}/critical-path`: what decided how long a trace took.

use ::http::{HeaderMap, Uri};
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;
use spanlake_analysis::{CriticalPath, Trace, slack};

use super::diagnosis::{OperationPath, by_operation};
use super::load::{Asked, answered, json as as_json, load};
use super::{FAILURES, flag, parameters};
use crate::http::own::describe::{HexSpan, Nanos, described};
use crate::http::own::openapi::{Document, query};
use crate::http::refusal::Refusal;
use crate::http::request::Observed;
use crate::querier::Querier;

/// Segments of an answer: the first.
const MAX_SEGMENTS: usize = 100_000;

described! {
    /// What decided how long a trace took.
    pub(crate) struct TracePath {
        /// The root's duration: the length of the path.
        duration_nanos: Nanos,
        /// The path by time.
        segments: Vec<NamedSegment>,
        /// Whether the path has more segments than are told here.
        truncated: bool,
        /// Where it is spent, most first.
        by_operation: Vec<OperationPath>,
        /// Of each span by how much it could be later without making the root later; `null` where the root does not wait.
        /// Only with `slack=true`.
        slack: Option<Vec<serde_json::Value>>,
    }

    /// A stretch of the critical path.
    pub(crate) struct NamedSegment {
        /// The span whose own time it is.
        span: u32,
        /// Its id.
        span_id: HexSpan,
        /// Its service.
        service: String,
        /// Its name.
        name: String,
        /// Start in nanoseconds after the trace's.
        start: Nanos,
        /// End.
        end: Nanos,
        /// Whether the span worked alone: no child of it ran meanwhile.
        working: bool,
    }
}

/// `/api/v1/traces/{id}/critical-path`
pub(super) async fn path(
    State(querier): State<Querier>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let observed = Observed::start(&querier, "trace_critical_path");
    let result = find(&querier, &id, &uri, &headers).await;
    observed.end(result)
}

/// Describes the endpoint.
pub(super) fn describe(document: &mut Document) {
    let slack = "Whether to say of every span by how much it could be later.";
    document
        .get("/api/v1/traces/{id}/critical-path", "traceCriticalPath", "What decided how long a trace took")
        .parameters(parameters())
        .parameters([query("slack", slack, json!({ "type": "boolean", "default": false }))])
        .answers::<TracePath>("The path.")
        .fails(FAILURES)
        .add();
}

async fn find(querier: &Querier, id: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let asked = Asked::read(querier, id, uri, headers)?;
    let with_slack = flag(&asked.params, "slack", false)?;
    let loaded = load(querier, &asked.tenants, asked.id, asked.hint).await?;
    answered(querier, loaded, move |loaded| {
        let path = TracePath::of(&loaded.trace()?.trace, with_slack);
        as_json(&path, 256 * path.segments.len() + 1_024)
    })
    .await
}

impl TracePath {
    fn of(trace: &Trace, with_slack: bool) -> Self {
        let skeleton = &trace.skeleton;
        let path = CriticalPath::of_trace(trace);
        let (start, _) = trace.bounds().unwrap_or_default();
        let segments = path.segments.iter().take(MAX_SEGMENTS).map(|segment| NamedSegment {
            span: segment.span,
            span_id: HexSpan(skeleton.span_id(segment.span)),
            service: skeleton.service(segment.span).to_owned(),
            name: skeleton.name(segment.span).to_owned(),
            start: Nanos::between(start, segment.start),
            end: Nanos::between(start, segment.end),
            working: !segment.overlapped,
        });
        let slack = trace.tree.main_root().filter(|_| with_slack).map(|root| slack(trace, root));
        Self {
            duration_nanos: path.duration().into(),
            segments: segments.collect(),
            truncated: path.segments.len() > MAX_SEGMENTS,
            by_operation: by_operation(trace, path.segments.iter().map(|one| (one.span, one.duration()))),
            slack: slack.map(|slack| slack.into_iter().map(|nanos| json!(nanos.map(Nanos::from))).collect()),
        }
    }
}
