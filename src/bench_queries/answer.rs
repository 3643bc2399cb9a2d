//! What an answer of the API says, as lines of text that are the same whoever computed them. It knows JSON shapes.

use serde_json::Value as Json;

use super::questions::{Asked, Overview};

/// An answer, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answer {
    /// What it says; the order counts.
    pub lines: Vec<String>,
    /// What it cost, as far as it says so.
    pub inspected_bytes: u64,
    pub inspected_spans: u64,
}

/// Reads a whole body.
///
/// # Errors
/// What does not fit, as text for people.
pub(super) fn read(asked: &Asked, body: &[u8]) -> Result<Answer, String> {
    let json: Json = serde_json::from_slice(body).map_err(|error| format!("the answer is no JSON: {error}"))?;
    let lines = match asked {
        Asked::Search { .. } => list(&json["traces"]).iter().map(trace).collect::<Vec<_>>(),
        Asked::Metrics { .. } => sorted(list(&json["series"]).iter().map(series)),
        Asked::Names => names(&json),
        Asked::Values { .. } => sorted(list(&json["tagValues"]).iter().map(|value| text(&value["value"]))),
        Asked::Trace(_) => spans(&json["trace"]),
        Asked::Sql(_) => list(&json["rows"]).iter().map(row).collect(),
        Asked::Overview { of, .. } => overview(*of, &json),
    };
    if let Some(partial) = json["partial"].as_str() {
        return Err(format!("the answer is not whole: {partial}"));
    }
    if !json["error"].is_null() || json["status"] == "PARTIAL" {
        return Err(format!("the answer is not whole: {}{}", json["error"], json["message"]));
    }
    let metrics = &json["metrics"];
    let (inspected_bytes, inspected_spans) = (number(&metrics["inspectedBytes"]), number(&metrics["inspectedSpans"]));
    Ok(Answer { lines, inspected_bytes, inspected_spans })
}

/// How many spans the last line of a streamed search says were looked at.
pub(super) fn inspected_spans(body: &[u8]) -> u64 {
    let last = body.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap_or_default();
    serde_json::from_slice::<Json>(last).map_or(0, |json| number(&json["metrics"]["inspectedSpans"]))
}

fn overview(of: Overview, json: &Json) -> Vec<String> {
    match of {
        Overview::Services => {
            let service = |service: &Json| format!("{} {}", text(&service["name"]), number(&service["spans"]));
            sorted(list(&json["services"]).iter().map(service))
        }
        Overview::Heatmap => vec![number(&json["total"]).to_string()],
        Overview::Breakdown => vec![(number(&json["selected"]) + number(&json["baseline"])).to_string()],
        Overview::Map if list(&json["edges"]).is_empty() => Vec::new(),
        Overview::Map => vec!["edges".to_owned()],
    }
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

/// A number as protobuf JSON has it: as a text when it has 64 bits, and left out when it is zero.
fn number(json: &Json) -> u64 {
    json.as_u64().or_else(|| json.as_str()?.parse().ok()).unwrap_or(0)
}

fn text(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort_unstable();
    lines
}

fn trace(json: &Json) -> String {
    let mut line = format!(
        "{:0>32} {} {} ms {} {}",
        text(&json["traceID"]),
        number(&json["startTimeUnixNano"]),
        number(&json["durationMs"]),
        json["rootServiceName"].as_str().unwrap_or_default(),
        json["rootTraceName"].as_str().unwrap_or_default()
    );
    if let Some(services) = json["serviceStats"].as_object() {
        for (service, stats) in services {
            let (spans, errors) = (number(&stats["spanCount"]), number(&stats["errorCount"]));
            line.push_str(&format!(" | {service} {spans} {errors}"));
        }
    }
    for set in list(&json["spanSets"]) {
        line.push_str(&format!(" || {}", number(&set["matched"])));
        for attribute in list(&set["attributes"]) {
            line.push_str(&format!(" {}", label(attribute)));
        }
        for span in list(&set["spans"]) {
            let (start, duration) = (number(&span["startTimeUnixNano"]), number(&span["durationNanos"]));
            line.push_str(&format!(" {} {start} {duration}", text(&span["spanID"])));
        }
    }
    line
}

fn label(json: &Json) -> String {
    let value = json["value"].as_object().and_then(|value| value.values().next());
    format!("{}={}", json["key"].as_str().unwrap_or_default(), value.map(text).unwrap_or_default())
}

fn series(json: &Json) -> String {
    let mut line = list(&json["labels"]).iter().map(label).collect::<Vec<_>>().join(" ");
    for sample in list(&json["samples"]) {
        let at = sample["timestampMs"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        line.push_str(&self::sample(at, sample["value"].as_f64().unwrap_or(0.0)));
    }
    line
}

/// A sample, without the last digits: engines may add doubles in different orders.
pub(super) fn sample(timestamp_ms: i64, value: f64) -> String {
    format!(" {timestamp_ms}:{value:.6e}")
}

fn names(json: &Json) -> Vec<String> {
    let scopes = list(&json["scopes"]).iter().filter(|scope| scope["name"] != "intrinsic");
    let lines = scopes
        .flat_map(|scope| list(&scope["tags"]).iter().map(|tag| format!("{} {}", text(&scope["name"]), text(tag))));
    sorted(lines)
}

fn spans(json: &Json) -> Vec<String> {
    let resources = list(&json["resourceSpans"]).iter();
    let spans = resources.flat_map(|resource| list(&resource["scopeSpans"])).flat_map(|scope| list(&scope["spans"]));
    sorted(spans.map(|span| {
        span_line(number(&span["startTimeUnixNano"]), number(&span["endTimeUnixNano"]), &text(&span["name"]))
    }))
}

/// A span of a whole trace.
pub(super) fn span_line(start_unix_nanos: u64, end_unix_nanos: u64, name: &str) -> String {
    format!("{start_unix_nanos} {end_unix_nanos} {name}")
}

fn row(json: &Json) -> String {
    list(json).iter().map(text).collect::<Vec<_>>().join(" ")
}
