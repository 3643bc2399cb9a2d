//! Starts, watches and ends the built binary, always by its process id.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::http::Connection;
use crate::{Backend, s3};

/// A debug build on a machine busy with other tests is ready well within this.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// What the product promises for a graceful stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// How to start the binary: settings go through the environment, as an operator would give them.
#[derive(Clone)]
pub struct Setup {
    settings: Vec<(String, String)>,
    arguments: Vec<String>,
    scratch: Arc<tempfile::TempDir>,
    noisy: bool,
}

impl Setup {
    /// Every role on an empty store of this kind. The store lasts as long as this value or a server started from it.
    pub fn new(backend: Backend) -> Setup {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let mut settings = Vec::new();
        match backend {
            Backend::Directory => {
                let url = format!("file://{}/data", scratch.path().display());
                settings.push(("SPANLAKE_STORAGE__URL".to_owned(), url));
            }
            Backend::S3 => {
                let prefix = scratch.path().file_name().expect("a temporary directory has a name").to_string_lossy();
                settings.extend(s3::settings(&prefix));
            }
        }
        Setup { settings, arguments: Vec::new(), scratch: scratch.into(), noisy: false }
    }

    /// Sets one configuration key, for instance `tenancy.enabled`.
    pub fn with(mut self, key: &str, value: &str) -> Setup {
        self.settings.push((variable(key), value.to_owned()));
        self
    }

    /// Gives `serve` these arguments, in place of those given before.
    pub fn with_arguments(mut self, arguments: &[&str]) -> Setup {
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self
    }

    /// Sets a variable of the environment that is no configuration key.
    pub fn with_variable(mut self, name: &str, value: &str) -> Setup {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Allows warnings in the log; without this one fails the test.
    pub fn noisy(mut self) -> Setup {
        self.noisy = true;
        self
    }

    /// Where a directory store keeps its objects.
    pub fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// Runs another command of the binary with these settings, to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = binary();
        command.args(args).envs(self.settings.iter().map(|(key, value)| (key, value)));
        command.current_dir(self.scratch.path()).stdin(Stdio::null()).output().expect("the binary starts")
    }

    /// The value that was set last for a configuration key.
    pub fn value(&self, key: &str) -> Option<&str> {
        let name = variable(key);
        self.settings.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

    /// Starts the binary on free ports and waits until it is ready.
    pub fn start(&self) -> Server {
        let mut command = binary();
        command
            .args(["serve", "--print-addresses"])
            .args(&self.arguments)
            .envs(self.settings.iter().map(|(key, value)| (key, value)));
        for key in ["server.http_listen", "server.grpc_listen", "otlp.http_listen", "otlp.grpc_listen"] {
            command.env(variable(key), "127.0.0.1:0");
        }
        let outputs = tempfile::tempdir_in(self.scratch.path()).expect("a directory for what the process prints");
        let (addresses, log) = (outputs.path().join("addresses"), outputs.path().join("log"));
        let child = command
            .current_dir(self.scratch.path())
            .stdin(Stdio::null())
            .stdout(File::create(&addresses).expect("a file for the addresses"))
            .stderr(File::create(&log).expect("a log file"))
            .spawn()
            .expect("the binary starts");
        let mut process = Process { child, log, _outputs: outputs };
        let Addresses { http, grpc, otlp_http, otlp_grpc } = process.wait_until_listening(&addresses);
        process.wait_until_ready(http);
        Server { process, http, grpc, otlp_http, otlp_grpc, noisy: self.noisy, _setup: self.clone() }
    }
}

/// The line that the binary prints once everything listens.
#[derive(serde::Deserialize)]
struct Addresses {
    http: SocketAddr,
    grpc: SocketAddr,
    otlp_http: SocketAddr,
    otlp_grpc: SocketAddr,
}

/// A ready server. Dropping it kills it.
pub struct Server {
    process: Process,
    /// The query API.
    pub http: SocketAddr,
    /// The query API over gRPC.
    pub grpc: SocketAddr,
    /// OTLP over HTTP.
    pub otlp_http: SocketAddr,
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    noisy: bool,
    _setup: Setup,
}

impl Server {
    /// `kill -9`.
    pub fn kill(mut self) {
        self.process.child.kill().expect("the process was not yet waited for");
        self.process.child.wait().expect("it ends");
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let id = self.process.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(status.success(), "SIGTERM to process {id}");
    }

    /// Waits for the end; `None` when it is still running after `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if let Some(status) = self.process.ended() {
                return Some(status);
            }
            sleep(POLL);
        }
        None
    }

    /// Stops it gracefully, as a service manager does, and checks that its log holds no warning.
    pub fn stop(mut self) {
        self.terminate();
        let status = self.wait(STOP_TIMEOUT);
        let log = self.log();
        assert!(status.is_some_and(|status| status.success()), "graceful stop: {status:?}\n{log}");
        if !self.noisy {
            let loud = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
            let loud: Vec<&str> = log.lines().filter(loud).collect();
            assert!(loud.is_empty(), "unexpected warnings:\n{}", loud.join("\n"));
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// The operating system's process. Dropping it kills it.
struct Process {
    child: Child,
    log: PathBuf,
    _outputs: tempfile::TempDir,
}

impl Process {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process can be waited for")
    }

    fn wait_until_listening(&mut self, addresses: &Path) -> Addresses {
        self.poll("listening", || {
            let text = fs::read_to_string(addresses).map_err(|error| error.to_string())?;
            let line = text.strip_suffix('\n').ok_or("no addresses yet")?;
            serde_json::from_str(line).map_err(|error| format!("{error} in {line:?}"))
        })
    }

    fn wait_until_ready(&mut self, http: SocketAddr) {
        self.poll("ready", || match Connection::new(http).request("GET", "/ready", &[], b"") {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(format!("{} {}", answer.status, answer.text())),
            Err(error) => Err(error.to_string()),
        });
    }

    fn poll<T>(&mut self, what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let problem = match attempt() {
                Ok(value) => return value,
                Err(problem) => problem,
            };
            if let Some(status) = self.ended() {
                panic!("the process ended with {status} before it was {what}:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "not {what} after {READY_TIMEOUT:?} ({problem}):\n{}", self.log());
            sleep(POLL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- log of process {}\n{}---", self.child.id(), self.log());
        }
    }
}

/// The binary under test, with none of the caller's settings for it.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanlake"));
    for (key, _) in std::env::vars() {
        if key.starts_with("SPANLAKE_") || key.starts_with("AWS_") {
            command.env_remove(key);
        }
    }
    command
}

/// The environment variable that sets a configuration key.
pub fn variable(key: &str) -> String {
    format!("SPANLAKE_{}", key.replace('.', "__").to_uppercase())
}
