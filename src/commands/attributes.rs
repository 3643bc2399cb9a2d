//! `spanlake attributes`: which attributes there are, and which values one of them has.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::options::{ReadArgs, TimeArgs};
use super::report::{Column, Report, Row};
use super::{Outcome, readable, terminal};
use crate::client::{Ask, path_part};

/// Options of `attributes`.
#[derive(Debug, Args)]
pub struct AttributesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The names of attributes, by scope.
    Names(NamesArgs),
    /// The values of an attribute or intrinsic, such as span.http.route or resource.service.name.
    Values(ValuesArgs),
}

#[derive(Debug, Args)]
struct NamesArgs {
    /// Only this scope: span, resource, event, link, instrumentation or intrinsic.
    #[arg(long)]
    scope: Option<String>,
    #[command(flatten)]
    which: WhichArgs,
}

#[derive(Debug, Args)]
struct ValuesArgs {
    /// The attribute with its scope.
    name: String,
    #[command(flatten)]
    which: WhichArgs,
}

#[derive(Debug, Args)]
struct WhichArgs {
    /// Only of spans that this TraceQL query selects.
    #[arg(short, long, value_name = "TRACEQL")]
    query: Option<String>,
    /// Most names of a scope, or values.
    #[arg(long, default_value_t = 500)]
    limit: u32,
    #[command(flatten)]
    time: TimeArgs,
    #[command(flatten)]
    read: ReadArgs,
}

pub(super) async fn run(args: &AttributesArgs) -> anyhow::Result<Outcome> {
    let (ask, which) = match &args.command {
        Command::Names(args) => {
            let ask = Ask::get("/api/v2/search/tags").with_some("scope", args.scope.as_deref());
            (ask.with("limit", args.which.limit.to_string()), &args.which)
        }
        Command::Values(args) => {
            let ask = Ask::get(format!("/api/v2/search/tag/{}/values", path_part(&args.name)));
            (ask.with("limit", args.which.limit.to_string()), &args.which)
        }
    };
    which.read.form.without_otlp()?;
    let ask = ask.with_some("q", which.query.as_deref()).with_all(which.time.parameters()?);
    let client = which.read.target.connect()?;
    let answer = client.json(&ask).await?;
    let report = match &args.command {
        Command::Names(_) => names(&answer),
        Command::Values(_) => values(&answer),
    };
    report.print(&which.read.form)?;
    if report.rows.is_empty() {
        terminal::note("there is none in this time (--since looks further back)");
    }
    Ok(Outcome::of_count(report.rows.len()))
}

fn names(answer: &Value) -> Report {
    let scopes = answer["scopes"].as_array().into_iter().flatten();
    let mut found: Vec<(String, String)> = scopes
        .flat_map(|scope| {
            let of = scope["name"].as_str().unwrap_or_default().to_owned();
            let tags = scope["tags"].as_array().into_iter().flatten();
            tags.filter_map(move |tag| Some((of.clone(), tag.as_str()?.to_owned())))
        })
        .collect();
    found.sort();
    let row = |(scope, name): &(String, String)| Row {
        cells: vec![scope.as_str().into(), name.as_str().into()],
        json: json!({ "scope": scope, "name": name }),
        is_bad: false,
    };
    Report {
        columns: vec![Column::text("SCOPE"), Column::text("NAME")],
        rows: found.iter().map(row).collect(),
        json: json!({ "scopes": answer["scopes"] }),
    }
}

fn values(answer: &Value) -> Report {
    let row = |value: &Value| {
        let text = readable::plain_value(&value["value"]);
        let kind = value["type"].as_str().unwrap_or_default();
        Row { cells: vec![text.into(), kind.into()], json: value.clone(), is_bad: false }
    };
    let mut rows: Vec<Row> = answer["tagValues"].as_array().into_iter().flatten().map(row).collect();
    rows.sort_by(|a, b| a.json["value"].as_str().cmp(&b.json["value"].as_str()));
    Report {
        columns: vec![Column::text("VALUE"), Column::text("TYPE")],
        rows,
        json: json!({ "values": answer["tagValues"] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values() {
        let names = names(&json!({ "scopes": [
            { "name": "span", "tags": ["b", "a"] }, { "name": "resource", "tags": ["service.name"] }, { "name": "event" },
        ] }));
        let found: Vec<&Value> = names.rows.iter().map(|row| &row.json["name"]).collect();
        assert_eq!(found, ["service.name", "a", "b"]);
        let values =
            values(&json!({ "tagValues": [{ "type": "string", "value": "b" }, { "type": "int", "value": "7" }] }));
        assert_eq!(values.rows[0].cells, ["7".into(), "int".into()]);
    }
}
