//! `spanlake operations`: what one service does, whom it calls, and who calls it.

use clap::Args;
use serde_json::Value;

use super::options::{Output, ReadArgs, TimeArgs};
use super::report::{Cell, Column, Report, Row, plain};
use super::services::{BAD_SHARE, error_share, nanos, number, partial, red_cells, red_columns, with_members};
use super::{Outcome, readable, terminal};
use crate::client::{Ask, path_part};

/// Options of `operations`.
#[derive(Debug, Args)]
pub struct OperationsArgs {
    /// The service; `spanlake services` names them all.
    service: String,
    /// Most operations.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: &OperationsArgs) -> anyhow::Result<Outcome> {
    args.read.form.without_otlp()?;
    let client = args.read.target.connect()?;
    let ask = Ask::get("/api/v1/operations").with("service", args.service.as_str()).with_all(args.time.parameters()?);
    let answer = client.json(&ask).await?;
    let mut operations = operations(&answer);
    let is_cut = operations.rows.len() > args.limit;
    operations.rows.truncate(args.limit);
    let count = operations.rows.len();
    operations.print(&args.read.form)?;
    if matches!(args.read.form.output, Output::Table | Output::Wide) {
        for (title, member) in [("calls", "dependencies"), ("is called by", "callers")] {
            let report = neighbours(&answer[member], member);
            if !report.rows.is_empty() {
                terminal::print(format!(
                    "\n{}\n",
                    args.read.form.paint().dim(&format!("{} {title}", plain(&args.service)))
                ))?;
                report.print(&args.read.form)?;
            }
        }
    }
    if count == 0 {
        let service = &args.service;
        terminal::note(&format!("{service} served nothing in this time (`spanlake services` lists those that did)"));
    }
    let service = path_part(&args.service);
    args.read.form.link(&client, &format!("/services/{service}?{}", args.time.page_parameters()?));
    if is_cut {
        terminal::note(&format!("only the {} busiest operations are shown (--limit)", args.limit));
    }
    Ok(partial(&answer).unwrap_or(Outcome::of_count(count)))
}

fn operations(answer: &Value) -> Report {
    let row = |operation: &Value| {
        let text = |name: &str| operation[name].as_str().unwrap_or_default().to_owned();
        let mut cells: Vec<Cell> = vec![text("name").into(), text("kind").into()];
        cells.extend(red_cells(operation));
        Row { cells, json: operation.clone(), is_bad: error_share(operation) >= BAD_SHARE }
    };
    let mut columns = vec![Column::text("OPERATION"), Column::text("KIND")];
    columns.extend(red_columns());
    Report {
        columns,
        rows: answer["operations"].as_array().into_iter().flatten().map(row).collect(),
        json: answer.clone(),
    }
}

fn neighbours(list: &Value, relation: &str) -> Report {
    let row = |neighbour: &Value| {
        let share = error_share(neighbour);
        let text = |name: &str| neighbour[name].as_str().unwrap_or_default().to_owned();
        let time = neighbour["shareOfTime"].as_f64();
        let cells = vec![
            text("service").into(),
            text("connection").into(),
            number(&neighbour["calls"]),
            Cell::with_exact(if share > 0.0 { readable::share(share) } else { "-".to_owned() }, share),
            nanos(&neighbour["p50Nanos"]),
            nanos(&neighbour["p99Nanos"]),
            time.map_or_else(|| Cell::with_exact("-", ""), |share| Cell::with_exact(readable::share(share), share)),
        ];
        Row { cells, json: with_members(neighbour, &[("relation", relation)]), is_bad: share >= BAD_SHARE }
    };
    Report {
        columns: vec![
            Column::text("SERVICE"),
            Column::text("CONNECTION"),
            Column::number("CALLS"),
            Column::number("ERR"),
            Column::number("P50"),
            Column::number("P99"),
            Column::number("OF TIME"),
        ],
        rows: list.as_array().into_iter().flatten().map(row).collect(),
        json: list.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_rows() {
        let list = serde_json::json!([{ "service": "pg", "connection": "database", "calls": 40, "errors": 4, "shareOfTime": 0.5 }]);
        let report = neighbours(&list, "dependencies");
        let row = &report.rows[0];
        assert!(row.is_bad && row.cells[3] == Cell::with_exact("10 %", 0.1), "{row:?}");
        assert_eq!(row.json["relation"], "dependencies");
        assert_eq!(report.columns.len(), row.cells.len());
    }
}
