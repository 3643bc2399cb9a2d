//! A store in memory with blocks of chosen spans and shapes, and what SQL answers over it.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use spanlake_block::{Block, Column, SpanRow, WriteOptions, Written, write_block};
use spanlake_catalog::{Catalog, Config, Snapshot};
use spanlake_model::Tenant;
use spanlake_otlp::{Batch, Limits, index};
use spanlake_storage::Store;
use spanlake_table::{CatalogSource, Source, SpanTable};

/// Blocks in memory, with the rows of each as they were written.
pub struct World {
    pub catalog: Catalog,
    pub snapshot: Arc<Snapshot>,
    pub rows: Vec<SpanRow>,
}

/// Runs a test's future.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

fn batches(requests: &[ExportTraceServiceRequest]) -> Vec<Batch> {
    let indexed = |request: &ExportTraceServiceRequest| index(Bytes::from(request.encode_to_vec()), &Limits::default());
    requests.iter().map(|request| indexed(request).expect("the strategies give sound requests")).collect()
}

/// Options under which even a few spans have attribute columns and several row groups.
pub fn options(row_group_rows: usize, max_attribute_columns: usize) -> WriteOptions {
    WriteOptions { row_group_rows, max_attribute_columns, min_values: 1, page_rows: 3, ..WriteOptions::default() }
}

/// The rows of a block that was just written.
pub fn rows_of(written: &Written) -> Vec<SpanRow> {
    let cut = |from: u64, to: u64| written.bytes.slice(from as usize..to as usize);
    let block = Block::open(&written.meta, cut(written.meta.tail_offset, written.meta.object_bytes)).expect("written");
    (0..block.row_group_count())
        .flat_map(|group| {
            let range = block.row_group_range(group);
            block.read_row_group(group, cut(range.start, range.end)).expect("written")
        })
        .collect()
}

/// A tenant of tests.
pub fn tenant() -> Tenant {
    Tenant::parse("tests").expect("a valid name")
}

impl World {
    /// One block for each list of requests that has any span.
    pub async fn new(blocks: &[(Vec<ExportTraceServiceRequest>, WriteOptions)]) -> Self {
        let written = blocks.iter().filter_map(|(requests, options)| write_block(&batches(requests), options).ok());
        Self::of(written.collect()).await
    }

    /// These blocks.
    pub async fn of(written: Vec<Written>) -> Self {
        let rows = written.iter().flat_map(rows_of).collect();
        let catalog = Catalog::new(Store::memory(), Config::default());
        for block in written {
            catalog.publish_l0(&tenant(), block).await.expect("a store in memory takes it");
        }
        let snapshot = catalog.snapshot(&tenant()).await.expect("a store in memory lists");
        Self { catalog, snapshot, rows }
    }

    pub fn source(&self) -> Arc<dyn Source> {
        Arc::new(CatalogSource::new(self.catalog.clone()))
    }

    pub fn table(&self, attributes: &[Column]) -> SpanTable {
        SpanTable::new(self.source(), Arc::clone(&self.snapshot), attributes.to_vec())
    }

    /// A session with the tables `pushed` and, without any pushdown, `plain`.
    pub fn session(&self, attributes: &[Column], batch_size: usize) -> SessionContext {
        let session = SessionContext::new_with_config(SessionConfig::new().with_batch_size(batch_size));
        let plain = NoPushdown(self.table(attributes));
        session.register_table("pushed", Arc::new(self.table(attributes))).expect("a free name");
        session.register_table("plain", Arc::new(plain)).expect("a free name");
        session
    }
}

/// What SQL answers.
pub async fn query(session: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    let planned = session.sql(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    planned.collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The physical plan of a query, as text.
pub async fn plan(session: &SessionContext, sql: &str) -> String {
    let planned = session.sql(sql).await.expect("the query is sound").create_physical_plan().await.expect("it plans");
    datafusion::physical_plan::displayable(planned.as_ref()).indent(false).to_string()
}

/// The same table, with every filter left to the engine.
#[derive(Debug)]
struct NoPushdown(SpanTable);

#[async_trait::async_trait]
impl TableProvider for NoPushdown {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        assert!(filters.is_empty(), "the engine pushed {filters:?} although nothing was offered");
        self.0.scan(state, projection, &[], limit).await
    }
}
