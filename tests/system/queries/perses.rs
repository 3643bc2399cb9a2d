//! The Tempo plugin of Perses searches, opens a trace and completes queries: see `tests/js/perses.mjs`.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use super::Shop;
use crate::process::Setup;
use crate::{Backend, repository};

#[test]
fn perses_finds_opens_and_completes() {
    let server = Setup::new(Backend::Directory).start();
    let shop = Shop::send(server.otlp_http, None);
    let trace = &shop.traces[0];
    let output = Command::new("node")
        .arg(repository().join("tests/js/perses.mjs"))
        .args(["--url", &format!("http://{}", server.http), "--query", "{ status = error }"])
        .args(["--trace", &trace.trace_id])
        .args(["--start", &(shop.start - 10).to_string(), "--end", &(shop.start + 60).to_string()])
        .output()
        .expect("node starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));

    let found = seen["search"].as_array().expect("traces");
    let failed: Vec<_> = shop.traces.iter().filter(|trace| trace.spans.iter().any(|s| s.status == "error")).collect();
    assert_eq!(found.len(), failed.len(), "{found:?}");
    for sent in failed {
        let is_it = |found: &&Value| format!("{:0>32}", found["traceId"].as_str().expect("an id")) == sent.trace_id;
        let found = found.iter().find(is_it).unwrap_or_else(|| panic!("{} is not among {found:?}", sent.trace_id));
        let root = sent.spans.iter().find(|span| span.parent_span_id.is_empty()).expect("a root");
        assert_eq!((&found["rootServiceName"], &found["rootTraceName"]), (&json!("frontend"), &json!(root.name)));
        assert_eq!(found["startTimeUnixMs"].as_f64().map(f64::round), Some((root.start / 1_000_000) as f64));
        assert_eq!(found["durationMs"], (root.end - root.start) / 1_000_000);
        let expected =
            json!({"frontend": {"spanCount": 2, "errorCount": 1}, "cart": {"spanCount": 2, "errorCount": 1}});
        assert_eq!(found["serviceStats"], expected);
    }
    assert_eq!(seen["nothing"], json!([]));
    let mistake = seen["mistake"].as_str().unwrap_or_default();
    assert!(mistake.starts_with("400 ") && mistake.contains("line 1, column 12"), "{mistake}");

    let spans: Vec<&Value> = list(&seen["trace"]["resourceSpans"])
        .flat_map(|resource| list(&resource["scopeSpans"]))
        .flat_map(|scope| list(&scope["spans"]))
        .collect();
    let read = |span: &Value| {
        let text = |name: &str| span[name].as_str().unwrap_or_default().to_lowercase();
        [text("spanId"), text("parentSpanId"), text("name"), text("startTimeUnixNano"), text("kind")]
    };
    let spans: BTreeSet<_> = spans.into_iter().map(read).collect();
    let sent = trace.spans.iter().map(|span| {
        let kind = format!("span_kind_{}", span.kind);
        [span.span_id.clone(), span.parent_span_id.clone(), span.name.to_lowercase(), span.start.to_string(), kind]
    });
    assert_eq!(spans, sent.collect());

    let offered = |text: &str| -> Vec<&str> { list(&seen["completions"][text]).filter_map(Value::as_str).collect() };
    assert_eq!(offered("{ resource.service.name=\""), ["cart", "frontend", "stock"]);
    assert_eq!(offered("{ span.http.response.status_code="), ["200", "500"]);
    assert_eq!(offered("{ status="), ["error", "ok", "unset"]);
    for (text, some) in [("{ ", "traceDuration"), ("{ resource.", "service.name"), ("{ span.", "attr/slash")] {
        assert!(offered(text).contains(&some), "{text}: {:?}", offered(text));
    }
    assert!(!offered("{ span.").contains(&"service.name"));
    server.stop();
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
