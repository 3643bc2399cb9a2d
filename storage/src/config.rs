//! The settings of the store, each with its unit, default and reason.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use spanlake_model::HumanDuration;

/// Settings of the object store: section `storage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where objects lie: a path or `file:///dir`, `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`
    /// or `memory://`. Default `./spanlake-data`: works on a laptop with nothing set up.
    pub url: String,
    /// How to reach S3 or a server that speaks its protocol.
    pub s3: S3Config,
    /// Longest time one request may take, besides one second for every MiB it moves. Default 5s:
    /// several times the slowest answers S3 gives when healthy, and short enough for a second try.
    pub request_timeout: HumanDuration,
    /// Longest time to open a connection. Default 3s: a lost packet costs one second, so this
    /// survives two.
    pub connect_timeout: HumanDuration,
    /// How failed requests are repeated.
    pub retry: RetryConfig,
    /// Whether a read from a bucket that has no answer within what 19 of 20 recent reads of its size took is sent a second
    /// time; the first answer counts. At most one read in twenty. Default true: it cuts the tail of queries for 5 % more GETs.
    pub hedge: bool,
    /// Most requests in flight at once, per process; further ones wait. Default 128: enough to fill a 10 Gbit/s network
    /// at S3's 50 MB/s per connection, few enough for its connections and file descriptors.
    pub max_concurrent_requests: usize,
    /// Most objects one listing returns; past it the listing is an error. Default 1,000,000: about 250 MB of memory.
    pub max_list_objects: usize,
    /// Faults to inject, for tests of a running program: `seed=7; put 5% slowdown; * latency=20ms~2s`. Refused unless the
    /// environment has `SPANLAKE_ALLOW_FAULTS=1`. Default empty: none, at no cost.
    pub faults: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "./spanlake-data".to_owned(),
            s3: S3Config::default(),
            request_timeout: HumanDuration(Duration::from_secs(5)),
            connect_timeout: HumanDuration(Duration::from_secs(3)),
            retry: RetryConfig::default(),
            hedge: true,
            max_concurrent_requests: 128,
            max_list_objects: 1_000_000,
            faults: String::new(),
        }
    }
}

/// Settings of S3: section `storage.s3`. An empty text means: take the usual `AWS_*` variable, or the service's default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Config {
    /// URL of the server, for instance `http://127.0.0.1:9000`. Default empty: AWS's own for the region.
    pub endpoint: String,
    /// Region. Default empty: `AWS_REGION` or `AWS_DEFAULT_REGION`, else `us-east-1`.
    pub region: String,
    /// Access key. Default empty: `AWS_ACCESS_KEY_ID`, else the instance's or container's role.
    pub access_key_id: String,
    /// Secret key. Default empty: `AWS_SECRET_ACCESS_KEY`, else the instance's or container's role.
    pub secret_access_key: Secret,
    /// Whether `http://` endpoints are allowed. Default false: keys and data would cross the network in clear.
    pub allow_http: bool,
    /// Whether the bucket is part of the host name instead of the path. Default false: works on every server and on AWS.
    pub virtual_hosted_style: bool,
}

/// Settings of retries: section `storage.retry`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// Most attempts of one operation, the first included. Default 6.
    pub max_attempts: u32,
    /// Longest time for one operation with all its attempts, besides one second for every MiB it moves.
    /// Default 20s: longer than the exporters of OpenTelemetry wait (10 s), so that a slow store still finishes.
    pub deadline: HumanDuration,
    /// Upper end of the first random pause; it doubles with every attempt. Default 100ms.
    pub initial_backoff: HumanDuration,
    /// Upper end of any pause. Default 3s.
    pub max_backoff: HumanDuration,
    /// Retries allowed for every hundred first attempts, beyond a reserve of 100, so that an outage is not answered with a
    /// multiple of the load. Creates of unknown outcome may overdraw it by another 100. Default 10.
    pub budget_percent: u32,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_attempts: 6,
            deadline: HumanDuration(Duration::from_secs(20)),
            initial_backoff: HumanDuration(Duration::from_millis(100)),
            max_backoff: HumanDuration(Duration::from_secs(3)),
            budget_percent: 10,
        }
    }
}

/// A text that never appears in logs, errors or printed settings: shown as `***`, or empty when it is.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for handing to the client that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn shown(&self) -> &'static str {
        if self.0.is_empty() { "" } else { "***" }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_shown() {
        let config = Config {
            s3: S3Config { secret_access_key: Secret::new("canary"), ..S3Config::default() },
            ..Config::default()
        };
        let shown = format!("{config:?} {:#?} {}", config, config.s3.secret_access_key);
        assert!(!shown.contains("canary") && shown.contains("***"), "{shown}");
        assert_eq!(config.s3.secret_access_key.expose(), "canary");
        assert_eq!(Secret::default().to_string(), "");
    }

    #[test]
    fn settings_are_checked_without_opening_anything() {
        let problem = |url: &str| Config { url: url.to_owned(), ..Config::default() }.problem();
        assert_eq!(problem("./not/made/by/this"), None);
        assert!(!std::path::Path::new("./not").exists());
        assert!(problem("s4://bucket").is_some_and(|problem| problem.contains("s3://")));
        let faults = |text: &str| Config { faults: text.to_owned(), ..Config::default() }.problem();
        assert!(faults("put 5% flop").is_some_and(|problem| problem.contains("\"flop\"")));
        assert!(faults("put 5% slowdown").is_some_and(|problem| problem.contains("SPANLAKE_ALLOW_FAULTS")));
        let clear = S3Config { endpoint: "http://127.0.0.1:1".to_owned(), ..S3Config::default() };
        let config = Config { url: "s3://bucket".to_owned(), s3: clear, ..Config::default() };
        assert!(config.problem().is_some_and(|problem| problem.contains("allow_http")));
    }

    #[test]
    fn settings_round_trip_and_unknown_ones_are_refused() {
        let text = serde_json::to_string(&Config::default()).expect("JSON");
        assert_eq!(serde_json::from_str::<Config>(&text).expect("the same"), Config::default());
        let given = r#"{"url":"memory://","request_timeout":"250ms","retry":{"max_attempts":2}}"#;
        let config: Config = serde_json::from_str(given).expect("good settings");
        assert_eq!((config.request_timeout.0, config.retry.max_attempts), (Duration::from_millis(250), 2));
        assert!(serde_json::from_str::<Config>(r#"{"s3":{"endpont":"x"}}"#).is_err());
    }
}
