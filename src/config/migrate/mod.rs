//! `spanlake config migrate`: another program's configuration as ours, with what has no equivalent as comments.

mod tempo;
mod yaml;

use std::fmt::Write as _;
use std::path::Path;

pub use yaml::Unreadable;

/// Whose configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum From {
    /// Grafana Tempo's YAML.
    Tempo,
}

/// What came of a configuration.
#[derive(Debug, Default)]
struct Migrated {
    /// Our settings: name, value as TOML, and the line it comes from.
    settings: Vec<(&'static str, toml::Value, usize)>,
    /// What is to be known or done: the line, and a sentence.
    notes: Vec<(usize, String)>,
}

impl Migrated {
    /// Sets a setting; the last line that says something of it counts.
    fn set(&mut self, key: &'static str, value: impl Into<toml::Value>, line: usize) {
        self.settings.retain(|(known, ..)| *known != key);
        self.settings.push((key, value.into(), line));
    }

    fn note(&mut self, line: usize, text: impl Into<String>) {
        self.notes.push((line, text.into()));
    }

    /// Takes out what our own reader refuses, and says why.
    fn refuse(&mut self) {
        let known = super::schema::settings::<super::Config>();
        let mut refused = Vec::new();
        self.settings.retain(|(key, value, line)| {
            let (file, text) = (Path::new("spanlake.toml"), format!("{key} = {value}\n"));
            let (settings, problems) =
                super::layers::from_file(file, &text, |key| known.iter().any(|known| known == key));
            let Err(problems) = super::load::apply(settings, problems, &known) else { return true };
            let why: Vec<&str> = problems.0.iter().map(|problem| problem.message.as_str()).collect();
            refused.push((*line, format!("{key} would be {value}, but: {}", why.join("; "))));
            false
        });
        self.notes.append(&mut refused);
    }

    /// As the text of our configuration file. Sections come by name, after what is in none.
    fn print(mut self, source: &str) -> String {
        self.settings.sort_by_key(|(key, ..)| (key.rsplit_once('.').map(|(section, _)| section), *key));
        let mut text =
            format!("# Made from {source} by `spanlake config migrate`. What is not here keeps its default.\n");
        let mut section = "";
        for (key, value, line) in &self.settings {
            let (of, name) = key.rsplit_once('.').unwrap_or(("", key));
            if of != section {
                let _ = write!(text, "\n[{of}]\n");
                section = of;
            }
            let _ = writeln!(text, "{name} = {value}  # line {line}");
        }
        if !self.notes.is_empty() {
            text.push_str("\n# What has no equivalent, or is to be done by hand:\n");
            self.notes.sort();
            self.notes.dedup();
            for (line, note) in &self.notes {
                let _ = writeln!(text, "# line {line}: {}", note.replace(['\n', '\r'], " "));
            }
        }
        text
    }
}

/// Writes another program's configuration as ours.
///
/// # Errors
/// [`Unreadable`] with the line, for what is no YAML.
pub fn migrate(from: From, source: &str, text: &str) -> Result<String, Unreadable> {
    let mut migrated = match (from, yaml::read(text)?) {
        (From::Tempo, Some(root)) => tempo::migrate(&root),
        (From::Tempo, None) => Migrated::default(),
    };
    migrated.refuse();
    Ok(migrated.print(source))
}

#[cfg(test)]
mod tests;
