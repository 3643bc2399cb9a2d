//! Grafana Tempo's settings, one by one: which of ours says the same, and why there is none. Names are those of Tempo 2.x and 3.x.

use spanlake_model::{ByteSize, HumanDuration};

use super::Migrated;
use super::yaml::{Node, Value};

/// Sections and settings without an equivalent, and why. The longest name that fits counts, and is told once.
const NONE: &[(&str, &str)] = &[
    (
        "distributor.receivers",
        "Spanlake receives OTLP only: put an OpenTelemetry Collector in front of it for other protocols",
    ),
    ("distributor", "there is no ring and no forwarding: what is received is stored by the process that received it"),
    ("ingester", "there is no write-ahead log and nothing is kept in memory: an acknowledged span is in the bucket"),
    ("live_store", "nothing is kept in memory: an acknowledged span is in the bucket, and the next query sees it"),
    ("block_builder", "there is no queue: the receiver writes blocks"),
    ("ingest", "there is no queue (Kafka): the receiver writes blocks"),
    ("metrics_generator", "span metrics and service graphs are asked of the spans: TraceQL metrics and /api/v1/map"),
    ("memberlist", "processes meet only in the bucket: there is no cluster to join"),
    ("compactor.ring", "a compactor takes a lease on a tenant in the bucket: there is no ring"),
    ("compactor", "see docs/compaction.md: blocks are merged by age and size, with defaults that need no tuning"),
    ("backend_scheduler", "compactors plan for themselves: any number of processes may have the role"),
    ("backend_worker", "see docs/compaction.md: blocks are merged by age and size, with defaults that need no tuning"),
    ("query_frontend", "a querier plans, reads and answers by itself: nothing is cut into jobs"),
    ("querier", "a querier plans, reads and answers by itself: there is no frontend to ask"),
    ("storage.trace.wal", "there is no write-ahead log"),
    ("storage.trace.block", "the format chooses indexes and columns by itself"),
    ("storage.trace.pool", "querier.fetches_per_query and querier.max_fetches bound what is read at once"),
    ("storage.trace.cache", "no cache server is needed: cache.memory_bytes and cache.disk_path are in the process"),
    (
        "storage.trace.background_cache",
        "no cache server is needed: cache.memory_bytes and cache.disk_path are in the process",
    ),
    ("storage.trace.search", "how a search reads is not configured"),
    ("storage.trace.s3", "storage.s3 has no such setting"),
    (
        "storage.trace.gcs",
        "credentials come from GOOGLE_APPLICATION_CREDENTIALS or the machine; there are no other settings",
    ),
    (
        "storage.trace.azure",
        "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or a managed identity, in the environment",
    ),
    ("storage.trace", "there is no such setting"),
    ("cache", "no cache server is needed: cache.memory_bytes and cache.disk_path are in the process"),
    (
        "overrides.defaults.ingestion",
        "spans are bounded by memory (ingester.max_in_flight_bytes), shared fairly between tenants, not by rates",
    ),
    (
        "overrides.ingestion_rate_limit_bytes",
        "spans are bounded by memory (ingester.max_in_flight_bytes), shared fairly between tenants, not by rates",
    ),
    (
        "overrides.ingestion_burst_size_bytes",
        "spans are bounded by memory (ingester.max_in_flight_bytes), shared fairly between tenants, not by rates",
    ),
    (
        "overrides.defaults.metrics_generator",
        "span metrics and service graphs are asked of the spans: TraceQL metrics and /api/v1/map",
    ),
    (
        "overrides.per_tenant_override_config",
        "limits of one tenant: only its retention is one, [compactor.tenants.NAME] retention",
    ),
    ("overrides", "there is no such limit; those there are bound the process: sections ingester and querier"),
    ("server", "section server has no such setting"),
    ("usage_report", "nothing is reported to anybody"),
    ("stream_over_http_enabled", "streams of searches are always answered"),
    ("internal_server", "/ready and /metrics are on server.http_listen"),
    ("autocomplete_filtering_enabled", "completion is always filtered by the query"),
];

/// Puts together what Tempo has in several settings.
#[derive(Debug, Default)]
struct Parts {
    backend: Option<(String, usize)>,
    bucket: [Option<String>; 4],
    prefix: [Option<String>; 4],
    http: Address,
    grpc: Address,
    defaults_retention: Option<(HumanDuration, usize)>,
}

/// Host and port of a listener, and the last line of them.
#[derive(Debug, Default)]
struct Address {
    host: Option<String>,
    port: Option<String>,
    line: usize,
}

const BACKENDS: [&str; 4] = ["s3", "gcs", "azure", "local"];

/// Our settings for Tempo's.
pub(super) fn migrate(root: &Node) -> Migrated {
    let mut out = Migrated::default();
    let mut parts = Parts::default();
    let mut told: Vec<&str> = Vec::new();
    // Leaves and empty sections with their names, in the order of the file.
    let mut open: Vec<(String, &Node)> = vec![(String::new(), root)];
    while let Some((path, node)) = open.pop() {
        if path.rsplit('.').next() == Some("<<") {
            let how = "what is merged in from elsewhere is not followed: write it out, or set it by hand";
            out.note(node.line, format!("{path}: {how}"));
            continue;
        }
        if let Value::Map(members) = &node.value
            && !members.is_empty()
        {
            let name = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            open.extend(members.iter().rev().map(|(member, node)| (name(member), node)));
            continue;
        }
        if path.is_empty() {
            out.note(node.line, "this is no Tempo configuration: it has no sections");
            continue;
        }
        if setting(&path, node, &mut out, &mut parts) {
            continue;
        }
        let fits = |name: &str| path == name || path.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        let longest = NONE.iter().filter(|(name, _)| fits(name)).max_by_key(|(name, _)| name.len());
        match longest {
            Some((name, _)) if told.contains(name) => {}
            Some((name, why)) => {
                told.push(name);
                let which = if *name == path { path } else { format!("{path} and the like") };
                out.note(node.line, format!("{which}: {why}"));
            }
            None => out.note(node.line, format!("{path}: it is not known here")),
        }
    }
    parts.finish(&mut out);
    out
}

/// Takes one setting over, unless its value is not in the file; false when there is none of ours.
fn setting(path: &str, node: &Node, out: &mut Migrated, parts: &mut Parts) -> bool {
    let is_secret = ["access_key", "secret_key", "session_token"].iter().any(|name| path.ends_with(name));
    let why = match &node.value {
        Value::Alias => "its value is elsewhere in the file, which is not followed",
        Value::Scalar(text) if text.contains("${") && !is_secret => {
            "its value is one of the environment, which is not looked into"
        }
        _ => return taken(path, node, out, parts),
    };
    // Whether it is a setting of ours, any value of it tells.
    let any = Node { line: node.line, value: Value::Scalar("x".to_owned()) };
    let is_ours = taken(path, &any, &mut Migrated::default(), &mut Parts::default())
        || list(path, &Node { value: Value::List(Vec::new()), ..any }, &mut Migrated::default());
    let section = Value::Alias == node.value;
    if is_ours || section {
        out.note(node.line, format!("{path}: {why}: set it by hand"));
    }
    is_ours || section
}

/// The same for a value that is there.
fn taken(path: &str, node: &Node, out: &mut Migrated, parts: &mut Parts) -> bool {
    let line = node.line;
    let Value::Scalar(text) = &node.value else {
        return list(path, node, out);
    };
    if node.value.is_nothing() {
        // A section that is named and says nothing keeps its defaults, as ours does.
        return path.starts_with("distributor.receivers.otlp");
    }
    let text = text.as_str();
    if let Some((backend, name)) = path.strip_prefix("storage.trace.").and_then(|rest| rest.split_once('.'))
        && let Some(at) = BACKENDS.iter().position(|known| *known == backend)
    {
        match name {
            "bucket" | "bucket_name" | "container_name" | "path" => parts.bucket[at] = Some(text.to_owned()),
            "prefix" => parts.prefix[at] = Some(text.to_owned()),
            _ => return at == 0 && s3(name, text, line, out),
        }
        return true;
    }
    match path {
        "target" => target(text, line, out),
        "multitenancy_enabled" => boolean("tenancy.enabled", path, text, line, out),
        "server.http_listen_address" => parts.http.host(text, line),
        "server.http_listen_port" => parts.http.port(text, line),
        "server.grpc_listen_address" => parts.grpc.host(text, line),
        "server.grpc_listen_port" => parts.grpc.port(text, line),
        "server.log_level" => out.set("log.level", text, line),
        "server.log_format" => out.set("log.format", if text == "json" { "json" } else { "text" }, line),
        "server.http_server_idle_timeout" => duration("server.idle_timeout", path, text, line, out),
        "server.http_path_prefix" | "http_api_prefix" => out.set("server.base_path", text, line),
        "storage.trace.backend" => parts.backend = Some((text.to_owned(), line)),
        "distributor.receivers.otlp.protocols.grpc.endpoint" => out.set("otlp.grpc_listen", listen(text), line),
        "distributor.receivers.otlp.protocols.http.endpoint" => out.set("otlp.http_listen", listen(text), line),
        "compactor.compaction.block_retention" | "backend_worker.compactor.block_retention" => {
            duration("compactor.retention", path, text, line, out);
        }
        "compactor.compaction.compaction_window" | "backend_worker.compactor.compaction_window" => {
            duration("compactor.window", path, text, line, out);
        }
        "overrides.defaults.compaction.block_retention" | "overrides.block_retention" => {
            match text.parse::<HumanDuration>() {
                Ok(retention) if retention.as_nanos() > 0 => parts.defaults_retention = Some((retention, line)),
                // Zero is the compactor's own.
                Ok(_) => {}
                Err(error) => out.note(line, format!("{path}: {error}")),
            }
        }
        "overrides.defaults.global.max_bytes_per_trace" | "overrides.max_bytes_per_trace" => {
            match text.parse::<ByteSize>() {
                Ok(bytes) if bytes.bytes() > 0 => out.set("querier.max_trace_bytes", bytes.to_string(), line),
                Ok(_) => out.note(line, format!("{path}: a trace always has a bound, querier.max_trace_bytes")),
                Err(error) => out.note(line, format!("{path}: {error}")),
            }
        }
        "querier.search.query_timeout" => duration("querier.query_timeout", path, text, line, out),
        _ => return false,
    }
    true
}

fn list(path: &str, node: &Node, out: &mut Migrated) -> bool {
    let Value::List(items) = &node.value else { return false };
    let key = match path {
        "distributor.receivers.otlp.protocols.http.cors.allowed_origins" => "otlp.cors.allowed_origins",
        "distributor.receivers.otlp.protocols.http.cors.allowed_headers" => "otlp.cors.allowed_headers",
        _ => return false,
    };
    let mut texts = Vec::new();
    for item in items {
        match &item.value {
            Value::Scalar(text) if !text.contains("${") => texts.push(toml::Value::from(text.as_str())),
            _ => out.note(item.line, format!("{path}: one of them is not in this place of the file: add it by hand")),
        }
    }
    out.set(key, texts, node.line);
    true
}

fn s3(name: &str, text: &str, line: usize, out: &mut Migrated) -> bool {
    match name {
        "region" => out.set("storage.s3.region", text, line),
        "endpoint" => {
            // Tempo names a host; whether it is `http` another setting says, which `finish` looks at.
            let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            if host != authority {
                let how = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment";
                out.note(line, format!("endpoint: the user and password in it are left out: {how}"));
            }
            out.set("storage.s3.endpoint", format!("{scheme}://{host}{path}"), line);
        }
        "insecure" => boolean("storage.s3.allow_http", name, text, line, out),
        "forcepathstyle" => match text {
            "false" => out.set("storage.s3.virtual_hosted_style", true, line),
            _ => out.set("storage.s3.virtual_hosted_style", false, line),
        },
        "bucket_lookup_type" => match text {
            "1" | "virtual-hosted" => out.set("storage.s3.virtual_hosted_style", true, line),
            _ => out.set("storage.s3.virtual_hosted_style", false, line),
        },
        // Keys do not belong into a file that is printed.
        "access_key" => out.note(line, format!("access_key{}: set AWS_ACCESS_KEY_ID in the environment", named(text))),
        "secret_key" => {
            out.note(line, format!("secret_key{}: set AWS_SECRET_ACCESS_KEY in the environment", named(text)));
        }
        "session_token" => out.note(line, "session_token: set AWS_SESSION_TOKEN in the environment"),
        _ => return false,
    }
    true
}

/// An address to listen on: without a host Go listens on all.
fn listen(text: &str) -> String {
    if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() }
}

/// The variable that a value refers to.
fn named(text: &str) -> String {
    let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.map_or_else(String::new, |name| format!(" (from {})", name.split(':').next().unwrap_or(name)))
}

fn target(text: &str, line: usize, out: &mut Migrated) {
    let role = match text {
        "all" | "scalable-single-binary" => return,
        "distributor" | "ingester" | "block-builder" => "ingester",
        "querier" | "query-frontend" | "live-store" => "querier",
        "compactor" | "backend-worker" | "backend-scheduler" => "compactor",
        other => {
            out.note(line, format!("target {other}: no role does that; roles are ingester, querier and compactor"));
            return;
        }
    };
    out.set("roles", vec![toml::Value::from(role)], line);
}

fn boolean(key: &'static str, path: &str, text: &str, line: usize, out: &mut Migrated) {
    match text {
        "true" => out.set(key, true, line),
        "false" => out.set(key, false, line),
        other => out.note(line, format!("{path}: {other:?} is neither true nor false; it would be {key}")),
    }
}

fn duration(key: &'static str, path: &str, text: &str, line: usize, out: &mut Migrated) {
    match text.parse::<HumanDuration>() {
        Ok(duration) => out.set(key, duration.to_string(), line),
        Err(error) => out.note(line, format!("{path}: {error}; it would be {key}")),
    }
}

impl Address {
    fn host(&mut self, text: &str, line: usize) {
        (self.host, self.line) = (Some(text.to_owned()), line);
    }

    fn port(&mut self, text: &str, line: usize) {
        (self.port, self.line) = (Some(text.to_owned()), line);
    }

    /// As one setting; without an address Tempo listens on all.
    fn finish(self, key: &'static str, default_port: &str, out: &mut Migrated) {
        if self.host.is_none() && self.port.is_none() {
            return;
        }
        let host = self.host.filter(|host| !host.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
        let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
        out.set(key, format!("{host}:{}", self.port.as_deref().unwrap_or(default_port)), self.line);
    }
}

impl Parts {
    fn finish(self, out: &mut Migrated) {
        self.http.finish("server.http_listen", "80", out);
        self.grpc.finish("server.grpc_listen", "9095", out);
        if let Some((retention, line)) = self.defaults_retention {
            out.set("compactor.retention", retention.to_string(), line);
        }
        if let Some((backend, line)) = self.backend {
            url(&backend, line, self.bucket, self.prefix, out);
        }
        // A host without a scheme is reached in clear when Tempo is told so.
        let is_clear =
            out.settings.iter().any(|(key, value, _)| *key == "storage.s3.allow_http" && value.as_bool() == Some(true));
        let endpoint = out.settings.iter_mut().find(|(key, ..)| *key == "storage.s3.endpoint");
        if let Some((_, toml::Value::String(url), _)) = endpoint
            && is_clear
            && let Some(host) = url.strip_prefix("https://")
        {
            *url = format!("http://{host}");
        }
    }
}

/// Where blocks are.
fn url(backend: &str, line: usize, bucket: [Option<String>; 4], prefix: [Option<String>; 4], out: &mut Migrated) {
    let Some(at) = BACKENDS.iter().position(|known| *known == backend) else {
        out.note(line, format!("storage.trace.backend {backend:?}: stores are s3, gcs, azure and local"));
        return;
    };
    let Some(bucket) = &bucket[at] else {
        out.note(line, format!("storage.trace.{backend}: it names no bucket; storage.url would"));
        return;
    };
    let prefix = prefix[at].as_deref().map(|prefix| prefix.trim_matches('/')).filter(|prefix| !prefix.is_empty());
    let rest = prefix.map_or_else(String::new, |prefix| format!("/{prefix}"));
    let url = match at {
        0 => format!("s3://{bucket}{rest}"),
        1 => format!("gs://{bucket}{rest}"),
        2 => format!("az://{bucket}{rest}"),
        _ => bucket.clone(),
    };
    out.set("storage.url", url, line);
    out.note(
        line,
        "storage.trace.backend: Tempo's blocks are not read. Both may use one bucket: send spans to both until what Tempo has is past its retention",
    );
}
