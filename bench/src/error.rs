//! What can go wrong with a measurement.

use std::path::PathBuf;

/// Why a benchmark command stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A corpus or id file does not have the form this program writes.
    #[error("{}: {problem}", path.display())]
    Corpus {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        problem: String,
    },
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// The server could not be reached or does not speak HTTP/1.1.
    #[error("{endpoint}: {problem}")]
    Server {
        /// The server's address.
        endpoint: String,
        /// What happened.
        problem: String,
    },
    /// The block format refused its own data: a bug, or a damaged object.
    #[error("{stage}: {problem}")]
    Stage {
        /// The stage that was being measured.
        stage: &'static str,
        /// What it said.
        problem: String,
    },
    /// A worker ended without an answer.
    #[error("a worker failed: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

impl Error {
    /// Attaches a path to what the system said.
    pub fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// Names the stage that failed.
    pub fn stage<E: std::fmt::Display>(stage: &'static str) -> impl FnOnce(E) -> Self {
        move |problem| Self::Stage { stage, problem: problem.to_string() }
    }
}
