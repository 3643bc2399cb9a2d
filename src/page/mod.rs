//! The web page: its routes, and the headers that keep it from loading or running anything but its own files.
//!
//! It serves files and knows nothing of traces: the page asks the API as any other client does.
//!
//! | path | answer |
//! |---|---|
//! | `/`, `/search`, `/trace/{id}`, and the other pages | `index.html`, asked for anew each time |
//! | `/assets/{version}/{file}` | a file for ever, if the version is the one that is served; 404 otherwise; of a directory asked for anew |
//! | `/assets/{file}` | the same file, asked for anew each time |

mod files;
mod index;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;

use self::files::Files;
pub use self::index::is_plain_path;

/// Paths that the page shows something under; what comes behind an object's name is the page's business.
const PAGES: [&str; 13] = [
    "/",
    "/search",
    "/trace/{*id}",
    "/compare",
    "/explore",
    "/services",
    "/services/",
    "/services/{*name}",
    "/map",
    "/live",
    "/status",
    "/open",
    "/search/",
];
/// What a proxy says is the path before ours.
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
/// A file under its version never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// Where the page's files are and how it may be embedded.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// Path under which a proxy shows the server, such as `/spanlake`; `X-Forwarded-Prefix` of a request wins over it.
    pub base_path: &'a str,
    /// Sources of the policy `frame-ancestors`: who may show the page in a frame.
    pub frame_ancestors: &'a str,
    /// Directory with a built page; with an empty path the built-in one is served.
    pub directory: &'a Path,
}

struct Page {
    files: Files,
    base_path: String,
    policy: HeaderValue,
}

/// The routes of the page. Costs no request of the object store.
pub fn router(settings: Settings<'_>) -> Router {
    let page = Arc::new(Page {
        files: Files::new(settings.directory),
        base_path: settings.base_path.to_owned(),
        policy: policy(settings.frame_ancestors),
    });
    let mut routes = Router::new();
    for path in PAGES {
        routes = routes.route(path, get(html));
    }
    routes.route("/assets/{*path}", get(asset)).with_state(page)
}

/// No script, style, font, picture or connection but from where the page itself came from; nothing inline.
fn policy(frame_ancestors: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'self'; connect-src 'self'; img-src 'self' data:; style-src 'self'; object-src 'none'; \
         base-uri 'self'; form-action 'self'; frame-ancestors {frame_ancestors}"
    );
    // What the configuration's check lets through is a value of a header.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'self'; frame-ancestors 'none'"))
}

async fn html(State(page): State<Arc<Page>>, headers: HeaderMap) -> Response {
    let Some(file) = page.files.read("index.html").await else {
        return missing("index.html");
    };
    let forwarded = headers.get(&PREFIX).and_then(|value| value.to_str().ok());
    let base = index::base(forwarded, &page.base_path);
    let body = index::with_base(&file.bytes, &base, page.files.version());
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, page.policy.clone());
    headers.insert(CACHE_CONTROL, ASK_AGAIN);
    headers.insert(VARY, HeaderValue::from_static("x-forwarded-prefix"));
    guard(headers);
    response
}

async fn asset(State(page): State<Arc<Page>>, UrlPath(path): UrlPath<String>, headers: HeaderMap) -> Response {
    let (version, name) = match path.split_once('/') {
        Some((version, name)) => (Some(version), name),
        None => (None, path.as_str()),
    };
    // A page that was loaded before an update must not mix old files and new ones.
    if version.is_some_and(|version| version != page.files.version()) || name.contains('/') {
        return missing(&path);
    }
    let Some(file) = page.files.read(&format!("assets/{name}")).await else {
        return missing(&path);
    };
    let tag = format!("\"{}\"", page.files.version());
    let is_known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let zipped = if takes_gzip(&headers) { file.gzipped() } else { None };
    let is_zipped = zipped.is_some();
    let mut response = match zipped {
        _ if is_known && page.files.is_built_in() => StatusCode::NOT_MODIFIED.into_response(),
        Some(zipped) => zipped.into_response(),
        None => file.bytes.clone().into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    // The version of a directory stays while its files change.
    let for_ever = version.is_some() && page.files.is_built_in();
    headers.insert(CACHE_CONTROL, if for_ever { FOR_EVER } else { ASK_AGAIN });
    if is_zipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    guard(headers);
    response
}

/// What every answer of the page says: take it for what it is called, tell no one where the reader came from.
fn guard(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
}

fn missing(name: &str) -> Response {
    let mut response = (StatusCode::NOT_FOUND, format!("the page has no file {name}\n")).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    guard(response.headers_mut());
    response
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"))
                && !parts.any(|part| part.replace(' ', "").trim_end_matches(['0', '.']) == "q=")
        })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("html") => "text/html; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

/// A file of the page.
#[derive(Debug, Clone)]
struct File {
    bytes: Bytes,
    zipped: Option<Bytes>,
}

impl File {
    fn gzipped(&self) -> Option<Bytes> {
        self.zipped.clone()
    }
}

#[cfg(test)]
mod tests;
