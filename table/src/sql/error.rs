//! Why SQL has no answer.

use std::fmt;
use std::sync::Arc;

use arrow_schema::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::error::Error;

/// What stops a query.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The text is no query that can be answered, or it fails on the values it meets. A sentence, with line and column
    /// where the parser knows them.
    #[error("{0}")]
    Invalid(String),
    /// The query needs more memory than it may have.
    #[error("{0}")]
    OutOfMemory(String),
    /// Blocks could not be read.
    #[error("{0}")]
    Blocks(ReadFailure),
    /// A fault of ours or of the engine.
    #[error("{0}")]
    Internal(String),
}

/// An [`Error`] as the engine gave it back; several tasks may share it.
#[derive(Debug, Clone)]
pub struct ReadFailure(Arc<DataFusionError>);

impl ReadFailure {
    /// What failed; none only if the engine changed its mind of what it gave before.
    pub fn error(&self) -> Option<&Error> {
        match root(&self.0) {
            DataFusionError::External(inner) => inner.downcast_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for ReadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error() {
            Some(error) => error.fmt(f),
            None => self.0.fmt(f),
        }
    }
}

/// The error that others were put around.
fn root(error: &DataFusionError) -> &DataFusionError {
    let mut error = error;
    loop {
        error = match error {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => inner,
            DataFusionError::Shared(inner) => inner,
            DataFusionError::Collection(all) => match all.first() {
                Some(first) => first,
                None => return error,
            },
            DataFusionError::External(inner) => match inner.downcast_ref::<DataFusionError>() {
                Some(inner) => inner,
                // The engine's own refusals pass through a scan and come out as what they were.
                None => match inner.downcast_ref::<Error>() {
                    Some(Error::Refused(refused)) => match refused.downcast_ref::<DataFusionError>() {
                        Some(inner) => inner,
                        None => return error,
                    },
                    _ => return error,
                },
            },
            DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
                ArrowError::ExternalError(inner) => match inner.downcast_ref::<DataFusionError>() {
                    Some(inner) => inner,
                    None => return error,
                },
                _ => return error,
            },
            _ => return error,
        };
    }
}

impl From<DataFusionError> for SqlError {
    fn from(error: DataFusionError) -> Self {
        let error = Arc::new(error);
        match root(&error) {
            DataFusionError::External(inner) if inner.is::<Error>() => Self::Blocks(ReadFailure(Arc::clone(&error))),
            DataFusionError::ResourcesExhausted(problem) => Self::OutOfMemory(problem.clone()),
            DataFusionError::SQL(error, _) => Self::Invalid(syntax(error)),
            DataFusionError::Plan(text) | DataFusionError::Execution(text) | DataFusionError::Configuration(text) => {
                Self::Invalid(no_table(text).unwrap_or_else(|| text.clone()))
            }
            DataFusionError::NotImplemented(text) => Self::Invalid(format!("not supported: {text}")),
            DataFusionError::SchemaError(error, _) => Self::Invalid(schema(error)),
            DataFusionError::ArrowError(error, _) => Self::Invalid(error.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<Error> for SqlError {
    fn from(error: Error) -> Self {
        DataFusionError::from(error).into()
    }
}

/// What is said instead of the planner's words for a table that is not there, which name a catalog nobody asked for.
fn no_table(text: &str) -> Option<String> {
    let name = text.strip_prefix("table '")?.strip_suffix("' not found")?;
    let name = name.strip_prefix("spanlake.public.").unwrap_or(name);
    Some(format!("there is no table {name}: there are spans, traces, events and links"))
}

fn syntax(error: &ParserError) -> String {
    match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => format!("the SQL does not parse: {text}"),
        ParserError::RecursionLimitExceeded => "the SQL nests too deeply".to_owned(),
    }
}

fn schema(error: &SchemaError) -> String {
    let mut text = error.to_string();
    if matches!(error, SchemaError::FieldNotFound { .. }) {
        text.push_str(" Attributes are columns in double quotes: \"span.http.route\", \"resource.k8s.pod.name\".");
    }
    text
}
