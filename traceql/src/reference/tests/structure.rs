//! Rules of "Traces", "Structure" and "Search".

use super::*;

/// Nested set of each span, by id: left, right, parent.
fn nested(stored: &[StoredSpan]) -> Vec<(u8, i64, i64, i64)> {
    let traces = trace::traces(stored);
    let number = |at: usize, field| match fields::one_value(&traces[0], at, &Field::Intrinsic(field)) {
        Value::Int(number) => number,
        other => panic!("{other:?}"),
    };
    let row = |at: usize| {
        let id = traces[0].spans[at].span.span_id[7];
        let [left, right, parent] =
            [Intrinsic::NestedSetLeft, Intrinsic::NestedSetRight, Intrinsic::NestedSetParent].map(|f| number(at, f));
        (id, left, right, parent)
    };
    let mut rows: Vec<_> = (0..traces[0].spans.len()).map(row).collect();
    rows.sort_unstable();
    rows
}

fn relation(stored: &[StoredSpan], left: u8, relation: Relation, mode: StructuralMode, right: &[u8]) -> Vec<u8> {
    let is = |id: &u8| bin(intrinsic(Intrinsic::Name), FieldOp::Eq, lit(string(&format!("span {id}"))));
    let any = right.iter().map(is).reduce(|a, b| bin(a, FieldOp::Or, b));
    let expr = SpansetExpr::Binary {
        op: SpansetOp::Structural { relation, mode },
        left: Box::new(filter(is(&left))),
        right: Box::new(SpansetExpr::Filter(any)),
    };
    found(stored, vec![Stage::Spansets(expr)]).concat()
}

/// 1 -> (2 -> 4, 3)
fn family() -> Vec<StoredSpan> {
    vec![span(4, 2, 13), span(1, 0, 10), span(3, 1, 12), span(2, 1, 11)]
}

#[test]
fn every_relation_in_every_mode() {
    use Relation::*;
    use StructuralMode::*;
    let check = |left, rel, mode, expect: &[u8]| {
        assert_eq!(relation(&family(), left, rel, mode, &[1, 2, 3, 4]), expect, "{left} {rel:?} {mode:?}");
    };
    check(1, Child, Plain, &[2, 3]);
    check(1, Child, Not, &[1, 4]);
    check(1, Child, Union, &[1, 2, 3]);
    check(1, Descendant, Plain, &[2, 3, 4]);
    check(2, Parent, Plain, &[1]);
    check(2, Parent, Union, &[1, 2]);
    check(4, Ancestor, Plain, &[1, 2]);
    check(4, Ancestor, Not, &[3, 4]);
    check(2, Sibling, Plain, &[3]);
    check(2, Sibling, Not, &[1, 2, 4]);
    check(2, Sibling, Union, &[2, 3]);
    check(1, Sibling, Plain, &[]);
    check(9, Child, Not, &[1, 2, 3, 4]);
    check(9, Child, Union, &[]);
    assert_eq!(relation(&family(), 1, Child, Not, &[9]), [0_u8; 0]);
}

#[test]
fn nested_sets_of_a_tree() {
    assert_eq!(nested(&family()), [(1, 1, 8, -1), (2, 2, 5, 1), (3, 6, 7, 1), (4, 3, 4, 2)]);
}

#[test]
fn orphans_are_roots_of_their_own_trees() {
    let spans = vec![span(2, 9, 11), span(3, 2, 12), span(1, 0, 10)];
    assert_eq!(nested(&spans), [(1, 1, 2, -1), (2, 3, 6, -1), (3, 4, 5, 3)]);
    let rootless = &spans[..2];
    assert_eq!(relation(rootless, 2, Relation::Child, StructuralMode::Plain, &[2, 3]), [3]);
    let found = &search(rootless, &query(vec![Stage::Spansets(SpansetExpr::Filter(None))]), None, 9)[0];
    assert_eq!((&found.root_name, &found.root_service), (&None, &None));
    // Orphans of one missing parent are no siblings.
    let orphans = vec![span(1, 9, 10), span(2, 9, 11)];
    assert_eq!(relation(&orphans, 1, Relation::Sibling, StructuralMode::Plain, &[1, 2]), [0_u8; 0]);
}

#[test]
fn a_cycle_is_cut_at_its_first_span_and_a_span_is_not_its_own_parent() {
    let cycle = vec![span(1, 3, 12), span(2, 1, 10), span(3, 2, 11), span(4, 3, 9), span(5, 5, 13)];
    // 2 starts first of the cycle; 4 hangs on it without being part of it.
    assert_eq!(nested(&cycle), [(1, 5, 6, 2), (2, 1, 8, -1), (3, 2, 7, 1), (4, 3, 4, 2), (5, 9, 10, -1)]);
}

#[test]
fn of_a_shared_id_the_server_is_the_clients_child_and_the_parent_of_the_children() {
    let server = span(2, 1, 12).kind(2).change(|one| one.span.name = "server".to_owned());
    let spans = vec![span(1, 0, 10), span(2, 1, 11).kind(3), server, span(3, 2, 13), span(2, 1, 14).kind(1)];
    let traces = trace::traces(&spans);
    assert_eq!(traces[0].parents, [None, Some(0), Some(1), Some(2), Some(0)]);
}

#[test]
fn copies_count_once_and_the_first_stays() {
    let one = span(1, 0, 10).with("a", text("first"));
    let copy = span(1, 0, 10).with("a", text("second"));
    let other_kind = span(1, 0, 10).kind(3);
    let spans = vec![one, copy, other_kind];
    assert_eq!(matching(&spans, lit(Value::Bool(true))), [1, 1]);
    assert_eq!(matching(&spans, bin(attr("a"), FieldOp::Eq, lit(string("first")))), [1]);
    assert_eq!(matching(&spans, bin(attr("a"), FieldOp::Eq, lit(string("second")))), [0_u8; 0]);
}

#[test]
fn the_facts_of_a_trace_leave_out_spans_without_a_start() {
    let no_start = span(3, 1, 0).change(|one| one.span.end_time_unix_nano = 99 * SECOND).failed();
    let inverted = span(2, 1, 20).change(|one| one.span.end_time_unix_nano = 0);
    let nameless = span(4, 1, 12).change(|one| one.resource = Resource::default());
    let root = span(1, 0, 10).change(|one| one.span.parent_span_id = vec![1]);
    let found = search(&[no_start, inverted, nameless, root], &query(vec![Stage::Coalesce]), None, 9);
    assert_eq!((found[0].start_unix_nanos, found[0].end_unix_nanos), (10 * SECOND, 20 * SECOND));
    assert_eq!(found[0].root_name.as_deref(), Some("span 1"));
    assert_eq!(found[0].services, BTreeMap::from([("s".to_owned(), (3, 1))]));
    let durations: Vec<u64> = found[0].span_sets[0].spans.iter().map(|span| span.duration_nanos / SECOND).collect();
    assert_eq!(durations, [99, 1, 1, 0]);
}

#[test]
fn newest_traces_come_first_and_the_range_is_closed() {
    let spans = vec![span(1, 0, 10).of_trace(1), span(1, 0, 20).of_trace(3), span(1, 0, 20).of_trace(2)];
    let ids = |range, limit| -> Vec<u8> {
        let found = search(&spans, &query(vec![Stage::Spansets(SpansetExpr::Filter(None))]), range, limit);
        found.into_iter().map(|trace| trace.trace_id[15]).collect()
    };
    assert_eq!(ids(None, 9), [2, 3, 1]);
    assert_eq!(ids(None, 1), [2]);
    assert_eq!(ids(Some((11 * SECOND, 19 * SECOND)), 9), [1]);
    assert_eq!(ids(Some((11 * SECOND + 1, 20 * SECOND - 1)), 9), [0_u8; 0]);
}
