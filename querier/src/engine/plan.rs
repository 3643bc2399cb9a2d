//! A query as the engine runs it: filters numbered, stages in order, the fields that each part needs.

use spanlake_traceql::{
    Field, FieldExpr, FieldOp, Intrinsic, Pipeline, Query, ScalarExpr, ScalarFilter, SpansetExpr, SpansetOp, Stage,
    Value,
};

use super::column::{Origin, origin};
use super::compile::{Expr, Fields};
use crate::error::Error;

/// Deepest nesting of pipelines and arithmetic that is run.
const MAX_DEPTH: usize = 100;

/// A pipeline ready to run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Every field that the query names.
    pub(super) fields: Fields,
    /// What the spans of each `{ }` must meet; none is `{}`.
    pub(super) filters: Vec<Option<Expr>>,
    /// What can be decided of each filter without the whole trace: every span that meets the filter meets this. None when
    /// nothing can.
    pub(super) weak: Vec<Option<Expr>>,
    /// What a summary of the whole trace can decide of each filter: every span that meets the filter has a trace that meets this.
    pub(super) of_trace: Vec<Option<OfTrace>>,
    /// What `by()` and aggregates look at.
    pub(super) exprs: Vec<Expr>,
    pub(super) stages: Vec<Step>,
    /// What a matching trace must have.
    pub(super) need: Need,
    /// Whether parents matter.
    pub(super) needs_tree: bool,
}

/// A condition on a trace as a whole.
#[derive(Debug, Clone)]
pub(super) struct OfTrace {
    pub(super) expr: Expr,
    /// Whether it looks at the root span.
    pub(super) root: bool,
}

/// One stage.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Spansets(Set),
    Scalar {
        left: Scalars,
        op: FieldOp,
        right: Scalars,
        aggregates: Vec<(String, usize)>,
    },
    /// The expression is a place in [`Plan::exprs`].
    By {
        expr: usize,
        name: String,
    },
    Coalesce,
}

/// Which spans.
#[derive(Debug, Clone)]
pub(super) enum Set {
    /// Those of a filter.
    Filter(usize),
    /// Left to right.
    Chain {
        first: Box<Set>,
        rest: Vec<(SpansetOp, Set)>,
    },
    Pipeline(Vec<Step>),
}

/// A number of a spanset; aggregates are places in the list of their filter, arguments places in [`Plan::exprs`].
#[derive(Debug, Clone)]
pub(super) enum Scalars {
    Aggregate { function: spanlake_traceql::Aggregate, argument: Option<usize>, place: usize },
    Literal(Value),
    Binary { op: FieldOp, left: Box<Scalars>, right: Box<Scalars> },
}

/// What a trace must have to match, as far as single filters tell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Need {
    /// Nothing that can be told.
    Nothing,
    /// A span that meets the filter.
    Filter(usize),
    All(Vec<Need>),
    Any(Vec<Need>),
    /// So many spans.
    Spans(u64),
}

impl Plan {
    /// Makes the pipeline of a query ready.
    ///
    /// # Errors
    /// [`Error::BadQuery`] if it cannot be run.
    pub(super) fn new(query: &Query) -> Result<Self, Error> {
        let mut plan = Self {
            fields: Fields::default(),
            filters: Vec::new(),
            weak: Vec::new(),
            of_trace: Vec::new(),
            exprs: Vec::new(),
            stages: Vec::new(),
            need: Need::Nothing,
            needs_tree: false,
        };
        plan.stages = plan.steps(&query.pipeline, 0)?;
        plan.need = plan.need_of(&plan.stages);
        for stage in &query.pipeline.stages {
            if let Stage::Select(fields) = stage {
                fields.iter().for_each(|field| {
                    plan.fields.place(field);
                });
            }
        }
        plan.look_for_trees();
        Ok(plan)
    }

    /// A plan of one filter, for rows of their own.
    pub(super) fn of_filter(filter: &FieldExpr) -> Result<Self, Error> {
        let expr = SpansetExpr::Filter(Some(filter.clone()));
        Self::new(&Query {
            pipeline: Pipeline { stages: vec![Stage::Spansets(expr)] },
            metrics: None,
            hints: Vec::new(),
        })
    }

    /// Adds a field that is looked at outside the pipeline.
    pub(super) fn add(&mut self, field: &Field) -> usize {
        let place = self.fields.place(field);
        self.look_for_trees();
        place
    }

    fn look_for_trees(&mut self) {
        let structural = self.fields.0.iter().any(|field| {
            let numbered = matches!(
                field,
                Field::Intrinsic(
                    Intrinsic::ChildCount
                        | Intrinsic::NestedSetLeft
                        | Intrinsic::NestedSetRight
                        | Intrinsic::NestedSetParent
                )
            );
            numbered || matches!(field, Field::Attribute { of_parent: true, .. })
        });
        self.needs_tree |= structural;
    }

    /// Whether any field needs the whole trace.
    pub(super) fn needs_traces(&self) -> bool {
        self.needs_tree || self.fields.0.iter().any(|field| origin(field) == Origin::Trace)
    }

    /// The only filter, if the pipeline is nothing else: then each span is decided alone.
    pub(super) fn only_filter(&self) -> Option<usize> {
        match self.stages.as_slice() {
            [Step::Spansets(Set::Filter(filter))] => Some(*filter),
            _ => None,
        }
    }

    fn steps(&mut self, pipeline: &Pipeline, depth: usize) -> Result<Vec<Step>, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::BadQuery(format!("pipelines are nested more than {MAX_DEPTH} levels deep")));
        }
        let mut steps = Vec::with_capacity(pipeline.stages.len());
        for stage in &pipeline.stages {
            match stage {
                Stage::Spansets(expr) => steps.push(Step::Spansets(self.set(expr, depth)?)),
                Stage::Scalar(filter) => steps.push(self.scalar_filter(filter)?),
                Stage::By(expr) => {
                    steps.push(Step::By { expr: self.expr(expr)?, name: format!("by({expr})") });
                }
                Stage::Coalesce => steps.push(Step::Coalesce),
                Stage::Select(_) => {}
            }
        }
        Ok(steps)
    }

    fn expr(&mut self, expr: &FieldExpr) -> Result<usize, Error> {
        let expr = self.fields.compile(expr)?;
        self.exprs.push(expr);
        Ok(self.exprs.len() - 1)
    }

    fn set(&mut self, expr: &SpansetExpr, depth: usize) -> Result<Set, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::BadQuery(format!("spansets are nested more than {MAX_DEPTH} levels deep")));
        }
        match expr {
            SpansetExpr::Filter(filter) => {
                let expr = filter.as_ref().map(|filter| self.fields.compile(filter)).transpose()?;
                let expr = expr.filter(|expr| !matches!(expr, Expr::Literal(Value::Bool(true))));
                self.weak.push(expr.as_ref().and_then(|expr| self.weakened(expr)));
                self.of_trace.push(expr.as_ref().and_then(|expr| self.of_trace(expr)));
                self.filters.push(expr);
                Ok(Set::Filter(self.filters.len() - 1))
            }
            SpansetExpr::Pipeline(pipeline) => Ok(Set::Pipeline(self.steps(pipeline, depth + 1)?)),
            SpansetExpr::Binary { .. } => {
                // Operators are left associative, so long queries are deep on the left: the spine is walked, not entered.
                let mut spine = Vec::new();
                let mut at = expr;
                while let SpansetExpr::Binary { op, left, right } = at {
                    spine.push((*op, right.as_ref()));
                    at = left;
                }
                let first = Box::new(self.set(at, depth + 1)?);
                let rest = spine.into_iter().rev();
                let rest =
                    rest.map(|(op, right)| Ok((op, self.set(right, depth + 1)?))).collect::<Result<Vec<_>, Error>>()?;
                self.needs_tree |= rest.iter().any(|(op, _)| matches!(op, SpansetOp::Structural { .. }));
                Ok(Set::Chain { first, rest })
            }
        }
    }

    /// The part of a condition that is about the trace as a whole.
    fn of_trace(&self, expr: &Expr) -> Option<OfTrace> {
        let parts = match expr {
            Expr::All(parts) => parts.as_slice(),
            expr => std::slice::from_ref(expr),
        };
        let mut root = false;
        let mut is_of_trace = |part: &&Expr| {
            let (mut any, mut all, mut any_root) = (false, true, false);
            part.each_field(&mut |place| {
                any = true;
                match &self.fields.0[place] {
                    Field::Intrinsic(Intrinsic::TraceDuration | Intrinsic::TraceId) => {}
                    Field::Intrinsic(Intrinsic::RootName | Intrinsic::RootServiceName) => any_root = true,
                    _ => all = false,
                }
            });
            root |= any && all && any_root;
            any && all
        };
        let parts: Vec<Expr> = parts.iter().filter(&mut is_of_trace).cloned().collect();
        (!parts.is_empty()).then_some(OfTrace { expr: Expr::All(parts), root })
    }

    /// A bit for each filter of which a scan of rows can tell nothing.
    pub(super) fn unscannable(&self) -> u64 {
        let bits = self.weak.iter().take(64).enumerate();
        bits.filter(|(_, weak)| weak.is_none()).fold(0, |bits, (filter, _)| bits | 1 << filter)
    }

    /// The filters to scan rows for so that every matching trace is met; none if there are no such filters.
    pub(super) fn scanned_for(&self) -> Option<Vec<usize>> {
        self.need.cover(&self.weak)?;
        let mut filters = Vec::new();
        self.need.filters(&mut filters);
        filters.retain(|filter| self.weak[*filter].is_some());
        filters.sort_unstable();
        filters.dedup();
        Some(filters)
    }

    /// The part of a condition that rows can decide.
    fn weakened(&self, expr: &Expr) -> Option<Expr> {
        match expr {
            Expr::All(parts) => {
                let parts: Vec<Expr> = parts.iter().filter_map(|part| self.weakened(part)).collect();
                (!parts.is_empty()).then_some(Expr::All(parts))
            }
            Expr::Any(parts) => parts.iter().map(|part| self.weakened(part)).collect::<Option<_>>().map(Expr::Any),
            expr => {
                let mut of_rows = true;
                expr.each_field(&mut |place| of_rows &= origin(&self.fields.0[place]) != Origin::Trace);
                of_rows.then(|| expr.clone())
            }
        }
    }

    fn scalar_filter(&mut self, filter: &ScalarFilter) -> Result<Step, Error> {
        let mut aggregates = Vec::new();
        let left = self.scalars(&filter.left, &mut aggregates, 0)?;
        let right = self.scalars(&filter.right, &mut aggregates, 0)?;
        Ok(Step::Scalar { left, op: filter.op, right, aggregates })
    }

    fn scalars(
        &mut self,
        expr: &ScalarExpr,
        aggregates: &mut Vec<(String, usize)>,
        depth: usize,
    ) -> Result<Scalars, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::BadQuery(format!("arithmetic is nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(match expr {
            ScalarExpr::Literal(value) => Scalars::Literal(value.clone()),
            ScalarExpr::Aggregate { function, argument } => {
                let argument = argument.as_ref().map(|argument| self.expr(argument)).transpose()?;
                let place = aggregates.len();
                aggregates.push((expr.to_string(), place));
                Scalars::Aggregate { function: *function, argument, place }
            }
            ScalarExpr::Binary { op, left, right } => Scalars::Binary {
                op: *op,
                left: Box::new(self.scalars(left, aggregates, depth + 1)?),
                right: Box::new(self.scalars(right, aggregates, depth + 1)?),
            },
        })
    }

    /// What the stages need of a trace. A later stage only ever needs more, so looking at some of them is enough.
    fn need_of(&self, stages: &[Step]) -> Need {
        let Some(Step::Spansets(set)) = stages.first() else { return count_of(stages) };
        let mut all = vec![self.need_of_set(set)];
        // A later filter sees some of the same spans.
        all.extend(stages[1..].iter().filter_map(|stage| match stage {
            Step::Spansets(set) => Some(self.need_of_set(set)),
            _ => None,
        }));
        if !matches!(set, Set::Pipeline(_)) {
            all.push(count_of(&stages[1..]));
        }
        need_all(all)
    }

    fn need_of_set(&self, set: &Set) -> Need {
        match set {
            Set::Filter(filter) if self.weak[*filter].is_none() && self.of_trace[*filter].is_none() => Need::Nothing,
            Set::Filter(filter) => Need::Filter(*filter),
            Set::Pipeline(steps) => self.need_of(steps),
            Set::Chain { first, rest } => rest.iter().fold(self.need_of_set(first), |left, (op, right)| {
                let right = self.need_of_set(right);
                match op {
                    SpansetOp::And => need_all(vec![left, right]),
                    SpansetOp::Or => need_any(vec![left, right]),
                    // Right spans, with or without left ones.
                    SpansetOp::Structural { mode: spanlake_traceql::StructuralMode::Not, .. } => right,
                    SpansetOp::Structural { .. } => need_all(vec![left, right]),
                }
            }),
        }
    }
}

/// How many spans a trace needs so that `count()` can be as large as the first scalar filters say.
fn count_of(stages: &[Step]) -> Need {
    let mut spans = 0;
    for stage in stages {
        let Step::Scalar { left, op, right, .. } = stage else { break };
        if let (
            Scalars::Aggregate { function: spanlake_traceql::Aggregate::Count, .. },
            Scalars::Literal(Value::Int(least)),
        ) = (left, right)
        {
            let least = u64::try_from(*least).unwrap_or(0);
            spans = spans.max(match op {
                FieldOp::Gt => least.saturating_add(1),
                FieldOp::Ge | FieldOp::Eq => least,
                _ => 0,
            });
        }
    }
    if spans > 1 { Need::Spans(spans) } else { Need::Nothing }
}

fn need_all(parts: Vec<Need>) -> Need {
    let mut parts: Vec<Need> = parts.into_iter().filter(|part| *part != Need::Nothing).collect();
    match parts.len() {
        0 => Need::Nothing,
        1 => parts.swap_remove(0),
        _ => Need::All(parts),
    }
}

fn need_any(parts: Vec<Need>) -> Need {
    if parts.contains(&Need::Nothing) { Need::Nothing } else { Need::Any(parts) }
}

impl Need {
    /// Whether a trace can match that has, in all, spans meeting the filters of `bits` and so many spans.
    pub(super) fn may_match(&self, bits: u64, spans: u64) -> bool {
        match self {
            Self::Nothing => true,
            Self::Filter(filter) => *filter >= 64 || bits & (1 << filter) != 0,
            Self::All(parts) => parts.iter().all(|part| part.may_match(bits, spans)),
            Self::Any(parts) => parts.iter().any(|part| part.may_match(bits, spans)),
            Self::Spans(least) => spans >= *least,
        }
    }

    /// The filters such that every matching trace has a span that meets one of them, as few as can be had; none if
    /// there are no such filters.
    fn cover(&self, weak: &[Option<Expr>]) -> Option<Vec<usize>> {
        match self {
            Self::Nothing | Self::Spans(_) => None,
            Self::Filter(filter) => (*filter < 64 && weak[*filter].is_some()).then(|| vec![*filter]),
            Self::All(parts) => parts.iter().filter_map(|part| part.cover(weak)).min_by_key(Vec::len),
            Self::Any(parts) => {
                let parts = parts.iter().map(|part| part.cover(weak)).collect::<Option<Vec<_>>>();
                parts.map(|parts| parts.concat())
            }
        }
    }

    /// Every filter that it names, of those that a bit stands for.
    fn filters(&self, into: &mut Vec<usize>) {
        match self {
            Self::Nothing | Self::Spans(_) => {}
            Self::Filter(filter) => into.extend((*filter < 64).then_some(*filter)),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.filters(into)),
        }
    }
}
