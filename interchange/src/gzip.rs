//! Unpacks gzip under a bound. It does not care what is inside.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::Error;

/// Most bytes that a packed file may unpack to unless the caller says otherwise: four times the largest body that is
/// taken over HTTP, and small enough to be read in memory.
pub const DEFAULT_MAX_INFLATED_BYTES: usize = 256 << 20;

/// The content of a gzip file, or nothing when the bytes are not gzip. Members behind each other are one file.
pub(crate) fn inflate(bytes: &[u8], max_bytes: usize) -> Result<Option<Vec<u8>>, Error> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(None);
    }
    let mut inflated = Vec::new();
    let bound = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    let read = MultiGzDecoder::new(bytes).take(bound).read_to_end(&mut inflated);
    if inflated.len() > max_bytes {
        return Err(Error::TooLarge { max_bytes });
    }
    match read {
        Ok(_) => Ok(Some(inflated)),
        Err(error) => Err(Error::Gzip { inflated_bytes: inflated.len(), what: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    }

    #[test]
    fn members_bounds_and_damage() {
        assert_eq!(inflate(b"plain", 100), Ok(None));
        let two = [packed(b"one "), packed(b"two")].concat();
        assert_eq!(inflate(&two, 7), Ok(Some(b"one two".to_vec())));
        assert_eq!(inflate(&two, 6), Err(Error::TooLarge { max_bytes: 6 }));
        let bomb = packed(&vec![0; 10 << 20]);
        assert!(bomb.len() < 100_000, "{}", bomb.len());
        assert_eq!(inflate(&bomb, 1 << 20), Err(Error::TooLarge { max_bytes: 1 << 20 }));
        let one = packed(b"some content");
        let cut = inflate(&one[..one.len() - 9], 100).expect_err("it is cut");
        assert!(cut.to_string().starts_with("the gzip stream breaks after "), "{cut}");
    }
}
