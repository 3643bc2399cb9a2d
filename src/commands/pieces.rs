//! A trace file part by part: large files of OTLP JSON lines are read in pieces, so that memory does not grow with them. All else
//! is one document, and read whole.

use std::io::{self, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use spanlake_interchange::{DEFAULT_MAX_INFLATED_BYTES, Format, Parsed};

use super::trace::{MAX_FILE_BYTES, parse};
use crate::client::Failure;

/// Bytes of a piece: enough for many requests, few enough to be understood in memory.
const PIECE_BYTES: usize = 32 << 20;

/// A line without spans.
const EMPTY_LINE: &[u8] = b"{\"resourceSpans\":[]}\n";

/// A file that is being read.
pub struct Pieces {
    name: String,
    reader: Box<dyn Read + Send>,
    piece_bytes: usize,
    /// Most bytes of a file that is no file of lines.
    max_bytes: u64,
    /// What is read and not given yet.
    rest: Vec<u8>,
    is_over: bool,
    /// Lines and spans that were given.
    lines: usize,
    spans: usize,
}

impl Pieces {
    /// Opens a file, or stdin for `-`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            super::trace::hint_at_stdin();
            return Self::of("stdin".to_owned(), Box::new(io::stdin()), PIECE_BYTES);
        }
        let name = path.display().to_string();
        let cannot = |error: io::Error| Failure::error(format!("cannot read {name}: {error}"));
        if std::fs::metadata(path).map_err(cannot)?.is_dir() {
            return Err(Failure::error(format!("{name} is a directory: name the files in it")));
        }
        let file = std::fs::File::open(path).map_err(cannot)?;
        Self::of(name, Box::new(file), PIECE_BYTES)
    }

    fn of(name: String, reader: Box<dyn Read + Send>, piece_bytes: usize) -> Result<Self, Failure> {
        let mut reader = reader;
        let mut head = Vec::new();
        let read = reader.by_ref().take(2).read_to_end(&mut head);
        read.map_err(|error| Failure::error(format!("cannot read {name}: {error}")))?;
        let is_packed = head == [0x1f, 0x8b];
        let whole = io::BufReader::new(io::Cursor::new(head).chain(reader));
        let (reader, max_bytes): (Box<dyn Read + Send>, _) = match is_packed {
            true => (Box::new(MultiGzDecoder::new(whole)), DEFAULT_MAX_INFLATED_BYTES as u64),
            false => (Box::new(whole), MAX_FILE_BYTES),
        };
        Ok(Self { name, reader, piece_bytes, max_bytes, rest: Vec::new(), is_over: false, lines: 0, spans: 0 })
    }

    /// What the file is called, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next piece; the first is given even when it is empty of spans.
    ///
    /// # Errors
    /// If it cannot be read or understood.
    pub fn next(&mut self) -> Result<Option<Parsed>, Failure> {
        if self.is_over {
            return Ok(None);
        }
        let mut wanted = self.piece_bytes as u64;
        loop {
            self.fill(wanted)?;
            if self.is_over {
                let last = std::mem::take(&mut self.rest);
                let is_blank = self.lines > 0 && last.trim_ascii().is_empty();
                return if is_blank { Ok(None) } else { self.give(&last).map(Some) };
            }
            let is_of_lines = self.lines > 0 || is_of_lines(&self.rest);
            if let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n').filter(|_| is_of_lines) {
                let rest = self.rest.split_off(end + 1);
                let piece = std::mem::replace(&mut self.rest, rest);
                return self.give(&piece).map(Some);
            }
            if wanted >= self.max_bytes {
                let most = self.max_bytes >> 20;
                return Err(Failure::error(format!(
                    "{} has more than {most} MiB in one document: split it",
                    self.name
                )));
            }
            // One document, or a line that is longer than a piece.
            wanted = if is_of_lines { wanted.saturating_mul(2).min(self.max_bytes) } else { self.max_bytes };
        }
    }

    /// Reads until so many bytes wait, or the file is over.
    fn fill(&mut self, bytes: u64) -> Result<(), Failure> {
        let missing = bytes.saturating_sub(self.rest.len() as u64).saturating_add(1);
        let read = self.reader.by_ref().take(missing).read_to_end(&mut self.rest);
        let read = read.map_err(|error| Failure::error(format!("cannot read {} to its end: {error}", self.name)))?;
        self.is_over = (read as u64) < missing;
        Ok(())
    }

    fn give(&mut self, piece: &[u8]) -> Result<Parsed, Failure> {
        let (mut parsed, before) = match parse(&self.name, piece) {
            // Among good lines a piece of broken ones costs no more than itself.
            Err(_) if self.lines > 0 => (parse(&self.name, &[EMPTY_LINE, piece].concat())?, self.lines - 1),
            parsed => (parsed?, self.lines),
        };
        for problem in &mut parsed.rejected {
            problem.line = problem.line.map(|line| line + before);
            problem.index = problem.index.map(|index| index + self.spans);
        }
        self.lines += piece.iter().filter(|byte| **byte == b'\n').count();
        self.spans += parsed.span_count() + parsed.rejected_count;
        Ok(parsed)
    }
}

/// Whether the first line is a document by itself.
fn is_of_lines(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = lines.find(|line| !line.trim_ascii().is_empty());
    let format = first.and_then(|line| spanlake_interchange::parse(line).ok()).map(|parsed| parsed.format);
    matches!(format, Some(Format::OtlpJson | Format::OtlpJsonLines))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn line(number: usize) -> String {
        let span = format!(r#"{{"traceId":"{:032x}","spanId":"{:016x}","name":"n"}}"#, number + 1, number + 1);
        format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#)
    }

    fn read(bytes: Vec<u8>, piece_bytes: usize) -> Result<Vec<Parsed>, Failure> {
        let mut pieces = Pieces::of("f".to_owned(), Box::new(io::Cursor::new(bytes)), piece_bytes)?;
        std::iter::from_fn(|| pieces.next().transpose()).collect()
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    }

    #[test]
    fn lines_come_in_pieces_and_all_of_them_once() {
        let lines: Vec<String> = (0..100).map(line).collect();
        for text in [lines.join("\n"), lines.join("\n") + "\n"] {
            let whole = spanlake_interchange::parse(text.as_bytes()).expect("a file of lines");
            for bytes in [text.clone().into_bytes(), packed(text.as_bytes())] {
                for piece_bytes in [10, 300, 1_000, text.len() - 1, text.len(), 1 << 20] {
                    let pieces = read(bytes.clone(), piece_bytes).expect("a good file");
                    let spans: Vec<_> = pieces.into_iter().flat_map(|parsed| parsed.spans).collect();
                    assert_eq!(spans, whole.spans, "{piece_bytes}");
                }
            }
        }
    }

    #[test]
    fn problems_keep_their_place_in_the_file() {
        let mut lines: Vec<String> = (0..100).map(line).collect();
        lines[70] = "{broken".to_owned();
        lines[99].truncate(40);
        let text = lines.join("\n");
        // The last piece is the broken line.
        let pieces = read(text.into_bytes(), 1_000).expect("the other lines are good");
        assert!(pieces.len() > 5);
        let problems: Vec<_> = pieces.iter().flat_map(|parsed| &parsed.rejected).map(|problem| problem.line).collect();
        assert_eq!(problems, [Some(71), Some(100)]);
        assert_eq!(pieces.iter().map(Parsed::span_count).sum::<usize>(), 98);
    }

    #[test]
    fn documents_are_read_whole() {
        let span = r#"{"traceId":"463ac35c9f6413ad","id":"a2fb4a1d1a96d312","timestamp":1764115200000000}"#;
        let zipkin = format!("[\n{}\n]", vec![span; 50].join(",\n"));
        let pieces = read(zipkin.into_bytes(), 300).expect("a good file");
        assert_eq!(pieces.iter().map(Parsed::span_count).collect::<Vec<_>>(), [50]);
        assert!(read(b"hello".to_vec(), 2).is_err());
        assert!(read(Vec::new(), 2).is_err());
        let cut = packed(line(1).repeat(1_000).as_bytes());
        assert!(read(cut[..cut.len() - 9].to_vec(), 1 << 20).is_err());
    }
}
