//! How often each client calls for each kind of answer, and what is stored in the end.
//!
//! The counts are those of the SDK versions pinned in `tests/python` and `tests/js`; they show that the answers this
//! server chooses are the ones that make clients do the right thing.

use std::io::Write;
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::thread::{scope, sleep};
use std::time::Duration;

use serde_json::{Value, json};

use super::compare::assert_same;
use super::proxy::{Call, Proxy};
use super::{Export, Exported, LANGUAGES, Language, Protocol};
use crate::Backend;
use crate::accounting::counter;
use crate::http::Connection;
use crate::process::{Server, Setup};

use Language::{JavaScript, Python};
use Protocol::{Grpc, Http, Json};

/// More steps than any client makes calls.
const FOREVER: usize = 20;

/// One client, what the proxy does to its calls, and what must come of it.
struct Case {
    language: Language,
    protocol: Protocol,
    script: Value,
    calls: RangeInclusive<usize>,
    succeeds: bool,
    stored: bool,
}

#[test]
fn spoiled_answers() {
    let setup = Setup::new(Backend::Directory);
    let server = setup.start();
    // Nearly all of the time is spent by clients waiting before they try again.
    scope(|scope| {
        for case in cases() {
            let server = &server;
            scope.spawn(move || check(server, &case));
        }
    });
    server.stop();
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |language, protocol, script: &[Value], calls, succeeds, stored| {
        cases.push(Case { language, protocol, script: script.into(), calls, succeeds, stored });
    };
    for language in LANGUAGES {
        for protocol in [Http, Json] {
            // Why storage trouble must be 503: after 500 the batch is gone at once.
            case(language, protocol, &[json!({ "answer": 500 })], 1..=1, false, false);
            case(language, protocol, &vec![json!({ "answer": 503 }); FOREVER], 4..=6, false, false);
            let throttled = json!({ "answer": 429, "retry_after": "1" });
            case(language, protocol, &[throttled.clone(), throttled], 3..=3, true, true);
            // Why the hint must be small: a wait past the client's 10 s loses the batch.
            case(language, protocol, &[json!({ "answer": 429, "retry_after": "30" })], 1..=1, false, false);
            case(language, protocol, &[json!({ "forward": true, "answer": 503 })], 2..=2, true, true);
        }
    }
    case(Python, Grpc, &vec![json!({ "answer": "RESOURCE_EXHAUSTED" }); FOREVER], 4..=4, false, false);
    let throttled = json!({ "answer": "RESOURCE_EXHAUSTED", "retry_info": 1, "details": 1 });
    case(Python, Grpc, &[throttled.clone(), throttled.clone()], 3..=3, true, true);
    case(Python, Grpc, &[json!({ "answer": "UNAVAILABLE" })], 2..=2, true, true);
    case(Python, Grpc, &[json!({ "answer": "INVALID_ARGUMENT" })], 1..=1, false, false);
    case(Python, Grpc, &[json!({ "forward": true, "answer": "UNAVAILABLE" })], 2..=2, true, true);
    // Why calls are held before they are refused: this client never tries again.
    case(JavaScript, Grpc, &[throttled], 1..=1, false, false);
    case(JavaScript, Grpc, &[json!({ "answer": "UNAVAILABLE" })], 1..=1, false, false);
    case(JavaScript, Grpc, &[json!({ "forward": true, "answer": "UNAVAILABLE" })], 1..=1, false, true);
    cases
}

fn check(server: &Server, case: &Case) {
    let proxy = Proxy::start(server, &case.script);
    let sent = Export::new(case.language, case.protocol, proxy.address(case.protocol)).run();
    let calls = proxy.calls();
    let first = &case.script[0];
    let context = format!("{:?} {:?} {first}: {} after {calls:?}", case.language, case.protocol, sent.result);
    assert!(case.calls.contains(&calls.len()), "wanted {:?} calls: {context}", case.calls);
    assert_eq!(sent.result == "SUCCESS", case.succeeds, "{context}");
    let accepted = calls.last().is_some_and(|call| call.status == 200 || call.status == "OK");
    assert_eq!(accepted, case.succeeds, "the last answer: {context}");
    if first["retry_after"] == "1" || first["retry_info"] == 1 {
        assert!(calls[1..].iter().zip(1u32..).all(|(call, n)| call.at >= f64::from(n) * 0.99), "too early: {context}");
    }
    assert_stored(server, &sent, case.stored, &context);
    println!("{:?} {:?} {first}: {} calls, {}", case.language, case.protocol, calls.len(), sent.result);
}

/// The trace is there exactly as sent, or not at all.
fn assert_stored(server: &Server, sent: &Exported, stored: bool, context: &str) {
    let answer = Connection::new(server.http).get(&format!("/api/traces/{}", sent.trace_id));
    assert_eq!(answer.status, if stored { 200 } else { 404 }, "{context}");
    if stored {
        assert_same(sent, &answer.json()["batches"]);
    }
}

/// Runs one client against the server through a proxy that only records.
fn observe(server: &Server, language: Language, protocol: Protocol, padding_bytes: usize) -> (Exported, Vec<Call>) {
    let proxy = Proxy::start(server, &json!([]));
    let mut export = Export::new(language, protocol, proxy.address(protocol));
    export.padding_bytes = padding_bytes;
    let sent = export.run();
    (sent, proxy.calls())
}

/// A refusal that no repetition can turn into success: HTTP says so and is called once. `grpc_calls` is the number of
/// calls by the Python client, which takes one of these codes for a retryable one.
fn refused(server: &Server, padding_bytes: usize, http: u16, grpc: &str, grpc_calls: RangeInclusive<usize>) {
    scope(|scope| {
        for language in LANGUAGES {
            for protocol in [Grpc, Http, Json] {
                let grpc_calls = grpc_calls.clone();
                scope.spawn(move || {
                    let (sent, calls) = observe(server, language, protocol, padding_bytes);
                    let context = format!("{language:?} {protocol:?}: {} after {calls:?}", sent.result);
                    assert_eq!(sent.result, "FAILURE", "{context}");
                    let status = if protocol == Grpc { json!(grpc) } else { json!(http) };
                    assert!(calls.iter().all(|call| call.upstream == status), "wanted {status}: {context}");
                    let hinted =
                        |call: &Call| call.retry_after.is_some() || call.retry_info.is_some() || call.details.is_some();
                    assert!(!calls.iter().any(hinted), "a retry hint on a final refusal: {context}");
                    let expected = if language == Python && protocol == Grpc { grpc_calls } else { 1..=1 };
                    assert!(expected.contains(&calls.len()), "wanted {expected:?} calls: {context}");
                    println!("{context}");
                });
            }
        }
    });
}

#[test]
fn too_large_is_final() {
    let setup = Setup::new(Backend::Directory).with("ingester.max_request_bytes", "64KiB");
    let server = setup.start();
    refused(&server, 100 << 10, 413, "RESOURCE_EXHAUSTED", 4..=6);
    server.stop();
}

#[test]
fn missing_tenant_is_final() {
    let setup = Setup::new(Backend::Directory).with("tenancy.enabled", "true");
    let server = setup.start();
    refused(&server, 0, 401, "UNAUTHENTICATED", 1..=1);
    server.stop();
}

/// A full process answers with hints that both SDKs obey; once there is room, the batch is stored once.
#[test]
fn pressure_delays_but_loses_nothing() {
    scope(|scope| {
        for (language, protocol) in [(Python, Http), (JavaScript, Http), (Python, Json), (Python, Grpc)] {
            scope.spawn(move || under_pressure(language, protocol));
        }
    });
}

fn under_pressure(language: Language, protocol: Protocol) {
    let setup = Setup::new(Backend::Directory)
        .with("ingester.max_in_flight_bytes", "256KiB")
        .with("ingester.max_hold", "50ms")
        .noisy();
    let server = setup.start();
    // A request that takes its time holds most of what one tenant may have: all but an eighth.
    let holder = hold(&server, 200 << 10);
    let (sent, calls) = scope(|scope| {
        let server = &server;
        let client = scope.spawn(move || observe(server, language, protocol, 60 << 10));
        while !client.is_finished() && counter(server, "spanlake_ingest_requests_total") == 0 {
            // One byte now and then, so that it does not count as abandoned.
            (&holder).write_all(&[0]).expect("the receiver reads");
            sleep(Duration::from_millis(100));
        }
        drop(holder);
        client.join().expect("the client ran")
    });
    let context = format!("{language:?} {protocol:?}: {} after {calls:?}", sent.result);
    let first = &calls[0];
    if protocol == Grpc {
        assert_eq!(first.upstream, "RESOURCE_EXHAUSTED", "{context}");
        assert!(first.retry_info.is_some_and(|seconds| (1.0..=5.0).contains(&seconds)), "{context}");
        assert_eq!(first.details, first.retry_info, "both trailers say the same: {context}");
    } else {
        assert_eq!(first.upstream, 429, "{context}");
        let seconds = first.retry_after.as_deref().map(str::parse::<u32>);
        assert!(matches!(seconds, Some(Ok(1..=5))), "{context}");
    }
    assert_eq!(sent.result, "SUCCESS", "{context}");
    assert_stored(&server, &sent, true, &context);
    println!("{context}");
    server.stop();
}

/// Sends a request but for its last kibibyte, `byte_count` bytes of it.
fn hold(server: &Server, byte_count: usize) -> TcpStream {
    let mut stream = TcpStream::connect(server.otlp_http).expect("the receiver listens");
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n\
         content-length: {}\r\n\r\n",
        byte_count + 1024
    );
    stream.write_all(head.as_bytes()).expect("the receiver reads");
    stream.write_all(&vec![0; byte_count]).expect("the receiver reads");
    stream
}
