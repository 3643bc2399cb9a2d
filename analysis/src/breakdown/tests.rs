//! Planted causes must be found, and chance must not.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

type Span = Vec<(&'static str, String)>;

fn seen(span: &Span) -> impl Iterator<Item = (&str, Seen<'_>)> {
    span.iter().map(|(key, value)| match value.parse::<f64>() {
        Ok(number) if *key == "size" => (*key, Seen::Number(number)),
        _ => (*key, Seen::Text(value)),
    })
}

fn counts(spans: &[Span], beside: Option<&ValueCounts>) -> ValueCounts {
    let mut counts = beside.map(ValueCounts::beside).unwrap_or_default();
    spans.iter().for_each(|span| counts.add(WEIGHT_ONE, seen(span)));
    counts
}

fn compare(selected: &[Span], baseline: &[Span], chosen_by: &[&str]) -> Breakdown {
    let ours = counts(selected, None);
    breakdown(&ours, &counts(baseline, Some(&ours)), chosen_by)
}

/// Spans of a shop; a share of them has the bad version, which runs in one region only.
fn shop(seed: u64, count: usize, bad_share: f64) -> Vec<Span> {
    let mut dice = SmallRng::seed_from_u64(seed);
    let span = |_| {
        let bad = dice.random_bool(bad_share);
        let mut span = vec![
            ("version", if bad { "2.8.1" } else { "2.8.0" }.to_owned()),
            ("region", if bad { "eu" } else { "us" }.to_owned()),
            ("route", format!("/r{}", dice.random_range(0..20))),
            ("user", format!("u{}", dice.random_range(0..1_000_000))),
            ("size", dice.random_range(if bad { 500..1_500 } else { 0..1_000 }).to_string()),
        ];
        if !bad {
            span.push(("cache", "hit".to_owned()));
        }
        span
    };
    (0..count).map(span).collect()
}

#[test]
fn a_planted_cause_comes_first_and_chance_not_at_all() {
    let (selected, baseline) = (shop(1, 1_000, 0.7), shop(2, 20_000, 0.05));
    let found = compare(&selected, &baseline, &[]);
    let keys: Vec<&str> = found.differences.iter().map(|one| one.key.as_str()).collect();
    assert!(keys[..2].iter().all(|key| ["cache", "region", "version"].contains(key)), "{keys:?}");
    assert!(!keys.contains(&"user") && found.identity_keys == ["user"]);
    // Routes are drawn alike on both sides.
    assert!(found.differences.iter().filter(|one| one.key == "route").all(|one| one.score.abs() < 0.01));
    assert_eq!(found.numbers[0].key, "size");
    assert!((0.2..0.5).contains(&found.numbers[0].d), "{:?}", found.numbers);
    let version = found.differences.iter().find(|one| one.value.as_deref() == Some("2.8.1")).expect("found");
    assert!((0.55..0.7).contains(&version.score), "{version:?}");
    // Spans without the attribute are a value too.
    assert!(found.differences.iter().any(|one| one.key == "cache" && one.value.is_none() && one.score > 0.5));
    assert!(compare(&selected, &baseline, &["region"]).differences.iter().all(|one| one.key != "region"));
}

#[test]
fn values_that_come_together_are_one() {
    let (selected, baseline) = (shop(1, 1_000, 0.7), shop(2, 20_000, 0.05));
    let found = compare(&selected, &baseline, &[]);
    let mut joint = JointCounts::new(&found.differences);
    selected.iter().for_each(|span| joint.add(true, WEIGHT_ONE, seen(span)));
    baseline.iter().for_each(|span| joint.add(false, WEIGHT_ONE, seen(span)));
    let merged = merge_together(found.differences, &joint);
    let leaders: Vec<_> = merged.iter().filter(|one| one.score.abs() > 0.1).collect();
    assert_eq!(leaders.len(), 2, "one for the bad, one for the good: {leaders:?}");
    assert!(leaders.iter().all(|one| one.together.len() == 2));
    assert!(pairs(&merged, &joint).is_empty());
}

#[test]
fn a_pair_that_says_more_than_either() {
    // The selection has both; the baseline has either often, both never.
    let span = |a: bool, b: bool| -> Span { vec![("a", a.to_string()), ("b", b.to_string())] };
    let selected: Vec<Span> = (0..400).map(|at| span(at % 10 != 0, at % 10 != 0)).collect();
    let baseline: Vec<Span> = (0..4_000).map(|at| span(at % 2 == 0, at % 2 == 1)).collect();
    let found = compare(&selected, &baseline, &[]);
    let mut joint = JointCounts::new(&found.differences);
    selected.iter().for_each(|span| joint.add(true, WEIGHT_ONE, seen(span)));
    baseline.iter().for_each(|span| joint.add(false, WEIGHT_ONE, seen(span)));
    let pairs = pairs(&found.differences, &joint);
    assert_eq!(pairs.len(), 1);
    assert_eq!((pairs[0].first.0.as_str(), pairs[0].second.0.as_str()), ("a", "b"));
    assert!(pairs[0].score > 0.8);
}

#[test]
fn counting_in_parts_is_the_same() {
    let (selected, baseline) = (shop(3, 500, 0.5), shop(4, 500, 0.1));
    let whole = counts(&baseline, Some(&counts(&selected, None)));
    let mut parts = counts(&baseline[300..], Some(&counts(&selected, None)));
    parts.merge(&counts(&baseline[..300], Some(&counts(&selected, None))));
    assert_eq!(parts, whole);
}

#[test]
fn weights_and_empty_sides() {
    let span: Span = vec![("a", "x".to_owned())];
    let mut heavy = ValueCounts::default();
    (0..10).for_each(|_| heavy.add(100 * WEIGHT_ONE, seen(&span)));
    assert!((heavy.all().effective() - 10.0).abs() < 1e-9, "a weight does not make ten spans a thousand");
    assert_eq!(compare(&[], &[], &[]), Breakdown::default());
    assert!(compare(&vec![span.clone(); 50], &[], &[]).differences.is_empty());
    assert!(compare(&[span.clone(), span], &shop(1, 1_000, 0.0), &[]).differences.iter().all(|one| one.key != "a"));
    let (low, high) = wilson(0.5, 100.0);
    assert!((low - 0.4038).abs() < 1e-3 && (high - 0.5962).abs() < 1e-3);
}

#[test]
fn values_counted_together_are_those_counted_one_by_one() {
    let spans = shop(7, 500, 0.3);
    let one_by_one = counts(&spans, None);
    let mut together = ValueCounts::default();
    together.add_spans(spans.len() as u64);
    let mut seen_values: BTreeMap<(&str, String), u64> = BTreeMap::new();
    for (key, value) in spans.iter().flatten() {
        *seen_values.entry((key, value.clone())).or_default() += 1;
    }
    for ((key, value), count) in &seen_values {
        let seen = match value.parse::<f64>() {
            Ok(number) if *key == "size" => Seen::Number(number),
            _ => Seen::Text(value),
        };
        together.add_value(key, seen, *count);
    }
    assert_eq!(one_by_one, together);
    let mut sizes: Vec<f64> =
        spans.iter().flatten().filter(|(key, _)| *key == "size").filter_map(|(_, v)| v.parse().ok()).collect();
    sizes.sort_by(f64::total_cmp);
    let (exact, found) = (sizes[sizes.len() / 2], together.number_quantile("size", 0.5).expect("sizes"));
    assert!((exact - found).abs() <= exact * 0.04, "{exact} {found}");
    assert_eq!(together.number_quantile("route", 0.5), None);
}

#[test]
fn held_values_are_those_of_spans() {
    let spans = shop(9, 400, 0.4);
    let differences = compare(&spans[..200], &shop(10, 400, 0.05), &[]).differences;
    let (mut one_by_one, mut held) = (JointCounts::new(&differences), JointCounts::new(&differences));
    for (at, span) in spans.iter().enumerate() {
        one_by_one.add(at % 3 == 0, WEIGHT_ONE, seen(span));
        let holds = |(key, value): &(String, Option<String>)| {
            span.iter().find(|(known, _)| known == key).map(|(_, value)| value) == value.as_ref()
        };
        let bits =
            held.tracked().iter().enumerate().filter(|(_, value)| holds(value)).fold(0, |bits, (at, _)| bits | 1 << at);
        held.add_held(at % 3 == 0, bits, 1);
    }
    assert_eq!(one_by_one, held);
}
