//! `spanlake send`: one span the whole way, out over OTLP and back by its id, to prove a connection or to say where it ends.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use serde_json::json;
use spanlake_model::TraceId;

use super::options::{FormArgs, Output};
use super::report::{Cell, Column, Report, Row};
use super::terminal::{self, Progress};
use super::traces::by_id;
use super::{Outcome, readable};
use crate::client::{Failure, Receiver, Sent, TargetArgs, otlp};

/// Longest wait for a span that was acknowledged to be found.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two looks.
const READ_PAUSE: Duration = Duration::from_millis(50);

/// Options of `send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// Where spans are received; OTEL_EXPORTER_OTLP_ENDPOINT, or this machine.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    endpoint: Option<String>,
    /// How to send.
    #[arg(long, value_enum, default_value = "http")]
    protocol: Protocol,
    /// The service that the span is of.
    #[arg(long, default_value = "spanlake-send")]
    service: String,
    /// Do not read it back.
    #[arg(long)]
    no_read: bool,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    form: FormArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    /// OTLP over HTTP with protobuf, port 4318.
    Http,
    /// OTLP over gRPC, port 4317.
    Grpc,
}

/// One step, and how long it took.
struct Step {
    name: &'static str,
    took: Duration,
    text: String,
}

pub(super) async fn run(args: &SendArgs) -> anyhow::Result<Outcome> {
    args.form.without_otlp()?;
    let target = args.target.resolve()?;
    let default = match args.protocol {
        Protocol::Http => otlp::DEFAULT_HTTP,
        Protocol::Grpc => otlp::DEFAULT_GRPC,
    };
    let endpoint = args.endpoint.as_deref().or(target.otlp.as_deref()).unwrap_or(default);
    let (id, request) = request(&args.service);
    let progress = Progress::begin("sending a span");
    let mut steps = Vec::new();
    let started = Instant::now();
    let (sent, to) = match args.protocol {
        Protocol::Http => {
            let receiver = Receiver::new(endpoint, target.headers.clone())?;
            (receiver.send(&request).await?, receiver.url().to_owned())
        }
        Protocol::Grpc => (otlp::send_grpc(endpoint, &target.headers, request).await?, endpoint.to_owned()),
    };
    if sent.rejected > 0 {
        return Err(Failure::error(format!("{to} took the request and rejected the span: {}", sent.reason)).into());
    }
    steps.push(Step { name: "acknowledged", took: started.elapsed(), text: acknowledged(&to, &sent) });
    if !args.no_read {
        progress.say("reading it back");
        steps.push(read_back(args, id).await?);
    }
    progress.end();
    report(id, &steps).print(&args.form)?;
    if matches!(args.form.output, Output::Table | Output::Wide) && !args.no_read {
        terminal::print("spans sent there are stored, and found\n")?;
    }
    Ok(Outcome::Done)
}

fn acknowledged(to: &str, sent: &Sent) -> String {
    match sent.retries {
        0 => format!("by {to}"),
        retries => format!("by {to}, after {retries} retries"),
    }
}

async fn read_back(args: &SendArgs, id: TraceId) -> anyhow::Result<Step> {
    let client = args.target.connect()?;
    let from = client.page().map_or_else(|| "the store".to_owned(), str::to_owned);
    let started = Instant::now();
    loop {
        match by_id(&client, &id.to_string(), &[]).await {
            Ok(_) => return Ok(Step { name: "found", took: started.elapsed(), text: format!("at {from}") }),
            Err(failure) if failure.code == super::NOTHING => {}
            Err(failure) => {
                return Err(anyhow::anyhow!("the span is acknowledged, but cannot be read back: {failure}"));
            }
        }
        if started.elapsed() > READ_TIMEOUT {
            return Err(anyhow::anyhow!(
                "the span is acknowledged, but {from} does not find trace {id} within {} s: does it read the store that the \
                 receiver writes, and with the same tenant?",
                READ_TIMEOUT.as_secs()
            ));
        }
        tokio::time::sleep(READ_PAUSE).await;
    }
}

fn report(id: TraceId, steps: &[Step]) -> Report {
    let row = |step: &Step| {
        let nanos = u64::try_from(step.took.as_nanos()).unwrap_or(u64::MAX);
        Row {
            cells: vec![
                step.name.into(),
                Cell::with_exact(readable::duration(nanos), nanos),
                step.text.as_str().into(),
            ],
            json: json!({ "step": step.name, "durationNanos": nanos, "text": step.text }),
            is_bad: false,
        }
    };
    let mut rows = vec![Row {
        cells: vec!["sent".into(), Cell::default(), format!("trace {id}").into()],
        json: json!({ "step": "sent", "traceId": id.to_string() }),
        is_bad: false,
    }];
    rows.extend(steps.iter().map(row));
    let steps: Vec<_> = rows.iter().map(|row| row.json.clone()).collect();
    Report {
        columns: vec![Column::text("STEP"), Column::number("TOOK"), Column::text("WHERE")],
        rows,
        json: json!({ "traceId": id.to_string(), "steps": steps }),
    }
}

/// A span that ended now, with an id that nobody else has.
fn request(service: &str) -> (TraceId, ExportTraceServiceRequest) {
    let random = || -> [u8; 8] {
        use std::hash::{BuildHasher as _, Hasher as _};
        // The standard library's keys are random; no other randomness is needed here.
        let mut hasher = std::hash::RandomState::new().build_hasher();
        hasher.write_u64(readable::now_unix_nanos());
        hasher.finish().max(1).to_be_bytes()
    };
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random());
    id[8..].copy_from_slice(&random());
    let text = |key: &str, value: &str| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Wire::StringValue(value.to_owned())) }),
        ..KeyValue::default()
    };
    let end = readable::now_unix_nanos();
    let span = Span {
        trace_id: id.to_vec(),
        span_id: random().to_vec(),
        name: "spanlake send".to_owned(),
        kind: 1,
        start_time_unix_nano: end.saturating_sub(1_000_000),
        end_time_unix_nano: end,
        attributes: vec![text("spanlake.purpose", "to prove that spans arrive")],
        ..Span::default()
    };
    let scope = InstrumentationScope {
        name: "spanlake".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: vec![text("service.name", service)], ..Resource::default() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans: vec![span], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    };
    (TraceId(id), request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_has_an_id_of_its_own() {
        let (a, request_a) = request("x");
        let (b, _) = request("x");
        assert!(a != b && a.0 != [0; 16]);
        assert_eq!(request_a.resource_spans[0].scope_spans[0].spans[0].trace_id, a.0);
    }
}
