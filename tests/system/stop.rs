//! Stopping: SIGTERM under load drains and exits 0 within ten seconds; a second signal exits at once.

use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Backend;
use crate::http::Connection;
use crate::process::Setup;
use crate::traffic::{Found, Ledger, find, seed};

const STOP_LIMIT: Duration = Duration::from_secs(10);
const AT_ONCE: Duration = Duration::from_secs(1);

#[test]
fn sigterm_under_load_drains_a_directory() {
    drain(Backend::Directory);
}

#[test]
fn sigterm_under_load_drains_to_s3() {
    drain(Backend::S3);
}

fn drain(backend: Backend) {
    let setup = Setup::new(backend);
    let ledger = Ledger::default();
    let seed = seed("stop");
    let mut span_count = 0;
    for round in 0..3 {
        let mut server = setup.start();
        let took = ledger.send_while(server.otlp_http, seed + round, 4, Duration::ZERO, || {
            sleep(Duration::from_millis(400));
            let started = Instant::now();
            server.terminate();
            let status = server.wait(STOP_LIMIT).unwrap_or_else(|| panic!("still running after {STOP_LIMIT:?}"));
            assert_eq!(status.code(), Some(0), "{}", server.log());
            started.elapsed()
        });
        let acknowledged = ledger.take_acknowledged();
        ledger.take_unknown();
        let server = setup.start();
        let mut connection = Connection::new(server.http);
        for trace in acknowledged.iter().flat_map(|batch| &batch.traces) {
            assert_eq!(find(&mut connection, trace), Found::Exactly, "trace {}", trace.hex());
        }
        span_count += acknowledged.iter().map(|batch| batch.span_count()).sum::<u64>();
        println!("stop on {backend:?}: took {took:?}");
        server.stop();
    }
    println!("stop on {backend:?}: {span_count} acknowledged spans, all found");
    assert!(span_count > 0, "nothing was acknowledged");
}

#[test]
fn second_signal_exits_at_once() {
    let setup = Setup::new(Backend::Directory).noisy();
    let mut server = setup.start();
    // A request whose body never comes gives the drain something to wait for.
    let mut unfinished = TcpStream::connect(server.otlp_http).expect("the receiver listens");
    let head =
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\n";
    unfinished.write_all(head.as_bytes()).expect("the receiver reads");
    sleep(Duration::from_millis(100));
    server.terminate();
    let drained = server.wait(Duration::from_millis(300));
    if drained.is_none() {
        server.terminate();
        let status = server.wait(AT_ONCE);
        assert!(status.is_some(), "still running {AT_ONCE:?} after the second signal:\n{}", server.log());
    }
}

#[test]
fn unfinished_request_does_not_hold_up_a_stop() {
    let setup = Setup::new(Backend::Directory).noisy();
    let mut server = setup.start();
    let mut unfinished = TcpStream::connect(server.otlp_http).expect("the receiver listens");
    let head =
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\n";
    unfinished.write_all(head.as_bytes()).expect("the receiver reads");
    sleep(Duration::from_millis(100));
    server.terminate();
    let status = server.wait(STOP_LIMIT).unwrap_or_else(|| panic!("still running after {STOP_LIMIT:?}"));
    assert_eq!(status.code(), Some(0), "{}", server.log());
}
