//! Clients resend what they got no answer for: the same batch, sent again to any process, is answered once.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::Backend;
use crate::http::Connection;
use crate::process::{Server, Setup};
use crate::traffic::{Batch, Found, Ledger, batch, find, seed};

#[test]
fn same_process_answers_once() {
    let setup = Setup::new(Backend::Directory);
    let server = setup.start();
    let sent = make();
    for _ in 0..3 {
        export(&server, &sent);
    }
    check(&server, &sent);
    server.stop();
}

#[test]
fn other_process_on_the_same_bucket_answers_once() {
    other_process(Backend::S3);
}

#[test]
fn other_process_on_the_same_directory_answers_once() {
    other_process(Backend::Directory);
}

fn other_process(backend: Backend) {
    let setup = Setup::new(backend);
    let first = setup.start();
    let second = setup.start();
    let sent = make();
    export(&first, &sent);
    export(&second, &sent);
    export(&first, &sent);
    check(&first, &sent);
    check(&second, &sent);
    first.stop();
    second.stop();
}

/// Two processes that write at once do not disturb each other, and each sees what the other acknowledged.
#[test]
fn processes_share_a_directory() {
    let setup = Setup::new(Backend::Directory);
    let servers = [setup.start(), setup.start()];
    let seed = seed("shared directory");
    let ledger = Ledger::default();
    std::thread::scope(|scope| {
        for (server, seed) in servers.iter().zip(seed..) {
            let ledger = &ledger;
            let second = Duration::from_secs(1);
            scope.spawn(move || ledger.send_while(server.otlp_http, seed, 2, Duration::ZERO, || sleep(second)));
        }
    });
    assert!(ledger.take_unknown().is_empty(), "a process refused spans because of the other");
    let acknowledged = ledger.take_acknowledged();
    for server in &servers {
        let mut connection = Connection::new(server.http);
        for trace in acknowledged.iter().flat_map(|batch| &batch.traces) {
            assert_eq!(find(&mut connection, trace), Found::Exactly, "trace {}", trace.hex());
        }
    }
    println!("{} requests by two processes, each found by both", acknowledged.len());
    servers.into_iter().for_each(Server::stop);
}

#[test]
fn restarted_process_answers_once() {
    let setup = Setup::new(Backend::Directory);
    let sent = make();
    for _ in 0..3 {
        let server = setup.start();
        export(&server, &sent);
        server.stop();
    }
    let server = setup.start();
    check(&server, &sent);
    server.stop();
}

fn make() -> Batch {
    batch(&mut StdRng::seed_from_u64(seed("duplicates")), 3, 10, "duplicate")
}

fn export(server: &Server, sent: &Batch) {
    let answer = Connection::new(server.otlp_http).export(&sent.body).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Every trace holds each span once, and search lists each trace once with its true span count.
fn check(server: &Server, sent: &Batch) {
    let mut connection = Connection::new(server.http);
    for trace in &sent.traces {
        assert_eq!(find(&mut connection, trace), Found::Exactly);
    }
    let answer = connection.get("/api/search?tags=test.marker%3Dduplicate&limit=100");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let traces = answer["traces"].as_array().expect("a list of traces");
    let found: BTreeSet<String> = traces.iter().map(|trace| padded(&trace["traceID"])).collect();
    let wanted: BTreeSet<String> = sent.traces.iter().map(|trace| trace.hex()).collect();
    assert_eq!(found, wanted);
    assert_eq!(traces.len(), wanted.len(), "a trace is listed twice: {answer}");
    for trace in traces {
        assert_eq!(trace["serviceStats"]["traffic"]["spanCount"], 10, "{trace}");
    }
}

/// A trace id of a search result, to which the API gives no leading zeros.
fn padded(id: &serde_json::Value) -> String {
    format!("{:0>32}", id.as_str().expect("an id"))
}
