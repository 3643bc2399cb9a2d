//! The benchmarks that press a server of their own, for some seconds: that they run to the end, and find all that was acknowledged. Their
//! numbers are for people.

use crate::process::binary;

fn bench(args: &[&str]) -> String {
    let output = binary().arg("bench").args(args).output().expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn overload_counts_what_was_acknowledged() {
    let short = ["--seconds", "2", "--calm-seconds", "2", "--factor", "3", "--connections", "50"];
    let text = bench(&[&["overload", "--json", "--under", "env", "--request-traces", "100"], &short[..]].concat());
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let account = &report["account"];
    assert!(account["acknowledged_spans"].as_u64().is_some_and(|count| count > 0), "{account}");
    assert_eq!((&account["lost_spans"], &account["duplicated_spans"]), (&0.into(), &0.into()), "{account}");
    assert_eq!((&report["overload"]["other_answers"], &report["overload"]["broken_calls"]), (&0.into(), &0.into()));
    assert_eq!(report["overload"]["refused_without_hint"], 0);
}

#[test]
fn soak_with_a_retention_starts_asks_and_counts() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let csv = scratch.path().join("soak.csv");
    let csv = csv.to_str().expect("a temporary directory is named in UTF-8");
    let text = bench(&[
        "soak",
        "--minutes",
        "0.1",
        "--rate",
        "1000",
        "--retention-minutes",
        "1",
        "--query-pause",
        "10",
        "--csv",
        csv,
    ]);
    assert!(text.contains(" 0 lost, 0 duplicated") && !text.contains("read back: 0 spans"), "{text}");
    for work in ["acknowledge", "by id", "search", "metrics"] {
        assert!(text.contains(&format!("\n{work}: 0 failed")), "{text}");
    }
    assert!(std::fs::read_to_string(csv).expect("it was written").lines().count() > 3);
}
