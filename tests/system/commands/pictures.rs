//! Pictures of fixed traces at several widths, byte by byte. `SPANLAKE_WRITE_GOLDEN=1` writes them anew, to be looked at.

use std::fs;

use super::{file, golden, run, stderr, stdout};

const WIDTHS: [&str; 3] = ["80", "120", "160"];

fn check(name: &str, trace: &str, args: &[&str]) {
    for width in WIDTHS {
        let input = file(trace);
        let mut line = vec!["trace", input.as_str(), "--width", width];
        line.extend(args);
        let output = run(&line);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let picture = stdout(&output);
        let longest = picture.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(longest <= width.parse().expect("a number"), "{longest} columns:\n{picture}");
        let path = golden("pictures", &format!("{name}-{width}.txt"));
        if std::env::var_os("SPANLAKE_WRITE_GOLDEN").is_some() {
            fs::write(&path, &picture).expect("the picture can be written");
        }
        let expect = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(picture, expect, "{} differs; SPANLAKE_WRITE_GOLDEN=1 writes it anew", path.display());
    }
}

#[test]
fn a_slow_checkout() {
    check("checkout", "checkout.json", &[]);
}

#[test]
fn a_slow_checkout_in_ascii() {
    check("checkout-ascii", "checkout.json", &["--ascii"]);
}

#[test]
fn a_batch_without_folds() {
    check("batch-critical-path", "batch.jsonl", &["--critical-path", "--depth", "12"]);
    check("batch", "batch.jsonl", &["--depth", "6"]);
}

#[test]
fn a_span_with_all_that_is_known_of_it() {
    check("span", "checkout.json", &["--span", "0000000000000002"]);
}
