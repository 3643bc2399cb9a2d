//! One HTTP/1.1 connection to a server, opened again when it breaks. Plain HTTP: it measures servers on one's own machines.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Error;

/// Longest a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// Where requests go: scheme `http`, a host, a port and perhaps a path.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    authority: String,
    path: String,
}

impl Endpoint {
    /// Reads `http://host:port/path`; without a path, `default_path`.
    pub(crate) fn parse(url: &str, default_path: &str) -> Result<Self, Error> {
        let usage = |problem: &str| Error::Usage(format!("{url}: {problem}"));
        let uri: Uri = url.parse().map_err(|_| usage("this is not a URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(usage("the scheme must be http"));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| usage("there is no host"))?;
        let authority = format!("{host}:{}", uri.port_u16().unwrap_or(80));
        let path = if uri.path().len() > 1 { uri.path() } else { default_path };
        Ok(Self { authority, path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

/// What came back.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A connection, opened when first needed.
pub(crate) struct Client {
    endpoint: Endpoint,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, sender: None }
    }

    /// Sends one request and reads the whole answer.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Error> {
        timed(self.call_untimed(method, path, headers, body)).await.map_err(|problem| {
            self.sender = None;
            Error::Server { endpoint: self.endpoint.authority.clone(), problem }
        })
    }

    async fn call_untimed(
        &mut self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Answer, String> {
        if self.sender.as_ref().is_none_or(SendRequest::is_closed) {
            self.sender = Some(self.connect().await?);
        }
        let sender = self.sender.as_mut().expect("the line above puts it there");
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(http::header::HOST, self.endpoint.authority.as_str());
        if let Some(all) = request.headers_mut() {
            all.extend(headers.clone());
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        sender.ready().await.map_err(|error| error.to_string())?;
        let response: Response<_> = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let stream = dial(&self.endpoint.authority).await?;
        let (sender, connection) = handshake(stream).await.map_err(|error| error.to_string())?;
        // The connection's own errors come back through the sender.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// A call that is given up when it takes longer than any may.
pub(crate) async fn timed<T>(call: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let outcome = tokio::time::timeout(CALL_TIMEOUT, call).await;
    outcome.unwrap_or_else(|_| Err(format!("no answer within {} s", CALL_TIMEOUT.as_secs())))
}

/// A connection to a host and port.
pub(crate) async fn dial(authority: &str) -> Result<TokioIo<TcpStream>, String> {
    let stream = TcpStream::connect(authority).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(TokioIo::new(stream))
}

/// `Retry-After` in seconds; its other form, a date, counts as none.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Reads `Name: value`, as given on the command line, into a header map.
pub(crate) fn headers(lines: &[String]) -> Result<HeaderMap, Error> {
    let mut map = HeaderMap::new();
    for line in lines {
        let parsed = line.split_once(':').and_then(|(name, value)| {
            Some((name.trim().parse::<http::HeaderName>().ok()?, value.trim().parse::<http::HeaderValue>().ok()?))
        });
        let (name, value) =
            parsed.ok_or_else(|| Error::Usage(format!("{line:?} is not a header: write it as 'Name: value'")))?;
        map.append(name, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let check = |url: &str, expect: Option<(&str, &str)>| {
            let found = Endpoint::parse(url, "/v1/traces").ok().map(|found| (found.authority, found.path));
            assert_eq!(found, expect.map(|(authority, path)| (authority.to_owned(), path.to_owned())), "{url}");
        };
        check("http://localhost:4318", Some(("localhost:4318", "/v1/traces")));
        check("http://localhost:4318/", Some(("localhost:4318", "/v1/traces")));
        check(
            "http://[::1]:10428/insert/opentelemetry/v1/traces",
            Some(("[::1]:10428", "/insert/opentelemetry/v1/traces")),
        );
        check("http://tempo", Some(("tempo:80", "/v1/traces")));
        check("https://localhost:4318", None);
        check("localhost:4318", None);
    }
}
