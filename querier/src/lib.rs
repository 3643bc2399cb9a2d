//! The querier: traces by id and by search, over Grafana Tempo's HTTP API.
//!
//! It reads objects through the catalog and nothing else: no ingester is asked, no state outlives a request but caches of
//! immutable objects. Every answer is about whole traces, merged over all blocks that hold a piece of them.
//!
//! [`Querier`] is the engine; [`router`] puts it on HTTP. The crate knows nothing of how spans arrive or blocks are written.

mod config;
mod error;
mod fetch;
mod http;
mod merge;
mod metrics;
mod querier;
mod search;
mod trace;

pub use config::Config;
pub use error::Error;
pub use http::router;
pub use querier::Querier;
pub use search::{FoundTrace, SearchAnswer, SearchRequest, ServiceSpans, Tag, TagError};
pub use trace::TraceAnswer;
