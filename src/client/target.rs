//! The options that say of whom to ask: flags, then variables of the environment, then a context of the user's own file.

use std::path::PathBuf;

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::context::{self, Context};
use super::failure::Failure;
use super::network::Network;
use super::store::{self, OpenStore};
use super::{Client, Transport};

/// Where a server is when nobody says so.
pub const DEFAULT_URL: &str = "http://127.0.0.1:3200";

/// Of whom to ask. Without any of these it is SPANLAKE_URL, else the current context, else a server on this machine.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Where to read")]
pub struct TargetArgs {
    /// URL of a server; SPANLAKE_URL, or http://127.0.0.1:3200.
    #[arg(long, value_name = "URL", conflicts_with = "storage")]
    pub url: Option<String>,
    /// Read a store in this process instead, no server needed: s3://bucket/prefix, gs://, az://, file:///directory or a path.
    #[arg(long, value_name = "URL")]
    pub storage: Option<String>,
    /// Whose traces (X-Scope-OrgID); SPANLAKE_TENANT.
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
    /// A header of every request, written `Name: value`; may be repeated.
    #[arg(long = "header", value_name = "HEADER")]
    pub headers: Vec<String>,
    /// File with a token, sent as `Authorization: Bearer`.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A context of ~/.config/spanlake/config.toml; SPANLAKE_CONTEXT, or the one it calls current.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// TOML file with the settings of the store, as for `serve`; with --storage.
    #[arg(long, value_name = "FILE", env = "SPANLAKE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Any setting of the store; with --storage; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

/// What all of it together says.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// The server, unless a store is read.
    pub url: Option<String>,
    /// The store.
    pub storage: Option<String>,
    /// Whose traces.
    pub tenant: Option<String>,
    /// Where spans are sent; only from a context.
    pub otlp: Option<String>,
    /// The headers of every request.
    pub headers: HeaderMap,
}

impl TargetArgs {
    /// Puts flags, environment and context together. Reads the user's file and the token.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn resolve(&self) -> Result<Target, Failure> {
        let context = context::load(self.context.as_deref().or(variable("SPANLAKE_CONTEXT").as_deref()))?;
        let mut target = Target {
            url: self.url.clone(),
            storage: self.storage.clone(),
            tenant: self.tenant.clone().or_else(|| variable("SPANLAKE_TENANT")).or(context.tenant.clone()),
            otlp: context.otlp.clone(),
            headers: HeaderMap::new(),
        };
        if target.url.is_none() && target.storage.is_none() {
            target.url = variable("SPANLAKE_URL");
        }
        if target.url.is_none() && target.storage.is_none() {
            (target.url, target.storage) = (context.url.clone(), context.storage.clone());
        }
        target.headers = self.all_headers(&context, target.tenant.as_deref())?;
        Ok(target)
    }

    fn all_headers(&self, context: &Context, tenant: Option<&str>) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in &context.headers {
            insert(&mut headers, name, value)?;
        }
        if let Some(path) = self.token_file.as_ref().or(context.token_file.as_ref()) {
            let token = std::fs::read_to_string(path)
                .map_err(|error| Failure::error(format!("cannot read the token file {}: {error}", path.display())))?;
            insert(&mut headers, "authorization", &format!("Bearer {}", token.trim()))?;
        }
        for line in &self.headers {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| Failure::usage(format!("{line:?} is not a header: write it as 'Name: value'")))?;
            insert(&mut headers, name.trim(), value.trim())?;
        }
        if let Some(tenant) = tenant {
            insert(&mut headers, "x-scope-orgid", tenant)?;
        }
        Ok(headers)
    }

    /// Whom the options name, ready to be asked. No request yet.
    ///
    /// # Errors
    /// If options, settings or the store are wrong.
    pub fn connect(&self) -> anyhow::Result<Client> {
        let target = self.resolve()?;
        match &target.storage {
            Some(url) => {
                let config = store::settings(url, self.config.as_deref(), &self.set)?;
                let store = OpenStore::new(&config, target.tenant.is_some())?;
                Ok(Client {
                    transport: Transport::Store(Box::new(store)),
                    headers: target.headers,
                    page: None,
                    tenant: target.tenant,
                })
            }
            None => {
                let network = Network::new(target.url.as_deref().unwrap_or(DEFAULT_URL))?;
                let page = Some(network.url().to_owned());
                Ok(Client {
                    transport: Transport::Network(network),
                    headers: target.headers,
                    page,
                    tenant: target.tenant,
                })
            }
        }
    }
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Failure> {
    let wrong = || Failure::usage(format!("the header {name:?} has a name or value that HTTP does not carry"));
    let name: HeaderName = name.parse().map_err(|_| wrong())?;
    let mut value: HeaderValue = value.parse().map_err(|_| wrong())?;
    value.set_sensitive(name == http::header::AUTHORIZATION);
    headers.insert(name, value);
    Ok(())
}

/// A variable of the environment that says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_together() {
        let args = TargetArgs { headers: vec!["X-A: 1".into(), "x-a:2".into()], ..TargetArgs::default() };
        let context = Context { headers: [("X-B".to_owned(), "b".to_owned())].into(), ..Context::default() };
        let headers = args.all_headers(&context, Some("t")).expect("headers");
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        assert_eq!((value("x-a"), value("x-b")), (Some("2".to_owned()), Some("b".to_owned())));
        assert_eq!(value("x-scope-orgid").as_deref(), Some("t"));
        let wrong = TargetArgs { headers: vec!["no header".into()], ..TargetArgs::default() };
        assert!(wrong.all_headers(&Context::default(), None).is_err_and(|failure| failure.code == 2));
    }
}
