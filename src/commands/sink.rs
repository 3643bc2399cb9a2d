//! Where spans go: to a receiver over OTLP/HTTP, or straight into a store through an ingester in this process.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prometheus_client::registry::Registry;
use prost::Message as _;
use spanlake_catalog::Catalog;
use spanlake_ingester::{Ingester, PushError};
use spanlake_model::Tenant;
use spanlake_storage::Store;

use crate::client::{self, Failure, Receiver, Sent, TargetArgs, otlp};

/// Most spans of one request.
const MAX_SPANS: usize = 5_000;
/// Most bytes of one request, by the size of its spans.
const MAX_BYTES: usize = 4 << 20;
/// Attempts for one request to a store.
const MAX_ATTEMPTS: u32 = 12;

/// Where spans go. Without any of these: to a receiver on this machine.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Where to write")]
pub struct SinkArgs {
    /// URL that receives OTLP over HTTP; OTEL_EXPORTER_OTLP_ENDPOINT, or http://127.0.0.1:4318.
    #[arg(long, visible_alias = "url", value_name = "URL", conflicts_with = "storage")]
    endpoint: Option<String>,
    /// Write into a store in this process instead, no server needed: s3://bucket/prefix, gs://, az://, file:///directory or a path.
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
    /// Whose spans they become (X-Scope-OrgID); SPANLAKE_TENANT.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// A header of every request, written `Name: value`; may be repeated.
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// File with a token, sent as `Authorization: Bearer`.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A context of ~/.config/spanlake/config.toml.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// TOML file with the settings of the store; with --storage.
    #[arg(long, value_name = "FILE", env = "SPANLAKE_CONFIG")]
    config: Option<PathBuf>,
    /// Any setting of the store; with --storage; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

/// An open way for spans.
pub enum Sink {
    /// A receiver.
    Receiver(Box<Receiver>),
    /// An ingester over a store.
    Store(Box<OpenSink>),
}

/// An ingester over a store, and whose spans it takes.
pub struct OpenSink {
    ingester: Ingester,
    tenant: Tenant,
    url: String,
}

impl SinkArgs {
    /// Opens the way. No request yet.
    ///
    /// # Errors
    /// If options, settings or the store are wrong.
    pub fn open(&self) -> anyhow::Result<Sink> {
        let named = TargetArgs {
            storage: self.storage.clone(),
            tenant: self.tenant.clone(),
            headers: self.headers.clone(),
            token_file: self.token_file.clone(),
            context: self.context.clone(),
            ..TargetArgs::default()
        };
        let target = named.resolve()?;
        let variable = std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok().filter(|value| !value.is_empty());
        if let (Some(url), None) = (&target.storage, &self.endpoint) {
            let config = client::settings(url, self.config.as_deref(), &self.set)?;
            let store = Store::open(&config.storage)
                .map_err(|error| Failure::error(format!("cannot open {}: {error}", config.storage.url)))?;
            let tenant = match &target.tenant {
                Some(name) => Tenant::parse(name).map_err(|error| Failure::usage(format!("--tenant: {error}")))?,
                None => Tenant::single(),
            };
            let catalog = Catalog::new(store, config.catalog);
            let ingester = Ingester::new(config.ingester, catalog, &mut Registry::default());
            return Ok(Sink::Store(Box::new(OpenSink { ingester, tenant, url: config.storage.url })));
        }
        let url = self.endpoint.clone().or(variable).or(target.otlp).unwrap_or_else(|| otlp::DEFAULT_HTTP.to_owned());
        Ok(Sink::Receiver(Box::new(Receiver::new(&url, target.headers)?)))
    }
}

impl Sink {
    /// Where spans go, for people.
    pub fn name(&self) -> &str {
        match self {
            Self::Receiver(receiver) => receiver.url(),
            Self::Store(store) => &store.url,
        }
    }

    /// Sends one request and returns when it is acknowledged.
    ///
    /// # Errors
    /// If it is refused, or nobody takes it in many attempts.
    pub async fn send(&self, request: &ExportTraceServiceRequest) -> Result<Sent, Failure> {
        match self {
            Self::Receiver(receiver) => receiver.send(request).await,
            Self::Store(store) => store.send(request).await,
        }
    }

    /// Ends: all that was acknowledged is stored by then.
    pub async fn close(self) {
        if let Self::Store(store) = self {
            store.ingester.shutdown().await;
        }
    }
}

impl OpenSink {
    async fn send(&self, request: &ExportTraceServiceRequest) -> Result<Sent, Failure> {
        let body = Bytes::from(request.encode_to_vec());
        let mut retries = 0;
        loop {
            let error = match self.ingester.push(self.tenant.clone(), body.clone()).await {
                Ok(accepted) => {
                    return Ok(Sent { rejected: accepted.rejected_count, reason: accepted.message, retries });
                }
                Err(error) => error,
            };
            let wait = pause(&error).filter(|_| retries + 1 < MAX_ATTEMPTS);
            let Some(wait) = wait else { return Err(Failure::error(format!("{}: {error}", self.url))) };
            tokio::time::sleep(wait).await;
            retries += 1;
        }
    }
}

/// How long to wait before it may work; none if it never will.
fn pause(error: &PushError) -> Option<Duration> {
    match error {
        PushError::Throttled { retry_after, .. } | PushError::Unavailable { retry_after } => Some(*retry_after),
        _ => None,
    }
}

/// Cuts messages into requests that every receiver takes; spans keep their order, their resource and their scope.
pub fn requests(spans: Vec<ResourceSpans>) -> Vec<ExportTraceServiceRequest> {
    let mut requests = Vec::new();
    let mut open: Vec<ResourceSpans> = Vec::new();
    let (mut span_count, mut bytes) = (0, 0);
    for resource in spans {
        let ResourceSpans { resource, scope_spans, schema_url } = resource;
        let mut here =
            ResourceSpans { resource: resource.clone(), scope_spans: Vec::new(), schema_url: schema_url.clone() };
        for scope in scope_spans {
            let ScopeSpans { scope, spans, schema_url: scope_url } = scope;
            let mut inside = ScopeSpans { scope: scope.clone(), spans: Vec::new(), schema_url: scope_url.clone() };
            for span in spans {
                let size = span.encoded_len();
                if span_count > 0 && (span_count >= MAX_SPANS || bytes + size > MAX_BYTES) {
                    let full = std::mem::take(&mut inside.spans);
                    if !full.is_empty() {
                        here.scope_spans.push(ScopeSpans { spans: full, ..inside.clone() });
                    }
                    if !here.scope_spans.is_empty() {
                        let scope_spans = std::mem::take(&mut here.scope_spans);
                        open.push(ResourceSpans { scope_spans, ..here.clone() });
                    }
                    requests.push(ExportTraceServiceRequest { resource_spans: std::mem::take(&mut open) });
                    (span_count, bytes) = (0, 0);
                }
                span_count += 1;
                bytes += size;
                inside.spans.push(span);
            }
            if !inside.spans.is_empty() {
                here.scope_spans.push(inside);
            }
        }
        if !here.scope_spans.is_empty() {
            open.push(here);
        }
    }
    if !open.is_empty() {
        requests.push(ExportTraceServiceRequest { resource_spans: open });
    }
    requests
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::Span;

    use super::*;

    fn resource(counts: &[usize], next: &mut u64) -> ResourceSpans {
        let scope = |count: &usize| {
            let spans = (0..*count).map(|_| {
                *next += 1;
                Span { start_time_unix_nano: *next, ..Span::default() }
            });
            ScopeSpans { spans: spans.collect(), schema_url: format!("s{count}"), ..ScopeSpans::default() }
        };
        ResourceSpans { scope_spans: counts.iter().map(scope).collect(), ..ResourceSpans::default() }
    }

    #[test]
    fn requests_hold_every_span_once_and_in_order() {
        let mut next = 0;
        let spans = vec![resource(&[3, 7_000], &mut next), resource(&[0], &mut next), resource(&[4_000, 1], &mut next)];
        let requests = requests(spans);
        let mut found = Vec::new();
        for request in &requests {
            let scopes: Vec<&ScopeSpans> =
                request.resource_spans.iter().flat_map(|resource| &resource.scope_spans).collect();
            let count: usize = scopes.iter().map(|scope| scope.spans.len()).sum();
            assert!((1..=MAX_SPANS).contains(&count), "{count}");
            assert!(scopes.iter().all(|scope| !scope.spans.is_empty()));
            found.extend(scopes.iter().flat_map(|scope| &scope.spans).map(|span| span.start_time_unix_nano));
        }
        assert_eq!(found, (1..=next).collect::<Vec<_>>());
        assert_eq!(requests.len(), 3);
        let large = Span { name: "x".repeat(3 << 20), ..Span::default() };
        let scope = ScopeSpans { spans: vec![large.clone(), large], ..ScopeSpans::default() };
        let spans = vec![ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() }];
        assert_eq!(super::requests(spans).len(), 2);
    }
}
