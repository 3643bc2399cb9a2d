//! Whole traces from whoever is asked, and their form as OTLP.

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, TracesData};
use prost::Message as _;
use spanlake_model::TraceId;

use crate::client::{Ask, Client, Failure};

/// A trace as it came.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    /// Its spans.
    pub resource_spans: Vec<ResourceSpans>,
    /// Why it is not whole.
    pub partial: Option<String>,
}

/// The answer of `/api/v2/traces/{id}`.
#[derive(Clone, PartialEq, prost::Message)]
struct TraceByIdResponse {
    #[prost(message, optional, tag = "1")]
    trace: Option<TracesData>,
    #[prost(int32, tag = "3")]
    status: i32,
    #[prost(string, tag = "4")]
    message: String,
}

/// What `status` says of a trace that is not whole.
const PARTIAL: i32 = 1;

/// Reads an id as people copy it: up to 32 hexadecimal digits.
///
/// # Errors
/// If it is none.
pub fn parse_id(text: &str) -> Result<TraceId, Failure> {
    TraceId::parse_hex(text.trim()).map_err(|error| {
        Failure::usage(format!("{text:?} is not a trace id: {error} (an id has 32 hexadecimal digits)"))
    })
}

/// Fetches a trace. One request.
///
/// # Errors
/// With the exit code of nothing found if there is no such trace.
pub async fn by_id(client: &Client, id: &str, hint: &[(&'static str, String)]) -> Result<Fetched, Failure> {
    let id = parse_id(id)?;
    let ask = Ask::get(format!("/api/v2/traces/{id}")).accept("application/protobuf").with_all(hint.to_vec());
    let bytes = client.bytes(&ask).await?;
    let answer = TraceByIdResponse::decode(bytes)
        .map_err(|error| Failure::error(format!("the answer of /api/v2/traces/{id} cannot be read: {error}")))?;
    let resource_spans = answer.trace.unwrap_or_default().resource_spans;
    if span_count(&resource_spans) == 0 {
        return Err(not_found(id));
    }
    let partial = (answer.status == PARTIAL).then_some(answer.message);
    Ok(Fetched { resource_spans, partial })
}

/// There is no such trace.
pub fn not_found(id: TraceId) -> Failure {
    Failure::nothing(format!("there is no trace {id}: is the tenant right (--tenant), and is it kept that long?"))
}

/// Spans in some messages.
pub fn span_count(resource_spans: &[ResourceSpans]) -> usize {
    resource_spans.iter().flat_map(|resource| &resource.scope_spans).map(|scope| scope.spans.len()).sum()
}
