//! The sub-commands of `spanlake bench`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::corpus::{Corpus, Kind, Spec, Writer, write_ids};
use crate::{Error, load, replay, stages, stress, table};

/// Make corpora of spans, replay them, and measure.
#[derive(Debug, Parser)]
#[command(name = "spanlake bench", arg_required_else_help = true)]
pub struct Args<C: Subcommand> {
    #[command(subcommand)]
    command: C,
}

/// What can be measured without knowing any role; a binary may add commands of its own.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a corpus of OTLP requests to a file, and some of its trace ids to <FILE>.ids.
    Corpus(CorpusArgs),
    /// Send a corpus to an OTLP/HTTP server.
    Replay(replay::ReplayArgs),
    /// Measure every stage by itself, in this process, on one thread.
    Stages(stages::StagesArgs),
    /// Ask a running server for traces by id.
    Lookup(load::LookupArgs),
    /// Ask a running server for traces by their attributes.
    Search(load::SearchArgs),
    /// Send a server of its own several times what it can take, and see what a small tenant feels of a large one.
    Overload(stress::OverloadArgs),
    /// Send a server of its own what nobody should send.
    Hostile(stress::HostileArgs),
    /// Everything at once for a while, with memory, files, objects and latencies each second.
    Soak(stress::SoakArgs),
}

/// What to generate.
#[derive(Debug, Clone, clap::Args)]
pub struct GenerateArgs {
    /// The traffic to imitate.
    #[arg(long, value_enum, default_value = "shop")]
    kind: Kind,
    /// Spans to make.
    #[arg(long, default_value_t = 1_000_000)]
    spans: u64,
    /// Same seed, same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl GenerateArgs {
    /// The corpus they describe.
    pub fn spec(&self) -> Spec {
        Spec::new(self.kind, self.spans, self.seed)
    }
}

/// Options of `bench corpus`.
#[derive(Debug, clap::Args)]
pub struct CorpusArgs {
    /// File to write; without it, only the figures are printed.
    file: Option<PathBuf>,
    #[command(flatten)]
    generate: GenerateArgs,
    /// Compress each request with gzip.
    #[arg(long)]
    gzip: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a benchmark command.
///
/// # Errors
/// [`Error`], whose text says what to change or what broke.
pub async fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Corpus(args) => corpus(&args),
        Command::Replay(args) => replay::run(args).await,
        Command::Stages(args) => stages::run(args).await,
        Command::Lookup(args) => load::lookup(args).await,
        Command::Search(args) => load::search(args).await,
        Command::Overload(args) => stress::overload(args).await,
        Command::Hostile(args) => stress::hostile(args).await,
        Command::Soak(args) => stress::soak(args).await,
    }
}

/// Parses what follows `spanlake bench`, runs it on a runtime of its own, and reports errors on stderr: a whole
/// command, for a binary to mount. `C` is [`Command`], or that and more commands.
pub fn main<C: Subcommand, F: Future<Output = Result<(), Error>>>(
    args: Vec<OsString>,
    run: impl FnOnce(C) -> F,
) -> ExitCode {
    let args = match Args::<C>::try_parse_from(std::iter::once("spanlake bench".into()).chain(args)) {
        Ok(args) => args,
        Err(error) => {
            // Help and version are errors to clap; nothing is left to do if even printing fails.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map(|runtime| runtime.block_on(run(args.command))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("error: {error}");
            if matches!(error, Error::Usage(_)) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: no threads for the runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

fn corpus(args: &CorpusArgs) -> Result<(), Error> {
    let mut corpus = Corpus::new(&args.generate.spec());
    if let Some(path) = &args.file {
        let mut writer = Writer::create(path, args.gzip)?;
        for request in corpus.by_ref() {
            writer.write(&request.body)?;
        }
        writer.finish()?;
        write_ids(path, corpus.figures().known_traces())?;
    } else {
        corpus.by_ref().for_each(drop);
    }
    let figures = corpus.figures();
    if args.json {
        println!("{}", serde_json::to_string_pretty(figures).expect("figures are plain data"));
    } else {
        print!("{}", table::render(&figures.rows()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::<Command>::command().debug_assert();
    }

    #[test]
    fn a_corpus_command_writes_the_file_and_its_ids() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("corpus");
        let args = ["corpus".into(), path.clone().into_os_string(), "--spans=1000".into(), "--gzip".into()];
        assert_eq!(main(args.to_vec(), run), ExitCode::SUCCESS);
        assert!(crate::Reader::open(&path).expect("it was written").count() > 0);
        assert!(!crate::read_ids(&path).expect("it was written").is_empty());
        assert_eq!(main(vec!["corpus".into(), "--kind=unknown".into()], run), ExitCode::from(2));
    }
}
