//! What the server bounds, over real sockets.

use axum::routing::get;
use spanlake_model::{ByteSize, HumanDuration};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::*;

async fn start(router: Router, limits: &ServerConfig) -> (SocketAddr, Server) {
    let listener = Listener::bind("test", &ListenAddress::loopback(0)).await.expect("a free port");
    (listener.address(), listener.serve(router, limits))
}

async fn ask(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("the server listens");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it reads");
    stream
}

async fn read_some(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 1024];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut bytes)).await;
    let len = read.expect("an answer in time").unwrap_or(0);
    String::from_utf8_lossy(&bytes[..len]).into_owned()
}

fn hello() -> Router {
    Router::new().route("/", get(|| std::future::ready("hello")))
}

#[tokio::test]
async fn a_drain_finishes_what_is_asked_and_closes_the_rest() {
    let (entered, released) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (enter, release) = (Arc::clone(&entered), Arc::clone(&released));
    let slow = Router::new().route(
        "/",
        get(|| async move {
            enter.notify_one();
            release.notified().await;
            "done"
        }),
    );
    let (address, server) = start(slow, &ServerConfig::default()).await;
    let mut silent = TcpStream::connect(address).await.expect("the server listens");
    let mut busy = ask(address).await;
    entered.notified().await;
    let drained = tokio::spawn(server.drain());
    assert_eq!(read_some(&mut silent).await, "", "a silent connection is closed");
    assert!(!drained.is_finished());
    released.notify_one();
    assert!(read_some(&mut busy).await.ends_with("done"));
    drained.await.expect("no panic");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn connections_past_the_limit_wait() {
    let limits = ServerConfig { max_connections: 1, ..ServerConfig::default() };
    let (address, _server) = start(hello(), &limits).await;
    let mut first = ask(address).await;
    assert!(read_some(&mut first).await.ends_with("hello"));
    let mut second = ask(address).await;
    let waits = tokio::time::timeout(Duration::from_millis(100), read_some(&mut second)).await;
    assert!(waits.is_err());
    drop(first);
    assert!(read_some(&mut second).await.ends_with("hello"));
}

#[tokio::test]
async fn silence_and_large_headers_are_bounded() {
    let limits = ServerConfig {
        idle_timeout: HumanDuration::from_millis(100),
        max_header_bytes: ByteSize::kib(8),
        ..ServerConfig::default()
    };
    let (address, _server) = start(hello(), &limits).await;
    let mut silent = TcpStream::connect(address).await.expect("the server listens");
    assert_eq!(read_some(&mut silent).await, "");
    let mut idle = ask(address).await;
    assert!(read_some(&mut idle).await.ends_with("hello"));
    assert_eq!(read_some(&mut idle).await, "");
    let mut large = TcpStream::connect(address).await.expect("the server listens");
    let request = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(9_000));
    large.write_all(request.as_bytes()).await.expect("it reads");
    assert!(read_some(&mut large).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_setting() {
    let listener = Listener::bind("first", &ListenAddress::loopback(0)).await.expect("a free port");
    let taken = ListenAddress::loopback(listener.address().port());
    let error = Listener::bind("otlp.grpc_listen", &taken).await.err().expect("it is taken").to_string();
    assert!(error.contains("otlp.grpc_listen") && error.contains("in use"), "{error}");
}
