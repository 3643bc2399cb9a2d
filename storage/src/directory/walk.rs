//! Listing a directory as a bucket is listed: keys in byte order, files below a prefix, nothing else.

use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::SystemTime;

use crate::driver::Object;
use crate::key::{self, RESERVED_SEGMENT};

/// The first `limit` objects below `prefix` whose keys are greater than `start_after`, sorted. Files that vanish meanwhile
/// are left out, and so are names that are no keys.
pub(super) fn list(root: &Path, prefix: &str, start_after: &str, limit: usize) -> io::Result<Vec<Object>> {
    let mut found = Vec::new();
    walk(&root.join(prefix), prefix, start_after, limit, &mut found)?;
    Ok(found)
}

fn walk(directory: &Path, prefix: &str, start_after: &str, limit: usize, found: &mut Vec<Object>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        outcome => outcome?,
    };
    let mut named: Vec<(String, DirEntry)> = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(mut name) = entry.file_name().into_string() else { continue };
        if prefix.is_empty() && name == RESERVED_SEGMENT {
            continue;
        }
        // A directory's keys sort as its name with a slash does: "a-b" comes before "a/b".
        if is_directory(&entry) {
            name.push('/');
        }
        named.push((name, entry));
    }
    named.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    for (name, entry) in named {
        if found.len() >= limit {
            break;
        }
        let key = format!("{prefix}{name}");
        if key.ends_with('/') {
            // All its keys begin with `key`: they lie behind, or the wanted ones begin inside.
            if key.as_str() > start_after || start_after.starts_with(&key) {
                walk(&entry.path(), &key, start_after, limit, found)?;
            }
        } else if key.as_str() > start_after
            && key::problem(&key).is_none()
            && let Some(object) = describe(&entry, key)?
        {
            found.push(object);
        }
    }
    Ok(())
}

fn is_directory(entry: &DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir()),
        Ok(kind) => kind.is_dir(),
        Err(_) => false,
    }
}

fn describe(entry: &DirEntry, key: String) -> io::Result<Option<Object>> {
    // Relative to the opened directory: looking the whole path up again is most of what listing thousands of files costs.
    let metadata = match entry.file_type() {
        Ok(kind) if kind.is_file() => entry.metadata(),
        _ => fs::metadata(entry.path()),
    };
    match metadata {
        Ok(metadata) if metadata.is_file() => Ok(Some(Object {
            key,
            object_bytes: metadata.len(),
            last_modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        })),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
