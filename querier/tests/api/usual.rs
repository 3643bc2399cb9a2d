//! What a diagnosis says because of other traces of the same entry point: how often, in which order and by whom things are usually
//! called, and whether retries rage around it.

use serde_json::{Value as Json, json};
use spanlake_model::{Tenant, TraceId};
use spanlake_querier::Config;
use spanlake_storage::Store;

use crate::world::*;

const CLIENT: i32 = 3;
const MINUTE_MS: u64 = 60_000;
/// Two hours and a half after the epoch, at the beginning of a minute.
const NOW_MS: u64 = 9_040_000;

/// Id, parent, service, name, kind, start and length in milliseconds after the trace's start, and whether it failed.
type Written = (u8, u8, &'static str, &'static str, i32, u64, u64, bool);

/// The spans of a trace.
fn trace(number: u16, start_ms: u64, spans: &[Written]) -> Vec<Stored> {
    let one = |(id, parent, service, name, kind, start, ms, failed): &Written| {
        let mut stored = span(1, *id, *parent, service, name, start_ms + start, *ms);
        stored.span.trace_id = wide_id(number).0.to_vec();
        stored.span.kind = *kind;
        if *failed { stored.failed() } else { stored }
    };
    spans.iter().map(one).collect()
}

fn wide_id(number: u16) -> TraceId {
    let mut id = [0x0b; 16];
    id[14..].copy_from_slice(&number.to_be_bytes());
    TraceId(id)
}

/// A basket that asks for the price while it asks for the stock.
fn basket(number: u16, start_ms: u64) -> Vec<Stored> {
    let spans = [
        (1, 0, "shop", "GET /basket", 2, 0, 60, false),
        (2, 1, "shop", "call pay", CLIENT, 2, 28, false),
        (3, 2, "pay", "price", 2, 3, 26, false),
        (4, 1, "shop", "call stock", CLIENT, 20, 38, false),
    ];
    trace(number, start_ms, &spans)
}

/// A basket that pays after one attempt, or after three that failed.
fn paid(number: u16, start_ms: u64, failed: u8) -> Vec<Stored> {
    let mut spans = vec![(1, 0, "shop", "POST /pay", 2, 0, 70 + u64::from(failed) * 60, false)];
    spans.extend(
        (0..=failed).map(|at| (2 + at, 1, "shop", "POST bank", CLIENT, 10 + u64::from(at) * 60, 50, at < failed)),
    );
    trace(number, start_ms, &spans)
}

async fn diagnosis(world: &World, number: u16) -> Json {
    world.get(&format!("/api/v1/traces/{}/diagnosis", wide_id(number))).await.json()
}

fn rules(diagnosis: &Json) -> Vec<(&str, &str)> {
    let findings = diagnosis["findings"].as_array().expect("findings").iter();
    let mut rules: Vec<(&str, &str)> = findings
        .map(|one| (one["rule"].as_str().expect("a rule"), one["confidence"].as_str().expect("a confidence")))
        .collect();
    rules.sort_unstable();
    rules
}

/// 300 ordinary baskets in the two hours before, over several blocks.
async fn ordinary(world: &World) {
    for first in [0_u16, 100, 200] {
        let spans: Vec<Stored> =
            (first..first + 100).flat_map(|at| basket(at, 1_900_000 + u64::from(at) * 22_000)).collect();
        // A trace may lie in several blocks.
        let (odd, even): (Vec<Stored>, Vec<Stored>) = spans.into_iter().partition(|one| one.span.span_id[7] % 2 == 1);
        world.block(&odd).await;
        world.block(&even).await;
    }
}

#[tokio::test]
async fn a_trace_is_held_against_others_of_its_entry_point() {
    let world = World::new();
    ordinary(&world).await;
    let mut slow = vec![
        (1, 0, "shop", "GET /basket", 2, 0, 900, false),
        (2, 1, "shop", "call pay", CLIENT, 2, 298, false),
        (3, 1, "shop", "call stock", CLIENT, 300, 300, false),
    ];
    slow.extend((0..14_u8).map(|at| (10 + at, 1, "shop", "read item", 1, 610 + u64::from(at) * 20, 18, false)));
    world.block(&trace(1_000, NOW_MS, &slow)).await;
    world.block(&basket(1_001, NOW_MS + 1_000)).await;

    let found = diagnosis(&world, 1_000).await;
    assert_eq!(
        rules(&found),
        [
            ("callee-not-traced", "high"),
            ("more-calls-than-usual", "high"),
            ("sequential-calls", "high"),
            ("slow-operation", "high"),
            ("slow-operation", "high"),
            ("slow-operation", "high"),
        ],
        "{found:#}"
    );
    assert_eq!(
        (&found["baseline"]["sampledTraces"], &found["baseline"]["sampleSeconds"]),
        (&json!(256), &json!(7_200))
    );
    // What is above the usual is told by call path, count included, and comes to what the root took too long.
    let excess = found["excess"].as_array().expect("excess");
    let of = |label: &str| excess.iter().find(|one| one["label"] == label).unwrap_or_else(|| panic!("{excess:#?}"));
    let items = of("shop GET /basket > shop read item");
    assert_eq!((&items["calls"], &items["usualCalls"]), (&json!(14), &json!(0)));
    assert_eq!(items["excessNanos"], 14 * 18 * MILLI);
    assert_eq!(of("shop GET /basket > shop call pay")["usualCalls"], 1);
    let all: u64 = excess.iter().map(|one| one["excessNanos"].as_u64().expect("nanoseconds")).sum();
    let (least, most) = (830 * MILLI, 870 * MILLI);
    assert!((least..most).contains(&all), "840 ms are above the usual, {all} are told");

    // An ordinary one says nothing, and so does one of which nothing is known.
    assert_eq!(rules(&diagnosis(&world, 1_001).await), []);
    let alone = World::new();
    alone.block(&trace(1_000, NOW_MS, &slow)).await;
    let found = diagnosis(&alone, 1_000).await;
    assert_eq!(rules(&found), [("sequential-calls", "low")]);
    assert_eq!((&found["excess"], &found["baseline"]["sampledTraces"]), (&json!([]), &json!(0)));
    // The picture says the same.
    let picture = world.get(&format!("/api/v1/traces/{}/text?findings=9", wide_id(1_000))).await;
    assert!(picture.text().contains("usually 0"), "{}", picture.text());
}

#[tokio::test]
async fn a_day_is_asked_where_two_hours_have_few_traces() {
    let world = World::new();
    // One in four minutes.
    let spans: Vec<Stored> = (0..250).flat_map(|at| basket(at, u64::from(at) * 4 * MINUTE_MS)).collect();
    world.block(&spans).await;
    world.block(&basket(1_000, 250 * 4 * MINUTE_MS)).await;
    let found = diagnosis(&world, 1_000).await;
    let baseline = &found["baseline"];
    assert_eq!((&baseline["sampledTraces"], &baseline["sampleSeconds"]), (&json!(250), &json!(86_400)), "{baseline}");
}

#[tokio::test]
async fn a_storm_is_told_while_it_rages() {
    let world = World::new();
    // Twelve a minute for two hours; in the end nearly all try four times.
    let calm: Vec<Stored> = (0..1_440).flat_map(|at| paid(at, 1_840_000 + u64::from(at) * 5_000, 0)).collect();
    world.block(&calm).await;
    let storm: Vec<Stored> = (0..60)
        .flat_map(|at| paid(2_000 + at, NOW_MS + u64::from(at) * 5_000, if at % 10 == 0 { 0 } else { 3 }))
        .collect();
    world.block(&storm).await;
    // A second copy of them is no second request.
    world.block(&storm).await;

    let found = diagnosis(&world, 2_021).await;
    let findings = found["findings"].as_array().expect("findings");
    let told = findings.iter().find(|one| one["rule"] == "retry-storm").unwrap_or_else(|| panic!("{found:#}"));
    assert_eq!((told["spans"].as_array().map(Vec::len), &told["atStakeNanos"]), (Some(4), &json!(150 * MILLI)));
    let number = |name: &str| {
        let evidence = told["evidence"].as_array().expect("evidence").iter().find(|one| one["name"] == name);
        evidence.and_then(|one| one["value"].as_f64()).unwrap_or_else(|| panic!("{name}"))
    };
    assert!(number("amplification") > 2.0 && number("usual_amplification") == 1.0, "{told}");
    assert_eq!((number("entries"), number("usual_entries")), (60.0, 60.0));
    // A trace that goes through it without a retry is told too, an earlier one is not.
    assert!(rules(&diagnosis(&world, 2_020).await).contains(&("retry-storm", "high")));
    assert_eq!(rules(&diagnosis(&world, 1_380).await), []);
}

#[tokio::test]
async fn what_is_more_than_a_query_may_look_into_teaches_nothing() {
    let world = World::with(Store::memory(), Config { max_search_traces: 50, ..Config::default() });
    ordinary(&world).await;
    world.block(&basket(1_000, NOW_MS)).await;
    assert_eq!(diagnosis(&world, 1_000).await["baseline"]["sampledTraces"].as_u64().unwrap_or(0), 0);
}

#[tokio::test]
async fn names_as_long_as_they_may_be_are_not_kept_without_bound() {
    let world = World::new();
    let long: &'static str = Box::leak("n".repeat(200 << 10).into_boxed_str());
    let names: Vec<&'static str> = (0..40).map(|at| &long[at..]).collect();
    let named = |number: u16, start_ms: u64| {
        let mut spans = vec![(1, 0, "shop", "GET /basket", 2, 0, 60, false)];
        spans.extend(names.iter().zip(2..).map(|(name, id)| (id, 1, "shop", *name, CLIENT, 2, 28, false)));
        trace(number, start_ms, &spans)
    };
    let spans: Vec<Stored> = (0..10).flat_map(|at| basket(at, NOW_MS - 1_200_000 + u64::from(at))).collect();
    world.block(&spans).await;
    world.block(&named(100, NOW_MS - 900_000)).await;
    world.block(&basket(1_000, NOW_MS)).await;
    // The ten before it are learned from.
    assert_eq!(diagnosis(&world, 1_000).await["baseline"]["sampledTraces"], json!(10));
}

#[tokio::test]
async fn other_tenants_and_deleted_traces_teach_nothing() {
    let world = World::with(Store::memory(), Config { tenancy_enabled: true, ..Config::default() });
    let [own, other] = ["own", "other"].map(|name| Tenant::parse(name).expect("a name"));
    let spans: Vec<Stored> = (0..300).flat_map(|at| basket(at, 1_900_000 + u64::from(at) * 22_000)).collect();
    world.block_of(&other, &spans).await;
    world.block_of(&own, &[basket(900, NOW_MS - 600_000), basket(1_000, NOW_MS)].concat()).await;
    let sampled = async |tenants: &str| {
        let path = format!("/api/v1/traces/{}/diagnosis", wide_id(1_000));
        world.ask(&path, &[("x-scope-orgid", tenants)]).await.json()["baseline"]["sampledTraces"].clone()
    };
    assert_eq!((sampled("own").await, sampled("own|other").await), (json!(1), json!(256)));
    world.querier.delete_traces(&own, &[wide_id(900)], "asked to").await.expect("deleted");
    assert_eq!(sampled("own").await, json!(0));
}
