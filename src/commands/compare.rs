//! `spanlake compare`: what one trace does that another does not, or that a cohort of others does not.

use clap::Args;
use serde_json::Value;

use super::options::{Output, ReadArgs, TimeArgs};
use super::report::{Cell, Column, Report, Row, plain};
use super::services::partial;
use super::terminal::{self, Progress};
use super::traces::parse_id;
use super::{Outcome, readable};
use crate::client::Ask;

/// Options of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The trace.
    a: String,
    /// The other trace.
    #[arg(required_unless_present = "cohort", conflicts_with = "cohort")]
    b: Option<String>,
    /// TraceQL of the traces to compare with instead.
    #[arg(long, value_name = "TRACEQL")]
    cohort: Option<String>,
    /// Most traces of the cohort.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Show what is alike too.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: &CompareArgs) -> anyhow::Result<Outcome> {
    args.read.form.without_otlp()?;
    let mut ask = Ask::get("/api/v1/traces/compare").with("a", parse_id(&args.a)?.to_string());
    if let Some(b) = &args.b {
        ask = ask.with("b", parse_id(b)?.to_string()).with_all(args.time.hint()?);
    }
    if let Some(cohort) = &args.cohort {
        ask =
            ask.with("cohort", cohort.as_str()).with("limit", args.limit.to_string()).with_all(args.time.parameters()?);
    }
    let client = args.read.target.connect()?;
    let progress = Progress::begin("comparing traces");
    let answer = client.json(&ask).await?;
    progress.end();
    let report = report(&answer, args.all);
    if matches!(args.read.form.output, Output::Table | Output::Wide) {
        terminal::print(heads(&answer))?;
        if report.rows.is_empty() {
            terminal::print("nothing differs (--all shows what is alike)\n")?;
        }
    }
    report.print(&args.read.form)?;
    let other = args.b.as_deref().map_or_else(String::new, |b| format!("&b={b}"));
    args.read.form.link(&client, &format!("/compare?a={}{other}", args.a));
    if answer["truncated"] == true {
        terminal::note("there are more lines than are told");
        return Ok(Outcome::Partial);
    }
    Ok(partial(&answer).unwrap_or(Outcome::Done))
}

/// A line for each side: which trace, how long, how many spans.
fn heads(answer: &Value) -> String {
    let head = |name: &str, side: &Value| {
        let text = |name: &str| plain(side[name].as_str().unwrap_or_default());
        let duration = side["durationNanos"].as_u64().map_or_else(String::new, readable::duration);
        let spans = side["spanCount"].as_u64().unwrap_or(0);
        format!(
            "{name}  {}  {duration}  {spans} spans  {} {}\n",
            text("traceId"),
            text("rootService"),
            text("rootName")
        )
    };
    let mut out = head("a", &answer["a"]);
    match answer["cohort"]["traces"].as_u64() {
        Some(traces) => {
            let query = plain(answer["cohort"]["query"].as_str().unwrap_or_default());
            out.push_str(&format!("b  {traces} traces of {query} (medians)\n"));
        }
        None => out.push_str(&head("b", &answer["b"])),
    }
    out.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>() + "\n"
}

fn report(answer: &Value, is_all: bool) -> Report {
    let lines = answer["lines"].as_array().into_iter().flatten();
    let row = |line: &Value| {
        let text = |name: &str| line[name].as_str().unwrap_or_default();
        let depth = usize::try_from(line["depth"].as_u64().unwrap_or(0)).unwrap_or(0).min(MAX_INDENT);
        let operation = format!("{}{} {}", "  ".repeat(depth), text("service"), text("name"));
        let delta = |name: &str| {
            let nanos = line[name].as_i64().unwrap_or(0);
            Cell::with_exact(signed(nanos), nanos)
        };
        let cells = vec![
            operation.into(),
            text("change").into(),
            middle(&line["a"], "count", false),
            middle(&line["b"], "count", false),
            middle(&line["a"], "totalNanos", true),
            middle(&line["b"], "totalNanos", true),
            delta("deltaNanos"),
            delta("pathDeltaNanos"),
        ];
        Row { cells, json: line.clone(), is_bad: line["unusual"] == true }
    };
    Report {
        columns: vec![
            Column::text("OPERATION"),
            Column::text("CHANGE"),
            Column::number("A"),
            Column::number("B"),
            Column::number("TIME A"),
            Column::number("TIME B"),
            Column::number("B - A"),
            Column::number("ON PATH"),
        ],
        rows: lines.filter(|line| is_all || differs(line)).map(row).collect(),
        json: answer.clone(),
    }
}

/// Levels that are set in; deeper ones stand below each other.
const MAX_INDENT: usize = 12;

/// A difference that is worth a line: below both it is how long things take, one time and another.
const LEAST_NANOS: u64 = 1_000_000;
const LEAST_SHARE: f64 = 0.1;

/// Whether a line tells of a difference. Against a cohort the server says what is unusual.
fn differs(line: &Value) -> bool {
    if line["change"] != "same" {
        return true;
    }
    if let Some(is_unusual) = line["unusual"].as_bool() {
        return is_unusual;
    }
    let number = |side: &str, name: &str| line[side][name].as_f64().unwrap_or(0.0);
    let counts = ["count", "errors"].iter().any(|name| number("a", name) != number("b", name));
    let delta = line["deltaNanos"].as_i64().unwrap_or(0).unsigned_abs();
    let most = number("a", "totalNanos").max(number("b", "totalNanos"));
    counts || (delta >= LEAST_NANOS && delta as f64 >= most * LEAST_SHARE)
}

/// A number of a side, or the median of a band of them; a dash where the side has no such spans.
fn middle(side: &Value, name: &str, is_nanos: bool) -> Cell {
    let number = |name: &str| side[name].as_f64().or_else(|| side[name]["p50"].as_f64());
    match number(name).filter(|_| number("count") != Some(0.0)) {
        Some(number) if is_nanos => Cell::with_exact(readable::duration(number.max(0.0) as u64), number),
        Some(number) => Cell::with_exact(readable::number(number), number),
        None => Cell::with_exact("-", ""),
    }
}

fn signed(nanos: i64) -> String {
    match nanos {
        0 => "0".to_owned(),
        nanos => format!("{}{}", if nanos < 0 { "-" } else { "+" }, readable::duration(nanos.unsigned_abs())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_become_rows() {
        let answer = json!({
            "a": { "traceId": "aa", "durationNanos": 2_000_000, "spanCount": 3 }, "cohort": { "traces": 9, "query": "{}" },
            "lines": [
                { "depth": 0, "service": "shop", "name": "GET /", "change": "same", "a": { "count": 1 }, "b": { "count": 1 } },
                { "depth": 1, "service": "pg", "name": "SELECT", "change": "same", "a": { "count": 37, "totalNanos": 409_000_000 },
                  "b": { "count": { "p10": 1, "p50": 2 }, "totalNanos": { "p50": 5_000_000 } }, "deltaNanos": 404_000_000 },
            ],
        });
        let rows = report(&answer, false).rows;
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].cells[0], "  pg SELECT".into());
        assert_eq!(rows[0].cells[3], Cell::with_exact("2", 2.0));
        assert_eq!(rows[0].cells[6], Cell::with_exact("+404 ms", 404_000_000));
        assert_eq!(report(&answer, true).rows.len(), 2);
        assert!(heads(&answer).contains("9 traces of {}"), "{}", heads(&answer));
        let hostile = json!({ "a": { "rootName": "x\u{1b}[2J\u{9b}" }, "b": {} });
        assert!(!heads(&hostile).contains(['\u{1b}', '\u{9b}']), "{:?}", heads(&hostile));
    }
}
