//! What a trace is read from: an id, a file, standard input.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use serde_json::json;
use spanlake_analysis::OtlpTrace;
use spanlake_model::TraceId;

use crate::client::Failure;
use crate::commands::report::{Cell, Column, Report, Row};
use crate::commands::{readable, terminal};

/// Largest file that is read.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// Where a trace is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// At a server or in a store.
    Id(TraceId),
    /// In a file.
    File(PathBuf),
    /// On standard input.
    Stdin,
}

impl Input {
    /// What the user named.
    ///
    /// # Errors
    /// If it is neither an id nor a file that is there.
    pub fn of(named: &Path) -> Result<Self, Failure> {
        if named.as_os_str() == "-" {
            return Ok(Self::Stdin);
        }
        let text = named.to_string_lossy();
        // A file that is called like an id can be named with its directory.
        if let Ok(id) = TraceId::parse_hex(&text) {
            return Ok(Self::Id(id));
        }
        if named.exists() {
            return Ok(Self::File(named.to_owned()));
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            let digits = text.len();
            return Err(Failure::usage(format!(
                "{text:?} is not a trace id: it has {digits} characters, an id has 32 hexadecimal digits"
            )));
        }
        Err(Failure::error(format!("there is no file {text:?}, and it is no trace id either (32 hexadecimal digits)")))
    }

    /// Reads and understands the file or standard input.
    ///
    /// # Errors
    /// If it cannot be read, or is no trace file; with the place.
    pub fn read(&self) -> Result<Vec<ResourceSpans>, Failure> {
        let (name, bytes) = self.bytes()?;
        let parsed = parse(&name, &bytes)?;
        if parsed.rejected_count > 0 {
            let first = parsed.rejected.first().map_or_else(String::new, ToString::to_string);
            terminal::note(&format!("{name}: {} spans are left out, the first: {first}", parsed.rejected_count));
        }
        Ok(parsed.spans)
    }

    fn bytes(&self) -> Result<(String, Vec<u8>), Failure> {
        match self {
            Self::Id(id) => Err(Failure::error(format!("{id} is no file"))),
            Self::File(path) => Ok((path.display().to_string(), read_file(path)?)),
            Self::Stdin => Ok(("stdin".to_owned(), read_stdin()?)),
        }
    }
}

/// Understands the bytes of a trace file.
///
/// # Errors
/// If it is none; the line names the file and the place.
pub fn parse(name: &str, bytes: &[u8]) -> Result<spanlake_interchange::Parsed, Failure> {
    spanlake_interchange::parse(bytes).map_err(|error| Failure::error(format!("{name}: {error}")))
}

/// Reads a file whole.
///
/// # Errors
/// If it cannot be read, or is too large.
fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let cannot = |error: std::io::Error| Failure::error(format!("cannot read {shown}: {error}"));
    let facts = std::fs::metadata(path).map_err(cannot)?;
    if facts.is_dir() {
        return Err(Failure::error(format!("{shown} is a directory: name the files in it")));
    }
    if facts.len() > MAX_FILE_BYTES {
        return Err(Failure::error(format!("{shown} has more than {} GiB: split it", MAX_FILE_BYTES >> 30)));
    }
    std::fs::read(path).map_err(cannot)
}

/// Reads standard input to its end.
///
/// # Errors
/// If it cannot be read, or is too long.
fn read_stdin() -> Result<Vec<u8>, Failure> {
    hint_at_stdin();
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::error(format!("cannot read stdin: {error}")))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Failure::error(format!("stdin has more than {} GiB: split it", MAX_FILE_BYTES >> 30)));
    }
    Ok(bytes)
}

/// Says what is waited for where somebody would wonder.
pub fn hint_at_stdin() {
    if std::io::stdin().is_terminal() {
        terminal::hint("reading a trace from the terminal (Ctrl-D ends)");
    }
}

/// A row for each trace of a file, the longest first.
pub fn list(traces: &[OtlpTrace<'_>]) -> Report {
    let mut sorted: Vec<&OtlpTrace<'_>> = traces.iter().collect();
    sorted.sort_by_key(|one| std::cmp::Reverse(nanos(one)));
    let row = |one: &&OtlpTrace<'_>| {
        let skeleton = &one.trace.skeleton;
        let start = one.trace.bounds().map_or(0, |(start, _)| start);
        let label = one.trace.tree.main_root().map_or_else(String::new, |root| skeleton.label(root));
        let errors = (0..skeleton.span_count()).filter(|span| skeleton.is_error(*span)).count();
        let id = skeleton.trace_id().to_string();
        Row {
            json: json!({
                "traceId": id, "root": label, "startUnixNanos": start.to_string(), "durationNanos": nanos(one),
                "spanCount": skeleton.span_count(), "errorCount": errors,
            }),
            cells: vec![
                id.into(),
                Cell::with_exact(readable::moment(start), start),
                label.into(),
                Cell::with_exact(readable::duration(nanos(one)), nanos(one)),
                skeleton.span_count().to_string().into(),
                errors.to_string().into(),
            ],
            is_bad: errors > 0,
        }
    };
    let rows: Vec<Row> = sorted.iter().map(row).collect();
    let json = json!({ "traces": rows.iter().map(|row| row.json.clone()).collect::<Vec<_>>() });
    let columns = vec![
        Column::id("TRACE"),
        Column::moment("TIME"),
        Column::text("ROOT"),
        Column::number("DURATION"),
        Column::number("SPANS"),
        Column::number("ERR"),
    ];
    Report { columns, rows, json }
}

fn nanos(one: &OtlpTrace<'_>) -> u64 {
    one.trace.bounds().map_or(0, |(start, end)| end - start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        assert!(matches!(Input::of(Path::new(id)), Ok(Input::Id(_))));
        assert_eq!(Input::of(Path::new("-")), Ok(Input::Stdin));
        assert!(matches!(Input::of(Path::new("/")), Ok(Input::File(_))));
        let code = |text: &str| Input::of(Path::new(text)).map_err(|failure| failure.code).err();
        assert_eq!(code(&format!("{id}00")), Some(2));
        assert_eq!(code("no-such-file.json"), Some(1));
        assert!(read_file(Path::new("/")).is_err_and(|failure| failure.to_string().contains("directory")));
    }
}
