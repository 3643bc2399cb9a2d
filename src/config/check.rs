//! What no single setting shows: settings that contradict one another, and texts whose form only the whole decides.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use spanlake_model::{ByteSize, HumanDuration};
use spanlake_storage::Store;
use tracing_subscriber::EnvFilter;

use super::{Config, ListenAddress};
use crate::page;

/// The HTTP server's own least buffer.
const MIN_HEADER_BYTES: ByteSize = ByteSize::kib(8);

/// Longest time in which a snapshot is taken.
const MAX_SNAPSHOT: Duration = Duration::from_secs(60);

/// No writer is slower than this between storing an object and naming it in a manifest.
const MIN_ORPHAN_AGE: Duration = Duration::from_secs(3_600);

const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Every contradiction as the dotted name of the setting to change and a sentence.
pub fn contradictions(config: &Config) -> Vec<(Cow<'static, str>, String)> {
    let mut found = Vec::new();
    found.extend(storage_url(&config.storage).map(|message| ("storage.url".into(), message)));
    let listeners = [
        ("server.http_listen", &config.server.http_listen),
        ("server.grpc_listen", &config.server.grpc_listen),
        ("otlp.grpc_listen", &config.otlp.grpc_listen),
        ("otlp.http_listen", &config.otlp.http_listen),
    ];
    for (i, (key, address)) in listeners.iter().enumerate() {
        if let Some((other, _)) = listeners[..i].iter().find(|(_, other)| clash(address, other)) {
            found.push(((*key).into(), format!("{address} is taken by `{other}`: each needs a port of its own")));
        }
    }
    if let Err(error) = EnvFilter::from_str(&config.log.level) {
        found.push(("log.level".into(), format!("{error}: write error, warn, info, debug or trace")));
    }
    // A lone word that is no level would be taken for the name of a module and silence all others.
    let is_level = |word: &str| LOG_LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
    let words = config.log.level.split(',').map(str::trim);
    if let Some(word) = words.clone().find(|word| !word.contains(['=', '[', ':']) && !is_level(word)) {
        found.push(("log.level".into(), format!("{word:?} is no level: write error, warn, info, debug or trace")));
    }
    if config.server.max_header_bytes < MIN_HEADER_BYTES {
        found.push(("server.max_header_bytes".into(), format!("at least {MIN_HEADER_BYTES} are needed")));
    }
    if config.server.max_connections == 0 {
        found.push(("server.max_connections".into(), "at least one connection is needed".to_owned()));
    }
    if !config.server.base_path.is_empty() && !page::is_plain_path(&config.server.base_path) {
        found.push((
            "server.base_path".into(),
            "write a path of letters, digits and -._~, such as /spanlake".to_owned(),
        ));
    }
    let is_source = |byte: u8| (b' '..=b'~').contains(&byte) && !b";,".contains(&byte);
    if config.server.frame_ancestors.is_empty() || !config.server.frame_ancestors.bytes().all(is_source) {
        found.push(("server.frame_ancestors".into(), "write 'self', 'none' or origins with spaces between".to_owned()));
    }
    found.extend(of_section("compactor", ages(&config.compactor, config.querier.query_timeout)));
    found.extend(of_section("ingester", config.ingester.problems()));
    found.extend(of_section("otlp", config.otlp.receiver(&config.tenancy).problems()));
    found
}

/// Ages at which the compactor deletes what a query, a commit or a writer could still need.
fn ages(compactor: &spanlake_compactor::Config, query_timeout: HumanDuration) -> Vec<String> {
    let spanlake_compactor::Config { l0_delete_grace, delete_grace, manifest_min_age, orphan_min_age, .. } = compactor;
    let mut problems = Vec::new();
    let queries = query_timeout.get().saturating_mul(2).saturating_add(MAX_SNAPSHOT);
    if l0_delete_grace.get() < queries {
        let seconds = queries.as_secs();
        problems.push(format!(
            "l0_delete_grace must be at least {seconds} s, twice `querier.query_timeout` and a minute: queries read what is deleted then"
        ));
    }
    if delete_grace < l0_delete_grace {
        problems.push("delete_grace must be at least `compactor.l0_delete_grace`".to_owned());
    }
    if manifest_min_age < delete_grace {
        problems.push("manifest_min_age must be at least `compactor.delete_grace`".to_owned());
    }
    if orphan_min_age.get() < MIN_ORPHAN_AGE {
        problems.push("orphan_min_age must be at least 1h: a merge may take as long until it is committed".to_owned());
    }
    problems
}

/// What a role says about its own section: sentences that begin with the name of the setting.
fn of_section(section: &str, problems: Vec<String>) -> impl Iterator<Item = (Cow<'static, str>, String)> {
    problems.into_iter().map(move |problem| {
        let name = problem.split(' ').next().unwrap_or_default();
        (format!("{section}.{name}").into(), problem)
    })
}

fn clash(a: &ListenAddress, b: &ListenAddress) -> bool {
    a.port != 0 && a == b
}

/// What is wrong with the storage URL, if anything. Only the store's own reader knows; it is asked by opening, except
/// where that would make a directory.
fn storage_url(config: &spanlake_storage::Config) -> Option<String> {
    let url = config.url.trim();
    let is_directory = match url.split_once("://") {
        Some((scheme, path)) => scheme == "file" && path.starts_with('/'),
        None => url.starts_with(['.', '/']) || (!url.contains(':') && !url.is_empty()),
    };
    if is_directory {
        return None;
    }
    Store::open(config).err().map(|error| error.message().to_owned())
}
