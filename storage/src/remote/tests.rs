//! The client's errors, from a server that answers by script.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use spanlake_model::HumanDuration;

use super::*;
use crate::config::RetryConfig;
use crate::{Created, Secret, Store};

/// A server that answers one request after another with the given answers, each on its own connection, then stops.
fn server(answers: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = Vec::new();
            let mut buffer = [0u8; 4096];
            while !request.windows(4).any(|at| at == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
                    _ => break,
                }
            }
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    let modified = "last-modified: Wed, 21 Oct 2015 07:28:00 GMT";
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\netag: \"e\"\r\n{modified}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn config(endpoint: String, max_attempts: u32) -> Config {
    Config {
        url: "s3://bucket/some/prefix".to_owned(),
        s3: S3Config {
            endpoint,
            region: "r".to_owned(),
            access_key_id: "id".to_owned(),
            secret_access_key: Secret::new("canary"),
            allow_http: true,
            virtual_hosted_style: false,
        },
        retry: RetryConfig {
            max_attempts,
            initial_backoff: HumanDuration(std::time::Duration::from_millis(1)),
            ..RetryConfig::default()
        },
        ..Config::default()
    }
}

async fn check_put(status: &str, body: &str, kind: Kind, may_have_happened: bool) {
    // The second answer is for the read-back, which finds the server gone for all but the first kind.
    let store = Store::open(&config(server(vec![answer(status, body)]), 1)).expect("open");
    let error = store.create("k", Bytes::from_static(b"x")).await.expect_err(status);
    assert_eq!((error.kind(), error.may_have_happened()), (kind, may_have_happened), "{status}: {error}");
    assert!(!format!("{error:?} {error}").contains("canary"));
}

#[tokio::test]
async fn statuses_become_kinds() {
    check_put("500 Internal Server Error", "", Kind::Unavailable, true).await;
    check_put("503 Slow Down", "<Error><Code>SlowDown</Code></Error>", Kind::Throttled, true).await;
    check_put("429 Too Many Requests", "", Kind::Throttled, false).await;
    check_put("403 Forbidden", "<Error><Code>AccessDenied</Code></Error>", Kind::Denied, false).await;
    check_put("401 Unauthorized", "", Kind::Denied, false).await;
    check_put("404 Not Found", "<Error><Code>NoSuchBucket</Code></Error>", Kind::Invalid, false).await;
    check_put("400 Bad Request", "<Error><Code>ExpiredToken</Code></Error>", Kind::Denied, false).await;
    check_put("400 Bad Request", "<Error><Code>InvalidArgument</Code></Error>", Kind::Invalid, false).await;
    check_put("501 Not Implemented", "", Kind::Invalid, false).await;
    check_put("507 Insufficient Storage", "", Kind::Full, false).await;
    // A conflict whose object cannot be read back is not settled.
    check_put("409 Conflict", "", Kind::Unavailable, true).await;
    check_put("412 Precondition Failed", "", Kind::Unavailable, true).await;
}

#[tokio::test]
async fn an_answer_that_never_came_is_doubtful_and_a_connection_that_was_refused_is_not() {
    let store = Store::open(&config(server(vec![String::new()]), 1)).expect("open");
    let error = store.create("k", Bytes::new()).await.expect_err("no answer");
    assert_eq!((error.kind(), error.may_have_happened()), (Kind::Unavailable, true), "{error}");
    let store = Store::open(&config(server(vec![]), 1)).expect("open");
    let error = store.create("k", Bytes::new()).await.expect_err("refused");
    assert_eq!((error.kind(), error.may_have_happened()), (Kind::Unavailable, false), "{error}");
}

#[tokio::test]
async fn a_create_that_landed_behind_a_500_is_recognised() {
    let answers = vec![answer("500 Internal Server Error", ""), answer("200 OK", "mine")];
    let store = Store::open(&config(server(answers), 3)).expect("open");
    assert_eq!(store.create("k", Bytes::from_static(b"mine")).await.expect("ours"), Created::Ours);
    let answers = vec![
        answer("409 Conflict", ""),
        answer("404 Not Found", ""),
        answer("412 Precondition Failed", ""),
        answer("200 OK", "another's"),
        answer("200 OK", "another's"),
    ];
    let store = Store::open(&config(server(answers), 3)).expect("open");
    let error = store.create("k", Bytes::from_static(b"mine")).await.expect_err("taken");
    assert_eq!((error.kind(), error.may_have_happened()), (Kind::AlreadyExists, false), "{error}");
    let counts = store.meter().counts();
    assert_eq!((counts.put.request_count, counts.get.request_count), (2, 3), "no retries but ours");
}

#[tokio::test]
async fn the_client_does_not_retry_by_itself() {
    let answers = vec![answer("500 Internal Server Error", ""), answer("200 OK", "body")];
    let store = Store::open(&config(server(answers), 1)).expect("open");
    assert_eq!(store.get("k").await.expect_err("one attempt").kind(), Kind::Unavailable);
    let answers = vec![answer("500 Internal Server Error", ""), answer("200 OK", "body")];
    let store = Store::open(&config(server(answers), 2)).expect("open");
    assert_eq!(store.get("k").await.expect("two attempts"), &b"body"[..]);
    assert_eq!((store.meter().counts().get.request_count, store.meter().retry_count()), (2, 1));
}

#[tokio::test]
async fn settings_that_cannot_work_are_explained() {
    let check = |change: &dyn Fn(&mut Config), part: &str| {
        let mut config = config("http://127.0.0.1:1".to_owned(), 1);
        change(&mut config);
        let error = Store::open(&config).expect_err(part);
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    };
    check(&|config| config.s3.allow_http = false, "storage.s3.allow_http");
    check(&|config| config.s3.endpoint = "localhost:9000".to_owned(), "https://localhost:9000");
    check(&|config| config.s3.access_key_id.clear(), "storage.s3.access_key_id");
    check(&|config| config.url = "s3a://bucket".to_owned(), "s3://");
}
