//! Load that a small server cannot take: it sheds with hints, loses nothing it acknowledged, and a tenant that sends much
//! leaves room for one that sends little. `spanlake bench overload` and `bench hostile` have the numbers.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::Backend;
use crate::accounting::assert_balanced;
use crate::http::Connection;
use crate::process::{Server, Setup};
use crate::traffic::{Batch, Found, attribute, batch, find, padded_batch, seed};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
/// Far above what the server takes in these tests, and far below what it would take without bounds.
const MAX_RSS_BYTES: u64 = 400 << 20;

fn rss_bytes(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

#[test]
fn overload_is_shed_with_hints_and_nothing_acknowledged_is_lost() {
    let setup = Setup::new(Backend::Directory)
        .with("ingester.max_in_flight_bytes", "256KiB")
        .with("ingester.max_hold", "20ms")
        .noisy();
    let server = setup.start();
    let seed = seed("overload");
    let (refused, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let started = Instant::now();
    let mut acknowledged: Vec<Batch> = Vec::new();
    let mut most_bytes = 0;
    scope(|scope| {
        let senders: Vec<_> = (0..48)
            .map(|number| {
                let (refused, is_over, address) = (&refused, &is_over, server.otlp_http);
                scope.spawn(move || {
                    let mut random = StdRng::seed_from_u64(seed ^ number);
                    let (mut connection, mut acknowledged) = (Connection::new(address), Vec::new());
                    while !is_over.load(Ordering::Relaxed) {
                        let sent = padded_batch(&mut random, 2, 5, "overload", 1 << 10);
                        let answer = connection.export(&sent.body).expect("every call is answered");
                        match answer.status {
                            200 => acknowledged.push(sent),
                            429 => {
                                let hint = answer.header("retry-after").and_then(|value| value.parse::<u32>().ok());
                                // Five seconds, or three times what it has lasted.
                                let most =
                                    (3 * started.elapsed()).max(Duration::from_secs(5)).as_secs_f64().ceil() as u32;
                                assert!(hint.is_some_and(|hint| (1..=most).contains(&hint)), "{most}: {answer:?}");
                                refused.fetch_add(1, Ordering::Relaxed);
                            }
                            status => panic!("{status}: {}", answer.text()),
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        while started.elapsed() < Duration::from_secs(3) {
            most_bytes = most_bytes.max(rss_bytes(&server));
            sleep(Duration::from_millis(50));
        }
        is_over.store(true, Ordering::Relaxed);
        senders.into_iter().for_each(|sender| acknowledged.extend(sender.join().expect("no sender panicked")));
    });
    let refused = refused.load(Ordering::Relaxed);
    println!("{} requests acknowledged, {refused} refused, {} MiB", acknowledged.len(), most_bytes >> 20);
    assert!(refused > 0 && !acknowledged.is_empty(), "{refused} refused, {} acknowledged", acknowledged.len());
    assert!(most_bytes < MAX_RSS_BYTES, "{most_bytes} bytes of memory");

    // It is itself again at once.
    let mut random = StdRng::seed_from_u64(!seed);
    let after = batch(&mut random, 1, 1, "after");
    let answer = Connection::new(server.otlp_http).export(&after.body).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    acknowledged.push(after);
    let mut connection = Connection::new(server.http);
    for trace in acknowledged.iter().flat_map(|batch| &batch.traces) {
        assert_eq!(find(&mut connection, trace), Found::Exactly, "trace {}", trace.hex());
    }
    assert_balanced(&server);
    server.stop();
}

#[test]
fn a_tenant_that_sends_much_leaves_room_for_one_that_sends_little() {
    let setup = Setup::new(Backend::Directory)
        .with("tenancy.enabled", "true")
        .with("ingester.max_in_flight_bytes", "512KiB")
        .with("ingester.max_hold", "100ms")
        .noisy();
    let server = setup.start();
    let seed = seed("neighbours");
    let is_over = AtomicBool::new(false);
    let refused = AtomicU64::new(0);
    let export = |connection: &mut Connection, tenant: &str, body: &[u8]| {
        let headers = [PROTOBUF, ("x-scope-orgid", tenant)];
        connection.request("POST", "/v1/traces", &headers, body).expect("every call is answered").status
    };
    let slowest = scope(|scope| {
        for number in 0..32 {
            let (refused, is_over, address) = (&refused, &is_over, server.otlp_http);
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(seed ^ number);
                let mut connection = Connection::new(address);
                while !is_over.load(Ordering::Relaxed) {
                    let sent = padded_batch(&mut random, 2, 5, "large", 4 << 10);
                    let status = export(&mut connection, "large", &sent.body);
                    assert!(status == 200 || status == 429, "{status}");
                    refused.fetch_add(u64::from(status == 429), Ordering::Relaxed);
                }
            });
        }
        let mut random = StdRng::seed_from_u64(!seed);
        let mut connection = Connection::new(server.otlp_http);
        sleep(Duration::from_millis(300));
        let mut slowest = Duration::ZERO;
        let mut statuses = Vec::new();
        for _ in 0..20 {
            let sent = batch(&mut random, 1, 3, "small");
            let started = Instant::now();
            statuses.push(export(&mut connection, "small", &sent.body));
            slowest = slowest.max(started.elapsed());
            sleep(Duration::from_millis(50));
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(statuses.iter().all(|status| *status == 200), "the small tenant was refused: {statuses:?}");
        slowest
    });
    println!("the large tenant was refused {refused:?} times, the small one waited {slowest:?} at most");
    assert!(refused.load(Ordering::Relaxed) > 0, "the large tenant was not at its bound");
    assert_balanced(&server);
    server.stop();
}

#[test]
fn senders_that_declare_much_and_send_little_keep_nobody_out() {
    let setup = Setup::new(Backend::Directory).with("ingester.max_in_flight_bytes", "1MiB").noisy();
    let server = setup.start();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\n{}: {}\r\ncontent-length: 900000\r\n\r\n",
        PROTOBUF.0, PROTOBUF.1
    );
    // Some send next to nothing, some enough to be charged for all that they declare, and then nothing more.
    let tricklers: Vec<TcpStream> = (0..6)
        .map(|number| {
            let mut trickler = TcpStream::connect(server.otlp_http).expect("the receiver listens");
            trickler.write_all(head.as_bytes()).expect("the receiver reads");
            let sent = if number < 2 { 20 << 10 } else { 1 };
            trickler.write_all(&vec![0x0a; sent]).expect("the receiver reads");
            trickler
        })
        .collect();
    sleep(Duration::from_millis(100));
    let mut random = StdRng::seed_from_u64(seed("trickle"));
    let mut connection = Connection::new(server.otlp_http);
    for _ in 0..5 {
        let sent = padded_batch(&mut random, 10, 5, "beside", 4 << 10);
        assert_eq!(connection.export(&sent.body).expect("an answer").status, 200);
    }
    drop(tricklers);
    server.stop();
}

#[test]
fn hostile_data_is_answered_and_stored_where_valid() {
    let setup = Setup::new(Backend::Directory).noisy();
    let server = setup.start();
    let mut random = StdRng::seed_from_u64(seed("hostile"));
    let mut connection = Connection::new(server.otlp_http);
    let mut reader = Connection::new(server.http);
    let mut check = |what: &str, rejected: i64, edit: &mut dyn FnMut(usize, &mut Span)| {
        let mut sent = batch(&mut random, 1, 40, what);
        let mut request = ExportTraceServiceRequest::decode(sent.body.as_slice()).expect("our own request");
        let spans = &mut request.resource_spans[0].scope_spans[0].spans;
        spans.iter_mut().enumerate().for_each(|(number, span)| edit(number, span));
        let is_sound = |id: &[u8], len: usize| id.len() == len && id.iter().any(|byte| *byte != 0);
        sent.traces[0].span_ids = spans
            .iter()
            .filter(|span| is_sound(&span.span_id, 8) && is_sound(&span.trace_id, 16))
            .map(|span| span.span_id.clone().try_into().expect("8 bytes"))
            .collect();
        let answer = connection.export(&request.encode_to_vec()).expect("an answer");
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let response = ExportTraceServiceResponse::decode(answer.body.as_slice()).expect("an export response");
        assert_eq!(response.partial_success.map_or(0, |partial| partial.rejected_spans), rejected, "{what}");
        assert_eq!(find(&mut reader, &sent.traces[0]), Found::Exactly, "{what}");
        assert!(rss_bytes(&server) < MAX_RSS_BYTES, "{what}");
    };
    let large = "x".repeat(1_000_000);
    check("many keys", 0, &mut |number, span| {
        let attributes = (0..1_000).map(|key| attribute(&format!("key {number} {key}"), "x"));
        span.attributes = attributes.collect();
    });
    check("large values", 0, &mut |number, span| {
        span.attributes.extend((number < 10).then(|| attribute("large", &large)));
    });
    check("clocks", 0, &mut |number, span| {
        const YEAR: u64 = 365 * 86_400 * 1_000_000_000;
        let starts = [0, 1, u64::MAX, span.start_time_unix_nano - YEAR, span.start_time_unix_nano + YEAR];
        span.start_time_unix_nano = starts[number % 5];
        span.end_time_unix_nano = starts[(number + number / 5) % 5];
    });
    check("zero ids", 3, &mut |number, span| match number {
        3 => span.span_id = vec![0; 8],
        4 => span.trace_id = vec![0; 16],
        5 => span.span_id = vec![1, 2],
        _ => {}
    });
    let verified = setup.run(&["blocks", "verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
    assert_balanced(&server);
    server.stop();
}
