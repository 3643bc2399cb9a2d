//! The house rules that a program can check: how files open, what crates are called, and who may depend on whom.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

use crate::repository;

/// Parts of the product that meet only in object storage.
const ROLES: [&str; 3] = ["spanlake-ingester", "spanlake-querier", "spanlake-compactor"];
/// Names that say nothing about what is inside.
const VAGUE_NAMES: [&str; 6] = ["common", "core", "helpers", "types", "util", "utils"];
/// Each crate, and the crates of this workspace that it may know. The binary and the benchmarks may know all.
const KNOWS: [(&str, &[&str]); 14] = [
    ("spanlake-model", &[]),
    ("spanlake-analysis", &["spanlake-model"]),
    ("spanlake-demo", &[]),
    ("spanlake-otlp", &["spanlake-model"]),
    ("spanlake-interchange", &["spanlake-model", "spanlake-otlp"]),
    ("spanlake-storage", &["spanlake-model"]),
    ("spanlake-cache", &["spanlake-model", "spanlake-storage"]),
    ("spanlake-block", &["spanlake-model", "spanlake-otlp"]),
    ("spanlake-catalog", &["spanlake-model", "spanlake-otlp", "spanlake-block", "spanlake-storage", "spanlake-cache"]),
    ("spanlake-table", &["spanlake-model", "spanlake-block", "spanlake-catalog", "spanlake-storage"]),
    ("spanlake-traceql", &[]),
    ("spanlake-ingester", SHARED),
    ("spanlake-querier", &QUERIER),
    ("spanlake-compactor", SHARED),
];
const SHARED: &[&str] = &["spanlake-model", "spanlake-otlp", "spanlake-block", "spanlake-storage", "spanlake-catalog"];
const QUERIER: [&str; 10] = [
    "spanlake-interchange",
    "spanlake-analysis",
    "spanlake-cache",
    "spanlake-model",
    "spanlake-otlp",
    "spanlake-block",
    "spanlake-storage",
    "spanlake-catalog",
    "spanlake-table",
    "spanlake-traceql",
];

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in sources() {
        assert!(text.starts_with("//! "), "{} does not open with a //! line", path.display());
    }
}

#[test]
fn nothing_is_left_open() {
    // Put together here, so that this file is not found by its own search.
    let marks = ["TO", "FIX", "XX"].into_iter().zip(["DO", "ME", "X"]).map(|(a, b)| format!("{a}{b}"));
    let mut marks: Vec<String> = marks.collect();
    marks.extend(["todo", "unimplemented"].map(|name| format!("{name}!(")));
    marks.push(format!("#[{}", "ignore"));
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            let found = marks.iter().find(|mark| line.contains(mark.as_str()));
            assert!(found.is_none(), "{}:{}: {line}", path.display(), number + 1);
        }
    }
}

#[test]
fn names_say_what_is_inside() {
    for (path, _) in sources() {
        let vague = path.components().any(|part| {
            let name = part.as_os_str().to_string_lossy();
            VAGUE_NAMES.contains(&name.trim_end_matches(".rs"))
        });
        assert!(!vague, "{} has a name that fits anything", path.display());
    }
}

#[test]
fn dependencies_point_one_way() {
    let crates = manifests();
    for (name, allowed) in KNOWS {
        let known = crates.get(name).unwrap_or_else(|| panic!("{name} is not in the workspace"));
        for dependency in known {
            assert!(allowed.contains(&dependency.as_str()), "{name} depends on {dependency}");
            assert!(!ROLES.contains(&dependency.as_str()), "{name} depends on the role {dependency}");
        }
    }
    let listed: Vec<&str> = KNOWS.iter().map(|(name, _)| *name).chain(["spanlake", "spanlake-bench"]).collect();
    for name in crates.keys() {
        assert!(listed.contains(&name.as_str()), "say in this test what {name} may depend on");
    }
}

/// The workspace crates, each with the workspace crates it depends on outside tests.
fn manifests() -> BTreeMap<String, Vec<String>> {
    let read = |path: &Path| -> Table {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let root = read(&repository().join("Cargo.toml"));
    let members = root["workspace"]["members"].as_array().expect("a list of members");
    let directories = members.iter().map(|member| repository().join(member.as_str().expect("a directory")));
    let mut crates = BTreeMap::new();
    for directory in directories.chain([repository().to_owned()]) {
        let manifest = read(&directory.join("Cargo.toml"));
        let name = manifest["package"]["name"].as_str().expect("a package name").to_owned();
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
        let ours = dependencies.into_iter().flat_map(Table::keys).filter(|key| key.starts_with("spanlake-"));
        crates.insert(name, ours.cloned().collect());
    }
    crates
}

/// Every Rust file of the repository, with its path from the root.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut pending = vec![repository().to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the repository") {
            let path = entry.expect("a directory entry").path();
            let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str()) {
                    pending.push(path);
                }
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).expect("a source file is text");
                let path = path.strip_prefix(repository()).expect("it lies in the repository").to_owned();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 50, "found only {} source files", found.len());
    found
}
