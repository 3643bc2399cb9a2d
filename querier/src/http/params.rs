//! Reads and checks what a request asks, with the refusals Tempo's clients know.
//!
//! Text becomes a request to the engine, or a time hint. Requests over gRPC, which come typed, pass the same checks. Nothing
//! here does work or knows of blocks.

mod explore;
mod metrics;
mod search;
mod tags;

use spanlake_model::TimeRange;
use spanlake_traceql::Query;
use spanlake_traceql::limits::MAX_TEXT_BYTES;

use super::clock::{self, Point};

pub(crate) use explore::BreakdownAsked;
pub(crate) use search::{Search, SearchAsked, traceql_search};
pub(crate) use tags::{MAX_TAG_BYTES, Names, NamesAsked, Values, identifiers, tag_name_in_path};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The query parameters of a request, in the order written.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// The first value of a parameter; one without a value counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
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

    fn since(&self) -> Result<Option<u64>, String> {
        let read = |text| {
            clock::prometheus_duration_nanos(text)
                .ok_or_else(|| format!("invalid since: {text:?} is not a duration: write it as 15m, 1h or 7d"))
        };
        self.get("since").map(read).transpose()
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<Option<T>, String> {
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

    /// The time a search or a list of tags is about. With neither `start`, `end` nor `since` it is all time.
    pub(crate) fn range(&self, now_unix_nanos: u64) -> Result<Option<TimeRange>, String> {
        let (start, end) = match (self.point("start")?, self.point("end")?, self.since()?) {
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
}

/// The time between two Unix seconds, as requests over gRPC have them; all time when both are zero.
pub(crate) fn seconds_range(start: u32, end: u32) -> Result<Option<TimeRange>, String> {
    if start == 0 && end == 0 {
        return Ok(None);
    }
    let point = |seconds| Some(Point { unix_nanos: u64::from(seconds) * NANOS_PER_SECOND, whole_seconds: true });
    check_order(point(start), point(end))?;
    Ok(Some(range(point(start), point(end))))
}

/// Reads a whole query.
pub(crate) fn query(text: &str) -> Result<Query, String> {
    spanlake_traceql::parse(text).map_err(|e| format!("invalid TraceQL query: {e}"))
}

pub(crate) fn check_query_bytes(text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(format!("invalid TraceQL query: it has {} bytes, at most {MAX_TEXT_BYTES} are read", text.len()));
    }
    Ok(())
}

fn exact(unix_nanos: u64) -> Point {
    Point { unix_nanos, whole_seconds: false }
}

fn check_order(start: Option<Point>, end: Option<Point>) -> Result<(), String> {
    match (start, end) {
        (Some(start), Some(end)) if end.unix_nanos <= start.unix_nanos => Err(format!(
            "http parameter start must be before end. received start={} end={}",
            start.unix_nanos / NANOS_PER_SECOND,
            end.unix_nanos / NANOS_PER_SECOND
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
