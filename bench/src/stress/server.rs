//! This program as a server, in a process and a directory of its own, ended when dropped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::exporter::{Exporter, Transport};
use crate::Error;
use crate::client::{Client, Endpoint};

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

/// A server that is ready.
pub(super) struct Server {
    child: Child,
    directory: PathBuf,
    http: String,
    otlp_http: String,
    otlp_grpc: String,
}

/// The line that the program prints once everything listens.
#[derive(serde::Deserialize)]
struct Addresses {
    http: String,
    otlp_http: String,
    otlp_grpc: String,
}

impl Server {
    /// Starts it over `directory`, with settings as `section.key=value`, by way of the command `under` if there is one,
    /// which must become the program that it is given (`exec`).
    ///
    /// # Errors
    /// [`Error::Server`] if it does not get ready, [`Error::File`] if it cannot be started.
    pub(super) async fn start(directory: &Path, under: Option<&str>, settings: &[&str]) -> Result<Self, Error> {
        let program = std::env::current_exe().map_err(Error::file(Path::new("this program")))?;
        let printed = directory.join("addresses");
        let create = |path: &Path| std::fs::File::create(path).map_err(Error::file(path));
        let words = under.unwrap_or_default().split_whitespace().map(PathBuf::from);
        let mut words = words.chain([program]);
        let first = words.next().unwrap_or_default();
        let mut command = Command::new(&first);
        command.args(words);
        command.args(["serve", "--print-addresses", "--storage-url"]).arg(directory.join("data"));
        for key in ["server.http_listen", "server.grpc_listen", "otlp.http_listen", "otlp.grpc_listen"] {
            command.arg("--set").arg(format!("{key}=127.0.0.1:0"));
        }
        settings.iter().for_each(|setting| {
            command.arg("--set").arg(setting);
        });
        command.stdin(Stdio::null()).stdout(create(&printed)?).stderr(create(&directory.join("log"))?);
        let child = command.spawn().map_err(Error::file(&first))?;
        let [http, otlp_http, otlp_grpc] = Default::default();
        let mut server = Self { child, directory: directory.to_owned(), http, otlp_http, otlp_grpc };
        let deadline = Instant::now() + READY_TIMEOUT;
        while !server.is_ready(&printed).await {
            let ended = server.child.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() > deadline {
                return Err(server.problem("the server did not get ready"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(server)
    }

    async fn is_ready(&mut self, printed: &Path) -> bool {
        let text = std::fs::read_to_string(printed).unwrap_or_default();
        let Ok(addresses) = serde_json::from_str::<Addresses>(&text) else { return false };
        (self.http, self.otlp_http, self.otlp_grpc) = (addresses.http, addresses.otlp_http, addresses.otlp_grpc);
        self.get("/ready").await.is_ok_and(|(status, _)| status == StatusCode::OK)
    }

    fn problem(&self, what: &str) -> Error {
        let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        Error::Server { endpoint: self.http.clone(), problem: format!("{what}:\n{log}") }
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its objects lie.
    pub(super) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// A connection that sends spans.
    pub(super) fn sender(&self) -> Result<Client, Error> {
        Ok(Client::new(Endpoint::parse(&format!("http://{}", self.otlp_http), "/v1/traces")?))
    }

    /// A connection of an exporter.
    pub(super) fn exporter(&self, transport: Transport, tenant: Option<&'static str>) -> Result<Exporter, Error> {
        let address = match transport {
            Transport::Http => &self.otlp_http,
            Transport::Grpc => &self.otlp_grpc,
        };
        Exporter::new(transport, address, tenant)
    }

    /// A connection that asks.
    pub(super) fn asker(&self) -> Result<Client, Error> {
        Ok(Client::new(Endpoint::parse(&format!("http://{}", self.http), "/")?))
    }

    /// `GET path` on a connection of its own.
    pub(super) async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), Error> {
        let answer = self.asker()?.call(Method::GET, path, &HeaderMap::new(), Bytes::new()).await?;
        Ok((answer.status, answer.body))
    }

    /// Stops it gracefully.
    ///
    /// # Errors
    /// [`Error::Server`] if it does not end in time, or not well.
    pub(super) async fn stop(mut self) -> Result<(), Error> {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        if !told.is_ok_and(|status| status.success()) {
            return Err(self.problem("the server cannot be told to stop"));
        }
        let deadline = Instant::now() + STOP_TIMEOUT;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(self.problem(&format!("the server ended with {status}"))),
                _ if Instant::now() > deadline => return Err(self.problem("the server does not stop")),
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
