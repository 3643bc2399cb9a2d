//! Values of a flat column chunk as they are stored: dictionary entries stay entries, rows name them by number.
//!
//! Parquet's own readers make Arrow arrays, which copies every text and costs tens of microseconds a column before the first
//! value. Merging opens each column of each input many times, for some thousand rows each, and needs neither.

use std::ops::Range;

use bytes::Bytes;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result};

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

    fn push_plain(&mut self, page: Bytes, skip: usize, take: usize) -> Result<()> {
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

fn too_short() -> ParquetError {
    ParquetError::General("a page ends within its values".to_owned())
}

fn unexpected(what: impl std::fmt::Display) -> ParquetError {
    ParquetError::General(format!("a page is not as this format writes them: {what}"))
}

impl Shape {
    /// Reads some rows of a flat column chunk. Pages outside them are not decompressed.
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
        let mut column = Decoder { slots: is_nullable.then(Vec::new), is_nullable, values, dictionary_len: 0 };
        let mut first = 0;
        while first < rows.end {
            let Some(next) = pages.peek_next_page()? else { return Err(too_short()) };
            if next.is_dict {
                let page = pages.get_next_page()?.ok_or_else(too_short)?;
                column.dictionary(page)?;
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
                column.page(page, within.start - first..within.end - first)?;
            }
            first = end;
        }
        Ok(ColumnValues { slots: column.slots, values: column.values })
    }
}

struct Decoder {
    slots: Option<Vec<u32>>,
    is_nullable: bool,
    values: Values,
    dictionary_len: usize,
}

impl Decoder {
    fn dictionary(&mut self, page: Page) -> Result<()> {
        let Page::DictionaryPage { buf, num_values, .. } = page else { return Err(unexpected("no dictionary")) };
        if value_count(&self.values) > 0 || self.slots.as_ref().is_some_and(|slots| !slots.is_empty()) {
            return Err(unexpected("a dictionary behind values"));
        }
        self.slots.get_or_insert_default();
        self.dictionary_len = num_values as usize;
        plain(&mut self.values, buf, 0, num_values as usize)
    }

    /// Takes some rows of a data page.
    fn page(&mut self, page: Page, rows: Range<usize>) -> Result<()> {
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
            hybrid(&rest[4..end], 1, rows.end, &mut levels)?;
            if levels.iter().any(|level| *level > 1) {
                return Err(unexpected("a level above 1"));
            }
            rest = rest.slice(end..);
            let present = |levels: &[u32]| levels.iter().sum::<u32>() as usize;
            (skip, take) = (present(&levels[..rows.start]), present(&levels[rows.clone()]));
        }
        let base = value_count(&self.values) as u32;
        let mut codes: Vec<u32> = Vec::new();
        match encoding {
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                if skip + take > 0 {
                    let (bits, indexes) = rest.split_first().ok_or_else(too_short)?;
                    hybrid(indexes, *bits, skip + take, &mut codes)?;
                }
                if codes.iter().any(|code| *code as usize >= self.dictionary_len) {
                    return Err(unexpected("an index lies outside the dictionary"));
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
            slots.push(if is_coded { codes[skip + next] } else { base + next as u32 });
            next += 1;
        };
        if self.is_nullable {
            for level in &levels[rows] {
                if *level == 1 { place(slots) } else { slots.push(NULL) }
            }
        } else {
            (0..take).for_each(|_| place(slots));
        }
        Ok(())
    }
}

/// Appends values in the encoding PLAIN: `take` of them after the first `skip`.
fn plain(values: &mut Values, page: Bytes, skip: usize, take: usize) -> Result<()> {
    let cut = |width: usize| {
        let from = skip.checked_mul(width).ok_or_else(too_short)?;
        let to = take.checked_mul(width).and_then(|len| from.checked_add(len)).ok_or_else(too_short)?;
        page.get(from..to).ok_or_else(too_short)
    };
    match values {
        Values::Fixed(width, bytes) => bytes.extend_from_slice(cut(*width)?),
        Values::I32(values) => values.extend(words(cut(4)?).map(i32::from_le_bytes)),
        Values::I64(values) => values.extend(words(cut(8)?).map(i64::from_le_bytes)),
        Values::F64(values) => values.extend(words(cut(8)?).map(f64::from_le_bytes)),
        Values::Bool(values) => {
            let bits = page.get(..(skip + take).div_ceil(8)).ok_or_else(too_short)?;
            values.extend((skip..skip + take).map(|bit| bits[bit / 8] >> (bit % 8) & 1 == 1));
        }
        Values::Bytes(texts) => texts.push_plain(page, skip, take)?,
    }
    Ok(())
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.chunks_exact(N).map(|word| word.try_into().expect("chunks of this length"))
}

/// Appends 8-byte values in the encoding BYTE_STREAM_SPLIT, where the first bytes of all values come first.
fn byte_stream_split(values: &mut Values, page: &[u8], skip: usize, take: usize) -> Result<()> {
    let Values::I64(values) = values else { return Err(unexpected("a byte stream split column")) };
    let count = page.len() / 8;
    if skip + take > count {
        return Err(too_short());
    }
    let base = values.len();
    values.resize(base + take, 0);
    for (byte, stream) in page.chunks_exact(count.max(1)).take(8).enumerate() {
        for (value, part) in values[base..].iter_mut().zip(&stream[skip..skip + take]) {
            *value |= i64::from(*part) << (8 * byte);
        }
    }
    Ok(())
}

/// Appends the first `count` numbers of Parquet's hybrid of runs and bit-packed groups.
fn hybrid(bytes: &[u8], bits: u8, count: usize, out: &mut Vec<u32>) -> Result<()> {
    if bits > 32 {
        return Err(unexpected("numbers of more than 32 bits"));
    }
    let mut rest = bytes;
    let mut left = count;
    out.reserve(count);
    while left > 0 {
        let (header, behind) = varint(rest)?;
        rest = behind;
        let len = (header >> 1) as usize;
        if len == 0 {
            return Err(unexpected("an empty run"));
        }
        if header & 1 == 0 {
            let width = usize::from(bits.div_ceil(8));
            let word = rest.get(..width).ok_or_else(too_short)?;
            let value = word.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
            out.extend(std::iter::repeat_n(value, len.min(left)));
            left -= len.min(left);
            rest = &rest[width..];
        } else {
            let wanted = len.saturating_mul(8).min(left);
            let packed = rest.get(..(wanted * usize::from(bits)).div_ceil(8)).ok_or_else(too_short)?;
            unpack(packed, bits, wanted, out);
            left -= wanted;
            rest = rest.get(len.saturating_mul(usize::from(bits))..).unwrap_or_default();
        }
    }
    Ok(())
}

fn unpack(packed: &[u8], bits: u8, count: usize, out: &mut Vec<u32>) {
    let mask = (1_u64 << bits) - 1;
    let (mut window, mut held) = (0_u64, 0);
    let mut bytes = packed.iter();
    for _ in 0..count {
        while held < bits {
            window |= u64::from(bytes.next().copied().unwrap_or_default()) << held;
            held += 8;
        }
        out.push((window & mask) as u32);
        window >>= bits;
        held -= bits;
    }
}

fn varint(bytes: &[u8]) -> Result<(u64, &[u8])> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok((value, &bytes[i + 1..]));
        }
    }
    Err(too_short())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_packed_groups_are_read() {
        let check = |bytes: &[u8], bits, count, expect: &[u32]| {
            let mut out = Vec::new();
            hybrid(bytes, bits, count, &mut out).expect("it is sound");
            assert_eq!(out, expect, "{bytes:?}");
        };
        // The example of the specification: 0 to 7 in three bits.
        check(&[3, 0b1000_1000, 0b1100_0110, 0b1111_1010], 3, 8, &[0, 1, 2, 3, 4, 5, 6, 7]);
        check(&[3, 0b1000_1000, 0b1100_0110, 0b1111_1010, 4, 5], 3, 10, &[0, 1, 2, 3, 4, 5, 6, 7, 5, 5]);
        check(&[10, 1, 1], 9, 3, &[257, 257, 257]);
        check(&[7], 0, 4, &[0; 4]);
        for (wrong, bits) in [(&[][..], 1), (&[0][..], 1), (&[2][..], 1), (&[3, 1][..], 8), (&[2, 0][..], 33)] {
            assert!(hybrid(wrong, bits, 4, &mut Vec::new()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn split_bytes_are_joined() {
        let values = [1_i64, -2, i64::MAX, 0x0102_0304_0506_0708];
        let page: Vec<u8> = (0..8).flat_map(|byte| values.iter().map(move |value| value.to_le_bytes()[byte])).collect();
        let mut read = Values::I64(vec![7]);
        byte_stream_split(&mut read, &page, 1, 3).expect("it is sound");
        assert!(matches!(&read, Values::I64(read) if read[1..] == values[1..] && read[0] == 7));
        assert!(byte_stream_split(&mut read, &page, 2, 3).is_err());
    }
}
