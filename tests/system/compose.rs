//! The container set-up, as far as files can be checked: every setting is one the binary accepts, names meet.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::process::binary;
use crate::{python, repository};

const ROLES: [&str; 3] = ["ingester", "querier", "compactor"];

#[test]
fn every_service_has_settings_the_binary_accepts() {
    let compose = yaml("docker-compose.yml");
    let mut checked = Vec::new();
    for (name, service) in compose["services"].as_object().expect("services") {
        if service["image"] != "spanlake" {
            continue;
        }
        let settings = environment(service);
        check(name, &settings, true);
        checked.push(name.as_str());
    }
    checked.sort_unstable();
    assert_eq!(checked, ["compactor", "ingester", "querier", "spanlake"]);
    let misspelt = BTreeMap::from([("SPANLAKE_STORAGE__URI".to_owned(), "s3://spanlake".to_owned())]);
    check("a misspelt setting", &misspelt, false);
}

#[test]
fn image_has_settings_the_binary_accepts() {
    let text = fs::read_to_string(repository().join("Dockerfile")).expect("a Dockerfile");
    let words = text.split_whitespace().filter_map(|word| word.split_once('='));
    let settings: BTreeMap<String, String> = words
        .filter(|(key, _)| key.starts_with("SPANLAKE_"))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(settings.len(), 5, "{settings:?}");
    check("Dockerfile", &settings, true);
    assert!(text.contains("\nUSER 10001:10001\n"), "the image runs as an unprivileged user");
}

#[test]
fn profiles_are_complete() {
    let compose = yaml("docker-compose.yml");
    let services = compose["services"].as_object().expect("services");
    let has = |service: &Value, key: &str, item: &str| {
        service[key].as_array().is_some_and(|items| items.iter().any(|found| found == item))
    };
    for role in ROLES {
        assert!(has(&services[role], "profiles", "roles"), "{role}");
        assert_eq!(environment(&services[role])["SPANLAKE_ROLES"], role);
    }
    assert!(has(&services["spanlake"], "profiles", "all-in-one"));
    for shared in ["minio", "minio-bucket", "collector", "grafana"] {
        assert!(has(&services[shared], "profiles", "roles") && has(&services[shared], "profiles", "all-in-one"));
    }
    // The names that the Collector and Grafana use are given by each profile exactly once.
    for (alias, providers) in [("ingest", ["spanlake", "ingester"]), ("query", ["spanlake", "querier"])] {
        let provide: Vec<&str> = services
            .iter()
            .filter(|(_, service)| has(&service["networks"]["default"], "aliases", alias))
            .map(|(name, _)| name.as_str())
            .collect();
        let mut providers = providers.to_vec();
        providers.sort_unstable();
        assert_eq!(provide, providers, "{alias}");
    }
    let collector = yaml("deploy/collector/config.yaml");
    assert_eq!(collector["exporters"]["otlp"]["endpoint"], "ingest:4317");
    let grafana = yaml("deploy/grafana/datasources/spanlake.yaml");
    assert_eq!(grafana["datasources"][0]["type"], "tempo");
    assert_eq!(grafana["datasources"][0]["url"], "http://query:3200");
}

/// The bucket that is created is the one that is used, with the same keys.
#[test]
fn bucket_and_keys_agree() {
    let compose = yaml("docker-compose.yml");
    let ours = environment(&compose["services"]["spanlake"]);
    let minio = environment(&compose["services"]["minio"]);
    let script = fs::read_to_string(repository().join("deploy/minio/create-bucket.sh")).expect("a script");
    let bucket = ours["SPANLAKE_STORAGE__URL"].strip_prefix("s3://").expect("a bucket");
    assert!(script.contains(&format!(" minio/{bucket}\n")), "{script}");
    let (user, password) = (&minio["MINIO_ROOT_USER"], &minio["MINIO_ROOT_PASSWORD"]);
    assert_eq!(&ours["SPANLAKE_STORAGE__S3__ACCESS_KEY_ID"], user);
    assert_eq!(&ours["SPANLAKE_STORAGE__S3__SECRET_ACCESS_KEY"], password);
    let client = environment(&compose["services"]["minio-bucket"]);
    assert_eq!(client["MC_HOST_minio"], format!("http://{user}:{password}@minio:9000"));
}

/// What is left out of the build context by default is let in again for every crate.
#[test]
fn build_context_holds_every_crate() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).expect("a file of the repository");
    let manifest: toml::Table = read("Cargo.toml").parse().expect("TOML");
    let ignored = read(".dockerignore");
    for member in manifest["workspace"]["members"].as_array().expect("members") {
        let line = format!("!{}", member.as_str().expect("a directory"));
        assert!(ignored.lines().any(|found| found == line), "{line} is missing in .dockerignore");
    }
    // Settings of the allocator.
    assert!(ignored.lines().any(|found| found == "!.cargo"), "!.cargo is missing in .dockerignore");
}

/// Every file that a service mounts is there.
#[test]
fn mounted_files_exist() {
    let compose = yaml("docker-compose.yml");
    for (name, service) in compose["services"].as_object().expect("services") {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().and_then(|text| text.split(':').next()).expect("source:target");
            if source.starts_with('.') {
                assert!(repository().join(source).exists(), "{name} mounts {source}");
            }
        }
    }
}

fn check(name: &str, settings: &BTreeMap<String, String>, accepted: bool) {
    let output = binary().args(["config", "check"]).envs(settings).output().expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stderr);
    let wanted = if accepted { 0 } else { 2 };
    assert_eq!(output.status.code(), Some(wanted), "{name} {settings:?}: {text}");
}

fn environment(service: &Value) -> BTreeMap<String, String> {
    let pairs = service["environment"].as_object().expect("an environment");
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned();
    pairs.iter().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// A YAML file of the repository as JSON, read by the reference parser.
fn yaml(path: &str) -> Value {
    let program = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let output = Command::new(python()).args(["-c", program, path]).current_dir(repository()).output().expect("python");
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}
