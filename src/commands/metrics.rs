//! `spanlake metrics`: a TraceQL metrics query over time, a row and a small picture for each series.

use clap::Args;
use serde_json::{Value, json};

use super::options::{Output, ReadArgs, TimeArgs};
use super::report::{Cell, Column, Report, Row, csv_line};
use super::sparkline::sparkline;
use super::terminal::{self, Progress};
use super::{Outcome, readable};
use crate::client::Ask;

/// Options of `metrics`.
#[derive(Debug, Args)]
pub struct MetricsArgs {
    /// TraceQL metrics, such as '{ status = error } | rate() by (resource.service.name)'.
    #[arg(value_name = "TRACEQL")]
    query: String,
    /// Time between two numbers, such as 30s; chosen to fit when nothing is said.
    #[arg(long, value_name = "TIME")]
    step: Option<String>,
    /// Most series.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    read: ReadArgs,
}

/// Columns that a picture of a series has.
const PICTURE_COLUMNS: usize = 40;

/// Numbers over time with their name.
struct Series {
    name: String,
    labels: Vec<(String, String)>,
    samples: Vec<(i64, f64)>,
    json: Value,
}

pub(super) async fn run(args: &MetricsArgs) -> anyhow::Result<Outcome> {
    args.read.form.without_otlp()?;
    let (start, end) = args.time.range()?;
    let step = match &args.step {
        Some(text) => readable::parse_duration("--step", text)?.max(1_000_000),
        None => fitting_step(end - start),
    };
    let client = args.read.target.connect()?;
    let ask = Ask::get("/api/metrics/query_range")
        .with("q", args.query.as_str())
        .with("step", format!("{}ms", step / 1_000_000))
        .with_all(super::options::parameters(start, end));
    let progress = Progress::begin("reading spans");
    let answer = client.json(&ask).await?;
    progress.end();
    let mut series: Vec<Series> = answer["series"].as_array().into_iter().flatten().map(read).collect();
    series.sort_by(|a, b| peak(b).total_cmp(&peak(a)).then_with(|| a.name.cmp(&b.name)));
    let is_cut = series.len() > args.limit as usize;
    series.truncate(args.limit as usize);
    let partial =
        (answer["status"] == "PARTIAL").then(|| answer["message"].as_str().unwrap_or("a bound was met").to_owned());
    if series.is_empty() {
        terminal::note("no span matches in this time (--since looks further back)");
        return Ok(if partial.is_some() { Outcome::Partial } else { Outcome::Nothing });
    }
    match args.read.form.output {
        Output::Csv => terminal::print_data(csv(&series), false)?,
        _ => report(&series, start, end, step).print(&args.read.form)?,
    }
    let query = crate::client::path_part(&args.query);
    args.read.form.link(&client, &format!("/explore?q={query}&{}", args.time.page_parameters()?));
    if is_cut {
        terminal::note(&format!("only the {} largest series are shown (--limit)", args.limit));
    }
    match partial {
        Some(why) => {
            terminal::note(&format!("this is only a part: {why}"));
            Ok(Outcome::Partial)
        }
        None if is_cut => Ok(Outcome::Partial),
        None => Ok(Outcome::Done),
    }
}

/// About 120 steps, of a length that people use.
fn fitting_step(nanos: u64) -> u64 {
    const STEPS: [u64; 13] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600];
    let wanted = nanos / 120 / 1_000_000_000;
    STEPS.into_iter().find(|step| *step >= wanted).unwrap_or(wanted.div_ceil(3_600) * 3_600) * 1_000_000_000
}

fn read(series: &Value) -> Series {
    let labels: Vec<(String, String)> = series["labels"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|label| (label["key"].as_str().unwrap_or_default().to_owned(), readable::any_value(&label["value"])))
        .collect();
    // A query without `by` names its one series after the function.
    let (name, labels) = match labels.as_slice() {
        [(key, value)] if key == "__name__" => (value.clone(), Vec::new()),
        _ => {
            let labels: Vec<(String, String)> = labels.into_iter().filter(|(key, _)| key != "__name__").collect();
            let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            (pairs.join(" "), labels)
        }
    };
    let samples = series["samples"].as_array().into_iter().flatten().map(|sample| {
        let time = &sample["timestampMs"];
        let time = time.as_i64().or_else(|| time.as_str()?.parse().ok()).unwrap_or(0);
        let value = &sample["value"];
        // Protobuf's JSON leaves out what is zero, and writes what is no number as a text.
        (time, value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0.0))
    });
    Series { name, labels, samples: samples.collect(), json: series.clone() }
}

fn peak(series: &Series) -> f64 {
    series.samples.iter().map(|(_, value)| *value).filter(|value| value.is_finite()).fold(0.0, f64::max)
}

/// The keys of all series if they are the same: then each has a column, and no row repeats them.
fn shared_keys(series: &[Series]) -> Vec<&str> {
    let keys = |series: &'_ Series| series.labels.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    match series {
        [first, others @ ..] if others.iter().all(|other| keys(other) == keys(first)) => {
            first.labels.iter().map(|(key, _)| key.as_str()).collect()
        }
        _ => Vec::new(),
    }
}

fn report(series: &[Series], start: u64, end: u64, step: u64) -> Report {
    let keys = shared_keys(series);
    let row = |series: &Series| {
        let finite: Vec<f64> =
            series.samples.iter().map(|(_, value)| *value).filter(|value| value.is_finite()).collect();
        let number = |value: Option<f64>| {
            value.map_or_else(|| "-".into(), |value| Cell::with_exact(readable::number(value), value))
        };
        let mean = (!finite.is_empty()).then(|| finite.iter().sum::<f64>() / finite.len() as f64);
        let mut cells: Vec<Cell> = match keys.is_empty() {
            true => vec![series.name.as_str().into()],
            false => series.labels.iter().map(|(_, value)| value.as_str().into()).collect(),
        };
        cells.extend([
            number(finite.iter().copied().reduce(f64::min)),
            number(mean),
            number(finite.iter().copied().reduce(f64::max)),
            number(finite.last().copied()),
            sparkline(&over_time(series, start, end, step), PICTURE_COLUMNS, terminal::has_unicode()).into(),
        ]);
        Row { cells, json: series.json.clone(), is_bad: false }
    };
    let mut columns: Vec<Column> = match keys.is_empty() {
        true => vec![Column::text("SERIES")],
        false => keys.iter().map(|key| Column::text(*key)).collect(),
    };
    columns.extend(["MIN", "MEAN", "MAX", "LAST"].map(Column::number));
    columns.push(Column::picture("OVER TIME"));
    Report {
        columns,
        rows: series.iter().map(row).collect(),
        json: json!({
            "startUnixNanos": start.to_string(),
            "endUnixNanos": end.to_string(),
            "stepNanos": step,
            "series": series.iter().map(|series| series.json.clone()).collect::<Value>(),
        }),
    }
}

/// The samples at their places in time, so that the pictures of all series have one axis.
fn over_time(series: &Series, start: u64, end: u64, step: u64) -> Vec<Option<f64>> {
    let count = usize::try_from((end - start) / step.max(1)).unwrap_or(usize::MAX).clamp(1, 20_000) + 1;
    let mut places = vec![None; count];
    for (time, value) in &series.samples {
        let nanos = u64::try_from(*time).unwrap_or(0).saturating_mul(1_000_000);
        let at = usize::try_from(nanos.saturating_sub(start) / step.max(1)).unwrap_or(usize::MAX);
        places[at.min(count - 1)] = Some(*value);
    }
    places
}

/// A line for each number.
fn csv(series: &[Series]) -> String {
    let mut out = "series,time,value\n".to_owned();
    for series in series {
        for (time, value) in &series.samples {
            csv_line(&mut out, [series.name.clone(), time.to_string(), value.to_string()].into_iter());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_read() {
        let series = read(&json!({
            "labels": [{ "key": "resource.service.name", "value": { "stringValue": "shop" } }],
            "samples": [{ "timestampMs": "1000", "value": 2.5 }, { "timestampMs": "2000" }, { "timestampMs": "3000", "value": "NaN" }],
        }));
        assert_eq!(series.name, "resource.service.name=shop");
        assert_eq!(&series.samples[..2], [(1000, 2.5), (2000, 0.0)]);
        assert!(series.samples[2].1.is_nan() && peak(&series) == 2.5);
        let places = over_time(&series, 1_000_000_000, 4_000_000_000, 1_000_000_000);
        assert_eq!((places.len(), places[0], places[1]), (4, Some(2.5), Some(0.0)));
        assert_eq!(csv(&[series]).lines().nth(1), Some("resource.service.name=shop,1000,2.5"));
        let unnamed = read(&json!({ "labels": [{ "key": "__name__", "value": { "stringValue": "rate" } }] }));
        assert_eq!(unnamed.name, "rate");
        let of =
            |key: &str, value: &str| read(&json!({ "labels": [{ "key": key, "value": { "stringValue": value } }] }));
        let table = |series: &[Series]| {
            report(series, 0, 10, 1).table(false, None, super::super::terminal::Paint { is_on: false })
        };
        let alike = table(&[of("service", "shop"), of("service", "pay")]);
        assert!(alike.starts_with("service ") && alike.contains("\nshop ") && alike.contains("\npay "), "{alike}");
        let mixed = table(&[of("service", "shop"), of("kind", "server")]);
        assert!(mixed.starts_with("SERIES ") && mixed.contains("\nkind=server "), "{mixed}");
    }

    #[test]
    fn steps_fit() {
        let check =
            |seconds: u64, expect: u64| assert_eq!(fitting_step(seconds * 1_000_000_000), expect * 1_000_000_000);
        check(10, 1);
        check(3_600, 30);
        check(86_400, 900);
        check(30 * 86_400, 21_600);
    }
}
