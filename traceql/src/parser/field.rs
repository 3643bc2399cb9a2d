//! Values of spans: fields, literals and the operators between them, checked while they are read.

use std::ops::Range;

use super::{Node, Parser, field_op};
use crate::ast::{Field, FieldExpr, FieldOp, Intrinsic};
use crate::check::{self, Type};
use crate::error::ParseError;
use crate::fold::{self, Folded};
use crate::lexer::TokenKind;
use crate::limits::MAX_REGEX_STATES;
use crate::number::{Number, number};
use crate::operators::{NEGATE_LEVEL, NOT_LEVEL};
use crate::regex;
use crate::sign::Sign;
use crate::suggest;
use crate::value::{Kind, Status, Value};

/// What an operand may start with.
const OPERAND: &[&str] = &["an attribute or a value"];
/// Words that are values.
const VALUE_WORDS: [&str; 13] = [
    "true",
    "false",
    "nil",
    "error",
    "ok",
    "unset",
    "server",
    "client",
    "internal",
    "producer",
    "consumer",
    "unspecified",
    "minInt",
];

impl Parser<'_> {
    /// A condition on a span.
    pub(super) fn condition(&mut self) -> Result<Node<FieldExpr>, ParseError> {
        let node = self.field_expr(0)?;
        if node.kind.may_be(Type::Bool) {
            return Ok(node);
        }
        let message = format!("a condition is true or false, and this is {}", node.kind.words());
        Err(self.error(&node.range, message).hint("compare it with something: `= ...`"))
    }

    /// Operators that hold at least as tightly as `least`, and what is between them.
    pub(super) fn field_expr(&mut self, least: u8) -> Result<Node<FieldExpr>, ParseError> {
        let mut left = self.operand()?;
        while let Some(op) = self.sign().and_then(field_op).filter(|op| op.level() >= least) {
            self.advance();
            let right = if op.is_right_associative() {
                self.nested(|parser| parser.field_expr(op.level()))?
            } else {
                self.field_expr(op.level() + 1)?
            };
            left = self.combine(op, left, right)?;
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Node<FieldExpr>, ParseError> {
        let range = self.range();
        match self.sign() {
            Some(Sign::OpenParen) => {
                self.advance();
                let mut inner = self.nested(|parser| parser.field_expr(0))?;
                let close = self.expect(Sign::CloseParen, &["an operator", "`)`"])?;
                inner.range = range.start..close.end;
                return Ok(inner);
            }
            Some(Sign::Not) => {
                self.advance();
                let operand = self.nested(|parser| parser.field_expr(NOT_LEVEL + 1))?;
                return self.not(operand, range.start);
            }
            Some(Sign::Sub) => {
                self.advance();
                let operand = self.nested(|parser| parser.field_expr(NEGATE_LEVEL + 1))?;
                return self.negate(operand, range.start);
            }
            _ => {}
        }
        if let Some(value) = self.literal() {
            return self.leaf(FieldExpr::Literal(value), range);
        }
        let field = self.field()?;
        self.leaf(FieldExpr::Field(field.tree), range)
    }

    fn leaf(&mut self, tree: FieldExpr, range: Range<usize>) -> Result<Node<FieldExpr>, ParseError> {
        self.count_node(&range)?;
        let (kind, varies) = match &tree {
            FieldExpr::Literal(value) => (Type::of_value(value), false),
            FieldExpr::Field(field) => (Type::of_field(field), true),
            _ => (Type::Unknown, true),
        };
        Ok(Node { tree, kind, range, height: 1, varies })
    }

    /// Takes a literal without a sign, if one is here.
    pub(super) fn literal(&mut self) -> Option<Value> {
        let value = match &self.token().kind {
            TokenKind::String(text) => Value::String(text.clone()),
            TokenKind::Number(Number::Int(value)) => Value::Int(*value),
            TokenKind::Number(Number::Float(value)) => Value::Float(*value),
            TokenKind::Number(Number::Duration(nanos)) => Value::Duration(*nanos),
            _ => match self.word()? {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "nil" => Value::Nil,
                "minInt" => Value::Int(i64::MIN),
                "maxInt" => Value::Int(i64::MAX),
                "error" => Value::Status(Status::Error),
                "ok" => Value::Status(Status::Ok),
                "unset" => Value::Status(Status::Unset),
                "unspecified" => Value::Kind(Kind::Unspecified),
                "internal" => Value::Kind(Kind::Internal),
                "server" => Value::Kind(Kind::Server),
                "client" => Value::Kind(Kind::Client),
                "producer" => Value::Kind(Kind::Producer),
                "consumer" => Value::Kind(Kind::Consumer),
                _ => return None,
            },
        };
        self.advance();
        Some(value)
    }

    /// Takes a literal that may have a minus sign.
    pub(super) fn signed_literal(&mut self, expected: &[&str]) -> Result<Node<Value>, ParseError> {
        let start = self.range().start;
        let is_negative = self.take(Sign::Sub);
        let range = start..self.range().end;
        let value = self.literal().ok_or_else(|| self.unexpected(expected))?;
        let value = if is_negative {
            match fold::negate(&value) {
                Folded::Value(value) => value,
                Folded::Invalid(message) => return Err(self.error(&range, message)),
                Folded::Stays => return Err(self.error(&range, "only numbers and durations may be negative")),
            }
        } else {
            value
        };
        let kind = Type::of_value(&value);
        Ok(Node { tree: value, kind, range, height: 1, varies: false })
    }

    /// Takes the name of a field.
    pub(super) fn field(&mut self) -> Result<Node<Field>, ParseError> {
        let range = self.range();
        let field = match &self.token().kind {
            TokenKind::Field(field) => field.clone(),
            TokenKind::Word => Field::Intrinsic(self.intrinsic()?),
            _ => return Err(self.unexpected(OPERAND)),
        };
        self.advance();
        let kind = Type::of_field(&field);
        Ok(Node { tree: field, kind, range, height: 1, varies: true })
    }

    /// The intrinsic that the word here names.
    fn intrinsic(&self) -> Result<Intrinsic, ParseError> {
        let range = self.range();
        let word = self.word().unwrap_or_default();
        if let Some(intrinsic) = Intrinsic::from_name(word) {
            return Ok(intrinsic);
        }
        if word == "parent" {
            return Err(self
                .error(&range, "the intrinsic `parent` is not supported")
                .hint("use an attribute of the parent: `parent.x`, or its id: `span:parentID`"));
        }
        let next = self.token_at(self.position + 1);
        if next.range.start == range.end && matches!(next.kind, TokenKind::Field(_)) {
            let whole = range.start..next.range.end;
            return Err(
                ParseError::unexpected(self.text, whole.clone(), OPERAND).hint(suggest::dotted_name(&self.text[whole]))
            );
        }
        let known = Intrinsic::all_names().filter(|name| !name.contains(':')).chain(VALUE_WORDS);
        // Intrinsics that only have a name with a scope, written without it or without the colon.
        let scoped = || Intrinsic::all().map(Intrinsic::name).filter_map(|name| Some((name, name.split_once(':')?)));
        let lacks_colon = scoped().find(|(_, (scope, rest))| format!("{scope}{rest}").eq_ignore_ascii_case(word));
        let lacks_scope = || scoped().find(|(_, (_, rest))| rest.eq_ignore_ascii_case(word));
        let scoped = lacks_colon.or_else(lacks_scope).map(|(name, _)| name);
        let meant = scoped.or_else(|| suggest::nearest(word, known));
        let hint = match (suggest::foreign_operator(word), meant) {
            (Some(foreign), _) => foreign.to_owned(),
            (None, Some(name)) => format!("did you mean `{name}`?"),
            (None, None) if self.is_after_comparison() => format!("texts stand in double quotes: `\"{word}\"`"),
            (None, None) => format!("an attribute has a dot before it: `.{word}` or `span.{word}`"),
        };
        Err(self.unexpected(OPERAND).hint(hint))
    }

    fn not(&mut self, operand: Node<FieldExpr>, start: usize) -> Result<Node<FieldExpr>, ParseError> {
        let range = start..operand.range.end;
        if !operand.kind.may_be(Type::Bool) {
            let message = format!("`!` takes a condition, and this is {}", operand.kind.words());
            return Err(self.error(&operand.range, message).hint("put what is to be negated in parentheses: `!(...)`"));
        }
        let (tree, height) = match operand.tree {
            FieldExpr::Literal(Value::Bool(value)) => (FieldExpr::Literal(Value::Bool(!value)), 1),
            tree => (FieldExpr::Not(Box::new(tree)), self.height_above(operand.height, &range)?),
        };
        self.count_node(&range)?;
        Ok(Node { tree, kind: Type::Bool, range, height, varies: operand.varies })
    }

    fn negate(&mut self, operand: Node<FieldExpr>, start: usize) -> Result<Node<FieldExpr>, ParseError> {
        let range = start..operand.range.end;
        if !operand.kind.may_be(Type::Number) {
            let message = format!("`-` takes a number or duration, and this is {}", operand.kind.words());
            return Err(self.error(&operand.range, message));
        }
        let folded = match &operand.tree {
            FieldExpr::Literal(value) => fold::negate(value),
            _ => Folded::Stays,
        };
        let (tree, height) = match folded {
            Folded::Value(value) => (FieldExpr::Literal(value), 1),
            Folded::Invalid(message) => return Err(self.error(&range, message)),
            Folded::Stays => (FieldExpr::Negate(Box::new(operand.tree)), self.height_above(operand.height, &range)?),
        };
        self.count_node(&range)?;
        Ok(Node { tree, kind: Type::Number, range, height, varies: operand.varies })
    }

    fn combine(
        &mut self,
        op: FieldOp,
        left: Node<FieldExpr>,
        right: Node<FieldExpr>,
    ) -> Result<Node<FieldExpr>, ParseError> {
        let range = left.range.start..right.range.end;
        let kind = self.check_operator(op, &left, &right)?;
        let folded = match (&left.tree, &right.tree) {
            (FieldExpr::Literal(left), FieldExpr::Literal(right)) => fold::binary(op, left, right),
            _ => Folded::Stays,
        };
        self.count_node(&range)?;
        let (tree, height) = match folded {
            Folded::Value(value) => (FieldExpr::Literal(value), 1),
            Folded::Invalid(message) => return Err(self.error(&range, message)),
            Folded::Stays => {
                let height = self.height_above(left.height.max(right.height), &range)?;
                (FieldExpr::Binary { op, left: Box::new(left.tree), right: Box::new(right.tree) }, height)
            }
        };
        Ok(Node { tree, kind, range, height, varies: left.varies || right.varies })
    }

    /// What the operator gives.
    fn check_operator(
        &mut self,
        op: FieldOp,
        left: &Node<FieldExpr>,
        right: &Node<FieldExpr>,
    ) -> Result<Type, ParseError> {
        if matches!(op, FieldOp::Matches | FieldOp::NotMatches) {
            let FieldExpr::Literal(Value::String(pattern)) = &right.tree else {
                let message = format!("the right side of `{op}` must be a text with a regular expression");
                return Err(self.error(&right.range, message).hint("write it in double quotes: `=~ \"a|b\"`"));
            };
            let states = regex::check(pattern).map_err(|message| self.error(&right.range, message))?;
            self.regex_states = self.regex_states.saturating_add(states);
            if self.regex_states > MAX_REGEX_STATES {
                return Err(self.error(&right.range, "the regular expressions of this query repeat too much"));
            }
        }
        for (side, other) in [(left, right), (right, left)] {
            let (FieldExpr::Field(field), FieldExpr::Literal(Value::Nil)) = (&side.tree, &other.tree) else { continue };
            if op == FieldOp::Eq && check::is_always_there(field) {
                let range = left.range.start..right.range.end;
                if matches!(field, Field::Intrinsic(Intrinsic::ParentId)) {
                    let message = format!("`{field} = nil` is not supported");
                    return Err(self.error(&range, message).hint("root spans are those with `nestedSetParent < 0`"));
                }
                let message = format!("`{field} = nil` is not supported: every span has it");
                return Err(self.error(&range, message));
            }
        }
        check::binary(op, left.kind, right.kind).map_err(|message| {
            let range = left.range.start..right.range.end;
            self.error(&range, message).maybe_hint(mismatch_hint(op, left, right))
        })
    }
}

/// How a mismatch is likely meant.
fn mismatch_hint(op: FieldOp, left: &Node<FieldExpr>, right: &Node<FieldExpr>) -> Option<String> {
    if matches!(op, FieldOp::Matches | FieldOp::NotMatches) {
        return Some("regular expressions match texts only".to_owned());
    }
    for (value, other) in [(right, left.kind), (left, right.kind)] {
        if let FieldExpr::Literal(Value::String(text)) = &value.tree {
            let is_meant = match other {
                Type::Number => number(text).is_ok(),
                Type::Status => ["ok", "error", "unset"].contains(&text.as_str()),
                Type::Kind => VALUE_WORDS[6..12].contains(&text.as_str()),
                Type::Bool => ["true", "false"].contains(&text.as_str()),
                _ => false,
            };
            if is_meant {
                return Some(format!("write `{text}` without quotes"));
            }
        }
    }
    let kinds = [left.kind, right.kind];
    if kinds.contains(&Type::Status) {
        Some("a status is compared by `=` or `!=` with ok, error or unset".to_owned())
    } else if kinds.contains(&Type::Kind) {
        Some(
            "a kind is compared by `=` or `!=` with server, client, internal, producer, consumer or unspecified".into(),
        )
    } else if kinds == [Type::String, Type::Number] {
        Some("put the value in double quotes".to_owned())
    } else {
        None
    }
}
