//! Spans of one new block that meet a filter, as they are told to someone who watches.

use std::sync::Arc;

use serde::Serialize;
use spanlake_catalog::BlockRef;
use spanlake_model::{Tenant, TimeRange};
use spanlake_traceql::{Intrinsic, Kind, Query, Status};

use super::super::pass::{Counter, Pass, SpanRows};
use super::super::plan::Plan;
use super::window::UnixNanos;
use super::{intrinsic, resource};
use crate::error::Error;
use crate::fetch::Reads;

/// A span as it is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TailedSpan {
    /// Its trace, in hexadecimal.
    pub trace_id: String,
    /// Its id, in hexadecimal.
    pub span_id: String,
    /// Its `service.name`; empty for none.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its kind, such as `server`.
    pub kind: &'static str,
    /// `unset`, `ok` or `error`.
    pub status: &'static str,
    /// Its start.
    pub start_unix_nanos: UnixNanos,
    /// Its duration.
    pub duration_nanos: u64,
}

struct CountNew {
    limit: usize,
    service: usize,
    name: usize,
    kind: usize,
    status: usize,
    duration: usize,
    span_id: usize,
}

impl Counter for CountNew {
    type Part = (u64, Vec<TailedSpan>);
    type Total = (u64, Vec<TailedSpan>);

    fn count(&self, rows: &SpanRows<'_>) -> Self::Part {
        let span = |row: &u32| {
            let row = *row as usize;
            TailedSpan {
                trace_id: rows.trace_id(row).to_string(),
                span_id: format!("{:016x}", rows.id(self.span_id, row)),
                service: rows.text(self.service, row).unwrap_or_default(),
                name: rows.text(self.name, row).unwrap_or_default(),
                kind: Kind::from_number(rows.number(self.kind, row) as i32).word(),
                status: Status::from_number(rows.number(self.status, row) as i32).word(),
                start_unix_nanos: UnixNanos(rows.starts[row] as u64),
                duration_nanos: rows.number(self.duration, row) as u64,
            }
        };
        (rows.rows.len() as u64, rows.rows.iter().take(self.limit).map(span).collect())
    }

    fn add(&self, total: &mut Self::Total, (matched, spans): Self::Part) {
        total.0 += matched;
        let room = self.limit.saturating_sub(total.1.len());
        total.1.extend(spans.into_iter().take(room));
    }

    fn held_bytes(&self, total: &Self::Total) -> u64 {
        512 * total.1.len() as u64
    }
}

/// Whether each span can be decided when it comes, without the rest of its trace.
///
/// # Errors
/// [`Error::BadQuery`] if not.
pub(crate) fn check(query: &Query) -> Result<(), Error> {
    let plan = Plan::new(query)?;
    if plan.only_filter().is_some() && !plan.needs_traces() {
        return Ok(());
    }
    Err(Error::BadQuery(
        "spans are told as they come, each for itself: the query must be one filter { ... } without fields of whole traces"
            .to_owned(),
    ))
}

/// How many spans of some blocks meet the query, and the first of them. As many reads as row groups that may have one.
///
/// # Errors
/// [`Error`], also for a bound past which spans would be left out.
pub(crate) async fn run(
    reads: &Reads<'_>,
    tenants: &[Tenant],
    blocks: Vec<BlockRef>,
    query: &Query,
    limit: usize,
) -> Result<(u64, Vec<TailedSpan>), Error> {
    // Of deleted traces nothing is told, though spans of them may still come.
    reads.note_deleted(tenants).await?;
    let mut pass = Pass::over(reads, blocks, query, TimeRange::ALL).await?;
    let counting = Arc::new(CountNew {
        limit,
        service: pass.look_at(&resource("service.name")),
        name: pass.look_at(&intrinsic(Intrinsic::Name)),
        kind: pass.look_at(&intrinsic(Intrinsic::Kind)),
        status: pass.look_at(&intrinsic(Intrinsic::Status)),
        duration: pass.look_at(&intrinsic(Intrinsic::Duration)),
        span_id: pass.look_at(&intrinsic(Intrinsic::SpanId)),
    });
    let mut total = (0, Vec::new());
    // Who asks does not come back to these blocks: spans that are left out would never be told.
    pass.run(&counting, &mut total).await?.whole()?;
    Ok(total)
}
