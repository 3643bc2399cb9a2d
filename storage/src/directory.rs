//! Objects as files of a directory, with the promises of a bucket: created whole and once, durable when acknowledged.
//!
//! A create writes a file under `.spanlake/tmp/` in the same file system, syncs it, and gives it its name by a hard link,
//! which fails if the name exists; then it syncs the directory, and the parent of every directory it made. A crash leaves
//! at worst a temporary file, which the next open sweeps up after an hour.
//!
//! Any number of processes may share a directory: the hard link is atomic between them, nothing is ever overwritten, and a
//! sweep that comes too early makes a create fail, not succeed wrongly. So there is no lock. It needs a file system with
//! hard links, and one that tells upper from lower case if keys have upper-case letters: both are checked.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use spanlake_model::world;
use tokio::sync::Semaphore;

use crate::driver::{Backend, Driver, Page};
use crate::error::{Error, Kind, Operation};
use crate::key::RESERVED_SEGMENT;

mod sync;
mod walk;

use sync::{sync_directory, sync_file};

/// File operations running at once, each on a thread of the runtime's blocking pool.
const MAX_BLOCKING: usize = 64;

/// Temporary files older than this are left over from a crash: no create takes so long.
const STALE_AFTER: Duration = Duration::from_secs(3600);

/// Directories remembered as durable; past it the memory starts anew, which costs a sync each.
const MAX_KNOWN_DIRECTORIES: usize = 65_536;

#[derive(Debug)]
pub(crate) struct Directory {
    root: Arc<Root>,
    permits: Arc<Semaphore>,
}

#[derive(Debug)]
struct Root {
    path: PathBuf,
    temporary: PathBuf,
    tells_case: bool,
    /// Which directory was opened.
    identity: Identity,
    /// Directories whose own entries are known to be synced.
    durable: Mutex<HashSet<PathBuf>>,
    /// Distinguishes temporary files of processes with the same id (other hosts, containers).
    process_nonce: u64,
    next_temporary: AtomicU64,
}

impl Directory {
    /// Opens a directory, creating it if need be, and sweeps up after crashes.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let shown = path.display().to_string();
        let temporary = path.join(RESERVED_SEGMENT).join("tmp");
        make_durable_directories(&temporary)
            .map_err(|error| explain(Operation::Put, &shown, &error, "the directory cannot be made"))?;
        let tells_case = !path.join(RESERVED_SEGMENT).join("TMP").exists();
        sweep(&temporary);
        let identity = identity_of(path)
            .map_err(|error| explain(Operation::Get, &shown, &error, "the directory cannot be looked at"))?;
        let root = Root {
            path: path.to_owned(),
            temporary,
            tells_case,
            identity,
            durable: Mutex::default(),
            process_nonce: rand::random(),
            next_temporary: AtomicU64::new(0),
        };
        Ok(Self { root: Arc::new(root), permits: Arc::new(Semaphore::new(MAX_BLOCKING)) })
    }

    /// Runs file work where it may block. The permit goes along: work whose caller gave up still counts.
    async fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        key: &str,
        work: impl FnOnce(&Root, &str) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if world::is_simulated() {
            self.root.check_identity(operation, key)?;
            return work(&self.root, key);
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let root = Arc::clone(&self.root);
        let owned_key = key.to_owned();
        let job = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            root.check_identity(operation, &owned_key)?;
            work(&root, &owned_key)
        });
        job.await.unwrap_or_else(|error| {
            let message = format!("the file operation was cut short: {error}");
            Err(Error::new(Kind::Unavailable, operation, key, message).that_reading_back_cannot_settle())
        })
    }
}

#[async_trait]
impl Driver for Directory {
    fn backend(&self) -> Backend {
        Backend::Directory
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, Error> {
        let operation = if range.is_some() { Operation::GetRange } else { Operation::Get };
        self.run(operation, key, move |root, key| root.read(operation, key, range)).await
    }

    async fn get_many(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let ranges = ranges.to_vec();
        self.run(Operation::GetRange, key, move |root, key| root.read_many(key, &ranges)).await
    }

    async fn put_new(&self, key: &str, body: Bytes) -> Result<(), Error> {
        self.run(Operation::Put, key, move |root, key| root.create(key, &body)).await
    }

    async fn confirm(&self, key: &str) -> Result<(), Error> {
        self.run(Operation::Put, key, |root, key| root.confirm(key)).await
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        _next: Option<String>,
        limit: usize,
    ) -> Result<Page, Error> {
        let start_after = start_after.unwrap_or_default().to_owned();
        self.run(Operation::List, prefix, move |root, prefix| {
            let objects = walk::list(&root.path, prefix, &start_after, limit)
                .map_err(|error| explain(Operation::List, prefix, &error, "a directory cannot be read"))?;
            Ok(Page { objects, next: None })
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.run(Operation::Delete, key, |root, key| root.delete(key)).await
    }
}

impl Root {
    /// A directory that was removed, replaced or unmounted is not an empty store: reading it would deny what was
    /// acknowledged, and writing into what stands in its place would hide the write once the directory returns.
    fn check_identity(&self, operation: Operation, key: &str) -> Result<(), Error> {
        match identity_of(&self.path) {
            Ok(identity) if identity == self.identity => Ok(()),
            _ => {
                let message = "the store's directory is not the one that was opened: it was removed, replaced or \
                               unmounted; put it back, or restart to begin with what is there";
                Err(Error::new(Kind::Unavailable, operation, key, message))
            }
        }
    }

    fn path_of(&self, operation: Operation, key: &str) -> Result<PathBuf, Error> {
        if !self.tells_case && key.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let message = "this file system does not tell upper from lower case, so keys with upper-case letters are \
                           refused: use lower-case tenant names, another file system or a bucket";
            return Err(Error::new(Kind::Invalid, operation, key, message));
        }
        Ok(self.path.join(key))
    }

    fn read(&self, operation: Operation, key: &str, range: Option<Range<u64>>) -> Result<Bytes, Error> {
        let path = self.path_of(operation, key)?;
        let read = || {
            let mut file = File::open(path)?;
            let file_bytes = file.metadata()?.len();
            read_part(&mut file, file_bytes, &range.unwrap_or(0..file_bytes))
        };
        read().map_err(|error| explain_read(operation, key, &error))
    }

    fn read_many(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let path = self.path_of(Operation::GetRange, key)?;
        let read = || {
            let mut file = File::open(path)?;
            let file_bytes = file.metadata()?.len();
            ranges.iter().map(|range| read_part(&mut file, file_bytes, range)).collect::<std::io::Result<Vec<_>>>()
        };
        read().map_err(|error| explain_read(Operation::GetRange, key, &error))
    }

    fn create(&self, key: &str, body: &[u8]) -> Result<(), Error> {
        let path = self.path_of(Operation::Put, key)?;
        let parent = path.parent().expect("a key lies below the root");
        // Asked first because it is cheap: most conflicts are seen before anything is written.
        if path.symlink_metadata().is_ok() {
            return Err(taken(key));
        }
        let temporary = Temporary::write(self, key, body)?;
        self.make_parents(parent).map_err(|error| explain(Operation::Put, key, &error, "no directory for it"))?;
        let linked = match fs::hard_link(&temporary.path, &path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Someone removed a directory that this process had made: make it anew.
                self.known().clear();
                self.make_parents(parent)
                    .map_err(|error| explain(Operation::Put, key, &error, "no directory for it"))?;
                fs::hard_link(&temporary.path, &path)
            }
            outcome => outcome,
        };
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(taken(key)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(explain(Operation::Put, key, &error, "its temporary file was removed"));
            }
            Err(error) => {
                return Err(explain(Operation::Put, key, &error, "it cannot be given its name by a hard link"));
            }
        }
        drop(temporary);
        sync_directory(parent).map_err(|error| {
            explain(Operation::Put, key, &error, "its directory cannot be synced").that_reading_back_cannot_settle()
        })
    }

    /// Syncs an object that an earlier attempt, or another process that may have crashed since, has named.
    fn confirm(&self, key: &str) -> Result<(), Error> {
        let path = self.path_of(Operation::Put, key)?;
        let parent = path.parent().expect("a key lies below the root");
        let confirm = || {
            sync_file(&File::open(&path)?)?;
            self.make_parents(parent)?;
            sync_directory(parent)
        };
        confirm().map_err(|error| {
            explain(Operation::Put, key, &error, "it cannot be synced").that_reading_back_cannot_settle()
        })
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        let path = self.path_of(Operation::Delete, key)?;
        let delete = || {
            match fs::remove_file(&path) {
                // An earlier attempt may have removed it and failed to sync the directory.
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => sync_directory(path.parent().expect("a key lies below the root")),
            }
        };
        match delete() {
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(explain(Operation::Delete, key, &error, "it cannot be removed").that_may_have_happened())
            }
            _ => Ok(()),
        }
    }

    /// Makes the directories down to `directory` and syncs the parent of each that is not known to be durable.
    fn make_parents(&self, directory: &Path) -> std::io::Result<()> {
        if directory == self.path || self.known().contains(directory) {
            return Ok(());
        }
        let parent = directory.parent().expect("a key lies below the root");
        self.make_parents(parent)?;
        match fs::create_dir(directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => sync_directory(parent)?,
        }
        let mut known = self.known();
        if known.len() >= MAX_KNOWN_DIRECTORIES {
            known.clear();
        }
        known.insert(directory.to_owned());
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A synced file without a name of its own yet; removed when dropped.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn write(root: &Root, key: &str, body: &[u8]) -> Result<Self, Error> {
        let number = root.next_temporary.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:x}-{:016x}-{number:x}", std::process::id(), root.process_nonce);
        let temporary = Self { path: root.temporary.join(name) };
        let write = || {
            let mut file = match File::create_new(&temporary.path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    fs::create_dir_all(&root.temporary)?;
                    File::create_new(&temporary.path)?
                }
                outcome => outcome?,
            };
            file.write_all(body)?;
            sync_file(&file)
        };
        // A failed sync is no reason to sync again, as the kernel may have dropped the pages: another attempt writes a new
        // file.
        write().map_err(|error| explain(Operation::Put, key, &error, "it cannot be written"))?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // The sweep at the next open takes what stays behind.
        let _ = fs::remove_file(&self.path);
    }
}

fn taken(key: &str) -> Error {
    Error::new(Kind::AlreadyExists, Operation::Put, key, "the key is taken")
}

fn read_part(file: &mut File, file_bytes: u64, range: &Range<u64>) -> std::io::Result<Bytes> {
    let start = range.start.min(file_bytes);
    let part_bytes = range.end.min(file_bytes) - start;
    let mut part = Vec::with_capacity(usize::try_from(part_bytes).map_err(|_| ErrorKind::OutOfMemory)?);
    file.seek(SeekFrom::Start(start))?;
    file.take(part_bytes).read_to_end(&mut part)?;
    Ok(Bytes::from(part))
}

/// Makes a directory and every parent it lacks, each synced into its own parent.
fn make_durable_directories(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_durable_directories(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !path.is_dir() => Err(error),
        _ => sync_directory(parent),
    }
}

/// Device and inode of a directory; nothing where a file system has no such numbers.
type Identity = Option<(u64, u64)>;

fn identity_of(directory: &Path) -> std::io::Result<Identity> {
    let metadata = fs::metadata(directory)?;
    if !metadata.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    #[cfg(unix)]
    let identity = {
        use std::os::unix::fs::MetadataExt as _;
        Some((metadata.dev(), metadata.ino()))
    };
    #[cfg(not(unix))]
    let identity = None;
    Ok(identity)
}

/// Removes temporary files that crashes left behind. What cannot be removed is left for the next time.
fn sweep(temporary: &Path) {
    let Ok(entries) = fs::read_dir(temporary) else { return };
    let now = SystemTime::now();
    let mut removed_count = 0u32;
    for entry in entries.flatten() {
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let stale = written.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > STALE_AFTER));
        if stale && fs::remove_file(entry.path()).is_ok() {
            removed_count += 1;
        }
    }
    if removed_count > 0 {
        tracing::info!(removed_count, "removed temporary files that an earlier crash left behind");
    }
}

fn explain_read(operation: Operation, key: &str, error: &std::io::Error) -> Error {
    match error.kind() {
        // Directories are not objects, and nothing lies below an object.
        ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory => {
            Error::new(Kind::NotFound, operation, key, "there is no such object")
        }
        _ => explain(operation, key, error, "it cannot be read"),
    }
}

fn explain(operation: Operation, key: &str, error: &std::io::Error, what: &str) -> Error {
    let kind = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Kind::Full,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Kind::Denied,
        ErrorKind::IsADirectory
        | ErrorKind::NotADirectory
        | ErrorKind::InvalidFilename
        | ErrorKind::InvalidInput
        | ErrorKind::Unsupported
        | ErrorKind::CrossesDevices => Kind::Invalid,
        _ => Kind::Unavailable,
    };
    Error::new(kind, operation, key, format!("{what}: {error}"))
}

#[cfg(test)]
mod tests;
