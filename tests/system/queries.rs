//! Foreign clients of the query API: the reference gRPC client, a strict decoder of its JSON, Perses' plugin, the
//! requests of Grafana. All ask about a small shop whose traces a real SDK has sent, so every answer is known.

mod grafana;
mod leaving;
mod perses;
mod streaming;

use std::net::SocketAddr;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::http::Answer;
use crate::{python, repository};

/// How long ago the first trace starts: the last one, 22 seconds later, is in the past, and all are in the last minute.
const START_SECONDS_AGO: u64 = 30;

/// What was sent.
struct Shop {
    /// Start of the first trace, in Unix seconds.
    start: u64,
    traces: Vec<SentTrace>,
    /// The same as the sender printed it.
    json: String,
}

#[derive(Deserialize)]
struct SentTrace {
    trace_id: String,
    spans: Vec<SentSpan>,
}

#[derive(Deserialize)]
struct SentSpan {
    span_id: String,
    parent_span_id: String,
    service: String,
    name: String,
    kind: String,
    start: u64,
    end: u64,
    status: String,
}

impl Shop {
    /// Sends twelve traces, each service's spans as a request of their own.
    fn send(otlp_http: SocketAddr, tenant: Option<&str>) -> Shop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
        let start = now - START_SECONDS_AGO;
        let mut command = Command::new(python());
        command.arg(repository().join("tests/python/shop.py"));
        command.args(["--endpoint", &format!("http://{otlp_http}"), "--start", &start.to_string()]);
        command.args(tenant.iter().flat_map(|tenant| ["--tenant", tenant]));
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("OTEL_")) {
            command.env_remove(key);
        }
        let output = command.output().expect("python starts");
        let json = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{json}{}", String::from_utf8_lossy(&output.stderr));
        let traces = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
        Shop { start, traces, json }
    }

    fn spans(&self) -> impl Iterator<Item = &SentSpan> {
        self.traces.iter().flat_map(|trace| &trace.spans)
    }

    /// So many spans are like this.
    fn count(&self, is: impl Fn(&SentSpan) -> bool) -> usize {
        self.spans().filter(|span| is(span)).count()
    }
}

/// The body of an answer that must be a success.
fn success(what: &str, answer: &Answer) -> serde_json::Value {
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    answer.json()
}
