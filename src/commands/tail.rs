//! `spanlake tail`: spans as they become visible, until the reader has enough.

use std::pin::pin;

use clap::Args;
use futures::StreamExt as _;
use serde_json::Value;

use super::options::{Output, ReadArgs};
use super::report::{csv_line, plain};
use super::terminal::{self, Paint};
use super::{Outcome, readable};
use crate::client::{Ask, Failure};

/// Options of `tail`.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// TraceQL that spans must match, such as '{ status = error }'.
    #[arg(value_name = "TRACEQL", default_value = "{}")]
    query: String,
    /// End after so many spans; without end when nothing is said.
    #[arg(short = 'n', long)]
    limit: Option<u64>,
    #[command(flatten)]
    read: ReadArgs,
}

const HEADER: [&str; 7] = ["time", "trace", "service", "name", "kind", "duration", "status"];

pub(super) async fn run(args: &TailArgs) -> anyhow::Result<Outcome> {
    let form = &args.read.form;
    form.without_otlp()?;
    if form.output == Output::Json {
        return Err(Failure::usage("a tail has no end, and so is no JSON document: use -o jsonl").into());
    }
    let client = args.read.target.connect()?;
    let ask = Ask::get("/api/v1/tail")
        .with("q", args.query.as_str())
        .with_some("limit", args.limit.map(|limit| limit.to_string()));
    let mut events = pin!(client.events(&ask).await?);
    terminal::hint("waiting for spans (Ctrl-C ends)");
    let mut printed = 0;
    let mut told_dropped = 0;
    while args.limit.is_none_or(|limit| printed < limit) {
        let Some(event) = events.next().await else { break };
        let (name, data) = event?;
        let data: Value = serde_json::from_str(&data)
            .map_err(|error| Failure::error(format!("/api/v1/tail sent an event that is not JSON: {error}")))?;
        match name.as_str() {
            "span" => {
                if printed == 0 && form.output == Output::Csv {
                    terminal::print(format!("{}\n", HEADER.join(",")))?;
                }
                let line = line(&data, form.output, form.paint());
                match form.output {
                    Output::Jsonl | Output::Csv => terminal::print_data(line, form.output == Output::Jsonl)?,
                    _ => terminal::print(line)?,
                }
                printed += 1;
            }
            "progress" => {
                let dropped = data["dropped"].as_u64().unwrap_or(0);
                if dropped > told_dropped {
                    terminal::hint(&format!("{} more spans matched than can be shown", readable::count(dropped)));
                    told_dropped = dropped;
                }
            }
            "error" => {
                let message = data["message"].as_str().unwrap_or("the tail ended");
                return Err(Failure::error(message).into());
            }
            _ => {}
        }
    }
    if args.limit.is_none_or(|limit| printed < limit) {
        return Err(Failure::error("the server ended the tail: it stops, or the connection broke").into());
    }
    Ok(Outcome::Done)
}

fn line(span: &Value, output: Output, paint: Paint) -> String {
    if output == Output::Jsonl {
        return format!("{span}\n");
    }
    let text = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
    let start: u64 = span["startUnixNanos"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
    let nanos = span["durationNanos"].as_u64().unwrap_or(0);
    if output == Output::Csv {
        let values = [text("traceId"), text("service"), text("name"), text("kind"), nanos.to_string(), text("status")];
        let mut out = String::new();
        csv_line(&mut out, std::iter::once(start.to_string()).chain(values));
        return out;
    }
    let moment = readable::moment(start);
    let moment = moment.split_once(' ').map_or(moment.as_str(), |(_, time)| time);
    let operation = plain(&format!("{} {}", text("service"), text("name")));
    let is_bad = text("status") == "error";
    let mark = if is_bad { "error" } else { "" };
    let line = format!("{moment}  {}  {:>9}  {operation}  {mark}", plain(&text("traceId")), readable::duration(nanos));
    let line = line.trim_end();
    if is_bad { format!("{}\n", paint.bad(line)) } else { format!("{line}\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_become_lines() {
        let span = serde_json::json!({
            "traceId": "0af7651916cd43dd8448eb211c80319c", "service": "pay", "name": "POST /charge", "kind": "server",
            "status": "error", "startUnixNanos": "1764115200250000000", "durationNanos": 12_000_000,
        });
        let paint = Paint { is_on: false };
        assert_eq!(
            line(&span, Output::Table, paint),
            "00:00:00.250  0af7651916cd43dd8448eb211c80319c      12 ms  pay POST /charge  error\n"
        );
        assert_eq!(
            line(&span, Output::Csv, paint),
            "1764115200250000000,0af7651916cd43dd8448eb211c80319c,pay,POST /charge,server,12000000,error\n"
        );
        assert!(line(&span, Output::Table, Paint { is_on: true }).starts_with("\u{1b}[31m"));
    }
}
