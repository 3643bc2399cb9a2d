//! What a person sees when the server has started: where to send spans and where to read. On stderr; stdout is for
//! programs.

use std::io::Write as _;
use std::time::Duration;

use super::roles::Addresses;
use crate::config::Config;

/// Prints where everything is.
pub fn print(config: &Config, addresses: &Addresses, fault: Option<String>, took: Duration) {
    let version = env!("CARGO_PKG_VERSION");
    eprintln!("spanlake {version} started in {} ms (roles: {})", took.as_millis(), config.roles);
    if let (Some(grpc), Some(http)) = (addresses.otlp_grpc, addresses.otlp_http) {
        eprintln!("  send spans to   http://{http}  (OTLP/HTTP, OTEL_EXPORTER_OTLP_ENDPOINT)");
        eprintln!("                  http://{grpc}  (OTLP/gRPC)");
    }
    eprintln!("  read traces at  http://{}/api/traces/<trace id>", addresses.http);
    if let Some(grpc) = addresses.grpc {
        eprintln!("                  http://{grpc}  (gRPC, tempopb.StreamingQuerier)");
    }
    eprintln!("  state           http://{0}/ready  http://{0}/metrics", addresses.http);
    eprintln!("  blocks are in   {}", config.storage.url);
    if let Some(fault) = fault {
        eprintln!("not ready: {fault}; asking again until it works");
    }
}

/// Prints the addresses as one line of JSON on stdout.
pub fn print_json(addresses: &Addresses) {
    let line = serde_json::json!({
        "http": addresses.http.to_string(),
        "grpc": addresses.grpc.map(|address| address.to_string()),
        "otlp_grpc": addresses.otlp_grpc.map(|address| address.to_string()),
        "otlp_http": addresses.otlp_http.map(|address| address.to_string()),
    });
    // Whoever asked for the line and closed the pipe does not want it.
    let _ = writeln!(std::io::stdout(), "{line}");
}
