//! Values of a flat column chunk as they are stored: dictionary entries stay entries, rows name them by number.
//!
//! Parquet's own readers make Arrow arrays, which copies every text and costs tens of microseconds a column before the first
//! value. A lookup opens every column for a handful of rows, a merge each column of each input many times: neither needs that.

use std::ops::Range;

use bytes::Bytes;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageReader as _};
use parquet::errors::{ParquetError, Result};

use super::encodings::{byte_stream_split, hybrid, ones, plain};
use super::pages::Pages;
use super::{Fetched, Shape};

/// The slot of a row without a value.
pub(crate) const NULL: u32 = u32::MAX;

/// Some rows of a column chunk.
#[derive(Debug)]
pub(crate) struct ColumnValues {
    /// For each row the number of its value, or [`NULL`]. Absent: row *i* has value *i*.
    slots: Option<Vec<u32>>,
    pub(crate) values: Values,
}

/// Stored values, by physical type.
#[derive(Debug)]
pub(crate) enum Values {
    /// Ids of a fixed width.
    Fixed(usize, Vec<u8>),
    Bool(Vec<bool>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F64(Vec<f64>),
    Bytes(Texts),
}

/// Byte strings that lie in pages.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    pages: Vec<Bytes>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    page: u32,
    start: u32,
    len: u32,
}

impl Texts {
    pub(crate) fn get(&self, slot: usize) -> &[u8] {
        let Entry { page, start, len } = self.entries[slot];
        &self.pages[page as usize][start as usize..(start + len) as usize]
    }

    pub(super) fn push_plain(&mut self, page: Bytes, skip: usize, take: usize) -> Result<()> {
        let number = self.pages.len() as u32;
        let mut at = 0_usize;
        for i in 0..skip + take {
            let len = page.get(at..at + 4).ok_or_else(too_short)?;
            let len = u32::from_le_bytes(len.try_into().expect("four bytes were cut"));
            let start = at + 4;
            at = start.checked_add(len as usize).filter(|end| *end <= page.len()).ok_or_else(too_short)?;
            if i >= skip {
                self.entries.push(Entry { page: number, start: start as u32, len });
            }
        }
        self.pages.push(page);
        Ok(())
    }
}

impl ColumnValues {
    /// The number of a row's value.
    pub(crate) fn slot(&self, row: usize) -> Option<usize> {
        match &self.slots {
            None => Some(row),
            Some(slots) => Some(slots[row]).filter(|slot| *slot != NULL).map(|slot| slot as usize),
        }
    }

    /// Whether row *i* has value *i*.
    pub(crate) fn is_dense(&self) -> bool {
        self.slots.is_none()
    }

    /// Ids of this width, row by row; none if they have another or some row has none.
    pub(crate) fn ids<const N: usize>(&self) -> Option<&[[u8; N]]> {
        match &self.values {
            Values::Fixed(width, bytes) if *width == N && self.is_dense() => Some(bytes.as_chunks().0),
            _ => None,
        }
    }

    /// How many values there are to be named, of rows or of a dictionary.
    pub(crate) fn value_count(&self) -> usize {
        value_count(&self.values)
    }
}

fn value_count(values: &Values) -> usize {
    match values {
        Values::Fixed(width, bytes) => bytes.len() / width,
        Values::Bool(values) => values.len(),
        Values::I32(values) => values.len(),
        Values::I64(values) => values.len(),
        Values::F64(values) => values.len(),
        Values::Bytes(texts) => texts.entries.len(),
    }
}

pub(super) fn too_short() -> ParquetError {
    ParquetError::General("a page ends within its values".to_owned())
}

pub(super) fn unexpected(what: impl std::fmt::Display) -> ParquetError {
    ParquetError::General(format!("a page is not as this format writes them: {what}"))
}

impl Shape {
    /// Reads some rows of a flat column chunk. Pages outside them are not decompressed, nor is the dictionary if no row has a
    /// value of it.
    ///
    /// # Errors
    /// [`ParquetError`] if the chunk is not as our writer writes it.
    pub(crate) fn values(
        &self,
        row_group: usize,
        leaf: usize,
        fetched: &Fetched,
        rows: Range<usize>,
    ) -> Result<ColumnValues> {
        let described = self.parquet_schema().column(leaf);
        if described.max_rep_level() > 0 || described.max_def_level() > 1 {
            return Err(unexpected("the column is nested"));
        }
        let is_nullable = described.max_def_level() > 0;
        let values = match described.physical_type() {
            Type::FIXED_LEN_BYTE_ARRAY => Values::Fixed(described.type_length().max(1) as usize, Vec::new()),
            Type::BOOLEAN => Values::Bool(Vec::new()),
            Type::INT32 => Values::I32(Vec::new()),
            Type::INT64 => Values::I64(Vec::new()),
            Type::DOUBLE => Values::F64(Vec::new()),
            Type::BYTE_ARRAY => Values::Bytes(Texts::default()),
            other => return Err(unexpected(format!("a column of type {other}"))),
        };
        let mut pages = self.chunk_pages(row_group, leaf, fetched)?;
        let mut column =
            Decoder { slots: is_nullable.then(Vec::new), is_nullable, values, dictionary: Dictionary::None };
        let mut first = 0;
        while first < rows.end {
            let Some(next) = pages.peek_next_page()? else { return Err(too_short()) };
            if next.is_dict {
                column.dictionary(pages.next_packed()?.ok_or_else(too_short)?)?;
                continue;
            }
            let count = next.num_rows.or(next.num_levels).ok_or_else(|| unexpected("its rows are not counted"))?;
            let end =
                first.checked_add(count).filter(|_| count > 0).ok_or_else(|| unexpected("its rows are miscounted"))?;
            let within = rows.start.max(first)..rows.end.min(end);
            if within.start >= within.end {
                pages.skip_next_page()?;
            } else {
                let page = pages.get_next_page()?.ok_or_else(too_short)?;
                column.page(&pages, page, within.start - first..within.end - first)?;
            }
            first = end;
        }
        Ok(ColumnValues { slots: column.slots, values: column.values })
    }
}

/// The dictionary of a column chunk.
enum Dictionary {
    None,
    /// As it is stored: no value of it was asked for.
    Packed(Page),
    /// Its entries are so many values from the first one on.
    Unpacked {
        first: usize,
        len: usize,
    },
}

struct Decoder {
    slots: Option<Vec<u32>>,
    is_nullable: bool,
    values: Values,
    dictionary: Dictionary,
}

impl Decoder {
    fn dictionary(&mut self, packed: Page) -> Result<()> {
        let is_first = matches!(self.dictionary, Dictionary::None)
            && value_count(&self.values) == 0
            && self.slots.as_ref().is_none_or(Vec::is_empty);
        if !is_first {
            return Err(unexpected("a dictionary behind values"));
        }
        self.slots.get_or_insert_default();
        self.dictionary = Dictionary::Packed(packed);
        Ok(())
    }

    /// The number of the dictionary's first value and how many it has, after it was unpacked.
    fn unpack_dictionary(&mut self, pages: &Pages) -> Result<(usize, usize)> {
        match std::mem::replace(&mut self.dictionary, Dictionary::None) {
            Dictionary::None => return Err(unexpected("there is no dictionary")),
            Dictionary::Packed(packed) => {
                let Page::DictionaryPage { buf, num_values, .. } = pages.unpack(packed)? else {
                    return Err(unexpected("no dictionary"));
                };
                let (first, len) = (value_count(&self.values), num_values as usize);
                plain(&mut self.values, buf, 0, len)?;
                self.dictionary = Dictionary::Unpacked { first, len };
            }
            unpacked @ Dictionary::Unpacked { .. } => self.dictionary = unpacked,
        }
        match self.dictionary {
            Dictionary::Unpacked { first, len } => Ok((first, len)),
            _ => Err(unexpected("there is no dictionary")),
        }
    }

    /// Takes some rows of a data page.
    fn page(&mut self, pages: &Pages, page: Page, rows: Range<usize>) -> Result<()> {
        let Page::DataPage { buf, num_values, encoding, .. } = page else {
            return Err(unexpected("it is of another version"));
        };
        if rows.end > num_values as usize {
            return Err(too_short());
        }
        let mut rest = buf;
        let mut levels = Vec::new();
        let (mut skip, mut take) = (rows.start, rows.len());
        if self.is_nullable {
            let len = rest.get(..4).ok_or_else(too_short)?;
            let len = u32::from_le_bytes(len.try_into().expect("four bytes were cut")) as usize;
            let end = len.checked_add(4).filter(|end| *end <= rest.len()).ok_or_else(too_short)?;
            skip = ones(&rest[4..end], rows.start)?;
            hybrid(&rest[4..end], 1, rows.start, rows.len(), &mut levels)?;
            if levels.iter().any(|level| *level > 1) {
                return Err(unexpected("a level above 1"));
            }
            take = levels.iter().sum::<u32>() as usize;
            rest = rest.slice(end..);
        }
        let mut codes: Vec<u32> = Vec::new();
        let mut base = value_count(&self.values);
        match encoding {
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                if take > 0 {
                    let (first, len) = self.unpack_dictionary(pages)?;
                    let (bits, indexes) = rest.split_first().ok_or_else(too_short)?;
                    hybrid(indexes, *bits, skip, take, &mut codes)?;
                    if codes.iter().any(|code| *code as usize >= len) {
                        return Err(unexpected("an index lies outside the dictionary"));
                    }
                    base = first;
                }
            }
            Encoding::PLAIN => plain(&mut self.values, rest, skip, take)?,
            Encoding::BYTE_STREAM_SPLIT => byte_stream_split(&mut self.values, &rest, skip, take)?,
            other => return Err(unexpected(format!("encoding {other}"))),
        }
        let Some(slots) = &mut self.slots else { return Ok(()) };
        let is_coded = !codes.is_empty();
        let mut next = 0;
        let mut place = |slots: &mut Vec<u32>| {
            slots.push(base as u32 + if is_coded { codes[next] } else { next as u32 });
            next += 1;
        };
        if self.is_nullable {
            for level in levels {
                if level == 1 { place(slots) } else { slots.push(NULL) }
            }
        } else {
            (0..take).for_each(|_| place(slots));
        }
        Ok(())
    }
}
