//! The files of the page: those that were built in, or those of a directory while one works on the page.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use twox_hash::XxHash3_64;

use super::File;

/// Every file of `ui/dist` by its name there, as `build.rs` lists them.
const BUILT_IN: &[(&str, &[u8])] = &include!(concat!(env!("OUT_DIR"), "/page_files.rs"));
/// Below this, compression gains nothing.
const LEAST_ZIPPED_BYTES: usize = 1_024;
/// A file of a directory that is larger is none of the page's.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The files, and the version that stands in their addresses.
pub(super) struct Files {
    built_in: BTreeMap<&'static str, BuiltIn>,
    directory: Option<PathBuf>,
    version: String,
}

struct BuiltIn {
    bytes: &'static [u8],
    /// Made at the first request for it; nothing if it would not be smaller.
    zipped: OnceLock<Option<Bytes>>,
}

impl Files {
    /// The files of a directory, or the built-in ones for an empty path.
    pub(super) fn new(directory: &Path) -> Self {
        if !directory.as_os_str().is_empty() {
            let directory = Some(directory.to_owned());
            return Self { built_in: BTreeMap::new(), directory, version: "dev".to_owned() };
        }
        let built_in =
            BUILT_IN.iter().map(|(name, bytes)| (*name, BuiltIn { bytes, zipped: OnceLock::new() })).collect();
        Self { built_in, directory: None, version: version() }
    }

    /// What stands in the addresses of files: another one for other files.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Whether files stay as they are while the process runs.
    pub(super) fn is_built_in(&self) -> bool {
        self.directory.is_none()
    }

    /// A file by its name below `dist`, or nothing.
    pub(super) async fn read(&self, name: &str) -> Option<File> {
        match &self.directory {
            Some(directory) => from_disk(directory, name).await,
            None => self.built_in.get(name).map(|file| File {
                bytes: Bytes::from_static(file.bytes),
                zipped: file.zipped.get_or_init(|| zip(name, file.bytes)).clone(),
            }),
        }
    }
}

/// Names have no part that leads out of the directory: they come from addresses.
async fn from_disk(directory: &Path, name: &str) -> Option<File> {
    let is_plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0', ':']);
    if !name.split('/').all(is_plain) {
        return None;
    }
    let path = directory.join(name);
    let about = tokio::fs::metadata(&path).await.ok()?;
    if !about.is_file() || about.len() > MAX_FILE_BYTES {
        return None;
    }
    let bytes = tokio::fs::read(&path).await.ok()?;
    Some(File { bytes: Bytes::from(bytes), zipped: None })
}

/// A name for all built-in files together.
fn version() -> String {
    let all = BUILT_IN.iter().fold(0, |hash, (name, bytes)| {
        XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot_with_seed(hash, name.as_bytes()), bytes)
    });
    format!("{all:016x}")
}

fn zip(name: &str, bytes: &[u8]) -> Option<Bytes> {
    if bytes.len() < LEAST_ZIPPED_BYTES || name == "index.html" {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::best());
    encoder.write_all(bytes).ok()?;
    let zipped = encoder.finish().ok()?;
    (zipped.len() < bytes.len()).then(|| Bytes::from(zipped))
}
