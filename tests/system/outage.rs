//! The object store goes away and comes back: a refusal that clients repeat, never a lost acknowledgement, no restart.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::accounting::assert_balanced;
use crate::http::{Connection, get};
use crate::process::Setup;
use crate::traffic::{Found, batch, find, seed};
use crate::{Backend, s3};

/// Exporters give up after ten seconds and must hear of the failure before that.
const REFUSAL_LIMIT: Duration = Duration::from_secs(10);
const RECOVERY_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn store_that_goes_away_and_comes_back() {
    let link = Link::to(s3::address());
    let setup = Setup::new(Backend::S3).with("storage.s3.endpoint", &format!("http://{}", link.address)).noisy();
    let server = setup.start();
    let mut random = StdRng::seed_from_u64(seed("outage"));
    let mut connection = Connection::new(server.otlp_http);
    let mut acknowledged = Vec::new();
    let before = batch(&mut random, 3, 4, "before");
    assert_eq!(connection.export(&before.body).expect("an answer").status, 200);
    acknowledged.push(before);

    link.cut();
    let lost = batch(&mut random, 3, 4, "during");
    let started = Instant::now();
    let answer = connection.export(&lost.body).expect("an answer");
    println!("refused after {:?}: {}", started.elapsed(), answer.text());
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(started.elapsed() < REFUSAL_LIMIT, "the refusal took {:?}", started.elapsed());
    assert!(answer.header("retry-after").is_some_and(|value| value.parse::<u32>().is_ok()), "{answer:?}");

    link.mend();
    let mended = Instant::now();
    loop {
        // As a client would, the same batch again.
        if connection.export(&lost.body).expect("an answer").status == 200 {
            acknowledged.push(lost);
            break;
        }
        assert!(mended.elapsed() < RECOVERY_LIMIT, "spans are still refused");
        sleep(Duration::from_millis(100));
    }
    println!("accepting again {:?} after the store came back", mended.elapsed());
    while get(server.http, "/ready").status != 200 {
        assert!(mended.elapsed() < RECOVERY_LIMIT, "/ready still refuses");
        sleep(Duration::from_millis(50));
    }
    let mut reader = Connection::new(server.http);
    for trace in acknowledged.iter().flat_map(|batch| &batch.traces) {
        assert_eq!(find(&mut reader, trace), Found::Exactly, "trace {}", trace.hex());
    }
    assert_balanced(&server);
    server.stop();
}

/// A TCP link that can be cut.
struct Link {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cut: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Link {
    fn to(target: SocketAddr) -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        spawn(move || {
            for client in listener.incoming().flatten() {
                if !shared.cut.load(Ordering::SeqCst) {
                    // A connection that cannot be made is one that the client sees closed.
                    let _ = join(client, target, &shared.open);
                }
            }
        });
        Link { address, state }
    }

    /// Breaks every connection, and every new one until mended.
    fn cut(&self) {
        self.state.cut.store(true, Ordering::SeqCst);
        for stream in self.state.open.lock().expect("no thread panicked").drain(..) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.state.cut.store(false, Ordering::SeqCst);
    }
}

fn join(client: TcpStream, target: SocketAddr, open: &Mutex<Vec<TcpStream>>) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    open.lock().expect("no thread panicked").extend([client.try_clone()?, server.try_clone()?]);
    for (mut from, mut to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        spawn(move || {
            // Either side may go away; the other then learns of it.
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}
