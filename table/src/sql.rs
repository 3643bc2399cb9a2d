//! SQL over blocks: the views `spans`, `traces`, `events` and `links`, read only and under bounds.
//!
//! `docs/sql.md` describes the views. It knows blocks and SQL, not HTTP. Objects are read through a [`Source`], memory is
//! taken from one pool for the process, nothing is written anywhere, and dropping an answer stops its work.

mod attributes;
mod error;
mod planning;
mod push;
mod text;
mod traces;
mod view;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider as _};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{FunctionRegistry as _, SessionState, SessionStateBuilder};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use spanlake_block::Column;
use spanlake_catalog::BlockRef;
use tokio::runtime::Runtime;

pub use error::{ReadFailure, SqlError};
pub use planning::MAX_SQL_DEPTH;
pub use text::{MAX_SQL_BYTES, MAX_SQL_WORDS};

use crate::memory::{ProcessMemory, QueryMemory};
use crate::shape::TIME_ZONE;
use crate::source::Source;
use traces::TraceView;
use view::BlockView;

/// Functions that make a text or a list of any size from a few bytes, and those that compute for long on two texts: neither
/// the memory pool nor the time limit sees what one call of them takes.
const UNBOUNDED_FUNCTIONS: [&str; 12] = [
    "repeat",
    "lpad",
    "rpad",
    "replace",
    "regexp_replace",
    "levenshtein",
    "range",
    "generate_series",
    "array_repeat",
    "list_repeat",
    "array_resize",
    "list_resize",
];

/// Tables that have as many rows as a number says.
const UNBOUNDED_TABLES: [&str; 2] = ["generate_series", "range"];

/// Most threads that one query computes on.
const MAX_THREADS: usize = 8;

/// Batches that are computed before they are asked for.
const BATCHES_AHEAD: usize = 1;

/// Answers SQL. Cheap to clone; clones share one bound on memory.
#[derive(Debug, Clone)]
pub struct SqlEngine {
    memory: Arc<ProcessMemory>,
    /// Made for the first query.
    threads: Arc<OnceLock<Threads>>,
}

/// Threads that plans run on, and nothing else: a join that discards all it makes does not let go of its thread before it is
/// done, and what receives spans and answers other queries must not wait for that.
#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Threads {
    fn new() -> std::io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(threads).thread_name("sql").enable_all().build().map(|runtime| Self(Some(runtime)))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Not waited for: this may be dropped on a thread that must not block.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// An answer that is being computed.
pub struct SqlAnswer {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows, computed as they are asked for. Ends after the first error.
    pub batches: BoxStream<'static, Result<RecordBatch, SqlError>>,
}

impl SqlEngine {
    /// An engine whose queries together take at most `max_memory_bytes` of memory for sorting, grouping, joining and
    /// telling copies of spans apart, one of them at most a quarter of that. Column chunks being decoded are not counted:
    /// their number is bounded by the scan.
    pub fn new(max_memory_bytes: usize) -> Self {
        Self::sharing(ProcessMemory::new(max_memory_bytes))
    }

    /// An engine that shares its bound on memory with others.
    pub fn sharing(memory: Arc<ProcessMemory>) -> Self {
        Self { memory, threads: Arc::default() }
    }

    /// Bytes that running queries hold.
    pub fn memory_bytes(&self) -> usize {
        self.memory.used_bytes()
    }

    /// Plans a query over the blocks and starts it. Of copies of a span that lie in several blocks, the one in the first
    /// of them counts.
    ///
    /// Planning costs no request, except that a query that names attributes, or asks for all columns, opens blocks to see
    /// which types they have: one request for each of the newest 64, and for each older one only if the newest do not
    /// have the attribute. The answer opens every block that may matter, then reads what the plan asks for.
    ///
    /// # Errors
    /// [`SqlError`].
    pub async fn query(
        &self,
        source: Arc<dyn Source>,
        blocks: Arc<[BlockRef]>,
        sql: &str,
    ) -> Result<SqlAnswer, SqlError> {
        self.query_within(source, blocks, sql, self.memory.query()).await
    }

    /// As [`SqlEngine::query`], for a query that holds other memory beside.
    ///
    /// # Errors
    /// [`SqlError`].
    pub async fn query_within(
        &self,
        source: Arc<dyn Source>,
        blocks: Arc<[BlockRef]>,
        sql: &str,
        memory: Arc<QueryMemory>,
    ) -> Result<SqlAnswer, SqlError> {
        let looked = text::look(sql)?;
        let attributes = attributes::columns(&source, &blocks, &looked).await?;
        let mut span_columns = view::span_columns();
        span_columns.extend(attributes);
        let views = MemorySchemaProvider::new();
        let of_blocks = |columns, list| BlockView::new(Arc::clone(&source), Arc::clone(&blocks), columns, list);
        views.register_table("spans".to_owned(), Arc::new(of_blocks(span_columns, None)))?;
        views.register_table("events".to_owned(), Arc::new(of_blocks(view::event_columns(), Some(Column::Events))))?;
        views.register_table("links".to_owned(), Arc::new(of_blocks(view::link_columns(), Some(Column::Links))))?;
        let traces = TraceView::new(Arc::clone(&source), Arc::clone(&blocks));
        views.register_table("traces".to_owned(), Arc::new(traces))?;

        let state = self.session(views, memory)?;
        let context = state.task_ctx();
        let plan = planning::plan(state, sql.to_owned()).await?;
        let schema = plan.schema();
        // On a task of its own, which ends with the answer: whoever waits for rows can stop waiting while they are computed.
        let batches = {
            let threads = self.threads()?;
            let _on_threads = threads.enter();
            spawn_buffered(execute_stream(plan, context)?, BATCHES_AHEAD).map_err(SqlError::from)
        };
        // The answer may outlive the engine, and its threads with it.
        let threads = Arc::clone(&self.threads);
        let batches = batches.inspect(move |_| {
            let _ = &threads;
        });
        Ok(SqlAnswer { schema, batches: until_error(batches.boxed()) })
    }

    fn threads(&self) -> Result<&Runtime, SqlError> {
        let none = || SqlError::Internal("there are no threads for SQL".to_owned());
        if self.threads.get().is_none() {
            let made = Threads::new().map_err(|error| SqlError::Internal(format!("no threads for SQL: {error}")))?;
            // Two first queries may both have made them: one wins.
            let _ = self.threads.set(made);
        }
        self.threads.get().and_then(|threads| threads.0.as_ref()).ok_or_else(none)
    }

    /// A session that sees the views and nothing else: no files, no other catalogs.
    fn session(&self, views: MemorySchemaProvider, memory: Arc<QueryMemory>) -> Result<SessionState, SqlError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let mut config = SessionConfig::new()
            .with_default_catalog_and_schema("spanlake", "public")
            .with_information_schema(true)
            .with_target_partitions(threads);
        config.options_mut().execution.time_zone = Some(TIME_ZONE.to_owned());
        let pool: Arc<dyn MemoryPool> = memory;
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(pool)
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()?;
        let mut state =
            SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
        for name in UNBOUNDED_FUNCTIONS {
            state.deregister_udf(name)?;
        }
        for name in UNBOUNDED_TABLES {
            state.deregister_udtf(name)?;
        }
        let catalog = datafusion::catalog::MemoryCatalogProvider::new();
        datafusion::catalog::CatalogProvider::register_schema(&catalog, "public", Arc::new(views))?;
        state.catalog_list().register_catalog("spanlake".to_owned(), Arc::new(catalog));
        // A context notes when the query began, which is what `now()` means to the planner.
        Ok(SessionContext::new_with_state(state).state())
    }
}

/// The batches up to the first error. A panic of the engine is an error too: it concerns one query, not the connection.
fn until_error(
    batches: BoxStream<'static, Result<RecordBatch, SqlError>>,
) -> BoxStream<'static, Result<RecordBatch, SqlError>> {
    let next = |batches: Option<BoxStream<'static, Result<RecordBatch, SqlError>>>| async move {
        let mut batches = batches?;
        match AssertUnwindSafe(batches.next()).catch_unwind().await {
            Ok(Some(Ok(batch))) => Some((Ok(batch), Some(batches))),
            Ok(Some(Err(error))) => Some((Err(error), None)),
            Ok(None) => None,
            Err(_) => {
                let text = "the engine met a case it was not made for".to_owned();
                Some((Err(SqlError::Internal(text)), None))
            }
        }
    };
    stream::unfold(Some(batches), next).fuse().boxed()
}
