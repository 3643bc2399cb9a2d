//! A TCP link to the object store that can be cut, mended and slowed down. It passes bytes and knows nothing of them.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// A link. It lasts as long as the test process.
pub struct Link {
    /// Where it begins.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cut: AtomicBool,
    delay_millis: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Link {
    /// A link that leads to `target`.
    pub fn to(target: SocketAddr) -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        spawn(move || {
            for client in listener.incoming().flatten() {
                if !shared.cut.load(Ordering::SeqCst) {
                    // A connection that cannot be made is one that the client sees closed.
                    let _ = join(client, target, &shared);
                }
            }
        });
        Link { address, state }
    }

    /// Breaks every connection, and every new one until mended.
    pub fn cut(&self) {
        self.state.cut.store(true, Ordering::SeqCst);
        for stream in self.state.open.lock().expect("no thread panicked").drain(..) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets new connections through again.
    pub fn mend(&self) {
        self.state.cut.store(false, Ordering::SeqCst);
    }

    /// Makes everything that comes back wait so long.
    pub fn delay_answers(&self, delay: Duration) {
        self.state.delay_millis.store(delay.as_millis() as u64, Ordering::SeqCst);
    }
}

fn join(client: TcpStream, target: SocketAddr, state: &Arc<State>) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    state.open.lock().expect("no thread panicked").extend([client.try_clone()?, server.try_clone()?]);
    let (mut requests, mut answers) = ((client.try_clone()?, server.try_clone()?), (server, client));
    spawn(move || {
        // Either side may go away; the other then learns of it.
        let _ = io::copy(&mut requests.0, &mut requests.1);
        let _ = requests.1.shutdown(Shutdown::Both);
    });
    let state = Arc::clone(state);
    spawn(move || {
        let _ = copy_late(&mut answers.0, &mut answers.1, &state.delay_millis);
        let _ = answers.1.shutdown(Shutdown::Both);
    });
    Ok(())
}

fn copy_late(from: &mut TcpStream, to: &mut TcpStream, delay_millis: &AtomicU64) -> io::Result<()> {
    let mut buffer = [0; 64 * 1024];
    loop {
        let len = from.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        sleep(Duration::from_millis(delay_millis.load(Ordering::SeqCst)));
        to.write_all(&buffer[..len])?;
    }
}
