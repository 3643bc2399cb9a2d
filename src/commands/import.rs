//! `spanlake import`: trace files of other programs into a receiver or a store.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;
use futures::stream::{self, StreamExt as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde_json::{Value, json};
use spanlake_model::TraceId;

use super::options::FormArgs;
use super::pieces::Pieces;
use super::report::{Column, Report, Row};
use super::sink::{Sink, SinkArgs, requests};
use super::terminal::{self, Progress};
use super::{Outcome, readable};
use crate::client::Failure;

/// Requests under way at once.
const IN_FLIGHT: usize = 4;

/// Options of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Files of OTLP JSON, JSON lines or protobuf, Jaeger JSON or Zipkin v2 JSON (also gzipped), or - for stdin.
    #[arg(required = true, value_name = "FILE|-")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    sink: SinkArgs,
    #[command(flatten)]
    form: FormArgs,
}

/// What became of a file.
#[derive(Debug, Default)]
struct Imported {
    name: String,
    format: String,
    trace_count: usize,
    accepted: u64,
    rejected: u64,
    reason: String,
}

pub(super) async fn run(args: &ImportArgs) -> anyhow::Result<Outcome> {
    args.form.without_otlp()?;
    let sink = args.sink.open()?;
    let progress = Progress::begin("reading");
    let mut done = Vec::new();
    let mut failure = None;
    for path in &args.files {
        let (mut imported, outcome) = import(path, &sink, &progress).await;
        if let Err(error) = outcome {
            if imported.accepted > 0 {
                let stored = readable::count(imported.accepted);
                imported.reason = format!("it broke off after {stored} spans");
                done.push(imported);
            }
            failure = Some(error);
            break;
        }
        done.push(imported);
    }
    progress.end();
    let to = sink.name().to_owned();
    sink.close().await;
    if !done.is_empty() {
        report(&done, &to).print(&args.form)?;
        let accepted = done.iter().map(|file| file.accepted).sum();
        terminal::hint(&format!("{} spans are stored at {to}", readable::count(accepted)));
    }
    if let Some(failure) = failure {
        if !done.is_empty() {
            terminal::note(
                "at least what is listed is stored: import what failed again, Spanlake keeps equal spans once",
            );
        }
        return Err(failure.into());
    }
    let is_whole = done.iter().all(|file| file.rejected == 0);
    let is_empty = done.iter().all(|file| file.accepted + file.rejected == 0);
    Ok(match (is_whole, is_empty) {
        (_, true) => Outcome::Nothing,
        (true, _) => Outcome::Done,
        (false, _) => Outcome::Partial,
    })
}

/// Reads a file piece by piece, and sends each. What became of it is told also when it ends early.
async fn import(path: &Path, sink: &Sink, progress: &Progress) -> (Imported, Result<(), Failure>) {
    let mut imported = Imported { name: path.display().to_string(), ..Imported::default() };
    let outcome = import_pieces(path, sink, progress, &mut imported).await;
    (imported, outcome)
}

async fn import_pieces(path: &Path, sink: &Sink, progress: &Progress, imported: &mut Imported) -> Result<(), Failure> {
    let mut pieces = Pieces::open(path)?;
    pieces.name().clone_into(&mut imported.name);
    let mut traces = HashSet::new();
    let mut all = 0;
    while let Some(parsed) = pieces.next()? {
        imported.format = parsed.format.to_string();
        imported.rejected += parsed.rejected_count as u64;
        if imported.reason.is_empty() {
            imported.reason = parsed.rejected.first().map_or_else(String::new, ToString::to_string);
        }
        let spans = parsed.spans.iter().flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans);
        traces.extend(spans.filter_map(|span| TraceId::from_wire(&span.trace_id)));
        imported.trace_count = traces.len();
        all += parsed.span_count() as u64;
        send(requests(parsed.spans), sink, progress, all, imported).await?;
    }
    Ok(())
}

async fn send(
    requests: Vec<ExportTraceServiceRequest>,
    sink: &Sink,
    progress: &Progress,
    all: u64,
    imported: &mut Imported,
) -> Result<(), Failure> {
    let count = |request: &ExportTraceServiceRequest| super::traces::span_count(&request.resource_spans) as u64;
    let mut answers = stream::iter(&requests)
        .map(async |request| (count(request), sink.send(request).await))
        .buffer_unordered(IN_FLIGHT);
    let what = format!("spans of {}", imported.name);
    while let Some((spans, answer)) = answers.next().await {
        let answer = answer?;
        let rejected = answer.rejected.min(spans);
        imported.accepted += spans - rejected;
        imported.rejected += rejected;
        if imported.reason.is_empty() {
            imported.reason = answer.reason;
        }
        progress.set(imported.accepted + imported.rejected, all, &what);
    }
    Ok(())
}

fn report(done: &[Imported], to: &str) -> Report {
    let row = |file: &Imported| {
        let json = json!({
            "file": file.name, "format": file.format, "traces": file.trace_count, "accepted": file.accepted,
            "refused": file.rejected, "reason": (!file.reason.is_empty()).then_some(&file.reason),
        });
        Row {
            cells: vec![
                file.name.as_str().into(),
                file.format.as_str().into(),
                file.trace_count.to_string().into(),
                file.accepted.to_string().into(),
                file.rejected.to_string().into(),
                file.reason.as_str().into(),
            ],
            json,
            is_bad: file.rejected > 0,
        }
    };
    let rows: Vec<Row> = done.iter().map(row).collect();
    let files: Vec<Value> = rows.iter().map(|row| row.json.clone()).collect();
    Report {
        columns: vec![
            Column::text("FILE"),
            Column::text("FORMAT"),
            Column::number("TRACES"),
            Column::number("ACCEPTED"),
            Column::number("REFUSED"),
            Column::text("WHY"),
        ],
        rows,
        json: json!({ "to": to, "files": files }),
    }
}
