//! Tests of how questions are written and answers are cut.

use super::*;

fn pieces(parts: &[&'static str]) -> Pieces {
    let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect();
    Box::pin(futures::stream::iter(parts))
}

#[test]
fn questions_are_encoded() {
    let ask = Ask::get("/api/x").with("q", "{ a = \"ü&b\" }").with_some("n", None::<String>);
    assert_eq!(ask.target(), "/api/x?q=%7B+a+%3D+%22%C3%BC%26b%22+%7D");
    assert_eq!(Ask::get("/p").target(), "/p");
    assert_eq!(path_part("a/b ü"), "a%2Fb%20%C3%BC");
}

#[test]
fn dates_of_http() {
    let seconds = |text: &str| http_date(text)?.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs());
    assert_eq!(seconds("Wed, 26 Nov 2025 00:00:00 GMT"), Some(1_764_115_200));
    assert_eq!(seconds("Thu, 01 Jan 1970 00:00:01 GMT"), Some(1));
    assert_eq!(seconds("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
    for wrong in
        ["", "now", "Wed, 26 Nov 2025 25:00:00 GMT", "Wed, 0 Nov 2025 00:00:00 GMT", "Wed, 26 Nob 2025 00:00:00 GMT"]
    {
        assert_eq!(seconds(wrong), None, "{wrong}");
    }
}

#[tokio::test]
async fn lines_and_events() {
    let lines: Vec<_> = Lines::of(pieces(&["a\nb", "c\n", "\nd"])).collect().await;
    let lines: Vec<_> = lines.into_iter().map(|line| line.expect("a line")).collect();
    assert_eq!(lines, [&b"a\n"[..], b"bc\n", b"\n", b"d"]);
    let (mut name, mut data) = (String::new(), String::new());
    let mut found = Vec::new();
    for line in [": hello", "event: span", "data: {", "data: }", "", "", "data:x", ""] {
        found.extend(event_line(line, &mut name, &mut data));
    }
    assert_eq!(found, [("span".to_owned(), "{\n}".to_owned()), (String::new(), "x".to_owned())]);
}
