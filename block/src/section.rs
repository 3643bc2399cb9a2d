//! Sections: named byte strings behind a small table, and the little-endian primitives inside them.
//!
//! The search index and the head of the tail are each a sequence of sections. An unknown section is skipped, so that
//! a later minor addition does not need a new format version.

use crate::Damage;

/// What a section holds. The numbers are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Kind {
    /// Tail: counts, row groups, checksums.
    Directory = 1,
    /// Tail: filter over trace ids.
    TraceFilter = 2,
    /// Tail: the distinct resources.
    Resources = 3,
    /// Tail: the distinct scopes.
    Scopes = 4,
    /// Tail: the attribute columns, in column order.
    AttributeColumns = 5,
    /// Search index: a filter over attribute values for each row group.
    ValueFilters = 16,
    /// Search index: a summary for each trace.
    Summaries = 17,
    /// Search index: every attribute key with its counts, and the row groups whose residual column holds it.
    Keys = 18,
    /// Search index: which resources occur in each row group.
    ResourceSets = 19,
    /// Search index, optional: attribute keys and names of events and links.
    ItemKeys = 20,
    /// Search index, optional: how long operations took.
    Baselines = 21,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Directory,
        Self::TraceFilter,
        Self::Resources,
        Self::Scopes,
        Self::AttributeColumns,
        Self::ValueFilters,
        Self::Summaries,
        Self::Keys,
        Self::ResourceSets,
        Self::ItemKeys,
        Self::Baselines,
    ];

    /// The section's name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::TraceFilter => "trace filter",
            Self::Resources => "resources",
            Self::Scopes => "scopes",
            Self::AttributeColumns => "attribute columns",
            Self::ValueFilters => "value filters",
            Self::Summaries => "trace summaries",
            Self::Keys => "keys",
            Self::ResourceSets => "resource sets",
            Self::ItemKeys => "item keys",
            Self::Baselines => "baselines",
        }
    }
}

const ENTRY_BYTES: usize = 2 + 2 + 4 + 4 + 4;
const COMPRESSED: u16 = 1;
const ZSTD_LEVEL: i32 = 3;
/// No section of a sound block inflates past this.
const MAX_SECTION_BYTES: usize = 1 << 30;
/// Zstandard's densest block is four bytes that stand for 128 KiB (RFC 8878, section 3.1.1.2).
const MAX_INFLATION: usize = 128 << 8;

/// Whether a zstd frame of so many bytes can inflate to so many: a damaged number must not ask for all memory.
pub(crate) fn can_inflate_to(stored_bytes: usize, raw_bytes: usize) -> bool {
    raw_bytes <= stored_bytes.saturating_mul(MAX_INFLATION)
}

/// Writes sections: `magic`, u32 count, a table entry each (kind, flags, offset, stored bytes, raw bytes), then the bytes.
/// Adds the name and stored size of each to `report`.
pub(crate) fn write_sections(
    magic: &[u8; 8],
    sections: &[(Kind, Vec<u8>)],
    report: &mut Vec<(&'static str, u64)>,
) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::from(*magic);
    head.extend_from_slice(&(sections.len() as u32).to_le_bytes());
    let mut body = Vec::new();
    let body_offset = head.len() + sections.len() * ENTRY_BYTES;
    for (kind, raw) in sections {
        if raw.len() > MAX_SECTION_BYTES {
            return Err(std::io::Error::other(format!("section {} is above 1 GiB", kind.name())));
        }
        let compressed = zstd::bulk::compress(raw, ZSTD_LEVEL)?;
        let (flags, stored) =
            if compressed.len() < raw.len() { (COMPRESSED, compressed.as_slice()) } else { (0, raw.as_slice()) };
        head.extend_from_slice(&(*kind as u16).to_le_bytes());
        head.extend_from_slice(&flags.to_le_bytes());
        for number in [body_offset + body.len(), stored.len(), raw.len()] {
            let number = u32::try_from(number).map_err(|_| std::io::Error::other("a block index is above 4 GiB"))?;
            head.extend_from_slice(&number.to_le_bytes());
        }
        report.push((kind.name(), stored.len() as u64));
        body.extend_from_slice(stored);
    }
    head.extend_from_slice(&body);
    Ok(head)
}

/// Sections as read: raw bytes on demand.
pub(crate) struct Sections<'a> {
    bytes: &'a [u8],
    table: &'a [u8],
    part: &'static str,
}

impl<'a> Sections<'a> {
    /// Opens what [`write_sections`] wrote at the start of `bytes`.
    pub(crate) fn open(part: &'static str, magic: &[u8; 8], bytes: &'a [u8]) -> Result<Self, Damage> {
        let damage = |problem: &str| Damage::new(part, problem);
        let rest = bytes.strip_prefix(magic).ok_or_else(|| damage("its magic is not there"))?;
        let (count, rest) = rest.split_first_chunk::<4>().ok_or_else(|| damage("it ends in its head"))?;
        let table_bytes = u32::from_le_bytes(*count) as usize * ENTRY_BYTES;
        let table = rest.get(..table_bytes).ok_or_else(|| damage("it ends in its table of sections"))?;
        Ok(Self { bytes, table, part })
    }

    /// The name and stored size of each section, in the order in which they lie; a kind that is not known is `other`.
    pub(crate) fn stored_bytes(&self) -> Vec<(&'static str, u64)> {
        let describe = |entry: &[u8]| {
            let kind = Kind::ALL.into_iter().find(|kind| entry[..2] == (*kind as u16).to_le_bytes());
            let stored = u32::from_le_bytes([entry[8], entry[9], entry[10], entry[11]]);
            (kind.map_or("other", Kind::name), u64::from(stored))
        };
        self.table.chunks_exact(ENTRY_BYTES).map(describe).collect()
    }

    /// Where the last section ends, counted from the magic.
    pub(crate) fn end(&self) -> u64 {
        let end = |entry: &[u8]| {
            let number = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
            u64::from(number(4)) + u64::from(number(8))
        };
        self.table.chunks_exact(ENTRY_BYTES).map(end).max().unwrap_or(0)
    }

    /// The raw bytes of a section that must be there.
    pub(crate) fn get(&self, kind: Kind) -> Result<Vec<u8>, Damage> {
        self.find(kind)?.ok_or_else(|| Damage::new(self.part, format!("section {kind:?} is missing")))
    }

    /// The raw bytes of a section that may be absent.
    pub(crate) fn find(&self, kind: Kind) -> Result<Option<Vec<u8>>, Damage> {
        let damage = |problem: String| Damage::new(self.part, problem);
        let is_it = |entry: &&[u8]| entry[..2] == (kind as u16).to_le_bytes();
        let Some(entry) = self.table.chunks_exact(ENTRY_BYTES).find(is_it) else { return Ok(None) };
        let number = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]) as usize;
        let (offset, stored_bytes, raw_bytes) = (number(4), number(8), number(12));
        let stored = offset
            .checked_add(stored_bytes)
            .and_then(|end| self.bytes.get(offset..end))
            .ok_or_else(|| damage(format!("section {kind:?} lies outside")))?;
        if entry[2] & COMPRESSED as u8 == 0 {
            return Ok(Some(stored.to_vec()));
        }
        if raw_bytes > MAX_SECTION_BYTES || !can_inflate_to(stored_bytes, raw_bytes) {
            return Err(damage(format!("section {kind:?} claims {raw_bytes} bytes")));
        }
        let raw = zstd::bulk::decompress(stored, raw_bytes).map_err(|error| damage(format!("{kind:?}: {error}")))?;
        if raw.len() != raw_bytes {
            return Err(damage(format!("section {kind:?} has {} bytes, {raw_bytes} were written", raw.len())));
        }
        Ok(Some(raw))
    }
}

/// Appends primitives, little-endian; counts and small numbers as LEB128 varints.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.raw(bytes);
    }

    /// A count, then each number as its distance from the one before.
    pub(crate) fn ascending(&mut self, numbers: impl ExactSizeIterator<Item = u64>) {
        self.varint(numbers.len() as u64);
        let mut last = 0;
        for number in numbers {
            self.varint(number - last);
            last = number;
        }
    }
}

/// Reads what [`Writer`] wrote.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    part: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(part: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, part }
    }

    fn damage(&self, problem: &str) -> Damage {
        Damage::new(self.part, problem)
    }

    pub(crate) fn raw(&mut self, len: usize) -> Result<&'a [u8], Damage> {
        if len > self.rest.len() {
            return Err(self.damage("it ends too early"));
        }
        let (bytes, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        self.raw(N).map(|bytes| bytes.try_into().expect("raw(N) gives N bytes"))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Damage> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Damage> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Damage> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.damage("a varint does not end"))
    }

    pub(crate) fn varint_u32(&mut self) -> Result<u32, Damage> {
        let value = self.varint()?;
        u32::try_from(value).map_err(|_| self.damage("a number is above 2^32"))
    }

    /// A count of things that take at least `min_bytes` each, so that a damaged one cannot ask for all memory.
    pub(crate) fn count(&mut self, min_bytes: usize) -> Result<usize, Damage> {
        let value = self.varint()?;
        self.bounded(value, min_bytes)
    }

    /// A count plus one, or zero for nothing.
    pub(crate) fn optional_count(&mut self, min_bytes: usize) -> Result<Option<usize>, Damage> {
        match self.varint()?.checked_sub(1) {
            None => Ok(None),
            Some(value) => self.bounded(value, min_bytes).map(Some),
        }
    }

    fn bounded(&self, count: u64, min_bytes: usize) -> Result<usize, Damage> {
        let most = self.rest.len() / min_bytes.max(1);
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= most)
            .ok_or_else(|| self.damage("a count is larger than what follows it"))
    }

    /// Numbers that [`Writer::ascending`] wrote, each below 2^32.
    pub(crate) fn ascending(&mut self) -> Result<Vec<u32>, Damage> {
        let mut last = 0_u32;
        (0..self.count(1)?)
            .map(|_| {
                let number = last.checked_add(self.varint_u32()?);
                last = number.ok_or_else(|| self.damage("a number is out of range"))?;
                Ok(last)
            })
            .collect()
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Damage> {
        let len = self.count(1)?;
        self.raw(len)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Damage> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.damage("a text is not UTF-8"))
    }
}
