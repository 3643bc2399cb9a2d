//! Encodings of Parquet that our writer uses: values in a page to values in memory.
//!
//! They know bytes and counts, not columns.

use bytes::Bytes;
use parquet::errors::Result;

use super::values::{Values, too_short, unexpected};

/// Appends values in the encoding PLAIN: `take` of them after the first `skip`.
pub(super) fn plain(values: &mut Values, page: Bytes, skip: usize, take: usize) -> Result<()> {
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
pub(super) fn byte_stream_split(values: &mut Values, page: &[u8], skip: usize, take: usize) -> Result<()> {
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

/// A run of Parquet's hybrid of repeated values and bit-packed groups.
enum Run<'a> {
    Repeated(u32),
    /// Packed values, as many as are wanted of it.
    Packed(&'a [u8]),
}

/// Cuts the next run off, of which no more than `wanted` values are looked at: the run and how many of these it has.
fn next_run<'a>(rest: &mut &'a [u8], bits: u8, wanted: usize) -> Result<(Run<'a>, usize)> {
    if bits > 32 {
        return Err(unexpected("numbers of more than 32 bits"));
    }
    let (header, behind) = varint(rest)?;
    let len = (header >> 1) as usize;
    if len == 0 {
        return Err(unexpected("an empty run"));
    }
    if header & 1 == 0 {
        let (word, behind) = behind.split_at_checked(usize::from(bits.div_ceil(8))).ok_or_else(too_short)?;
        *rest = behind;
        let value = word.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
        Ok((Run::Repeated(value), len.min(wanted)))
    } else {
        let count = len.saturating_mul(8).min(wanted);
        let packed = behind.get(..(count * usize::from(bits)).div_ceil(8)).ok_or_else(too_short)?;
        *rest = behind.get(len.saturating_mul(usize::from(bits))..).unwrap_or_default();
        Ok((Run::Packed(packed), count))
    }
}

/// Appends numbers of Parquet's hybrid of runs and bit-packed groups: `take` of them after the first `skip`, which cost a step a
/// run.
pub(super) fn hybrid(bytes: &[u8], bits: u8, skip: usize, take: usize, out: &mut Vec<u32>) -> Result<()> {
    let mut rest = bytes;
    let (mut skip, mut left) = (skip, take);
    out.reserve(take);
    while left > 0 {
        let (run, count) = next_run(&mut rest, bits, skip + left)?;
        let passed = skip.min(count);
        let taken = count - passed;
        match run {
            Run::Repeated(value) => out.extend(std::iter::repeat_n(value, taken)),
            Run::Packed(packed) => unpack(packed, bits, passed, taken, out),
        }
        skip -= passed;
        left -= taken;
    }
    Ok(())
}

/// How many of the first `count` levels of one bit are 1.
pub(super) fn ones(bytes: &[u8], count: usize) -> Result<usize> {
    let mut rest = bytes;
    let (mut left, mut found) = (count, 0);
    while left > 0 {
        let (run, count) = next_run(&mut rest, 1, left)?;
        found += match run {
            Run::Repeated(0) => 0,
            Run::Repeated(1) => count,
            Run::Repeated(_) => return Err(unexpected("a level above 1")),
            Run::Packed(packed) => {
                let (whole, tail) = packed.split_at(count / 8);
                let whole: usize = whole.iter().map(|byte| byte.count_ones() as usize).sum();
                let tail = tail.first().map_or(0, |byte| (byte & ((1 << (count % 8)) - 1)).count_ones());
                whole + tail as usize
            }
        };
        left -= count;
    }
    Ok(found)
}

/// Appends packed numbers: `take` of them after the first `skip`.
fn unpack(packed: &[u8], bits: u8, skip: usize, take: usize, out: &mut Vec<u32>) {
    let mask = (1_u64 << bits) - 1;
    let first_bit = skip * usize::from(bits);
    let mut bytes = packed.get(first_bit / 8..).unwrap_or_default().iter();
    let (mut window, mut held) = (0_u64, 0);
    let passed_bits = (first_bit % 8) as u8;
    if passed_bits > 0 {
        window = u64::from(bytes.next().copied().unwrap_or_default()) >> passed_bits;
        held = 8 - passed_bits;
    }
    for _ in 0..take {
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
            hybrid(bytes, bits, 0, count, &mut out).expect("it is sound");
            assert_eq!(out, expect, "{bytes:?}");
            for skip in 0..count {
                let mut out = Vec::new();
                hybrid(bytes, bits, skip, count - skip, &mut out).expect("it is sound");
                assert_eq!(out, expect[skip..], "{bytes:?} from {skip} on");
                if bits == 1 {
                    let sum: u32 = expect[..skip].iter().sum();
                    assert_eq!(ones(bytes, skip).expect("it is sound"), sum as usize, "{bytes:?} up to {skip}");
                }
            }
        };
        // The example of the specification: 0 to 7 in three bits.
        check(&[3, 0b1000_1000, 0b1100_0110, 0b1111_1010], 3, 8, &[0, 1, 2, 3, 4, 5, 6, 7]);
        check(&[3, 0b1000_1000, 0b1100_0110, 0b1111_1010, 4, 5], 3, 10, &[0, 1, 2, 3, 4, 5, 6, 7, 5, 5]);
        check(&[10, 1, 1], 9, 3, &[257, 257, 257]);
        check(&[7], 0, 4, &[0; 4]);
        check(&[5, 0b1010_0110, 0b0000_0001, 6, 1], 1, 19, &[0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
        for (wrong, bits) in [(&[][..], 1), (&[0][..], 1), (&[2][..], 1), (&[3, 1][..], 8), (&[2, 0][..], 33)] {
            assert!(hybrid(wrong, bits, 0, 4, &mut Vec::new()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn levels_above_one_are_refused() {
        assert!(ones(&[6, 2], 3).is_err());
        assert!(ones(&[6, 1], 4).is_err(), "it ends before");
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
