//! Rules of "Metrics".

use super::*;

fn ask(stored: &[StoredSpan], function: MetricsFunction, by: Vec<Field>, second: Vec<SecondStage>) -> Vec<Series> {
    let query = Query { metrics: Some(Metrics { function, by, second }), ..query(vec![Stage::Coalesce]) };
    metrics(
        stored,
        &query,
        Interval { start_unix_nanos: 15 * SECOND, end_unix_nanos: 31 * SECOND, step_nanos: Some(10 * SECOND) },
    )
}

fn samples(series: &Series) -> Vec<(i64, f64)> {
    series.samples.iter().map(|(ms, value)| (ms / 1000, *value)).collect()
}

/// Label values as text, then samples.
fn table(series: Vec<Series>) -> Vec<(String, Vec<(i64, f64)>)> {
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        value => format!("{value:?}"),
    };
    let labels = |one: &Series| {
        one.labels.iter().map(|(key, value)| format!("{key}={}", word(value))).collect::<Vec<_>>().join(" ")
    };
    series.iter().map(|one| (labels(one), samples(one))).collect()
}

fn row(labels: &str, samples: &[(i64, f64)]) -> (String, Vec<(i64, f64)>) {
    (labels.to_owned(), samples.to_vec())
}

/// One before the first bucket, one in the first, two in the second, one in the last and one after it.
fn spans() -> Vec<StoredSpan> {
    let one = |id, start, n, a: &str| span(id, 0, start).with("n", Wire::IntValue(n)).with("a", text(a));
    vec![
        one(1, 0, 1, "x"),
        one(2, 10, 1, "x"),
        one(3, 11, 4, "x"),
        one(4, 20, 5, "y"),
        one(5, 40, 8, "x"),
        one(6, 41, 9, "x"),
    ]
}

#[test]
fn buckets_are_closed_on_the_right_and_aligned_with_one_before_the_start() {
    let counts = table(ask(&spans(), MetricsFunction::CountOverTime, vec![], vec![]));
    assert_eq!(counts, [row("__name__=count_over_time", &[(10, 1.0), (20, 2.0), (30, 0.0), (40, 1.0)])]);
    let rates = table(ask(&spans(), MetricsFunction::Rate, vec![], vec![]));
    assert_eq!(rates, [row("__name__=rate", &[(10, 0.1), (20, 0.2), (30, 0.0), (40, 0.1)])]);
    assert!(ask(&[span(1, 0, 99)], MetricsFunction::Rate, vec![], vec![]).is_empty());
}

#[test]
fn an_instant_query_has_one_bucket_open_on_the_left() {
    let query = Query {
        metrics: Some(Metrics { function: MetricsFunction::Rate, by: vec![], second: vec![] }),
        ..query(vec![Stage::Coalesce])
    };
    let interval = Interval { start_unix_nanos: 10 * SECOND, end_unix_nanos: 20 * SECOND, step_nanos: None };
    assert_eq!(table(metrics(&spans(), &query, interval)), [row("__name__=rate", &[(20, 0.2)])]);
}

#[test]
fn numbers_have_no_sample_for_empty_buckets_and_durations_are_seconds() {
    let n = || field(Scope::Any, "n");
    let only = |function| ask(&spans(), function, vec![], vec![]).iter().flat_map(samples).collect::<Vec<_>>();
    assert_eq!(only(MetricsFunction::SumOverTime(n())), [(10, 1.0), (20, 9.0), (40, 8.0)]);
    assert_eq!(only(MetricsFunction::AvgOverTime(n())), [(10, 1.0), (20, 4.5), (40, 8.0)]);
    assert_eq!(only(MetricsFunction::MinOverTime(n())), [(10, 1.0), (20, 4.0), (40, 8.0)]);
    assert_eq!(only(MetricsFunction::MaxOverTime(n())), [(10, 1.0), (20, 5.0), (40, 8.0)]);
    let seconds = |field| only(MetricsFunction::MaxOverTime(Field::Intrinsic(field)));
    assert_eq!(seconds(Intrinsic::Duration), [(10, 1.0), (20, 1.0), (40, 1.0)]);
    assert_eq!(seconds(Intrinsic::TraceDuration), [(10, 32.0), (20, 32.0), (40, 32.0)]);
    assert!(only(MetricsFunction::MaxOverTime(field(Scope::Any, "a"))).is_empty());
}

#[test]
fn labels_leave_out_nil_but_one() {
    let spans = vec![
        span(1, 0, 20).with("a", text("x")),
        span(2, 0, 20).with("a", text("x")).with("b", text("y")),
        span(3, 0, 20),
        span(4, 0, 20).with("a", Wire::IntValue(1)),
    ];
    let by = vec![field(Scope::Span, "b"), field(Scope::Any, "a")];
    let all: Vec<String> =
        table(ask(&spans, MetricsFunction::Rate, by, vec![])).into_iter().map(|(labels, _)| labels).collect();
    assert_eq!(all, [".a=Int(1)", ".a=x", "span.b=Nil", "span.b=y .a=x"]);
    // An attribute of the scope is not looked at.
    let scope = InstrumentationScope { attributes: vec![pair("s", text("x"))], ..InstrumentationScope::default() };
    let scoped = span(1, 0, 20).change(|one| one.scope = Some(scope));
    let series = ask(&[scoped], MetricsFunction::Rate, vec![field(Scope::Any, "s")], vec![]);
    assert_eq!(series[0].labels, [(".s".to_owned(), Value::Nil)]);
}

#[test]
fn histograms_have_powers_of_two() {
    let n = field(Scope::Any, "n");
    let rows = table(ask(&spans(), MetricsFunction::HistogramOverTime(n), vec![field(Scope::Any, "a")], vec![]));
    assert_eq!(
        rows,
        [
            row(".a=x __bucket=Float(4.0)", &[(10, 0.0), (20, 1.0), (30, 0.0), (40, 0.0)]),
            row(".a=x __bucket=Float(8.0)", &[(10, 0.0), (20, 0.0), (30, 0.0), (40, 1.0)]),
            row(".a=y __bucket=Float(8.0)", &[(10, 0.0), (20, 1.0), (30, 0.0), (40, 0.0)]),
        ]
    );
    let duration = MetricsFunction::HistogramOverTime(Field::Intrinsic(Intrinsic::Duration));
    let series = ask(&[span(1, 0, 20)], duration, vec![], vec![]);
    assert_eq!(series[0].labels, [("__bucket".to_owned(), Value::Float(1.073741824))]);
    let double = span(1, 0, 20).with("n", Wire::DoubleValue(4.0));
    assert!(ask(&[double], MetricsFunction::HistogramOverTime(field(Scope::Any, "n")), vec![], vec![]).is_empty());
}

#[test]
fn quantiles_are_interpolated_within_their_bucket() {
    let spans: Vec<_> = (1..=4).map(|id| span(id, 0, 20).with("n", Wire::IntValue(8))).collect();
    let quantiles = MetricsFunction::QuantileOverTime { field: field(Scope::Any, "n"), quantiles: vec![0.5, 0.0, 1.0] };
    let rows = table(ask(&spans, quantiles, vec![], vec![]));
    let around = |value| vec![(10, 0.0), (20, value), (30, 0.0), (40, 0.0)];
    assert_eq!(
        rows,
        [
            row("p=Float(0.0)", &around(4.0)),
            row("p=Float(0.5)", &around(2_f64.powf(2.5))),
            row("p=Float(1.0)", &around(8.0)),
        ]
    );
    let mut two = spans[..2].to_vec();
    two[1] = span(2, 0, 20).with("n", Wire::IntValue(1000));
    let q = |q| MetricsFunction::QuantileOverTime { field: field(Scope::Any, "n"), quantiles: vec![q] };
    assert_eq!(samples(&ask(&two, q(0.5), vec![], vec![])[0])[1], (20, 8.0));
    assert_eq!(samples(&ask(&two, q(0.75), vec![], vec![])[0])[1], (20, 2_f64.powf(9.5)));
}

#[test]
fn second_stages_take_out_samples_and_then_series() {
    let by = || vec![field(Scope::Any, "a")];
    let top = table(ask(&spans(), MetricsFunction::CountOverTime, by(), vec![SecondStage::TopK(1)]));
    // In the bucket at 20 both have one span, at 30 both none: the first in label order stays.
    assert_eq!(top, [row(".a=x", &[(10, 1.0), (20, 1.0), (30, 0.0), (40, 1.0)])]);
    let bottom = table(ask(&spans(), MetricsFunction::CountOverTime, by(), vec![SecondStage::BottomK(1)]));
    assert_eq!(bottom, [row(".a=x", &[(20, 1.0), (30, 0.0)]), row(".a=y", &[(10, 0.0), (40, 0.0)])]);
    let filter = |op, value| SecondStage::Filter { op, value };
    let some =
        ask(&spans(), MetricsFunction::CountOverTime, by(), vec![filter(FieldOp::Gt, 0.0), SecondStage::TopK(9)]);
    assert_eq!(table(some), [row(".a=x", &[(10, 1.0), (20, 1.0), (40, 1.0)]), row(".a=y", &[(20, 1.0)])]);
    assert!(ask(&spans(), MetricsFunction::CountOverTime, by(), vec![filter(FieldOp::Eq, 7.0)]).is_empty());
}

#[test]
fn compare_counts_what_the_selection_and_the_others_have() {
    let spans = vec![
        span(1, 0, 20).with("a", text("x")).failed(),
        span(2, 0, 20).with("a", text("y")),
        span(3, 0, 20).with("a", text("y")),
        span(4, 0, 20).with("a", text("z")).with("list", array(vec![text("q")])),
    ];
    let selection = Some(bin(attr("a"), FieldOp::Eq, lit(string("x"))));
    let compare = |range| MetricsFunction::Compare { selection: selection.clone(), top: 1, range };
    let rows = table(ask(&spans, compare(None), vec![], vec![]));
    let has = |labels: &str, count: f64| rows.contains(&row(labels, &[(10, 0.0), (20, count), (30, 0.0), (40, 0.0)]));
    assert!(has("__meta_type=baseline span.a=y", 2.0));
    assert!(has("__meta_type=baseline __meta_error=__too_many_values__ span.a=Nil", 0.0));
    assert!(has("__meta_type=baseline_total span.a=Nil", 3.0));
    assert!(has("__meta_type=selection span.a=x", 1.0));
    assert!(has("__meta_type=selection_total span.a=Nil", 1.0));
    assert!(has("__meta_type=selection status=Status(Error)", 1.0));
    assert!(has("__meta_type=selection statusMessage=boom", 1.0));
    assert!(has("__meta_type=baseline resource.service.name=s", 3.0));
    assert!(!rows.iter().any(|(labels, _)| labels.contains("list") || labels.contains("baseline statusMessage")));
    let elsewhere = table(ask(&spans, compare(Some((0, 19 * SECOND as i64))), vec![], vec![]));
    assert!(elsewhere.iter().all(|(labels, _)| !labels.contains("selection")));
}
