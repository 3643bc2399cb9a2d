//! The places settings come from: a TOML file, the environment, flags. Each is read into the same list of settings,
//! every one with its origin. It does not know which settings exist, only where their names end.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Value;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::problem::{Excerpt, Origin, Problem};

/// One setting as somebody wrote it.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The dotted name, right or wrong.
    pub key: String,
    /// What it may mean, likeliest first: a text from the environment can be a text, a number or a list.
    pub readings: Vec<Value>,
    /// Where it stands.
    pub origin: Origin,
}

/// Reads the text of a TOML file. A name ends where `is_setting` says so, or at what is not a table.
pub fn from_file(path: &Path, text: &str, is_setting: impl Fn(&str) -> bool) -> (Vec<Setting>, Vec<Problem>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let lines = Lines { path, text };
    let problems = errors
        .iter()
        .map(|error| {
            let origin = lines.origin(error.span().unwrap_or(0..0));
            Problem { origin: Some(origin), message: format!("not TOML: {}", error.message()) }
        })
        .collect();
    let mut settings = Vec::new();
    flatten("", table.into_inner(), &is_setting, &lines, &mut settings);
    settings.sort_by_key(|setting| match &setting.origin {
        Origin::File { line, .. } => *line,
        _ => 0,
    });
    (settings, problems)
}

fn flatten(
    prefix: &str,
    table: DeTable<'_>,
    is_setting: &impl Fn(&str) -> bool,
    lines: &Lines<'_>,
    into: &mut Vec<Setting>,
) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        let origin = lines.origin(name.span());
        match value.get_ref() {
            DeValue::Table(inner) if !is_setting(&key) && !inner.is_empty() => {
                if let DeValue::Table(inner) = value.into_inner() {
                    flatten(&key, inner, is_setting, lines, into);
                }
            }
            // An empty section sets nothing.
            DeValue::Table(_) if !is_setting(&key) => {}
            _ => {
                let value = Value::deserialize(ValueDeserializer::from(value));
                into.push(Setting { key, readings: value.into_iter().collect(), origin });
            }
        }
    }
}

/// Finds lines and columns in the text of a file.
struct Lines<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Lines<'_> {
    fn origin(&self, span: Range<usize>) -> Origin {
        let at = (0..=span.start.min(self.text.len())).rev().find(|i| self.text.is_char_boundary(*i)).unwrap_or(0);
        let begin = self.text[..at].rfind('\n').map_or(0, |i| i + 1);
        let source = self.text[begin..].lines().next().unwrap_or_default();
        let marked = self.text.get(at..span.end).map_or(1, |t| t.lines().next().unwrap_or_default().chars().count());
        Origin::File {
            path: self.path.to_owned(),
            line: self.text[..at].matches('\n').count() + 1,
            column: self.text[begin..at].chars().count() + 1,
            excerpt: Excerpt { source: source.to_owned(), marked: marked.max(1) },
        }
    }
}

/// Reads the variables `SPANLAKE_<SECTION>__<KEY>`, and those of the settings at the top (`SPANLAKE_ROLES`).
///
/// Other variables that begin alike are none of ours: for a service called `spanlake`, Kubernetes sets
/// `SPANLAKE_PORT` and `SPANLAKE_SERVICE_HOST` in every container.
pub fn from_environment(
    variables: impl Iterator<Item = (OsString, OsString)>,
    is_setting: impl Fn(&str) -> bool,
) -> (Vec<Setting>, Vec<Problem>) {
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        let Some(rest) = name.strip_prefix("SPANLAKE_") else { continue };
        let key = rest.to_ascii_lowercase().replace("__", ".");
        if !rest.contains("__") && !is_setting(&key) {
            continue;
        }
        let origin = Origin::Environment { name: name.to_owned() };
        match value.into_string() {
            Ok(text) => settings.push(Setting { key, readings: readings(&text), origin }),
            Err(_) => problems.push(Problem { origin: Some(origin), message: "the value is not UTF-8".to_owned() }),
        }
    }
    settings.sort_by(|a, b| a.key.cmp(&b.key));
    (settings, problems)
}

/// A setting from a flag of its own, such as `--storage-url`.
pub fn from_flag(flag: &str, key: &str, value: &str) -> Setting {
    Setting {
        key: key.to_owned(),
        readings: readings(value),
        origin: Origin::Flag { name: flag.to_owned(), set: None },
    }
}

/// A setting from `--set section.key=value`.
///
/// # Errors
/// A [`Problem`] if there is no `=`.
pub fn from_set(text: &str) -> Result<Setting, Problem> {
    let set_flag = |key: &str| Origin::Flag { name: "--set".to_owned(), set: Some(key.to_owned()) };
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| Problem { origin: Some(set_flag(text)), message: "write --set section.key=value".to_owned() })?;
    let key = key.trim();
    Ok(Setting { key: key.to_owned(), readings: readings(value), origin: set_flag(key) })
}

/// What a text without types may mean: itself; a TOML value; a list of texts between commas.
fn readings(text: &str) -> Vec<Value> {
    let mut readings = vec![Value::String(text.to_owned())];
    let parsed = ValueDeserializer::parse(text.trim()).ok().and_then(|value| Value::deserialize(value).ok());
    match parsed {
        Some(Value::String(inner)) if inner == text => {}
        Some(value) => readings.push(value),
        None => {}
    }
    if !text.trim().is_empty() {
        readings.push(Value::Array(text.split(',').map(|part| Value::String(part.trim().to_owned())).collect()));
    }
    readings
}
