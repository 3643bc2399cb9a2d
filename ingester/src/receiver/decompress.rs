//! Decompression that stops at a bound and is charged for before its output is kept.

use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use zstd::stream::read::Decoder as ZstdDecoder;
use zstd::zstd_safe;

use crate::error::PushError;
use crate::ingester::{Admission, INLINE_BYTES, Shared};

/// Output below this is never called a bomb.
const BOMB_FLOOR_BYTES: usize = 8 << 20;

/// Above the floor, output may be so many times the input. Spans carry 24 bytes of random ids each, so that honest
/// requests stay far below.
const MAX_RATIO: usize = 200;

/// Largest zstd window, as a power of two: 8 MiB, which RFC 8878 (section 3.1.1.1.2) names as the size every decoder
/// should support, and compressors exceed at their extreme levels only. The window is memory outside the budget.
const MAX_ZSTD_WINDOW_LOG: u32 = 23;

/// What deflate reaches at most (RFC 1951): 258 bytes for two bits or so.
const MAX_DEFLATE_RATIO: u64 = 1_032;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Identity,
    Gzip,
    Zstd,
    /// zlib (RFC 1950), which is what HTTP calls deflate.
    Deflate,
}

impl Compression {
    /// The value of `Accept-Encoding` and, with `identity`, of `grpc-accept-encoding`.
    pub const SUPPORTED: &str = "gzip, zstd, deflate";

    /// From the name in `Content-Encoding` or `grpc-encoding`.
    pub fn parse(name: &[u8]) -> Result<Self, PushError> {
        match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Ok(Self::Identity),
            b"gzip" | b"x-gzip" => Ok(Self::Gzip),
            b"zstd" => Ok(Self::Zstd),
            b"deflate" | b"zlib" => Ok(Self::Deflate),
            _ => Err(PushError::ContentEncoding { found: String::from_utf8_lossy(name).into_owned() }),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }
}

/// The decompressed body. The charge covers input and output while both exist, then the output alone.
pub(crate) async fn decompress(
    shared: &Arc<Shared>,
    admission: &mut Admission,
    compression: Compression,
    input: Bytes,
    max_bytes: usize,
) -> Result<Bytes, PushError> {
    if compression == Compression::Identity {
        return if input.len() > max_bytes { Err(too_large(input.len(), max_bytes)) } else { Ok(input) };
    }
    let input_bytes = input.len();
    let promised = promised_bytes(compression, &input);
    if let Some(promised) = promised {
        if promised > max_bytes as u64 {
            return Err(too_large(promised, max_bytes));
        }
        refuse_bomb(input_bytes, promised as usize)?;
    }
    // One byte more than promised, so that a kept promise is seen to be kept without another round.
    let guess = promised.map_or(input_bytes.saturating_mul(4), |bytes| bytes as usize + 1);
    // One byte above the limit shows that it is passed; the budget may be the nearer limit.
    let ceiling = max_bytes.saturating_add(1).min(shared.in_flight_bytes().saturating_sub(input_bytes));
    let mut capacity = guess.max(4 << 10).min(ceiling);
    let mut inflater = Inflater::new(compression, input)?;
    loop {
        admission.hold(input_bytes + capacity).await?;
        let work = move || inflater.inflate(capacity).map(|done| (done, inflater));
        let outcome = if input_bytes.max(capacity) > INLINE_BYTES {
            let outcome = shared.on_cpu(&admission.tenant(), input_bytes.max(capacity), work).await;
            outcome.ok_or_else(|| PushError::Internal(Arc::from("the decompressor panicked")))?
        } else {
            work()
        };
        let (done, returned) = outcome?;
        inflater = returned;
        let output_bytes = inflater.output.len();
        if output_bytes > max_bytes {
            return Err(too_large(format!("more than {max_bytes}"), max_bytes));
        }
        if done {
            break;
        }
        if capacity == ceiling {
            return Err(PushError::TooLarge {
                what: format!("{input_bytes} bytes as sent and more than {capacity} after decompression"),
                limit: shared.in_flight_bytes() as u64,
                setting: "max_in_flight_bytes",
            });
        }
        refuse_bomb(input_bytes, output_bytes)?;
        // A stop at the floor, where bombs become visible, before more is spent on one.
        let next = if output_bytes < BOMB_FLOOR_BYTES { BOMB_FLOOR_BYTES } else { usize::MAX };
        capacity = capacity.saturating_mul(2).min(next).min(ceiling);
    }
    Ok(admission.keep(inflater.output))
}

fn refuse_bomb(input_bytes: usize, output_bytes: usize) -> Result<(), PushError> {
    if output_bytes < BOMB_FLOOR_BYTES || output_bytes / MAX_RATIO <= input_bytes {
        return Ok(());
    }
    Err(PushError::TooLarge {
        what: format!("{output_bytes} bytes after decompression, out of {input_bytes}: a ratio above {MAX_RATIO}"),
        limit: (input_bytes * MAX_RATIO) as u64,
        setting: "for this compressed size",
    })
}

fn too_large(bytes: impl std::fmt::Display, max_bytes: usize) -> PushError {
    PushError::TooLarge {
        what: format!("{bytes} bytes after decompression"),
        limit: max_bytes as u64,
        setting: "max_decompressed_bytes",
    }
}

/// What the compressed form says of its output's length, if that can be true at all. It is a hint: allocation follows it
/// only as far as it is charged, and the limits hold whatever it says.
fn promised_bytes(compression: Compression, input: &[u8]) -> Option<u64> {
    match compression {
        Compression::Gzip => {
            // The length modulo 2^32 of the last member (RFC 1952): of all, when there is one.
            let bytes = u64::from(u32::from_le_bytes(*input.last_chunk()?));
            (bytes <= input.len() as u64 * MAX_DEFLATE_RATIO).then_some(bytes)
        }
        Compression::Zstd => zstd_safe::get_frame_content_size(input).ok().flatten(),
        Compression::Identity | Compression::Deflate => None,
    }
}

/// A decompressor that can stop and go on.
struct Inflater {
    compression: Compression,
    reader: Reader,
    output: Vec<u8>,
}

enum Reader {
    Gzip(Box<MultiGzDecoder<Cursor<Bytes>>>),
    Zstd(Box<ZstdDecoder<'static, BufReader<Cursor<Bytes>>>>),
    Deflate(Box<ZlibDecoder<Cursor<Bytes>>>),
}

impl Inflater {
    fn new(compression: Compression, input: Bytes) -> Result<Self, PushError> {
        let input = Cursor::new(input);
        let reader = match compression {
            Compression::Gzip => Reader::Gzip(Box::new(MultiGzDecoder::new(input))),
            Compression::Zstd => Reader::Zstd(Box::new(zstd_reader(input).map_err(|e| damaged(compression, 0, &e))?)),
            Compression::Deflate | Compression::Identity => Reader::Deflate(Box::new(ZlibDecoder::new(input))),
        };
        Ok(Self { compression, reader, output: Vec::new() })
    }

    /// Fills the output up to `capacity`; true when the input is used up.
    fn inflate(&mut self, capacity: usize) -> Result<bool, PushError> {
        let room = capacity.saturating_sub(self.output.len());
        self.output.reserve_exact(room);
        let outcome = match &mut self.reader {
            Reader::Gzip(reader) => reader.take(room as u64).read_to_end(&mut self.output),
            Reader::Zstd(reader) => reader.take(room as u64).read_to_end(&mut self.output),
            Reader::Deflate(reader) => reader.take(room as u64).read_to_end(&mut self.output),
        };
        match outcome {
            Ok(read) => Ok(read < room),
            Err(error) => Err(damaged(self.compression, self.output.len(), &error)),
        }
    }
}

fn zstd_reader(input: Cursor<Bytes>) -> io::Result<ZstdDecoder<'static, BufReader<Cursor<Bytes>>>> {
    let mut reader = ZstdDecoder::new(input)?;
    reader.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
    Ok(reader)
}

fn damaged(compression: Compression, output_bytes: usize, error: &io::Error) -> PushError {
    let name = compression.name();
    PushError::Malformed(format!("the {name} body is damaged at byte {output_bytes} of its content: {error}"))
}
