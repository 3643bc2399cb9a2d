//! Lists the files of the built page, `ui/dist`, for `src/page/files.rs` to include. It builds nothing: a build of the
//! server needs no Node.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=ui/dist");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let dist = root.join("ui/dist");
    assert!(
        dist.join("index.html").is_file(),
        "ui/dist/index.html is missing: it is part of the repository; `npm ci && npm run build` in ui makes it anew"
    );
    let mut files = files(&dist, "");
    files.sort();
    let mut list = String::from("[\n");
    for name in &files {
        // Not the path of this checkout: a build directory may be shared by several, and cargo does not run this again for another.
        let path = format!("/ui/dist/{name}");
        writeln!(list, "    ({name:?}, include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))),")
            .expect("text can be written to");
    }
    list.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("page_files.rs"), list).expect("the build directory can be written");
}

fn files(directory: &Path, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("ui/dist can be read") {
        let entry = entry.expect("ui/dist can be read");
        let name = entry.file_name().into_string().expect("names in ui/dist are UTF-8");
        let kind = entry.file_type().expect("ui/dist can be read");
        // The page has two levels: index.html, and what it loads.
        if kind.is_dir() && prefix.is_empty() {
            found.extend(files(&entry.path(), &format!("{name}/")));
        } else if kind.is_file() {
            found.push(format!("{prefix}{name}"));
        }
    }
    found
}
