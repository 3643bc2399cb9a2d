//! What is wrong with a configuration, and where it was written.

use std::fmt;
use std::path::PathBuf;

use super::is_secret;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the configuration file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
        /// The line itself.
        excerpt: Excerpt,
    },
    /// In an environment variable.
    Environment {
        /// The variable.
        name: String,
    },
    /// On the command line.
    Flag {
        /// The flag, dashes included.
        name: String,
        /// The key that `--set` was given.
        set: Option<String>,
    },
}

/// A line of a file and how much of it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line.
    pub source: String,
    /// Characters to mark, from the column on.
    pub marked: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column, .. } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment { name } => write!(f, "environment variable {name}"),
            Self::Flag { name, set: None } => write!(f, "flag {name}"),
            Self::Flag { name, set: Some(key) } => write!(f, "flag {name} {key}"),
        }
    }
}

/// One thing wrong with a configuration: a sentence that says what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was written; absent when nobody wrote it.
    pub origin: Option<Origin>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "error: {origin}: {}", self.message)?,
            None => write!(f, "error: {}", self.message)?,
        }
        if let Some(Origin::File { line, column, excerpt, .. }) = &self.origin {
            let name = excerpt.source.split('=').next().unwrap_or_default().trim();
            if !is_secret(name) {
                let gutter = line.to_string();
                write!(f, "\n  {gutter} | {}", excerpt.source)?;
                let (indent, marks) = (" ".repeat(column - 1), "^".repeat(excerpt.marked));
                write!(f, "\n  {:width$} | {indent}{marks}", "", width = gutter.len())?;
            }
        }
        Ok(())
    }
}

/// Everything wrong with a configuration at once; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        match self.0.len() {
            1 => write!(f, "1 problem in the configuration"),
            count => write!(f, "{count} problems in the configuration"),
        }
    }
}

impl std::error::Error for Problems {}
