//! Random trees that satisfy the checker read back as they were, and random texts never panic.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::{
    Aggregate, Field, FieldExpr, FieldOp, Hint, Intrinsic, Kind, Metrics, MetricsFunction, Pipeline, Query, Relation,
    ScalarExpr, ScalarFilter, Scope, SecondStage, SpansetExpr, SpansetOp, Stage, Status, StructuralMode, Value, parse,
};

const ARITHMETIC: [FieldOp; 6] = [FieldOp::Add, FieldOp::Sub, FieldOp::Mul, FieldOp::Div, FieldOp::Mod, FieldOp::Pow];
const COMPARISONS: [FieldOp; 6] = [FieldOp::Eq, FieldOp::Ne, FieldOp::Lt, FieldOp::Le, FieldOp::Gt, FieldOp::Ge];

fn key() -> BoxedStrategy<String> {
    prop_oneof![
        select(vec![
            "a",
            "service.name",
            "span.x",
            "resource.y",
            "9",
            "a b",
            "\"",
            "\\",
            "{}",
            "/*",
            "-1",
            "ж",
            ".",
            "name"
        ])
        .prop_map(str::to_owned),
        "[a-z.+*/:-]{1,8}",
        ".{1,6}",
    ]
    .boxed()
}

fn attribute() -> BoxedStrategy<Field> {
    let scoped =
        select(vec![Scope::Any, Scope::Span, Scope::Resource, Scope::Event, Scope::Link, Scope::Instrumentation]);
    let of_parent = select(vec![Scope::Any, Scope::Span, Scope::Resource]);
    prop_oneof![
        4 => (scoped, key()).prop_map(|(scope, key)| Field::Attribute { of_parent: false, scope, key }),
        1 => (of_parent, key()).prop_map(|(scope, key)| Field::Attribute { of_parent: true, scope, key }),
    ]
    .boxed()
}

fn field() -> BoxedStrategy<Field> {
    prop_oneof![attribute(), select(Intrinsic::all().collect::<Vec<_>>()).prop_map(Field::Intrinsic)].boxed()
}

fn measured() -> BoxedStrategy<Field> {
    let intrinsics = [Intrinsic::Duration, Intrinsic::TraceDuration, Intrinsic::ChildCount, Intrinsic::NestedSetLeft];
    prop_oneof![attribute(), select(intrinsics.to_vec()).prop_map(Field::Intrinsic)].boxed()
}

fn number_value() -> BoxedStrategy<Value> {
    prop_oneof![
        (-10_i64..10).prop_map(Value::Int),
        any::<i64>().prop_map(Value::Int),
        Just(Value::Int(i64::MIN)),
        (-10.0..10.0).prop_map(Value::Float),
        any::<f64>().prop_filter("literals are finite", |value| value.is_finite()).prop_map(Value::Float),
        (-i64::MAX..i64::MAX).prop_map(Value::Duration),
        (-5_000_000_000_i64..5_000_000_000).prop_map(Value::Duration),
    ]
    .boxed()
}

fn text_value() -> BoxedStrategy<Value> {
    prop_oneof![".{0,12}", "\\PC{0,5}[\"\\\\\n\r\t\u{0}`]{0,3}"].prop_map(Value::String).boxed()
}

fn keyword_value() -> BoxedStrategy<Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        (0..3).prop_map(|number| Value::Status(Status::from_number(number))),
        (0..6).prop_map(|number| Value::Kind(Kind::from_number(number))),
    ]
    .boxed()
}

fn binary(op: FieldOp, left: FieldExpr, right: FieldExpr) -> FieldExpr {
    FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

/// A number that differs from span to span: what does not is folded when it is read.
fn number() -> BoxedStrategy<FieldExpr> {
    measured()
        .prop_map(FieldExpr::Field)
        .prop_recursive(4, 24, 2, |inner| {
            let op = || select(ARITHMETIC.to_vec());
            let constant = || number_value().prop_map(FieldExpr::Literal);
            prop_oneof![
                inner.clone().prop_map(|operand| FieldExpr::Negate(Box::new(operand))),
                (op(), inner.clone(), inner.clone()).prop_map(|(op, left, right)| binary(op, left, right)),
                (op(), constant(), inner.clone()).prop_map(|(op, left, right)| binary(op, left, right)),
                (op(), inner, constant()).prop_map(|(op, left, right)| binary(op, left, right)),
            ]
        })
        .boxed()
}

fn condition() -> BoxedStrategy<FieldExpr> {
    let attribute_expr = || attribute().prop_map(FieldExpr::Field);
    let comparison = || select(COMPARISONS.to_vec());
    let equality = || select(vec![FieldOp::Eq, FieldOp::Ne]);
    let literal = |value: Value| FieldExpr::Literal(value);
    let name = || FieldExpr::Field(Field::Intrinsic(Intrinsic::Name));
    let leaf = prop_oneof![
        attribute_expr(),
        (comparison(), number(), number()).prop_map(|(op, left, right)| binary(op, left, right)),
        (comparison(), number(), number_value()).prop_map(move |(op, left, right)| binary(op, left, literal(right))),
        (comparison(), number_value(), number()).prop_map(move |(op, left, right)| binary(op, literal(left), right)),
        (comparison(), text_value()).prop_map(move |(op, text)| binary(op, name(), literal(text))),
        (comparison(), attribute_expr(), text_value()).prop_map(move |(op, left, text)| binary(
            op,
            left,
            literal(text)
        )),
        (equality(), attribute_expr(), keyword_value()).prop_map(move |(op, left, word)| binary(
            op,
            left,
            literal(word)
        )),
        // A span without the name of a service is not asked for.
        attribute_expr().prop_map(move |left| binary(FieldOp::Ne, left, literal(Value::Nil))),
        (
            select(vec![FieldOp::Matches, FieldOp::NotMatches]),
            attribute_expr(),
            select(vec!["a|b", "\\d+\"", "(?i)x.*", ""])
        )
            .prop_map(move |(op, left, pattern)| binary(op, left, literal(Value::String(pattern.to_owned())))),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        let op = || select(vec![FieldOp::And, FieldOp::Or, FieldOp::Eq, FieldOp::Ne]);
        prop_oneof![
            inner.clone().prop_map(|operand| FieldExpr::Not(Box::new(operand))),
            (op(), inner.clone(), inner.clone()).prop_map(|(op, left, right)| binary(op, left, right)),
            (op(), inner.clone(), any::<bool>()).prop_map(|(op, left, value)| binary(
                op,
                left,
                FieldExpr::Literal(Value::Bool(value))
            )),
        ]
    })
    .boxed()
}

fn spanset_op() -> BoxedStrategy<SpansetOp> {
    let relations = [Relation::Child, Relation::Descendant, Relation::Parent, Relation::Ancestor, Relation::Sibling];
    let modes = [StructuralMode::Plain, StructuralMode::Not, StructuralMode::Union];
    prop_oneof![
        Just(SpansetOp::And),
        Just(SpansetOp::Or),
        (select(relations.to_vec()), select(modes.to_vec()))
            .prop_map(|(relation, mode)| SpansetOp::Structural { relation, mode }),
    ]
    .boxed()
}

/// A number of a spanset that uses an aggregate.
fn scalar() -> BoxedStrategy<ScalarExpr> {
    let over = [Aggregate::Min, Aggregate::Max, Aggregate::Avg, Aggregate::Sum];
    let leaf = prop_oneof![
        Just(ScalarExpr::Aggregate { function: Aggregate::Count, argument: None }),
        (select(over.to_vec()), number())
            .prop_map(|(function, argument)| ScalarExpr::Aggregate { function, argument: Some(argument) }),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let op = || select(ARITHMETIC.to_vec());
        let constant = || number_value().prop_map(ScalarExpr::Literal);
        let combined = prop_oneof![
            (op(), inner.clone(), inner.clone()),
            (op(), constant(), inner.clone()),
            (op(), inner, constant()),
        ];
        combined.prop_map(|(op, left, right)| ScalarExpr::Binary { op, left: Box::new(left), right: Box::new(right) })
    })
    .boxed()
}

fn later_stage(spansets: BoxedStrategy<SpansetExpr>) -> BoxedStrategy<Stage> {
    let constant = || number_value().prop_map(ScalarExpr::Literal);
    let sides = prop_oneof![(scalar(), scalar()), (scalar(), constant()), (constant(), scalar())];
    prop_oneof![
        spansets.prop_map(Stage::Spansets),
        (sides, select(COMPARISONS.to_vec())).prop_map(|((left, right), op)| Stage::Scalar(ScalarFilter {
            left,
            op,
            right
        })),
        prop_oneof![number(), condition()].prop_map(Stage::By),
        Just(Stage::Coalesce),
        vec(field(), 1..4).prop_map(Stage::Select),
    ]
    .boxed()
}

fn spansets() -> BoxedStrategy<SpansetExpr> {
    option::of(condition()).prop_map(SpansetExpr::Filter).prop_recursive(3, 10, 2, |inner| {
        let wrapped = (inner.clone(), vec(later_stage(inner.clone().boxed()), 1..3)).prop_map(|(first, later)| {
            let stages = std::iter::once(Stage::Spansets(first)).chain(later).collect();
            SpansetExpr::Pipeline(Box::new(Pipeline { stages }))
        });
        prop_oneof![
            3 => (spanset_op(), inner.clone(), inner)
                .prop_map(|(op, left, right)| SpansetExpr::Binary { op, left: Box::new(left), right: Box::new(right) }),
            1 => wrapped,
        ]
    })
    .boxed()
}

fn metrics() -> BoxedStrategy<Metrics> {
    let second = prop_oneof![
        (1_usize..1_000).prop_map(SecondStage::TopK),
        (1_usize..1_000).prop_map(SecondStage::BottomK),
        (select(COMPARISONS.to_vec()), any::<f64>().prop_filter("finite", |value| value.is_finite()))
            .prop_map(|(op, value)| SecondStage::Filter { op, value }),
    ];
    let function = prop_oneof![
        Just(MetricsFunction::Rate),
        Just(MetricsFunction::CountOverTime),
        measured().prop_map(MetricsFunction::MinOverTime),
        measured().prop_map(MetricsFunction::MaxOverTime),
        measured().prop_map(MetricsFunction::SumOverTime),
        measured().prop_map(MetricsFunction::AvgOverTime),
        measured().prop_map(MetricsFunction::HistogramOverTime),
        (measured(), vec(0.0..=1.0, 1..4))
            .prop_map(|(field, quantiles)| MetricsFunction::QuantileOverTime { field, quantiles }),
    ];
    let range = option::of((0_i64..1_000, 1_000_i64..i64::MAX));
    prop_oneof![
        4 => (function, vec(field(), 0..4), vec(second, 0..3))
            .prop_map(|(function, by, second)| Metrics { function, by, second }),
        1 => (option::of(condition()), 1_usize..100, range).prop_map(|(selection, top, range)| Metrics {
            function: MetricsFunction::Compare { selection, top, range },
            by: Vec::new(),
            second: Vec::new(),
        }),
    ]
    .boxed()
}

fn query() -> BoxedStrategy<Query> {
    let hint = ("[a-z_]{1,10}", prop_oneof![number_value(), text_value(), keyword_value(), Just(Value::Nil)])
        .prop_map(|(name, value)| Hint { name, value });
    let pipeline = (spansets(), vec(later_stage(spansets()), 0..3))
        .prop_map(|(first, later)| Pipeline { stages: std::iter::once(Stage::Spansets(first)).chain(later).collect() });
    (pipeline, option::of(metrics()), vec(hint, 0..3))
        .prop_map(|(pipeline, metrics, hints)| Query { pipeline, metrics, hints })
        .boxed()
}

/// What stands alone in a pair of parentheses is no pipeline of its own when it is read.
fn reads_back(text: &str) -> Result<(), TestCaseError> {
    if let Ok(query) = parse(text) {
        let printed = query.to_string();
        let again = parse(&printed).map_err(|error| TestCaseError::fail(format!("{text} as {printed}: {error}")))?;
        prop_assert_eq!(&again, &query, "{} as {}", text, printed);
        prop_assert_eq!(again.to_string(), printed);
    }
    Ok(())
}

const FRAGMENTS: [&str; 78] = [
    "{",
    "}",
    "(",
    ")",
    ",",
    "|",
    "&&",
    "||",
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "=~",
    "!~",
    ">>",
    "<<",
    "~",
    "!",
    "!>",
    "&>>",
    "&~",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "==",
    ".a",
    "span.b",
    "resource.service.name",
    "parent.span.c",
    ".\"x y\"",
    "span:id",
    "trace:rootName",
    "duration",
    "name",
    "status",
    "kind",
    "nestedSetParent",
    "parent",
    "1",
    "2",
    "-1",
    "0",
    "1.5",
    ".5",
    "1e9",
    "1s",
    "5m",
    "1d",
    "maxInt",
    "minInt",
    "\"x\"",
    "`y`",
    "true",
    "false",
    "nil",
    "error",
    "server",
    "count()",
    "avg(duration)",
    "by(.a)",
    "by",
    "coalesce()",
    "select(.a)",
    "rate()",
    "quantile_over_time(.a, .9)",
    "compare({ .a })",
    "topk(3)",
    "with(a=1)",
    "/*",
    "//",
    "\n",
    "é",
    "foo",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trees_read_back(query in query()) {
        let text = query.to_string();
        let again = parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(again, query, "{}", text);
    }

    #[test]
    fn fields_read_back(field in field()) {
        let text = field.to_string();
        prop_assert_eq!(Field::parse(&text), Ok(field), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        reads_back(&text)?;
        reads_back(&format!("{{ .a = {text} }}"))?;
        reads_back(&format!("{{ span.{text} = 1 }}"))?;
    }

    #[test]
    fn any_words_are_read_or_refused(words in vec(select(FRAGMENTS.to_vec()), 0..20), spaces in any::<bool>()) {
        let between = if spaces { " " } else { "" };
        reads_back(&words.join(between))?;
        reads_back(&format!("{{ {} }}", words.join(between)))?;
    }

    #[test]
    fn broken_queries_are_read_or_refused(
        query in query(),
        at in any::<prop::sample::Index>(),
        word in select(FRAGMENTS.to_vec()),
    ) {
        let characters: Vec<char> = query.to_string().chars().collect();
        let at = at.index(characters.len());
        let (before, after) = characters.split_at(at);
        let (before, after) = (before.iter().collect::<String>(), after.iter().collect::<String>());
        reads_back(&format!("{before}{word}{after}"))?;
        reads_back(&before)?;
        reads_back(&format!("{before}{}", after.chars().skip(1).collect::<String>()))?;
    }
}
