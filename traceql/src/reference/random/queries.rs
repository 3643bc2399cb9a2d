//! Random pipelines. They are what the language's checker lets through: types that are known fit, constants stand
//! alone.

use rand::Rng as _;
use rand::rngs::StdRng;

use super::{one_of, percent};
use crate::ast::{
    Aggregate, Field, FieldExpr, FieldOp, Intrinsic, Pipeline, Query, Relation, ScalarExpr, ScalarFilter, Scope,
    SpansetExpr, SpansetOp, Stage, StructuralMode,
};
use crate::value::{Kind, Status, Value};

const COMPARISONS: [FieldOp; 6] = [FieldOp::Eq, FieldOp::Ne, FieldOp::Lt, FieldOp::Le, FieldOp::Gt, FieldOp::Ge];
const ARITHMETIC: [FieldOp; 6] = [FieldOp::Add, FieldOp::Sub, FieldOp::Mul, FieldOp::Div, FieldOp::Mod, FieldOp::Pow];
const RELATIONS: [Relation; 5] =
    [Relation::Child, Relation::Descendant, Relation::Parent, Relation::Ancestor, Relation::Sibling];
const NUMBERS: [Intrinsic; 7] = [
    Intrinsic::Duration,
    Intrinsic::TraceDuration,
    Intrinsic::ChildCount,
    Intrinsic::NestedSetLeft,
    Intrinsic::NestedSetRight,
    Intrinsic::NestedSetParent,
    Intrinsic::EventTimeSinceStart,
];
const TEXTS: [Intrinsic; 7] = [
    Intrinsic::Name,
    Intrinsic::StatusMessage,
    Intrinsic::RootName,
    Intrinsic::RootServiceName,
    Intrinsic::EventName,
    Intrinsic::InstrumentationName,
    Intrinsic::InstrumentationVersion,
];
const IDS: [Intrinsic; 5] =
    [Intrinsic::TraceId, Intrinsic::SpanId, Intrinsic::ParentId, Intrinsic::LinkTraceId, Intrinsic::LinkSpanId];

/// A query for a search.
pub fn search_query(rng: &mut StdRng) -> Query {
    Query { pipeline: pipeline(rng, true), metrics: None, hints: vec![] }
}

/// Spans first, then up to three stages.
pub(super) fn pipeline(rng: &mut StdRng, may_wrap: bool) -> Pipeline {
    let mut stages = vec![Stage::Spansets(spansets(rng, 3, may_wrap))];
    // A pipeline in parentheses that has one stage is no pipeline.
    let counts: &[usize] = if may_wrap { &[0, 0, 0, 1, 1, 2, 3] } else { &[1, 1, 2] };
    for _ in 0..*one_of(rng, counts) {
        stages.push(match rng.random_range(0..10) {
            0..4 => scalar_stage(rng),
            4..7 => Stage::By(group_expression(rng)),
            7 => Stage::Coalesce,
            8 => Stage::Select((0..rng.random_range(1..3)).map(|_| any_field(rng)).collect()),
            _ => Stage::Spansets(spansets(rng, 1, false)),
        });
    }
    Pipeline { stages }
}

fn spansets(rng: &mut StdRng, depth: u32, may_wrap: bool) -> SpansetExpr {
    if depth == 0 || percent(rng, 50) {
        return SpansetExpr::Filter(filter(rng));
    }
    if may_wrap && percent(rng, 12) {
        return SpansetExpr::Pipeline(Box::new(pipeline(rng, false)));
    }
    let op = match rng.random_range(0..8) {
        0 => SpansetOp::And,
        1 => SpansetOp::Or,
        _ => SpansetOp::Structural {
            relation: *one_of(rng, &RELATIONS),
            mode: *one_of(
                rng,
                &[StructuralMode::Plain, StructuralMode::Plain, StructuralMode::Not, StructuralMode::Union],
            ),
        },
    };
    let left = Box::new(spansets(rng, depth - 1, may_wrap));
    SpansetExpr::Binary { op, left, right: Box::new(spansets(rng, depth - 1, may_wrap)) }
}

/// What stands between braces.
pub(super) fn filter(rng: &mut StdRng) -> Option<FieldExpr> {
    match rng.random_range(0..100) {
        0..25 => None,
        25..28 => Some(FieldExpr::Literal(Value::Bool(rng.random()))),
        _ => Some(condition(rng, 3)),
    }
}

fn condition(rng: &mut StdRng, depth: u32) -> FieldExpr {
    if depth == 0 || percent(rng, 60) {
        return simple_condition(rng);
    }
    match rng.random_range(0..10) {
        0..4 => binary(condition(rng, depth - 1), FieldOp::And, condition(rng, depth - 1)),
        4..8 => binary(condition(rng, depth - 1), FieldOp::Or, condition(rng, depth - 1)),
        _ => FieldExpr::Not(Box::new(condition(rng, depth - 1))),
    }
}

fn simple_condition(rng: &mut StdRng) -> FieldExpr {
    let equality = |rng: &mut StdRng| *one_of(rng, &[FieldOp::Eq, FieldOp::Ne]);
    match rng.random_range(0..20) {
        0..4 => binary(number(rng, 2), *one_of(rng, &COMPARISONS), number_literal(rng)),
        4 => binary(number(rng, 1), *one_of(rng, &COMPARISONS), number(rng, 1)),
        5..7 => binary(intrinsic(rng, &TEXTS), *one_of(rng, &COMPARISONS), text_literal(rng)),
        7 => {
            let op = *one_of(rng, &[FieldOp::Matches, FieldOp::NotMatches]);
            let field = if percent(rng, 60) { attribute(rng) } else { intrinsic(rng, &TEXTS) };
            binary(field, op, regex_literal(rng))
        }
        8..12 => {
            let literal = attribute_literal(rng);
            let ordered = matches!(literal, Value::Int(_) | Value::Float(_) | Value::String(_));
            let op = if ordered { *one_of(rng, &COMPARISONS) } else { equality(rng) };
            let (field, literal) = (attribute(rng), FieldExpr::Literal(literal));
            if percent(rng, 90) { binary(field, op, literal) } else { binary(literal, op, field) }
        }
        12..14 => service_condition(rng),
        14 => binary(attribute(rng), *one_of(rng, &COMPARISONS), attribute(rng)),
        15 => binary(not_service(rng), equality(rng), FieldExpr::Literal(Value::Nil)),
        16 if percent(rng, 50) => {
            let status = *one_of(rng, &[Status::Unset, Status::Ok, Status::Error]);
            binary(intrinsic(rng, &[Intrinsic::Status]), equality(rng), FieldExpr::Literal(Value::Status(status)))
        }
        16 => {
            let kinds = [Kind::Unspecified, Kind::Internal, Kind::Server, Kind::Client, Kind::Producer, Kind::Consumer];
            let kind = FieldExpr::Literal(Value::Kind(*one_of(rng, &kinds)));
            binary(intrinsic(rng, &[Intrinsic::Kind]), equality(rng), kind)
        }
        17 => {
            let field = intrinsic(rng, &IDS);
            let text = *one_of(rng, &["1", "01", "0000000000000002", "3", "A", "no id", ""]);
            binary(field, equality(rng), FieldExpr::Literal(Value::String(text.to_owned())))
        }
        18 => {
            let flag = FieldExpr::Field(span_attribute("flag"));
            if percent(rng, 50) { flag } else { FieldExpr::Not(Box::new(flag)) }
        }
        _ => attribute(rng),
    }
}

fn service_condition(rng: &mut StdRng) -> FieldExpr {
    let scope = *one_of(rng, &[Scope::Resource, Scope::Resource, Scope::Any]);
    let field =
        FieldExpr::Field(Field::Attribute { of_parent: percent(rng, 10), scope, key: "service.name".to_owned() });
    let service = *one_of(rng, &["shop", "cart", "db", ""]);
    binary(field, *one_of(rng, &[FieldOp::Eq, FieldOp::Ne]), FieldExpr::Literal(Value::String(service.to_owned())))
}

/// A number of the span; constants only beside something that is none.
fn number(rng: &mut StdRng, depth: u32) -> FieldExpr {
    if depth == 0 || percent(rng, 70) {
        return FieldExpr::Field(number_field(rng));
    }
    match rng.random_range(0..5) {
        0 => FieldExpr::Negate(Box::new(number(rng, depth - 1))),
        1..4 => binary(number(rng, depth - 1), *one_of(rng, &ARITHMETIC), number_literal(rng)),
        _ => binary(number(rng, depth - 1), *one_of(rng, &ARITHMETIC), number(rng, depth - 1)),
    }
}

pub(super) fn number_field(rng: &mut StdRng) -> Field {
    match rng.random_range(0..10) {
        0..3 => Field::Intrinsic(Intrinsic::Duration),
        3..5 => Field::Intrinsic(*one_of(rng, &NUMBERS)),
        5..7 => span_attribute("n"),
        7 => span_attribute(["f", "mix", "arr", "big"][rng.random_range(0..4)]),
        8 => {
            Field::Attribute { of_parent: false, scope: *one_of(rng, &[Scope::Any, Scope::Event]), key: "n".to_owned() }
        }
        _ => Field::Attribute { of_parent: percent(rng, 30), scope: Scope::Any, key: "u".to_owned() },
    }
}

fn group_expression(rng: &mut StdRng) -> FieldExpr {
    match rng.random_range(0..10) {
        0 => condition_on_field(rng),
        1 => number(rng, 1),
        _ => FieldExpr::Field(any_field(rng)),
    }
}

fn condition_on_field(rng: &mut StdRng) -> FieldExpr {
    binary(FieldExpr::Field(number_field(rng)), *one_of(rng, &COMPARISONS), number_literal(rng))
}

/// Any field there is.
pub(super) fn any_field(rng: &mut StdRng) -> Field {
    let intrinsics: Vec<Intrinsic> = [&NUMBERS[..], &TEXTS, &IDS, &[Intrinsic::Status, Intrinsic::Kind]].concat();
    match rng.random_range(0..10) {
        0..4 => Field::Intrinsic(*one_of(rng, &intrinsics)),
        4 => Field::Attribute { of_parent: false, scope: Scope::Resource, key: "service.name".to_owned() },
        _ => attribute_field(rng),
    }
}

fn attribute(rng: &mut StdRng) -> FieldExpr {
    FieldExpr::Field(attribute_field(rng))
}

fn attribute_field(rng: &mut StdRng) -> Field {
    let (scope, keys): (Scope, &[&str]) = match rng.random_range(0..20) {
        0..8 => (Scope::Span, &["a", "b", "n", "f", "flag", "arr", "mix", "u", "big", "odd key", "none"]),
        8..13 => (Scope::Any, &["a", "n", "u", "u", "level", "rel", "s", "region", "arr", "none"]),
        13..15 => (Scope::Resource, &["region", "u", "n", "a", "service.name"]),
        15..17 => (Scope::Event, &["u", "n", "level"]),
        17..19 => (Scope::Link, &["u", "rel"]),
        _ => (Scope::Instrumentation, &["u", "s"]),
    };
    let can_be_of_parent = matches!(scope, Scope::Span | Scope::Any | Scope::Resource);
    let of_parent = can_be_of_parent && percent(rng, 10);
    Field::Attribute { of_parent, scope, key: (*one_of(rng, keys)).to_owned() }
}

/// An attribute that may be compared with nil.
fn not_service(rng: &mut StdRng) -> FieldExpr {
    loop {
        match attribute_field(rng) {
            Field::Attribute { key, .. } if key == "service.name" => {}
            field => return FieldExpr::Field(field),
        }
    }
}

fn span_attribute(key: &str) -> Field {
    Field::Attribute { of_parent: false, scope: Scope::Span, key: key.to_owned() }
}

fn intrinsic(rng: &mut StdRng, all: &[Intrinsic]) -> FieldExpr {
    FieldExpr::Field(Field::Intrinsic(*one_of(rng, all)))
}

fn binary(left: FieldExpr, op: FieldOp, right: FieldExpr) -> FieldExpr {
    FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

fn number_literal(rng: &mut StdRng) -> FieldExpr {
    FieldExpr::Literal(number_value(rng))
}

fn number_value(rng: &mut StdRng) -> Value {
    match rng.random_range(0..10) {
        0..4 => Value::Int(rng.random_range(-2..6)),
        4 => Value::Int(*one_of(rng, &[0, i64::MAX, i64::MIN, (1 << 53) + 1])),
        5..7 => Value::Float(f64::from(rng.random_range(-1..5)) / 2.0),
        _ => Value::Duration(*one_of(rng, &[0, 1_000_000, 3_000_000, 100_000_000, 1_000_000_000, 4_000_000_000])),
    }
}

fn text_literal(rng: &mut StdRng) -> FieldExpr {
    let all = ["x", "y", "a", "b", "get", "get /x", "", "lib", "1", "boom", "log", "exception", "shop", "cart"];
    FieldExpr::Literal(Value::String((*one_of(rng, &all)).to_owned()))
}

fn regex_literal(rng: &mut StdRng) -> FieldExpr {
    let all = ["x", "x.*", ".*", ".+", "get.*", "get /[xy]", "", "x|y", "(?i)X", "z.", "c.rt|shop", "[0-9]+", "l"];
    FieldExpr::Literal(Value::String((*one_of(rng, &all)).to_owned()))
}

fn attribute_literal(rng: &mut StdRng) -> Value {
    match rng.random_range(0..10) {
        0..5 => Value::String((*one_of(rng, &["x", "y", "xy", "", "1", "true", "ok"])).to_owned()),
        5 => Value::Bool(rng.random()),
        6 => Value::Status(Status::Ok),
        _ => number_value(rng),
    }
}

fn scalar_stage(rng: &mut StdRng) -> Stage {
    let (left, right) = (aggregate(rng), ScalarExpr::Literal(scalar_value(rng)));
    // Mostly what holds for many, so that later stages have something to do.
    let often = [FieldOp::Gt, FieldOp::Ge, FieldOp::Ne];
    let op = if percent(rng, 60) { *one_of(rng, &often) } else { *one_of(rng, &COMPARISONS) };
    Stage::Scalar(ScalarFilter { left, op, right })
}

fn scalar_value(rng: &mut StdRng) -> Value {
    match rng.random_range(0..10) {
        0..6 => Value::Int(rng.random_range(-1..5)),
        6 => Value::Float(1.5),
        _ => Value::Duration(*one_of(rng, &[0, 3_000_000, 500_000_000, 2_000_000_000])),
    }
}

fn aggregate(rng: &mut StdRng) -> ScalarExpr {
    let function = *one_of(rng, &[Aggregate::Count, Aggregate::Min, Aggregate::Max, Aggregate::Avg, Aggregate::Sum]);
    let argument = match function {
        Aggregate::Count => None,
        _ if percent(rng, 20) => Some(number(rng, 2)),
        _ => Some(FieldExpr::Field(number_field(rng))),
    };
    ScalarExpr::Aggregate { function, argument }
}
