//! `spanlake search`: traces that a TraceQL query finds, as they are found.

use std::collections::BTreeSet;
use std::pin::pin;

use clap::Args;
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::options::{Output, ReadArgs, TimeArgs};
use super::report::{Cell, Column, Report, Row};
use super::terminal::{self, Progress};
use super::{Outcome, readable, traces};
use crate::client::{Ask, Client, Failure};

/// Options of `search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// TraceQL, such as '{ status = error }' or '{ span.http.route = "/pay" && duration > 1s }'.
    #[arg(value_name = "TRACEQL", default_value = "{}")]
    query: String,
    /// Most traces.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Columns, with commas between: trace, time, root, duration, spans, errors, services, matched, or attributes such as
    /// span.http.route, whose values on the matching spans are shown.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    columns: Vec<String>,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    read: ReadArgs,
}

/// One thing that is shown of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    Trace,
    Time,
    Root,
    Duration,
    Spans,
    Errors,
    Services,
    Matched,
    Attribute(String),
}

/// Services that are named of a trace; more are counted.
const SHOWN_SERVICES: usize = 3;

const USUAL: [Shown; 7] =
    [Shown::Trace, Shown::Time, Shown::Root, Shown::Duration, Shown::Spans, Shown::Errors, Shown::Services];

impl Shown {
    fn parse(name: &str) -> Result<Self, Failure> {
        Ok(match name.trim().to_lowercase().as_str() {
            "trace" | "id" => Self::Trace,
            "time" | "start" => Self::Time,
            "root" => Self::Root,
            "duration" => Self::Duration,
            "spans" => Self::Spans,
            "err" | "errors" => Self::Errors,
            "services" => Self::Services,
            "matched" => Self::Matched,
            _ if name.contains(['.', ':']) => Self::Attribute(name.trim().to_owned()),
            _ => {
                return Err(Failure::usage(format!(
                    "--columns: {name:?} is neither trace, time, root, duration, spans, errors, services, matched nor an \
                     attribute with its scope, such as span.http.route"
                )));
            }
        })
    }

    fn column(&self) -> Column {
        match self {
            Self::Trace => Column::id("TRACE"),
            Self::Time => Column::moment("TIME"),
            Self::Root => Column::text("ROOT"),
            Self::Duration => Column::number("DURATION"),
            Self::Spans => Column::number("SPANS"),
            Self::Errors => Column::number("ERR"),
            Self::Services => Column::text("SERVICES"),
            Self::Matched => Column::number("MATCHED"),
            Self::Attribute(name) => Column::text(name.clone()),
        }
    }

    fn cell(&self, trace: &Value) -> Cell {
        match self {
            // Tempo leaves out the zeros in front.
            Self::Trace => format!("{:0>32}", text(trace, "traceID")).into(),
            Self::Time => {
                let nanos = start(trace);
                Cell::with_exact(readable::moment(nanos), nanos)
            }
            Self::Root => format!("{} {}", text(trace, "rootServiceName"), text(trace, "rootTraceName")).trim().into(),
            Self::Duration => {
                let nanos = trace["durationMs"].as_u64().unwrap_or(0) * 1_000_000;
                let shown = if nanos == 0 { "<1 ms".to_owned() } else { readable::duration(nanos) };
                Cell::with_exact(shown, nanos)
            }
            Self::Spans => total(trace, "spanCount").to_string().into(),
            Self::Errors => total(trace, "errorCount").to_string().into(),
            Self::Services => {
                let services = services(trace);
                let first = services.iter().take(SHOWN_SERVICES).cloned().collect::<Vec<_>>().join(" ");
                let more = services.len().saturating_sub(SHOWN_SERVICES);
                let shown = if more > 0 { format!("{first} +{more}") } else { first };
                Cell::with_exact(shown, services.join(" "))
            }
            Self::Matched => {
                let sets = trace["spanSets"].as_array();
                let matched: u64 = sets.into_iter().flatten().filter_map(|set| set["matched"].as_u64()).sum();
                matched.to_string().into()
            }
            Self::Attribute(name) => values(trace, name).join(" ").into(),
        }
    }
}

pub(super) async fn run(args: &SearchArgs) -> anyhow::Result<Outcome> {
    let mut shown = args.columns.iter().map(|name| Shown::parse(name)).collect::<Result<Vec<_>, _>>()?;
    if shown.is_empty() {
        shown = USUAL.to_vec();
        if args.read.form.output == Output::Wide {
            shown.push(Shown::Matched);
        }
    }
    let client = args.read.target.connect()?;
    let query = selecting(&args.query, &shown);
    let ask = Ask::get("/api/v1/search")
        .with("q", query)
        .with("limit", args.limit.to_string())
        .with_all(args.time.parameters()?);
    let found = gather(&client, &ask, args).await?;
    if found.traces.is_empty() {
        terminal::note("no trace matches in this time (--since looks further back)");
        return Ok(if found.is_partial() { Outcome::Partial } else { Outcome::Nothing });
    }
    match args.read.form.output {
        // Printed already, as they came.
        Output::Jsonl | Output::Otlp => {}
        _ => report(&found, &shown).print(&args.read.form)?,
    }
    let query = crate::client::path_part(&args.query);
    args.read.form.link(&client, &format!("/search?q={query}&{}", args.time.page_parameters()?));
    Ok(found.outcome())
}

/// What a search found.
struct Found {
    traces: Vec<Value>,
    metrics: Value,
    stopped: Option<String>,
}

impl Found {
    fn is_partial(&self) -> bool {
        self.stopped.is_some()
    }

    fn outcome(&self) -> Outcome {
        match &self.stopped {
            Some(why) => {
                terminal::note(&format!("this is only a part: {why}"));
                Outcome::Partial
            }
            None => Outcome::Done,
        }
    }
}

async fn gather(client: &Client, ask: &Ask, args: &SearchArgs) -> anyhow::Result<Found> {
    let mut lines = pin!(client.lines(ask).await?);
    let mut found = Found { traces: Vec::new(), metrics: Value::Null, stopped: None };
    let progress = match args.read.form.output {
        Output::Jsonl | Output::Otlp => Progress::begin_beside_output("searching"),
        _ => Progress::begin("searching"),
    };
    let mut is_over = false;
    while let Some(line) = lines.next().await {
        let mut line = line?;
        if let Some(metrics) = line.get("metrics") {
            found.metrics = metrics.clone();
        }
        show(&progress, &found);
        match line["type"].as_str() {
            Some("traces") => {
                let traces = line["traces"].as_array_mut().map(std::mem::take).unwrap_or_default();
                for trace in &traces {
                    let partial = print_found(client, args, trace).await?;
                    found.stopped = found.stopped.or(partial);
                }
                found.traces.extend(traces);
            }
            Some("done") => {
                is_over = true;
                found.stopped = line["stopped"].as_str().map(str::to_owned).or(found.stopped);
            }
            Some("error") => {
                let status = line["status"].as_u64().and_then(|status| u16::try_from(status).ok());
                let status = status.and_then(|status| http::StatusCode::from_u16(status).ok());
                let message = line["message"].as_str().unwrap_or_default();
                return Err(Failure::of_status(status.unwrap_or_default(), message, "/api/v1/search").into());
            }
            _ => {}
        }
    }
    progress.end();
    if !is_over {
        return Err(Failure::error("the search broke off before its end: ask again").into());
    }
    // What comes first is found first, not newest.
    found.traces.sort_by(|a, b| start(b).cmp(&start(a)).then_with(|| text(a, "traceID").cmp(text(b, "traceID"))));
    Ok(found)
}

fn show(progress: &Progress, found: &Found) {
    let number = |name: &str| number(&found.metrics[name]);
    let text =
        format!("blocks  {} spans read  {} found", readable::count(number("inspectedSpans")), found.traces.len());
    progress.set(number("completedJobs"), number("totalJobs"), &text);
}

/// Prints a trace as it comes, in the forms that need no other row. Gives why it is not whole, if it is not.
async fn print_found(client: &Client, args: &SearchArgs, trace: &Value) -> anyhow::Result<Option<String>> {
    match args.read.form.output {
        Output::Jsonl => terminal::print_data(format!("{trace}\n"), true)?,
        Output::Otlp => {
            let id = text(trace, "traceID");
            match traces::by_id(client, id, &[]).await {
                Ok(fetched) => {
                    terminal::print_data(spanlake_interchange::write_otlp_json_lines(&fetched.resource_spans), true)?;
                    return Ok(fetched.partial.map(|why| format!("trace {id} could not be had whole: {why}")));
                }
                // It expired or was deleted since it was found.
                Err(failure) if failure.code == super::NOTHING => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        _ => {}
    }
    Ok(None)
}

fn report(found: &Found, shown: &[Shown]) -> Report {
    let row = |trace: &Value| Row {
        cells: shown.iter().map(|shown| shown.cell(trace)).collect(),
        json: trace.clone(),
        is_bad: total(trace, "errorCount") > 0,
    };
    Report {
        columns: shown.iter().map(Shown::column).collect(),
        rows: found.traces.iter().map(row).collect(),
        json: json!({ "traces": found.traces, "metrics": found.metrics, "partial": found.stopped }),
    }
}

/// The query with what the columns need selected.
fn selecting(query: &str, shown: &[Shown]) -> String {
    let names: BTreeSet<&str> = shown
        .iter()
        .filter_map(|shown| match shown {
            Shown::Attribute(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        return query.to_owned();
    }
    format!("{query} | select({})", names.into_iter().collect::<Vec<_>>().join(", "))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// A number, which may stand in a text.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

fn start(trace: &Value) -> u64 {
    number(&trace["startTimeUnixNano"])
}

fn total(trace: &Value, name: &str) -> u64 {
    trace["serviceStats"].as_object().into_iter().flatten().map(|(_, stats)| number(&stats[name])).sum()
}

/// The services of a trace, those with the most spans first.
fn services(trace: &Value) -> Vec<String> {
    let mut services: Vec<(&String, u64)> = trace["serviceStats"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, stats)| (name, number(&stats["spanCount"])))
        .collect();
    services.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    services.into_iter().map(|(name, _)| name.clone()).collect()
}

/// The different values of an attribute on the spans that match.
fn values(trace: &Value, name: &str) -> Vec<String> {
    let key = name.split_once(['.', ':']).map_or(name, |(_, key)| key);
    let mut found = BTreeSet::new();
    let sets = trace["spanSets"].as_array().into_iter().flatten();
    for span in sets.flat_map(|set| set["spans"].as_array().into_iter().flatten()) {
        for attribute in span["attributes"].as_array().into_iter().flatten() {
            if attribute["key"] == key || attribute["key"] == name {
                found.insert(readable::any_value(&attribute["value"]));
            }
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Value {
        json!({
            "traceID": "0af7", "rootServiceName": "shop", "rootTraceName": "GET /", "startTimeUnixNano": "1764115200000000000",
            "durationMs": 1840,
            "serviceStats": { "shop": { "spanCount": 2, "errorCount": 1 }, "pg": { "spanCount": 40 } },
            "spanSets": [{ "matched": 3, "spans": [
                { "attributes": [{ "key": "http.route", "value": { "stringValue": "/pay" } }] },
                { "attributes": [{ "key": "http.route", "value": { "stringValue": "/" } }] },
            ] }],
        })
    }

    #[test]
    fn traces_become_rows() {
        let check = |name: &str, expect: &str| {
            let shown = Shown::parse(name).expect("a column");
            assert_eq!(shown.cell(&found()), Cell::from(expect), "{name}");
        };
        check("trace", &format!("{:0>32}", "0af7"));
        check("root", "shop GET /");
        check("spans", "42");
        check("errors", "1");
        check("matched", "3");
        check("span.http.route", "/ /pay");
        assert_eq!(Shown::Services.cell(&found()), Cell::with_exact("pg shop", "pg shop"));
        assert_eq!(Shown::Duration.cell(&found()), Cell::with_exact("1.84 s", 1_840_000_000_u64));
        assert!(Shown::parse("colour").is_err_and(|failure| failure.code == 2));
    }

    #[test]
    fn columns_are_selected() {
        let shown = [Shown::Root, Shown::Attribute("span.b".into()), Shown::Attribute("span.a".into())];
        assert_eq!(selecting("{}", &shown), "{} | select(span.a, span.b)");
        assert_eq!(selecting("{}", &USUAL), "{}");
    }
}
