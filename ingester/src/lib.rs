//! The ingest role: OTLP over gRPC and HTTP in, acknowledged once the spans are durable in the object store.
//!
//! A request is admitted under bounds on bytes and tenants, decompressed, indexed where it lies ([`spanlake_otlp`]),
//! queued in its tenant's lane, sealed with its neighbours into a level-0 block ([`spanlake_block`]), published by one
//! create-only PUT ([`spanlake_catalog`]), and only then acknowledged. Nothing acknowledged lives in memory alone.
//!
//! It knows nothing of queries, compaction, or how a block looks inside.

mod budget;
mod config;
mod cores;
mod error;
mod flush;
mod hints;
mod ingester;
mod lane;
mod metrics;
mod receiver;
mod sink;

#[cfg(test)]
mod testing;

pub use config::{Config, CorsConfig, ReceiverConfig, SpanLimits};
pub use error::PushError;
pub use ingester::{Accepted, Ingester};
pub use receiver::{grpc_router, http_router};
