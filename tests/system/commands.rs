//! The verbs of the command line as people use them: the built binary against a directory, a server and a bucket.

mod answers;
mod errors;
mod pictures;
mod quick_start;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::{process, repository};

/// The time of the traces in `tests/golden/traces`.
const TIME: [&str; 4] = ["--from", "2025-11-26", "--to", "2025-11-27"];
/// The trace of `checkout.json`.
const CHECKOUT: &str = "5b8aa5a2d2c872e8321cf37308d69df2";

/// A trace file of the tests.
fn file(name: &str) -> String {
    golden("traces", name).to_string_lossy().into_owned()
}

fn golden(directory: &str, name: &str) -> PathBuf {
    repository().join("tests/golden").join(directory).join(name)
}

/// The binary with nothing of the caller's environment that it listens to.
fn binary() -> Command {
    let mut command = process::binary();
    for name in ["NO_COLOR", "COLUMNS", "LANG", "LC_ALL", "LC_CTYPE", "OTEL_EXPORTER_OTLP_ENDPOINT", "XDG_CONFIG_HOME"]
    {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    binary().args(args).output().expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("answers are text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Without them a process keeps freed memory ten times as long, and nobody would notice.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn settings_of_the_allocator_are_compiled_in() {
    let output = binary().arg("--version").env("MALLOC_CONF", "confirm_conf:true").output().expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stderr);
    for setting in ["background_thread:true", "dirty_decay_ms:1000", "muzzy_decay_ms:0"] {
        assert!(told.contains(setting), "{setting}: {told}");
    }
}
