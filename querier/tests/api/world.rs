//! A store in memory with a catalog and a querier, and short ways to fill and ask it.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prometheus_client::registry::Registry;
use prost::Message as _;
use spanlake_block::{WriteOptions, write_block};
use spanlake_catalog::{BlockRef, Catalog};
use spanlake_model::Tenant;
use spanlake_otlp::Limits;
use spanlake_querier::{Config, Querier};
use spanlake_storage::Store;
use tower::ServiceExt as _;

pub const MILLI: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MILLI;
/// 2023-11-14T22:13:20Z.
pub const EPOCH: u64 = 1_700_000_000 * SECOND;

/// One span to store: the service it is of, and itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub service: String,
    pub span: Span,
}

/// Span `id` of trace `trace`, begun `start_ms` after the epoch, `ms` long. Parent 0: the root.
pub fn span(trace: u8, id: u8, parent: u8, service: &str, name: &str, start_ms: u64, ms: u64) -> Stored {
    let start = EPOCH + start_ms * MILLI;
    let span = Span {
        trace_id: trace_id(trace).to_vec(),
        span_id: vec![0, 0, 0, 0, 0, 0, trace, id],
        parent_span_id: if parent == 0 { vec![] } else { vec![0, 0, 0, 0, 0, 0, trace, parent] },
        name: name.into(),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + ms * MILLI,
        ..Default::default()
    };
    Stored { service: service.into(), span }
}

pub fn trace_id(trace: u8) -> [u8; 16] {
    let mut id = [0; 16];
    id[0] = 0x0a;
    id[15] = trace;
    id
}

pub fn hex(trace: u8) -> String {
    format!("0a{:030x}", trace)
}

impl Stored {
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.span.attributes.push(attribute(key, value));
        self
    }

    pub fn text(self, key: &str, value: &str) -> Self {
        self.with(key, Value::StringValue(value.into()))
    }

    pub fn failed(mut self) -> Self {
        self.span.status = Some(Status { code: 2, message: "failed".into() });
        self
    }
}

pub fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

/// The request that carries the spans, one resource and scope for each.
pub fn request(spans: &[Stored]) -> ExportTraceServiceRequest {
    let group = |stored: &Stored| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![attribute("service.name", Value::StringValue(stored.service.clone()))],
            ..Default::default()
        }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope { name: "lib".into(), version: "1".into(), ..Default::default() }),
            spans: vec![stored.span.clone()],
            schema_url: String::new(),
        }],
        schema_url: String::new(),
    };
    ExportTraceServiceRequest { resource_spans: spans.iter().map(group).collect() }
}

pub struct World {
    pub store: Store,
    pub catalog: Catalog,
    pub querier: Querier,
    pub registry: Registry,
    pub router: axum::Router,
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(Store::memory(), Config::default())
    }

    pub fn with(store: Store, config: Config) -> Self {
        let mut registry = Registry::default();
        let catalog = Catalog::new(store.clone(), spanlake_catalog::Config::default());
        let querier = Querier::new(config, catalog.clone(), &mut registry);
        let router = spanlake_querier::router(querier.clone());
        Self { store, catalog, querier, registry, router }
    }

    /// Stores the spans as one block.
    pub async fn block(&self, spans: &[Stored]) -> BlockRef {
        self.block_of(&Tenant::single(), spans).await
    }

    pub async fn block_of(&self, tenant: &Tenant, spans: &[Stored]) -> BlockRef {
        self.block_at(0, tenant, spans).await
    }

    /// Stores the spans as one block of a level, in the place of level 0.
    pub async fn block_at(&self, level: u8, tenant: &Tenant, spans: &[Stored]) -> BlockRef {
        let bytes = Bytes::from(request(spans).encode_to_vec());
        let batch = spanlake_otlp::index(bytes, &Limits::default()).expect("a good request");
        assert_eq!(batch.spans.len(), spans.len());
        let options = WriteOptions { level, ..WriteOptions::default() };
        let written = write_block(&[batch], &options).expect("a block");
        self.catalog.publish_l0(tenant, written).await.expect("published")
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(path, &[]).await
    }

    pub async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Posts a text. A body that breaks off is an error.
    pub async fn post(&self, path: &str, text: impl Into<String>) -> Result<Answer, axum::Error> {
        let request = Request::post(path).body(Body::from(text.into())).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    /// Posts bytes.
    pub async fn post_bytes(&self, path: &str, bytes: Vec<u8>) -> Answer {
        let request = Request::post(path).body(Body::from(bytes)).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Posts a text and drops the answer with its body unread.
    pub async fn post_and_leave(&self, path: &str, text: &str) -> StatusCode {
        let request = Request::post(path).body(Body::from(text.to_owned())).expect("a request");
        self.router.clone().oneshot(request).await.expect("an answer").status()
    }

    /// The names of the spans of a trace, sorted.
    pub async fn names(&self, trace: u8) -> Vec<String> {
        let json = self.get(&format!("/api/v2/traces/{}", hex(trace))).await.json();
        let mut names: Vec<String> = spans_of(&json["trace"]["resourceSpans"])
            .iter()
            .map(|span| span["name"].as_str().expect("a name").to_owned())
            .collect();
        names.sort();
        names
    }

    /// The trace numbers a search finds, in its order.
    pub async fn found(&self, query: &str) -> Vec<u8> {
        let json = self.get(&format!("/api/search?{query}")).await.json();
        let number = |trace: &serde_json::Value| {
            let id = trace["traceID"].as_str().expect("an id");
            assert!(id.starts_with('a'), "{id}");
            u8::from_str_radix(&id[id.len() - 2..], 16).expect("a number")
        };
        json["traces"].as_array().expect("traces").iter().map(number).collect()
    }
}

/// All spans below `batches` or `resourceSpans`.
pub fn spans_of(resource_spans: &serde_json::Value) -> Vec<serde_json::Value> {
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    list(resource_spans)
        .iter()
        .flat_map(|resource| list(&resource["scopeSpans"]))
        .flat_map(|scope| list(&scope["spans"]))
        .collect()
}

/// Puts other bytes in an object's place.
pub async fn replace(store: &Store, key: &Arc<str>, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = store.get(key).await.expect("the object").to_vec();
    change(&mut bytes);
    store.delete(key).await.expect("deleted");
    store.create(key, Bytes::from(bytes)).await.expect("created");
}
