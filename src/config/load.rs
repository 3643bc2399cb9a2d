//! Layers settings over the defaults and says everything that is wrong with them at once.
//!
//! Each setting is tried alone against the configuration type, so that one bad value hides no other.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Table, Value};

use super::layers::Setting;
use super::problem::{Origin, Problem, Problems};
use super::suggest::{nearest_key, split};
use super::{Config, check, is_secret};

/// A checked configuration, and where each setting that somebody wrote comes from.
#[derive(Debug)]
pub struct Loaded {
    /// The effective configuration.
    pub config: Config,
    /// The origin in force of each setting that is not at its default, by dotted name.
    pub origins: BTreeMap<String, Origin>,
}

/// Applies settings to the defaults, later ones over earlier ones.
///
/// # Errors
/// [`Problems`] with everything wrong: those handed in, unknown names, values that do not fit, and settings that
/// contradict one another.
pub fn apply(settings: Vec<Setting>, mut problems: Vec<Problem>, known: &[String]) -> Result<Loaded, Problems> {
    let mut table = Table::new();
    let mut origins = BTreeMap::new();
    let mut unknown_sections = Vec::new();
    for setting in settings {
        if !known.contains(&setting.key) {
            problems.extend(unknown(&setting, known, &mut unknown_sections));
            continue;
        }
        match accept(&setting) {
            Ok(value) => {
                insert(&mut table, &setting.key, value);
                origins.insert(setting.key, setting.origin);
            }
            Err(message) => {
                let message = format!("`{}`: {message}", setting.key);
                problems.push(Problem { origin: Some(setting.origin), message });
            }
        }
    }
    match Config::deserialize(Value::Table(table)) {
        Ok(config) => {
            problems.extend(check::contradictions(&config).into_iter().map(|(key, message)| Problem {
                origin: origins.get(key.as_ref()).cloned(),
                message: format!("`{key}`: {message}"),
            }));
            if problems.is_empty() { Ok(Loaded { config, origins }) } else { Err(Problems(problems)) }
        }
        Err(error) => {
            problems.push(Problem { origin: None, message: error.message().to_owned() });
            Err(Problems(problems))
        }
    }
}

/// The first reading of a setting that the configuration type takes, or why none fits.
fn accept(setting: &Setting) -> Result<Value, String> {
    let mut first_error = None;
    for (i, reading) in setting.readings.iter().enumerate() {
        let mut table = Table::new();
        insert(&mut table, &setting.key, reading.clone());
        match Config::deserialize(Value::Table(table)) {
            Ok(_) => return Ok(reading.clone()),
            // Of a text that reads as a number too, what is said about the number is to the point.
            Err(error) if i == 0 || matches!(reading, Value::Integer(_) | Value::Float(_) | Value::Boolean(_)) => {
                first_error = Some(error.message().to_owned());
            }
            Err(_) => {}
        }
    }
    if is_secret(&setting.key) {
        return Err("the value is not a text".to_owned());
    }
    Err(first_error.unwrap_or_else(|| "the value cannot be read".to_owned()))
}

/// What is wrong with a setting whose name is unknown; nothing if its whole section was named before.
fn unknown(setting: &Setting, known: &[String], reported: &mut Vec<String>) -> Option<Problem> {
    let key = setting.key.as_str();
    let origin = Some(setting.origin.clone());
    let under = |section: &str| known.iter().any(|k| k.strip_prefix(section).is_some_and(|rest| rest.starts_with('.')));
    if under(key) {
        let message = format!("`{key}` is a section, not a setting: {}", keys_of(key, known));
        return Some(Problem { origin, message });
    }
    if let Some(setting) = known.iter().find(|k| key.strip_prefix(k.as_str()).is_some_and(|r| r.starts_with('.'))) {
        return Some(Problem { origin, message: format!("`{setting}` is a setting, not a section") });
    }
    let (section, _) = split(key);
    let section_known = section.is_empty() || under(section);
    if let Some(near) = nearest_key(key, known) {
        let near = match &setting.origin {
            Origin::Environment { .. } => variable(near),
            _ => near.to_owned(),
        };
        return Some(Problem { origin, message: format!("unknown key `{key}`: did you mean `{near}`?") });
    }
    if section_known {
        return Some(Problem { origin, message: format!("unknown key `{key}`: {}", keys_of(section, known)) });
    }
    if reported.iter().any(|r| r == section) {
        return None;
    }
    reported.push(section.to_owned());
    Some(Problem { origin, message: format!("unknown section `{section}`: {}", keys_of("", known)) })
}

/// The environment variable of a setting.
pub fn variable(key: &str) -> String {
    format!("SPANLAKE_{}", key.replace('.', "__").to_ascii_uppercase())
}

/// The names directly under a section, in a sentence.
fn keys_of(section: &str, known: &[String]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for key in known {
        let rest = if section.is_empty() {
            Some(key.as_str())
        } else {
            key.strip_prefix(section).and_then(|rest| rest.strip_prefix('.'))
        };
        let name = rest.map(|rest| rest.split('.').next().unwrap_or(rest));
        names.extend(name.filter(|name| !names.contains(name)));
    }
    let place = if section.is_empty() { "at the top there are".to_owned() } else { format!("`{section}` has") };
    format!("{place} {}", names.join(", "))
}

/// Puts a value at a dotted name, making the tables on the way.
fn insert(table: &mut Table, key: &str, value: Value) {
    let (section, last) = split(key);
    let mut table = table;
    for part in section.split('.').filter(|part| !part.is_empty()) {
        let entry = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = entry else { return };
        table = inner;
    }
    table.insert(last.to_owned(), value);
}
