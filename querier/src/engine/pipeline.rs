//! Runs the stages of a query on one whole trace. Pure.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use arrow_buffer::BooleanBuffer;
use spanlake_traceql::{Aggregate, FieldOp, Relation, SpansetOp, StructuralMode, Value};

use super::eval::{Operand, Rows};
use super::plan::{Plan, Scalars, Set, Step};
use super::scalar::{Label, Number, Scalar, arithmetic, compare};
use super::tree::{NONE, Tree};

/// A row of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    pub(super) chunk: u32,
    pub(super) row: u32,
}

/// Spans of the trace by their place in span order, ascending, and what stages said of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spans {
    pub(super) places: Vec<u32>,
    pub(super) attributes: Vec<(String, Value)>,
}

/// A chunk's rows and the values of a plan's expressions over them: worked out once, however many spansets ask.
pub(super) struct Chunked<'a> {
    rows: Rows<'a>,
    operands: Vec<OnceCell<Operand<'a>>>,
}

impl<'a> Chunked<'a> {
    pub(super) fn new(plan: &Plan, rows: Rows<'a>) -> Self {
        Self { rows, operands: plan.exprs.iter().map(|_| OnceCell::new()).collect() }
    }
}

/// One trace with all that is known of its rows.
pub(super) struct Subject<'s, 'a> {
    pub(super) plan: &'a Plan,
    /// In span order.
    pub(super) rows: &'s [At],
    /// Empty when the plan needs none.
    pub(super) tree: &'s Tree,
    /// For each chunk, the plan's expressions over its rows, each worked out when first asked for.
    pub(super) chunks: &'s [Chunked<'a>],
    /// For each chunk, for each filter, the rows that meet it.
    pub(super) filtered: &'s [&'s [Option<BooleanBuffer>]],
}

impl<'a> Subject<'_, 'a> {
    /// The spansets that the stages leave; none when the trace does not match.
    pub(super) fn run(&self) -> Vec<Spans> {
        let all = Spans { places: (0..self.rows.len() as u32).collect(), attributes: Vec::new() };
        self.steps(&self.plan.stages, vec![all])
    }

    /// An expression of the plan at a span: its values over the span's chunk, and the row.
    fn operand(&self, expr: usize, place: u32) -> (&Operand<'a>, usize) {
        let At { chunk, row } = self.rows[place as usize];
        let chunked = &self.chunks[chunk as usize];
        (chunked.operands[expr].get_or_init(|| chunked.rows.operand(&self.plan.exprs[expr])), row as usize)
    }

    fn steps(&self, steps: &[Step], mut spansets: Vec<Spans>) -> Vec<Spans> {
        for step in steps {
            spansets = match step {
                Step::Spansets(set) => spansets.iter().flat_map(|spans| self.set(set, spans)).collect(),
                Step::Scalar { left, op, right, aggregates } => spansets
                    .into_iter()
                    .filter_map(|spans| self.scalar_filter(spans, (left, *op, right), aggregates))
                    .collect(),
                Step::By { expr, name } => spansets.iter().flat_map(|spans| self.by(spans, *expr, name)).collect(),
                Step::Coalesce if spansets.is_empty() => spansets,
                Step::Coalesce => vec![Spans { places: united(&spansets), attributes: Vec::new() }],
            };
            spansets.retain(|spans| !spans.places.is_empty());
            if spansets.is_empty() {
                break;
            }
        }
        spansets
    }

    fn set(&self, set: &Set, input: &Spans) -> Vec<Spans> {
        match set {
            Set::Filter(filter) => {
                vec![Spans { places: self.filter(*filter, &input.places), attributes: input.attributes.clone() }]
            }
            Set::Pipeline(steps) => self.steps(steps, vec![input.clone()]),
            Set::Chain { first, rest } => {
                let mut left = united(&self.set(first, input));
                for (op, right) in rest {
                    let right = united(&self.set(right, input));
                    left = match op {
                        SpansetOp::And if left.is_empty() || right.is_empty() => Vec::new(),
                        SpansetOp::And | SpansetOp::Or => union(&left, &right),
                        SpansetOp::Structural { relation, mode } => self.structural(*relation, *mode, &left, &right),
                    };
                }
                vec![Spans { places: left, attributes: input.attributes.clone() }]
            }
        }
    }

    fn filter(&self, filter: usize, places: &[u32]) -> Vec<u32> {
        let meets = |place: &&u32| {
            let At { chunk, row } = self.rows[**place as usize];
            self.filtered[chunk as usize][filter].as_ref().is_none_or(|rows| rows.value(row as usize))
        };
        places.iter().filter(meets).copied().collect()
    }

    fn structural(&self, relation: Relation, mode: StructuralMode, left: &[u32], right: &[u32]) -> Vec<u32> {
        match mode {
            StructuralMode::Plain => self.related(relation, left, right, true),
            StructuralMode::Not => self.related(relation, left, right, false),
            StructuralMode::Union => {
                let rights = self.related(relation, left, right, true);
                let inverse = match relation {
                    Relation::Child => Relation::Parent,
                    Relation::Parent => Relation::Child,
                    Relation::Descendant => Relation::Ancestor,
                    Relation::Ancestor => Relation::Descendant,
                    Relation::Sibling => Relation::Sibling,
                };
                union(&rights, &self.related(inverse, right, left, true))
            }
        }
    }

    /// The spans of `of` that are the relation of some span of `to`, or of none. Costs a sort of the two, whatever the size of the
    /// trace: `by()` may ask for every span of it.
    fn related(&self, relation: Relation, to: &[u32], of: &[u32], wanted: bool) -> Vec<u32> {
        let Tree { parent, left, right, .. } = self.tree;
        let parents_of = |places: &[u32]| {
            let mut parents: Vec<u32> =
                places.iter().map(|place| parent[*place as usize]).filter(|up| *up != NONE).collect();
            parents.sort_unstable();
            parents
        };
        let keep =
            |is: &dyn Fn(usize) -> bool| of.iter().copied().filter(|place| is(*place as usize) == wanted).collect();
        match relation {
            Relation::Child => keep(&|place| parent[place] != NONE && to.binary_search(&parent[place]).is_ok()),
            Relation::Parent => {
                let parents = parents_of(to);
                keep(&|place| parents.binary_search(&(place as u32)).is_ok())
            }
            Relation::Descendant => {
                // Of all that open before a span, the one that closes last encloses it, if any does.
                let mut opened: Vec<(u32, u32)> =
                    to.iter().map(|place| (left[*place as usize], right[*place as usize])).collect();
                opened.sort_unstable();
                let mut last_close = 0;
                for (_, close) in &mut opened {
                    last_close = last_close.max(*close);
                    *close = last_close;
                }
                keep(&|place| {
                    let before = opened.partition_point(|(open, _)| *open < left[place]);
                    before > 0 && opened[before - 1].1 > right[place]
                })
            }
            Relation::Ancestor => {
                let mut opened: Vec<u32> = to.iter().map(|place| left[*place as usize]).collect();
                opened.sort_unstable();
                keep(&|place| {
                    let next = opened.partition_point(|open| *open <= left[place]);
                    opened.get(next).is_some_and(|open| *open < right[place])
                })
            }
            Relation::Sibling => {
                let parents = parents_of(to);
                keep(&|place| {
                    let up = parent[place];
                    let same =
                        parents.partition_point(|known| *known <= up) - parents.partition_point(|known| *known < up);
                    let itself = usize::from(to.binary_search(&(place as u32)).is_ok());
                    up != NONE && same > itself
                })
            }
        }
    }

    fn by(&self, spans: &Spans, expr: usize, name: &str) -> Vec<Spans> {
        let mut places: BTreeMap<Label, usize> = BTreeMap::new();
        let mut groups: Vec<Spans> = Vec::new();
        for place in &spans.places {
            let (operand, row) = self.operand(expr, *place);
            let value = operand.one(row);
            let group = *places.entry(Label(value)).or_insert_with_key(|Label(value)| {
                let mut attributes = spans.attributes.clone();
                set_attribute(&mut attributes, name, value.clone());
                groups.push(Spans { places: Vec::new(), attributes });
                groups.len() - 1
            });
            groups[group].places.push(*place);
        }
        groups
    }

    fn scalar_filter(
        &self,
        mut spans: Spans,
        (left, op, right): (&Scalars, FieldOp, &Scalars),
        aggregates: &[(String, usize)],
    ) -> Option<Spans> {
        let mut values = vec![Value::Nil; aggregates.len()];
        let left = self.scalar(left, &spans.places, &mut values);
        let right = self.scalar(right, &spans.places, &mut values);
        let (left, right) = (left?, right?);
        if compare(op, Scalar::of(&left)?, Scalar::of(&right)?) != Some(true) {
            return None;
        }
        for (name, place) in aggregates {
            set_attribute(&mut spans.attributes, name, values[*place].clone());
        }
        Some(spans)
    }

    fn scalar(&self, scalars: &Scalars, places: &[u32], aggregates: &mut [Value]) -> Option<Value> {
        match scalars {
            Scalars::Literal(value) => Some(value.clone()),
            Scalars::Aggregate { function, argument, place } => {
                let value = match argument {
                    None => Some(Number::Int(places.len() as i64)),
                    Some(expr) => {
                        let numbers = places.iter().filter_map(|place| {
                            let (operand, row) = self.operand(*expr, *place);
                            operand.number(row)
                        });
                        aggregate(*function, numbers)
                    }
                };
                let value = value?.to_value();
                aggregates[*place] = value.clone();
                Some(value)
            }
            Scalars::Binary { op, left, right } => {
                let left = self.scalar(left, places, aggregates);
                let right = self.scalar(right, places, aggregates);
                Some(arithmetic(*op, Number::of_value(&left?)?, Number::of_value(&right?)?)?.to_value())
            }
        }
    }
}

/// An aggregate over numbers in span order; nothing of nothing.
pub(super) fn aggregate(function: Aggregate, numbers: impl Iterator<Item = Number>) -> Option<Number> {
    let (mut count, mut exact, mut float) = (0_u64, 0_i128, 0.0_f64);
    let (mut any_float, mut any_duration) = (false, false);
    let mut extreme: Option<Number> = None;
    for number in numbers {
        count += 1;
        match number {
            Number::Int(int) => exact += i128::from(int),
            Number::Duration(nanos) => {
                any_duration = true;
                exact += i128::from(nanos);
            }
            Number::Float(_) => any_float = true,
        }
        float += number.as_f64();
        let better = |best: Number| match function {
            Aggregate::Min => number.cmp(best).is_lt(),
            _ => number.cmp(best).is_gt(),
        };
        if extreme.is_none_or(better) {
            extreme = Some(number);
        }
    }
    if count == 0 {
        return None;
    }
    match function {
        Aggregate::Count => i64::try_from(count).ok().map(Number::Int),
        Aggregate::Min | Aggregate::Max => extreme,
        Aggregate::Sum if any_float => (!float.is_nan()).then_some(Number::Float(float)),
        Aggregate::Sum => Some(match i64::try_from(exact) {
            Ok(sum) if any_duration => Number::Duration(sum),
            Ok(sum) => Number::Int(sum),
            Err(_) => Number::Float(exact as f64),
        }),
        Aggregate::Avg if any_float => {
            let average = float / count as f64;
            (!average.is_nan()).then_some(Number::Float(average))
        }
        Aggregate::Avg if any_duration => i64::try_from(exact / i128::from(count)).ok().map(Number::Duration),
        Aggregate::Avg => Some(Number::Float(exact as f64 / count as f64)),
    }
}

fn set_attribute(attributes: &mut Vec<(String, Value)>, name: &str, value: Value) {
    match attributes.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = value,
        None => attributes.push((name.to_owned(), value)),
    }
}

/// All spans of some spansets.
fn united(spansets: &[Spans]) -> Vec<u32> {
    match spansets {
        [] => Vec::new(),
        [only] => only.places.clone(),
        several => {
            let mut places: Vec<u32> = several.iter().flat_map(|spans| spans.places.iter().copied()).collect();
            places.sort_unstable();
            places.dedup();
            places
        }
    }
}

/// What two ascending lists have together.
fn union(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut out = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    loop {
        let next = match (a.peek(), b.peek()) {
            (None, None) => return out,
            (Some(x), Some(y)) if x == y => {
                b.next();
                a.next()
            }
            (Some(x), Some(y)) if x < y => a.next(),
            (Some(_), None) => a.next(),
            _ => b.next(),
        };
        out.extend(next);
    }
}
