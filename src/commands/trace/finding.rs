//! Every finding of a trace with its evidence.

use serde_json::json;
use spanlake_analysis::{Diagnosis, Evidence, OtlpTrace, Quantity};

use super::document::finding_json;
use crate::commands::options::{FormArgs, Output};
use crate::commands::report::{Cell, Column, Report, Row};
use crate::commands::terminal::{self, Paint};
use crate::commands::{Outcome, readable};

/// Prints all findings, the weightiest first.
///
/// # Errors
/// If stdout cannot be written.
pub fn report(one: &OtlpTrace<'_>, diagnosis: &Diagnosis, form: &FormArgs) -> anyhow::Result<Outcome> {
    if form.output == Output::Table {
        terminal::print(text(one, diagnosis, form.paint()))?;
    } else {
        table(one, diagnosis).print(form)?;
    }
    if diagnosis.findings.is_empty() {
        terminal::note("nothing is found");
    }
    Ok(Outcome::of_count(diagnosis.findings.len()))
}

fn text(one: &OtlpTrace<'_>, diagnosis: &Diagnosis, paint: Paint) -> String {
    let mut out = String::new();
    for (at, finding) in diagnosis.findings.iter().enumerate() {
        let confidence = format!("{:?}", finding.confidence).to_lowercase();
        let stake = match finding.at_stake_nanos {
            0 => String::new(),
            nanos => format!(", {} at stake ({})", readable::duration(nanos), readable::share(finding.share_of_root)),
        };
        let title = paint.head(&format!("{}. {}", at + 1, finding.rule));
        out.push_str(&format!("{title}  {confidence} confidence{stake}\n   {}\n", harmless(&finding.text)));
        for evidence in &finding.evidence {
            out.push_str(&format!("   {:<24} {}\n", evidence.name, quantity(evidence)));
        }
        let ids: Vec<String> =
            finding.spans.iter().take(8).map(|span| one.trace.skeleton.span_id(*span).to_string()).collect();
        let more = finding.spans.len().saturating_sub(ids.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        if !ids.is_empty() {
            out.push_str(&paint.dim(&format!("   spans {}{more}", ids.join(" "))));
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

fn harmless(text: &str) -> String {
    text.chars().map(|c| if terminal::is_harmful(c) { ' ' } else { c }).collect()
}

fn quantity(evidence: &Evidence) -> String {
    match &evidence.quantity {
        Quantity::Count(count) => count.to_string(),
        Quantity::Nanos(nanos) if *nanos < 0 => format!("-{}", readable::duration(nanos.unsigned_abs())),
        Quantity::Nanos(nanos) => readable::duration(nanos.unsigned_abs()),
        Quantity::Ratio(ratio) => readable::number(*ratio),
        Quantity::Text(text) => harmless(text),
    }
}

fn table(one: &OtlpTrace<'_>, diagnosis: &Diagnosis) -> Report {
    let row = |finding: &spanlake_analysis::Finding| Row {
        cells: vec![
            finding.rule.id().into(),
            format!("{:?}", finding.confidence).to_lowercase().into(),
            Cell::with_exact(readable::duration(finding.at_stake_nanos), finding.at_stake_nanos),
            Cell::with_exact(readable::share(finding.share_of_root), finding.share_of_root),
            finding.text.as_str().into(),
        ],
        json: finding_json(one, finding),
        is_bad: false,
    };
    let rows: Vec<Row> = diagnosis.findings.iter().map(row).collect();
    Report {
        columns: vec![
            Column::text("RULE"),
            Column::text("CONFIDENCE"),
            Column::number("AT STAKE"),
            Column::number("OF ROOT"),
            Column::text("TEXT"),
        ],
        json: json!({ "findings": rows.iter().map(|row| row.json.clone()).collect::<Vec<_>>() }),
        rows,
    }
}
