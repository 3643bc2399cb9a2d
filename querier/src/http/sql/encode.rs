//! Rows as bytes, batch by batch.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_csv::{Writer as CsvWriter, WriterBuilder};
use arrow_ipc::writer::StreamWriter;
use arrow_json::LineDelimitedWriter;
use arrow_json::writer::{EncoderOptions, LineDelimited, WriterBuilder as JsonWriterBuilder, make_encoder};
use arrow_schema::{ArrowError, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::format::Format;
use crate::error::Error;

/// Bytes after which a Parquet row group is closed and sent.
const ROW_GROUP_BYTES: usize = 16 << 20;

/// What writers write to, and what is taken away from there piece by piece.
#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn take(&self) -> Bytes {
        Bytes::from(std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Writer {
    Json { schema: SchemaRef, head: Option<Vec<u8>>, has_rows: bool },
    JsonLines(Box<LineDelimitedWriter<Sink>>),
    Csv(Box<CsvWriter<Sink>>),
    Arrow(Box<StreamWriter<Sink>>),
    Parquet(Box<ArrowWriter<Sink>>),
}

/// Writes the rows of one answer.
pub(super) struct Encoder {
    sink: Sink,
    writer: Writer,
}

/// A type that a format has no form for is the query's to change.
fn unwritable(error: ArrowError) -> Error {
    Error::InvalidSql(format!("the answer cannot be written in this format: {error}"))
}

fn unwritable_parquet(error: ParquetError) -> Error {
    Error::InvalidSql(format!("the answer cannot be written in this format: {error}"))
}

impl Encoder {
    /// A writer of rows of this schema.
    ///
    /// # Errors
    /// [`Error::InvalidSql`] if the format has no form for a column.
    pub(super) fn new(format: Format, schema: SchemaRef) -> Result<Self, Error> {
        let sink = Sink::default();
        let nested = schema.fields().iter().find(|field| field.data_type().is_nested());
        if let (Format::Csv, Some(field)) = (format, nested) {
            let text = format!("column {} holds a {}: CSV cannot, json can", field.name(), field.data_type());
            return Err(Error::InvalidSql(text));
        }
        let writer = match format {
            Format::Json => Writer::Json { head: Some(head(&schema)), schema, has_rows: false },
            Format::JsonLines => {
                let builder = JsonWriterBuilder::new().with_explicit_nulls(true);
                Writer::JsonLines(Box::new(builder.build::<_, LineDelimited>(sink.clone())))
            }
            Format::Csv => {
                let mut writer = WriterBuilder::new().with_header(true).build(sink.clone());
                // The names come even when no row does.
                writer.write(&RecordBatch::new_empty(schema)).map_err(unwritable)?;
                Writer::Csv(Box::new(writer))
            }
            Format::Arrow => Writer::Arrow(Box::new(StreamWriter::try_new(sink.clone(), &schema).map_err(unwritable)?)),
            Format::Parquet => {
                let zstd = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(zstd).build();
                let writer = ArrowWriter::try_new(sink.clone(), schema, Some(properties));
                Writer::Parquet(Box::new(writer.map_err(unwritable_parquet)?))
            }
        };
        Ok(Self { sink, writer })
    }

    /// What there is to send after these rows; may be nothing yet.
    ///
    /// # Errors
    /// [`Error::InvalidSql`] if the format has no form for a value.
    pub(super) fn rows(&mut self, batch: &RecordBatch) -> Result<Bytes, Error> {
        match &mut self.writer {
            Writer::Json { schema, head, has_rows } => {
                let mut out = head.take().unwrap_or_default();
                write_rows(schema, batch, has_rows, &mut out).map_err(unwritable)?;
                return Ok(Bytes::from(out));
            }
            Writer::JsonLines(writer) => writer.write(batch).map_err(unwritable)?,
            Writer::Csv(writer) => writer.write(batch).map_err(unwritable)?,
            Writer::Arrow(writer) => writer.write(batch).map_err(unwritable)?,
            Writer::Parquet(writer) => {
                writer.write(batch).map_err(unwritable_parquet)?;
                if writer.in_progress_size() >= ROW_GROUP_BYTES {
                    writer.flush().map_err(unwritable_parquet)?;
                }
            }
        }
        Ok(self.sink.take())
    }

    /// What comes after the last row.
    ///
    /// # Errors
    /// [`Error::Internal`] if the end cannot be written.
    pub(super) fn end(&mut self) -> Result<Bytes, Error> {
        match &mut self.writer {
            Writer::Json { head, .. } => {
                let mut out = head.take().unwrap_or_default();
                out.extend_from_slice(b"]}\n");
                return Ok(Bytes::from(out));
            }
            Writer::JsonLines(writer) => writer.finish().map_err(unwritable)?,
            Writer::Csv(_) => {}
            Writer::Arrow(writer) => writer.finish().map_err(unwritable)?,
            Writer::Parquet(writer) => {
                writer.finish().map_err(unwritable_parquet)?;
            }
        }
        Ok(self.sink.take())
    }
}

/// `{"columns":[...],"rows":[`.
fn head(schema: &SchemaRef) -> Vec<u8> {
    let columns: Vec<serde_json::Value> = schema
        .fields()
        .iter()
        .map(|field| serde_json::json!({"name": field.name(), "type": field.data_type().to_string()}))
        .collect();
    format!("{{\"columns\":{},\"rows\":[", serde_json::Value::from(columns)).into_bytes()
}

fn write_rows(
    schema: &SchemaRef,
    batch: &RecordBatch,
    has_rows: &mut bool,
    out: &mut Vec<u8>,
) -> Result<(), ArrowError> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let columns = schema.fields().iter().zip(batch.columns());
    let mut encoders = columns
        .map(|(field, array)| make_encoder(field, array.as_ref(), &options))
        .collect::<Result<Vec<_>, ArrowError>>()?;
    for row in 0..batch.num_rows() {
        if std::mem::replace(has_rows, true) {
            out.push(b',');
        }
        out.extend_from_slice(b"\n[");
        for (at, encoder) in encoders.iter_mut().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            if encoder.is_null(row) {
                out.extend_from_slice(b"null");
            } else {
                encoder.encode(row, out);
            }
        }
        out.push(b']');
    }
    Ok(())
}
