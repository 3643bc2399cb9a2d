//! Why a query finds nothing: what each of its conditions alone finds, and names that may have been meant.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use spanlake_model::{Tenant, TimeRange};
use spanlake_traceql::{Field, FieldExpr, FieldOp, Query, Scope, SpansetExpr, Stage, Value};

use super::super::batch::Opened;
use super::super::pass::{Counter, Pass, SpanRows};
use super::window::{UnixNanos, Window};
use super::{every_span, query_of};
use crate::error::Error;
use crate::fetch::Reads;

/// Most conditions that are looked at, each with two passes over the spans.
const MAX_CONDITIONS: usize = 16;
/// Longest name that others are compared with.
const MAX_NAME_CHARS: usize = 128;

/// What is asked.
#[derive(Debug, Clone)]
pub struct WhyRequest {
    /// The query that finds nothing.
    pub query: Query,
    /// When its spans start.
    pub window: Window,
}

/// What each condition finds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Why {
    /// In the order of the query.
    pub conditions: Vec<WhyCondition>,
    /// Another time to look at, where there are no spans at all in this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub widen: Option<Widen>,
    /// Why not all spans are counted, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
}

/// One condition of a query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WhyCondition {
    /// As TraceQL.
    pub text: String,
    /// Spans of the window that meet it.
    pub matches: u64,
    /// Spans of the window that have its field at all; those of the first field, if it has several.
    pub exists: u64,
    /// What may have been meant, as a question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

/// Another time to look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Widen {
    /// Its first nanosecond.
    pub start: UnixNanos,
    /// Its last.
    pub end: UnixNanos,
    /// Why, as a sentence.
    pub text: String,
}

struct Count;

impl Counter for Count {
    type Part = u64;
    type Total = u64;

    fn count(&self, rows: &SpanRows<'_>) -> u64 {
        rows.rows.len() as u64
    }

    fn add(&self, total: &mut u64, part: u64) {
        *total += part;
    }

    fn held_bytes(&self, _total: &u64) -> u64 {
        0
    }
}

/// Looks into a query.
///
/// # Errors
/// [`Error`]; past a bound on work there is what was counted until then, see [`Why::partial`].
pub(crate) async fn run(reads: &Reads<'_>, tenants: &[Tenant], request: &WhyRequest) -> Result<Why, Error> {
    let range = request.window.range();
    let mut partial = None;
    let mut conditions = Vec::new();
    let mut names: Option<BTreeSet<(Scope, String)>> = None;
    for expr in conditions_of(&request.query) {
        let matches = count(reads, tenants, &query_of(Some(expr.clone())), range, &mut partial).await?;
        let Some(field) = first_field(expr) else {
            conditions.push(WhyCondition { text: expr.to_string(), matches, exists: matches, suggestion: None });
            continue;
        };
        let has = FieldExpr::Binary {
            op: FieldOp::Ne,
            left: Box::new(FieldExpr::Field(field.clone())),
            right: Box::new(FieldExpr::Literal(Value::Nil)),
        };
        let exists = match field {
            Field::Attribute { .. } if matches == 0 => {
                count(reads, tenants, &query_of(Some(has)), range, &mut partial).await?
            }
            _ => matches,
        };
        let mut suggestion = None;
        if let (0, Field::Attribute { scope, key, .. }) = (exists, field) {
            if names.is_none() {
                names = Some(names_in(reads, tenants, range).await?);
            }
            suggestion = nearest(*scope, key, names.iter().flatten());
        }
        conditions.push(WhyCondition { text: expr.to_string(), matches, exists, suggestion });
    }
    let nothing_there = conditions.iter().all(|condition| condition.matches == 0)
        && count(reads, tenants, &every_span(), range, &mut partial).await? == 0;
    let widen = if nothing_there { widen(reads, tenants, range).await? } else { None };
    Ok(Why { conditions, widen, partial })
}

async fn count(
    reads: &Reads<'_>,
    tenants: &[Tenant],
    query: &Query,
    range: TimeRange,
    partial: &mut Option<String>,
) -> Result<u64, Error> {
    let pass = Pass::open(reads, tenants, query, range).await?;
    let mut total = 0;
    let stopped = pass.run(&Arc::new(Count), &mut total).await?.told();
    if partial.is_none() {
        *partial = stopped;
    }
    Ok(total)
}

/// The conditions of all filters: what `&&` joins.
fn conditions_of(query: &Query) -> Vec<&FieldExpr> {
    let mut found = Vec::new();
    let mut spansets: Vec<&SpansetExpr> = Vec::new();
    spansets.extend(of_stages(&query.pipeline.stages));
    while let Some(set) = spansets.pop() {
        match set {
            SpansetExpr::Filter(None) => {}
            SpansetExpr::Filter(Some(filter)) => {
                let mut exprs = vec![filter];
                while let Some(expr) = exprs.pop() {
                    match expr {
                        FieldExpr::Binary { op: FieldOp::And, left, right } => {
                            exprs.push(right);
                            exprs.push(left);
                        }
                        expr => found.push(expr),
                    }
                }
            }
            SpansetExpr::Binary { left, right, .. } => {
                spansets.push(right);
                spansets.push(left);
            }
            SpansetExpr::Pipeline(pipeline) => spansets.extend(of_stages(&pipeline.stages)),
        }
    }
    found.truncate(MAX_CONDITIONS);
    found
}

/// The spansets of stages, last first.
fn of_stages(stages: &[Stage]) -> Vec<&SpansetExpr> {
    let sets = stages.iter().rev().filter_map(|stage| match stage {
        Stage::Spansets(set) => Some(set),
        _ => None,
    });
    sets.collect()
}

fn first_field(expr: &FieldExpr) -> Option<&Field> {
    let mut exprs = vec![expr];
    while let Some(expr) = exprs.pop() {
        match expr {
            FieldExpr::Field(field) => return Some(field),
            FieldExpr::Literal(_) => {}
            FieldExpr::Negate(of) | FieldExpr::Not(of) => exprs.push(of),
            FieldExpr::Binary { left, right, .. } => {
                exprs.push(right);
                exprs.push(left);
            }
        }
    }
    None
}

/// The attributes that blocks of the range have.
async fn names_in(reads: &Reads<'_>, tenants: &[Tenant], range: TimeRange) -> Result<BTreeSet<(Scope, String)>, Error> {
    let opened = Pass::open(reads, tenants, &every_span(), range).await?.opened;
    reads.compute(move || names_of(&opened)).await
}

fn names_of(opened: &[Option<Opened>]) -> BTreeSet<(Scope, String)> {
    let mut names = BTreeSet::new();
    for of in opened.iter().flatten() {
        let spans = of.search.keys().iter().map(|(column, _)| column.key.as_str()).chain(of.search.residual_keys());
        names.extend(spans.map(|key| (Scope::Span, key.to_owned())));
        let resources = of.block.resources().iter().flat_map(|entry| &entry.resource.attributes);
        names.extend(resources.map(|attribute| (Scope::Resource, attribute.key.clone())));
        names.extend(of.search.event_keys().into_iter().flatten().map(|key| (Scope::Event, key.to_owned())));
        names.extend(of.search.link_keys().into_iter().flatten().map(|key| (Scope::Link, key.to_owned())));
    }
    names
}

/// The name that is most like one that does not exist: the same in another scope, or one few letters away.
fn nearest<'a>(scope: Scope, key: &str, names: impl Iterator<Item = &'a (Scope, String)>) -> Option<String> {
    let allowed = (key.chars().count() / 3).max(1);
    let near = names.filter_map(|(of, name)| {
        let distance = if name == key { 0 } else { distance(key, name)? };
        (distance <= allowed).then_some((distance, *of != scope, *of, name))
    });
    let (_, _, of, name) = near.min()?;
    let field = Field::Attribute { of_parent: false, scope: of, key: name.clone() };
    Some(format!("did you mean {field}?"))
}

/// How many letters must be added, removed or changed to make one text of the other; none for long ones.
fn distance(a: &str, b: &str) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().max(b.len()) > MAX_NAME_CHARS {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row.last().copied()
}

/// The time of the newest spans there are.
async fn widen(reads: &Reads<'_>, tenants: &[Tenant], range: TimeRange) -> Result<Option<Widen>, Error> {
    let blocks = reads.blocks(tenants, TimeRange::ALL).await?;
    let Some(newest) = blocks.first() else { return Ok(None) };
    let of = newest.meta.time_range();
    if of.overlaps(&range) {
        return Ok(None);
    }
    let side = if of.start_unix_nanos > range.end_unix_nanos { "later" } else { "earlier" };
    Ok(Some(Widen {
        start: UnixNanos(of.start_unix_nanos),
        end: UnixNanos(of.end_unix_nanos),
        text: format!("There are no spans in this time; the newest ones are {side}."),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(text: &str) -> Vec<String> {
        let query = spanlake_traceql::parse(text).expect("a query");
        conditions_of(&query).into_iter().map(ToString::to_string).collect()
    }

    #[test]
    fn queries_fall_into_conditions() {
        let check = |text: &str, expect: &[&str]| assert_eq!(conditions(text), expect, "{text}");
        check("{}", &[]);
        check(
            "{ span.a = 1 && status = error && (name = \"x\" || name = \"y\") }",
            &["span.a = 1", "status = error", "name = \"x\" || name = \"y\""],
        );
        check("{ span.a = 1 } >> { span.b = 2 && span.c = 3 }", &["span.a = 1", "span.b = 2", "span.c = 3"]);
    }

    #[test]
    fn near_names() {
        let names = [(Scope::Span, "http.target".to_owned()), (Scope::Resource, "host.name".to_owned())];
        let near = |scope, key| nearest(scope, key, names.iter());
        assert_eq!(near(Scope::Span, "http.targte").as_deref(), Some("did you mean span.http.target?"));
        assert_eq!(near(Scope::Span, "host.name").as_deref(), Some("did you mean resource.host.name?"));
        assert_eq!(near(Scope::Span, "db.statement"), None);
        assert_eq!(
            (distance("abc", "abc"), distance("", "ab"), distance("kitten", "sitting")),
            (Some(0), Some(2), Some(3),)
        );
    }
}
