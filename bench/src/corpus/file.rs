//! Corpus files: messages one after the other, each behind its length as a little-endian `u32`.
//!
//! A message is an `ExportTraceServiceRequest`, or a gzip member of one. The two cannot be confused: gzip's first byte,
//! 0x1f, would be an impossible wire type in protobuf. Beside the file, `<file>.ids` names some of its traces.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use spanlake_model::TraceId;

use super::figures::KnownTrace;
use crate::Error;

/// The longest message a reader takes: longer means that the file is not a corpus.
const MAX_MESSAGE_BYTES: u32 = 256 << 20;

/// Writes a corpus file.
pub struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
    gzip: bool,
}

impl Writer {
    /// Creates or empties the file; `gzip` compresses each message by itself.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn create(path: &Path, gzip: bool) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::file(path))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), gzip })
    }

    /// Appends one encoded request.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&mut self, body: &[u8]) -> Result<(), Error> {
        let compressed;
        let message = if self.gzip {
            compressed = gzip(body);
            &compressed
        } else {
            body
        };
        let len = u32::try_from(message.len()).map_err(|_| Error::Corpus {
            path: self.path.clone(),
            problem: format!("a message of {} bytes does not fit", message.len()),
        })?;
        let written = self.file.write_all(&len.to_le_bytes()).and_then(|()| self.file.write_all(message));
        written.map_err(Error::file(&self.path))
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.file.flush().map_err(Error::file(&self.path))
    }
}

/// One message of a corpus file, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// A message that is not compressed.
    pub fn plain(body: Vec<u8>) -> Self {
        Self(body)
    }

    /// The request, decompressed if need be.
    ///
    /// # Errors
    /// What the decompressor says.
    pub fn into_plain(self) -> std::io::Result<Vec<u8>> {
        if !self.is_gzip() {
            return Ok(self.0);
        }
        let mut body = Vec::with_capacity(self.0.len() * 8);
        GzDecoder::new(self.0.as_slice()).take(u64::from(MAX_MESSAGE_BYTES)).read_to_end(&mut body)?;
        Ok(body)
    }

    /// The request as a gzip member, compressed if need be.
    pub fn into_gzip(self) -> Vec<u8> {
        if self.is_gzip() { self.0 } else { gzip(&self.0) }
    }

    fn is_gzip(&self) -> bool {
        self.0.starts_with(&[0x1f, 0x8b])
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 6), Compression::fast());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("writing to memory cannot fail")
}

/// Reads a corpus file, message by message.
pub struct Reader {
    path: PathBuf,
    file: BufReader<File>,
}

impl Reader {
    /// Opens the file.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::file(path))?;
        Ok(Self { path: path.to_owned(), file: BufReader::new(file) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&mut self) -> Result<Option<Message>, Error> {
        if self.file.fill_buf().map_err(Error::file(&self.path))?.is_empty() {
            return Ok(None);
        }
        let mut len = [0; 4];
        self.file.read_exact(&mut len).map_err(Error::file(&self.path))?;
        let len = u32::from_le_bytes(len);
        if len > MAX_MESSAGE_BYTES {
            let problem = format!("a message of {len} bytes: this is not a corpus file");
            return Err(Error::Corpus { path: self.path.clone(), problem });
        }
        let mut body = vec![0; len as usize];
        self.file.read_exact(&mut body).map_err(Error::file(&self.path))?;
        Ok(Some(Message(body)))
    }
}

impl Iterator for Reader {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The id file beside a corpus file.
fn ids_path(corpus: &Path) -> PathBuf {
    let mut path = corpus.as_os_str().to_owned();
    path.push(".ids");
    path.into()
}

/// Writes `<file>.ids`: a line per trace, its id in hexadecimal and its number of distinct spans.
///
/// # Errors
/// [`Error::File`].
pub fn write_ids<'a>(corpus: &Path, traces: impl Iterator<Item = &'a KnownTrace>) -> Result<(), Error> {
    let path = ids_path(corpus);
    let text: String = traces.map(|trace| format!("{} {}\n", trace.trace_id, trace.span_count)).collect();
    std::fs::write(&path, text).map_err(Error::file(&path))
}

/// Reads `<file>.ids`.
///
/// # Errors
/// [`Error::File`] if it is absent, [`Error::Corpus`] if a line is not an id and a number.
pub fn read_ids(corpus: &Path) -> Result<Vec<KnownTrace>, Error> {
    let path = ids_path(corpus);
    let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
    let parse = |(at, line): (usize, &str)| {
        let known = line.split_once(' ').and_then(|(id, count)| {
            Some(KnownTrace { trace_id: TraceId::parse_hex(id).ok()?, span_count: count.trim().parse().ok()? })
        });
        let problem = || format!("line {}: expected a trace id and a number of spans", at + 1);
        known.ok_or_else(|| Error::Corpus { path: path.clone(), problem: problem() })
    };
    text.lines().enumerate().map(parse).collect()
}
