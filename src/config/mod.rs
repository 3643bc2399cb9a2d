//! The configuration: what can be set, and how it is layered (defaults, file, environment, flags).
//!
//! Each role owns the type of its own section; this module owns the sections that belong to the process.

mod address;
mod check;
mod editor;
mod layers;
mod load;
pub mod migrate;
mod print;
mod problem;
mod roles;
mod schema;
mod suggest;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use spanlake_ingester::{CorsConfig, ReceiverConfig};
use spanlake_model::{ByteSize, HumanDuration, Tenant};

pub use address::ListenAddress;
pub use load::Loaded;
pub use problem::{Problem, Problems};
pub use roles::{Role, Roles};

use crate::cli::SettingArgs;
use crate::page;

/// Everything that can be set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The roles this process plays; all of them by default.
    pub roles: Roles,
    /// Where blocks are kept.
    pub storage: spanlake_storage::Config,
    /// The server of queries, readiness and metrics.
    pub server: ServerConfig,
    /// The receivers of OTLP.
    pub otlp: OtlpConfig,
    /// Whether data is kept apart by tenant.
    pub tenancy: TenancyConfig,
    /// How spans become blocks.
    pub ingester: spanlake_ingester::Config,
    /// How queries are answered.
    pub querier: spanlake_querier::Config,
    /// How the set of live blocks is read.
    pub catalog: spanlake_catalog::Config,
    /// What is kept of what was read.
    pub cache: spanlake_cache::Config,
    /// Which blocks are to be merged.
    pub compactor: spanlake_compactor::Config,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// Settings of every HTTP server of the process (queries and OTLP alike), and the addresses of those for queries.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address of queries, `/ready` and `/metrics`. Default 127.0.0.1:3200, the port Grafana expects of Tempo.
    pub http_listen: ListenAddress,
    /// Address of queries over gRPC, which `http_listen` answers too. Default 127.0.0.1:9095, Tempo's.
    pub grpc_listen: ListenAddress,
    /// Most open connections per listener; more wait in the system's queue. Default 4,096: at about 10 kB each they
    /// stay below 50 MB.
    pub max_connections: usize,
    /// Most bytes of a request's headers. Default 64 KiB: a query in a URL counts. Requests with spans may have 16 KiB at most.
    pub max_header_bytes: ByteSize,
    /// How long a connection may be silent between requests. Default 120 s: longer than the 60 s of common load
    /// balancers, which must be the ones to close.
    pub idle_timeout: HumanDuration,
    /// How long `/ready` says 503 before the process stops to accept work on shutdown, for balancers that poll. Default 0.
    pub shutdown_delay: HumanDuration,
    /// Path under which a proxy that removes it shows the server, such as `/spanlake`; the header `X-Forwarded-Prefix` of
    /// a request wins over it. Default none.
    pub base_path: String,
    /// Who may show the web page in a frame, as in the policy `frame-ancestors`. Default `'self'`.
    pub frame_ancestors: String,
    /// Directory with a built web page to serve instead of the one that is built in, read anew at each request: for work
    /// on the page. Default none.
    pub page_dir: PathBuf,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            http_listen: ListenAddress::loopback(3200),
            grpc_listen: ListenAddress::loopback(9095),
            max_connections: 4096,
            max_header_bytes: ByteSize::kib(64),
            idle_timeout: HumanDuration::from_secs(120),
            shutdown_delay: HumanDuration::from_secs(0),
            base_path: String::new(),
            frame_ancestors: "'self'".to_owned(),
            page_dir: PathBuf::new(),
        }
    }
}

impl ServerConfig {
    /// What concerns the web page.
    pub fn page(&self) -> page::Settings<'_> {
        page::Settings { base_path: &self.base_path, frame_ancestors: &self.frame_ancestors, directory: &self.page_dir }
    }
}

/// Where OTLP is received, and what the receivers accept. The bounds of a request are in section `ingester`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpConfig {
    /// Address for gRPC. Default 127.0.0.1:4317.
    pub grpc_listen: ListenAddress,
    /// Address for HTTP, protobuf and JSON. Default 127.0.0.1:4318.
    pub http_listen: ListenAddress,
    /// Path before `/v1/traces` on the HTTP port, for exporters whose endpoint has one. Default none.
    pub path_prefix: String,
    /// Whether the HTTP port also answers gRPC. Default true.
    pub grpc_on_http: bool,
    /// Longest silence inside a body before the request is given up. Default 5 s.
    pub body_idle_timeout: HumanDuration,
    /// Longest time a body may take in all. Default 30 s, the longest timeout the usual exporters have.
    pub body_timeout: HumanDuration,
    /// Which browser pages may send spans. Default none.
    pub cors: CorsConfig,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        let receiver = ReceiverConfig::default();
        Self {
            grpc_listen: ListenAddress::loopback(4317),
            http_listen: ListenAddress::loopback(4318),
            path_prefix: receiver.path_prefix,
            grpc_on_http: receiver.grpc_on_http,
            body_idle_timeout: receiver.body_idle_timeout,
            body_timeout: receiver.body_timeout,
            cors: receiver.cors,
        }
    }
}

impl OtlpConfig {
    /// The part that the receivers take.
    pub fn receiver(&self, tenancy: &TenancyConfig) -> ReceiverConfig {
        ReceiverConfig {
            tenancy_enabled: tenancy.header_counts(),
            default_tenant: tenancy.receives_into(),
            path_prefix: self.path_prefix.clone(),
            grpc_on_http: self.grpc_on_http,
            body_idle_timeout: self.body_idle_timeout,
            body_timeout: self.body_timeout,
            cors: self.cors.clone(),
        }
    }
}

/// Whether data is kept apart by tenant.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenancyConfig {
    /// Take the tenant from `X-Scope-OrgID`. Default false: everything belongs to `single-tenant`.
    pub enabled: bool,
    /// The demo is running (`serve --demo`): its spans are the tenant `demo`'s, so the header counts even when tenancy is off.
    #[serde(skip)]
    pub demo: bool,
}

impl TenancyConfig {
    /// Whether `X-Scope-OrgID` is read.
    pub fn header_counts(&self) -> bool {
        self.enabled || self.demo
    }

    /// Whose spans are that come without the header; nobody's when they are refused.
    pub fn receives_into(&self) -> Option<Tenant> {
        (!self.enabled).then(Tenant::single)
    }

    /// Whom a query without the header is about; nobody when it is refused. Beside the demo one's own spans are seen.
    pub fn queries(&self) -> Vec<Tenant> {
        match (self.enabled, self.demo) {
            (true, _) => Vec::new(),
            (false, true) => vec![crate::demo::tenant(), Tenant::single()],
            (false, false) => vec![Tenant::single()],
        }
    }
}

/// What is logged, and how. Logs go to stderr.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Least severity: error, warn, info, debug or trace, or a list by module such as `warn,spanlake_storage=debug`.
    /// Default warn: a healthy process says nothing.
    pub level: String,
    /// Form of a line. Default text.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "warn".to_owned(), format: LogFormat::Text }
    }
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Whether the value of a setting must never be shown.
fn is_secret(key: &str) -> bool {
    let last = suggest::split(key).1;
    ["secret", "password", "token"].iter().any(|word| last.contains(word))
}

/// Reads the file, the environment and the flags.
///
/// # Errors
/// [`Problems`] with everything that is wrong.
pub fn load(args: &SettingArgs, variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Loaded, Problems> {
    let known = schema::settings::<Config>();
    let is_setting = |key: &str| known.iter().any(|k| k == key);
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    if let Some(path) = &args.config {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let (from_file, wrong) = layers::from_file(path, &text, is_setting);
                settings.extend(from_file);
                problems.extend(wrong);
            }
            Err(error) => {
                let message = format!("cannot read the configuration file {}: {error}", path.display());
                problems.push(Problem { origin: None, message });
            }
        }
    }
    let (from_environment, wrong) = layers::from_environment(variables, is_setting);
    settings.extend(from_environment);
    problems.extend(wrong);
    for text in &args.set {
        match layers::from_set(text) {
            Ok(setting) => settings.push(setting),
            Err(problem) => problems.push(problem),
        }
    }
    let flags = [
        ("--storage-url", "storage.url", &args.storage_url),
        ("--http-listen", "server.http_listen", &args.http_listen),
        ("--otlp-grpc-listen", "otlp.grpc_listen", &args.otlp_grpc_listen),
        ("--otlp-http-listen", "otlp.http_listen", &args.otlp_http_listen),
        ("--roles", "roles", &args.roles),
        ("--ui-dir", "server.page_dir", &args.ui_dir),
    ];
    for (flag, key, value) in flags {
        settings.extend(value.as_ref().map(|value| layers::from_flag(flag, key, value)));
    }
    load::apply(settings, problems, &known)
}

/// The JSON Schema of the configuration file, for editors.
///
/// # Errors
/// If a default has no form in TOML.
pub fn json_schema() -> anyhow::Result<serde_json::Value> {
    editor::json_schema(&schema::settings::<Config>())
}

/// The effective configuration as TOML with the origin of every value.
///
/// # Errors
/// If a value has no form in TOML.
pub fn print(loaded: &Loaded) -> anyhow::Result<String> {
    print::print(loaded, &schema::settings::<Config>())
}
