//! What is served under which path, with which headers.

use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use tower::ServiceExt as _;

use super::{Settings, router, takes_gzip};

fn page() -> Router {
    router(Settings { base_path: "", frame_ancestors: "'self'", directory: Path::new("") })
}

async fn get(router: &Router, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    router.clone().oneshot(request).await.expect("it never fails")
}

async fn body(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 24).await.expect("a body");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[tokio::test]
async fn pages_are_the_index() {
    let page = page();
    for path in ["/", "/search?service=a", "/trace/1f", "/services/a%2Fb", "/explore", "/status", "/open"] {
        let response = get(&page, path, &[]).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&response, "cache-control"), "no-cache");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        let policy = header(&response, "content-security-policy");
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
        let html = body(response).await;
        assert!(html.contains("<base href=\"/\""), "{html}");
        assert!(!html.contains("<style") && !html.contains("<script>") && !html.contains("style="), "{html}");
    }
    let response = get(&page, "/", &[("x-forwarded-prefix", "/tools/traces")]).await;
    assert!(body(response).await.contains("<base href=\"/tools/traces/\""));
}

#[tokio::test]
async fn assets_have_a_version() {
    let page = page();
    let html = body(get(&page, "/", &[]).await).await;
    let at = html.find("assets/").expect("it loads something");
    let script = html[at..].split('"').next().expect("an address");
    let response = get(&page, &format!("/{script}"), &[("accept-encoding", "br, gzip")]).await;
    assert_eq!(response.status(), StatusCode::OK, "{script}");
    assert!(header(&response, "cache-control").contains("immutable"));
    let version = script.split('/').nth(1).expect("a version");
    let of_version = |name: &str| format!("/assets/{version}/{name}");
    let script = get(&page, &of_version("app.js"), &[("accept-encoding", "gzip")]).await;
    assert_eq!(
        (header(&script, "content-encoding"), header(&script, "content-type")),
        ("gzip", "text/javascript; charset=utf-8")
    );
    let plain = get(&page, "/assets/app.js", &[]).await;
    assert_eq!((header(&plain, "content-encoding"), header(&plain, "cache-control")), ("", "no-cache"));
    let tag = header(&plain, "etag").to_owned();
    assert_eq!(get(&page, "/assets/app.js", &[("if-none-match", &tag)]).await.status(), StatusCode::NOT_MODIFIED);
    for wrong in ["/assets/none.js", "/assets/0/app.js", &of_version("none.js"), "/assets/index.html", "/assets/"] {
        assert_eq!(get(&page, wrong, &[]).await.status(), StatusCode::NOT_FOUND, "{wrong}");
    }
}

#[tokio::test]
async fn a_directory_is_served_and_not_left() {
    let directory = tempfile::tempdir().expect("a directory");
    let dist = directory.path().join("dist");
    std::fs::create_dir_all(dist.join("assets")).expect("a directory");
    std::fs::write(directory.path().join("secret"), "s").expect("a file");
    std::fs::write(dist.join("index.html"), "<base href=\"/\" />").expect("a file");
    std::fs::write(dist.join("assets/app.js"), "1").expect("a file");
    let page = router(Settings { base_path: "/x", frame_ancestors: "'none'", directory: &dist });
    let index = get(&page, "/", &[]).await;
    assert!(header(&index, "content-security-policy").ends_with("frame-ancestors 'none'"));
    assert_eq!(body(index).await, "<base href=\"/x/\" />");
    let script = get(&page, "/assets/dev/app.js", &[]).await;
    assert_eq!(header(&script, "cache-control"), "no-cache", "who works on the page sees what changed");
    assert_eq!(body(script).await, "1");
    for wrong in ["/assets/..%2f..%2fsecret", "/assets/../../secret", "/assets/dev/..%2f..%2fsecret", "/assets/%2e%2e"]
    {
        assert_eq!(get(&page, wrong, &[]).await.status(), StatusCode::NOT_FOUND, "{wrong}");
    }
}

#[test]
fn encodings() {
    let check = |text: &str, expect: bool| {
        let headers = [("accept-encoding", text)];
        let map = headers.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        assert_eq!(takes_gzip(&map.collect()), expect, "{text}");
    };
    check("gzip", true);
    check("br, GZIP;q=0.5", true);
    check("gzip;q=0", false);
    check("gzip; q=0.0", false);
    check("br", false);
    check("", false);
}
