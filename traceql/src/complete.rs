//! What may come at the cursor of a query that is being typed. It knows the words of the language; names and values of
//! attributes are for the caller to look up.

mod context;

use std::ops::Range;

use context::{Context, context};

use crate::ast::{Field, FieldOp, Intrinsic, Scope};
use crate::check::Type;
use crate::error::floor_boundary;
use crate::lexer::{Token, TokenKind, tolerant_tokens};
use crate::limits::MAX_TEXT_BYTES;

/// What may come at the cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The bytes that a candidate replaces; empty at the cursor if nothing is typed yet.
    pub range: Range<usize>,
    /// What is typed already, up to the cursor, without the opening quote of a text.
    pub prefix: String,
    /// What could be offered; empty inside of comments and where only a free choice is left, such as a number.
    pub kinds: Vec<CompletionKind>,
    /// Words of the language that fit the prefix, in the order to show them.
    pub candidates: Vec<String>,
}

/// What could be offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompletionKind {
    /// Names of attributes, to be written as `Display` of [`Field`] writes them.
    Attributes {
        /// Of the parent span.
        of_parent: bool,
        /// Where; [`Scope::Any`] is everywhere.
        scope: Scope,
    },
    /// Names of intrinsics; they are among the candidates.
    Intrinsics,
    /// Values of a field, as literals.
    Values(Field),
    /// Operators between values, aggregates or spansets; they are among the candidates.
    Operators,
    /// `count()` and the like; they are among the candidates.
    Aggregates,
    /// `rate()` and the like; they are among the candidates.
    MetricsFunctions,
    /// `by()`, `select()`, `topk()` and the like; they are among the candidates.
    PipelineStages,
    /// What `with()` takes; they are among the candidates.
    Hints,
    /// Brackets, literals and words such as `by` and `with`; they are among the candidates.
    Keywords,
}

const AGGREGATES: &[&str] = &["count()", "avg(", "max(", "min(", "sum("];
const STAGES: &[&str] = &["by(", "coalesce()", "select("];
const METRICS: &[&str] = &[
    "rate()",
    "count_over_time()",
    "quantile_over_time(",
    "histogram_over_time(",
    "avg_over_time(",
    "max_over_time(",
    "min_over_time(",
    "sum_over_time(",
    "compare(",
];
const SECOND_STAGES: &[&str] = &["topk(", "bottomk("];
const HINTS: &[&str] = &["most_recent=true", "sample=true", "trace_sample=", "span_sample=", "exemplars="];
const SCOPES: &[&str] =
    &[".", "span.", "resource.", "event.", "link.", "instrumentation.", "parent.", "parent.span.", "parent.resource."];
const SPANSET_OPERATORS: &[&str] =
    &["&&", "||", ">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~", "&>", "&>>", "&<", "&<<", "&~"];
const COMPARISONS: &[&str] = &["=", "!=", "<", "<=", ">", ">="];
const BOOLEANS: &[&str] = &["true", "false"];
const STATUSES: &[&str] = &["error", "ok", "unset"];
const KINDS: &[&str] = &["server", "client", "internal", "producer", "consumer", "unspecified"];

/// What may come at byte `cursor` of a text that need not be a sound query. A cursor inside of a character or behind
/// the end is moved before it.
///
/// Takes time in proportion to the length of the text.
pub fn complete(text: &str, cursor: usize) -> Completion {
    let cursor = floor_boundary(text, cursor);
    let before = &text[..cursor];
    let mut completion =
        Completion { range: cursor..cursor, prefix: String::new(), kinds: Vec::new(), candidates: Vec::new() };
    if text.len() > MAX_TEXT_BYTES {
        return completion;
    }
    let mut words = tolerant_tokens(before);
    let last_end = words.last().map_or(0, |token| token.range.end);
    if ends_in_comment(&before[last_end..]) {
        return completion;
    }
    if let Some(typed) = words.pop_if(|token| is_being_typed(before, token)) {
        let start = typed.range.start;
        completion.range = start..end_of_word(text, start, cursor);
        completion.prefix = before[start..].to_owned();
        if matches!(before[start..].chars().next(), Some('"' | '`')) {
            completion.prefix.remove(0);
        }
        completion.offer(&context(before, &words));
        completion.narrow_to_scope(&typed, &before[start..]);
    } else {
        completion.offer(&context(before, &words));
    }
    let prefix = completion.prefix.to_lowercase();
    completion.candidates.retain(|candidate| candidate.to_lowercase().starts_with(&prefix));
    completion
}

/// Whether the last of these spaces and comments is a comment that goes on.
fn ends_in_comment(space: &str) -> bool {
    let mut rest = space.trim_start();
    loop {
        let end = if rest.starts_with("//") {
            rest.find('\n')
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.find("*/").map(|position| position + 4)
        } else {
            return false;
        };
        match end {
            Some(end) => rest = rest[end..].trim_start(),
            None => return true,
        }
    }
}

/// Whether the last word touches the cursor and could go on.
fn is_being_typed(before: &str, token: &Token) -> bool {
    let is_open = match &token.kind {
        TokenKind::Word | TokenKind::Field(_) | TokenKind::Number(_) => true,
        // A text without its end, a scope without its name, an intrinsic not yet whole, a duration without its unit.
        TokenKind::Bad(_) => before[token.range.clone()]
            .starts_with(|first: char| first == '"' || first == '`' || first == '.' || first.is_alphanumeric()),
        TokenKind::Sign(_) | TokenKind::String(_) | TokenKind::End => false,
    };
    is_open && token.range.end == before.len()
}

/// Where the word that starts at `start` ends in the whole text.
fn end_of_word(text: &str, start: usize, cursor: usize) -> usize {
    let whole = tolerant_tokens(text).into_iter().find(|token| token.range.start == start);
    match whole {
        // What is bad may be so because it is not closed, and then all that follows seems to belong to it.
        Some(Token { kind: TokenKind::Bad(_), .. }) | None => cursor,
        Some(token) => token.range.end.max(cursor),
    }
}

impl Completion {
    fn add(&mut self, kind: CompletionKind, candidates: &[&str]) {
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
        self.candidates.extend(candidates.iter().map(|&candidate| candidate.to_owned()));
    }

    /// Puts in what may come in a context.
    fn offer(&mut self, context: &Context) {
        match context {
            Context::Nothing => {}
            Context::Spanset => self.add(CompletionKind::Keywords, &["{ ", "("]),
            Context::AfterSpanset { is_root, is_open } => {
                self.add(CompletionKind::Operators, SPANSET_OPERATORS);
                self.after_stage(*is_root, *is_open);
            }
            Context::Stage { is_root } => {
                self.add(CompletionKind::Aggregates, AGGREGATES);
                self.add(CompletionKind::PipelineStages, STAGES);
                if *is_root {
                    self.add(CompletionKind::MetricsFunctions, METRICS);
                }
                self.add(CompletionKind::Keywords, &["{ "]);
            }
            Context::AfterStage { is_root, is_open } => self.after_stage(*is_root, *is_open),
            Context::Scalar => self.add(CompletionKind::Aggregates, AGGREGATES),
            Context::AfterAggregate => self.add(CompletionKind::Operators, COMPARISONS),
            Context::SecondStage => self.add(CompletionKind::PipelineStages, SECOND_STAGES),
            Context::AfterMetrics { may_group } => {
                if *may_group {
                    self.add(CompletionKind::Keywords, &["by("]);
                }
                self.add(CompletionKind::Operators, COMPARISONS);
                self.after_stage(true, false);
            }
            Context::AfterCompare => self.add(CompletionKind::Keywords, &["with("]),
            Context::Selection => self.add(CompletionKind::Keywords, &["{ "]),
            Context::Name { only_numbers, or_value } => self.names(*only_numbers, *or_value),
            Context::AfterName { field, close } => {
                self.add(CompletionKind::Operators, operators(field));
                self.add(CompletionKind::Keywords, &[close]);
            }
            Context::Value { field, is_regex } => self.values(field, *is_regex),
            Context::AfterCondition { close } => {
                self.add(CompletionKind::Operators, &["&&", "||"]);
                self.add(CompletionKind::Keywords, &[close]);
            }
            Context::AfterListed => self.add(CompletionKind::Keywords, &[", ", ")"]),
            Context::Call => self.add(CompletionKind::Keywords, &["("]),
            Context::Hint => self.add(CompletionKind::Hints, HINTS),
            Context::HintSign => self.add(CompletionKind::Keywords, &["="]),
            Context::HintValue => self.add(CompletionKind::Keywords, BOOLEANS),
        }
    }

    /// What follows a stage that is whole.
    fn after_stage(&mut self, is_root: bool, is_open: bool) {
        self.add(CompletionKind::Keywords, &["|"]);
        if is_open {
            self.add(CompletionKind::Keywords, &[")"]);
        }
        if is_root {
            self.add(CompletionKind::Keywords, &["with("]);
        }
    }

    fn names(&mut self, only_numbers: bool, or_value: bool) {
        self.add(CompletionKind::Attributes { of_parent: false, scope: Scope::Any }, SCOPES);
        let fits =
            |intrinsic: &Intrinsic| !only_numbers || Type::of_field(&Field::Intrinsic(*intrinsic)) == Type::Number;
        let names: Vec<&str> = Intrinsic::all().filter(fits).map(Intrinsic::name).collect();
        self.add(CompletionKind::Intrinsics, &names);
        // The names with a scope are offered to those who start to type one.
        if self.prefix.contains(':') || self.prefix.len() > 2 {
            let fits_name = |name: &&str| Intrinsic::from_name(name).is_some_and(|intrinsic| fits(&intrinsic));
            let scoped: Vec<&str> =
                Intrinsic::all_names().filter(fits_name).filter(|name| !names.contains(name)).collect();
            self.add(CompletionKind::Intrinsics, &scoped);
        }
        if or_value {
            self.add(CompletionKind::Keywords, BOOLEANS);
        }
    }

    fn values(&mut self, field: &Field, is_regex: bool) {
        self.kinds.push(CompletionKind::Values(field.clone()));
        if is_regex {
            return;
        }
        match Type::of_field(field) {
            Type::Status => self.add(CompletionKind::Keywords, STATUSES),
            Type::Kind => self.add(CompletionKind::Keywords, KINDS),
            Type::Unknown => self.add(CompletionKind::Keywords, &["true", "false", "nil"]),
            _ => {}
        }
    }

    /// Once a scope is typed, only its names are offered.
    fn narrow_to_scope(&mut self, typed: &Token, typed_text: &str) {
        let offers_names = self.kinds.iter().any(|kind| matches!(kind, CompletionKind::Attributes { .. }));
        if !offers_names || typed_text.starts_with(['"', '`']) {
            return;
        }
        let attributes = match &typed.kind {
            TokenKind::Field(Field::Attribute { of_parent, scope, .. }) => Some((*of_parent, *scope)),
            TokenKind::Bad(_) => scope_without_name(typed_text),
            _ => None,
        };
        if let Some((of_parent, scope)) = attributes {
            self.kinds = vec![CompletionKind::Attributes { of_parent, scope }];
            self.candidates.retain(|candidate| candidate.ends_with('.') && candidate.len() > typed_text.len());
        } else if typed_text.contains(':') {
            self.kinds = vec![CompletionKind::Intrinsics];
        }
    }
}

/// `span.` and `span."` are scopes whose name is still to come.
fn scope_without_name(text: &str) -> Option<(bool, Scope)> {
    let (of_parent, text) = match text.strip_prefix("parent.") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    match text.split_once('.') {
        Some(("", _)) => Some((of_parent, Scope::Any)),
        Some((word, _)) => Scope::from_word(word).map(|scope| (of_parent, scope)),
        None => of_parent.then_some((true, Scope::Any)),
    }
}

/// The operators that take a field.
fn operators(field: &Field) -> &'static [&'static str] {
    match Type::of_field(field) {
        Type::Status | Type::Kind => &["=", "!="],
        Type::String => &["=", "!=", "=~", "!~", "<", "<=", ">", ">="],
        Type::Number => &["=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "^"],
        _ => &["=", "!=", "=~", "!~", "<", "<=", ">", ">=", "&&", "||", "+", "-", "*", "/", "%", "^"],
    }
}

/// Whether an operator takes a regular expression.
fn is_regex(op: FieldOp) -> bool {
    matches!(op, FieldOp::Matches | FieldOp::NotMatches)
}

#[cfg(test)]
mod tests;
