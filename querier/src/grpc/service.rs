//! Paths of the service, and what each runs. It knows how calls are framed, not what they ask.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use ::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::codegen::{Body, BoxFuture, Service, StdError};
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Status, body};
use tonic_prost::ProstCodec;

use super::calls;
use super::packets::Packets;
use crate::querier::Querier;

/// Longest request, in bytes: the longest query, with room for tags.
const MAX_REQUEST_BYTES: usize = 512 * 1024;

/// The service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct StreamingQuerier {
    querier: Querier,
}

impl StreamingQuerier {
    pub(crate) fn new(querier: Querier) -> Self {
        Self { querier }
    }
}

impl NamedService for StreamingQuerier {
    const NAME: &'static str = "tempopb.StreamingQuerier";
}

impl<B> Service<::http::Request<B>> for StreamingQuerier
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = ::http::Response<body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ::http::Request<B>) -> Self::Future {
        let querier = self.querier.clone();
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        match method {
            "Search" => serve(querier, calls::search, request),
            "SearchTags" => serve(querier, calls::search_tags, request),
            "SearchTagsV2" => serve(querier, calls::search_tags_v2, request),
            "SearchTagValues" => serve(querier, calls::search_tag_values, request),
            "SearchTagValuesV2" => serve(querier, calls::search_tag_values_v2, request),
            "MetricsQueryRange" => serve(querier, calls::metrics_query_range, request),
            "MetricsQueryInstant" => serve(querier, calls::metrics_query_instant, request),
            _ => {
                let status = unimplemented(request.uri().path());
                Box::pin(ready(Ok(status.into_http())))
            }
        }
    }
}

/// What a method runs: the querier, the metadata, the message.
type Run<Q, R> = fn(Querier, HeaderMap, Q) -> Packets<R>;

fn serve<Q, R, B>(
    querier: Querier,
    run: Run<Q, R>,
    request: ::http::Request<B>,
) -> BoxFuture<::http::Response<body::Body>, Infallible>
where
    Q: Message + Default + 'static,
    R: Message + Default + 'static,
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    let mut grpc = Grpc::new(ProstCodec::<R, Q>::default())
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_REQUEST_BYTES);
    Box::pin(async move { Ok(grpc.server_streaming(Method { querier, run }, request).await) })
}

/// One method, as tonic calls it.
struct Method<Q, R> {
    querier: Querier,
    run: Run<Q, R>,
}

impl<Q, R> Service<Request<Q>> for Method<Q, R> {
    type Response = tonic::Response<Packets<R>>;
    type Error = Status;
    type Future = Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (metadata, _, message) = request.into_parts();
        ready(Ok(tonic::Response::new((self.run)(self.querier.clone(), metadata.into_headers(), message))))
    }
}

/// Any path that is not the service's.
pub(crate) async fn unknown(uri: ::http::Uri) -> Response {
    unimplemented(uri.path()).into_http::<body::Body>().into_response()
}

fn unimplemented(path: &str) -> Status {
    Status::unimplemented(format!("{path} is not a method served here: {} is", StreamingQuerier::NAME))
}
