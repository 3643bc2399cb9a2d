//! The formats of a SQL answer: their names, media types, and how each shows that it broke off.

use std::io;

use ::http::HeaderMap;
use ::http::header::ACCEPT;
use bytes::Bytes;

use crate::error::Error;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Format {
    /// `{"columns": [{"name", "type"}], "rows": [[...], ...]}`.
    Json,
    /// One object a line.
    JsonLines,
    /// A line of names, then one a row.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
}

/// Names for `format=`, and media types.
pub(in crate::http) const FORMATS: [(&str, &str, Format); 5] = [
    ("json", "application/json", Format::Json),
    ("jsonl", "application/jsonl", Format::JsonLines),
    ("csv", "text/csv", Format::Csv),
    ("arrow", "application/vnd.apache.arrow.stream", Format::Arrow),
    ("parquet", "application/vnd.apache.parquet", Format::Parquet),
];

impl Format {
    /// The format that is asked for by name, else by the `Accept` header, else JSON.
    ///
    /// # Errors
    /// A sentence when the name is no format.
    pub(super) fn choose(name: Option<&str>, headers: &HeaderMap) -> Result<Self, String> {
        if let Some(name) = name {
            let found = FORMATS.iter().find(|(known, ..)| *known == name);
            return found
                .map(|(.., format)| *format)
                .ok_or_else(|| format!("invalid format: {name:?} is none of json, jsonl, csv, arrow and parquet"));
        }
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut wanted = accepted.flat_map(|value| value.split(','));
        let known = wanted.find_map(|range| {
            let media_type = range.split(';').next().unwrap_or_default().trim();
            FORMATS.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(media_type))
        });
        Ok(known.map_or(Self::Json, |(.., format)| *format))
    }

    pub(super) fn content_type(self) -> &'static str {
        FORMATS.iter().find(|(.., format)| *format == self).map_or("application/json", |(_, media_type, _)| media_type)
    }

    /// How a body ends that cannot go on: in JSON with the reason, in others with an error that breaks the connection.
    pub(super) fn failed(self, error: &Error) -> Result<Bytes, io::Error> {
        match self {
            Self::Json => {
                let text = serde_json::Value::from(error.to_string());
                Ok(Bytes::from(format!("],\"error\":{text}}}\n")))
            }
            _ => Err(io::Error::other(error.to_string())),
        }
    }
}
