//! What a question about many spans says: its window of time, its query, how fine the answer is.

use serde::Deserialize;
use spanlake_analysis::Kind;
use spanlake_model::TimeRange;
use spanlake_traceql::Query;

use super::{NANOS_PER_SECOND, Params, check_query_bytes, query};
use crate::engine::explore::{Beside, BreakdownRequest, MAX_COLUMNS, MAX_DIFFERENCES, Selection, Window, every_span};

/// Time that is asked about when a request does not say.
const DEFAULT_SINCE_NANOS: u64 = 3_600 * NANOS_PER_SECOND;
/// Columns of a window when a request does not say.
const DEFAULT_COLUMNS: usize = 60;
/// How long before its end a baseline begins when a request does not say.
const BASELINE_NANOS: u64 = 7_200 * NANOS_PER_SECOND;
/// Differences that are answered when a request does not say.
const DEFAULT_DIFFERENCES: usize = 100;

impl Params {
    /// The window from `start` up to `end` in `x` columns; the last hour without.
    pub(crate) fn window(&self, now_unix_nanos: u64) -> Result<Window, String> {
        let end_unix_nanos = self.point("end")?.map_or(now_unix_nanos, |end| end.unix_nanos);
        let since = self.since()?.unwrap_or(DEFAULT_SINCE_NANOS);
        let start = self.point("start")?.map(|start| start.unix_nanos);
        let start_unix_nanos = start.unwrap_or(end_unix_nanos.saturating_sub(since));
        if end_unix_nanos <= start_unix_nanos {
            return Err(format!(
                "http parameter start must be before end. received start={} end={}",
                start_unix_nanos / NANOS_PER_SECOND,
                end_unix_nanos / NANOS_PER_SECOND
            ));
        }
        let column_count = self.count("x", DEFAULT_COLUMNS, MAX_COLUMNS)?;
        Ok(Window { start_unix_nanos, end_unix_nanos, column_count })
    }

    /// A number from 1 to `max`.
    pub(crate) fn count(&self, name: &'static str, default: usize, max: usize) -> Result<usize, String> {
        let count = self.number(name)?.unwrap_or(default);
        if (1..=max).contains(&count) {
            Ok(count)
        } else {
            Err(format!("invalid {name}: {count} is not from 1 to {max}"))
        }
    }

    /// A span kind, such as `server`.
    pub(crate) fn kind(&self, name: &'static str) -> Result<Kind, String> {
        let text =
            self.get(name).ok_or_else(|| format!("parameter {name} is needed: the spans' kind, such as server"))?;
        let kinds = [Kind::Unspecified, Kind::Internal, Kind::Server, Kind::Client, Kind::Producer, Kind::Consumer];
        let words = ["unspecified", "internal", "server", "client", "producer", "consumer"];
        let found = kinds.into_iter().zip(words).find(|(_, word)| *word == text);
        found.map(|(kind, _)| kind).ok_or_else(|| format!("invalid {name}: {text:?} is none of {}", words.join(", ")))
    }

    /// The time that a baseline is of: from `start` to `end`, the two hours before `end` without.
    pub(crate) fn baseline_range(&self, now_unix_nanos: u64) -> Result<TimeRange, String> {
        let end_unix_nanos = self.point("end")?.map_or(now_unix_nanos, |end| end.unix_nanos);
        let since = self.since()?.unwrap_or(BASELINE_NANOS);
        let start = self.point("start")?.map(|start| start.unix_nanos);
        let start_unix_nanos = start.unwrap_or(end_unix_nanos.saturating_sub(since));
        if end_unix_nanos <= start_unix_nanos {
            return Err("http parameter start must be before end".to_owned());
        }
        Ok(TimeRange { start_unix_nanos, end_unix_nanos: end_unix_nanos - 1 })
    }

    /// The query in `q`, which is needed; of a metrics query the part that chooses spans.
    pub(crate) fn asked_query(&self) -> Result<Query, String> {
        let text = self.get("q").ok_or("parameter q with a TraceQL query is needed")?;
        check_query_bytes(text)?;
        Ok(Query { metrics: None, ..query(text)? })
    }

    /// The search in `q`; every span without.
    pub(crate) fn selected(&self) -> Result<Query, String> {
        self.get("q").map_or_else(|| Ok(every_span()), search)
    }
}

/// What a comparison says, as JSON.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BreakdownAsked {
    /// A TraceQL search; every span without.
    q: Option<String>,
    /// The window, in any form a time has; the last hour without.
    start: Option<Time>,
    end: Option<Time>,
    /// Which of the spans.
    selection: SelectionAsked,
    /// `rest`, `before`, `day`, or an object with a query of its own; the rest without.
    baseline: Option<BaselineAsked>,
    /// Most differences.
    limit: Option<usize>,
}

/// Which spans are selected; all that is left out is without bound.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct SelectionAsked {
    start_unix_nanos: Option<Time>,
    end_unix_nanos: Option<Time>,
    min_nanos: Option<Time>,
    max_nanos: Option<Time>,
    errors: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum BaselineAsked {
    Named(String),
    Query { q: String },
}

/// A number, or a text that says one: JavaScript cannot hold nanoseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Time {
    Number(serde_json::Number),
    Text(String),
}

impl Time {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    fn nanos(&self, name: &str) -> Result<u64, String> {
        let text = self.text();
        text.parse().map_err(|_| format!("invalid {name}: {text:?} is not a number of nanoseconds"))
    }
}

impl BreakdownAsked {
    /// Reads it from JSON.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|e| format!("the body is not the JSON that is expected: {e}"))
    }

    /// What it asks.
    pub(crate) fn request(&self, now_unix_nanos: u64) -> Result<BreakdownRequest, String> {
        let times = [("start", &self.start), ("end", &self.end)];
        let times = times.iter().filter_map(|(name, time)| Some(((*name).to_owned(), time.as_ref()?.text())));
        let window = Params::new(times.collect()).window(now_unix_nanos)?;
        let nanos = |name: &str, time: &Option<Time>, or: u64| time.as_ref().map_or(Ok(or), |time| time.nanos(name));
        let of = &self.selection;
        let selection = Selection {
            start_unix_nanos: nanos("selection.startUnixNanos", &of.start_unix_nanos, window.start_unix_nanos)?,
            end_unix_nanos: nanos("selection.endUnixNanos", &of.end_unix_nanos, window.end_unix_nanos)?,
            least_nanos: nanos("selection.minNanos", &of.min_nanos, 0)?,
            greatest_nanos: nanos("selection.maxNanos", &of.max_nanos, u64::MAX)?,
            errors: of.errors,
        };
        if selection.end_unix_nanos <= selection.start_unix_nanos || selection.greatest_nanos < selection.least_nanos {
            return Err("invalid selection: it ends before it begins".to_owned());
        }
        let baseline = match &self.baseline {
            None => Beside::Rest,
            Some(BaselineAsked::Query { q }) => Beside::Query(search(q)?),
            Some(BaselineAsked::Named(name)) => match name.as_str() {
                "rest" => Beside::Rest,
                "before" => Beside::Before,
                "day" => Beside::Day,
                other => {
                    return Err(format!(
                        "invalid baseline: {other:?} is none of \"rest\", \"before\", \"day\" and {{\"q\": \"...\"}}"
                    ));
                }
            },
        };
        let limit = self.limit.unwrap_or(DEFAULT_DIFFERENCES);
        if !(1..=MAX_DIFFERENCES).contains(&limit) {
            return Err(format!("invalid limit: {limit} is not from 1 to {MAX_DIFFERENCES}"));
        }
        let query = self.q.as_deref().filter(|q| !q.is_empty()).map_or_else(|| Ok(every_span()), search)?;
        Ok(BreakdownRequest { query, window, selection, baseline, limit })
    }
}

/// Reads a search.
pub(crate) fn search(text: &str) -> Result<Query, String> {
    check_query_bytes(text)?;
    let query = query(text)?;
    match query.metrics {
        None => Ok(query),
        Some(_) => Err("invalid TraceQL query: it is a metrics query: leave the function behind | out".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn windows() {
        let now = 10_000 * NANOS_PER_SECOND;
        let check = |pairs: &[(&str, &str)], start: u64, end: u64, columns: usize| {
            let window = params(pairs).window(now).expect("it is right");
            let found = (window.start_unix_nanos / NANOS_PER_SECOND, window.end_unix_nanos / NANOS_PER_SECOND);
            assert_eq!((found, window.column_count), ((start, end), columns), "{pairs:?}");
        };
        check(&[], 6_400, 10_000, 60);
        check(&[("start", "5000"), ("end", "6000"), ("x", "7")], 5_000, 6_000, 7);
        check(&[("start", "5000")], 5_000, 10_000, 60);
        check(&[("since", "10s")], 9_990, 10_000, 60);
        for wrong in [("x", "0"), ("x", "501"), ("start", "20000"), ("end", "then"), ("x", "many")] {
            assert!(params(&[wrong]).window(now).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn breakdowns() {
        let request = |text: &str| BreakdownAsked::read(text.as_bytes())?.request(10_000 * NANOS_PER_SECOND);
        let whole = request(r#"{"selection":{}}"#).expect("it is right");
        assert_eq!((whole.limit, whole.selection.least_nanos, whole.selection.errors), (100, 0, None));
        assert_eq!(whole.selection.start_unix_nanos, whole.window.start_unix_nanos);
        let text = r#"{"q":"{}","start":5000,"end":"6000","baseline":{"q":"{status=error}"},"limit":5,
            "selection":{"startUnixNanos":"5100000000000","endUnixNanos":5200000000000,"minNanos":7,"errors":true}}"#;
        let asked = request(text).expect("it is right");
        assert_eq!((asked.selection.start_unix_nanos, asked.selection.least_nanos), (5_100 * NANOS_PER_SECOND, 7));
        assert!(matches!(asked.baseline, Beside::Query(_)) && asked.window.end_unix_nanos == 6_000 * NANOS_PER_SECOND);
        for wrong in [
            "",
            "{}",
            r#"{"selection":{"minNanos":5,"maxNanos":4}}"#,
            r#"{"selection":{"minNanos":"long"}}"#,
            r#"{"selection":{},"baseline":"week"}"#,
            r#"{"selection":{},"q":"{"}"#,
            r#"{"selection":{},"limit":0}"#,
            r#"{"selection":{},"unknown":0}"#,
        ] {
            assert!(request(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn searches() {
        assert!(params(&[]).selected().is_ok_and(|query| query == every_span()));
        for wrong in ["{", "{} | rate()", "x"] {
            assert!(params(&[("q", wrong)]).selected().is_err(), "{wrong}");
        }
    }
}
