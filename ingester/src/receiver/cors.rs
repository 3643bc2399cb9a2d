//! Cross-origin requests from browsers (Fetch standard, section 3.2): preflights answered, origins checked.
//!
//! It knows nothing of traces.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::config::CorsConfig;

/// Headers that every exporter may send.
const ALWAYS_ALLOWED: [&str; 3] = ["content-type", "content-encoding", "x-scope-orgid"];

/// A checked [`CorsConfig`].
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Vec<String>,
    any_header: bool,
    headers: HeaderValue,
    max_age: HeaderValue,
}

impl Cors {
    /// Nothing when no origin is allowed.
    pub fn new(config: &CorsConfig) -> Option<Self> {
        if config.allowed_origins.is_empty() {
            return None;
        }
        let listed = config.allowed_headers.iter().map(String::as_str);
        let headers = ALWAYS_ALLOWED.into_iter().chain(listed).collect::<Vec<_>>().join(", ");
        Some(Self {
            origins: config.allowed_origins.iter().map(|origin| origin.to_ascii_lowercase()).collect(),
            any_header: config.allowed_headers.iter().any(|header| header == "*"),
            headers: HeaderValue::from_str(&headers).unwrap_or(HeaderValue::from_static("content-type")),
            max_age: HeaderValue::from(config.max_age.get().as_secs()),
        })
    }

    /// The origin to answer with, if the request has one that is allowed.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let text = origin.to_str().ok()?.to_ascii_lowercase();
        self.origins.iter().any(|pattern| matches(pattern, &text)).then(|| origin.clone())
    }

    fn preflight(&self, request: &HeaderMap, origin: Option<HeaderValue>) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
            headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
            // Asked names are echoed: `*` itself would not cover Authorization.
            let asked = request.get(ACCESS_CONTROL_REQUEST_HEADERS).filter(|_| self.any_header);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.unwrap_or(&self.headers).clone());
        }
        headers.insert(
            VARY,
            HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        );
        response
    }
}

/// Whether the origin is the pattern, whose one `*` stands for any text.
fn matches(pattern: &str, origin: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == origin,
        Some((start, end)) => {
            origin.len() >= start.len() + end.len() && origin.starts_with(start) && origin.ends_with(end)
        }
    }
}

/// The middleware: answers preflights, and marks other answers for the origins that may read them.
pub(crate) async fn answer(State(cors): State<Arc<Cors>>, request: Request, next: Next) -> Response {
    let origin = cors.allowed(request.headers());
    if request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return cors.preflight(request.headers(), origin);
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn origins() {
        let check = |pattern: &str, origin: &str, expect: bool| {
            assert_eq!(matches(pattern, origin), expect, "{pattern} against {origin}");
        };
        check("https://shop.example", "https://shop.example", true);
        check("https://shop.example", "https://shop.example.evil", false);
        check("https://*.example", "https://shop.example", true);
        check("https://*.example", "https://a.b.example", true);
        check("https://*.example", "http://shop.example", false);
        check("https://*.example", "https://.exampl", false);
        check("http://localhost:*", "http://localhost:8080", true);
        check("*", "null", true);
    }
}
