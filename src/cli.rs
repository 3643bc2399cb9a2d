//! The command line: what can be asked, and where each answer is made. It decides nothing else.
//!
//! Exit codes: 0 for success, 1 when something failed or blocks are damaged, 2 when the command line or the configuration
//! is wrong, 130 and 143 when a second SIGINT or SIGTERM ended `serve` before it had stopped gracefully.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::config::{self, Problems};
use crate::{bench_queries, blocks, commands, demo, serve};

/// Exit code when the command line or the configuration is wrong.
const USAGE: u8 = 2;

/// A trace database on object storage.
#[derive(Debug, Parser)]
#[command(name = "spanlake", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive spans, store them and answer queries, until SIGTERM or SIGINT.
    Serve(ServeArgs),
    /// Show or check the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// List, show, verify and repair the blocks of a store.
    Blocks {
        #[command(subcommand)]
        command: blocks::Command,
    },
    #[command(flatten)]
    Verb(Box<commands::Command>),
    /// What goes with `serve --demo`.
    Demo {
        #[command(subcommand)]
        command: demo::Command,
    },
    /// Make corpora of spans, replay them, and measure.
    #[command(disable_help_flag = true)]
    Bench {
        /// What to measure; `spanlake bench --help` lists it.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the effective configuration as TOML, each value with where it comes from, secrets as ***.
    Print(SettingArgs),
    /// Say everything that is wrong with the configuration, and exit with 2 if anything is.
    Check(SettingArgs),
    /// Print the JSON Schema of the configuration file, for editors.
    Schema,
    /// Print another program's configuration as ours: what has no equivalent is listed with its line and why.
    Migrate(MigrateArgs),
}

#[derive(Debug, Args)]
struct MigrateArgs {
    /// Whose configuration it is.
    #[arg(long, value_enum)]
    from: config::migrate::From,
    /// The file; - for stdin.
    file: PathBuf,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    settings: SettingArgs,
    /// Print the bound addresses as one line of JSON on stdout once everything listens.
    #[arg(long)]
    print_addresses: bool,
    #[command(flatten)]
    demo: demo::DemoArgs,
}

/// Settings by flag. They win over SPANLAKE_<SECTION>__<KEY> in the environment, which wins over the file.
#[derive(Debug, Default, Args)]
pub struct SettingArgs {
    /// TOML file with settings.
    #[arg(long, value_name = "FILE", env = "SPANLAKE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where blocks are kept: file:///directory, s3://bucket/prefix, gs://, az:// or memory:// (storage.url).
    #[arg(long, value_name = "URL")]
    pub storage_url: Option<String>,
    /// Address of queries, /ready and /metrics (server.http_listen).
    #[arg(long, value_name = "HOST:PORT")]
    pub http_listen: Option<String>,
    /// Address that receives OTLP over gRPC (otlp.grpc_listen).
    #[arg(long, value_name = "HOST:PORT")]
    pub otlp_grpc_listen: Option<String>,
    /// Address that receives OTLP over HTTP (otlp.http_listen).
    #[arg(long, value_name = "HOST:PORT")]
    pub otlp_http_listen: Option<String>,
    /// Roles to play, with commas between: ingester, querier, compactor (roles).
    #[arg(long, value_name = "ROLES")]
    pub roles: Option<String>,
    /// Directory with a built web page to serve instead of the one that is built in (server.page_dir).
    #[arg(long, value_name = "PATH")]
    pub ui_dir: Option<String>,
    /// Any other setting; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

/// Does what the command line asks and gives the exit code.
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(args) => config::load(&args.settings, std::env::vars_os())
            .map_err(anyhow::Error::from)
            .and_then(|loaded| serve::run(loaded.config, args.print_addresses, args.demo.plan())),
        Command::Config { command: ConfigCommand::Print(args) } => config::load(&args, std::env::vars_os())
            .map_err(anyhow::Error::from)
            .and_then(|loaded| config::print(&loaded))
            .and_then(|text| commands::print(&text)),
        Command::Config { command: ConfigCommand::Check(args) } => {
            config::load(&args, std::env::vars_os()).map(|_| eprintln!("the configuration is fine")).map_err(Into::into)
        }
        Command::Config { command: ConfigCommand::Schema } => {
            config::json_schema().map(|schema| blocks::print_json(&schema))
        }
        Command::Config { command: ConfigCommand::Migrate(args) } => migrate(&args),
        Command::Blocks { command } => match blocks::run(command) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Verb(command) => return commands::run(*command),
        Command::Demo { command } => match demo::execute(&command) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Bench { args } => return spanlake_bench::main(args, bench_queries::run),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<Problems>() {
            Some(problems) => {
                eprintln!("{problems}");
                ExitCode::from(USAGE)
            }
            None => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Most bytes of a configuration that is read.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

fn migrate(args: &MigrateArgs) -> anyhow::Result<()> {
    let name = args.file.display().to_string();
    let mut text = String::new();
    let read = match name.as_str() {
        "-" => std::io::stdin().lock().take(MAX_CONFIG_BYTES).read_to_string(&mut text),
        _ => std::fs::File::open(&args.file).and_then(|file| file.take(MAX_CONFIG_BYTES).read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read {name}"))?;
    let migrated = config::migrate::migrate(args.from, &name, &text);
    let migrated = migrated.map_err(|error| anyhow::anyhow!("{name} is no YAML that can be read: {error}"))?;
    commands::print(&migrated)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
