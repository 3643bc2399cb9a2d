//! Evaluates expressions over the rows of a chunk, a column at a time: each distinct value is decided once.

use arrow_array::{Array, StringArray};
use arrow_buffer::BooleanBuffer;
use regex::Regex;
use spanlake_block::{AttributeValue, NIL, RowValues};
use spanlake_traceql::{FieldOp, Kind, Status, Value};

use super::column::Column;
use super::compile::Expr;
use super::scalar::{Number, Scalar, Unit, any_scalar, arithmetic, compare, holds_float, negate};

/// Rows with their columns, one a field of the query.
pub(super) struct Rows<'a> {
    pub(super) row_count: usize,
    /// By the query's field places; none when it was not read because nothing asks for it.
    pub(super) columns: &'a [Option<Column>],
}

/// For each row whether a value is true, and whether it is a boolean that is not.
#[derive(Debug, Clone)]
pub(super) struct Truth {
    pub(super) yes: BooleanBuffer,
    no: BooleanBuffer,
}

impl Truth {
    fn decided(yes: BooleanBuffer) -> Self {
        let no = !&yes;
        Self { yes, no }
    }
}

/// A value for each row.
pub(super) enum Operand<'a> {
    Literal(&'a Value),
    Column(&'a Column),
    Truth(Truth),
    Numbers(Vec<Option<Number>>),
}

impl Operand<'_> {
    /// The one value of a row.
    pub(super) fn one(&self, row: usize) -> Value {
        match self {
            Self::Literal(value) => (*value).clone(),
            Self::Column(column) => column.one(row),
            Self::Truth(truth) if truth.yes.value(row) => Value::Bool(true),
            Self::Truth(truth) if truth.no.value(row) => Value::Bool(false),
            Self::Truth(_) => Value::Nil,
            Self::Numbers(numbers) => numbers[row].map_or(Value::Nil, Number::to_value),
        }
    }

    /// The number that a row's value is.
    pub(super) fn number(&self, row: usize) -> Option<Number> {
        match self {
            Self::Literal(value) => Number::of_value(value),
            Self::Column(column) => column.number(row),
            Self::Truth(_) => None,
            Self::Numbers(numbers) => numbers[row],
        }
    }

    fn any_scalar(&self, row: usize, see: &mut dyn FnMut(Scalar<'_>) -> bool) -> bool {
        match self {
            Self::Literal(value) => Scalar::of(value).is_some_and(see),
            Self::Column(column) => column.any_scalar(row, see),
            Self::Truth(truth) if truth.yes.value(row) => see(Scalar::Bool(true)),
            Self::Truth(truth) if truth.no.value(row) => see(Scalar::Bool(false)),
            Self::Truth(_) => false,
            Self::Numbers(numbers) => numbers[row].is_some_and(|number| see(number.scalar())),
        }
    }

    fn has(&self, row: usize) -> bool {
        match self {
            Self::Literal(value) => **value != Value::Nil,
            Self::Column(column) => column.has(row),
            Self::Truth(truth) => truth.yes.value(row) || truth.no.value(row),
            Self::Numbers(numbers) => numbers[row].is_some(),
        }
    }
}

impl<'a> Rows<'a> {
    /// The rows for which the expression is true.
    pub(super) fn filter(&self, expr: &'a Expr) -> BooleanBuffer {
        self.truth(expr).yes
    }

    fn all(&self, value: bool) -> BooleanBuffer {
        if value { BooleanBuffer::new_set(self.row_count) } else { BooleanBuffer::new_unset(self.row_count) }
    }

    fn each(&self, decide: impl FnMut(usize) -> bool) -> BooleanBuffer {
        BooleanBuffer::collect_bool(self.row_count, decide)
    }

    fn truth(&self, expr: &'a Expr) -> Truth {
        match expr {
            Expr::All(parts) => {
                let mut all = self.all(true);
                for part in parts {
                    if all.count_set_bits() == 0 {
                        break;
                    }
                    all = &all & &self.truth(part).yes;
                }
                Truth::decided(all)
            }
            Expr::Any(parts) => {
                Truth::decided(parts.iter().fold(self.all(false), |any, part| &any | &self.truth(part).yes))
            }
            Expr::Not(of) => {
                let Truth { yes, no } = self.truth(of);
                Truth { yes: no, no: yes }
            }
            Expr::IsNil { of, negated } => {
                let operand = self.operand(of);
                Truth::decided(self.each(|row| operand.has(row) == *negated))
            }
            Expr::Matches { of, regex, negated } => Truth::decided(self.matches(of, regex, *negated)),
            Expr::Compare { op, left, right } => Truth::decided(self.compare(*op, left, right)),
            Expr::Literal(Value::Bool(value)) => Truth::decided(self.all(*value)),
            Expr::Field(_) | Expr::Literal(_) | Expr::Negate(_) | Expr::Arithmetic { .. } => {
                match self.operand(expr) {
                    Operand::Column(column) => self.truth_of_column(column),
                    // Numbers are no booleans, and neither are other literals.
                    _ => Truth { yes: self.all(false), no: self.all(false) },
                }
            }
        }
    }

    fn truth_of_column(&self, column: &Column) -> Truth {
        if let RowValues::Numbers(_) | RowValues::Ids(_) | RowValues::Ints(_) | RowValues::Texts { .. } = column.values
        {
            return Truth { yes: self.all(false), no: self.all(false) };
        }
        let yes = self.each(|row| column.any_scalar(row, &mut |scalar| scalar == Scalar::Bool(true)));
        let any = self.each(|row| column.any_scalar(row, &mut |scalar| matches!(scalar, Scalar::Bool(_))));
        let no = &any & &!&yes;
        Truth { yes, no }
    }

    /// The value of an expression for each row.
    pub(super) fn operand(&self, expr: &'a Expr) -> Operand<'a> {
        match expr {
            Expr::Literal(value) => Operand::Literal(value),
            Expr::Field(place) => match self.columns.get(*place).and_then(Option::as_ref) {
                Some(column) => Operand::Column(column),
                None => Operand::Literal(&Value::Nil),
            },
            Expr::Negate(of) => {
                let of = self.operand(of);
                Operand::Numbers((0..self.row_count).map(|row| of.number(row).map(negate)).collect())
            }
            Expr::Arithmetic { op, left, right } => {
                let (left, right) = (self.operand(left), self.operand(right));
                let result = |row| arithmetic(*op, left.number(row)?, right.number(row)?);
                Operand::Numbers((0..self.row_count).map(result).collect())
            }
            Expr::Not(_)
            | Expr::All(_)
            | Expr::Any(_)
            | Expr::IsNil { .. }
            | Expr::Matches { .. }
            | Expr::Compare { .. } => Operand::Truth(self.truth(expr)),
        }
    }

    fn matches(&self, of: &'a Expr, regex: &Regex, negated: bool) -> BooleanBuffer {
        let operand = self.operand(of);
        if let Operand::Column(Column { values: RowValues::Texts { codes, texts }, .. }) = &operand {
            return by_text(codes, texts, |text| regex.is_match(text) != negated);
        }
        if let Operand::Column(Column { values: RowValues::Coded { codes, values }, unit }) = &operand {
            return by_value(codes, values, |value| {
                list_matches(regex, negated, &mut |see| any_scalar(value, *unit, see))
            });
        }
        self.each(|row| list_matches(regex, negated, &mut |see| operand.any_scalar(row, see)))
    }

    fn compare(&self, op: FieldOp, left: &'a Expr, right: &'a Expr) -> BooleanBuffer {
        match (self.operand(left), self.operand(right)) {
            (Operand::Literal(a), Operand::Literal(b)) => {
                let holds = Scalar::of(a).zip(Scalar::of(b)).and_then(|(a, b)| compare(op, a, b));
                self.all(holds == Some(true))
            }
            (Operand::Column(column), Operand::Literal(literal)) => match Scalar::of(literal) {
                Some(literal) => self.compare_column(op, column, literal),
                None => self.all(false),
            },
            (Operand::Literal(literal), Operand::Column(column)) => match Scalar::of(literal) {
                Some(literal) => self.compare_column(mirrored(op), column, literal),
                None => self.all(false),
            },
            (left, right) => {
                let mut rights: Vec<OwnedScalar> = Vec::new();
                self.each(|row| {
                    rights.clear();
                    right.any_scalar(row, &mut |scalar| {
                        rights.push(OwnedScalar::from(scalar));
                        false
                    });
                    lists_meet(op, &mut |see| left.any_scalar(row, see), &mut |see| {
                        rights.iter().any(|scalar| see(scalar.borrow()))
                    })
                })
            }
        }
    }

    fn compare_column(&self, op: FieldOp, column: &Column, literal: Scalar<'_>) -> BooleanBuffer {
        let one = |scalar: Scalar<'_>| compare(op, scalar, literal) == Some(true);
        match &column.values {
            RowValues::Numbers(numbers) => match (column.unit, literal) {
                (Unit::Plain | Unit::Duration, Scalar::Int(literal) | Scalar::Duration(literal)) => {
                    ints(op, numbers, literal)
                }
                (Unit::Plain | Unit::Duration, Scalar::Float(literal)) => {
                    self.each(|row| holds_float(op, numbers[row] as f64, literal))
                }
                (Unit::Status, Scalar::Status(literal)) => {
                    few(numbers, |number| one_of(op, Status::from_number(number).cmp(&literal)))
                }
                (Unit::Kind, Scalar::Kind(literal)) => {
                    few(numbers, |number| one_of(op, Kind::from_number(number).cmp(&literal)))
                }
                _ => self.all(false),
            },
            RowValues::Ids(ids) => match (op, literal) {
                (FieldOp::Eq | FieldOp::Ne, Scalar::Text(text)) => {
                    let id = (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten();
                    let canonical = id.filter(|id| *id != 0 && super::column::id_text(*id) == text);
                    // The empty text is what a span without parent has.
                    let wanted = canonical.or_else(|| text.is_empty().then_some(0));
                    match wanted {
                        Some(wanted) => self.each(|row| (ids[row] == wanted) == (op == FieldOp::Eq)),
                        None => self.all(op == FieldOp::Ne),
                    }
                }
                (_, Scalar::Text(_)) => self.each(|row| one(Scalar::Text(&super::column::id_text(ids[row])))),
                _ => self.all(false),
            },
            RowValues::Ints(array) => {
                let meets = match literal {
                    Scalar::Int(literal) | Scalar::Duration(literal) => ints(op, array.values(), literal),
                    Scalar::Float(literal) => self.each(|row| holds_float(op, array.values()[row] as f64, literal)),
                    _ => return self.all(false),
                };
                valid(meets, array)
            }
            RowValues::Doubles(array) => {
                let literal = match literal {
                    Scalar::Int(literal) | Scalar::Duration(literal) => literal as f64,
                    Scalar::Float(literal) => literal,
                    _ => return self.all(false),
                };
                // A double that is not a number is no value, so it is not different from any.
                let meets = self.each(|row| {
                    let double = array.values()[row];
                    !double.is_nan() && holds_float(op, double, literal)
                });
                valid(meets, array)
            }
            RowValues::Bools(array) => {
                let Scalar::Bool(literal) = literal else { return self.all(false) };
                let meets = match op {
                    FieldOp::Eq => self.each(|row| array.value(row) == literal),
                    FieldOp::Ne => self.each(|row| array.value(row) != literal),
                    _ => self.all(false),
                };
                valid(meets, array)
            }
            RowValues::Texts { codes, texts } => match literal {
                Scalar::Text(_) => by_text(codes, texts, |text| one(Scalar::Text(text))),
                _ => self.all(false),
            },
            RowValues::Coded { codes, values } => by_value(codes, values, |value| {
                lists_meet(op, &mut |see| any_scalar(value, column.unit, see), &mut |see| see(literal))
            }),
        }
    }
}

fn one_of(op: FieldOp, ordering: std::cmp::Ordering) -> bool {
    compare(op, Scalar::Int(ordering as i64), Scalar::Int(0)) == Some(true)
}

/// Numbers of which few are known: each is decided once, and what is not known as one.
fn few(numbers: &[i64], decide: impl Fn(i32) -> bool) -> BooleanBuffer {
    const KNOWN: usize = 8;
    let decided: [bool; KNOWN + 1] = std::array::from_fn(|number| decide(number as i32));
    BooleanBuffer::collect_bool(numbers.len(), |row| {
        decided[usize::try_from(numbers[row]).map_or(KNOWN, |number| number.min(KNOWN))]
    })
}

/// Integers against a literal; the operator is chosen once, not in each round.
fn ints(op: FieldOp, values: &[i64], literal: i64) -> BooleanBuffer {
    let len = values.len();
    match op {
        FieldOp::Eq => BooleanBuffer::collect_bool(len, |row| values[row] == literal),
        FieldOp::Ne => BooleanBuffer::collect_bool(len, |row| values[row] != literal),
        FieldOp::Lt => BooleanBuffer::collect_bool(len, |row| values[row] < literal),
        FieldOp::Le => BooleanBuffer::collect_bool(len, |row| values[row] <= literal),
        FieldOp::Gt => BooleanBuffer::collect_bool(len, |row| values[row] > literal),
        FieldOp::Ge => BooleanBuffer::collect_bool(len, |row| values[row] >= literal),
        _ => BooleanBuffer::new_unset(len),
    }
}

fn valid(meets: BooleanBuffer, array: &dyn Array) -> BooleanBuffer {
    match array.nulls() {
        Some(nulls) => &meets & nulls.inner(),
        None => meets,
    }
}

fn by_code(codes: &[u32], decided: &[bool]) -> BooleanBuffer {
    if !decided.contains(&true) {
        return BooleanBuffer::new_unset(codes.len());
    }
    // The code of no value lies past the end.
    BooleanBuffer::collect_bool(codes.len(), |row| decided.get(codes[row] as usize).copied().unwrap_or(false))
}

fn by_text(codes: &[u32], texts: &StringArray, decide: impl Fn(&str) -> bool) -> BooleanBuffer {
    // With more texts than rows, as when few rows were picked, only those in use are decided.
    if texts.len() > 2 * codes.len() {
        return BooleanBuffer::collect_bool(codes.len(), |row| {
            codes[row] != NIL && decide(texts.value(codes[row] as usize))
        });
    }
    let decided: Vec<bool> = (0..texts.len()).map(|at| texts.is_valid(at) && decide(texts.value(at))).collect();
    by_code(codes, &decided)
}

fn by_value(codes: &[u32], values: &[AttributeValue], decide: impl FnMut(&AttributeValue) -> bool) -> BooleanBuffer {
    let decided: Vec<bool> = values.iter().map(decide).collect();
    by_code(codes, &decided)
}

/// Calls with each scalar of a list until told to stop; says whether it was.
type EachScalar<'a> = &'a mut dyn FnMut(&mut dyn FnMut(Scalar<'_>) -> bool) -> bool;

/// `=~` of a list: whether a text of it matches; `!~`: whether it has texts and none matches.
fn list_matches(regex: &Regex, negated: bool, list: EachScalar<'_>) -> bool {
    let mut any_text = false;
    let matched = list(&mut |scalar| match scalar {
        Scalar::Text(text) => {
            any_text = true;
            regex.is_match(text)
        }
        _ => false,
    });
    if negated { any_text && !matched } else { matched }
}

/// A comparison of two lists: whether it holds for a comparable pair; `!=`: whether there is one and `=` holds for none.
fn lists_meet(op: FieldOp, left: EachScalar<'_>, right: EachScalar<'_>) -> bool {
    let negated = op == FieldOp::Ne;
    let op = if negated { FieldOp::Eq } else { op };
    let mut comparable = false;
    let met = left(&mut |a| {
        right(&mut |b| {
            let holds = compare(op, a, b);
            comparable |= holds.is_some();
            holds == Some(true)
        })
    });
    if negated { comparable && !met } else { met }
}

/// The operator with its sides swapped.
fn mirrored(op: FieldOp) -> FieldOp {
    match op {
        FieldOp::Lt => FieldOp::Gt,
        FieldOp::Le => FieldOp::Ge,
        FieldOp::Gt => FieldOp::Lt,
        FieldOp::Ge => FieldOp::Le,
        other => other,
    }
}

/// A scalar that outlives the row it came from.
enum OwnedScalar {
    Text(String),
    Other(Scalar<'static>),
}

impl From<Scalar<'_>> for OwnedScalar {
    fn from(scalar: Scalar<'_>) -> Self {
        match scalar {
            Scalar::Text(text) => Self::Text(text.to_owned()),
            Scalar::Bool(bool) => Self::Other(Scalar::Bool(bool)),
            Scalar::Int(int) => Self::Other(Scalar::Int(int)),
            Scalar::Float(float) => Self::Other(Scalar::Float(float)),
            Scalar::Duration(nanos) => Self::Other(Scalar::Duration(nanos)),
            Scalar::Status(status) => Self::Other(Scalar::Status(status)),
            Scalar::Kind(kind) => Self::Other(Scalar::Kind(kind)),
        }
    }
}

impl OwnedScalar {
    fn borrow(&self) -> Scalar<'_> {
        match self {
            Self::Text(text) => Scalar::Text(text),
            Self::Other(scalar) => *scalar,
        }
    }
}
