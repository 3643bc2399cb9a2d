//! `/api/v1/services`, `/operations` and its baseline, `/explore/heatmap`, `/explore/breakdown`, `/map`, `/query/why` and `/tenants`:
//! what many spans say together.

mod schemas;

use ::http::{HeaderMap, Uri};
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::engine::explore::{
    HeatmapRequest, MAX_ROWS, MapRequest, OperationBaselineRequest, OperationsRequest, ServicesRequest, WhyRequest,
};
use crate::http::params::BreakdownAsked;
use crate::http::refusal::Refusal;
use crate::http::request::{Format, Observed, answer, now_unix_nanos, params, tenants, written};
use crate::querier::Querier;

pub(crate) use schemas::describe;

/// Rows of a heatmap when the request does not say.
const DEFAULT_ROWS: usize = 40;

/// Most bytes of a body: a query and some numbers.
const MAX_BODY_BYTES: usize = 256 << 10;
/// Most edges from the service in the middle of a map.
const MAX_HOPS: usize = 10;

/// Who there is to ask about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Tenants {
    /// Whether requests name their tenant in `X-Scope-OrgID`.
    pub(crate) tenancy: bool,
    /// Tenants that have anything stored, by name.
    pub(crate) tenants: Vec<String>,
}

/// `/api/v1/services`
pub(crate) async fn services(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "services");
    let result = answer_services(&querier, &uri, &headers).await;
    observed.end(result)
}

async fn answer_services(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let params = params(uri)?;
    let window = params.window(now_unix_nanos()).map_err(Refusal::bad)?;
    let request = ServicesRequest { query: params.selected().map_err(Refusal::bad)?, window };
    json(querier, querier.services(&tenants, &request).await?).await
}

/// `/api/v1/operations`
pub(crate) async fn operations(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "operations");
    let result = answer_operations(&querier, &uri, &headers).await;
    observed.end(result)
}

async fn answer_operations(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let params = params(uri)?;
    let service = params.get("service").ok_or_else(|| Refusal::bad("parameter service with its name is needed"))?;
    let window = params.window(now_unix_nanos()).map_err(Refusal::bad)?;
    let request = OperationsRequest { service: service.to_owned(), window };
    json(querier, querier.operations(&tenants, &request).await?).await
}

/// `/api/v1/explore/heatmap`
pub(crate) async fn heatmap(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "heatmap");
    let result = answer_heatmap(&querier, &uri, &headers).await;
    observed.end(result)
}

async fn answer_heatmap(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let params = params(uri)?;
    let window = params.window(now_unix_nanos()).map_err(Refusal::bad)?;
    let row_count = params.count("y", DEFAULT_ROWS, MAX_ROWS).map_err(Refusal::bad)?;
    let request = HeatmapRequest { query: params.selected().map_err(Refusal::bad)?, window, row_count };
    json(querier, querier.heatmap(&tenants, &request).await?).await
}

/// `/api/v1/explore/breakdown`
pub(crate) async fn breakdown(State(querier): State<Querier>, headers: HeaderMap, body: Body) -> Response {
    let observed = Observed::start(&querier, "breakdown");
    let result = answer_breakdown(&querier, &headers, body).await;
    observed.end(result)
}

async fn answer_breakdown(querier: &Querier, headers: &HeaderMap, body: Body) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let too_long = |_| Refusal::bad(format!("the body cannot be read, or has more than {MAX_BODY_BYTES} bytes"));
    let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(too_long)?;
    let request = BreakdownAsked::read(&body).and_then(|asked| asked.request(now_unix_nanos()));
    json(querier, querier.breakdown(&tenants, &request.map_err(Refusal::bad)?).await?).await
}

/// `/api/v1/map`
pub(crate) async fn map(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "map");
    let result = answer_map(&querier, &uri, &headers).await;
    observed.end(result)
}

async fn answer_map(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let params = params(uri)?;
    let window = params.window(now_unix_nanos()).map_err(Refusal::bad)?;
    let hops = params.count("hops", 1, MAX_HOPS).map_err(Refusal::bad)?;
    let request = MapRequest { window, focus: params.get("service").map(str::to_owned), hops };
    json(querier, querier.service_map(&tenants, &request).await?).await
}

/// `/api/v1/operations/baseline`
pub(crate) async fn baseline(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "operation_baseline");
    let result = answer_baseline(&querier, &uri, &headers).await;
    observed.end(result)
}

async fn answer_baseline(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let params = params(uri)?;
    let needed = |name: &'static str| {
        params.get(name).ok_or_else(|| Refusal::bad(format!("parameter {name} is needed: which operation")))
    };
    let kind = params.kind("kind").map_err(Refusal::bad)?;
    let operation = (needed("service")?.to_owned(), needed("operation")?.to_owned(), kind);
    let range = params.baseline_range(now_unix_nanos()).map_err(Refusal::bad)?;
    let duration_nanos = params.number("durationNanos").map_err(Refusal::bad)?;
    let request = OperationBaselineRequest { operation, range, duration_nanos };
    json(querier, querier.operation_baseline(&tenants, &request).await?).await
}

/// `/api/v1/query/why`
pub(crate) async fn why(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "query_why");
    let result = answer_why(&querier, &uri, &headers).await;
    observed.end(result)
}

async fn answer_why(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let params = params(uri)?;
    let window = params.window(now_unix_nanos()).map_err(Refusal::bad)?;
    let request = WhyRequest { query: params.asked_query().map_err(Refusal::bad)?, window };
    json(querier, querier.why(&tenants, &request).await?).await
}

/// `/api/v1/tenants`
pub(crate) async fn tenant_names(State(querier): State<Querier>) -> Response {
    let observed = Observed::start(&querier, "tenants");
    let result = answer_tenants(&querier).await;
    observed.end(result)
}

async fn answer_tenants(querier: &Querier) -> Result<Response, Refusal> {
    let tenants = querier.tenants().await?;
    let tenants = tenants.iter().map(|tenant| tenant.as_str().to_owned()).collect();
    json(querier, Tenants { tenancy: querier.config().tenancy_enabled, tenants }).await
}

/// Items from which on an answer is written on a thread that may block: these answers are some hundred kilobytes at most.
const WRITTEN_ITEMS: u64 = u64::MAX;

/// An answer as JSON.
async fn json<T: Serialize + Send + 'static>(querier: &Querier, value: T) -> Result<Response, Refusal> {
    let write = move || serde_json::to_vec(&value).unwrap_or_default();
    Ok(answer(Format::Json, written(querier, WRITTEN_ITEMS, write).await?))
}
