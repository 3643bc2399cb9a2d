//! What a running server says of itself: whether it is ready, what it refused and why, what waits to be merged.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Check, machine};
use crate::client::{Ask, Client, TargetArgs};
use crate::commands::readable;
use crate::config::Config;

/// Level-0 blocks that may wait while the compactor keeps up.
const FEW_LEVEL0_BLOCKS: f64 = 1000.0;

/// What was found out about the server.
pub struct Server {
    /// Whether a Spanlake answers.
    pub is_up: bool,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// Asks the server that is named, else the one that the settings would start. Three requests.
pub async fn ask(target: &TargetArgs, url: Option<&str>, config: Option<&Config>) -> Server {
    let is_named = url.is_some();
    let configured = config.map(|config| format!("http://{}", config.server.http_listen));
    let url = url.map(str::to_owned).or(configured);
    let target = TargetArgs { url, storage: None, ..target.clone() };
    let client = match target.connect() {
        Ok(client) => client,
        Err(error) => {
            return Server { is_up: false, checks: vec![Check::fail("server", error.to_string(), "correct --url")] };
        }
    };
    let name = client.page().unwrap_or_default().to_owned();
    match client.text(&Ask::get("/api/status/buildinfo")).await {
        Ok(text) if text.contains("spanlakeVersion") => Server { is_up: true, checks: running(&client, &name).await },
        Ok(_) => {
            let fix = "correct --url: the query port is 3200 by default";
            Server { is_up: false, checks: vec![Check::fail("server", format!("{name} is not a Spanlake"), fix)] }
        }
        Err(error) if is_named => Server {
            is_up: false,
            checks: vec![Check::fail("server", error.to_string(), "start it, or correct --url")],
        },
        Err(_) => {
            let text = format!("none answers at {name}: nothing is known of refused spans (--url names another)");
            Server { is_up: false, checks: vec![Check::skipped("server", text)] }
        }
    }
}

async fn running(client: &Client, name: &str) -> Vec<Check> {
    let mut checks = Vec::new();
    match client.ask(&Ask::get("/ready")).await {
        Ok(answer) => {
            checks.push(Check::ok("server", format!("{name} is ready")));
            // Its seconds are whole.
            let slack = Duration::from_secs(1);
            let clock = |date| machine::difference("clock of server", "the server's", date, slack);
            checks.extend(answer.date().map(clock));
        }
        Err(error) => {
            let fix = "the reason is what to mend; docs/runbook.md has more";
            checks.push(Check::fail("server", format!("{name}: {error}"), fix));
        }
    }
    match client.text(&Ask::get("/metrics")).await {
        Ok(text) => {
            let samples = Samples::parse(&text);
            checks.push(refused(&samples));
            checks.extend(failed(&samples));
            checks.extend(backlog(&samples));
        }
        Err(error) => checks.push(Check::warn("metrics", error.to_string(), "let this machine read /metrics")),
    }
    checks
}

/// Samples by name and labels, as Prometheus reads them.
struct Samples(Vec<(String, String, f64)>);

impl Samples {
    fn parse(text: &str) -> Self {
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            Some((name.to_owned(), labels.trim_end_matches('}').to_owned(), value.parse().ok()?))
        };
        Self(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    fn sum(&self, name: &str) -> Option<f64> {
        self.0.iter().filter(|(found, ..)| found == name).map(|(.., value)| *value).reduce(|a, b| a + b)
    }

    /// The sums by the value of one label.
    fn by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for (_, labels, value) in self.0.iter().filter(|(found, ..)| found == name) {
            let marked = format!("{label}=\"");
            let found = labels.split(&marked).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            *sums.entry(found.to_owned()).or_insert(0.0) += value;
        }
        sums
    }
}

fn count(value: f64) -> String {
    readable::count(value.max(0.0) as u64)
}

/// Spans that were refused one by one, by reason.
fn refused(samples: &Samples) -> Check {
    let reasons = samples.by("spanlake_ingest_spans_rejected_total", "reason");
    let total: f64 = reasons.values().sum();
    let acknowledged = samples.sum("spanlake_ingest_spans_acked_total").unwrap_or(0.0);
    if total == 0.0 {
        return Check::ok("refused spans", format!("none; {} were acknowledged since it started", count(acknowledged)));
    }
    let mut sorted: Vec<(&String, &f64)> = reasons.iter().filter(|(_, count)| **count > 0.0).collect();
    sorted.sort_by(|a, b| b.1.total_cmp(a.1));
    let text: Vec<String> = sorted.iter().map(|(reason, number)| format!("{} {reason}", count(**number))).collect();
    let fix = sorted.first().map_or("", |(reason, _)| match reason.as_str() {
        "invalid_trace_id" | "invalid_span_id" => {
            "the sender writes ids that are empty or of the wrong length: correct its exporter"
        }
        "too_deep" => "the sender nests attribute values too deep: flatten them",
        "invalid_utf8" => "the sender cuts texts inside a character: correct or update its SDK",
        "span_too_large" => "raise ingester.span_limits, or send less in one span",
        "too_many_spans" => "send fewer spans in a request: set send_batch_max_size in the Collector",
        _ => "docs/runbook.md says what each reason means",
    });
    Check::warn("refused spans", format!("{} of {}", text.join(", "), count(total + acknowledged)), fix)
}

/// Requests that were refused whole.
fn failed(samples: &Samples) -> Option<Check> {
    let outcomes = samples.by("spanlake_ingest_requests_total", "status");
    let bad: Vec<String> = outcomes
        .iter()
        .filter(|(outcome, number)| !matches!(outcome.as_str(), "ok" | "partial" | "accepted") && **number > 0.0)
        .map(|(outcome, number)| format!("{} {outcome}", count(*number)))
        .collect();
    let fix = "docs/runbook.md has what each outcome means; senders repeat those that were throttled or unavailable";
    (!bad.is_empty()).then(|| Check::warn("refused requests", bad.join(", "), fix))
}

fn backlog(samples: &Samples) -> Option<Check> {
    let blocks = samples.sum("spanlake_compactor_l0_blocks")?;
    let age = samples.sum("spanlake_compactor_oldest_l0_age_seconds").unwrap_or(0.0);
    let age_text = readable::duration((age.max(0.0) * 1e9) as u64);
    let text = match blocks {
        blocks if blocks > 0.0 => format!("{} blocks wait, the oldest for {age_text}", count(blocks)),
        _ => "nothing waits to be merged".to_owned(),
    };
    let fix = "give the compactor more processors or more time (compactor.*), or run another; see SpanlakeCompactionLags in docs/runbook.md";
    let failed = samples.sum("spanlake_compactor_failed_merges_total").unwrap_or(0.0);
    if failed > 0.0 {
        return Some(Check::warn("compaction", format!("{text}; {} merges failed", count(failed)), "its log says why"));
    }
    Some(if blocks > FEW_LEVEL0_BLOCKS { Check::warn("compaction", text, fix) } else { Check::ok("compaction", text) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Verdict;

    #[test]
    fn metrics_are_read() {
        let samples = Samples::parse(
            "# TYPE x counter\nspanlake_ingest_spans_rejected_total{reason=\"invalid_utf8\"} 7\n\
             spanlake_ingest_spans_rejected_total{reason=\"too_deep\"} 2\nspanlake_ingest_spans_acked_total 91\n\
             spanlake_ingest_requests_total{transport=\"grpc\",status=\"throttled\"} 3\nspanlake_compactor_l0_blocks 5\n# EOF\n",
        );
        let check = refused(&samples);
        assert_eq!((check.verdict, check.text.as_str()), (Verdict::Warn, "7 invalid_utf8, 2 too_deep of 100"));
        assert!(check.fix.contains("SDK"), "{check:?}");
        assert!(failed(&samples).is_some_and(|check| check.text == "3 throttled"));
        assert!(backlog(&samples).is_some_and(|check| check.verdict == Verdict::Ok));
        assert_eq!(refused(&Samples::parse("")).verdict, Verdict::Ok);
    }
}
