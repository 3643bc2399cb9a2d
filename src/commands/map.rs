//! `spanlake map`: who calls whom, a row for each pair.

use clap::Args;
use serde_json::Value;

use super::options::{ReadArgs, TimeArgs};
use super::report::{Cell, Column, Report, Row};
use super::services::{BAD_SHARE, error_share, nanos, number, partial};
use super::{Outcome, readable, terminal};
use crate::client::Ask;

/// Options of `map`.
#[derive(Debug, Args)]
pub struct MapArgs {
    /// Only what lies around this service.
    #[arg(long)]
    service: Option<String>,
    /// How far around it, in calls.
    #[arg(long, default_value_t = 1, requires = "service")]
    hops: u32,
    /// Most pairs.
    #[arg(long, default_value_t = 200)]
    limit: usize,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: &MapArgs) -> anyhow::Result<Outcome> {
    args.read.form.without_otlp()?;
    let client = args.read.target.connect()?;
    let hops = args.service.as_ref().map(|_| args.hops.to_string());
    let ask = Ask::get("/api/v1/map").with_some("service", args.service.as_deref()).with_some("hops", hops);
    let answer = client.json(&ask.with_all(args.time.parameters()?)).await?;
    let mut report = report(&answer);
    let is_cut = report.rows.len() > args.limit;
    report.rows.truncate(args.limit);
    report.print(&args.read.form)?;
    if report.rows.is_empty() {
        terminal::note("no service called another in this time (--since looks further back)");
    }
    if let Some(traces) = answer["sampledTraces"].as_u64() {
        terminal::hint(&format!("counted over {} traces", readable::count(traces)));
    }
    args.read.form.link(&client, &format!("/map?{}", args.time.page_parameters()?));
    if is_cut {
        terminal::note(&format!("only the {} busiest pairs are shown (--limit)", args.limit));
    }
    Ok(partial(&answer).unwrap_or(Outcome::of_count(report.rows.len())))
}

fn report(answer: &Value) -> Report {
    let row = |edge: &Value| {
        let share = error_share(edge);
        let text = |name: &str| edge[name].as_str().unwrap_or_default().to_owned();
        let kind = text("connection");
        let cells = vec![
            text("client").into(),
            text("server").into(),
            Cell::with_exact(if kind.is_empty() { "call".to_owned() } else { kind.replace('_', " ") }, kind),
            number(&edge["calls"]),
            Cell::with_exact(if share > 0.0 { readable::share(share) } else { "-".to_owned() }, share),
            nanos(&edge["p50Nanos"]),
            nanos(&edge["p99Nanos"]),
        ];
        Row { cells, json: edge.clone(), is_bad: share >= BAD_SHARE }
    };
    let mut rows: Vec<Row> = answer["edges"].as_array().into_iter().flatten().map(row).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.json["calls"].as_u64()));
    Report {
        columns: vec![
            Column::text("CLIENT"),
            Column::text("SERVER"),
            Column::text("CONNECTION"),
            Column::number("CALLS"),
            Column::number("ERR"),
            Column::number("P50"),
            Column::number("P99"),
        ],
        rows,
        json: answer.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_pair_is_first() {
        let report = report(&serde_json::json!({ "nodes": [], "edges": [
            { "client": "a", "server": "b", "connection": "", "calls": 1, "errors": 0 },
            { "client": "a", "server": "pg", "connection": "database", "calls": 9, "errors": 0, "p50Nanos": 5 },
        ] }));
        assert_eq!(report.rows[0].cells[1], "pg".into());
        assert_eq!(report.rows[1].cells[2], Cell::with_exact("call", ""));
    }
}
