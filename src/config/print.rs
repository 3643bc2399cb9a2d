//! Writes the effective configuration as TOML that can be read back, each line with where its value comes from and
//! secrets as `***`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use toml::Value;

use super::is_secret;
use super::load::Loaded;
use super::problem::Origin;
use super::suggest::split;

/// The configuration as text. `known` gives the settings and their order.
///
/// # Errors
/// If a value has no form in TOML.
pub fn print(loaded: &Loaded, known: &[String]) -> anyhow::Result<String> {
    let values = Value::try_from(&loaded.config)?;
    let mut sections: Vec<(&str, Vec<&String>)> = Vec::new();
    for key in known {
        let (section, _) = split(key);
        match sections.iter_mut().find(|(name, _)| *name == section) {
            Some((_, keys)) => keys.push(key),
            None => sections.push((section, vec![key])),
        }
    }
    let mut text = String::new();
    for (section, keys) in sections {
        if !section.is_empty() {
            writeln!(text, "{}[{section}]", if text.is_empty() { "" } else { "\n" })?;
        }
        for key in keys {
            let from = comment(key, &loaded.origins);
            match lookup(&values, key) {
                Some(value) => writeln!(text, "{} = {}  # {from}", split(key).1, shown(key, value))?,
                None => writeln!(text, "# {} is not set", split(key).1)?,
            }
        }
    }
    Ok(text)
}

fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        _ if is_secret(key) => "\"***\"".to_owned(),
        value => value.to_string(),
    }
}

fn comment(key: &str, origins: &BTreeMap<String, Origin>) -> String {
    origins.get(key).map_or_else(|| "default".to_owned(), ToString::to_string)
}

fn lookup<'a>(values: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(values, |value, part| value.get(part))
}
