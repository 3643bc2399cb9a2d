//! `spanlake explore`: what the spans of a selection have in common that other spans have not.

use clap::Args;
use serde_json::{Value, json};

use super::options::{Output, ReadArgs, TimeArgs};
use super::readable::parse_duration;
use super::report::{Cell, Column, Report, Row, plain};
use super::services::{nanos, partial};
use super::terminal::{self, Progress};
use super::{Outcome, readable};
use crate::client::{Ask, Failure, path_part};

/// Options of `explore`.
#[derive(Debug, Args)]
pub struct ExploreArgs {
    /// TraceQL of the spans to look at, such as '{ resource.service.name = "checkout" }'.
    #[arg(value_name = "TRACEQL", default_value = "{}")]
    query: String,
    /// Select those that took at least this long.
    #[arg(long, value_name = "TIME")]
    longer_than: Option<String>,
    /// Select those that took at most this long.
    #[arg(long, value_name = "TIME")]
    shorter_than: Option<String>,
    /// Select those that failed.
    #[arg(long)]
    errors: bool,
    /// Compare with: rest (the others of the same query), before (the same length of time just before), day (the same time a
    /// day earlier), or TraceQL of other spans.
    #[arg(long, default_value = "rest", value_name = "BASELINE")]
    baseline: String,
    /// Most differences.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: &ExploreArgs) -> anyhow::Result<Outcome> {
    args.read.form.without_otlp()?;
    let body = body(args)?;
    let client = args.read.target.connect()?;
    let ask = Ask::post("/api/v1/explore/breakdown", "application/json", body.to_string());
    let progress = Progress::begin("comparing spans");
    let answer = client.json(&ask).await?;
    progress.end();
    let count = |name: &str| answer[name].as_u64().unwrap_or(0);
    if count("selected") == 0 {
        terminal::note("no span is selected (--since looks further back)");
        return Ok(Outcome::Nothing);
    }
    let report = report(&answer);
    report.print(&args.read.form)?;
    if matches!(args.read.form.output, Output::Table | Output::Wide) {
        print_rest(&answer, args)?;
    }
    let query = path_part(&args.query);
    args.read.form.link(&client, &format!("/explore?q={query}&{}", args.time.page_parameters()?));
    Ok(partial(&answer).unwrap_or(Outcome::Done))
}

fn body(args: &ExploreArgs) -> Result<Value, Failure> {
    let (start, end) = args.time.range()?;
    let limit = |flag: &str, text: &Option<String>| text.as_deref().map(|text| parse_duration(flag, text)).transpose();
    let least = limit("--longer-than", &args.longer_than)?.unwrap_or(0);
    let most = limit("--shorter-than", &args.shorter_than)?;
    let is_whole = least == 0 && most.is_none() && !args.errors;
    let mut selection = json!({
        "startUnixNanos": start.to_string(),
        "endUnixNanos": end.to_string(),
        "minNanos": least,
        // What JavaScript's numbers hold, which is a hundred days.
        "maxNanos": most.unwrap_or((1 << 53) - 1),
    });
    if args.errors {
        selection["errors"] = json!(true);
    }
    let baseline = match args.baseline.as_str() {
        "rest" if is_whole => {
            return Err(Failure::usage(
                "everything is selected, and nothing is left to compare with: select with --longer-than, --shorter-than or \
                 --errors, or name a --baseline: before, day, or TraceQL",
            ));
        }
        word @ ("rest" | "before" | "day") => json!(word),
        query if query.contains('{') => json!({ "q": query }),
        other => {
            return Err(Failure::usage(format!(
                "--baseline: {other:?} is neither rest, before, day nor a TraceQL query"
            )));
        }
    };
    Ok(json!({
        "q": args.query, "start": start.to_string(), "end": end.to_string(),
        "selection": selection, "baseline": baseline, "limit": args.limit,
    }))
}

fn report(answer: &Value) -> Report {
    let row = |difference: &Value| {
        let text = |name: &str| difference[name].as_str().unwrap_or_default();
        let scope = text("scope");
        let key = if scope.is_empty() || scope == "intrinsic" {
            text("key").to_owned()
        } else {
            format!("{scope}.{}", text("key"))
        };
        let value = value_text(&difference["value"]);
        let share = |name: &str| {
            let share = difference[name].as_f64().unwrap_or(0.0);
            Cell::with_exact(readable::share(share), share)
        };
        let score = difference["score"].as_f64().unwrap_or(0.0);
        let together = difference["together"].as_array().into_iter().flatten();
        let together: Vec<String> = together
            .map(|with| format!("{}={}", readable::plain_value(&with["key"]), value_text(&with["value"])))
            .collect();
        let cells = vec![
            key.into(),
            value.into(),
            share("selectedShare"),
            share("baselineShare"),
            Cell::with_exact(format!("{score:.2}"), score),
            together.join(" ").into(),
        ];
        Row { cells, json: difference.clone(), is_bad: false }
    };
    Report {
        columns: vec![
            Column::text("ATTRIBUTE"),
            Column::text("VALUE"),
            Column::number("SELECTED"),
            Column::number("OTHERS"),
            Column::number("SCORE"),
            Column::text("TOGETHER WITH"),
        ],
        rows: answer["differences"].as_array().into_iter().flatten().map(row).collect(),
        json: answer.clone(),
    }
}

/// A value; that a span has none counts as one.
fn value_text(value: &Value) -> String {
    if value.is_null() { "(absent)".to_owned() } else { readable::plain_value(value) }
}

/// What the table of differences has no room for: how many, what numbers differ, and which spans to look at.
fn print_rest(answer: &Value, args: &ExploreArgs) -> anyhow::Result<()> {
    let paint = args.read.form.paint();
    let count = |name: &str| readable::count(answer[name].as_u64().unwrap_or(0));
    let mut out = String::new();
    if answer["differences"].as_array().is_none_or(Vec::is_empty) {
        out.push_str("nothing sets the selection apart\n");
    }
    out.push_str(&format!("\n{} spans selected, {} others\n", count("selected"), count("baseline")));
    for number in answer["numbers"].as_array().into_iter().flatten() {
        let p50 = |side: &str| readable::number(number[side]["p50"].as_f64().unwrap_or(0.0));
        let key = plain(&readable::plain_value(&number["key"]));
        out.push_str(&format!("{key}: median {} selected, {} others\n", p50("selected"), p50("baseline")));
    }
    terminal::print(out)?;
    let row = |span: &Value| {
        let text = |name: &str| span[name].as_str().unwrap_or_default();
        let operation = format!("{} {}", text("service"), text("name"));
        let cells =
            vec![text("traceId").into(), text("spanId").into(), nanos(&span["durationNanos"]), operation.into()];
        Row { cells, json: span.clone(), is_bad: false }
    };
    let rows: Vec<Row> = answer["representative"].as_array().into_iter().flatten().map(row).collect();
    if !rows.is_empty() {
        terminal::print(format!("\n{}\n", paint.dim("spans to look at (`spanlake trace <id>`)")))?;
        let columns =
            vec![Column::id("TRACE"), Column::id("SPAN"), Column::number("DURATION"), Column::text("OPERATION")];
        Report { columns, rows, json: Value::Null }.print(&args.read.form)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ExploreArgs,
    }

    fn of(line: &[&str]) -> Result<Value, Failure> {
        body(&Line::parse_from(std::iter::once(&"explore").chain(line)).args)
    }

    #[test]
    fn selections() {
        let found = of(&["{ .a = 1 }", "--longer-than", "1s", "--errors"]).expect("a selection");
        assert_eq!((&found["selection"]["minNanos"], &found["baseline"]), (&json!(1_000_000_000), &json!("rest")));
        assert_eq!(of(&["{}", "--baseline", "{ .b = 1 }"]).expect("a body")["baseline"], json!({ "q": "{ .b = 1 }" }));
        for wrong in [&["{}"][..], &["{}", "--baseline", "yesterday"], &["{}", "--longer-than", "soon"]] {
            assert!(of(wrong).is_err_and(|failure| failure.code == 2), "{wrong:?}");
        }
    }

    #[test]
    fn differences_become_rows() {
        let report = report(&json!({ "differences": [{
            "scope": "resource", "key": "service.version", "value": "2.3.1", "selectedShare": 0.7, "baselineShare": 0.05,
            "score": 0.61, "together": [{ "key": "region", "value": "eu" }],
        }, { "scope": "span", "key": "x", "value": null }] }));
        assert_eq!(report.rows[0].cells[0], "resource.service.version".into());
        assert_eq!(report.rows[0].cells[5], "region=eu".into());
        assert_eq!(report.rows[1].cells[1], "(absent)".into());
    }
}
