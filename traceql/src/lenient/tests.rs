//! Unfinished queries and what is kept of them.

use proptest::prelude::*;

use super::{TooManyGroups, parse_lenient};

fn check(text: &str, expected: &str) {
    let kept = parse_lenient(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    assert_eq!(kept.map_or_else(String::new, |kept| kept.to_string()), expected, "{text}");
}

#[test]
fn sound_comparisons_are_kept() {
    for (text, expected) in [
        ("", ""),
        ("{", ""),
        ("{}", ""),
        ("{ }", ""),
        ("}", ""),
        (".a = 1", ""),
        ("{ resource.cluster = }", ""),
        ("{ resource.cluster = ", ""),
        ("{ resource.cluster", ""),
        ("{ resource.", ""),
        ("{ true }", ""),
        ("{ 1 = 1 }", ""),
        ("{ .a }", ""),
        ("{ .a = 1 }", ".a = 1"),
        ("{ .a = 1", ".a = 1"),
        ("{.a=1&&.b=", ".a = 1"),
        ("{ .a = \"x\" && span.b = ", ".a = \"x\""),
        ("{ .a = \"x\" && span.b = }", ".a = \"x\""),
        ("{ .a = \"x\" && span.b }", ".a = \"x\""),
        ("{ .a = \"x\" && span. }", ".a = \"x\""),
        ("{ .a = \"x\" && }", ".a = \"x\""),
        ("{ .a = \"x\" && span.b = \"unfin", ".a = \"x\""),
        ("{ .a = \"x\" && span.b =~ \"(\" }", ".a = \"x\""),
        ("{ .a = \"x\" && name = 5 }", ".a = \"x\""),
        ("{ && .a = 1 }", ".a = 1"),
        ("{ .a = && .b = 2 && .c = 3 }", ".b = 2 && .c = 3"),
        ("{ .a = || .b = 2 || .c = 3 }", ".b = 2 || .c = 3"),
        ("{ .a = 1 || .b = && .c = 3 }", ".a = 1 && .c = 3"),
        ("{ .a == 1 && .b = 2 }", ".b = 2"),
        ("{ .a = 'x' && .b = 2 }", ".b = 2"),
        ("{ .a = 5x && .b = 2 }", ".b = 2"),
        ("{ foo && .b = 2 }", ".b = 2"),
        ("{ .a = 1 || .b = 2 && .c = 3 }", ".a = 1 || .b = 2 && .c = 3"),
        ("{ .a = 1 && (.b = 2 || .c = 3) }", ".a = 1 && (.b = 2 || .c = 3)"),
        ("{ .a = 1 && (.b = 2 || .c = ) }", ".a = 1 && .b = 2"),
        ("{ .a = 1 && (.b = 2 || .c = 3", ".a = 1 && (.b = 2 || .c = 3)"),
        ("{ .a = 1 && (.b = 2 || ", ".a = 1 && .b = 2"),
        ("{ (.a = 1) && ((.b = 2) || (.c", ".a = 1 && .b = 2"),
        ("{ (.a + 1) * 2 = 4 && .b = }", "(.a + 1) * 2 = 4"),
        ("{ (.a = 1) = (.b = 2) && .c = }", ".a = 1 = (.b = 2)"),
        ("{ !(.a = 1) && .b = }", "!(.a = 1)"),
        ("{ !.a && .b = 1 }", ".b = 1"),
        ("{ .a != nil && kind = server && duration > 1s }", ".a != nil && kind = server && duration > 1s"),
        ("{ .a = 1 } | rate()", ".a = 1"),
        ("{ .a = 1 } | rat", ".a = 1"),
        ("{ .a = 1 } | compare({ .b = 2 })", ".a = 1"),
        ("{ .a = 1 } | { .b = 2 }", ".a = 1"),
        ("{ .a = 1 } && { .b = 2 }", ""),
        ("({ .a = 1 } | count() > 1) && { .b = 2 }", ""),
        ("({ .a = 1 && .b = ", ".a = 1"),
        ("{ .a = { .b = 1", ""),
        ("{ /* .a = 1 && ", ""),
        ("{ .a = 1 && .b /* && ", ".a = 1"),
        ("{ .a = 1 ) && .b = 2 }", ".b = 2"),
    ] {
        check(text, expected);
    }
}

#[test]
fn groups_are_bounded() {
    let alternatives = |count: usize| vec![".a = 1"; count].join(" || ");
    assert!(parse_lenient(&format!("{{ {} }}", alternatives(100))).is_ok());
    let error = parse_lenient(&format!("{{ {} }}", alternatives(101))).expect_err("too many");
    assert_eq!(error, TooManyGroups { groups: 101 });
    assert!(error.to_string().contains("101 groups"), "{error}");
    let product = vec![format!("({})", alternatives(3)); 5].join(" && ");
    assert_eq!(parse_lenient(&format!("{{ {product} }}")), Err(TooManyGroups { groups: 243 }));
    assert!(parse_lenient(&format!("{{ {} }}", vec![".a = 1"; 500].join(" && "))).expect("one group").is_some());
    assert_eq!(parse_lenient(&format!("{{ {} }}", vec![".a = 1"; 501].join(" && "))), Ok(None));
}

#[test]
fn long_texts_are_quick() {
    let start = std::time::Instant::now();
    for unit in ["{", "(", "!", "foo && ", ".a = 1 && ", ".a && ", "(.a = 1 && ", "&&", "'", "\"", "/* */", ")", "^ "] {
        let text = format!("{{ {}", unit.repeat(100_000 / unit.len()));
        let _ = parse_lenient(&text);
    }
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_taken(text in any::<String>()) {
        let _ = parse_lenient(&text);
        let _ = parse_lenient(&format!("{{ .a = 1 && {text}"));
    }

    /// However a sound filter is cut off, what is kept reads.
    #[test]
    fn what_is_kept_reads(at in 0_usize..70) {
        let text = "{ .a = \"x\" && (span.b =~ \"y.*\" || kind = server) || duration > 1s }";
        if let Ok(Some(kept)) = parse_lenient(&text[..at.min(text.len())]) {
            let read = crate::parse(&format!("{{ {kept} }}"));
            prop_assert!(read.is_ok());
        }
    }
}
