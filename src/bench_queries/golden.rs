//! Right answers by count and checksum, in a small file that is kept for a corpus.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use spanlake_bench::Error;

use super::expect;
use super::facts::Facts;
use super::questions::{self, Question};

/// The right answers over one corpus.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Golden {
    /// Spans of the corpus, so that another one is noticed.
    span_count: u64,
    /// By name of the query.
    answers: BTreeMap<String, Expected>,
}

/// What an answer must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Expected {
    /// Traces, series, names, values, spans or rows.
    pub count: u64,
    /// XXH3 of what they say, in hexadecimal.
    pub checksum: String,
    /// What they say; not kept in files.
    #[serde(skip)]
    pub lines: Vec<String>,
}

impl Expected {
    /// Computes it.
    ///
    /// # Errors
    /// [`Error::Stage`].
    pub(super) fn of(facts: &Facts, question: &Question) -> Result<Self, Error> {
        expect::lines(facts, question).map(Self::from_lines)
    }

    /// An answer that says this.
    pub(super) fn from_lines(lines: Vec<String>) -> Self {
        let mut all = String::new();
        for line in &lines {
            all.push_str(line);
            all.push('\n');
        }
        let checksum = format!("{:016x}", twox_hash::XxHash3_64::oneshot(all.as_bytes()));
        Self { count: lines.len() as u64, checksum, lines }
    }

    /// How an answer differs, as text for people.
    pub(super) fn difference(&self, found: &Self) -> Option<String> {
        if (self.count, &self.checksum) == (found.count, &found.checksum) {
            return None;
        }
        let first = self.lines.iter().zip(&found.lines).find(|(expect, found)| expect != found);
        Some(match first {
            _ if self.count != found.count => format!("expected {} of them, found {}", self.count, found.count),
            Some((expect, found)) => format!("expected {expect}\n   found {found}"),
            None => format!("expected checksum {}, found {}", self.checksum, found.checksum),
        })
    }
}

impl Golden {
    /// The answers to the whole set.
    ///
    /// # Errors
    /// [`Error::Stage`].
    pub(super) fn compute(facts: &Facts) -> Result<Self, Error> {
        let mut answers = BTreeMap::new();
        for question in questions::all(facts) {
            eprintln!("computing: {}", question.name);
            answers.insert(question.name.to_owned(), Expected::of(facts, &question)?);
        }
        Ok(Self { span_count: facts.span_count, answers })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Corpus`] if it is something else.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::file(path))?;
        serde_json::from_str(&text).map_err(|error| Error::Corpus {
            path: path.to_owned(),
            problem: format!("not a file of answers: {error}"),
        })
    }

    /// As the text of a file.
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("texts and numbers always become JSON") + "\n"
    }

    /// Spans of the corpus it is for.
    pub(super) fn span_count(&self) -> u64 {
        self.span_count
    }

    /// The answer to a question.
    pub(super) fn of(&self, question: &Question) -> Option<Expected> {
        self.answers.get(question.name).cloned()
    }
}
