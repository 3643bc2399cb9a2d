//! The querier over real blocks in memory, asked through its HTTP router.

mod by_id;
mod deleted;
mod faulty;
mod grpc;
mod interleaving;
mod refusals;
mod search;
mod sql;
mod tags;
mod traceql_http;
mod world;
