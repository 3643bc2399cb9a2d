//! The querier over real blocks in memory, asked through its HTTP router.

mod by_id;
mod deleted;
mod explore;
mod faulty;
mod grpc;
mod interleaving;
mod refusals;
mod running;
mod search;
mod sql;
mod tags;
mod trace_analysis;
mod trace_questions;
mod traceql_http;
mod usual;
mod world;
