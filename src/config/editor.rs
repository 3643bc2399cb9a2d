//! The JSON Schema of the configuration file, for editors: which sections and keys there are, and of what type.
//!
//! Names come from the types themselves and types from the defaults, so that no list can drift from the structs.

use serde_json::{Map, Value, json};

use super::Config;

/// JSON Schema, draft 2020-12, of the file. `known` gives the settings.
///
/// # Errors
/// If a default has no form in TOML.
pub fn json_schema(known: &[String]) -> anyhow::Result<Value> {
    let defaults = toml::Value::try_from(Config::default())?;
    let mut root = object();
    for key in known {
        let default = key.split('.').try_fold(&defaults, |value, part| value.get(part));
        insert(&mut root, key, setting(key, default));
    }
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("Configuration of Spanlake");
    Ok(root)
}

fn object() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": Map::new() })
}

fn insert(root: &mut Value, key: &str, setting: Value) {
    let mut section = root;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        let properties = &mut section["properties"];
        if parts.peek().is_none() {
            properties[part] = setting;
            return;
        }
        if properties.get(part).is_none() {
            properties[part] = object();
        }
        section = &mut properties[part];
    }
}

fn setting(key: &str, default: Option<&toml::Value>) -> Value {
    let mut schema = match default {
        Some(toml::Value::Boolean(_)) => json!({ "type": "boolean" }),
        // Numbers and sizes may stand in texts too, as `64 KiB` does.
        Some(toml::Value::Integer(_)) => json!({ "type": ["integer", "string"] }),
        Some(toml::Value::Float(_)) => json!({ "type": "number" }),
        Some(toml::Value::Array(_)) => json!({ "type": ["array", "string"] }),
        Some(toml::Value::String(_)) => json!({ "type": ["string", "integer"] }),
        _ => json!({}),
    };
    if let Some(default) = default.filter(|_| !super::is_secret(key))
        && let Ok(default) = serde_json::to_value(default)
    {
        schema["default"] = default;
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;

    #[test]
    fn every_setting_has_a_type() {
        let known = schema::settings::<Config>();
        let schema = json_schema(&known).expect("a schema");
        let listen = &schema["properties"]["server"]["properties"]["http_listen"];
        assert_eq!(listen["default"], "127.0.0.1:3200", "{schema:#}");
        assert_eq!(schema["properties"]["tenancy"]["properties"]["enabled"]["type"], "boolean");
        for key in &known {
            let place = format!("/properties/{}", key.replace('.', "/properties/"));
            assert!(schema.pointer(&place).is_some(), "{key}");
        }
    }
}
