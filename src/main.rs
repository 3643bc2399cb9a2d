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

/// docs/decisions/0011-allocator.md says why; its settings stand in .cargo/config.toml.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
