//! Pictures of fixed traces, compared with the files of `analysis/golden`; `SPANLAKE_UPDATE_GOLDEN=1` writes them anew.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::*;
use crate::history::{Completeness, NoHistory};
use crate::settings::Settings;
use crate::{diagnose, notation};

const CHECKOUT: &str = include_str!("../../golden/checkout.trace");

fn draw(text: &str, style: &Style) -> String {
    let (trace, attributes) = notation::read(text);
    let diagnosis = diagnose(&trace, &attributes, &NoHistory, &Completeness::default(), &Settings::default());
    render(&trace, &diagnosis, style)
}

fn check(name: &str, picture: &str, width: usize) {
    for line in picture.lines() {
        assert!(columns(line) <= width, "{} columns in {name}: {line}", columns(line));
        assert_eq!(line.trim_end(), line);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("SPANLAKE_UPDATE_GOLDEN").is_some() {
        fs::write(&path, picture).expect("the golden picture");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(picture, golden, "{name} is drawn differently:\n{picture}");
}

#[test]
fn golden_pictures() {
    for width in [80, 120, 160] {
        let style = Style { width, ..Style::default() };
        check(&format!("checkout-{width}.txt"), &draw(CHECKOUT, &style), width);
    }
    let ascii = Style { unicode: false, ..Style::default() };
    let picture = draw(CHECKOUT, &ascii);
    assert!(picture.lines().skip(2).take(12).all(|line| line.is_ascii() || line.contains('µ')), "{picture}");
    check("checkout-ascii.txt", &picture, 80);
    check("checkout-path.txt", &draw(CHECKOUT, &Style { only_path: true, ..Style::default() }), 80);
    check("checkout-unfolded.txt", &draw(CHECKOUT, &Style { fold: false, findings: 0, ..Style::default() }), 80);
    check("checkout-depth.txt", &draw(CHECKOUT, &Style { depth: Some(1), findings: 0, ..Style::default() }), 80);
}

#[test]
fn colours_change_nothing_but_colours() {
    let plain = draw(CHECKOUT, &Style { width: 120, ..Style::default() });
    let coloured = draw(CHECKOUT, &Style { width: 120, colour: true, ..Style::default() });
    assert!(coloured.contains("\x1b[31m"));
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        stripped.push_str(before);
        rest = after.split_once('m').expect("a colour ends with m").1;
    }
    stripped.push_str(rest);
    let trimmed: Vec<&str> = stripped.lines().map(str::trim_end).collect();
    assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
}

#[test]
fn names_cannot_drive_the_terminal() {
    let text = "evil\x1b[2J | a\u{202e}b\rc | server | 0..10 |";
    let picture = draw(text, &Style::default());
    assert!(!picture.contains(['\x1b', '\u{202e}', '\r']), "{picture:?}");
    assert!(picture.contains("evil\u{fffd}[2J a\u{fffd}b\u{fffd}c"), "{picture}");
    let wide = draw("東京 | サービス検索処理の長い名前です | server | 0..10 |", &Style::default());
    assert!(wide.lines().all(|line| columns(line) <= 80), "{wide}");
}

#[test]
fn odd_traces_and_sizes() {
    assert_eq!(draw("", &Style::default()), "The trace has no spans.\n");
    for width in [0, 1, 40, 41, 99, 100, 1_000_000] {
        for text in [
            "s | a | server | @0..@0 |",
            "s | a | server | @18446744073709551615..@0 |\n s | b | - | @5..@18446744073709551615 |",
        ] {
            let picture = draw(text, &Style { width, ..Style::default() });
            assert!(
                picture.lines().all(|line| columns(line) <= width.clamp(MIN_WIDTH, MAX_WIDTH)),
                "{width}\n{picture}"
            );
        }
    }
    let many = "s | root | server | 0..100000 |
                  s | step | internal | 0..3 | x30000 +3
                  s | call | client | 90000..90010 | x300 +20";
    let picture = draw(many, &Style::default());
    assert!(picture.lines().count() < 40, "{picture}");
    let unfolded = draw(many, &Style { fold: false, findings: 0, ..Style::default() });
    assert!(unfolded.ends_with("more rows are not drawn\n") && unfolded.lines().count() < 210);
}

#[test]
fn deep_chains() {
    let mut text = String::new();
    for depth in 0..3_000 {
        writeln!(text, "{}s | step | internal | {}..{} |", " ".repeat(depth), depth, 10_000 - depth).expect("a string");
    }
    let picture = draw(&text, &Style { max_rows: 10_000, ..Style::default() });
    assert!(picture.lines().count() > 3_000);
    assert!(picture.lines().all(|line| columns(line) <= 80));
}
