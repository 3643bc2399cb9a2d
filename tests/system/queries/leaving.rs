//! A client that goes away takes its search with it: the querier stops to read and to compute.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::accounting::counter;
use crate::http::{Connection, get, query_value};
use crate::link::Link;
use crate::process::{Server, Setup};
use crate::traffic::{batch, seed};
use crate::{Backend, python, repository, s3};

/// Blocks that a search has to open, one after the other.
const BLOCK_COUNT: usize = 60;
/// What opening one takes at least: the search would go on for more than ten seconds.
const STORE_DELAY: Duration = Duration::from_millis(200);
/// A search that nobody waits for must have ended after this.
const END_LIMIT: Duration = Duration::from_secs(2);
const QUERY: &str = "{ span.index = `1` }";

#[test]
fn searches_end_with_their_clients() {
    let link = Link::to(s3::address());
    let setup = Setup::new(Backend::S3)
        .with("storage.s3.endpoint", &format!("http://{}", link.address))
        .with("querier.fetches_per_query", "1");
    let server = setup.start();
    let mut random = StdRng::seed_from_u64(seed("leaving"));
    let mut connection = Connection::new(server.otlp_http);
    for _ in 0..BLOCK_COUNT {
        let sent = batch(&mut random, 3, 2, "leaving");
        assert_eq!(connection.export(&sent.body).expect("an answer").status, 200);
    }
    link.delay_answers(STORE_DELAY);

    let lines = Lines::begin(server.http, "/api/v1/search");
    let first = lines.first_line();
    assert!(first.contains("\"type\":\"progress\""), "{first}");
    leaves(&server, "live_search", lines);

    let messages = Messages::begin(server.grpc);
    leaves(&server, "grpc_search", messages);

    let whole = Lines::begin(server.http, "/api/search");
    leaves(&server, "search", whole);
    server.stop();
}

/// The query runs; once the client is dropped it does not, and it has not come to its own end.
fn leaves(server: &Server, route: &str, client: impl Sized) {
    let begun = Instant::now();
    while counter(server, "spanlake_query_running") == 0 {
        assert!(begun.elapsed() < END_LIMIT, "{route}: the query does not begin");
        sleep(Duration::from_millis(10));
    }
    drop(client);
    let left = Instant::now();
    while counter(server, "spanlake_query_running") != 0 {
        assert!(left.elapsed() < END_LIMIT, "{route}: the query still runs");
        sleep(Duration::from_millis(10));
    }
    println!("{route}: ended {:?} after its client left", left.elapsed());
    let gone = format!("spanlake_query_requests_total{{route=\"{route}\",status=\"499\"}} 1");
    let metrics = get(server.http, "/metrics").text();
    assert!(metrics.lines().any(|line| line == gone), "{gone} is missing in\n{metrics}");
    // What was under way may end; after that nothing is asked of the store.
    sleep(STORE_DELAY * 2);
    let before = counter(server, "spanlake_query_blocks_opened_total");
    sleep(STORE_DELAY * 4);
    assert_eq!(counter(server, "spanlake_query_blocks_opened_total"), before, "{route}: blocks are still opened");
}

/// A search over HTTP. Dropping it closes the connection.
struct Lines(TcpStream);

impl Lines {
    fn begin(http: SocketAddr, path: &str) -> Lines {
        let mut stream = TcpStream::connect(http).expect("it listens");
        let request = format!("GET {path}?q={} HTTP/1.1\r\nhost: {http}\r\n\r\n", query_value(QUERY));
        stream.write_all(request.as_bytes()).expect("the request is taken");
        Lines(stream)
    }

    /// The first line of JSON.
    fn first_line(&self) -> String {
        let lines = BufReader::new(self.0.try_clone().expect("a connected socket")).lines();
        let mut lines = lines.map(|line| line.expect("the answer goes on"));
        lines.find(|line| line.starts_with('{')).expect("a line")
    }
}

/// A search over gRPC of which one message has come. Dropping it kills the client.
struct Messages(Child);

impl Messages {
    fn begin(grpc: SocketAddr) -> Messages {
        let mut child = Command::new(python())
            .arg(repository().join("tests/python/search_stream.py"))
            .args(["--grpc", &grpc.to_string(), "--query", QUERY])
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a message");
        assert!(line.contains("traces"), "{line:?}");
        Messages(child)
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        // Both fail only when the process has ended already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
