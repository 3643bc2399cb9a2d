//! Pages on a local disk: one file of slots of one size.
//!
//! | bytes of a slot | what |
//! |---|---|
//! | 4 | `SLC1` |
//! | 4 | CRC-32C of all that follows of the slot, as far as it is used |
//! | 16 | the page's name |
//! | 4 | how many bytes the page has |
//! | rest | the page |
//!
//! Numbers are little-endian. A slot is written in one call and never synced: after a crash it is whole or its checksum is
//! wrong. Which slot holds what is remembered in memory and read back from the slots when the file is opened. It knows names and
//! bytes, not objects.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

const MAGIC: &[u8; 4] = b"SLC1";
/// What a slot has before its page.
const HEAD_BYTES: usize = 28;
/// Name of the file in its directory.
const FILE_NAME: &str = "pages";

/// The name of a page: a hash of what it is a page of.
pub(crate) type Name = u128;

/// The file and what is in it.
#[derive(Debug)]
pub(crate) struct Slots {
    file: File,
    page_bytes: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    by_name: HashMap<Name, u32>,
    slots: Vec<Slot>,
    max_slots: usize,
    /// Where the clock hand stands.
    hand: usize,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    name: Option<Name>,
    /// Since the hand came by last.
    asked_for: bool,
}

/// What became of a look for a page.
pub(crate) enum Found {
    Page(Bytes),
    Absent,
    /// It was there, but not as it was written, or it could not be read.
    Damaged,
}

impl Slots {
    /// Opens the file of a directory, which is made when it is not there, and notes what it holds. Reads the head of each slot.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn open(directory: &Path, max_bytes: u64, page_bytes: usize) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(FILE_NAME);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => io::Error::other("another process uses it"),
            std::fs::TryLockError::Error(error) => error,
        })?;
        let slot_bytes = (page_bytes + HEAD_BYTES) as u64;
        let max_slots = usize::try_from((max_bytes / slot_bytes).min(u64::from(u32::MAX))).unwrap_or(usize::MAX);
        if file.metadata()?.len() > max_slots as u64 * slot_bytes {
            file.set_len(max_slots as u64 * slot_bytes)?;
        }
        // The last page may be shorter than a slot.
        let count = usize::try_from(file.metadata()?.len().div_ceil(slot_bytes)).unwrap_or(usize::MAX);
        let mut held = Held { max_slots, ..Held::default() };
        let mut head = [0; HEAD_BYTES];
        for slot in 0..count {
            let head = file.read_exact_at(&mut head, slot as u64 * slot_bytes).ok().and_then(|()| Head::read(&head));
            let name = head.filter(|head| head.page_bytes <= page_bytes).map(|head| head.name);
            let name = name.filter(|name| !held.by_name.contains_key(name));
            held.by_name.extend(name.map(|name| (name, slot as u32)));
            held.slots.push(Slot { name, asked_for: false });
        }
        Ok(Self { file, page_bytes, held: Mutex::new(held) })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offset(&self, slot: u32) -> u64 {
        u64::from(slot) * (self.page_bytes + HEAD_BYTES) as u64
    }

    /// Bytes of the slots in use.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held().by_name.len() as u64 * (self.page_bytes + HEAD_BYTES) as u64
    }

    /// Whether a page is there.
    pub(crate) fn has(&self, name: Name) -> bool {
        self.held().by_name.contains_key(&name)
    }

    /// Reads a page. Blocks.
    pub(crate) fn read(&self, name: Name) -> Found {
        let slot = {
            let mut held = self.held();
            let Some(slot) = held.by_name.get(&name).copied() else { return Found::Absent };
            held.slots[slot as usize].asked_for = true;
            slot
        };
        // Another page may be written over it meanwhile: then its name or its checksum is another.
        match self.page(slot, name) {
            Some(page) => Found::Page(page),
            None => {
                self.remove(name);
                Found::Damaged
            }
        }
    }

    fn page(&self, slot: u32, name: Name) -> Option<Bytes> {
        let mut head = [0; HEAD_BYTES];
        self.file.read_exact_at(&mut head, self.offset(slot)).ok()?;
        let found = Head::read(&head).filter(|head| head.name == name && head.page_bytes <= self.page_bytes)?;
        let mut page = vec![0; found.page_bytes];
        self.file.read_exact_at(&mut page, self.offset(slot) + HEAD_BYTES as u64).ok()?;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[8..]), &page);
        (crc == found.crc32c).then(|| Bytes::from(page))
    }

    /// Forgets a page.
    pub(crate) fn remove(&self, name: Name) {
        let mut held = self.held();
        if let Some(slot) = held.by_name.remove(&name) {
            let at = &mut held.slots[slot as usize];
            at.name = at.name.filter(|other| *other != name);
        }
    }

    /// Writes a page, over the one that was not asked for for longest when there is no room. Blocks.
    ///
    /// # Errors
    /// Those of the file system; the page is not there then.
    pub(crate) fn write(&self, name: Name, page: &[u8]) -> io::Result<()> {
        if page.len() > self.page_bytes {
            return Err(io::Error::other("the page is larger than a slot"));
        }
        let Some(slot) = self.held().room() else { return Ok(()) };
        let mut bytes = Vec::with_capacity(HEAD_BYTES + page.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&name.to_le_bytes());
        bytes.extend_from_slice(&(page.len() as u32).to_le_bytes());
        bytes.extend_from_slice(page);
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        self.file.write_all_at(&bytes, self.offset(slot))?;
        let mut held = self.held();
        // Written twice at the same time, the page stays where it was first.
        if *held.by_name.entry(name).or_insert(slot) == slot {
            held.slots[slot as usize] = Slot { name: Some(name), asked_for: false };
        }
        Ok(())
    }
}

impl Held {
    /// A slot that nobody finds a page in any more.
    fn room(&mut self) -> Option<u32> {
        if self.slots.len() < self.max_slots {
            self.slots.push(Slot { name: None, asked_for: false });
            return Some(self.slots.len() as u32 - 1);
        }
        // Two rounds: the first may find all asked for.
        for _ in 0..2 * self.slots.len() {
            let at = self.hand;
            self.hand = (at + 1) % self.slots.len();
            let slot = &mut self.slots[at];
            if !std::mem::take(&mut slot.asked_for) {
                if let Some(name) = slot.name.take() {
                    self.by_name.remove(&name);
                }
                return Some(at as u32);
            }
        }
        None
    }
}

struct Head {
    crc32c: u32,
    name: Name,
    page_bytes: usize,
}

impl Head {
    fn read(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let (name, rest) = rest.split_first_chunk::<16>()?;
        let (page_bytes, _) = rest.split_first_chunk::<4>()?;
        (magic == MAGIC).then(|| Self {
            crc32c: u32::from_le_bytes(*crc),
            name: Name::from_le_bytes(*name),
            page_bytes: u32::from_le_bytes(*page_bytes) as usize,
        })
    }
}

#[cfg(test)]
mod tests;
