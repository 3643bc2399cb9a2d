//! Tables of queries: valid ones with their canonical text, and wrong ones with the place and the words of the error.

mod invalid;
mod random;
mod valid;

use std::time::{Duration, Instant};

use crate::limits::MAX_TEXT_BYTES;
use crate::{Field, ParseError, parse};

/// A query reads, and prints as `canonical`, which reads back as the same tree.
fn check(text: &str, canonical: &str) {
    let query = parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let printed = query.to_string();
    assert_eq!(printed, canonical, "{text}");
    let again = parse(&printed).unwrap_or_else(|error| panic!("{text} as {printed}\n{error}"));
    assert_eq!(again, query, "{text} as {printed}");
}

/// A query does not read; the error is at `line` and `column`, and its sentence contains every one of `parts`.
fn check_error(text: &str, line: u32, column: u32, parts: &[&str]) {
    let error = match parse(text) {
        Ok(query) => panic!("{text}\nreads as {query}"),
        Err(error) => error,
    };
    let sentence = error.to_string();
    assert_eq!((error.line, error.column), (line, column), "{text}\n{sentence}");
    for part in parts {
        assert!(sentence.contains(part), "{text}\n{sentence}\ndoes not say: {part}");
    }
    assert!(sentence.starts_with(&format!("line {line}, column {column}: ")), "{sentence}");
    assert!(text.get(error.offset..error.offset + error.length).is_some(), "{text}\n{error:?}");
}

/// The error that a query gives, within a time that only reading it again and again exceeds.
fn fails_quickly(text: &str) -> ParseError {
    let start = Instant::now();
    let error = parse(text).map(|query| query.to_string().len()).expect_err("too much for one query");
    assert!(start.elapsed() < Duration::from_secs(10), "{} bytes took {:?}", text.len(), start.elapsed());
    error
}

#[test]
fn deep_nesting_is_an_error() {
    let count = 100_000;
    for unit in ["(", "!", "-", "{", "!(", "1 ^ "] {
        let inner = unit.repeat(count / unit.len());
        for text in [inner.clone(), format!("{{ {inner}"), format!("{{}} | {inner}"), format!("{{}} | max({inner}")] {
            fails_quickly(&text);
        }
    }
    for unit in [".a ^ ", "!", "- "] {
        let error = fails_quickly(&format!("{{ {}.a }}", unit.repeat(20_000)));
        assert!(error.message.contains("nests deeper than 64 levels"), "{error}");
    }
    let error = fails_quickly(&format!("{}{{}}{}", "(".repeat(50_000), ")".repeat(50_000)));
    assert!(error.message.contains("nests deeper than 64 levels"), "{error}");
    let error = fails_quickly(&format!("{}count() > 1{}", "(".repeat(50_000), ")".repeat(50_000)));
    assert!(error.message.contains("nests deeper than 64 levels"), "{error}");
}

#[test]
fn nesting_up_to_the_bound_is_fine() {
    let nested = |levels: usize| format!("{{ {}.a{} }}", "(".repeat(levels), ")".repeat(levels));
    check(&nested(64), "{ .a }");
    assert!(parse(&nested(65)).is_err());
    // Every level of precedence on every level of nesting needs the most stack.
    let levels = 60;
    let start = ".a || .a = .a + .a * .a ^ (".repeat(levels / 2);
    let text = format!("{{ {start}.a{} }}", ")".repeat(levels / 2));
    assert!(parse(&text).is_err(), "conditions are no numbers");
    let start = ".a + .a * .a ^ (".repeat(levels / 2);
    let text = format!("{{ {start}.a + 1{} > 0 }}", ")".repeat(levels / 2));
    check(&text, &text);
    let text = format!("{}{{ .a }}{}", "({ .a } && { .a } > ".repeat(levels), " | count() > 1)".repeat(levels));
    check(&text, &text);
}

#[test]
fn long_texts_take_linear_time() {
    for unit in [
        "{",
        "}",
        "{}",
        "{} && ",
        "(",
        ".a = 1 && ",
        "/* */",
        "//\n",
        "\"\"",
        "1s",
        ",",
        "!",
        "a",
        "{ .a } || ",
        "µ",
        "1e+",
    ] {
        let long = unit.repeat(MAX_TEXT_BYTES / unit.len());
        fails_quickly(&long);
        fails_quickly(&format!("{{ {}", &long[..long.len() - 2 * unit.len()]));
    }
    let error = fails_quickly(&" ".repeat(MAX_TEXT_BYTES + 1));
    assert_eq!(error.message, "a query has at most 131072 bytes, not 131073");
}

#[test]
fn a_thousand_in_a_row_are_fine() {
    for (unit, between) in [(".a = 1", " && "), (".a = 1", " || "), (".a", " + ")] {
        let chain = vec![unit; 1_000].join(between);
        let suffix = if between == " + " { " > 0" } else { "" };
        let text = format!("{{ {chain}{suffix} }}");
        check(&text, &text);
    }
    let text = vec!["{ .a }"; 1_000].join(" >> ");
    check(&text, &text);
    let text = format!("{{}} | {} > 1", vec!["count()"; 1_000].join(" + "));
    check(&text, &text);
    let error = fails_quickly(&format!("{{ {} }}", vec![".a"; 1_200].join(" && ")));
    assert!(error.message.contains("more than 1100 operators in a row"), "{error}");
    // Chains inside of chains add up.
    let mut nested = "{ .a }".to_owned();
    for _ in 0..20 {
        nested = format!("({nested}{} | count() > 1)", " && {}".repeat(100));
    }
    let error = fails_quickly(&nested);
    assert!(error.message.contains("more than 1100 operators in a row"), "{error}");
    let error = fails_quickly(&format!("{{}} | select({})", vec![".a"; 10_001].join(", ")));
    assert!(error.message.contains("more than 10000"), "{error}");
}

#[test]
fn fields_stand_alone() {
    for (text, canonical) in [
        ("resource.service.name", "resource.service.name"),
        (".foo", ".foo"),
        ("span.\"a b\"", "span.\"a b\""),
        ("span.attr/slash", "span.attr/slash"),
        ("span.\"attr/slash\"", "span.attr/slash"),
        ("status", "status"),
        ("span:status", "status"),
        ("trace:rootService", "rootServiceName"),
        ("trace:id", "trace:id"),
        ("parent.span.x", "parent.span.x"),
        (" event.exception.type ", "event.exception.type"),
        ("span.ключ#?+%20", "span.ключ#?+%20"),
        ("span.a\"b c\"d", "span.\"ab cd\""),
    ] {
        let field = Field::parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        assert_eq!(field.to_string(), canonical);
        assert_eq!(Field::parse(canonical).as_ref(), Ok(&field));
    }
    for text in [
        "",
        "service.name",
        "foo",
        "{ .a }",
        ".a .b",
        "span.",
        "span.a = 1",
        "1",
        "\"a\"",
        "ok",
        "true",
        "span.\"a",
        "span.a b",
    ] {
        assert!(Field::parse(text).is_err(), "{text}");
    }
}
