//! Runs every command of `docs/quick-start.md` in its order, as a newcomer would.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::binary;
use crate::http::Connection;
use crate::process::variable;
use crate::repository;

/// Ends the server that the page starts.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_command_of_the_page_works() {
    let text = fs::read_to_string(repository().join("docs/quick-start.md")).expect("the page");
    let commands = commands(&text);
    assert!(commands.len() > 12, "{commands:?}");
    let home = tempfile::tempdir().expect("a directory");
    // The files that the page names lie in the repository; what it writes does not.
    std::os::unix::fs::symlink(repository().join("tests"), home.path().join("tests")).expect("a link");
    let ports: Vec<String> = (0..4).map(|_| free_address()).collect();
    let mut server = None;
    for command in &commands {
        if command.starts_with("spanlake serve") {
            let child = shell(command, home.path(), &ports).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            server = Some(Running(child.expect("a shell starts")));
            wait_until_ready(&ports[0]);
            continue;
        }
        let output = shell(command, home.path(), &ports).output().expect("a shell runs");
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command}\n{out}\n{error}");
        assert!(!out.trim().is_empty() || command.contains("--output"), "{command} says nothing\n{error}");
    }
    assert!(server.is_some(), "the page starts a server");
}

/// The lines of the blocks that are marked `sh`.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        match line {
            "```sh" => is_inside = true,
            "```" => is_inside = false,
            line if is_inside && !line.trim().is_empty() => found.push(line.to_owned()),
            _ => {}
        }
    }
    found
}

/// A shell that knows the binary as `spanlake`, with ports that are free where the page has the usual ones.
fn shell(command: &str, directory: &Path, ports: &[String]) -> Command {
    let program = binary();
    let mut shell = Command::new("bash");
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let settings = ["server.http_listen", "server.grpc_listen", "otlp.grpc_listen", "otlp.http_listen"];
    for (key, address) in settings.iter().zip(ports) {
        shell.env(variable(key), address);
    }
    shell.env("SPANLAKE_URL", format!("http://{}", ports[0]));
    shell.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", ports[3]));
    let script = format!("spanlake() {{ \"$SPANLAKE_BINARY\" \"$@\"; }}; {command}");
    // The server is to be the process that is ended, not a child of it.
    let script = script.replace("; spanlake serve", "; exec \"$SPANLAKE_BINARY\" serve");
    shell.args(["-c", &script]).env("SPANLAKE_BINARY", env!("CARGO_BIN_EXE_spanlake"));
    shell.current_dir(directory).stdin(Stdio::null());
    shell
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

fn wait_until_ready(address: &str) {
    let address = address.parse().expect("an address");
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        match Connection::new(address).request("GET", "/ready", &[], b"") {
            Ok(answer) if answer.status == 200 => return,
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    panic!("the server of the page is not ready");
}
