//! What the verbs ask, and of whom: a server, or a store that is opened in this process. Both answer the same HTTP API, the
//! store through the very router that a server has, so a verb cannot tell them apart.
//!
//! It knows HTTP, not what is in an answer.

mod context;
mod failure;
mod lines;
mod network;
pub mod otlp;
mod store;
mod target;

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

pub use failure::Failure;
use lines::{Lines, event_line, http_date};
pub use otlp::{Receiver, Sent};
pub use store::{directory, settings, with_scheme};
pub use target::TargetArgs;

/// Longest answer that is held in memory at once.
const MAX_ANSWER_BYTES: usize = 1 << 30;

/// What comes in, piece by piece.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>>;

/// One question.
#[derive(Debug, Clone)]
pub struct Ask {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    accept: &'static str,
    body: Option<(&'static str, Bytes)>,
}

impl Ask {
    /// `GET` of a path whose parts are percent-encoded where need be.
    pub fn get(path: impl Into<String>) -> Self {
        let (path, query) = (path.into(), Vec::new());
        Self { method: Method::GET, path, query, accept: "application/json", body: None }
    }

    /// `POST` of a body.
    pub fn post(path: impl Into<String>, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, body: Some((content_type, body.into())), ..Self::get(path) }
    }

    /// Adds a parameter.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Adds a parameter, if there is a value.
    pub fn with_some(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds several parameters.
    pub fn with_all(mut self, pairs: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.query.extend(pairs);
        self
    }

    /// Asks for another form than JSON.
    pub fn accept(mut self, media_type: &'static str) -> Self {
        self.accept = media_type;
        self
    }

    /// Path and parameters as they stand in a request.
    fn target(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        self.query.iter().for_each(|(name, value)| {
            query.append_pair(name, value);
        });
        format!("{}?{}", self.path, query.finish())
    }
}

/// Writes one part of a path: what has a meaning in URLs is percent-encoded.
pub fn path_part(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// What came back: a success, whose body has begun.
pub struct Answer {
    headers: HeaderMap,
    body: Pieces,
}

/// Who answers, with the headers that every question has.
pub struct Client {
    transport: Transport,
    headers: HeaderMap,
    page: Option<String>,
    tenant: Option<String>,
}

enum Transport {
    Network(network::Network),
    Store(Box<store::OpenStore>),
}

impl Client {
    /// Asks and gives the answer if it is a success. One request.
    ///
    /// # Errors
    /// [`Failure`] with one line that says what to do.
    pub async fn ask(&self, ask: &Ask) -> Result<Answer, Failure> {
        let (status, headers, body) = match &self.transport {
            Transport::Network(network) => network.ask(ask, &self.headers).await?,
            Transport::Store(store) => store.ask(ask, &self.headers).await?,
        };
        if status.is_success() {
            return Ok(Answer { headers, body });
        }
        let text = collect(body).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        // Who asks for credentials may be a proxy before a Spanlake.
        if let Transport::Network(network) = &self.transport
            && ![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status)
            && !network.is_spanlake(&self.headers).await
        {
            return Err(network.is_something_else(status, ask));
        }
        Err(Failure::of_status(status, &text, &ask.path))
    }

    /// Asks and reads the answer whole.
    ///
    /// # Errors
    /// As [`Self::ask`], or if the answer breaks off or is too long.
    pub async fn bytes(&self, ask: &Ask) -> Result<Bytes, Failure> {
        collect(self.ask(ask).await?.body).await
    }

    /// Asks and reads the answer as text.
    ///
    /// # Errors
    /// As [`Self::bytes`], or if the answer is no text.
    pub async fn text(&self, ask: &Ask) -> Result<String, Failure> {
        let bytes = self.bytes(ask).await?;
        String::from_utf8(bytes.into()).map_err(|_| Failure::error(format!("{} did not answer a text", ask.path)))
    }

    /// Asks and reads the answer as JSON.
    ///
    /// # Errors
    /// As [`Self::bytes`], or if the answer is not JSON.
    pub async fn json(&self, ask: &Ask) -> Result<Value, Failure> {
        let answer = self.ask(ask).await?;
        let is_json = answer.has_type("json");
        let bytes = collect(answer.body).await?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(value),
            Err(error) => Err(self.unreadable(ask, is_json, &error.to_string()).await),
        }
    }

    /// Asks for lines of JSON, and gives them as they come.
    ///
    /// # Errors
    /// As [`Self::ask`]; the stream's items are errors when a line is not JSON or the answer breaks off.
    pub async fn lines(&self, ask: &Ask) -> Result<impl Stream<Item = Result<Value, Failure>> + Send + use<>, Failure> {
        let answer = self.ask(ask).await?;
        if !answer.has_type("json") {
            return Err(self.unreadable(ask, false, "it is not lines of JSON").await);
        }
        let path = ask.path.clone();
        Ok(Lines::of(answer.body).filter_map(move |line| {
            let read = match line {
                Ok(line) if line.trim_ascii().is_empty() => None,
                Ok(line) => Some(
                    serde_json::from_slice(&line)
                        .map_err(|error| Failure::error(format!("{path} answered a line that is not JSON: {error}"))),
                ),
                Err(failure) => Some(Err(failure)),
            };
            std::future::ready(read)
        }))
    }

    /// Asks for server-sent events, and gives each as its name and data.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn events(
        &self,
        ask: &Ask,
    ) -> Result<impl Stream<Item = Result<(String, String), Failure>> + Send + use<>, Failure> {
        let answer = self.ask(&ask.clone().accept("text/event-stream")).await?;
        if !answer.has_type("text/event-stream") {
            return Err(self.unreadable(ask, false, "it is not a stream of events").await);
        }
        let (mut name, mut data) = (String::new(), String::new());
        Ok(Lines::of(answer.body).filter_map(move |line| {
            let event = match line {
                Ok(line) => {
                    let line = String::from_utf8_lossy(&line).into_owned();
                    event_line(line.trim_end_matches(['\r', '\n']), &mut name, &mut data).map(Ok)
                }
                Err(failure) => Some(Err(failure)),
            };
            std::future::ready(event)
        }))
    }

    /// Where people look at the same in a browser; absent when no server is asked.
    pub fn page(&self) -> Option<&str> {
        self.page.as_deref()
    }

    /// Whose traces are asked for, where that is said.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    async fn unreadable(&self, ask: &Ask, is_json: bool, why: &str) -> Failure {
        match &self.transport {
            Transport::Network(network) if !is_json && !network.is_spanlake(&self.headers).await => {
                network.is_something_else(StatusCode::OK, ask)
            }
            _ => Failure::error(format!("the answer of {} cannot be read: {why}", ask.path)),
        }
    }
}

impl Answer {
    /// Whether the media type has this in it.
    pub fn has_type(&self, part: &str) -> bool {
        let value = self.headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str);
        value.is_some_and(|value| value.is_ok_and(|value| value.contains(part)))
    }

    /// When it was answered, by the clock of whoever answered.
    pub fn date(&self) -> Option<std::time::SystemTime> {
        let text = self.headers.get(header::DATE)?.to_str().ok()?;
        http_date(text)
    }
}

async fn collect(mut body: Pieces) -> Result<Bytes, Failure> {
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        if whole.len() + piece.len() > MAX_ANSWER_BYTES {
            return Err(Failure::error(format!(
                "the answer is longer than {} MiB: ask for less",
                MAX_ANSWER_BYTES >> 20
            )));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests;
