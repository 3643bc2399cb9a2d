//! SQL queries: admitted, bounded and read like all others, answered batch by batch.
//!
//! It knows the engine and the bounds of queries, not HTTP.

mod source;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use spanlake_model::{Tenant, TimeRange};
use spanlake_table::{Error as TableError, SqlError};
use tokio::time::{Instant, timeout_at};

use crate::admission::Place;
use crate::error::Error;
use crate::querier::{Querier, Running};
use source::QuerySource;

/// The rows of an answer. Holds the query's place among those that run, until it is dropped.
pub(crate) struct SqlRows {
    pub(crate) schema: SchemaRef,
    first: Option<RecordBatch>,
    batches: BoxStream<'static, Result<RecordBatch, SqlError>>,
    bounds: Bounds,
    _running: Running,
    _place: Place,
}

/// What the failures of a query are told with.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    deadline: Instant,
    limit: std::time::Duration,
    max_memory_bytes: u64,
}

impl SqlRows {
    /// When the query must have ended.
    pub(crate) fn deadline(&self) -> Instant {
        self.bounds.deadline
    }

    /// What a query is told that is not done at its deadline.
    pub(crate) fn timed_out(&self) -> Error {
        Error::TimedOut { limit: self.bounds.limit }
    }

    /// The next rows; none after the last.
    ///
    /// # Errors
    /// [`Error`]: the answer is not whole then, and nothing follows.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let next = timeout_at(self.bounds.deadline, self.batches.next()).await.map_err(|_| self.timed_out())?;
        next.transpose().map_err(|error| failure(error, self.bounds.max_memory_bytes))
    }
}

impl Querier {
    /// Plans a SQL query over the tenants' blocks, those that overlap the range if one is given, and computes its first
    /// rows. `docs/sql.md` says what can be asked.
    ///
    /// Costs one listing per tenant (shared), one or two GETs per block not yet open, and what the plan reads.
    ///
    /// # Errors
    /// [`Error`]; [`Error::InvalidSql`] for what is the query's own fault.
    pub(crate) async fn sql(&self, tenants: &[Tenant], range: Option<TimeRange>, sql: &str) -> Result<SqlRows, Error> {
        let config = self.config();
        let limit = config.query_timeout.get();
        let bounds =
            Bounds { deadline: Instant::now() + limit, limit, max_memory_bytes: config.max_query_memory.bytes() };
        let mut place = self.inner.admission.enter(tenants)?;
        let begin = async {
            place.turn().await;
            let running = Running::new(self.metrics());
            let begun = match self.begin(tenants, range, sql, bounds).await {
                // A block can be retired and deleted between the snapshot and the read; a fresh snapshot has its heirs.
                Err(Error::Missing { .. }) => self.begin(tenants, range, sql, bounds).await,
                begun => begun,
            };
            begun.map(|begun| (begun, running))
        };
        let begun = timeout_at(bounds.deadline, begin).await.unwrap_or(Err(Error::TimedOut { limit }));
        if let Err(error) = &begun {
            self.note_damage(error);
        }
        let ((schema, first, batches), _running) = begun?;
        Ok(SqlRows { schema, first, batches, bounds, _running, _place: place })
    }

    async fn begin(
        &self,
        tenants: &[Tenant],
        range: Option<TimeRange>,
        sql: &str,
        bounds: Bounds,
    ) -> Result<(SchemaRef, Option<RecordBatch>, BoxStream<'static, Result<RecordBatch, SqlError>>), Error> {
        let failed = |error| failure(error, bounds.max_memory_bytes);
        let source = Arc::new(QuerySource::new(self.clone()));
        // Through the source: what is deleted is noted with the blocks.
        let blocks = source.reads().blocks(tenants, range.unwrap_or(TimeRange::ALL)).await?;
        let memory = source.memory();
        let answer = self.inner.sql.query_within(source, Arc::from(blocks), sql, memory).await;
        let mut answer = answer.map_err(failed)?;
        let first = answer.batches.next().await.transpose().map_err(failed)?;
        Ok((answer.schema, first, answer.batches))
    }
}

/// The engine's failure as one of a query.
fn failure(error: SqlError, max_memory_bytes: u64) -> Error {
    match error {
        SqlError::Invalid(text) => Error::InvalidSql(text),
        SqlError::OutOfMemory(problem) => Error::OutOfMemory { problem, max_bytes: max_memory_bytes },
        SqlError::Internal(text) => Error::Internal(text),
        SqlError::Blocks(failed) => match failed.error() {
            // What the source refused is an error of ours, kept whole.
            Some(TableError::Refused(refused)) => match refused.downcast_ref::<Error>() {
                Some(error) => error.clone(),
                None => Error::Internal(refused.to_string()),
            },
            Some(TableError::Damaged { key, damage }) => {
                Error::Damaged { key: Arc::clone(key), damage: damage.to_string() }
            }
            _ => Error::Internal(failed.to_string()),
        },
    }
}
