//! The whole system, tested from outside: the built binary, real files, a real S3 server and unmodified clients.
//!
//! Everything here goes through public interfaces (the command line, OTLP, the HTTP API, the stored objects); no crate
//! of the product is linked except the generated OTLP messages. `scripts/test` installs what these tests start.

#![allow(clippy::disallowed_methods, reason = "there is no runtime whose threads a sleep could block")]

mod accounting;
mod blocks;
mod clients;
mod commands;
mod compose;
mod crash;
mod demo;
mod disk_full;
mod duplicates;
mod faults;
mod foreign_readers;
mod http;
mod link;
mod load;
mod outage;
mod process;
mod queries;
mod runbook;
mod s3;
mod stop;
mod stress;
mod tidy;
mod traffic;

use std::path::{Path, PathBuf};

/// The repository's root directory.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python interpreter of the virtual environment that `scripts/setup` makes, which holds the clients.
fn python() -> PathBuf {
    let python = repository().join(".venv/bin/python");
    assert!(python.exists(), "{} is missing: run scripts/setup once", python.display());
    python
}

/// The storage backends that every durability test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    /// A temporary directory.
    Directory,
    /// A prefix of its own in the bucket of the S3 server.
    S3,
}
