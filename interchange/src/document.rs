//! JSON documents, one or many behind each other: finds where each ends, what it is, and gives it to its reader.

use crate::shape::{Content, Shape};
use crate::{Error, Format, Parsed, jaeger, otlp_json, zipkin};

/// A mistake in one document, by line and column of that document.
pub(crate) struct Mistake {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) what: String,
}

impl From<serde_json::Error> for Mistake {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let mut what = error.to_string();
        if let Some(at) = what.rfind(&format!(" at line {line} column {column}")) {
            what.truncate(at);
        }
        Self { line, column, what }
    }
}

/// Reads a file of JSON.
pub(crate) fn read(bytes: &[u8]) -> Result<Parsed, Error> {
    match split(bytes) {
        Ok(documents) => match &documents[..] {
            [only] => single(bytes, only),
            _ => several(bytes, &documents),
        },
        // Among lines, a broken one is left out. When no line is good, the file is no file of lines.
        Err(mistake) => match lines(bytes) {
            Some(documents) => several(bytes, &documents),
            None => Err(syntax("JSON", bytes, 0, mistake)),
        },
    }
}

/// One document: where it begins, and what it is or why it is none.
struct Document {
    start: usize,
    end: usize,
    content: Result<Content, Mistake>,
}

/// The documents of a file, by JSON's own ends.
fn split(bytes: &[u8]) -> Result<Vec<Document>, Mistake> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    // Nothing here recurses without a bound: `Shape` looks two arrays deep and skips the rest by iteration.
    deserializer.disable_recursion_limit();
    let mut stream = deserializer.into_iter::<Shape>();
    let mut documents = Vec::new();
    loop {
        let start = stream.byte_offset();
        match stream.next() {
            None => return Ok(documents),
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(shape)) => {
                documents.push(Document { start, end: stream.byte_offset(), content: Ok(shape.content()) });
            }
        }
    }
}

/// The lines of a file, when there are several and one is a good document by itself.
fn lines(bytes: &[u8]) -> Option<Vec<Document>> {
    let mut documents = Vec::new();
    let mut start = 0;
    for line in bytes.split(|byte| *byte == b'\n') {
        let end = start + line.len();
        if !line.trim_ascii().is_empty() {
            let content = shape(line).map(|shape| shape.content());
            documents.push(Document { start, end, content });
        }
        start = end + 1;
    }
    let known = |document: &Document| {
        matches!(document.content, Ok(Content::Otlp | Content::Framed | Content::Jaeger | Content::Zipkin))
    };
    (documents.len() > 1 && documents.iter().any(known)).then_some(documents)
}

fn shape(document: &[u8]) -> Result<Shape, Mistake> {
    let mut deserializer = serde_json::Deserializer::from_slice(document);
    deserializer.disable_recursion_limit();
    let shape = serde::Deserialize::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(shape)
}

/// A file of one document: its mistakes are the file's.
fn single(bytes: &[u8], document: &Document) -> Result<Parsed, Error> {
    let content = match &document.content {
        Ok(Content::Nothing) => return Err(Error::Unknown { what: "its JSON is empty".to_owned() }),
        Ok(Content::Other(what)) => return Err(Error::Unknown { what: (*what).to_owned() }),
        Ok(content) => *content,
        // `split` gives no broken documents.
        Err(_) => return Err(Error::Unknown { what: "it is not JSON".to_owned() }),
    };
    let format = format(content, false);
    let mut parsed = Parsed::new(format);
    take(&mut parsed, &bytes[document.start..document.end], None, content)
        .map_err(|mistake| syntax(&format.to_string(), bytes, document.start, mistake))?;
    Ok(parsed)
}

/// A file of several documents: a bad one is left out, unless all are bad.
fn several(bytes: &[u8], documents: &[Document]) -> Result<Parsed, Error> {
    let known = documents.iter().find_map(|document| match document.content {
        Ok(Content::Nothing | Content::Other(_)) | Err(_) => None,
        Ok(content) => Some(content),
    });
    let Some(known) = known else {
        let what = documents.iter().find_map(|document| match document.content {
            Ok(Content::Other(what)) => Some(what),
            _ => None,
        });
        return Err(Error::Unknown { what: what.unwrap_or("its JSON is empty").to_owned() });
    };
    let mut parsed = Parsed::new(format(known, true));
    let mut first_mistake = None;
    let (mut line, mut counted_to) = (1, 0);
    for document in documents {
        let text = &bytes[document.start..document.end];
        let begins = document.start + (text.len() - text.trim_ascii_start().len());
        line += newlines(&bytes[counted_to..begins]);
        counted_to = begins;
        let read = match &document.content {
            Ok(Content::Nothing) => Ok(()),
            Ok(Content::Other(what)) => {
                parsed.reject(Some(line), (*what).to_owned());
                continue;
            }
            Ok(content) => take(&mut parsed, text, Some(line), *content),
            Err(mistake) => {
                parsed.reject(Some(line), format!("it is not JSON at column {}: {}", mistake.column, mistake.what));
                continue;
            }
        };
        if let Err(mistake) = read {
            parsed.reject(Some(line), format!("column {}: {}", mistake.column, mistake.what));
            first_mistake.get_or_insert((document.start, mistake));
        }
    }
    match first_mistake {
        Some((start, mistake)) if parsed.spans.is_empty() => {
            Err(syntax(&parsed.format.to_string(), bytes, start, mistake))
        }
        _ => Ok(parsed),
    }
}

fn take(parsed: &mut Parsed, document: &[u8], line: Option<usize>, content: Content) -> Result<(), Mistake> {
    match content {
        Content::Otlp => otlp_json::read(parsed, document, line),
        Content::Framed => otlp_json::read_framed(parsed, document, line),
        Content::Jaeger => jaeger::read(parsed, document, line),
        Content::Zipkin => zipkin::read(parsed, document, line),
        Content::Nothing | Content::Other(_) => Ok(()),
    }
}

fn format(content: Content, several: bool) -> Format {
    match content {
        Content::Jaeger => Format::JaegerJson,
        Content::Zipkin => Format::ZipkinJson,
        Content::Framed => Format::TempoJson,
        Content::Otlp | Content::Nothing | Content::Other(_) if several => Format::OtlpJsonLines,
        Content::Otlp | Content::Nothing | Content::Other(_) => Format::OtlpJson,
    }
}

/// A mistake of the document that begins at `start`, by line and column of the file.
fn syntax(format: &str, bytes: &[u8], start: usize, mistake: Mistake) -> Error {
    let before = &bytes[..start];
    let on_its_line = match (mistake.line, before.iter().rposition(|byte| *byte == b'\n')) {
        (0 | 1, Some(newline)) => start - newline - 1,
        (0 | 1, None) => start,
        _ => 0,
    };
    Error::Syntax {
        format: format.to_owned(),
        line: newlines(before) + mistake.line.max(1),
        column: on_its_line + mistake.column.max(1),
        what: mistake.what,
    }
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}
