//! The validation table of the API reference.

use super::*;

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
    check(&[("q", "{}")], "TraceQL");
    check(&[("q", "{}"), ("tags", "a=b")], "tags and q");
    check(&[("tags", "a=b a=c")], "set twice");
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
        assert_eq!(params(query).search(NOW), Ok(expect), "{query:?}");
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
