//! What a search asks: by TraceQL, or by tags and durations.

use spanlake_model::TimeRange;

use super::Params;
use crate::engine::TraceqlSearch;
use crate::http::logfmt;
use crate::http::tempopb;
use crate::search::{SearchRequest, Tag};

use super::{query, seconds_range};

/// Traces a search answers when it does not say.
const DEFAULT_LIMIT: usize = 20;
/// Most traces a search may ask for.
const MAX_LIMIT: usize = 262_144;
/// Spans for each spanset when the search does not say, or says zero.
const DEFAULT_SPANS_PER_SPAN_SET: usize = 3;
/// Most spans for each spanset a search may ask for.
const MAX_SPANS_PER_SPAN_SET: u32 = 100;
/// The parameters a search knows; with none of `q`, `tags`, `start` and `end`, any other one is a tag.
const KNOWN: [&str; 10] =
    ["q", "tags", "minDuration", "maxDuration", "limit", "start", "end", "since", "spss", "skip_ast_transformations"];

/// A search, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Search {
    /// By tags, durations and time.
    Tags(SearchRequest),
    /// By a query.
    Traceql(TraceqlSearch),
}

/// What every search may say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SearchAsked {
    /// Its time.
    pub(crate) range: Option<TimeRange>,
    /// Most traces.
    pub(crate) limit: Option<u64>,
    /// Most spans for each spanset.
    pub(crate) spans_per_span_set: Option<u32>,
}

impl SearchAsked {
    fn limit(&self) -> Result<usize, String> {
        match self.limit {
            None => Ok(DEFAULT_LIMIT),
            Some(0) => Err("invalid limit: must be a positive number".to_owned()),
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| *limit <= MAX_LIMIT)
                .ok_or_else(|| format!("invalid limit: {limit} exceeds the maximum of {MAX_LIMIT}")),
        }
    }

    fn spans_per_span_set(&self) -> Result<usize, String> {
        match self.spans_per_span_set {
            None | Some(0) => Ok(DEFAULT_SPANS_PER_SPAN_SET),
            Some(spss) if spss > MAX_SPANS_PER_SPAN_SET => {
                Err(format!("invalid spss: {spss} exceeds the maximum of {MAX_SPANS_PER_SPAN_SET}"))
            }
            Some(spss) => Ok(spss as usize),
        }
    }
}

/// A search by a query, which must not be about metrics.
pub(crate) fn traceql_search(text: &str, asked: SearchAsked) -> Result<TraceqlSearch, String> {
    let query = query(text)?;
    if query.metrics.is_some() {
        return Err("invalid TraceQL query: it is a metrics query, which a search cannot answer: ask \
                    /api/metrics/query_range or /api/metrics/query"
            .to_owned());
    }
    Ok(TraceqlSearch {
        query,
        range: asked.range,
        limit: asked.limit()?,
        spans_per_span_set: asked.spans_per_span_set()?,
    })
}

fn tag_search(
    tags: Vec<Tag>,
    min_duration_nanos: Option<u64>,
    max_duration_nanos: Option<u64>,
    asked: SearchAsked,
) -> Result<SearchRequest, String> {
    if let (Some(min), Some(max)) = (min_duration_nanos, max_duration_nanos)
        && max < min
    {
        return Err("invalid maxDuration: must be greater than minDuration".to_owned());
    }
    asked.spans_per_span_set()?;
    Ok(SearchRequest { tags, min_duration_nanos, max_duration_nanos, range: asked.range, limit: asked.limit()? })
}

fn both() -> String {
    "invalid request: can't specify tags and q in the same query".to_owned()
}

impl Params {
    /// What every search may say.
    pub(crate) fn search_asked(&self, now_unix_nanos: u64) -> Result<SearchAsked, String> {
        Ok(SearchAsked {
            range: self.range(now_unix_nanos)?,
            limit: self.number("limit")?,
            spans_per_span_set: self.number("spss")?,
        })
    }

    /// The whole of a search.
    pub(crate) fn search(&self, now_unix_nanos: u64) -> Result<Search, String> {
        let asked = self.search_asked(now_unix_nanos)?;
        match self.get("q") {
            Some(_) if self.get("tags").is_some() => Err(both()),
            Some(text) => Ok(Search::Traceql(traceql_search(text, asked)?)),
            None => {
                let (min, max) = (self.go_duration("minDuration")?, self.go_duration("maxDuration")?);
                Ok(Search::Tags(tag_search(self.tags()?, min, max, asked)?))
            }
        }
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
        // Before pairs are compared with each other.
        if pairs.len() > SearchRequest::MAX_TAGS {
            return Err(format!(
                "invalid tags: {} are given, at most {} are taken",
                pairs.len(),
                SearchRequest::MAX_TAGS
            ));
        }
        let mut tags = Vec::<Tag>::with_capacity(pairs.len());
        for (key, value) in pairs {
            if tags.iter().any(|tag| tag.key() == key) {
                return Err(format!("invalid tags: tag {key} has been set twice"));
            }
            tags.push(Tag::new(key, value).map_err(|e| format!("invalid tags: {e}"))?);
        }
        Ok(tags)
    }
}

impl tempopb::SearchRequest {
    /// The whole of a search over gRPC.
    pub(crate) fn check(self) -> Result<Search, String> {
        let asked = SearchAsked {
            range: seconds_range(self.start, self.end)?,
            limit: Some(u64::from(self.limit)).filter(|limit| *limit > 0),
            spans_per_span_set: Some(self.spans_per_span_set),
        };
        if !self.query.is_empty() {
            return if self.tags.is_empty() {
                Ok(Search::Traceql(traceql_search(&self.query, asked)?))
            } else {
                Err(both())
            };
        }
        let tags = self.tags.into_iter().map(|(key, value)| Tag::new(key, value));
        let tags = tags.collect::<Result<_, _>>().map_err(|e| format!("invalid tags: {e}"))?;
        let nanos = |millis: u32| Some(u64::from(millis) * 1_000_000).filter(|nanos| *nanos > 0);
        Ok(Search::Tags(tag_search(tags, nanos(self.min_duration_ms), nanos(self.max_duration_ms), asked)?))
    }
}
