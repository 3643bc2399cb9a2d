//! Rules of "Spansets".

use super::*;

fn by(key: &str) -> Stage {
    Stage::By(attr(key))
}

fn aggregate(function: Aggregate, argument: Option<FieldExpr>) -> ScalarExpr {
    ScalarExpr::Aggregate { function, argument }
}

fn scalar(function: Aggregate, argument: Option<FieldExpr>, op: FieldOp, value: Value) -> Stage {
    Stage::Scalar(ScalarFilter { left: aggregate(function, argument), op, right: ScalarExpr::Literal(value) })
}

fn count(op: FieldOp, value: i64) -> Stage {
    scalar(Aggregate::Count, None, op, Value::Int(value))
}

fn is(key: &str, value: &str) -> SpansetExpr {
    filter(bin(attr(key), FieldOp::Eq, lit(string(value))))
}

fn combined(left: SpansetExpr, op: SpansetOp, right: SpansetExpr) -> SpansetExpr {
    SpansetExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

fn attributes(stored: &[StoredSpan], stages: Vec<Stage>) -> Vec<Labels> {
    let traces = search(stored, &query(stages), None, usize::MAX);
    traces.into_iter().flat_map(|trace| trace.span_sets).map(|set| set.attributes).collect()
}

/// Spans 1 x, 2 y, 3 x, 4 without.
fn spans() -> Vec<StoredSpan> {
    let with = |id: u8, value: &str| span(id, 1, 10 + u64::from(id)).with("a", text(value));
    vec![with(1, "x"), with(2, "y"), with(3, "x"), span(4, 1, 14)]
}

#[test]
fn both_or_nothing_and_either() {
    let op = |op, right: &str| found(&spans(), vec![Stage::Spansets(combined(is("a", "x"), op, is("a", right)))]);
    assert_eq!(op(SpansetOp::And, "y"), [[1, 2, 3]]);
    assert!(op(SpansetOp::And, "z").is_empty());
    assert_eq!(op(SpansetOp::Or, "z"), [[1, 3]]);
}

#[test]
fn groups_come_in_the_order_of_their_first_spans() {
    assert_eq!(found(&spans(), vec![by("a")]), [vec![1, 3], vec![2], vec![4]]);
    let named = |value| vec![("by(.a)".to_owned(), value)];
    assert_eq!(attributes(&spans(), vec![by("a")]), [named(string("x")), named(string("y")), named(Value::Nil)]);
    assert_eq!(found(&spans(), vec![by("a"), Stage::Coalesce]), [[1, 2, 3, 4]]);
    assert_eq!(attributes(&spans(), vec![by("a"), Stage::Coalesce]), [vec![]]);
    let typed = vec![
        span(1, 0, 11).with("a", Wire::IntValue(1)),
        span(2, 0, 12).with("a", Wire::DoubleValue(1.0)),
        span(3, 0, 13).with("a", text("1")),
        span(4, 0, 14).with("a", Wire::DoubleValue(0.0)),
        span(5, 0, 15).with("a", Wire::DoubleValue(-0.0)),
    ];
    assert_eq!(found(&typed, vec![by("a")]), [vec![1], vec![2], vec![3], vec![4, 5]]);
}

#[test]
fn later_filters_see_each_spanset_and_the_structure_of_the_trace() {
    let stages =
        vec![by("a"), Stage::Spansets(filter(bin(intrinsic(Intrinsic::SpanId), FieldOp::Ne, lit(string("2")))))];
    assert_eq!(found(&spans(), stages), [vec![1, 3], vec![4]]);
    let child = SpansetOp::Structural { relation: Relation::Child, mode: StructuralMode::Plain };
    let all = || SpansetExpr::Filter(None);
    // 1 is the parent of all, but only 3 is in a spanset with it.
    assert_eq!(found(&spans(), vec![by("a"), Stage::Spansets(combined(all(), child, all()))]), [[3]]);
    let descendant = SpansetOp::Structural { relation: Relation::Descendant, mode: StructuralMode::Plain };
    let chain = vec![span(1, 0, 10).with("a", text("x")), span(2, 1, 11), span(3, 2, 12).with("a", text("x"))];
    assert_eq!(found(&chain, vec![by("a"), Stage::Spansets(combined(all(), descendant, all()))]), [[3]]);
}

#[test]
fn scalar_filters_keep_spansets_and_add_what_they_counted() {
    assert_eq!(found(&spans(), vec![by("a"), count(FieldOp::Gt, 1)]), [[1, 3]]);
    let expect = vec![("by(.a)".to_owned(), string("x")), ("count()".to_owned(), Value::Int(2))];
    assert_eq!(attributes(&spans(), vec![by("a"), count(FieldOp::Gt, 1)]), [expect]);
    assert!(found(&spans(), vec![Stage::Spansets(is("a", "z")), count(FieldOp::Eq, 0)]).is_empty());
    let twice = vec![count(FieldOp::Gt, 1), Stage::Spansets(is("a", "y")), count(FieldOp::Eq, 1)];
    assert_eq!(attributes(&spans(), twice), [[("count()".to_owned(), Value::Int(1))]]);
    let sums = Stage::Scalar(ScalarFilter {
        left: ScalarExpr::Binary {
            op: FieldOp::Mul,
            left: Box::new(aggregate(Aggregate::Count, None)),
            right: Box::new(ScalarExpr::Literal(Value::Int(2))),
        },
        op: FieldOp::Gt,
        right: aggregate(Aggregate::Max, Some(intrinsic(Intrinsic::NestedSetParent))),
    });
    let names: Vec<String> = attributes(&spans(), vec![sums]).concat().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["count()", "max(nestedSetParent)"]);
}

#[test]
fn aggregates_keep_types_and_skip_what_is_no_number() {
    let one = |id, value| span(id, 0, 10 + u64::from(id)).with("n", value);
    let value = |spans: &[StoredSpan], function, argument: FieldExpr| {
        let stage = scalar(function, Some(argument), FieldOp::Ge, Value::Int(-1_000));
        attributes(spans, vec![stage]).concat().pop().map(|(_, value)| value)
    };
    let n = || attr("n");
    let ints = vec![one(1, Wire::IntValue(-3)), one(2, Wire::IntValue(-2)), one(3, text("x")), span(4, 0, 20)];
    assert_eq!(value(&ints, Aggregate::Sum, n()), Some(Value::Int(-5)));
    assert_eq!(value(&ints, Aggregate::Avg, n()), Some(Value::Float(-2.5)));
    assert_eq!(value(&ints, Aggregate::Min, n()), Some(Value::Int(-3)));
    assert_eq!(value(&ints, Aggregate::Max, n()), Some(Value::Int(-2)));
    let mixed = vec![one(1, Wire::IntValue(1)), one(2, Wire::DoubleValue(1.0)), one(3, Wire::DoubleValue(0.5))];
    assert_eq!(value(&mixed, Aggregate::Max, n()), Some(Value::Int(1)));
    assert_eq!(value(&mixed, Aggregate::Sum, n()), Some(Value::Float(2.5)));
    let large = vec![one(1, Wire::IntValue(i64::MAX)), one(2, Wire::IntValue(i64::MAX))];
    assert_eq!(value(&large, Aggregate::Sum, n()), Some(Value::Float(18_446_744_073_709_551_614.0)));
    assert_eq!(value(&[span(1, 0, 1)], Aggregate::Max, n()), None);
    let arrays = vec![one(1, array(vec![Wire::IntValue(4), Wire::IntValue(9)]))];
    assert_eq!(value(&arrays, Aggregate::Max, n()), Some(Value::Int(4)));
    let shorter = span(2, 0, 5).change(|one| one.span.end_time_unix_nano -= 1);
    let durations = vec![span(1, 0, 5), shorter];
    let duration = || intrinsic(Intrinsic::Duration);
    assert_eq!(value(&durations, Aggregate::Avg, duration()), Some(Value::Duration(999_999_999)));
    assert_eq!(value(&durations, Aggregate::Sum, duration()), Some(Value::Duration(1_999_999_999)));
}

#[test]
fn pipelines_in_parentheses() {
    let counted = |value: &str, more_than| {
        let stages = vec![Stage::Spansets(is("a", value)), count(FieldOp::Gt, more_than)];
        SpansetExpr::Pipeline(Box::new(Pipeline { stages }))
    };
    let and = |more_than| vec![Stage::Spansets(combined(counted("x", 1), SpansetOp::And, counted("y", more_than)))];
    assert_eq!(found(&spans(), and(0)), [[1, 2, 3]]);
    assert_eq!(attributes(&spans(), and(0)), [vec![]]);
    assert!(found(&spans(), and(1)).is_empty());
    let grouped = SpansetExpr::Pipeline(Box::new(Pipeline { stages: vec![by("a")] }));
    assert_eq!(found(&spans(), vec![Stage::Spansets(grouped)]).len(), 3);
}

#[test]
fn select_changes_nothing() {
    assert_eq!(
        found(&spans(), vec![Stage::Spansets(is("a", "y")), Stage::Select(vec![field(Scope::Any, "a")])]),
        [[2]]
    );
}
