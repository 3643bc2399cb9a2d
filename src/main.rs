//! The `spanlake` program: reads the command line and leaves the rest to the modules it names.

mod bench_queries;
mod blocks;
mod cli;
mod client;
mod commands;
mod config;
mod demo;
mod page;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

/// Decoding allocates many small strings: with the system allocator it takes half as long again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
