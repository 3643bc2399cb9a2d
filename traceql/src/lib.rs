//! TraceQL, the language: text to checked tree and back.
//!
//! [`parse`] reads and checks a query, `Display` of [`Query`] writes it in its one canonical form, which reads back as
//! the same tree. It does no I/O and knows nothing of blocks or of how a query is run.

mod ast;
mod check;
mod complete;
mod error;
mod fold;
mod lenient;
mod lexer;
pub mod limits;
mod names;
mod number;
mod operators;
mod parser;
mod print;
mod quoted;
#[cfg(feature = "reference")]
pub mod reference;
mod regex;
mod sign;
mod suggest;
mod value;

pub use ast::{
    Aggregate, Field, FieldExpr, FieldOp, Hint, Intrinsic, Metrics, MetricsFunction, Pipeline, Query, Relation,
    ScalarExpr, ScalarFilter, Scope, SecondStage, SpansetExpr, SpansetOp, Stage, StructuralMode,
};
pub use complete::{Completion, CompletionKind, complete};
pub use error::ParseError;
pub use lenient::{TooManyGroups, parse_lenient};
pub use parser::parse;
pub use regex::whole_text_regex;
pub use value::{Kind, Status, Value};
