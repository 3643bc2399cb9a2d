//! Questions over the network to a server.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use futures::StreamExt as _;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use url::Url;

use super::failure::Failure;
use super::{Ask, Pieces};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence inside an answer: above the longest time a server may take for a query, which is then its own to say.
const READ_TIMEOUT: Duration = Duration::from_secs(330);
/// Longest wait for the answer that tells whether a server is a Spanlake.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(5);

/// A server.
pub struct Network {
    base: Url,
    /// For people: without a password.
    shown: String,
    client: reqwest::Client,
}

impl Network {
    /// The server at a URL. Nothing is sent yet.
    ///
    /// # Errors
    /// If the text is not the URL of a server.
    pub fn new(url: &str) -> Result<Self, Failure> {
        let base = base(url)?;
        Ok(Self { shown: shown(&base), base, client: client()? })
    }

    /// The URL for people, without a slash at its end.
    pub fn url(&self) -> &str {
        self.shown.trim_end_matches('/')
    }

    fn at(&self, target: &str) -> String {
        format!("{}{target}", self.base.as_str().trim_end_matches('/'))
    }

    pub(super) async fn ask(&self, ask: &Ask, headers: &HeaderMap) -> Result<(StatusCode, HeaderMap, Pieces), Failure> {
        let url = self.at(&ask.target());
        let mut request = self.client.request(ask.method.clone(), url).headers(headers.clone());
        request = request.header(http::header::ACCEPT, ask.accept);
        if let Some((content_type, body)) = &ask.body {
            request = request.header(http::header::CONTENT_TYPE, *content_type).body(body.clone());
        }
        let response = request.send().await.map_err(|error| unreachable(self.url(), &error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let url = self.url().to_owned();
        let body = response.bytes_stream().map(move |piece| {
            piece.map_err(|error| Failure::error(format!("the answer of {url} broke off: {}", innermost(&error))))
        });
        Ok((status, headers, Box::pin(body)))
    }

    /// Whether the server says that it is a Spanlake. One request.
    pub(super) async fn is_spanlake(&self, headers: &HeaderMap) -> bool {
        let url = self.at("/api/status/buildinfo");
        let asked = self.client.get(url).headers(headers.clone()).timeout(IDENTITY_TIMEOUT).send().await;
        let Ok(response) = asked else { return false };
        let body = response.bytes().await.unwrap_or_default();
        serde_json::from_slice::<Value>(&body).is_ok_and(|info| info["spanlakeVersion"].is_string())
    }

    pub(super) fn is_something_else(&self, status: StatusCode, ask: &Ask) -> Failure {
        Failure::error(format!(
            "{} answers, but is not a Spanlake's query port ({} gave {status}): correct --url; the default port is 3200, and \
             4317 and 4318 only receive spans",
            self.url(),
            ask.path
        ))
    }
}

/// A client for HTTP, with TLS and the roots of this machine.
///
/// # Errors
/// If those roots cannot be read.
pub fn client() -> Result<reqwest::Client, Failure> {
    let builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
    let builder = builder.user_agent(concat!("spanlake/", env!("CARGO_PKG_VERSION")));
    builder.build().map_err(|error| Failure::error(format!("TLS cannot be set up: {}", innermost(&error))))
}

/// Reads the URL of a server.
///
/// # Errors
/// If it is none; the line says how one looks.
pub fn base(text: &str) -> Result<Url, Failure> {
    let wrong = |why: &str| Failure::usage(format!("{text:?} is not the URL of a server: {why}"));
    if !text.contains("://") {
        return Err(wrong("write it with its scheme, such as http://127.0.0.1:3200"));
    }
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" => {}
        "file" | "s3" | "gs" | "az" | "memory" => return Err(wrong("it is a store; name stores with --storage")),
        _ => return Err(wrong("the scheme must be http or https")),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("it has no host"));
    }
    Ok(url)
}

/// A URL as messages have it: whoever reads them need not know the password in it.
pub fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    let _ = shown.set_password(None);
    let _ = shown.set_username("");
    shown.into()
}

/// A request that found no server, as one line that says what to do.
pub fn unreachable(url: &str, error: &reqwest::Error) -> Failure {
    let kind = io_kind(error);
    let cause = innermost(error);
    let text = match kind {
        Some(io::ErrorKind::ConnectionRefused) => format!(
            "nothing listens at {url}: start a server (`spanlake serve`), name another with --url, or read a store with --storage"
        ),
        _ if error.is_timeout() => format!("{url} does not answer in time: is it the right address, and is it up?"),
        _ if cause.contains("lookup") || cause.contains("resolve") || cause.contains("not known") => {
            format!("{url} has no address: {cause}")
        }
        _ if error.is_connect() => format!("{url} cannot be reached: {cause}"),
        _ => format!("{url} does not speak HTTP as expected: {cause}"),
    };
    Failure::error(text)
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = inner.source();
    }
    None
}

/// The last cause, which is the one that says something.
pub fn innermost(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_servers() {
        let check = |text: &str, problem: Option<&str>| match (base(text), problem) {
            (Ok(_), None) => {}
            (Err(failure), Some(problem)) => assert!(failure.to_string().contains(problem), "{text}: {failure}"),
            (outcome, _) => panic!("{text}: {outcome:?}"),
        };
        check("http://127.0.0.1:3200", None);
        check("https://traces.example.com/spanlake/", None);
        check("localhost:3200", Some("with its scheme"));
        check("s3://bucket", Some("--storage"));
        check("ftp://x", Some("http or https"));
        check("http://", Some("http://"));
        let network = Network::new("https://me:secret@example.com/traces/").expect("a server");
        assert_eq!(network.url(), "https://example.com/traces");
        assert_eq!(network.at("/ready"), "https://me:secret@example.com/traces/ready");
    }
}
