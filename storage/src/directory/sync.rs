//! Making files and directories durable: the only place that syncs, so that a test can watch what a power cut would leave.

use std::fs::File;
use std::path::Path;

use spanlake_model::world::{self, Rule};

/// Makes a file's bytes durable; its name is its directory's business.
pub(super) fn sync_file(file: &File) -> std::io::Result<()> {
    if world::is_broken(Rule::SyncBeforeAck) {
        return Ok(());
    }
    file.sync_all()?;
    #[cfg(test)]
    witness::saw_file(file);
    Ok(())
}

/// Makes the names in a directory durable.
#[cfg(unix)]
pub(super) fn sync_directory(path: &Path) -> std::io::Result<()> {
    if world::is_broken(Rule::SyncBeforeAck) {
        return Ok(());
    }
    File::open(path)?.sync_all()?;
    #[cfg(test)]
    witness::saw_directory(path);
    Ok(())
}

/// Elsewhere directories cannot be opened for syncing; the file system's journal is what there is.
#[cfg(not(unix))]
pub(super) fn sync_directory(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
pub(super) mod witness {
    //! What this thread has synced, and what would be left of a directory if the power went now: the strictest file system,
    //! which keeps nothing that it was not told to keep.

    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt as _;
    use std::path::{Path, PathBuf};

    #[derive(Default)]
    struct Synced {
        files: BTreeSet<u64>,
        /// The names each directory had when it was synced last.
        directories: BTreeMap<PathBuf, Vec<PathBuf>>,
    }

    thread_local! {
        static SYNCED: RefCell<Synced> = RefCell::default();
    }

    pub(super) fn saw_file(file: &File) {
        let inode = file.metadata().expect("an open file has metadata").ino();
        SYNCED.with_borrow_mut(|synced| synced.files.insert(inode));
    }

    pub(super) fn saw_directory(path: &Path) {
        let entries = fs::read_dir(path).expect("it was just synced");
        let paths = entries.map(|entry| entry.expect("an entry").path()).collect();
        SYNCED.with_borrow_mut(|synced| synced.directories.insert(path.to_owned(), paths));
    }

    /// Copies what would be left of `root` into the empty directory `into`. A name that is durable and whose bytes are not
    /// is an empty file.
    pub(in super::super) fn after_a_power_cut(root: &Path, into: &Path) {
        SYNCED.with_borrow(|synced| {
            let mut pending = vec![root.to_owned()];
            while let Some(directory) = pending.pop() {
                for path in synced.directories.get(&directory).into_iter().flatten() {
                    let Ok(metadata) = fs::metadata(path) else { continue };
                    let copy = into.join(path.strip_prefix(root).expect("it lies below the root"));
                    if metadata.is_dir() {
                        fs::create_dir_all(&copy).expect("a directory");
                        pending.push(path.clone());
                    } else if synced.files.contains(&metadata.ino()) {
                        fs::copy(path, &copy).expect("a copy");
                    } else {
                        fs::write(&copy, b"").expect("an empty file");
                    }
                }
            }
        });
    }
}
