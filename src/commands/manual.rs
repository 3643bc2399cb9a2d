//! `spanlake completions` and `spanlake man`: what shells and `man` read, made from the command line itself.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

use super::{Outcome, terminal};
use crate::cli::Cli;

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each verb into this directory, which is made; without it the page of one verb goes to stdout.
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "verb")]
    directory: Option<PathBuf>,
    /// The verb, such as `trace` or `blocks list`; without it the page of the program.
    verb: Vec<String>,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "spanlake", &mut script);
    terminal::print(script)?;
    Ok(Outcome::Done)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<Outcome> {
    let mut root = Cli::command();
    root.build();
    match &args.directory {
        Some(directory) => {
            std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
            let count = write_all(&root, directory)?;
            terminal::hint(&format!("{count} pages are in {}", directory.display()));
        }
        None => {
            let mut command = &root;
            for word in &args.verb {
                command = command.find_subcommand(word).ok_or_else(|| {
                    crate::client::Failure::usage(format!("there is no verb {word:?} (`spanlake --help` lists them)"))
                })?;
            }
            terminal::print(page(command)?)?;
        }
    }
    Ok(Outcome::Done)
}

/// Writes the page of every command and gives how many there are.
fn write_all(root: &Command, directory: &Path) -> anyhow::Result<usize> {
    let mut pending = vec![root];
    let mut count = 0;
    while let Some(command) = pending.pop() {
        let path = directory.join(format!("{}.1", name(command)));
        std::fs::write(&path, page(command)?).with_context(|| format!("cannot write {}", path.display()))?;
        count += 1;
        pending.extend(command.get_subcommands().filter(|command| command.get_name() != "help"));
    }
    Ok(count)
}

fn page(command: &Command) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    let title = name(command).to_uppercase();
    clap_mangen::Man::new(command.clone()).title(title).render(&mut page).context("a page cannot be written")?;
    Ok(page)
}

/// `spanlake-blocks-list`, as pages are called.
fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut root = Cli::command();
        root.build();
        let count = write_all(&root, directory.path()).expect("pages");
        assert!(count > 15, "{count}");
        let trace = std::fs::read_to_string(directory.path().join("spanlake-search.1")).expect("a page");
        assert!(trace.contains("TRACEQL") && trace.contains(".SH"), "{trace}");
        assert!(directory.path().join("spanlake-blocks-list.1").is_file());
    }
}
