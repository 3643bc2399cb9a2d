//! The tree of a checked query. It has no positions: errors are found while it is built.

use crate::value::Value;

/// A whole query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Spansets in, spansets out.
    pub pipeline: Pipeline,
    /// What is counted over time, for a metrics query.
    pub metrics: Option<Metrics>,
    /// `with(...)`, as written; names may be unknown.
    pub hints: Vec<Hint>,
}

/// `with(name=value)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hint {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// Stages, at least one, applied to one trace in order. The first is [`Stage::Spansets`] or an aggregate filter on `{}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// In the order written.
    pub stages: Vec<Stage>,
}

/// One stage of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// Chooses spans: from the whole trace in the first stage, from each spanset so far in a later one.
    Spansets(SpansetExpr),
    /// Keeps the spansets for which it holds: `count() > 2`.
    Scalar(ScalarFilter),
    /// Splits each spanset by the value: `by(resource.service.name)`.
    By(FieldExpr),
    /// Joins all spansets of the trace into one.
    Coalesce,
    /// Names fields to answer with.
    Select(Vec<Field>),
}

/// Which spans of a trace.
#[derive(Debug, Clone, PartialEq)]
pub enum SpansetExpr {
    /// `{ expr }`; none is `{}`: every span.
    Filter(Option<FieldExpr>),
    /// Two spansets, combined.
    Binary {
        /// How.
        op: SpansetOp,
        /// Left side.
        left: Box<SpansetExpr>,
        /// Right side.
        right: Box<SpansetExpr>,
    },
    /// A pipeline in parentheses.
    Pipeline(Box<Pipeline>),
}

/// How two spansets are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpansetOp {
    /// `&&`: both or nothing, united.
    And,
    /// `||`: united.
    Or,
    /// Spans of the right side by how they are related to spans of the left side.
    Structural {
        /// What a right span is to a left one.
        relation: Relation,
        /// Plain, negated (`!>`) or union (`&>`).
        mode: StructuralMode,
    },
}

/// What a span of the right side is to a span of the left side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// `>`: a child.
    Child,
    /// `>>`: a descendant.
    Descendant,
    /// `<`: the parent.
    Parent,
    /// `<<`: an ancestor.
    Ancestor,
    /// `~`: a sibling.
    Sibling,
}

/// Which spans a structural operator gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StructuralMode {
    /// Right spans that are related to a left span.
    Plain,
    /// `!>`: right spans that are related to no left span.
    Not,
    /// `&>`: right spans as in plain, and the left spans they are related to.
    Union,
}

/// Compares numbers of a spanset: `avg(duration) > 1s`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalarFilter {
    /// Left side.
    pub left: ScalarExpr,
    /// One of `= != < <= > >=`.
    pub op: FieldOp,
    /// Right side.
    pub right: ScalarExpr,
}

/// A number of a spanset.
#[derive(Debug, Clone, PartialEq)]
pub enum ScalarExpr {
    /// Over its spans.
    Aggregate {
        /// Which.
        function: Aggregate,
        /// Of what; none for `count()` only.
        argument: Option<FieldExpr>,
    },
    /// A number or a duration.
    Literal(Value),
    /// Arithmetic: one of `+ - * / % ^`.
    Binary {
        /// Which.
        op: FieldOp,
        /// Left side.
        left: Box<ScalarExpr>,
        /// Right side.
        right: Box<ScalarExpr>,
    },
}

/// An aggregate over the spans of a spanset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// `count()`
    Count,
    /// `min(...)`
    Min,
    /// `max(...)`
    Max,
    /// `avg(...)`
    Avg,
    /// `sum(...)`
    Sum,
}

/// A value of one span.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldExpr {
    /// The same for every span.
    Literal(Value),
    /// Of the span.
    Field(Field),
    /// `-x`
    Negate(Box<FieldExpr>),
    /// `!x`
    Not(Box<FieldExpr>),
    /// Two values, combined.
    Binary {
        /// How.
        op: FieldOp,
        /// Left side.
        left: Box<FieldExpr>,
        /// Right side.
        right: Box<FieldExpr>,
    },
}

/// An operator between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldOp {
    /// `&&`
    And,
    /// `||`
    Or,
    /// `=`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `=~`; the right side is a text literal that is a valid regular expression.
    Matches,
    /// `!~`; as `=~`.
    NotMatches,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
}

/// What a span, its resource, its trace or its parent has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// What every span has.
    Intrinsic(Intrinsic),
    /// An attribute.
    Attribute {
        /// Whether the parent span's is meant: `parent.`, `parent.span.`, `parent.resource.`.
        of_parent: bool,
        /// Where to look.
        scope: Scope,
        /// Its key.
        key: String,
    },
}

/// Where an attribute is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// `.x`: span, resource, event, link, instrumentation, the first that has it.
    Any,
    /// `span.x`
    Span,
    /// `resource.x`
    Resource,
    /// `event.x`
    Event,
    /// `link.x`
    Link,
    /// `instrumentation.x`
    Instrumentation,
}

/// What every span has, under whichever of its names it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Intrinsic {
    /// `duration`, `span:duration`
    Duration,
    /// `name`, `span:name`
    Name,
    /// `status`, `span:status`
    Status,
    /// `statusMessage`, `span:statusMessage`
    StatusMessage,
    /// `kind`, `span:kind`
    Kind,
    /// `span:id`
    SpanId,
    /// `span:parentID`
    ParentId,
    /// `span:childCount`
    ChildCount,
    /// `rootName`, `trace:rootName`
    RootName,
    /// `rootServiceName`, `trace:rootService`
    RootServiceName,
    /// `traceDuration`, `trace:duration`
    TraceDuration,
    /// `trace:id`
    TraceId,
    /// `nestedSetLeft`
    NestedSetLeft,
    /// `nestedSetRight`
    NestedSetRight,
    /// `nestedSetParent`
    NestedSetParent,
    /// `event:name`
    EventName,
    /// `event:timeSinceStart`
    EventTimeSinceStart,
    /// `link:traceID`
    LinkTraceId,
    /// `link:spanID`
    LinkSpanId,
    /// `instrumentation:name`
    InstrumentationName,
    /// `instrumentation:version`
    InstrumentationVersion,
}

/// The metrics part of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// What is counted.
    pub function: MetricsFunction,
    /// Series are told apart by these; at most five.
    pub by: Vec<Field>,
    /// What happens to the series, in order.
    pub second: Vec<SecondStage>,
}

/// The first stage of a metrics query.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricsFunction {
    /// `rate()`
    Rate,
    /// `count_over_time()`
    CountOverTime,
    /// `min_over_time(x)`
    MinOverTime(Field),
    /// `max_over_time(x)`
    MaxOverTime(Field),
    /// `sum_over_time(x)`
    SumOverTime(Field),
    /// `avg_over_time(x)`
    AvgOverTime(Field),
    /// `quantile_over_time(x, q...)`
    QuantileOverTime {
        /// Of what.
        field: Field,
        /// Each between 0 and 1, as written.
        quantiles: Vec<f64>,
    },
    /// `histogram_over_time(x)`
    HistogramOverTime(Field),
    /// `compare({selection}, top, start, end)`
    Compare {
        /// Which spans are the selection; the others are the baseline. None is `{}`.
        selection: Option<FieldExpr>,
        /// Values to keep for each attribute; default 10.
        top: usize,
        /// Only spans that start in these Unix nanoseconds, from and to, are selected.
        range: Option<(i64, i64)>,
    },
}

/// What happens to series.
#[derive(Debug, Clone, PartialEq)]
pub enum SecondStage {
    /// `| topk(n)`
    TopK(usize),
    /// `| bottomk(n)`
    BottomK(usize),
    /// `> 10`, without a pipe: samples that do not meet it are taken out. Durations are seconds by now.
    Filter {
        /// One of `= != < <= > >=`.
        op: FieldOp,
        /// The number.
        value: f64,
    },
}
