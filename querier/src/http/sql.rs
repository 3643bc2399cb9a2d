//! SQL over HTTP: `POST /api/v1/sql` with the text as body, or `GET` with it as `q`.
//!
//! What fails before the first byte is a status and a sentence. What fails later ends the body visibly: in JSON by a member
//! `error` after the rows, in other formats by a connection that breaks off before the end of the body.

mod encode;
mod format;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, Method, StatusCode, Uri};
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde_json::json;
use spanlake_table::MAX_SQL_BYTES;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::own::openapi::{Document, FAILURES, query, required, shared};
use super::refusal::Refusal;
use super::request::{Observed, params, tenants};
use crate::error::Error;
use crate::querier::Querier;
use crate::sql::SqlRows;
use encode::Encoder;
pub(super) use format::FORMATS;
use format::Format;

/// Encoded batches that wait for a slow client; with the one that is being made.
const BATCHES_AHEAD: usize = 2;

pub(super) async fn answer(
    State(querier): State<Querier>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let observed = Observed::start(&querier, "sql");
    match begin(&querier, &method, &uri, &headers, body).await {
        Ok(begun) => rows(querier, begun, observed),
        Err(refusal) => observed.end(Err(refusal)),
    }
}

/// Describes the endpoint.
pub(super) fn describe(document: &mut Document) {
    let text = json!({ "type": "string" });
    let names = FORMATS.map(|(name, ..)| name);
    let media_types = FORMATS.map(|(_, media_type, _)| media_type);
    let format = json!({ "enum": names, "default": "json" });
    document.parameter("sqlFormat", query("format", "Wins over Accept.", format));
    let others = ["tenant", "sqlFormat", "start", "end"].map(shared);
    document
        .get("/api/v1/sql", "sqlByUrl", "Ask with SQL in the URL")
        .parameters([required("q", "SQL.", text.clone())])
        .parameters(others.clone())
        .answers_plain("The rows.", &media_types)
        .fails(FAILURES)
        .add();
    document
        .post("/api/v1/sql", "sql", "Ask with SQL")
        .parameters([query("q", "SQL, instead of the body.", text.clone())])
        .parameters(others)
        .body("text/plain", text)
        .answers_plain("The rows.", &media_types)
        .fails(FAILURES)
        .add();
}

/// An answer whose first rows are there.
struct Begun {
    format: Format,
    encoder: Encoder,
    sending: Sending,
    first: Part,
}

async fn begin(
    querier: &Querier,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Begun, Refusal> {
    let tenants = tenants(querier, headers)?;
    let params = params(uri)?;
    let format = Format::choose(params.get("format"), headers).map_err(Refusal::bad)?;
    let range = params.hint().map_err(Refusal::bad)?;
    let sql = match params.get("q") {
        Some(sql) => sql.to_owned(),
        None if *method == Method::POST => text(body).await?,
        None => return Err(Refusal::bad("no SQL: POST it as the body, or GET with it as the parameter q")),
    };
    let rows = querier.sql(&tenants, range, &sql).await?;
    let mut encoder = Encoder::new(format, rows.schema.clone())?;
    let mut sending = Sending { rows, max_bytes: querier.config().max_result_bytes.bytes(), sent_bytes: 0 };
    // The first rows come before the status, so that what they cannot be is still told by one.
    let first = sending.next(&mut encoder).await?;
    Ok(Begun { format, encoder, sending, first })
}

/// The answer, whose status is counted when its body ends.
fn rows(querier: Querier, begun: Begun, observed: Observed) -> Response {
    let Begun { format, encoder, sending, first } = begun;
    let (deadline, timed_out) = (sending.rows.deadline(), sending.rows.timed_out());
    let (sender, parts) = mpsc::channel(BATCHES_AHEAD);
    let task = AbortOnDropHandle::new(tokio::spawn(send(querier, sending, encoder, first, sender, observed)));
    let body = stream::unfold(Some((parts, task, timed_out)), move |state| async move {
        let (mut parts, task, timed_out) = state?;
        match parts.recv().await {
            Some(Part::More(bytes)) => Some((Ok(bytes), Some((parts, task, timed_out)))),
            Some(Part::Last(bytes)) => Some((Ok(bytes), None)),
            // Without a last part the time was up before a slow client took what there was.
            None if Instant::now() >= deadline => Some((format.failed(&timed_out), None)),
            None => Some((format.failed(&Error::Internal("the answer broke off".to_owned())), None)),
            Some(Part::Failed(error)) => Some((format.failed(&error), None)),
        }
    });
    let body = body.filter(|part| {
        let is_empty = matches!(part, Ok(bytes) if bytes.is_empty());
        async move { !is_empty }
    });
    // Whoever drops the body drops the query with it.
    let body = Body::from_stream(body.fuse());
    (StatusCode::OK, [(CONTENT_TYPE, format.content_type())], body).into_response()
}

async fn text(body: Body) -> Result<String, Refusal> {
    let refused = |_| Refusal::bad(format!("the SQL is longer than {MAX_SQL_BYTES} bytes, or did not arrive whole"));
    let bytes = to_bytes(body, MAX_SQL_BYTES).await.map_err(refused)?;
    String::from_utf8(bytes.into()).map_err(|_| Refusal::bad("the SQL is not UTF-8"))
}

/// A part of a body.
enum Part {
    More(Bytes),
    Last(Bytes),
    Failed(Error),
}

/// An answer under way.
struct Sending {
    rows: SqlRows,
    max_bytes: u64,
    sent_bytes: u64,
}

impl Sending {
    /// The next encoded rows.
    async fn next(&mut self, encoder: &mut Encoder) -> Result<Part, Error> {
        let part = match self.rows.next().await? {
            Some(batch) => Part::More(encoder.rows(&batch)?),
            None => Part::Last(encoder.end()?),
        };
        let (Part::More(bytes) | Part::Last(bytes)) = &part else { return Ok(part) };
        self.sent_bytes = self.sent_bytes.saturating_add(bytes.len() as u64);
        if self.sent_bytes > self.max_bytes {
            return Err(Error::TooManyResultBytes { max_bytes: self.max_bytes });
        }
        Ok(part)
    }
}

/// Sends the parts until the last, the first failure, or the deadline, which a client that does not read meets too. Counts how
/// it ended; as a client that went away when this is dropped before.
async fn send(
    querier: Querier,
    mut sending: Sending,
    mut encoder: Encoder,
    first: Part,
    to: mpsc::Sender<Part>,
    observed: Observed,
) {
    let deadline = sending.rows.deadline();
    let mut part = first;
    loop {
        let ends_as = match &part {
            Part::More(_) => None,
            Part::Last(_) => Some(StatusCode::OK),
            Part::Failed(error) => Some(Refusal::from(error.clone()).0),
        };
        match (timeout_at(deadline, to.send(part)).await, ends_as) {
            (Ok(Ok(())), None) => {}
            (Ok(Ok(())), Some(status)) => return observed.end_as(status),
            (Ok(Err(_)), _) => return,
            (Err(_), _) => return observed.end_as(Refusal::from(sending.rows.timed_out()).0),
        }
        part = sending.next(&mut encoder).await.unwrap_or_else(|error| {
            querier.note_damage(&error);
            Part::Failed(error)
        });
    }
}
