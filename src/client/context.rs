//! Contexts: the user's own file that names servers and stores, so that no flag need be repeated.
//!
//! ```toml
//! current = "production"
//!
//! [contexts.production]
//! url = "https://traces.example.com"
//! tenant = "shop"
//! token_file = "/run/secrets/spanlake-token"
//! otlp = "https://otlp.example.com:4318"
//! headers = { "X-Team" = "checkout" }
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde::Deserialize;

use super::failure::Failure;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    current: Option<String>,
    contexts: BTreeMap<String, Context>,
}

/// One name for where to ask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Context {
    /// URL of a server.
    pub url: Option<String>,
    /// URL of a store, read without a server.
    pub storage: Option<String>,
    /// Whose traces.
    pub tenant: Option<String>,
    /// File with a bearer token.
    pub token_file: Option<PathBuf>,
    /// Headers of every request.
    pub headers: BTreeMap<String, String>,
    /// Where `send` and `import` send spans.
    pub otlp: Option<String>,
}

/// The context of this name, else the current one, else an empty one.
///
/// # Errors
/// If the file is wrong, or has no context of the name.
pub fn load(name: Option<&str>) -> Result<Context, Failure> {
    let Some(path) = path() else { return Ok(Context::default()) };
    match std::fs::read_to_string(&path) {
        Ok(text) => choose(&text, name).map_err(|why| Failure::usage(format!("{}: {why}", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match name {
            Some(name) => {
                Err(Failure::usage(format!("there is no context {name:?}: {} does not exist", path.display())))
            }
            None => Ok(Context::default()),
        },
        Err(error) => Err(Failure::error(format!("cannot read {}: {error}", path.display()))),
    }
}

fn path() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(base.join("spanlake/config.toml"))
}

fn choose(text: &str, name: Option<&str>) -> Result<Context, String> {
    let mut file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        format!("line {line}: {}", error.message())
    })?;
    let Some(name) = name.or(file.current.as_deref()).map(str::to_owned) else { return Ok(Context::default()) };
    file.contexts.remove(&name).ok_or_else(|| {
        let known: Vec<&str> = file.contexts.keys().map(String::as_str).collect();
        format!("there is no context {name:?} (there are: {})", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_chosen() {
        let text = "current = \"a\"\n[contexts.a]\nurl = \"http://a\"\n[contexts.b]\ntenant = \"t\"\n";
        let url = |name| choose(text, name).map(|context| context.url);
        assert_eq!(url(None), Ok(Some("http://a".to_owned())));
        assert_eq!(url(Some("b")), Ok(None));
        assert!(url(Some("c")).is_err_and(|why| why.contains("a, b")));
        assert!(choose("contexts = 1", None).is_err_and(|why| why.starts_with("line 1: ")));
        assert!(choose("[contexts.a]\nurll = \"x\"", None).is_err_and(|why| why.contains("urll")));
        assert_eq!(choose("", None), Ok(Context::default()));
    }
}
