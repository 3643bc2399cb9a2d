//! Rules of "Values", "Comparing", "Conditions" and "Arithmetic".

use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};

use super::*;
use crate::value::{Kind, Status};

/// Whether a condition is true of a span.
fn holds(one: &StoredSpan, condition: FieldExpr) -> bool {
    !matching(std::slice::from_ref(one), condition).is_empty()
}

fn is(one: &StoredSpan, key: &str, op: FieldOp, value: Value) -> bool {
    holds(one, bin(attr(key), op, lit(value)))
}

fn scoped(one: &StoredSpan, scope: Scope, key: &str, op: FieldOp, value: Value) -> bool {
    holds(one, bin(FieldExpr::Field(field(scope, key)), op, lit(value)))
}

#[test]
fn numbers_mix_and_other_types_are_false_for_equal_and_not_equal() {
    let one = span(1, 0, 10).with("n", Wire::IntValue(1000)).with("f", Wire::DoubleValue(0.5)).with("t", text("1000"));
    assert!(is(&one, "n", FieldOp::Eq, Value::Float(1000.0)));
    assert!(is(&one, "n", FieldOp::Eq, Value::Duration(1000)));
    assert!(is(&one, "f", FieldOp::Lt, Value::Int(1)));
    for op in [FieldOp::Eq, FieldOp::Ne, FieldOp::Lt, FieldOp::Ge] {
        assert!(!is(&one, "n", op, string("1000")));
        assert!(!is(&one, "t", op, Value::Int(1000)));
        assert!(!is(&one, "t", op, Value::Bool(true)));
    }
    assert!(holds(&one, bin(intrinsic(Intrinsic::Duration), FieldOp::Gt, lit(Value::Int(1000)))));
    let big = span(1, 0, 10).with("n", Wire::IntValue((1 << 53) + 1));
    assert!(!is(&big, "n", FieldOp::Eq, Value::Int(1 << 53)));
    assert!(is(&big, "n", FieldOp::Eq, Value::Float((1_i64 << 53) as f64)));
}

#[test]
fn texts_are_compared_bytewise_and_matched_whole() {
    let one = span(1, 0, 10).with("t", text("ab\nc"));
    assert!(is(&one, "t", FieldOp::Gt, string("Z")));
    assert!(is(&one, "t", FieldOp::Lt, string("é")));
    assert!(is(&one, "t", FieldOp::Matches, string("a.*c")));
    assert!(!is(&one, "t", FieldOp::Matches, string("ab")));
    assert!(!is(&one, "t", FieldOp::Matches, string("ab|x")));
    assert!(is(&one, "t", FieldOp::NotMatches, string("ab")));
    assert!(!is(&one, "none", FieldOp::NotMatches, string("ab")));
}

#[test]
fn statuses_and_kinds_have_the_order_of_their_numbers_and_booleans_none() {
    let one = span(1, 0, 10).failed().kind(3).with("flag", Wire::BoolValue(true));
    let status = |op, status| holds(&one, bin(intrinsic(Intrinsic::Status), op, lit(Value::Status(status))));
    assert!(status(FieldOp::Eq, Status::Error) && status(FieldOp::Ne, Status::Ok) && status(FieldOp::Gt, Status::Ok));
    assert!(holds(&one, bin(intrinsic(Intrinsic::Kind), FieldOp::Eq, lit(Value::Kind(Kind::Client)))));
    assert!(is(&one, "flag", FieldOp::Ne, Value::Bool(false)) && !is(&one, "flag", FieldOp::Ge, Value::Bool(false)));
    assert!(!holds(&one, bin(intrinsic(Intrinsic::Status), FieldOp::Ne, lit(string("ok")))));
}

#[test]
fn what_is_missing_is_only_equal_to_nil() {
    let one = span(1, 0, 10)
        .with("a", text("x"))
        .with("nan", Wire::DoubleValue(f64::NAN))
        .with("bytes", Wire::BytesValue(vec![1]))
        .with("empty", array(vec![]));
    for key in ["none", "nan", "bytes", "empty"] {
        for op in [FieldOp::Eq, FieldOp::Ne, FieldOp::Lt] {
            assert!(!is(&one, key, op, string("x")) && !is(&one, key, op, Value::Float(1.0)));
            assert!(!holds(&one, bin(attr(key), op, attr("none"))));
        }
        assert!(is(&one, key, FieldOp::Eq, Value::Nil) && !is(&one, key, FieldOp::Ne, Value::Nil));
    }
    assert!(!is(&one, "a", FieldOp::Eq, Value::Nil) && is(&one, "a", FieldOp::Ne, Value::Nil));
    assert!(holds(&one, bin(lit(Value::Nil), FieldOp::Ne, attr("a"))));
    assert!(!is(&one, "a", FieldOp::Ge, Value::Nil));
    for op in [FieldOp::Eq, FieldOp::Ne] {
        assert!(!holds(&one, bin(lit(Value::Nil), op, lit(Value::Nil))));
    }
}

#[test]
fn any_element_matches_and_no_element_differs() {
    let one = span(1, 0, 10).with("a", array(vec![text("x"), Wire::IntValue(1), text("y")]));
    assert!(is(&one, "a", FieldOp::Eq, string("y")) && is(&one, "a", FieldOp::Eq, Value::Int(1)));
    assert!(!is(&one, "a", FieldOp::Ne, string("y")) && is(&one, "a", FieldOp::Ne, string("z")));
    assert!(!is(&one, "a", FieldOp::Ne, Value::Bool(true)));
    assert!(is(&one, "a", FieldOp::Matches, string("[yz]")) && !is(&one, "a", FieldOp::NotMatches, string("[yz]")));
    assert!(is(&one, "a", FieldOp::Lt, Value::Int(2)) && is(&one, "a", FieldOp::NotMatches, string("q")));
}

#[test]
fn events_and_links_have_several_values() {
    let event = |name: &str, level: i64| Event {
        name: name.to_owned(),
        time_unix_nano: 9 * SECOND,
        attributes: vec![pair("n", Wire::IntValue(level))],
        ..Event::default()
    };
    let one = span(1, 0, 10).change(|one| {
        one.span.events = vec![Event::default(), event("a", 1), event("b", 2)];
        one.span.links = vec![Link { span_id: vec![0, 0, 0, 0, 0, 0, 0, 0xcd], ..Link::default() }];
    });
    assert!(is(&one, "n", FieldOp::Eq, Value::Int(2)) && !is(&one, "n", FieldOp::Ne, Value::Int(2)));
    assert!(scoped(&one, Scope::Event, "n", FieldOp::Ne, Value::Int(3)));
    assert!(holds(&one, bin(intrinsic(Intrinsic::EventName), FieldOp::Eq, lit(string("b")))));
    assert!(holds(
        &one,
        bin(intrinsic(Intrinsic::EventTimeSinceStart), FieldOp::Eq, lit(Value::Duration(-1_000_000_000)))
    ));
    assert!(holds(&one, bin(intrinsic(Intrinsic::LinkSpanId), FieldOp::Eq, lit(string("CD")))));
    // Arithmetic takes the first event that has it.
    assert!(holds(&one, bin(bin(attr("n"), FieldOp::Add, lit(Value::Int(1))), FieldOp::Eq, lit(Value::Int(2)))));
    assert!(!holds(&one, bin(bin(attr("n"), FieldOp::Add, lit(Value::Int(1))), FieldOp::Eq, lit(Value::Int(3)))));
}

#[test]
fn scopes_are_looked_through_in_order_and_empty_values_are_passed_over() {
    let scope = InstrumentationScope { attributes: vec![pair("u", text("scope"))], ..InstrumentationScope::default() };
    let event = Event { attributes: vec![pair("u", text("event"))], ..Event::default() };
    let link = Link { attributes: vec![pair("u", text("link"))], ..Link::default() };
    let mut one = span(1, 0, 10).change(|one| one.scope = Some(scope));
    let first = |one: &StoredSpan, expect: &str| {
        for word in ["span", "resource", "event", "link", "scope"] {
            assert_eq!(is(one, "u", FieldOp::Eq, string(word)), word == expect, "{word} {expect}");
        }
    };
    first(&one, "scope");
    assert!(scoped(&one, Scope::Instrumentation, "u", FieldOp::Eq, string("scope")));
    one.span.links.push(link);
    first(&one, "link");
    one.span.events.push(event);
    first(&one, "event");
    one.resource.attributes.push(pair("u", text("resource")));
    first(&one, "resource");
    one.span.attributes.push(KeyValue { key: "u".to_owned(), ..KeyValue::default() });
    first(&one, "resource");
    one.span.attributes.push(pair("u", text("span")));
    first(&one, "span");
    assert!(scoped(&one, Scope::Resource, "u", FieldOp::Eq, string("resource")));
}

#[test]
fn a_parent_has_attributes_too() {
    let spans = vec![span(1, 0, 10).with("a", text("x")), span(2, 1, 11), span(3, 9, 12)];
    let of_parent =
        |scope, key: &str| FieldExpr::Field(Field::Attribute { of_parent: true, scope, key: key.to_owned() });
    assert_eq!(matching(&spans, bin(of_parent(Scope::Span, "a"), FieldOp::Eq, lit(string("x")))), [2]);
    assert_eq!(matching(&spans, bin(of_parent(Scope::Any, "service.name"), FieldOp::Eq, lit(string("s")))), [2]);
    assert_eq!(matching(&spans, bin(of_parent(Scope::Any, "a"), FieldOp::Eq, lit(Value::Nil))), [1, 3]);
}

#[test]
fn intrinsics_of_a_span() {
    let one = span(2, 1, 10).failed().kind(2);
    let equal = |field, value| assert!(holds(&one, bin(intrinsic(field), FieldOp::Eq, lit(value))), "{field:?}");
    equal(Intrinsic::Name, string("span 2"));
    equal(Intrinsic::StatusMessage, string("boom"));
    equal(Intrinsic::Duration, Value::Duration(1_000_000_000));
    equal(Intrinsic::SpanId, string("0000000000000002"));
    equal(Intrinsic::SpanId, string("2"));
    equal(Intrinsic::ParentId, string("01"));
    equal(Intrinsic::TraceId, string("AB"));
    equal(Intrinsic::TraceId, string("000000000000000000000000000000ab"));
    equal(Intrinsic::TraceDuration, Value::Duration(1_000_000_000));
    equal(Intrinsic::ChildCount, Value::Int(0));
    for missing in [Intrinsic::RootName, Intrinsic::InstrumentationName, Intrinsic::EventName] {
        assert!(!holds(&one, bin(intrinsic(missing), FieldOp::Ne, lit(string("x")))), "{missing:?}");
    }
    assert!(holds(&span(1, 0, 10), bin(intrinsic(Intrinsic::ParentId), FieldOp::Eq, lit(string("")))));
    let family = vec![span(1, 0, 10), span(2, 1, 11), span(3, 1, 12)];
    assert_eq!(matching(&family, bin(intrinsic(Intrinsic::ChildCount), FieldOp::Eq, lit(Value::Int(2)))), [1]);
    assert_eq!(matching(&family, bin(intrinsic(Intrinsic::RootName), FieldOp::Eq, lit(string("span 1")))), [1, 2, 3]);
    assert_eq!(matching(&family, bin(intrinsic(Intrinsic::RootServiceName), FieldOp::Eq, lit(string("s")))), [1, 2, 3]);
    assert_eq!(matching(&family, bin(intrinsic(Intrinsic::SpanId), FieldOp::Matches, lit(string("2")))), [0_u8; 0]);
}

#[test]
fn not_is_true_of_conditions_on_what_is_missing_and_nil_of_what_is_no_boolean() {
    let one = span(1, 0, 10)
        .with("t", text("x"))
        .with("yes", Wire::BoolValue(true))
        .with("no", Wire::BoolValue(false))
        .with("both", array(vec![Wire::BoolValue(false), Wire::BoolValue(true)]));
    assert!(holds(&one, not(bin(attr("none"), FieldOp::Eq, lit(string("x"))))));
    assert!(!holds(&one, not(bin(attr("t"), FieldOp::Eq, lit(string("x"))))));
    assert!(holds(&one, attr("yes")) && !holds(&one, not(attr("yes"))));
    assert!(!holds(&one, attr("no")) && holds(&one, not(attr("no"))));
    assert!(holds(&one, attr("both")) && !holds(&one, not(attr("both"))));
    for nothing in ["none", "t"] {
        assert!(
            !holds(&one, attr(nothing)) && !holds(&one, not(attr(nothing))) && !holds(&one, not(not(attr(nothing))))
        );
        assert!(holds(&one, not(bin(attr(nothing), FieldOp::And, attr("yes")))));
    }
    assert!(holds(&one, bin(attr("none"), FieldOp::Or, attr("yes"))));
}

#[test]
fn arithmetic() {
    use Value::{Duration, Float, Int, Nil};
    let check = |a: Value, op, b: Value, expect: Value| {
        assert_eq!(operators::arithmetic(op, &a, &b), expect, "{a:?} {op:?} {b:?}");
    };
    check(Int(2), FieldOp::Pow, Int(3), Int(8));
    check(Int(2), FieldOp::Pow, Int(-1), Float(0.5));
    check(Int(-7), FieldOp::Div, Int(2), Int(-3));
    check(Int(-7), FieldOp::Mod, Int(2), Int(-1));
    check(Int(7), FieldOp::Div, Float(2.0), Float(3.5));
    check(Int(i64::MAX), FieldOp::Add, Int(1), Float(9_223_372_036_854_775_808.0));
    check(Int(1), FieldOp::Div, Int(0), Nil);
    check(Duration(1), FieldOp::Mod, Int(0), Nil);
    check(Float(0.0), FieldOp::Div, Int(0), Nil);
    check(Float(1.0), FieldOp::Div, Int(0), Float(f64::INFINITY));
    check(Duration(6), FieldOp::Mul, Int(2), Duration(12));
    check(Int(6), FieldOp::Sub, Duration(2), Duration(4));
    check(Duration(6), FieldOp::Div, Duration(2), Int(3));
    check(Duration(6), FieldOp::Div, Float(4.0), Float(1.5));
    check(string("6"), FieldOp::Add, Int(2), Nil);
    assert_eq!(operators::negate(&Int(i64::MIN)), Float(9_223_372_036_854_775_808.0));
    assert_eq!((operators::negate(&Duration(3)), operators::negate(&Nil)), (Duration(-3), Nil));
}
