//! The S3 server of the tests: the one `scripts/test` already runs, or else one started at first use.
//!
//! The server stops when this process ends in whatever way, because it watches a pipe that only this process holds.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::{python, repository};

/// What the script prints or sets: where the server is, and with which key it is reached.
#[derive(serde::Deserialize)]
struct Access {
    #[serde(rename = "SPANLAKE_TEST_S3_ENDPOINT")]
    endpoint: String,
    #[serde(rename = "SPANLAKE_TEST_S3_BUCKET")]
    bucket: String,
    #[serde(rename = "SPANLAKE_TEST_S3_REGION")]
    region: String,
    #[serde(rename = "SPANLAKE_TEST_S3_ACCESS_KEY")]
    access_key_id: String,
    #[serde(rename = "SPANLAKE_TEST_S3_SECRET_KEY")]
    secret_access_key: String,
}

/// The environment that makes the binary store under `prefix` in the test bucket.
pub fn settings(prefix: &str) -> Vec<(String, String)> {
    let access = access();
    let setting = |key: &str, value: &str| (crate::process::variable(key), value.to_owned());
    vec![
        setting("storage.url", &format!("s3://{}/{prefix}", access.bucket)),
        setting("storage.s3.endpoint", &access.endpoint),
        setting("storage.s3.region", &access.region),
        setting("storage.s3.access_key_id", &access.access_key_id),
        setting("storage.s3.secret_access_key", &access.secret_access_key),
        setting("storage.s3.allow_http", "true"),
    ]
}

/// Where the server listens.
pub fn address() -> SocketAddr {
    let address = access().endpoint.strip_prefix("http://").and_then(|address| address.parse().ok());
    address.expect("the endpoint is http:// and an address with a port")
}

fn access() -> &'static Access {
    static ACCESS: OnceLock<(Access, Option<Child>)> = OnceLock::new();
    &ACCESS.get_or_init(|| from_environment().map_or_else(start, |access| (access, None))).0
}

fn from_environment() -> Option<Access> {
    let value = |name: &str| std::env::var(format!("SPANLAKE_TEST_S3_{name}")).ok();
    Some(Access {
        endpoint: value("ENDPOINT")?,
        bucket: value("BUCKET")?,
        region: value("REGION")?,
        access_key_id: value("ACCESS_KEY")?,
        secret_access_key: value("SECRET_KEY")?,
    })
}

fn start() -> (Access, Option<Child>) {
    let mut child = Command::new(python())
        .arg(repository().join("tests/python/s3_server.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut line = String::new();
    let output = child.stdout.take().expect("its output is piped");
    BufReader::new(output).read_line(&mut line).expect("the server's settings");
    let access = serde_json::from_str(&line).unwrap_or_else(|error| panic!("no S3 server ({error}): {line:?}"));
    (access, Some(child))
}
