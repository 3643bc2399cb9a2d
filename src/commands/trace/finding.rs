//! Every finding of a trace with its evidence: those of a server's diagnosis, which knows what is usual, or those made here.

use serde_json::{Value, json};
use spanlake_analysis::{Diagnosis, OtlpTrace};

use super::document::finding_json;
use crate::commands::options::{FormArgs, Output};
use crate::commands::report::{Cell, Column, Report, Row};
use crate::commands::terminal::{self, Paint};
use crate::commands::{Outcome, readable};

/// A finding as it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    rule: String,
    confidence: String,
    at_stake_nanos: u64,
    share_of_root: f64,
    text: String,
    evidence: Vec<Value>,
    /// The spans concerned, in hexadecimal.
    pub span_ids: Vec<String>,
    doc: String,
}

impl Told {
    /// The findings of a diagnosis that was made here.
    pub fn of_diagnosis(one: &OtlpTrace<'_>, diagnosis: &Diagnosis) -> Vec<Self> {
        diagnosis.findings.iter().map(|finding| Self::read(&finding_json(one, finding))).collect()
    }

    /// The findings of the answer of `/api/v1/traces/{id}/diagnosis`.
    pub fn of_answer(answer: &Value) -> Vec<Self> {
        answer["findings"].as_array().into_iter().flatten().map(Self::read).collect()
    }

    /// Reads one; what is not there is empty.
    fn read(finding: &Value) -> Self {
        let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let ids = finding["spanIds"].as_array().into_iter().flatten();
        Self {
            rule: text("rule"),
            confidence: text("confidence"),
            at_stake_nanos: finding["atStakeNanos"].as_u64().unwrap_or(0),
            share_of_root: finding["shareOfRoot"].as_f64().unwrap_or(0.0),
            text: text("text"),
            evidence: finding["evidence"].as_array().cloned().unwrap_or_default(),
            span_ids: ids.filter_map(|id| id.as_str().map(str::to_owned)).collect(),
            doc: text("doc"),
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        json!({
            "rule": self.rule,
            "confidence": self.confidence,
            "atStakeNanos": self.at_stake_nanos,
            "shareOfRoot": self.share_of_root,
            "text": self.text,
            "evidence": self.evidence,
            "spanIds": self.span_ids,
            "doc": self.doc,
        })
    }
}

/// Prints findings, which come the weightiest first.
///
/// # Errors
/// If stdout cannot be written.
pub fn report(findings: &[Told], form: &FormArgs) -> anyhow::Result<Outcome> {
    if form.output == Output::Table {
        terminal::print(text(findings, form.paint()))?;
    } else {
        table(findings).print(form)?;
    }
    if findings.is_empty() {
        terminal::note("nothing is found");
    }
    Ok(Outcome::of_count(findings.len()))
}

fn text(findings: &[Told], paint: Paint) -> String {
    let mut out = String::new();
    for (at, finding) in findings.iter().enumerate() {
        let stake = match finding.at_stake_nanos {
            0 => String::new(),
            nanos => format!(", {} at stake ({})", readable::duration(nanos), readable::share(finding.share_of_root)),
        };
        let title = paint.head(&format!("{}. {}", at + 1, harmless(&finding.rule)));
        let (confidence, sentence) = (harmless(&finding.confidence), harmless(&finding.text));
        out.push_str(&format!("{title}  {confidence} confidence{stake}\n   {sentence}\n"));
        for evidence in &finding.evidence {
            let name = harmless(evidence["name"].as_str().unwrap_or_default());
            out.push_str(&format!("   {name:<24} {}\n", quantity(evidence)));
        }
        let ids: Vec<String> = finding.span_ids.iter().take(8).map(|id| harmless(id)).collect();
        let more = finding.span_ids.len().saturating_sub(ids.len());
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

fn quantity(evidence: &Value) -> String {
    let value = &evidence["value"];
    match (evidence["unit"].as_str().unwrap_or_default(), value.as_i64(), value.as_f64(), value.as_str()) {
        ("nanos", Some(nanos), ..) if nanos < 0 => format!("-{}", readable::duration(nanos.unsigned_abs())),
        ("nanos", Some(nanos), ..) => readable::duration(nanos.unsigned_abs()),
        ("ratio", _, Some(ratio), _) => readable::number(ratio),
        (.., Some(text)) => harmless(text),
        _ => value.to_string(),
    }
}

fn table(findings: &[Told]) -> Report {
    let row = |finding: &Told| Row {
        cells: vec![
            finding.rule.as_str().into(),
            finding.confidence.as_str().into(),
            Cell::with_exact(readable::duration(finding.at_stake_nanos), finding.at_stake_nanos),
            Cell::with_exact(readable::share(finding.share_of_root), finding.share_of_root),
            finding.text.as_str().into(),
        ],
        json: finding.json(),
        is_bad: false,
    };
    let rows: Vec<Row> = findings.iter().map(row).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_as_it_is() {
        let finding = json!({
            "rule": "retry-storm", "title": "x", "spans": [1], "spanIds": ["00f067aa0ba902b7"], "atStakeNanos": 1_500_000,
            "shareOfRoot": 0.25, "confidence": "high", "text": "Three calls\u{1b}.", "doc": "docs/findings/retry-storm.md",
            "evidence": [
                { "name": "attempts", "unit": "count", "value": 40 },
                { "name": "offset", "unit": "nanos", "value": -2_000_000 },
                { "name": "amplification", "unit": "ratio", "value": 2.5 },
                { "name": "target", "unit": "text", "value": "bank" },
            ],
        });
        let told = Told::of_answer(&json!({ "findings": [finding] }));
        let text = text(&told, FormArgs::default().paint());
        for part in ["1. retry-storm  high confidence, 1.5 ms at stake (25 %)", "Three calls .", "-2 ms", "2.5", "bank"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(told[0].json()["evidence"][0]["value"], 40);
        assert_eq!(Told::of_answer(&json!({})), []);
    }
}
