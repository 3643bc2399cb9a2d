//! Span data is plain Parquet: programs that know nothing of this project read it from the stored objects.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::clients::export_known_trace;
use crate::Backend;
use crate::process::Setup;
use crate::{python, repository};

#[test]
fn duckdb_and_pyarrow_read_spans_with_attributes() {
    let setup = Setup::new(Backend::Directory);
    let server = setup.start();
    // Enough that frequent attributes get columns of their own.
    let expected = export_known_trace(server.otlp_http, 300);
    server.stop();
    let blocks = blocks(&setup.data());
    assert_eq!(blocks.len(), 1, "one request is one block: {blocks:?}");
    let expected_file = setup.data().with_file_name("expected.json");
    std::fs::write(&expected_file, expected).expect("a scratch file");
    let output = Command::new(python())
        .arg(repository().join("tests/python/read_block.py"))
        .arg(&blocks[0])
        .arg(&expected_file)
        .arg(repository().join("FORMAT.md"))
        .output()
        .expect("python starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
}

/// Every Parquet file under `directory`.
fn blocks(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("the store's directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(blocks(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    found
}
