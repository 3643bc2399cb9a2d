//! Whole configurations: what comes out is ours, and says of everything else why it is not there.

use std::path::Path;

use super::*;
use crate::config::{layers, load, schema};

/// The text, after a look whether our own reader takes it.
fn migrated(text: &str) -> String {
    let text = migrate(From::Tempo, "tempo.yaml", text).expect("YAML");
    let known = schema::settings::<crate::config::Config>();
    let (settings, problems) =
        layers::from_file(Path::new("spanlake.toml"), &text, |key| known.iter().any(|known| known == key));
    load::apply(settings, problems, &known).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    text
}

fn check(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|one| one == *line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn a_single_process_with_a_directory() {
    let text = migrated(include_str!("files/local.yaml"));
    check(
        &text,
        &[
            "[storage]",
            "url = \"/var/tempo/blocks\"  # line 23",
            "[server]",
            "http_listen = \"0.0.0.0:3200\"  # line 4",
            "[otlp]",
            "grpc_listen = \"0.0.0.0:4317\"  # line 13",
            "http_listen = \"0.0.0.0:4318\"  # line 15",
            "[compactor]",
            "retention = \"1d\"  # line 19",
            "[log]",
            "level = \"info\"  # line 5",
            "# line 1: stream_over_http_enabled: streams of searches are always answered",
        ],
    );
    assert!(
        text.contains(
            "# line 10: distributor.receivers.jaeger.protocols.thrift_http and the like: Spanlake receives OTLP only"
        ),
        "{text}"
    );
    assert!(text.contains("metrics_generator") && text.contains("there is no write-ahead log"), "{text}");
}

#[test]
fn a_cluster_over_s3() {
    let text = migrated(include_str!("files/s3.yaml"));
    check(
        &text,
        &[
            "roles = [\"querier\"]  # line 2",
            "enabled = true  # line 3",
            "http_listen = \"0.0.0.0:3100\"  # line 7",
            "grpc_listen = \"[::]:9095\"  # line 9",
            "format = \"json\"  # line 10",
            "url = \"s3://traces/tempo\"  # line 33",
            "endpoint = \"http://minio.minio.svc:9000\"  # line 37",
            "region = \"eu-central-1\"  # line 38",
            "allow_http = true  # line 41",
            "virtual_hosted_style = false  # line 42",
            "retention = \"14d\"  # line 60",
            "max_trace_bytes = \"5000000B\"  # line 58",
            "query_timeout = \"45s\"  # line 52",
            "allowed_origins = [\"https://shop.example.com\"]  # line 20",
            "# line 39: access_key (from S3_ACCESS_KEY): set AWS_ACCESS_KEY_ID in the environment",
            "# line 40: secret_key: set AWS_SECRET_ACCESS_KEY in the environment",
        ],
    );
    assert!(!text.contains("hunter2"), "secrets are not printed:\n{text}");
    for section in ["memberlist", "query_frontend", "per_tenant_override_config", "cache", "usage_report"] {
        let count = text.lines().filter(|line| line.starts_with("# line ") && line.contains(section)).count();
        assert!((1..=2).contains(&count), "{section} is told {count} times:\n{text}");
    }
}

#[test]
fn a_legacy_one_over_gcs() {
    let text = migrated(include_str!("files/gcs.yaml"));
    check(
        &text,
        &[
            "url = \"gs://acme-traces\"  # line 4",
            "retention = \"2d\"  # line 16",
            "# line 14: overrides.ingestion_rate_limit_bytes: spans are bounded by memory (ingester.max_in_flight_bytes), shared fairly between tenants, not by rates",
            "# line 18: something_of_our_own.key: it is not known here",
        ],
    );
    assert!(text.contains("# line 9: compactor.compaction.compaction_window: "), "{text}");
}

#[test]
fn what_cannot_be_used_is_not_copied() {
    let text = migrated(
        "x-base: &base\n  http_listen_port: 3100\n\
         server:\n  <<: *base\n  log_level: ${LOG_LEVEL}\n  grpc_listen_port: many\n\
         target: *base\n\
         distributor:\n  receivers:\n    otlp:\n      protocols:\n        grpc:\n          endpoint: \":4317\"\n        \
         http:\n          endpoint: ${HOST}:4318\n          cors:\n            allowed_origins: [\"${ORIGIN}\", \"https://a.example\"]\n\
         storage:\n  trace:\n    backend: s3\n    s3:\n      bucket: ${BUCKET}\n      \
         endpoint: https://joe:hunter2@minio:9000/x\n      region: *base\n",
    );
    check(
        &text,
        &[
            "grpc_listen = \"0.0.0.0:4317\"  # line 13",
            "endpoint = \"https://minio:9000/x\"  # line 23",
            "allowed_origins = [\"https://a.example\"]  # line 17",
            "# line 5: server.log_level: its value is one of the environment, which is not looked into: set it by hand",
            "# line 7: target: its value is elsewhere in the file, which is not followed: set it by hand",
            "# line 4: server.<<: what is merged in from elsewhere is not followed: write it out, or set it by hand",
        ],
    );
    assert!(!text.contains("hunter2") && !text.contains("joe"), "secrets are not printed:\n{text}");
    let settings: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(settings.iter().all(|line| !line.contains("${") && !line.contains("many")), "{text}");
    for name in ["storage.trace.s3.bucket: its value", "storage.trace.s3.region: its value", "http.endpoint: its value"]
    {
        assert!(text.contains(name), "{name} is not in\n{text}");
    }
}

#[test]
fn what_is_no_configuration() {
    assert!(migrate(From::Tempo, "x", "a: [").is_err());
    assert!(migrated("").starts_with("# Made from tempo.yaml"));
    assert!(migrated("just a text").contains("# line 1: this is no Tempo configuration"));
}
