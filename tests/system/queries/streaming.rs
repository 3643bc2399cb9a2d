//! grpcio calls every method of `tempopb.StreamingQuerier` on both ports: see `tests/python/streaming_querier.py`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Deserialize;

use super::Shop;
use crate::http::Connection;
use crate::process::Setup;
use crate::traffic::{padded_batch, seed};
use crate::{Backend, python, repository};

#[test]
fn grpc_and_http_answer_the_same() {
    let setup = Setup::new(Backend::Directory).with("tenancy.enabled", "true");
    let server = setup.start();
    let shop = Shop::send(server.otlp_http, Some("shop"));
    for grpc in [server.http, server.grpc] {
        let mut child = Command::new(python())
            .arg(repository().join("tests/python/streaming_querier.py"))
            .args(["--http", &server.http.to_string(), "--grpc", &grpc.to_string(), "--tenant", "shop"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut input = child.stdin.take().expect("its input is piped");
        input.write_all(shop.json.as_bytes()).expect("it reads what was sent");
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        println!("{text}");
    }
    server.stop();
}

/// The reference client takes no message above 4 MiB, and Grafana's neither.
#[test]
fn large_answers_come_in_messages_that_clients_take() {
    const TRACES: usize = 4_000;
    const PADDING_BYTES: usize = 1_500;
    #[derive(Deserialize)]
    struct Message {
        traces: usize,
        bytes: usize,
    }
    let server = Setup::new(Backend::Directory).start();
    let mut random = StdRng::seed_from_u64(seed("large answers"));
    let mut connection = Connection::new(server.otlp_http);
    for _ in 0..4 {
        let sent = padded_batch(&mut random, TRACES / 4, 1, "large", PADDING_BYTES);
        assert_eq!(connection.export(&sent.body).expect("an answer").status, 200);
    }
    let output = Command::new(python())
        .arg(repository().join("tests/python/search_stream.py"))
        .args(["--grpc", &server.http.to_string(), "--query", "{} | select(span.padding)"])
        .args(["--limit", &(TRACES * 2).to_string()])
        .output()
        .expect("python starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let messages: Vec<Message> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(messages.iter().map(|message| message.traces).sum::<usize>(), TRACES);
    let (sum, largest) = messages.iter().fold((0, 0), |(sum, most), m| (sum + m.bytes, most.max(m.bytes)));
    println!("{} messages, {sum} bytes, the largest has {largest}", messages.len());
    assert!(sum > TRACES * PADDING_BYTES, "the answer is not large: {sum}");
    assert!(largest <= 2 << 20, "a message has {largest} bytes");
    server.stop();
}
