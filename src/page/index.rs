//! `index.html` as it is sent: with the path it is seen under, and its files under their version.

/// Longest prefix that is taken from a request.
const MAX_PREFIX_BYTES: usize = 256;

/// The path before the page, with a slash at both ends: what the proxy says, if it is a plain path, or what is configured.
pub(super) fn base(forwarded: Option<&str>, configured: &str) -> String {
    // Several proxies add to the list; the first is the one the reader sees.
    let forwarded = forwarded.and_then(|list| list.split(',').next()).map(str::trim);
    let path = forwarded.filter(|path| is_plain_path(path)).unwrap_or(configured).trim_matches('/');
    if path.is_empty() { "/".to_owned() } else { format!("/{path}/") }
}

/// Whether a path can stand in an attribute and in an address as it is. `//` at its start would name another host.
pub fn is_plain_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.len() <= MAX_PREFIX_BYTES && path.starts_with('/') && !path.contains("//") && path.bytes().all(is_plain)
}

/// Puts the base and the version in. The built page has `<base href="/" />` and addresses that start with `./assets/` or
/// `assets/`.
pub(super) fn with_base(html: &[u8], base: &str, version: &str) -> String {
    String::from_utf8_lossy(html)
        .replace("<base href=\"/\"", &format!("<base href=\"{base}\""))
        .replace("\"./assets/", "\"assets/")
        .replace("\"assets/", &format!("\"assets/{version}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases() {
        assert_eq!(base(None, ""), "/");
        assert_eq!(base(None, "/spanlake"), "/spanlake/");
        assert_eq!(base(Some("/a/b/"), "/spanlake"), "/a/b/");
        assert_eq!(base(Some("/a, /b"), ""), "/a/");
        for wrong in ["a", "//evil.example", "/\"><script>", "/a b", "/ä", &format!("/{}", "a".repeat(300))] {
            assert_eq!(base(Some(wrong), "/x"), "/x/", "{wrong}");
        }
    }

    #[test]
    fn html_gets_base_and_version() {
        let html = br#"<base href="/" /><script src="./assets/app.js"></script><link href="assets/icon.svg">"#;
        let expect = r#"<base href="/p/" /><script src="assets/v1/app.js"></script><link href="assets/v1/icon.svg">"#;
        assert_eq!(with_base(html, "/p/", "v1"), expect);
    }
}
