//! What a block's indexes can say of a condition. It reads nothing but what is in memory.

use std::sync::Arc;

use spanlake_block::{
    AttributeValue, Condition, Field as BlockField, Literal, NIL, Op, Prune, RowValues, Scope as BlockScope,
};
use spanlake_traceql::{Field, FieldOp, Intrinsic, Scope, Value};

use super::batch::Opened;
use super::column::Column;
use super::compile::Expr;
use super::eval::Rows;
use super::scalar::Unit;

/// Which row groups may hold a row that meets the expression; `fields` are those of its places.
pub(super) fn prune(opened: &Opened, fields: &[Field], expr: &Expr) -> Prune {
    Pruner { opened, fields }.expr(expr)
}

struct Pruner<'a> {
    opened: &'a Opened,
    fields: &'a [Field],
}

impl Pruner<'_> {
    fn expr(&self, expr: &Expr) -> Prune {
        if let Some(key_only) = self.of_resource(expr) {
            return key_only;
        }
        match expr {
            Expr::All(parts) => Prune::All(parts.iter().map(|part| self.expr(part)).collect()),
            Expr::Any(parts) => Prune::Any(parts.iter().map(|part| self.expr(part)).collect()),
            Expr::Literal(Value::Bool(false)) => Prune::Nothing,
            Expr::Field(place) => self.field(expr, *place, FieldOp::Eq, &Value::Bool(true)),
            Expr::IsNil { of, negated: true } | Expr::Matches { of, .. } => match of.as_ref() {
                Expr::Field(place) => self.field(expr, *place, FieldOp::Ne, &Value::Nil),
                _ => Prune::Unknown,
            },
            Expr::Compare { op, left, right } => match (left.as_ref(), right.as_ref()) {
                (Expr::Field(place), Expr::Literal(value)) => self.field(expr, *place, *op, value),
                (Expr::Literal(value), Expr::Field(place)) => {
                    // Only equality and existence are looked up where sides are swapped.
                    let op = if *op == FieldOp::Eq { FieldOp::Eq } else { FieldOp::Ne };
                    self.field(expr, *place, op, value)
                }
                _ => Prune::Unknown,
            },
            Expr::Literal(_) | Expr::Negate(_) | Expr::Not(_) | Expr::IsNil { .. } | Expr::Arithmetic { .. } => {
                Prune::Unknown
            }
        }
    }

    /// An expression over resource attributes alone is decided for each resource.
    fn of_resource(&self, expr: &Expr) -> Option<Prune> {
        let (mut any, mut all) = (false, true);
        expr.each_field(&mut |place| {
            any = true;
            all &= matches!(self.fields[place], Field::Attribute { of_parent: false, scope: Scope::Resource, .. });
        });
        (any && all).then(|| Prune::Resources(self.resources_that_meet(expr)))
    }

    /// For each resource whether it meets the expression, in which attributes of any scope stand for the resource's.
    fn resources_that_meet(&self, expr: &Expr) -> Vec<bool> {
        let resources = self.opened.block.resources();
        let mut columns: Vec<Option<Column>> = vec![None; self.fields.len()];
        expr.each_field(&mut |place| {
            if let Field::Attribute { key, .. } = &self.fields[place] {
                let values: Vec<Option<AttributeValue>> = resources
                    .iter()
                    .map(|entry| {
                        let mut same = entry.resource.attributes.iter().filter(|attribute| attribute.key == *key);
                        same.find_map(|attribute| AttributeValue::of(attribute.value.as_ref()?))
                    })
                    .collect();
                let codes = values.iter().enumerate().map(|(at, value)| if value.is_some() { at as u32 } else { NIL });
                let codes = codes.collect::<Vec<_>>().into();
                let values: Arc<[AttributeValue]> =
                    values.into_iter().map(|value| value.unwrap_or(AttributeValue::Bool(false))).collect();
                columns[place] = Some(Column { values: RowValues::Coded { codes, values }, unit: Unit::Plain });
            }
        });
        let rows = Rows { row_count: resources.len(), columns: &columns };
        rows.filter(expr).iter().collect()
    }

    /// `field op value`; any operator but equality only says that the field has a value.
    fn field(&self, expr: &Expr, place: usize, op: FieldOp, value: &Value) -> Prune {
        match &self.fields[place] {
            Field::Intrinsic(Intrinsic::Name) => match (op, value) {
                (FieldOp::Eq, Value::String(name)) => {
                    condition(BlockField::Name, Op::Eq, Literal::String(name.clone()))
                }
                _ => Prune::Unknown,
            },
            Field::Intrinsic(Intrinsic::Duration) => duration(op, value),
            Field::Intrinsic(Intrinsic::EventName) => match (op, value) {
                (FieldOp::Eq, Value::String(name)) => {
                    self.groups(|group| self.opened.search.may_have_event_name(name, group))
                }
                _ => Prune::Unknown,
            },
            Field::Intrinsic(_) | Field::Attribute { of_parent: true, .. } => Prune::Unknown,
            Field::Attribute { scope, key, .. } => match scope {
                Scope::Span => self.span(key, op, value),
                Scope::Resource => Prune::Resources(self.resources_that_meet(expr)),
                Scope::Event => self.groups(|group| self.opened.search.may_have_event_key(key, group)),
                Scope::Link => self.groups(|group| self.opened.search.may_have_link_key(key, group)),
                Scope::Instrumentation => self.scopes(key),
                Scope::Any => Prune::Any(vec![
                    self.span(key, op, value),
                    Prune::Resources(self.resources_that_meet(expr)),
                    self.groups(|group| self.opened.search.may_have_event_key(key, group)),
                    self.groups(|group| self.opened.search.may_have_link_key(key, group)),
                    self.scopes(key),
                ]),
            },
        }
    }

    fn span(&self, key: &str, op: FieldOp, value: &Value) -> Prune {
        let literal = match value {
            Value::Bool(bool) => Literal::Bool(*bool),
            Value::Int(int) | Value::Duration(int) => Literal::Int(*int),
            Value::Float(double) => Literal::Double(*double),
            Value::String(text) => Literal::String(text.clone()),
            Value::Nil | Value::Array(_) => Literal::None,
            // No attribute is a status or a kind.
            Value::Status(_) | Value::Kind(_) => return Prune::Nothing,
        };
        let op = if op == FieldOp::Eq { Op::Eq } else { Op::Exists };
        condition(BlockField::Attribute { scope: BlockScope::Span, key: key.to_owned() }, op, literal)
    }

    fn groups(&self, may: impl Fn(usize) -> bool) -> Prune {
        Prune::Groups((0..self.opened.block.row_group_count()).map(may).collect())
    }

    fn scopes(&self, key: &str) -> Prune {
        let mut scopes = self.opened.block.scopes().iter().filter_map(|entry| entry.scope.as_ref());
        if scopes.any(|scope| scope.attributes.iter().any(|attribute| attribute.key == key)) {
            Prune::Unknown
        } else {
            Prune::Nothing
        }
    }
}

fn condition(field: BlockField, op: Op, value: Literal) -> Prune {
    Prune::Condition(Condition { field, op, value })
}

/// Durations below zero count as zero, which bounds know nothing of: only longer ones are looked up.
fn duration(op: FieldOp, value: &Value) -> Prune {
    let literal = match value {
        Value::Int(nanos) | Value::Duration(nanos) if *nanos > 0 => Literal::Int(*nanos),
        Value::Float(nanos) if *nanos > 0.0 => Literal::Double(*nanos),
        _ => return Prune::Unknown,
    };
    let op = match op {
        FieldOp::Eq => Op::Eq,
        FieldOp::Gt => Op::Gt,
        FieldOp::Ge => Op::Ge,
        _ => return Prune::Unknown,
    };
    condition(BlockField::DurationNanos, op, literal)
}
