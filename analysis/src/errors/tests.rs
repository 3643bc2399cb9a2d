//! What becomes of errors on their way up.

use super::*;
use crate::notation;

/// Labels of failed spans by name, and the names of culprits.
fn check(text: &str, labels: &[(&str, Option<Label>)], culprits: &[&str]) {
    let (trace, attributes) = notation::read(text);
    let path = CriticalPath::of_trace(&trace);
    let report = errors(&trace, &attributes, &path);
    let found: Vec<_> = report.edges.iter().map(|edge| (trace.skeleton.name(edge.span), edge.label)).collect();
    assert_eq!(found, labels, "{text}");
    let found: Vec<_> = report.culprits.iter().map(|span| trace.skeleton.name(*span)).collect();
    assert_eq!(found, culprits, "{text}");
}

#[test]
fn errors_rise_through_internal_spans_and_stop_at_calls_that_went_well() {
    use Label::*;
    check(
        "a | root   | server   | 0..100 | error; error.type=500
           a | step | internal | 0..90 |
             a | call | client | 0..80  | error; error.type=500
               b | serve | server | 5..75 | error; exception=IOError: broken pipe
           a | cache | client | 90..95 |
             c | get | server | 91..94 | error; error.type=miss",
        &[("root", None), ("call", Some(Propagated)), ("serve", Some(Transformed)), ("get", Some(Suppressed))],
        &["serve"],
    );
    // An internal span of another service is not looked through, nor is one that says it is well.
    check(
        "a | root   | server   | 0..100 | error
           b | step | internal | 0..40 |
             c | lost | client | 0..40  | error
           a | fine | internal | 50..90 | ok
             a | tolerated | client | 50..80  | error",
        &[("root", None), ("lost", Some(Suppressed)), ("tolerated", Some(Suppressed))],
        &["root"],
    );
}

#[test]
fn a_client_that_gave_up() {
    check(
        "a | root   | server   | 0..100 | error
           a | call | client | 0..50  | error; error.type=timeout
             b | serve | server | 5..80 |",
        &[("root", None), ("call", Some(Label::TimedOut))],
        &["call"],
    );
}

#[test]
fn culprits_on_the_path_come_first() {
    check(
        "a | root   | server   | 0..100 | error
           a | beside | client | 0..30  | error; error.type=x
           a | decides | client | 0..100  | error",
        &[("root", None), ("beside", Some(Label::Propagated)), ("decides", Some(Label::Propagated))],
        &["decides", "beside"],
    );
    check(
        "a | root | server | 0..100 |
             a | call | client | 0..50 | error",
        &[("call", Some(Label::Suppressed))],
        &[],
    );
}

#[test]
fn groups_do_not_depend_on_ids() {
    let group = |message: &str| {
        let (trace, attributes) = notation::read(&format!("a | op | server | 0..10 | error; exception=E: {message}"));
        error_group(&trace, 0, &attributes)
    };
    assert_eq!(group("no row 17 in 10.0.0.1"), group("no row 99 in 10.0.0.7"));
    assert_ne!(group("no row 17"), group("no table"));
}

#[test]
fn frames_of_the_application() {
    let stack = "java.io.IOException: x\n  at java.io.File.read(File.java:3)\n  at shop.Cart.load(Cart.java:9)";
    assert_eq!(own_frame(stack), "at shop.Cart.load(Cart.java:9)");
    assert_eq!(own_frame(""), "");
}

#[test]
fn more_failures_than_are_looked_at() {
    // The culprit comes after ten thousand others in preorder.
    let text = "a | root | server | 0..100000 | error
                  a | early | client | -1..1 | x12000 +0.0001; error
                  a | last | client | 2..99999 | error; error.type=x";
    let (trace, attributes) = notation::read(text);
    let path = CriticalPath::of_trace(&trace);
    let report = errors(&trace, &attributes, &path);
    assert_eq!((report.edges.len(), report.culprits.len()), (12_002, MAX_CULPRITS));
    assert_eq!(trace.skeleton.name(report.culprits[0]), "last");
}
