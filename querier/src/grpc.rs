//! `tempopb.StreamingQuerier`, the one gRPC service of Tempo's API that clients use: every answer is a stream.
//!
//! Requests pass the same checks and become the same engine requests as over HTTP. Failures end the stream with a status.

mod calls;
mod packets;
mod service;

use axum::Router;
use tonic::server::NamedService;

use crate::querier::Querier;
use service::StreamingQuerier;

/// The service alone, for a port of its own: HTTP/2 in clear with prior knowledge. Other paths are `Unimplemented`.
pub fn grpc_router(querier: Querier) -> Router {
    routes(querier).fallback(service::unknown)
}

/// The route of the service, to be served beside others.
pub(crate) fn routes(querier: Querier) -> Router {
    let path = format!("/{}/{{*method}}", <StreamingQuerier as NamedService>::NAME);
    Router::new().route_service(&path, StreamingQuerier::new(querier))
}
