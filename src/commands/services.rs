//! `spanlake services`: every service with its rate, failures and durations.

use clap::Args;
use serde_json::{Value, json};

use super::options::{ReadArgs, TimeArgs};
use super::report::{Cell, Column, Report, Row};
use super::sparkline::sparkline;
use super::{Outcome, readable, terminal};
use crate::client::Ask;

/// Options of `services`.
#[derive(Debug, Args)]
pub struct ServicesArgs {
    /// Only of spans that this TraceQL query selects.
    #[arg(short, long, value_name = "TRACEQL")]
    query: Option<String>,
    /// Most services.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    read: ReadArgs,
}

/// Columns that a picture of a series has.
const PICTURE_COLUMNS: usize = 24;

pub(super) async fn run(args: &ServicesArgs) -> anyhow::Result<Outcome> {
    args.read.form.without_otlp()?;
    let client = args.read.target.connect()?;
    let ask = Ask::get("/api/v1/services").with_some("q", args.query.as_deref()).with_all(args.time.parameters()?);
    let answer = client.json(&ask).await?;
    let mut report = report(&answer);
    let is_cut = report.rows.len() > args.limit;
    report.rows.truncate(args.limit);
    if report.rows.is_empty() {
        terminal::note("no service sent spans in this time (--since looks further back)");
    }
    report.print(&args.read.form)?;
    args.read.form.link(&client, &format!("/services?{}", args.time.page_parameters()?));
    if is_cut {
        terminal::note(&format!("only the {} busiest services are shown (--limit)", args.limit));
    }
    Ok(partial(&answer).unwrap_or(Outcome::of_count(report.rows.len())))
}

fn report(answer: &Value) -> Report {
    let row = |service: &Value| {
        let text = |name: &str| service[name].as_str().unwrap_or_default().to_owned();
        let mut cells: Vec<Cell> = vec![text("name").into()];
        cells.extend(red_cells(service));
        cells.push(picture(&service["series"]["requests"]).into());
        cells.extend([number(&service["spans"]), text("namespace").into()]);
        Row { cells, json: service.clone(), is_bad: error_share(service) >= BAD_SHARE }
    };
    let mut columns = vec![Column::text("SERVICE")];
    columns.extend(red_columns());
    columns.extend([
        Column::picture("REQUESTS OVER TIME"),
        Column::number("SPANS").wide(),
        Column::text("NAMESPACE").wide(),
    ]);
    Report {
        columns,
        rows: answer["services"].as_array().into_iter().flatten().map(row).collect(),
        json: answer.clone(),
    }
}

/// From this share of failures on a row is painted.
pub(super) const BAD_SHARE: f64 = 0.05;

/// The columns that every table of rates, failures and durations has.
pub(super) fn red_columns() -> [Column; 6] {
    ["REQUESTS", "RATE", "ERR", "P50", "P90", "P99"].map(Column::number)
}

/// The cells of [`red_columns`].
pub(super) fn red_cells(of: &Value) -> [Cell; 6] {
    let rate = of["rate"].as_f64().unwrap_or(0.0);
    let share = error_share(of);
    [
        number(&of["requests"]),
        Cell::with_exact(per_time(rate), rate),
        Cell::with_exact(if share > 0.0 { readable::share(share) } else { "-".to_owned() }, share),
        nanos(&of["p50Nanos"]),
        nanos(&of["p90Nanos"]),
        nanos(&of["p99Nanos"]),
    ]
}

/// A rate in the unit in which it is a number that people read.
fn per_time(per_second: f64) -> String {
    match per_second {
        0.0 => "-".to_owned(),
        rate if rate >= 0.1 => format!("{}/s", readable::number(rate)),
        rate if rate * 60.0 >= 0.1 => format!("{}/min", readable::number(rate * 60.0)),
        rate => format!("{}/h", readable::number(rate * 3600.0)),
    }
}

/// A count as a cell.
pub(super) fn number(value: &Value) -> Cell {
    let number = value.as_u64().unwrap_or(0);
    Cell::with_exact(readable::count(number), number)
}

/// A duration as a cell; a dash where there is none.
pub(super) fn nanos(value: &Value) -> Cell {
    match value.as_f64() {
        Some(nanos) if nanos >= 0.0 => Cell::with_exact(readable::duration(nanos as u64), nanos as u64),
        _ => Cell::with_exact("-", ""),
    }
}

/// The share of failures, also where only counts are told.
pub(super) fn error_share(of: &Value) -> f64 {
    let counted = || {
        let all = of["requests"].as_f64().or_else(|| of["calls"].as_f64()).unwrap_or(0.0);
        if all > 0.0 { of["errors"].as_f64().unwrap_or(0.0) / all } else { 0.0 }
    };
    of["errorShare"].as_f64().unwrap_or_else(counted)
}

fn picture(series: &Value) -> String {
    let values: Vec<Option<f64>> = series.as_array().into_iter().flatten().map(Value::as_f64).collect();
    sparkline(&values, PICTURE_COLUMNS, terminal::has_unicode())
}

/// Says why an answer is only a part, if it is.
pub(super) fn partial(answer: &Value) -> Option<Outcome> {
    let why = answer["partial"].as_str()?;
    terminal::note(&format!("this is only a part: {why}"));
    Some(Outcome::Partial)
}

/// An object as a row of JSON with more members.
pub(super) fn with_members(value: &Value, members: &[(&str, &str)]) -> Value {
    let mut value = if value.is_object() { value.clone() } else { json!({}) };
    members.iter().for_each(|(name, member)| value[*name] = json!(member));
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_become_rows() {
        let answer = json!({ "services": [
            { "name": "shop", "requests": 12_000, "errors": 1200, "rate": 3.333_3, "errorShare": 0.1, "p50Nanos": 1_500_000,
              "p99Nanos": null, "series": { "requests": [1, 2, null] } },
        ] });
        let report = report(&answer);
        let row = &report.rows[0];
        assert!(row.is_bad);
        assert_eq!(row.cells[1], Cell::with_exact("12.0k", 12_000));
        assert_eq!(row.cells[2], Cell::with_exact("3.33/s", 3.333_3));
        assert_eq!(row.cells[4], Cell::with_exact("1.5 ms", 1_500_000));
        assert_eq!(row.cells[6], Cell::with_exact("-", ""));
        assert_eq!(report.columns.len(), row.cells.len());
    }
}
