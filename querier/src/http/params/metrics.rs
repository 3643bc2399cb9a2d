//! What a metrics query asks: its time, its step, its exemplars.

use spanlake_traceql::{Query, Value};

use super::{NANOS_PER_SECOND, Params, query};
use crate::engine::MetricsRequest;
use crate::http::clock;
use crate::http::tempopb;

/// Time a metrics query is about when it does not say.
const DEFAULT_SINCE_NANOS: u64 = 3_600 * NANOS_PER_SECOND;
/// Exemplars when the query does not say, and the most it may ask for.
const MAX_EXEMPLARS: usize = 100;
/// Most buckets of a series.
const MAX_INTERVALS: u64 = 10_000;
/// How many buckets the step aims at when the query does not say.
const DEFAULT_INTERVALS: u64 = 240;
/// The step, when the query does not say, is a multiple of the largest of these that fits.
const STEPS: [u64; 7] = [
    3_600 * NANOS_PER_SECOND,
    300 * NANOS_PER_SECOND,
    60 * NANOS_PER_SECOND,
    15 * NANOS_PER_SECOND,
    5 * NANOS_PER_SECOND,
    NANOS_PER_SECOND,
    NANOS_PER_SECOND / 20,
];

/// What a metrics query says, before it is checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct MetricsAsked {
    pub(crate) query: String,
    pub(crate) start_unix_nanos: Option<u64>,
    pub(crate) end_unix_nanos: Option<u64>,
    pub(crate) since_nanos: Option<u64>,
    pub(crate) step_nanos: Option<u64>,
    pub(crate) exemplars: Option<u64>,
    pub(crate) max_series: Option<u64>,
}

impl MetricsAsked {
    /// A query for values over time.
    pub(crate) fn range_query(&self, now_unix_nanos: u64) -> Result<MetricsRequest, String> {
        let request = self.instant_query(now_unix_nanos)?;
        let range_nanos = request.end_unix_nanos - request.start_unix_nanos;
        let step_nanos = self.step_nanos.unwrap_or_else(|| default_step_nanos(range_nanos));
        if range_nanos / step_nanos > MAX_INTERVALS {
            let least = clock::go_duration_text(i64::try_from(least_step_nanos(range_nanos)).unwrap_or(i64::MAX));
            return Err(format!(
                "invalid step: {} intervals are asked for, at most {MAX_INTERVALS} are answered: the minimum step for \
                 this time range is {least}",
                range_nanos / step_nanos
            ));
        }
        Ok(MetricsRequest { step_nanos: Some(step_nanos), ..request })
    }

    /// A query for one value over the whole time.
    pub(crate) fn instant_query(&self, now_unix_nanos: u64) -> Result<MetricsRequest, String> {
        if self.query.is_empty() {
            return Err("invalid request: parameter q (or query) with a TraceQL metrics query is needed".to_owned());
        }
        let query = query(&self.query)?;
        if query.metrics.is_none() {
            return Err(
                "invalid TraceQL query: it is not a metrics query: end it with a function such as | rate(), or \
                        ask /api/search"
                    .to_owned(),
            );
        }
        let end_unix_nanos = self.end_unix_nanos.unwrap_or(now_unix_nanos);
        let since_nanos = self.since_nanos.unwrap_or(DEFAULT_SINCE_NANOS);
        let start_unix_nanos = self.start_unix_nanos.unwrap_or(end_unix_nanos.saturating_sub(since_nanos));
        if end_unix_nanos <= start_unix_nanos {
            return Err(format!(
                "http parameter start must be before end. received start={start_unix_nanos} end={end_unix_nanos}"
            ));
        }
        let max_series = self.max_series.filter(|series| *series > 0);
        Ok(MetricsRequest {
            exemplars: exemplars(&query, self.exemplars),
            query,
            start_unix_nanos,
            end_unix_nanos,
            step_nanos: None,
            max_series: max_series.map(|series| usize::try_from(series).unwrap_or(usize::MAX)),
        })
    }
}

/// The hint `with(exemplars=...)` wins over the parameter; zero as parameter means the default.
fn exemplars(query: &Query, asked: Option<u64>) -> usize {
    let bounded = |count: u64| usize::try_from(count).unwrap_or(usize::MAX).min(MAX_EXEMPLARS);
    let hinted = query.hints.iter().filter(|hint| hint.name == "exemplars").find_map(|hint| match hint.value {
        Value::Bool(false) => Some(0),
        Value::Bool(true) => Some(MAX_EXEMPLARS),
        Value::Int(count) => Some(bounded(u64::try_from(count).unwrap_or(0))),
        // A hint of the wrong type is no hint.
        _ => None,
    });
    hinted.unwrap_or_else(|| asked.filter(|count| *count > 0).map_or(MAX_EXEMPLARS, bounded))
}

/// About so many buckets, each a round time.
fn default_step_nanos(range_nanos: u64) -> u64 {
    let aim = range_nanos / DEFAULT_INTERVALS;
    let [.., least] = STEPS;
    let round = STEPS.into_iter().find(|step| *step <= aim).unwrap_or(least);
    (aim / round * round).max(least)
}

/// The least step that is answered for this range, rounded up to something that can be typed.
fn least_step_nanos(range_nanos: u64) -> u64 {
    let least = range_nanos.div_ceil(MAX_INTERVALS);
    let round = [NANOS_PER_SECOND, 1_000_000, 1_000].into_iter().find(|round| *round <= least).unwrap_or(1);
    least.div_ceil(round).saturating_mul(round)
}

impl Params {
    /// What a metrics query says.
    pub(crate) fn metrics(&self) -> Result<MetricsAsked, String> {
        Ok(MetricsAsked {
            query: self.get("q").or_else(|| self.get("query")).unwrap_or_default().to_owned(),
            start_unix_nanos: self.point("start")?.map(|start| start.unix_nanos),
            end_unix_nanos: self.point("end")?.map(|end| end.unix_nanos),
            since_nanos: self.since()?,
            step_nanos: self.step()?,
            exemplars: self.number("exemplars")?,
            max_series: self.number("maxSeries")?,
        })
    }

    fn step(&self) -> Result<Option<u64>, String> {
        let Some(text) = self.get("step") else { return Ok(None) };
        let seconds = || {
            let nanos = text.parse::<f64>().ok()? * NANOS_PER_SECOND as f64;
            (1.0..u64::MAX as f64).contains(&nanos).then_some(nanos as u64)
        };
        let nanos = seconds().or_else(|| clock::go_duration_nanos(text));
        let nanos = nanos.or_else(|| clock::prometheus_duration_nanos(text)).filter(|nanos| *nanos > 0);
        nanos.map(Some).ok_or_else(|| {
            format!("invalid step: {text:?} is not a step: write it as 15s, 1m30s or as seconds, above zero")
        })
    }
}

impl tempopb::QueryRangeRequest {
    /// What it says.
    pub(crate) fn asked(self) -> MetricsAsked {
        MetricsAsked {
            query: self.query,
            start_unix_nanos: set(self.start).or_else(|| set(self.end).map(|_| 0)),
            end_unix_nanos: set(self.end),
            since_nanos: None,
            step_nanos: set(self.step),
            exemplars: Some(u64::from(self.exemplars)),
            max_series: Some(u64::from(self.max_series)),
        }
    }
}

impl tempopb::QueryInstantRequest {
    /// What it says.
    pub(crate) fn asked(self) -> MetricsAsked {
        MetricsAsked {
            query: self.query,
            start_unix_nanos: set(self.start).or_else(|| set(self.end).map(|_| 0)),
            end_unix_nanos: set(self.end),
            ..MetricsAsked::default()
        }
    }
}

/// In a message zero says nothing.
fn set(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = NANOS_PER_SECOND;

    #[test]
    fn default_steps() {
        let check = |range: u64, expect: u64| assert_eq!(default_step_nanos(range), expect, "{range}");
        check(3_600 * SECOND, 15 * SECOND);
        check(24 * 3_600 * SECOND, 300 * SECOND);
        check(48 * 3_600 * SECOND, 600 * SECOND);
        check(6 * 3_600 * SECOND, 60 * SECOND);
        check(900 * SECOND, 3 * SECOND);
        check(1_800 * SECOND, 5 * SECOND);
        check(100 * 86_400 * SECOND, 10 * 3_600 * SECOND);
        check(60 * SECOND, SECOND / 4);
        check(SECOND, SECOND / 20);
        check(1, SECOND / 20);
    }

    #[test]
    fn least_steps() {
        let check = |range: u64, expect: u64| {
            assert_eq!(least_step_nanos(range), expect, "{range}");
            assert!(range / expect <= MAX_INTERVALS);
        };
        check(3_600 * SECOND, 360_000_000);
        check(24 * 3_600 * SECOND, 9 * SECOND);
        check(10_001, 2);
        check(u64::MAX, 1_844_675 * SECOND);
    }
}
