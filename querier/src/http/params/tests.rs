//! The validation table of the API reference.

use spanlake_traceql::{Field, Intrinsic, Kind, Scope, Status, Value};

use super::metrics::MetricsAsked;
use super::search::Search;
use super::tags::{Names, NamesAsked, Values};
use super::*;
use crate::engine::{MetricsRequest, TagScope, TraceqlSearch};
use crate::http::tempopb;
use crate::search::{SearchRequest, Tag};

const NOW: u64 = 2_000_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;

fn params(query: &[(&str, &str)]) -> Params {
    Params::new(query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
}

fn range_of(start: u64, end: u64) -> TimeRange {
    TimeRange { start_unix_nanos: start, end_unix_nanos: end }
}

#[test]
fn searches_that_are_refused() {
    let check = |query: &[(&str, &str)], part: &str| match params(query).search(NOW) {
        Ok(request) => panic!("{query:?} is not refused: {request:?}"),
        Err(text) => assert!(text.contains(part), "{query:?}: {text}"),
    };
    check(&[("q", "{")], "invalid TraceQL query: line 1, column 2");
    check(&[("q", "{} | rate()")], "/api/metrics/query_range");
    check(&[("q", "{}"), ("limit", "0")], "positive");
    check(&[("q", "{}"), ("spss", "101")], "100");
    check(&[("q", "{}"), ("tags", "a=b")], "tags and q");
    check(&[("tags", "a=b a=c")], "set twice");
    check(&[("tags", "a=b ".repeat(65).as_str())], "at most 64");
    check(&[("tags", "a=\"b")], "closing quote");
    check(&[("tags", "status.code=broken")], "status.code");
    check(&[("limit", "0")], "positive");
    check(&[("limit", "262145")], "262144");
    check(&[("limit", "-1")], "not a number");
    check(&[("limit", "ten")], "not a number");
    check(&[("spss", "101")], "100");
    check(&[("spss", "x")], "not a number");
    check(&[("minDuration", "1")], "duration");
    check(&[("maxDuration", "-1s")], "duration");
    check(&[("minDuration", "2s"), ("maxDuration", "1s")], "maxDuration");
    check(&[("start", "10")], "only one of start and end");
    check(&[("end", "10")], "only one of start and end");
    check(&[("start", "10"), ("end", "10")], "before end");
    check(&[("start", "20"), ("end", "10")], "before end");
    check(&[("start", "soon"), ("end", "10")], "invalid start");
    check(&[("since", "1.5x")], "since");
}

#[test]
fn searches_that_are_understood() {
    let plain =
        || SearchRequest { tags: vec![], min_duration_nanos: None, max_duration_nanos: None, range: None, limit: 20 };
    let tag = |key: &str, value: &str| Tag::new(key.to_owned(), value.to_owned()).expect("a tag");
    let check = |query: &[(&str, &str)], expect: SearchRequest| {
        assert_eq!(params(query).search(NOW), Ok(Search::Tags(expect)), "{query:?}");
    };
    check(&[], plain());
    check(&[("tags", ""), ("q", ""), ("start", "")], plain());
    check(&[("limit", "262144"), ("spss", "100")], SearchRequest { limit: 262_144, ..plain() });
    check(
        &[("tags", "name=\"GET /\" service.name=cart")],
        SearchRequest { tags: vec![tag("name", "GET /"), tag("service.name", "cart")], ..plain() },
    );
    check(&[("start", "0"), ("end", "0")], plain());
    check(
        &[("start", "10"), ("end", "20")],
        SearchRequest { range: Some(range_of(10 * SECOND, 21 * SECOND - 1)), ..plain() },
    );
    check(
        &[("start", "10.5"), ("end", "20000000001")],
        SearchRequest { range: Some(range_of(10 * SECOND + SECOND / 2, 20 * SECOND + 1)), ..plain() },
    );
    check(&[("since", "1h")], SearchRequest { range: Some(range_of(NOW - 3_600 * SECOND, NOW)), ..plain() });
    check(
        &[("since", "10s"), ("end", "20")],
        SearchRequest { range: Some(range_of(10 * SECOND, 21 * SECOND - 1)), ..plain() },
    );
    check(
        &[("minDuration", "1ms"), ("maxDuration", "1s")],
        SearchRequest { min_duration_nanos: Some(1_000_000), max_duration_nanos: Some(SECOND), ..plain() },
    );
    check(&[("minDuration", "0s")], plain());
    // Old Grafana: unknown parameters are tags, but only without q, tags, start and end.
    check(
        &[("service.name", "cart"), ("limit", "3"), ("empty", "")],
        SearchRequest { tags: vec![tag("service.name", "cart")], limit: 3, ..plain() },
    );
    check(&[("tags", "a=b"), ("c", "d")], SearchRequest { tags: vec![tag("a", "b")], ..plain() });
    check(
        &[("c", "d"), ("start", "10"), ("end", "20")],
        SearchRequest { range: Some(range_of(10 * SECOND, 21 * SECOND - 1)), ..plain() },
    );
}

#[test]
fn time_hints() {
    let check = |query: &[(&str, &str)], expect: Result<Option<TimeRange>, ()>| {
        assert_eq!(params(query).hint().map_err(|_| ()), expect, "{query:?}");
    };
    check(&[], Ok(None));
    check(&[("start", "0"), ("end", "0")], Ok(None));
    check(&[("start", "1"), ("end", "2")], Ok(Some(range_of(SECOND, 3 * SECOND - 1))));
    check(&[("start", "1")], Ok(Some(range_of(SECOND, u64::MAX))));
    check(&[("end", "2023-11-14T22:13:20Z")], Ok(Some(range_of(0, 1_700_000_000 * SECOND))));
    check(&[("start", "2"), ("end", "1")], Err(()));
    check(&[("start", "x")], Err(()));
}

#[test]
fn queries_to_search_by() {
    let parsed = |text: &str| spanlake_traceql::parse(text).expect("a query");
    let plain = || TraceqlSearch { query: parsed("{}"), range: None, limit: 20, spans_per_span_set: 3 };
    let check = |query: &[(&str, &str)], expect: TraceqlSearch| {
        assert_eq!(params(query).search(NOW), Ok(Search::Traceql(expect)), "{query:?}");
    };
    check(&[("q", "{}")], plain());
    check(&[("q", "{}"), ("spss", "0")], plain());
    check(
        &[("q", "{}"), ("spss", "100"), ("limit", "5")],
        TraceqlSearch { limit: 5, spans_per_span_set: 100, ..plain() },
    );
    check(
        &[("q", "{ .a = 1 }"), ("start", "10"), ("end", "20"), ("minDuration", "nonsense")],
        TraceqlSearch { query: parsed("{ .a = 1 }"), range: Some(range_of(10 * SECOND, 21 * SECOND - 1)), ..plain() },
    );
}

#[test]
fn searches_over_grpc() {
    let message = |query: &str| tempopb::SearchRequest { query: query.to_owned(), ..Default::default() };
    let traceql = |message: tempopb::SearchRequest| match message.check() {
        Ok(Search::Traceql(search)) => (search.range, search.limit, search.spans_per_span_set),
        other => panic!("{other:?}"),
    };
    assert_eq!(traceql(message("{}")), (None, 20, 3));
    let all = tempopb::SearchRequest { start: 10, end: 20, limit: 7, spans_per_span_set: 9, ..message("{}") };
    assert_eq!(traceql(all), (Some(range_of(10 * SECOND, 21 * SECOND - 1)), 7, 9));
    let tags = [("a".to_owned(), "b".to_owned())].into();
    let by_tags = tempopb::SearchRequest { tags, min_duration_ms: 2, ..Default::default() };
    match by_tags.clone().check() {
        Ok(Search::Tags(search)) => {
            assert_eq!((search.tags.len(), search.min_duration_nanos, search.limit), (1, Some(2_000_000), 20));
        }
        other => panic!("{other:?}"),
    }
    let wrong = |message: tempopb::SearchRequest, part: &str| {
        let text = message.check().expect_err("it is refused");
        assert!(text.contains(part), "{text}");
    };
    wrong(tempopb::SearchRequest { query: "{}".to_owned(), ..by_tags }, "tags and q");
    wrong(message("{ nothing"), "line 1");
    wrong(tempopb::SearchRequest { start: 5, end: 5, ..message("{}") }, "before end");
    wrong(tempopb::SearchRequest { start: 5, ..message("{}") }, "before end");
    wrong(tempopb::SearchRequest { limit: 262_145, ..message("{}") }, "262144");
    wrong(message(&"x".repeat(MAX_TEXT_BYTES + 1)), "bytes");
}

#[test]
fn metrics_queries() {
    const RATE: (&str, &str) = ("q", "{} | rate()");
    let range = |query: &[(&str, &str)]| params(query).metrics().and_then(|asked| asked.range_query(NOW));
    let hour = || MetricsRequest {
        query: spanlake_traceql::parse(RATE.1).expect("a query"),
        start_unix_nanos: NOW - 3_600 * SECOND,
        end_unix_nanos: NOW,
        step_nanos: Some(15 * SECOND),
        exemplars: 100,
        max_series: None,
    };
    let check = |more: &[(&str, &str)], expect: MetricsRequest| {
        let query = [&[RATE], more].concat();
        assert_eq!(range(&query), Ok(expect), "{query:?}");
    };
    check(&[], hour());
    check(
        &[("since", "15m")],
        MetricsRequest { start_unix_nanos: NOW - 900 * SECOND, step_nanos: Some(3 * SECOND), ..hour() },
    );
    check(&[("step", "1m")], MetricsRequest { step_nanos: Some(60 * SECOND), ..hour() });
    check(&[("step", "0.5")], MetricsRequest { step_nanos: Some(SECOND / 2), ..hour() });
    check(&[("step", "30")], MetricsRequest { step_nanos: Some(30 * SECOND), ..hour() });
    check(&[("step", "1d")], MetricsRequest { step_nanos: Some(86_400 * SECOND), ..hour() });
    check(&[("exemplars", "0")], hour());
    check(&[("exemplars", "7"), ("maxSeries", "3")], MetricsRequest { exemplars: 7, max_series: Some(3), ..hour() });
    check(&[("exemplars", "1000")], hour());
    let times = MetricsRequest {
        start_unix_nanos: 10 * SECOND,
        end_unix_nanos: 20 * SECOND,
        step_nanos: Some(SECOND),
        ..hour()
    };
    for (start, end) in [("10", "20"), ("10.0", "20.0"), ("10000000000", "20000000000"), ("1970-01-01T00:00:10Z", "20")]
    {
        check(&[("start", start), ("end", end), ("step", "1s")], times.clone());
    }
    let aliased = range(&[("query", "{} | rate() with(exemplars=false)")]).expect("query is q");
    assert_eq!(aliased.exemplars, 0);
    for (hint, expect) in [("5", 5), ("true", 100), ("1000", 100), ("\"x\"", 100), ("-1", 0)] {
        let query = format!("{{}} | rate() with(exemplars={hint})");
        assert_eq!(range(&[("q", &query)]).map(|request| request.exemplars), Ok(expect), "{hint}");
    }
    let wrong = |query: &[(&str, &str)], part: &str| {
        let text = range(query).expect_err("it is refused");
        assert!(text.contains(part), "{query:?}: {text}");
    };
    wrong(&[], "parameter q");
    wrong(&[("q", "{}")], "not a metrics query");
    wrong(&[("q", "{} | rate(")], "line 1");
    wrong(&[RATE, ("step", "0")], "invalid step");
    wrong(&[RATE, ("step", "-1")], "invalid step");
    wrong(&[RATE, ("step", "NaN")], "invalid step");
    wrong(&[RATE, ("step", "soon")], "invalid step");
    wrong(&[RATE, ("start", "20"), ("end", "10")], "before end");
    wrong(&[RATE, ("start", "20"), ("end", "20")], "before end");
    wrong(&[RATE, ("step", "1ms")], "the minimum step for this time range is 360ms");
    wrong(&[RATE, ("exemplars", "x")], "not a number");
    // The least step that the text names is accepted.
    assert!(range(&[RATE, ("step", "360ms")]).is_ok());
}

#[test]
fn metrics_queries_over_grpc() {
    let message = || tempopb::QueryRangeRequest { query: "{} | rate()".to_owned(), ..Default::default() };
    let range = |message: tempopb::QueryRangeRequest| {
        message.asked().range_query(NOW).map(|r| (r.start_unix_nanos, r.end_unix_nanos, r.step_nanos, r.max_series))
    };
    assert_eq!(range(message()), Ok((NOW - 3_600 * SECOND, NOW, Some(15 * SECOND), None)));
    let all = tempopb::QueryRangeRequest { start: 5, end: 5 * SECOND, step: SECOND, max_series: 2, ..message() };
    assert_eq!(range(all), Ok((5, 5 * SECOND, Some(SECOND), Some(2))));
    assert_eq!(
        range(tempopb::QueryRangeRequest { end: SECOND, step: SECOND, ..message() }),
        Ok((0, SECOND, Some(SECOND), None))
    );
    let instant = tempopb::QueryInstantRequest { query: "{} | rate()".to_owned(), start: 5, end: 6 };
    let asked: MetricsAsked = instant.asked();
    assert_eq!(
        asked.instant_query(NOW).map(|r| (r.start_unix_nanos, r.end_unix_nanos, r.step_nanos)),
        Ok((5, 6, None))
    );
}

#[test]
fn tag_names() {
    let names = |query: &[(&str, &str)]| params(query).tag_names(NOW);
    let of = |scope: &str| names(&[("scope", scope)]).map(|names: Names| names.of);
    for (scope, expect) in [
        ("", NamesAsked::All),
        ("none", NamesAsked::All),
        ("resource", NamesAsked::Only(TagScope::Resource)),
        ("instrumentation", NamesAsked::Only(TagScope::Instrumentation)),
        ("intrinsic", NamesAsked::Intrinsics),
        ("trace", NamesAsked::Nothing),
    ] {
        assert_eq!(of(scope), Ok(expect), "{scope}");
    }
    assert!(of("spans").expect_err("no scope").contains("\"spans\""));
    let request = names(&[("q", "{ .a = 1 }"), ("limit", "5"), ("start", "10"), ("end", "20")]);
    let request = request.expect("it is right").request().expect("attributes are asked for");
    assert_eq!((request.scope, request.limit_per_scope), (None, 5));
    assert!(request.range.is_some() && request.filter.is_some());
    let nonsense = names(&[("q", ")))")]).expect("it filters nothing").request().expect("attributes are asked for");
    assert_eq!(nonsense.filter, None);
    assert!(names(&[("start", "10")]).is_err());
    assert!(names(&[("limit", "x")]).is_err());
    assert!(of("intrinsic").is_ok() && names(&[("scope", "intrinsic")]).expect("right").request().is_none());
}

#[test]
fn tag_values() {
    let values = |name: &str| identifiers(&[name]).and_then(|mut fields| params(&[]).tag_values(fields.remove(0), NOW));
    let known = |values: Result<Values, String>| match values {
        Ok(Values::Known(values)) => values,
        other => panic!("{other:?}"),
    };
    let stored = |values: Result<Values, String>| match values {
        Ok(Values::Stored(request)) => request.field,
        other => panic!("{other:?}"),
    };
    let attribute = |scope, key: &str| Field::Attribute { of_parent: false, scope, key: key.to_owned() };
    assert_eq!(known(values("status")), [Status::Ok, Status::Error, Status::Unset].map(Value::Status));
    assert_eq!(known(values("span:status")).len(), 3);
    assert_eq!(known(values("kind")).first(), Some(&Value::Kind(Kind::Client)));
    assert_eq!(known(values("duration")), []);
    assert_eq!(known(values("trace:duration")), []);
    assert_eq!(stored(values("name")), Field::Intrinsic(Intrinsic::Name));
    assert_eq!(stored(values("span.a/b")), attribute(Scope::Span, "a/b"));
    assert_eq!(stored(values(".foo")), attribute(Scope::Any, "foo"));
    let text = values("not an identifier").expect_err("it is refused");
    assert!(text.starts_with("please provide a valid tagName: failed to parse identifier"), "{text}");
    let plain = |name: &str| params(&[]).plain_tag_values(name, NOW);
    assert_eq!(known(plain("status.code")), [Status::Unset, Status::Ok, Status::Error].map(Value::Status));
    assert_eq!(known(plain("error")), [Value::Bool(true)]);
    assert_eq!(stored(plain("root.service.name")), Field::Intrinsic(Intrinsic::RootServiceName));
    assert_eq!(stored(plain("name")), Field::Intrinsic(Intrinsic::Name));
    assert_eq!(stored(plain("service.name")), attribute(Scope::Any, "service.name"));
    assert_eq!(stored(plain("a b")), attribute(Scope::Any, "a b"));
    assert!(plain("").is_err());
    let twice = identifiers(&["%22", "span.x"]).expect("the second one is right");
    assert_eq!(twice, [attribute(Scope::Span, "x")]);
    let both = identifiers(&["span.a%2Fb", "span.a/b"]).expect("both are right");
    assert_eq!(both, [attribute(Scope::Span, "a%2Fb"), attribute(Scope::Span, "a/b")]);
}
