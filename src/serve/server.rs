//! One bounded HTTP server: HTTP/1 and HTTP/2 in clear on one port, for any router.
//!
//! It bounds connections, headers and silence, and drains on request. It knows nothing of what is served.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::windows::Windows;
use crate::config::{ListenAddress, ServerConfig};

/// HTTP/2 streams one connection may have open: OpenTelemetry's exporters use a handful, a Collector with many queues
/// some dozens.
const MAX_STREAMS_PER_CONNECTION: u32 = 256;
/// How often a quiet HTTP/2 client is asked whether it is still there, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Connections that may wait to be accepted; the system may have a lower bound. The usual 1,024 overflow when a fleet comes at once, and
/// who is beyond them takes its connection for open until it breaks.
const BACKLOG: u32 = 4_096;
/// Pause after a failed accept: the usual reason is that file descriptors ran out, which time may cure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound port that does not serve yet: connections wait in the system's queue.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds the address that the setting `key` names.
    ///
    /// # Errors
    /// If it cannot be bound; the message names the setting.
    pub async fn bind(key: &str, address: &ListenAddress) -> anyhow::Result<Self> {
        let listener = listen(address).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => {
                anyhow::anyhow!("{address} ({key}) is in use: stop what listens there, or set {key} to another port")
            }
            _ => anyhow::anyhow!("cannot listen on {address} ({key}): {error}"),
        })?;
        let address = listener.local_addr().with_context(|| format!("the address of {key}"))?;
        Ok(Self { listener, address })
    }

    /// The address with its actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to accept connections and to answer them from the router.
    pub fn serve(self, router: Router, limits: &ServerConfig) -> Server {
        let (stop, stopping) = watch::channel(false);
        let idle_timeout = limits.idle_timeout.get();
        let header_bytes = limits.max_header_bytes.as_usize();
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(idle_timeout).max_buf_size(header_bytes);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
            .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX));
        let connections = Connections { builder, windows: Windows::new(), router, idle_timeout, stopping };
        let task = tokio::spawn(accept(self.listener, connections, limits.max_connections));
        Server { stop, task }
    }
}

/// Listens on the first of the host's addresses that can be had.
async fn listen(address: &ListenAddress) -> io::Result<TcpListener> {
    let mut outcome = Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    for address in tokio::net::lookup_host((address.host.as_str(), address.port)).await? {
        outcome = listen_at(address);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As TcpListener::bind does it: connections of a process before this one may not have ended yet.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A server that runs. Dropping it leaves it running until the runtime ends.
pub struct Server {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Stops accepting connections and asks the open ones to end after the requests they carry.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Stops, and returns when the last connection has ended. Unbounded: the caller sets a deadline.
    pub async fn drain(self) {
        self.stop();
        // A panic in the accept loop has been printed already, and leaves nothing to drain.
        let _ = self.task.await;
    }
}

#[derive(Clone)]
struct Connections {
    builder: auto::Builder<TokioExecutor>,
    windows: Windows,
    router: Router,
    idle_timeout: Duration,
    stopping: watch::Receiver<bool>,
}

async fn accept(listener: TcpListener, connections: Connections, max_connections: usize) {
    let permits = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
    let graceful = GracefulShutdown::new();
    let mut stopping = connections.stopping.clone();
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (connections, watcher) = (connections.clone(), graceful.watcher());
                tokio::spawn(async move {
                    connections.answer(stream, watcher).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

impl Connections {
    async fn answer(mut self, stream: TcpStream, watcher: Watcher) {
        // Answers are written whole; waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let first_byte = async {
            let mut byte = [0];
            matches!(tokio::time::timeout(self.idle_timeout, stream.peek(&mut byte)).await, Ok(Ok(1)))
        };
        // The protocol is chosen by the first bytes, and hyper's timeouts begin only after that choice.
        let speaks = tokio::select! {
            speaks = first_byte => speaks,
            _ = self.stopping.wait_for(|stop| *stop) => false,
        };
        if !speaks {
            return;
        }
        let window = self.windows.take();
        self.builder
            .http2()
            .initial_stream_window_size(window.stream_bytes())
            .initial_connection_window_size(window.connection_bytes());
        let service = TowerToHyperService::new(self.router);
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            // Clients that vanish are everyday life.
            tracing::debug!(error, "a connection ended early");
        }
    }
}

#[cfg(test)]
mod tests;
