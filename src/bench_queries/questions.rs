//! The query set, with what each query may take. It knows the query language and the API's paths, not how they answer.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::Request;
use spanlake_model::TraceId;

use super::facts::{Facts, ORDER_KEY, REQUEST_KEY, ROUTE_KEY, SERVICE_KEY, SQL_KEY, USER_KEY};

const SECOND: u64 = 1_000_000_000;
/// Buckets that metrics queries aim at.
const BUCKETS: u64 = 60;
/// Enough for all traces with an error.
const ALL: usize = 200_000;
/// What a search page shows.
const PAGE: usize = 20;
/// Spans of each spanset in an answer, as Grafana asks for.
pub(super) const SPANS_PER_SPAN_SET: usize = 3;

/// One query of the set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Question {
    /// Its name in reports and golden files.
    pub name: &'static str,
    /// What it asks.
    pub asked: Asked,
    /// Milliseconds it may take at the median over 1,000,000 spans, warm, on two cores.
    pub aim_millis: Option<u32>,
    /// Dependent waves of requests it may take, cold.
    pub aim_waves: Option<u32>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    /// A TraceQL search over all time.
    Search { query: String, limit: usize },
    /// A TraceQL metrics query.
    Metrics { query: String, start_unix_nanos: u64, end_unix_nanos: u64, step_nanos: u64 },
    /// The names of all attributes.
    Names,
    /// The values of an attribute.
    Values { scope: &'static str, key: &'static str },
    /// A whole trace.
    Trace(TraceId),
    /// SQL.
    Sql(&'static str),
    /// One of our own overviews of many spans.
    Overview { of: Overview, path: String, body: Option<String> },
}

/// What of an overview is held against the corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overview {
    /// Each service with how many spans it has.
    Services,
    /// How many spans there are in all.
    Heatmap,
    /// How many spans the two sides have together.
    Breakdown,
    /// Whether there are edges.
    Map,
}

/// The whole set over a corpus.
pub(super) fn all(facts: &Facts) -> Vec<Question> {
    let search = |query: String, limit| Asked::Search { query, limit };
    let step_nanos =
        (facts.end_unix_nanos.saturating_sub(facts.start_unix_nanos) / BUCKETS).div_ceil(SECOND).max(1) * SECOND;
    // Aligned, so that what is asked and what is answered are one interval.
    let metrics = |query: &str| Asked::Metrics {
        query: query.to_owned(),
        start_unix_nanos: facts.start_unix_nanos / step_nanos * step_nanos,
        end_unix_nanos: facts.end_unix_nanos.div_ceil(step_nanos) * step_nanos,
        step_nanos,
    };
    let end_unix_nanos = facts.end_unix_nanos.saturating_add(1);
    let times = format!("start={}&end={end_unix_nanos}", facts.start_unix_nanos);
    let overview = |of, path: &str| Asked::Overview { of, path: format!("{path}{times}"), body: None };
    let breakdown = Asked::Overview {
        of: Overview::Breakdown,
        path: "explore/breakdown".to_owned(),
        body: Some(format!(
            "{{\"start\":\"{}\",\"end\":\"{end_unix_nanos}\",\"selection\":{{\"errors\":true}}}}",
            facts.start_unix_nanos
        )),
    };
    let question = |name, asked, aim_millis| Question { name, asked, aim_millis, aim_waves: None };
    let waves = |question: Question, aim_waves| Question { aim_waves: Some(aim_waves), ..question };
    vec![
        waves(question("trace by id", Asked::Trace(facts.ordinary.0), None), 3),
        question("largest trace by id", Asked::Trace(facts.largest.0), None),
        waves(
            question("needle: order", search(format!("{{ span.{ORDER_KEY} = {:?} }}", facts.order), PAGE), Some(5)),
            4,
        ),
        waves(
            question(
                "needle: request",
                search(format!("{{ span.{REQUEST_KEY} = {:?} }}", facts.request), PAGE),
                Some(5),
            ),
            4,
        ),
        question("rare user", search(format!("{{ span.{USER_KEY} = {:?} }}", facts.user), PAGE), Some(5)),
        question("all traces with an error", search("{ status = error }".to_owned(), ALL), Some(15)),
        question(
            "service and duration",
            search("{ resource.service.name = \"checkout\" && duration > 200ms }".to_owned(), PAGE),
            Some(10),
        ),
        question(
            "regex on SQL text",
            search(format!("{{ span.{SQL_KEY} =~ \"SELECT .* FROM products WHERE id = 'P[0-9]+'\" }}"), PAGE),
            Some(10),
        ),
        question(
            "structural >> error",
            search("{ resource.service.name = \"frontend\" } >> { status = error }".to_owned(), PAGE),
            Some(40),
        ),
        question("count() > 8", search("{ } | count() > 8".to_owned(), PAGE), Some(20)),
        question("rate by service", metrics("{ } | rate() by (resource.service.name)"), Some(15)),
        question(
            "quantiles by service",
            metrics("{ } | quantile_over_time(duration, .5, .9, .99) by (resource.service.name)"),
            Some(25),
        ),
        question("tag names", Asked::Names, Some(5)),
        question("values of service.name", Asked::Values { scope: "resource", key: SERVICE_KEY }, Some(5)),
        question("values of http.route", Asked::Values { scope: "span", key: ROUTE_KEY }, Some(5)),
        question("services", overview(Overview::Services, "services?"), Some(60)),
        question("heatmap", overview(Overview::Heatmap, "explore/heatmap?"), Some(100)),
        question("breakdown", breakdown, None),
        question("map", overview(Overview::Map, "map?"), None),
        question(
            "SQL count by service",
            Asked::Sql("SELECT service_name, count(*) FROM spans GROUP BY service_name ORDER BY service_name"),
            None,
        ),
    ]
}

impl Question {
    /// The request that asks it.
    pub(super) fn request(&self) -> Request<Body> {
        let request = match &self.asked {
            Asked::Search { .. } => Request::get(format!("/api/search?{}", self.search_parameters())),
            Asked::Metrics { query, start_unix_nanos, end_unix_nanos, step_nanos } => Request::get(format!(
                "/api/metrics/query_range?q={}&start={start_unix_nanos}&end={end_unix_nanos}&step={}s",
                encoded(query),
                step_nanos / SECOND
            )),
            Asked::Names => Request::get("/api/v2/search/tags"),
            Asked::Values { scope, key } => Request::get(format!("/api/v2/search/tag/{scope}.{key}/values")),
            Asked::Trace(id) => Request::get(format!("/api/v2/traces/{id}")),
            Asked::Sql(_) => Request::post("/api/v1/sql"),
            Asked::Overview { path, body: None, .. } => Request::get(format!("/api/v1/{path}")),
            Asked::Overview { path, .. } => Request::post(format!("/api/v1/{path}")),
        };
        let body = match &self.asked {
            Asked::Sql(text) => Body::from(*text),
            Asked::Overview { body: Some(body), .. } => Body::from(body.clone()),
            _ => Body::empty(),
        };
        request.body(body).expect("the parts are plain ASCII")
    }

    /// The request whose last line says how many spans a search looked at, which `/api/search` has no place for.
    pub(super) fn telling_request(&self) -> Option<Request<Body>> {
        let Asked::Search { .. } = self.asked else { return None };
        let request = Request::get(format!("/api/v1/search?{}", self.search_parameters()));
        Some(request.body(Body::empty()).expect("the parts are plain ASCII"))
    }

    fn search_parameters(&self) -> String {
        match &self.asked {
            Asked::Search { query, limit } => {
                format!("q={}&limit={limit}&spss={SPANS_PER_SPAN_SET}", encoded(query))
            }
            _ => String::new(),
        }
    }
}

/// In percent-encoding.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String");
        }
    }
    out
}
