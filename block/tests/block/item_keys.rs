//! What the search index says of events and links is what their spans have.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::collection::vec;
use proptest::prelude::*;
use spanlake_otlp::arbitrary;

use crate::{ExportTraceServiceRequest, fetch, open, small_options, write};

fn keys<'a>(attributes: impl Iterator<Item = &'a Vec<KeyValue>>) -> BTreeSet<&'a str> {
    attributes.flatten().map(|attribute| attribute.key.as_str()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn it_tells_of_every_event_and_link(
        requests in vec(arbitrary::request(), 1..4),
        row_group_rows in 1_usize..12,
        absent in arbitrary::text(),
    ) {
        let Some(written) = write(&requests, &small_options(row_group_rows, 3)) else { return Ok(()) };
        let block = open(&written);
        let search = block.open_search(fetch(&written, block.search_range())).expect("just written");
        let row_groups: Vec<_> = (0..block.row_group_count())
            .map(|group| block.read_row_group(group, fetch(&written, block.row_group_range(group))).expect("sound"))
            .collect();
        let (mut all_event_keys, mut all_link_keys) = (BTreeSet::new(), BTreeSet::new());
        for (group, rows) in row_groups.iter().enumerate() {
            let events = || rows.iter().flat_map(|row| &row.span.events);
            let event_keys = keys(events().map(|event| &event.attributes));
            let link_keys = keys(rows.iter().flat_map(|row| &row.span.links).map(|link| &link.attributes));
            let names: BTreeSet<&str> = events().map(|event| event.name.as_str()).collect();
            for key in event_keys.iter().chain(&link_keys).copied().chain([absent.as_str()]) {
                prop_assert_eq!(search.may_have_event_key(key, group), event_keys.contains(key));
                prop_assert_eq!(search.may_have_link_key(key, group), link_keys.contains(key));
            }
            prop_assert_eq!(search.may_have_event_name(&absent, group), names.contains(absent.as_str()));
            let told: Vec<&str> = search.event_names(group).expect("they are few").collect();
            prop_assert_eq!(told, names.into_iter().collect::<Vec<_>>());
            all_event_keys.extend(event_keys);
            all_link_keys.extend(link_keys);
        }
        let told: Vec<&str> = search.event_keys().expect("they are few").collect();
        prop_assert_eq!(told, all_event_keys.into_iter().collect::<Vec<_>>());
        let told: Vec<&str> = search.link_keys().expect("they are few").collect();
        prop_assert_eq!(told, all_link_keys.into_iter().collect::<Vec<_>>());
    }
}

/// A trace with so many events, each with a name and a key of its own; a span has at most 4,000.
fn distinct_events(trace: u128, count: usize) -> ExportTraceServiceRequest {
    let event = |i: usize| Event {
        name: format!("event {i}"),
        attributes: vec![KeyValue { key: format!("key {i}"), ..KeyValue::default() }],
        ..Event::default()
    };
    let span = |first: usize| Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: (1 + first as u64).to_be_bytes().to_vec(),
        events: (first..count.min(first + 4_000)).map(event).collect(),
        ..Span::default()
    };
    let spans = (0..count).step_by(4_000).map(span).collect();
    let scope_spans = ScopeSpans { spans, ..ScopeSpans::default() };
    let resource_spans = ResourceSpans { scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

#[test]
fn too_many_keys_and_names_are_not_told() {
    for (count, keys_told, names_told) in
        [(64, true, true), (65, true, false), (10_000, true, false), (10_001, false, false)]
    {
        let written = write(&[distinct_events(1, count)], &small_options(10, 3)).expect("there is a span");
        let block = open(&written);
        let search = block.open_search(fetch(&written, block.search_range())).expect("just written");
        assert_eq!(search.event_keys().map(Iterator::count), keys_told.then_some(count));
        assert_eq!(search.event_names(0).map(Iterator::count), names_told.then_some(count));
        assert_eq!(search.may_have_event_key("absent", 0), !keys_told);
        assert_eq!(search.may_have_event_name("absent", 0), !names_told);
        assert_eq!(search.link_keys().map(Iterator::count), Some(0));
    }
}

#[test]
fn it_takes_few_bytes() {
    let requests: Vec<_> = (1..=1_000).map(|trace| distinct_events(trace, 20)).collect();
    let written = write(&requests, &small_options(usize::MAX, 3)).expect("there is a span");
    let section = written.report.index_bytes.iter().find(|(name, _)| *name == "item keys");
    assert!(section.is_some_and(|(_, bytes)| *bytes < 300), "{section:?} for {} spans", written.meta.span_count);
    println!("{section:?} for {} spans", written.meta.span_count);
}
