//! The recording proxy between a client and the server: see `tests/python/fault_proxy.py`.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

use super::Protocol;
use crate::process::Server;
use crate::{python, repository};

/// A running proxy. Dropping it ends it.
pub struct Proxy {
    child: Child,
    output: BufReader<ChildStdout>,
    ports: Ports,
}

#[derive(Deserialize)]
struct Ports {
    http: u16,
    grpc: u16,
}

/// One call that the client made.
#[derive(Debug, Deserialize)]
pub struct Call {
    /// Seconds after the first call.
    pub at: f64,
    /// The answer that the client got: an HTTP status number or a gRPC code name.
    pub status: Value,
    /// The server's own answer; null when it never saw the call.
    pub upstream: Value,
    /// The HTTP header `Retry-After`.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// Seconds in the trailer that the Python exporter obeys.
    #[serde(default)]
    pub retry_info: Option<f64>,
    /// Seconds in the standard trailer.
    #[serde(default)]
    pub details: Option<f64>,
}

impl Proxy {
    /// Starts a proxy before `server` that spoils calls as `script` says.
    pub fn start(server: &Server, script: &Value) -> Proxy {
        let mut child = Command::new(python())
            .arg(repository().join("tests/python/fault_proxy.py"))
            .args(["--http", &server.otlp_http.to_string(), "--grpc", &server.otlp_grpc.to_string()])
            .args(["--script", &script.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("the proxy's ports");
        let ports = serde_json::from_str(&line).unwrap_or_else(|error| panic!("no proxy ({error}): {line:?}"));
        Proxy { child, output, ports }
    }

    /// Where a client of this protocol connects.
    pub fn address(&self, protocol: Protocol) -> SocketAddr {
        let port = if protocol == Protocol::Grpc { self.ports.grpc } else { self.ports.http };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// Ends the proxy and returns every call, in order.
    pub fn calls(mut self) -> Vec<Call> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.output.read_to_string(&mut text).expect("the recorded calls");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("no calls ({error}): {text:?}"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both fail only when the process has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
