//! The verbs that people use on traces, one file each. A verb asks through [`crate::client`], and prints: data on stdout, all
//! else on stderr.
//!
//! Exit codes: 0 done, 1 something failed, 2 the command line, a query or an id is wrong, 3 nothing was found, 4 the answer is
//! only a part. A reader that closes the pipe has what it wants: 0.

mod attributes;
mod compare;
mod doctor;
mod explore;
mod export;
mod import;
mod layout;
mod manual;
mod map;
mod metrics;
mod operations;
mod options;
mod pieces;
mod readable;
mod report;
mod search;
mod send;
mod services;
mod sink;
mod sparkline;
mod tail;
mod terminal;
mod trace;
mod traces;

use std::process::ExitCode;

use clap::Subcommand;

use crate::client::Failure;
use crate::config::Problems;
use terminal::PipeClosed;

/// Exit code when the answer is only a part of what there is.
const PARTIAL: u8 = 4;
/// Exit code when nothing was found.
const NOTHING: u8 = 3;
/// Exit code when the command line or the configuration is wrong.
const USAGE: u8 = 2;

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// One trace as a picture, with what made it slow or fail.
    Trace(trace::TraceArgs),
    /// Find traces with TraceQL.
    Search(search::SearchArgs),
    /// Numbers over time from spans, with TraceQL metrics.
    Metrics(metrics::MetricsArgs),
    /// What a selection of spans has in common that others have not.
    Explore(explore::ExploreArgs),
    /// What a trace does that another does not, or that a cohort of others does not.
    Compare(compare::CompareArgs),
    /// Every service with its rate, failures and durations.
    Services(services::ServicesArgs),
    /// What one service does, whom it calls and who calls it.
    Operations(operations::OperationsArgs),
    /// Who calls whom.
    Map(map::MapArgs),
    /// Names of attributes, or the values of one.
    Attributes(attributes::AttributesArgs),
    /// Spans as they become visible.
    Tail(tail::TailArgs),
    /// Read trace files of other programs into a receiver or a store.
    Import(import::ImportArgs),
    /// Write the traces that a query finds into a file.
    Export(export::ExportArgs),
    /// Send one test span and read it back.
    Send(send::SendArgs),
    /// Look for what is wrong with this machine, the store and the server, and say the fix.
    Doctor(doctor::DoctorArgs),
    /// Completions for a shell, on stdout.
    Completions(manual::CompletionsArgs),
    /// Manual pages.
    Man(manual::ManArgs),
}

/// How a verb that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is said.
    Done,
    /// There was nothing to say.
    Nothing,
    /// There is more than was said.
    Partial,
}

impl Outcome {
    /// Done, or nothing when there are no rows.
    fn of_count(count: usize) -> Self {
        if count == 0 { Self::Nothing } else { Self::Done }
    }
}

/// Writes text to stdout; a reader that closes the pipe has what it wants.
///
/// # Errors
/// If it cannot be written.
pub fn print(text: &str) -> anyhow::Result<()> {
    terminal::print(text).or_else(|error| if error.is::<PipeClosed>() { Ok(()) } else { Err(error) })
}

/// Does what a verb asks and gives the exit code. Says on stderr what failed.
pub fn run(command: Command) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::note(&format!("error: cannot start threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(dispatch(command));
    // Files and connections that hang must not keep a command that has said its last word.
    runtime.shutdown_background();
    exit_code(outcome)
}

async fn dispatch(command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Trace(args) => trace::run(&args).await,
        Command::Search(args) => search::run(&args).await,
        Command::Metrics(args) => metrics::run(&args).await,
        Command::Explore(args) => explore::run(&args).await,
        Command::Compare(args) => compare::run(&args).await,
        Command::Services(args) => services::run(&args).await,
        Command::Operations(args) => operations::run(&args).await,
        Command::Map(args) => map::run(&args).await,
        Command::Attributes(args) => attributes::run(&args).await,
        Command::Tail(args) => tail::run(&args).await,
        Command::Import(args) => import::run(&args).await,
        Command::Export(args) => export::run(&args).await,
        Command::Send(args) => send::run(&args).await,
        Command::Doctor(args) => doctor::run(&args).await,
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
    }
}

fn exit_code(outcome: anyhow::Result<Outcome>) -> ExitCode {
    let error = match outcome {
        Ok(Outcome::Done) => return ExitCode::SUCCESS,
        Ok(Outcome::Nothing) => return ExitCode::from(NOTHING),
        Ok(Outcome::Partial) => return ExitCode::from(PARTIAL),
        Err(error) => error,
    };
    if error.is::<PipeClosed>() {
        return ExitCode::SUCCESS;
    }
    if let Some(problems) = error.downcast_ref::<Problems>() {
        terminal::note(&problems.to_string());
        return ExitCode::from(USAGE);
    }
    terminal::note(&format!("error: {error:#}"));
    ExitCode::from(error.downcast_ref::<Failure>().map_or(1, |failure| failure.code))
}
