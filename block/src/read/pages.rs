//! Pages of a row group, decompressed with one zstd context a thread.
//!
//! Parquet's own reader makes a compression and a decompression context for every column it opens. A context asks the
//! processor for its features, which on a virtual machine traps to the hypervisor: a third of a lookup that opens 90
//! columns. So the footer is held with its codecs set to none, and pages are decompressed here.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups, RowSelection};
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels, parquet_to_arrow_schema};
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::SchemaDescriptor;

use super::Fetched;
use crate::section::can_inflate_to;

/// No page of a sound block inflates past this.
const MAX_PAGE_BYTES: usize = 1 << 30;
/// No list column of a row group of a sound block has more items: an event or link takes at least two bytes of the 128 MiB
/// of spans that a row group can hold.
const MAX_ITEMS: i64 = 1 << 26;

thread_local! {
    static ZSTD: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

fn inflate(compressed: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let size = zstd::zstd_safe::get_frame_content_size(compressed)
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| *size <= MAX_PAGE_BYTES && can_inflate_to(compressed.len(), *size))
        .ok_or_else(|| ParquetError::General("a page does not say its size, or a false one".to_owned()))?;
    let offset = out.len();
    out.reserve_exact(size);
    ZSTD.with_borrow_mut(|context| {
        let context = match context {
            Some(context) => context,
            None => context.insert(zstd::bulk::Decompressor::new()?),
        };
        let mut target = std::io::Cursor::new(&mut *out);
        target.set_position(offset as u64);
        context.decompress_to_buffer(compressed, &mut target)
    })?;
    if out.len() != offset + size {
        return Err(ParquetError::General(format!("a page has {} bytes, not {size}", out.len() - offset)));
    }
    Ok(())
}

/// The footer of a block with its codecs taken off, and which chunks are compressed.
#[derive(Debug)]
pub(crate) struct Footer {
    metadata: ParquetMetaData,
    /// For each row group, for each leaf column.
    is_compressed: Vec<Vec<bool>>,
}

impl Footer {
    /// Takes the codecs off a footer.
    ///
    /// # Errors
    /// [`ParquetError`] if a codec is not ours, or if places and counts are such that Parquet would panic or allocate
    /// without bound.
    pub(crate) fn new(footer: ParquetMetaData) -> Result<Self> {
        footer.row_groups().iter().try_for_each(check_row_group)?;
        let mut is_compressed = Vec::with_capacity(footer.num_row_groups());
        let mut builder = footer.into_builder();
        let mut row_groups = Vec::new();
        for row_group in builder.take_row_groups() {
            let mut group = row_group.into_builder();
            let mut compressed = Vec::new();
            let mut columns = Vec::new();
            for column in group.take_columns() {
                compressed.push(match column.compression() {
                    Compression::ZSTD(_) => true,
                    Compression::UNCOMPRESSED => false,
                    other => return Err(ParquetError::General(format!("a column is compressed with {other}"))),
                });
                columns.push(column.into_builder().set_compression(Compression::UNCOMPRESSED).build()?);
            }
            is_compressed.push(compressed);
            row_groups.push(group.set_column_metadata(columns).build()?);
        }
        Ok(Self { metadata: builder.set_row_groups(row_groups).build(), is_compressed })
    }
}

fn check_row_group(row_group: &RowGroupMetaData) -> Result<()> {
    for chunk in row_group.columns() {
        let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
        let values = chunk.num_values();
        let is_list = chunk.column_descr().max_rep_level() > 0;
        let counts_agree = if is_list { (0..=MAX_ITEMS).contains(&values) } else { values == row_group.num_rows() };
        if start < 0 || chunk.compressed_size() < 0 || !counts_agree {
            return Err(ParquetError::General(format!(
                "column chunk {} is misdescribed",
                chunk.column_path().string()
            )));
        }
    }
    Ok(())
}

/// How the columns of a block become Arrow arrays.
#[derive(Debug)]
pub(crate) struct Shape {
    footer: Arc<Footer>,
    fields: Fields,
    schema: SchemaRef,
    all: FieldLevels,
}

impl Shape {
    /// Every column as its plain type.
    pub(crate) fn plain(footer: Arc<Footer>) -> Result<Self> {
        let fields = parquet_to_arrow_schema(schema_of(&footer), None)?.fields;
        Self::with_fields(footer, fields)
    }

    /// String columns as dictionaries, so that a predicate runs once a distinct value.
    pub(crate) fn dictionary(plain: &Self) -> Result<Self> {
        let fields = plain.fields.iter().map(|field| match field.data_type() {
            DataType::Utf8 => {
                let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                field.as_ref().clone().with_data_type(dictionary)
            }
            _ => field.as_ref().clone(),
        });
        Self::with_fields(plain.footer.clone(), fields.collect::<Vec<Field>>().into())
    }

    fn with_fields(footer: Arc<Footer>, fields: Fields) -> Result<Self> {
        let all = parquet_to_arrow_field_levels(schema_of(&footer), ProjectionMask::all(), Some(&fields))?;
        let schema = Arc::new(Schema::new(fields.clone()));
        Ok(Self { footer, fields, schema, all })
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn parquet_schema(&self) -> &SchemaDescriptor {
        schema_of(&self.footer)
    }

    pub(crate) fn metadata(&self) -> &ParquetMetaData {
        &self.footer.metadata
    }

    /// How many Parquet leaf columns there are.
    pub(crate) fn leaf_count(&self) -> usize {
        self.parquet_schema().num_columns()
    }

    /// The Parquet leaf columns of a column.
    pub(crate) fn leaves_of_root(&self, root: usize) -> Range<usize> {
        let schema = self.parquet_schema();
        let first = (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == root).unwrap_or(0);
        let count = (first..schema.num_columns()).take_while(|leaf| schema.get_column_root_idx(*leaf) == root).count();
        first..first + count
    }

    /// The dictionary page of a column chunk, decompressed, and how many values it holds. None if some page of the chunk does
    /// without the dictionary: else each value of the chunk is in it, and none beside.
    pub(crate) fn whole_dictionary(
        &self,
        row_group: usize,
        leaf: usize,
        fetched: &Fetched,
    ) -> Result<Option<(Bytes, usize)>> {
        let pages = RowGroupPages { footer: &self.footer, row_group, fetched: Arc::new(fetched.clone()) };
        let mut pages = pages.pages(leaf)?;
        let Some(Page::DictionaryPage { buf, num_values, encoding, is_sorted }) = pages.next_packed()? else {
            return Ok(None);
        };
        while let Some(page) = pages.next_packed()? {
            if !matches!(page.encoding(), Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY) {
                return Ok(None);
            }
        }
        let page = pages.unpack(Page::DictionaryPage { buf, num_values, encoding, is_sorted })?;
        Ok(Some((page.buffer().clone(), num_values as usize)))
    }

    /// The pages of one column chunk, from its dictionary on.
    pub(crate) fn chunk_pages(&self, row_group: usize, leaf: usize, fetched: &Fetched) -> Result<Pages> {
        RowGroupPages { footer: &self.footer, row_group, fetched: Arc::new(fetched.clone()) }.pages(leaf)
    }

    /// Reads rows of a row group: all columns, or those of some leaves.
    pub(crate) fn reader(
        &self,
        row_group: usize,
        fetched: Fetched,
        leaves: Option<&[usize]>,
        selection: Option<RowSelection>,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader> {
        let pages = RowGroupPages { footer: &self.footer, row_group, fetched: Arc::new(fetched) };
        let Some(leaves) = leaves else {
            return ParquetRecordBatchReader::try_new_with_row_groups(&self.all, &pages, batch_rows, selection);
        };
        let schema = schema_of(&self.footer);
        let mask = ProjectionMask::leaves(schema, leaves.iter().copied());
        let levels = parquet_to_arrow_field_levels(schema, mask, Some(&self.fields))?;
        ParquetRecordBatchReader::try_new_with_row_groups(&levels, &pages, batch_rows, selection)
    }
}

fn schema_of(footer: &Footer) -> &SchemaDescriptor {
    footer.metadata.file_metadata().schema_descr()
}

/// One row group as Parquet's array readers want it.
struct RowGroupPages<'a> {
    footer: &'a Footer,
    row_group: usize,
    fetched: Arc<Fetched>,
}

impl RowGroupPages<'_> {
    fn pages(&self, leaf: usize) -> Result<Pages> {
        let row_group = self.footer.metadata.row_group(self.row_group);
        let chunk = row_group.column(leaf);
        let max_values = chunk.num_values() as usize;
        let described = chunk.column_descr();
        let level_kinds = usize::from(described.max_rep_level() > 0) + usize::from(described.max_def_level() > 0);
        let pages = SerializedPageReader::new(self.fetched.clone(), chunk, row_group.num_rows() as usize, None)?;
        let is_compressed = self.footer.is_compressed[self.row_group][leaf];
        Ok(Pages { pages, is_compressed, max_values, level_kinds, ahead: None })
    }
}

impl RowGroups for RowGroupPages<'_> {
    fn num_rows(&self) -> usize {
        self.footer.metadata.row_group(self.row_group).num_rows() as usize
    }

    fn column_chunks(&self, leaf: usize) -> Result<Box<dyn PageIterator>> {
        Ok(Box::new(OneChunk(Some(Box::new(self.pages(leaf)?)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.footer.metadata.row_group(self.row_group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.footer.metadata
    }
}

/// The one column chunk of a row group.
struct OneChunk(Option<Box<dyn PageReader>>);

impl Iterator for OneChunk {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for OneChunk {}

/// The pages of a column chunk, decompressed as they are read.
pub(crate) struct Pages {
    pages: SerializedPageReader<Fetched>,
    is_compressed: bool,
    /// Values of the whole chunk.
    max_values: usize,
    /// How many of repetition and definition levels a page begins with.
    level_kinds: usize,
    /// A page that was looked at and not taken, as it is stored.
    ahead: Option<Page>,
}

impl Pages {
    /// The next page as it is stored, for [`Pages::unpack`].
    pub(super) fn next_packed(&mut self) -> Result<Option<Page>> {
        match self.ahead.take() {
            Some(page) => Ok(Some(page)),
            None => self.pages.get_next_page(),
        }
    }

    /// Decompresses and checks a page.
    pub(super) fn unpack(&self, page: Page) -> Result<Page> {
        self.check(self.decompress(page)?)
    }

    /// Parquet allocates for as many values as a page claims, and panics at dictionary indexes of more than 32 bits: both
    /// are refused here. So are levels in the deprecated encoding, which do not say where they end.
    fn check(&self, page: Page) -> Result<Page> {
        let most = match &page {
            // Every type that has dictionaries takes more than a byte a value.
            Page::DictionaryPage { buf, .. } => buf.len(),
            Page::DataPage { .. } | Page::DataPageV2 { .. } => self.max_values,
        };
        if page.num_values() as usize > most {
            return Err(ParquetError::General(format!("a page claims {} values", page.num_values())));
        }
        if let Page::DataPage { def_level_encoding, rep_level_encoding, .. } = &page
            && (*def_level_encoding, *rep_level_encoding) != (Encoding::RLE, Encoding::RLE)
        {
            return Err(ParquetError::General("a page has levels in another encoding than RLE".to_owned()));
        }
        if self.index_bits(&page).is_some_and(|bits| bits > 32) {
            return Err(ParquetError::General("a page has dictionary indexes of more than 32 bits".to_owned()));
        }
        Ok(page)
    }

    /// Bits of each dictionary index of a data page: the byte behind the levels.
    fn index_bits(&self, page: &Page) -> Option<u8> {
        if !matches!(page.encoding(), Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY) {
            return None;
        }
        match page {
            Page::DictionaryPage { .. } => None,
            Page::DataPage { buf, .. } => {
                let mut rest = buf.as_ref();
                for _ in 0..self.level_kinds {
                    let (len, behind) = rest.split_first_chunk::<4>()?;
                    rest = behind.get(u32::from_le_bytes(*len) as usize..)?;
                }
                rest.first().copied()
            }
            Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
                buf.get((def_levels_byte_len + rep_levels_byte_len) as usize).copied()
            }
        }
    }

    fn decompress(&self, page: Page) -> Result<Page> {
        if !self.is_compressed {
            return Ok(page);
        }
        Ok(match page {
            Page::DictionaryPage { buf, num_values, encoding, is_sorted } => {
                Page::DictionaryPage { buf: whole(&buf)?, num_values, encoding, is_sorted }
            }
            Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics } => {
                let buf = whole(&buf)?;
                Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics }
            }
            Page::DataPageV2 {
                buf,
                num_values,
                encoding,
                num_nulls,
                num_rows,
                def_levels_byte_len,
                rep_levels_byte_len,
                is_compressed: true,
                statistics,
            } => {
                let levels = (def_levels_byte_len + rep_levels_byte_len) as usize;
                let (levels, values) = buf
                    .split_at_checked(levels)
                    .ok_or_else(|| ParquetError::General("a page is shorter than its levels".to_owned()))?;
                let mut inflated = levels.to_vec();
                if !values.is_empty() {
                    inflate(values, &mut inflated)?;
                }
                Page::DataPageV2 {
                    buf: Bytes::from(inflated),
                    num_values,
                    encoding,
                    num_nulls,
                    num_rows,
                    def_levels_byte_len,
                    rep_levels_byte_len,
                    is_compressed: false,
                    statistics,
                }
            }
            plain @ Page::DataPageV2 { .. } => plain,
        })
    }
}

fn whole(compressed: &[u8]) -> Result<Bytes> {
    let mut inflated = Vec::new();
    inflate(compressed, &mut inflated)?;
    Ok(Bytes::from(inflated))
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.next_packed()?;
        page.map(|page| self.unpack(page)).transpose()
    }

    /// Parquet's own panics at a page header that lacks what its type has. To take a page as it is stored costs no copy.
    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.ahead = self.next_packed()?;
        Ok(self.ahead.as_ref().map(|page| match page {
            Page::DictionaryPage { .. } => PageMetadata { num_rows: None, num_levels: None, is_dict: true },
            Page::DataPage { num_values, .. } => {
                PageMetadata { num_rows: None, num_levels: Some(*num_values as usize), is_dict: false }
            }
            Page::DataPageV2 { num_rows, num_values, .. } => PageMetadata {
                num_rows: Some(*num_rows as usize),
                num_levels: Some(*num_values as usize),
                is_dict: false,
            },
        }))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        match self.ahead.take() {
            Some(_) => Ok(()),
            None => self.pages.skip_next_page(),
        }
    }
}
