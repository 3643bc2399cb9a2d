//! Unmodified OpenTelemetry clients: what they send is what is read back, and how they react to every refusal.

mod compare;
mod proxy;
mod retries;
mod round_trip;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

use crate::{python, repository};

/// An SDK under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Python,
    JavaScript,
}

/// One of OTLP's three protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Grpc,
    Http,
    Json,
}

const LANGUAGES: [Language; 2] = [Language::Python, Language::JavaScript];
const PROTOCOLS: [Protocol; 3] = [Protocol::Grpc, Protocol::Http, Protocol::Json];

/// One export call of an SDK.
struct Export {
    language: Language,
    protocol: Protocol,
    address: SocketAddr,
    gzip: bool,
    marker: String,
    padding_bytes: usize,
    /// Spans of the kind that repeats; only the Python client has it.
    item_count: usize,
}

/// What the client says it sent, and how it went.
#[derive(Debug, Deserialize)]
struct Exported {
    trace_id: String,
    result: String,
    seconds: f64,
    resource: BTreeMap<String, Value>,
    scope: SentScope,
    spans: Vec<SentSpan>,
}

#[derive(Debug, Deserialize)]
struct SentScope {
    name: String,
    version: String,
    schema_url: String,
}

/// A span as the client recorded it, ids in hexadecimal.
#[derive(Debug, PartialEq, Deserialize)]
struct SentSpan {
    span_id: String,
    parent_span_id: String,
    trace_state: String,
    name: String,
    kind: String,
    start: String,
    end: String,
    attributes: BTreeMap<String, Value>,
    events: Vec<SentEvent>,
    links: Vec<SentLink>,
    status_code: String,
    status_message: String,
}

#[derive(Debug, PartialEq, Deserialize)]
struct SentEvent {
    name: String,
    time: String,
    attributes: BTreeMap<String, Value>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct SentLink {
    trace_id: String,
    span_id: String,
    trace_state: String,
    attributes: BTreeMap<String, Value>,
}

impl Export {
    fn new(language: Language, protocol: Protocol, address: SocketAddr) -> Export {
        let marker = format!("{language:?}-{protocol:?}");
        Export { language, protocol, address, gzip: false, marker, padding_bytes: 0, item_count: 1 }
    }

    /// Runs the client to its end: a verdict of failure is a result, an exception in the client is a failed test.
    fn run(&self) -> Exported {
        let line = self.run_for_json();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{:?} client: {error}: {line}", self.language))
    }

    /// The same as the line that the client printed.
    fn run_for_json(&self) -> String {
        let mut command = match self.language {
            Language::Python => {
                let mut command = Command::new(python());
                command.arg(repository().join("tests/python/export.py"));
                command
            }
            Language::JavaScript => {
                let mut command = Command::new("node");
                command.arg(repository().join("tests/js/export.js"));
                command
            }
        };
        let protocol = match self.protocol {
            Protocol::Grpc => "grpc",
            Protocol::Http => "http",
            Protocol::Json => "json",
        };
        command.args(["--protocol", protocol, "--endpoint", &format!("http://{}", self.address)]);
        command.args(["--compression", if self.gzip { "gzip" } else { "none" }]);
        command.args(["--marker", &self.marker, "--padding-bytes", &self.padding_bytes.to_string()]);
        if self.language == Language::Python {
            command.args(["--items", &self.item_count.to_string()]);
        }
        for (key, _) in std::env::vars() {
            if key.starts_with("OTEL_") {
                command.env_remove(key);
            }
        }
        let output = command.stdin(Stdio::null()).output().expect("the client starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?} client: {}\n{text}{problem}", self.language, output.status);
        text.lines().last().unwrap_or_default().to_owned()
    }
}

/// Stores the Python client's trace, with so many spans that carry attributes of every scalar type, and returns what it says about it, as JSON.
pub fn export_known_trace(address: SocketAddr, item_count: usize) -> String {
    let mut export = Export::new(Language::Python, Protocol::Http, address);
    export.item_count = item_count;
    let line = export.run_for_json();
    let sent: Exported = serde_json::from_str(&line).expect("the client's own words");
    assert_eq!(sent.result, "SUCCESS");
    line
}
