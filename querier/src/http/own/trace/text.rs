//! `/api/v1/traces/{id}/text`: a trace as a picture for a terminal, or as Markdown for an issue.

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, Uri};
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use spanlake_analysis::diagnose;
use spanlake_analysis::render::{MAX_WIDTH, MIN_WIDTH, Style, markdown, render};
use spanlake_model::SpanId;

use super::load::{Asked, analysed, load};
use super::usual::Usual;
use super::{FAILURES, flag, parameters};
use crate::http::own::openapi::{Document, integer, query};
use crate::http::params::Params;
use crate::http::refusal::Refusal;
use crate::http::request::Observed;
use crate::querier::Querier;

/// Columns of a picture when the request does not say.
const DEFAULT_WIDTH: usize = 100;
/// Rows of a picture when the request does not say, and most that it may ask for.
const DEFAULT_ROWS: usize = 200;
const MAX_ROWS: usize = 10_000;

/// `/api/v1/traces/{id}/text`
pub(super) async fn text(
    State(querier): State<Querier>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let observed = Observed::start(&querier, "trace_text");
    let result = drawn(&querier, &id, &uri, &headers).await;
    observed.end(result)
}

/// Describes the endpoint.
pub(super) fn describe(document: &mut Document) {
    let boolean = |default: bool| json!({ "type": "boolean", "default": default });
    let number = json!({ "type": "integer", "minimum": 0 });
    let text = json!({ "type": "string" });
    document
        .get("/api/v1/traces/{id}/text", "traceText", "A trace as a picture of text, with what was found")
        .parameters(parameters())
        .parameters([
            query("width", "Columns.", integer(MIN_WIDTH as u64, MAX_WIDTH as u64, DEFAULT_WIDTH as u64)),
            query("rows", "Most rows.", integer(1, MAX_ROWS as u64, DEFAULT_ROWS as u64)),
            query("color", "Whether to write ANSI colours.", boolean(false)),
            query("ascii", "Whether to draw with ASCII only.", boolean(false)),
            query("depth", "Levels below the root that are drawn; all without it.", number.clone()),
            query("span", "Only the span with this id and what is below it.", text.clone()),
            query("fold", "Whether siblings that are alike are one row.", boolean(true)),
            query("path", "Whether only what is on the critical path is drawn.", boolean(false)),
            query("findings", "Findings below the picture; 5 without it.", number),
            query("format", "What to write.", json!({ "enum": ["text", "markdown"], "default": "text" })),
            query("link", "In Markdown, where the trace can be looked at: an http or https address.", text.clone()),
        ])
        .answers_as("200", "The picture.", "text/plain", text.clone())
        .answers_as("200", "The picture.", "text/markdown", text)
        .fails(FAILURES)
        .add();
}

/// What is drawn, and how.
struct Wanted {
    style: Style,
    below: Option<SpanId>,
    is_markdown: bool,
    link: Option<String>,
}

impl Wanted {
    fn read(params: &Params) -> Result<Self, Refusal> {
        let width = params.number("width").map_err(Refusal::bad)?.unwrap_or(DEFAULT_WIDTH);
        if !(MIN_WIDTH..=MAX_WIDTH).contains(&width) {
            return Err(Refusal::bad(format!("invalid width: {width} is not from {MIN_WIDTH} to {MAX_WIDTH}")));
        }
        let max_rows = params.number("rows").map_err(Refusal::bad)?.unwrap_or(DEFAULT_ROWS);
        if !(1..=MAX_ROWS).contains(&max_rows) {
            return Err(Refusal::bad(format!("invalid rows: {max_rows} is not from 1 to {MAX_ROWS}")));
        }
        let is_markdown = match params.get("format") {
            None | Some("text") => false,
            Some("markdown") => true,
            Some(other) => {
                return Err(Refusal::bad(format!("invalid format: {other:?} is neither text nor markdown")));
            }
        };
        let below = params.get("span").map(SpanId::parse_hex).transpose();
        let findings = params.number("findings").map_err(Refusal::bad)?;
        let style = Style {
            width,
            max_rows,
            colour: flag(params, "color", false)?,
            unicode: !flag(params, "ascii", false)?,
            fold: flag(params, "fold", true)?,
            only_path: flag(params, "path", false)?,
            depth: params.number("depth").map_err(Refusal::bad)?,
            findings: findings.unwrap_or(Style::default().findings),
        };
        Ok(Self {
            style,
            below: below.map_err(|e| Refusal::bad(format!("invalid span: {e}")))?,
            is_markdown,
            link: params.get("link").map(str::to_owned),
        })
    }
}

async fn drawn(querier: &Querier, id: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let asked = Asked::read(querier, id, uri, headers)?;
    let wanted = Wanted::read(&asked.params)?;
    let media_type = if wanted.is_markdown { "text/markdown; charset=utf-8" } else { "text/plain; charset=utf-8" };
    let loaded = load(querier, &asked.tenants, asked.id, asked.hint).await?;
    let settings = querier.config().diagnosis.settings();
    let usual = Usual::of(querier, &asked.tenants, &loaded).await;
    let picture = analysed(querier, loaded, move |loaded| {
        let found = loaded.trace()?;
        let trace = match wanted.below {
            None => found.trace,
            Some(id) => {
                let absent = || Refusal::bad(format!("invalid span: the trace has no span {id}"));
                let is_it = |span: &u32| found.trace.skeleton.span_id(*span) == id;
                let span = (0..found.trace.skeleton.span_count()).find(is_it).ok_or_else(absent)?;
                found.trace.below(span)
            }
        };
        let diagnosis = diagnose(&trace, &found.attributes, &usual, &loaded.completeness, &settings);
        Ok::<_, Refusal>(match wanted.is_markdown {
            true => markdown(&trace, &diagnosis, &wanted.style, wanted.link.as_deref()),
            false => render(&trace, &diagnosis, &wanted.style),
        })
    });
    Ok(([(CONTENT_TYPE, media_type)], picture.await??).into_response())
}
