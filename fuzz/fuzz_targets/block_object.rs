//! A block taken apart and put together again by what FORMAT.md says, with every checksum made right: whatever is done to
//! the parts in between, a reader gets past the checksums and meets it. Knows nothing of the block crate's inside.

use bytes::Bytes;
use parquet::file::metadata::{ParquetMetaDataOptions, ParquetMetaDataReader};
use spanlake_block::{BlockMeta, Written};

const DIRECTORY: u16 = 1;
const ENTRY_BYTES: usize = 16;

/// A section: its kind and its raw bytes.
#[derive(Clone)]
pub struct Section {
    pub kind: u16,
    pub raw: Vec<u8>,
}

/// The parts of a block. The directory is the first section of `tail`.
#[derive(Clone)]
pub struct Object {
    meta: BlockMeta,
    footer_options: ParquetMetaDataOptions,
    pub data: Vec<u8>,
    pub search: Vec<Section>,
    pub tail: Vec<Section>,
    pub footer: Vec<u8>,
}

impl Object {
    /// Takes a sound block apart.
    pub fn take_apart(written: &Written) -> Self {
        let (search_offset, tail_offset) = (written.meta.search_offset as usize, written.meta.tail_offset as usize);
        let tail = &written.bytes[tail_offset..];
        let footer_bytes = u32_at(tail, tail.len() - 8) as usize;
        let footer = &tail[tail.len() - 8 - footer_bytes..tail.len() - 8];
        let sound = ParquetMetaDataReader::decode_metadata(footer).expect("the block is sound");
        let schema = sound.file_metadata().schema_descr_ptr();
        let mut tail_sections = sections(tail);
        tail_sections.sort_by_key(|section| section.kind != DIRECTORY);
        Self {
            meta: written.meta.clone(),
            footer_options: ParquetMetaDataOptions::new().with_schema(schema),
            data: written.bytes[..search_offset].to_vec(),
            search: sections(&written.bytes[search_offset..tail_offset]),
            tail: tail_sections,
            footer: footer.to_vec(),
        }
    }

    /// Writes the checksums of search index and column chunks into the directory, which must still be a sound one.
    fn fix_directory(&mut self, search: &[u8]) {
        let chunks = chunk_ranges(&self.footer, &self.footer_options);
        let directory = &mut self.tail[0].raw;
        directory[..4].copy_from_slice(&crc32c::crc32c(search).to_le_bytes());
        let mut at = 4;
        let group_count = varint(directory, &mut at);
        for group in 0..group_count as usize {
            varint(directory, &mut at);
            at += 64;
            let strides = varint(directory, &mut at);
            at += 16 * strides as usize;
            for chunk in 0..varint(directory, &mut at) as usize {
                let range = chunks.get(group).and_then(|chunks| chunks.get(chunk)).copied();
                let bytes = range.and_then(|(start, end)| self.data.get(start..end)).unwrap_or(&[]);
                directory[at..at + 4].copy_from_slice(&crc32c::crc32c(bytes).to_le_bytes());
                at += 4;
            }
        }
    }

    /// The object and its facts. `last` may change the directory, then the head of the search index and that of the
    /// tail, after the checksums inside were made and before those over them.
    pub fn put_together(mut self, mut last: impl FnMut(usize, &mut Vec<u8>)) -> (BlockMeta, Bytes) {
        let mut search = join(b"SLSEARCH", &self.search);
        last(1, &mut search);
        self.fix_directory(&search);
        last(0, &mut self.tail[0].raw);
        let mut tail = join(b"SLTAIL01", &self.tail);
        last(2, &mut tail);
        tail.extend_from_slice(&self.footer);
        tail.extend_from_slice(&(self.footer.len() as u32).to_le_bytes());
        tail.extend_from_slice(b"PAR1");

        let search_offset = self.data.len() as u64;
        let tail_offset = search_offset + search.len() as u64;
        let object = [self.data, search, tail].concat();
        let tail_crc32c = crc32c::crc32c(&object[tail_offset as usize..]);
        let object_bytes = object.len() as u64;
        let meta = BlockMeta { object_bytes, search_offset, tail_offset, tail_crc32c, ..self.meta };
        (meta, Bytes::from(object))
    }
}

/// The bytes of each column chunk of each row group, as far as the footer makes sense.
fn chunk_ranges(footer: &[u8], options: &ParquetMetaDataOptions) -> Vec<Vec<(usize, usize)>> {
    let footer = ParquetMetaDataReader::decode_metadata_with_options(footer, Some(options));
    let Ok(footer) = footer else { return Vec::new() };
    let range = |start: i64, len: i64| {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        (start, start.saturating_add(usize::try_from(len).unwrap_or(usize::MAX)))
    };
    let groups = footer.row_groups().iter().map(|group| {
        let chunks = group.columns().iter().map(|chunk| {
            range(chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset()), chunk.compressed_size())
        });
        chunks.collect()
    });
    groups.collect()
}

fn sections(bytes: &[u8]) -> Vec<Section> {
    let section = |i: usize| {
        let entry = 12 + i * ENTRY_BYTES;
        let [offset, stored, raw] = [4, 8, 12].map(|at| u32_at(bytes, entry + at) as usize);
        let stored = &bytes[offset..offset + stored];
        let is_compressed = bytes[entry + 2] & 1 != 0;
        let raw = if is_compressed { zstd::bulk::decompress(stored, raw).expect("sound") } else { stored.to_vec() };
        Section { kind: u16::from_le_bytes([bytes[entry], bytes[entry + 1]]), raw }
    };
    (0..u32_at(bytes, 8) as usize).map(section).collect()
}

/// Sections behind their table, none compressed, so that a change of raw bytes is met as such.
fn join(magic: &[u8; 8], sections: &[Section]) -> Vec<u8> {
    let mut head = magic.to_vec();
    head.extend_from_slice(&(sections.len() as u32).to_le_bytes());
    let mut body = Vec::new();
    for Section { kind, raw } in sections {
        let offset = 12 + sections.len() * ENTRY_BYTES + body.len();
        head.extend_from_slice(&kind.to_le_bytes());
        head.extend_from_slice(&[0, 0]);
        for number in [offset, raw.len(), raw.len()] {
            head.extend_from_slice(&(number as u32).to_le_bytes());
        }
        body.extend_from_slice(raw);
    }
    head.extend(body);
    head
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes were cut"))
}

fn varint(bytes: &[u8], at: &mut usize) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}
