//! The demo from outside: its planted faults are found by the queries that its page gives, its spans are a tenant's of their own,
//! and one command takes them away.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::Connection;
use crate::process::{Server, Setup};
use crate::{Backend, repository};

/// A debug build makes and stores the past well within this on a busy machine.
const WRITTEN_TIMEOUT: Duration = Duration::from_secs(120);
/// The past that is written: 2025-11-26, 12:17 to 12:52 UTC, which has every fault.
const DEMO: [&str; 7] = ["--demo", "--seed", "1", "--demo-now", "2025-11-26T12:52:00Z", "--demo-history", "35m"];
const FROM: u64 = 1_764_159_420;
const TO: u64 = 1_764_161_520;

/// Starts the demo and waits for its past. Gives how many spans were written.
fn start(setup: &Setup) -> (Server, u64) {
    let server = setup.start();
    let deadline = Instant::now() + WRITTEN_TIMEOUT;
    loop {
        let log = server.log();
        if let Some(line) = log.lines().find_map(|line| line.strip_prefix("demo: ")) {
            let count = line.split(' ').next().and_then(|word| word.parse().ok());
            return (server, count.unwrap_or_else(|| panic!("no count in {line:?}")));
        }
        assert!(Instant::now() < deadline, "the past was not written:\n{log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn search(server: &Server, query: &str, tenant: Option<&str>) -> Vec<Value> {
    let quoted: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("/api/search?q={quoted}&start={FROM}&end={TO}&limit=50");
    let headers: Vec<(&str, &str)> = tenant.iter().map(|tenant| ("x-scope-orgid", *tenant)).collect();
    let answer = Connection::new(server.http).request("GET", &path, &headers, b"").expect("an answer");
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    answer.json()["traces"].as_array().cloned().unwrap_or_default()
}

/// The queries of the demo's page, each with the heading above it.
fn queries() -> BTreeMap<String, String> {
    let page = std::fs::read_to_string(repository().join("docs/demo.md")).expect("the page is there");
    let sections = page.split("\n### ").skip(1);
    let query = |section: &str| {
        let (_, rest) = section.split_once("```traceql\n")?;
        Some((section.lines().next()?.to_owned(), rest.split_once("\n```")?.0.to_owned()))
    };
    sections.filter_map(query).collect()
}

#[test]
fn planted_faults_are_found_and_taken_away() {
    let setup = Setup::new(Backend::Directory).with_arguments(&DEMO);
    let (server, span_count) = start(&setup);
    assert!(span_count > 40_000, "{span_count}");
    let queries = queries();
    assert_eq!(queries.len(), 8, "{queries:?}");
    for (fault, query) in &queries {
        let found = search(&server, query, None);
        println!("{fault}: {} traces", found.len());
        assert!(!found.is_empty(), "{fault}: nothing matches {query}");
        assert_eq!(search(&server, query, Some("demo")).len(), found.len(), "{fault}");
        assert!(search(&server, query, Some("single-tenant")).is_empty(), "{fault}");
    }

    // One's own span, sent without a header, is seen beside the demo's.
    let own = br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"mine"}}]},
        "scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","name":"own",
        "startTimeUnixNano":"1764160000000000000","endTimeUnixNano":"1764160000100000000"}]}]}]}"#;
    let mut otlp = Connection::new(server.otlp_http);
    let sent = otlp.request("POST", "/v1/traces", &[("content-type", "application/json")], own).expect("an answer");
    assert_eq!(sent.status, 200, "{}", sent.text());
    let mine = r#"{ resource.service.name = "mine" }"#;
    assert_eq!(search(&server, mine, None).len(), 1);
    assert_eq!(search(&server, mine, Some("single-tenant")).len(), 1);
    assert!(search(&server, mine, Some("demo")).is_empty());
    server.stop();

    // Once more: what is there is not written again.
    let (server, again) = start(&setup);
    assert!(again < span_count / 100, "{again} spans were written again");
    server.stop();

    let objects = || setup.run(&["blocks", "list", "--tenant", "demo", "--output", "json"]).stdout;
    let said = |args: &[&str]| String::from_utf8_lossy(&setup.run(args).stdout).into_owned();
    let before = objects();
    assert!(said(&["demo", "remove"]).starts_with("would delete "));
    assert_eq!(objects(), before);

    // A tenant that is not the demo's alone is not taken away by mistake.
    let plain = Setup::clone(&setup).with_arguments(&["--set", "tenancy.enabled=true"]);
    let server = plain.start();
    let headers = [("content-type", "application/json"), ("x-scope-orgid", "demo")];
    let sent = Connection::new(server.otlp_http).request("POST", "/v1/traces", &headers, own).expect("an answer");
    assert_eq!(sent.status, 200, "{}", sent.text());
    server.stop();
    let refused = setup.run(&["demo", "remove", "--yes"]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("\"mine\"") && why.contains("--force"), "{why}");
    assert_ne!(objects(), b"", "nothing is deleted");
    assert!(said(&["demo", "remove", "--force"]).starts_with("would delete "));
    assert!(said(&["demo", "remove", "--force", "--yes"]).starts_with("deleted "));
    assert!(said(&["demo", "remove", "--yes"]).starts_with("there is no demo in "));

    // Filled anew, it is the demo's, and its marker goes with it.
    let mut short = DEMO;
    short[6] = "1m";
    start(&Setup::clone(&setup).with_arguments(&short)).0.stop();
    assert!(said(&["demo", "remove", "--yes"]).starts_with("deleted "));
    assert!(said(&["demo", "remove", "--yes"]).starts_with("there is no demo in "));
    let plain = Setup::clone(&setup).with_arguments(&[]);
    let server = plain.start();
    assert_eq!(search(&server, mine, None).len(), 1, "nobody else's spans are touched");
    assert!(search(&server, "{ }", None).len() == 1);
    server.stop();
}
