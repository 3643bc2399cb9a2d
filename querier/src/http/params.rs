//! Reads and checks the query parameters of the API, with the refusals Tempo's clients know.
//!
//! It turns text into a [`SearchRequest`] or a time hint. It does no work and knows nothing of blocks.

use spanlake_model::TimeRange;

use super::clock::{self, Point};
use super::logfmt;
use crate::search::{SearchRequest, Tag};

/// Traces a search answers when it does not say.
const DEFAULT_LIMIT: usize = 20;
/// Most traces a search may ask for.
const MAX_LIMIT: usize = 262_144;
/// Most spans per span set a search may ask for.
const MAX_SPANS_PER_SPAN_SET: u32 = 100;
/// The parameters a search knows; with none of `q`, `tags`, `start` and `end`, any other one is a tag.
const KNOWN: [&str; 10] =
    ["q", "tags", "minDuration", "maxDuration", "limit", "start", "end", "since", "spss", "skip_ast_transformations"];

/// The query parameters of a request, in the order written.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// The first value of a parameter; one without a value counts as absent.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn point(&self, name: &'static str) -> Result<Option<Point>, String> {
        let read = |text| {
            clock::point(text).ok_or_else(|| {
                format!("invalid {name}: {text:?} is not a time: use Unix seconds, Unix nanoseconds or RFC 3339")
            })
        };
        self.get(name).map(read).transpose()
    }

    fn go_duration(&self, name: &'static str) -> Result<Option<u64>, String> {
        let read = |text| {
            clock::go_duration_nanos(text)
                .ok_or_else(|| format!("invalid {name}: {text:?} is not a duration: write it as 100ms, 1.5s or 1m30s"))
        };
        Ok(self.get(name).map(read).transpose()?.filter(|nanos| *nanos > 0))
    }

    fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, String> {
        let read = |text: &str| text.parse().map_err(|_| format!("invalid {name}: {text:?} is not a number"));
        self.get(name).map(read).transpose()
    }

    /// The `start` and `end` of a trace by id: a hint which blocks to look into; each alone leaves the other end open.
    pub(crate) fn hint(&self) -> Result<Option<TimeRange>, String> {
        match (self.point("start")?, self.point("end")?) {
            (None, None) => Ok(None),
            (Some(start), Some(end)) if start.unix_nanos == 0 && end.unix_nanos == 0 => Ok(None),
            (start, end) => {
                check_order(start, end)?;
                Ok(Some(range(start, end)))
            }
        }
    }

    /// The time a search is about. With neither `start`, `end` nor `since` it is all time.
    fn search_range(&self, now_unix_nanos: u64) -> Result<Option<TimeRange>, String> {
        let since = |text: &str| {
            clock::prometheus_duration_nanos(text)
                .ok_or_else(|| format!("invalid since: {text:?} is not a duration: write it as 15m, 1h or 7d"))
        };
        let since = self.get("since").map(since).transpose()?;
        let (start, end) = match (self.point("start")?, self.point("end")?, since) {
            (None, None, None) => return Ok(None),
            (Some(start), Some(end), _) if start.unix_nanos == 0 && end.unix_nanos == 0 => return Ok(None),
            (Some(start), Some(end), _) => (start, end),
            (None, Some(end), Some(since)) => (exact(end.unix_nanos.saturating_sub(since)), end),
            (Some(start), None, Some(_)) => (start, exact(now_unix_nanos)),
            (None, None, Some(since)) => (exact(now_unix_nanos.saturating_sub(since)), exact(now_unix_nanos)),
            _ => return Err("only one of start and end provided: give both, or neither".to_owned()),
        };
        check_order(Some(start), Some(end))?;
        Ok(Some(range(Some(start), Some(end))))
    }

    fn tags(&self) -> Result<Vec<Tag>, String> {
        let pairs = match self.get("tags") {
            Some(text) => logfmt::parse(text).map_err(|e| format!("invalid tags: {e}"))?,
            None if ["start", "end"].iter().any(|name| self.get(name).is_some()) => Vec::new(),
            // The way old Grafana asks: every parameter the API does not know is a tag.
            None => self
                .0
                .iter()
                .filter(|(key, value)| !KNOWN.contains(&key.as_str()) && !value.is_empty())
                .cloned()
                .collect(),
        };
        let mut tags = Vec::<Tag>::with_capacity(pairs.len());
        for (key, value) in pairs {
            if tags.iter().any(|tag| tag.key() == key) {
                return Err(format!("invalid tags: tag {key} has been set twice"));
            }
            tags.push(Tag::new(key, value).map_err(|e| format!("invalid tags: {e}"))?);
        }
        Ok(tags)
    }

    /// The whole of a search.
    pub(crate) fn search(&self, now_unix_nanos: u64) -> Result<SearchRequest, String> {
        if self.get("q").is_some() {
            return Err(if self.get("tags").is_some() {
                "invalid request: can't specify tags and q in the same query".to_owned()
            } else {
                "TraceQL (parameter q) is not available in this version: search with tags, minDuration and maxDuration"
                    .to_owned()
            });
        }
        let limit = match self.number::<u64>("limit")? {
            None => DEFAULT_LIMIT,
            Some(0) => return Err("invalid limit: must be a positive number".to_owned()),
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| *limit <= MAX_LIMIT)
                .ok_or_else(|| format!("invalid limit: {limit} exceeds the maximum of {MAX_LIMIT}"))?,
        };
        if let Some(spss) = self.number::<u32>("spss")?.filter(|spss| *spss > MAX_SPANS_PER_SPAN_SET) {
            return Err(format!("invalid spss: {spss} exceeds the maximum of {MAX_SPANS_PER_SPAN_SET}"));
        }
        let min_duration_nanos = self.go_duration("minDuration")?;
        let max_duration_nanos = self.go_duration("maxDuration")?;
        if let (Some(min), Some(max)) = (min_duration_nanos, max_duration_nanos)
            && max < min
        {
            return Err("invalid maxDuration: must be greater than minDuration".to_owned());
        }
        let range = self.search_range(now_unix_nanos)?;
        Ok(SearchRequest { tags: self.tags()?, min_duration_nanos, max_duration_nanos, range, limit })
    }
}

fn exact(unix_nanos: u64) -> Point {
    Point { unix_nanos, whole_seconds: false }
}

fn check_order(start: Option<Point>, end: Option<Point>) -> Result<(), String> {
    match (start, end) {
        (Some(start), Some(end)) if end.unix_nanos <= start.unix_nanos => Err(format!(
            "http parameter start must be before end. received start={} end={}",
            start.unix_nanos / 1_000_000_000,
            end.unix_nanos / 1_000_000_000
        )),
        _ => Ok(()),
    }
}

fn range(start: Option<Point>, end: Option<Point>) -> TimeRange {
    TimeRange {
        start_unix_nanos: start.map_or(0, |start| start.unix_nanos),
        end_unix_nanos: end.map_or(u64::MAX, Point::last_unix_nanos),
    }
}

#[cfg(test)]
#[path = "params/tests.rs"]
mod tests;
