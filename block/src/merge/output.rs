//! A block being written by a merge: its row groups so far, and what its indexes will say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_schema::SchemaRef;
use foldhash::HashMap;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, ArrowWriterOptions};
use parquet::file::writer::SerializedFileWriter;
use spanlake_model::TraceId;

use super::MergeError;
use super::choice::Chosen;
use super::input::Origin;
use super::order::OutputRows;
use super::pass::PassRows;
use super::row_group::RowGroupWork;
use crate::baselines::BaselineWriter;
use crate::directory::RowGroup;
use crate::filter::{self, Filter};
use crate::item_keys::ItemKeysWriter;
use crate::schema::{self, AttributeColumn, ValueType};
use crate::section::Writer;
use crate::summary::{SummarySpan, SummaryWriter};
use crate::write::{
    Indexes, RowGroupFacts, STATUS_ERROR, ValueFilters, finish, resource_text, scope_text, service_name, write_all,
};
use crate::{WriteError, WriteOptions, Written};

/// Distinct resources or scopes, numbered in order of first appearance.
#[derive(Debug, Default)]
pub(super) struct Origins {
    numbers: HashMap<Origin, i32>,
    all: Vec<Origin>,
    texts: Vec<String>,
    /// For each input, the number of each of its own; -1 where it did not appear yet.
    by_input: Vec<Vec<i32>>,
    /// How many of the texts lie in row groups that are written; those are let go of.
    placed: usize,
    /// Memory held, about.
    bytes: u64,
}

impl Origins {
    /// The number of an origin of an input.
    pub(super) fn number(
        &mut self,
        input: usize,
        own: usize,
        all_of_input: &[Origin],
        text: fn(&[u8], &str) -> String,
    ) -> Option<i32> {
        if self.by_input.len() <= input {
            self.by_input.resize_with(input + 1, Vec::new);
        }
        let known = &mut self.by_input[input];
        if known.is_empty() {
            known.resize(all_of_input.len(), -1);
        }
        let number = *known.get(own)?;
        if number >= 0 {
            return Some(number);
        }
        let origin = all_of_input.get(own)?;
        let number = match self.numbers.get(origin) {
            Some(number) => *number,
            None => {
                let number = self.all.len() as i32;
                self.numbers.insert(Arc::clone(origin), number);
                let text = text(&origin.0, &origin.1);
                self.bytes += (origin.0.len() + origin.1.len() + text.len() + 128) as u64;
                self.texts.push(text);
                self.all.push(Arc::clone(origin));
                number
            }
        };
        known[own] = number;
        Some(number)
    }

    /// For rows with these numbers, in the order of the block, the text of each number at its first row. `placed` counts on.
    pub(super) fn first_rows<'a>(&'a self, numbers: &[i32], placed: &mut usize) -> Vec<Option<&'a str>> {
        let text = |number: &i32| {
            if *number as usize != *placed {
                return None;
            }
            *placed += 1;
            Some(self.texts[*number as usize].as_str())
        };
        numbers.iter().map(text).collect()
    }

    /// Their section of the block.
    fn write(&self) -> Vec<u8> {
        write_all(self.all.iter().map(|origin| (&*origin.0, &*origin.1)))
    }

    pub(super) fn placed(&self) -> usize {
        self.placed
    }

    /// The first so many texts are written.
    fn place(&mut self, placed: usize) {
        for text in &mut self.texts[self.placed..placed] {
            self.bytes -= std::mem::take(text).len() as u64;
        }
        self.placed = placed;
    }
}

/// What is known of a key of span attributes that has no column in some row group.
#[derive(Debug, Default)]
struct RestKey {
    /// Spans that have it first with a value of each type.
    counts: [u64; ValueType::COUNT],
    row_groups: Vec<u32>,
}

/// A block being written.
pub(super) struct Output {
    pub(super) writer: SerializedFileWriter<Vec<u8>>,
    pub(super) columns: ArrowRowGroupWriterFactory,
    pub(super) resources: Origins,
    pub(super) scopes: Origins,
    options: WriteOptions,
    summaries: SummaryWriter,
    filters: ValueFilters,
    item_keys: ItemKeysWriter,
    baselines: Option<BaselineWriter>,
    key_counts: Vec<u64>,
    rest_keys: BTreeMap<Box<str>, RestKey>,
    resource_sets: Vec<BTreeSet<i32>>,
    row_groups: Vec<RowGroup>,
    trace_hashes: Vec<u64>,
    pub(super) row_count: u64,
}

impl Output {
    pub(super) fn new(schema: &SchemaRef, chosen: &[Chosen], options: &WriteOptions) -> Result<Self, WriteError> {
        let plain = chosen.iter().filter(|chosen| chosen.is_plain).map(|chosen| &chosen.column);
        let properties = options.properties(plain);
        let writer_options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(schema), writer_options)?;
        let (writer, columns) = writer.into_serialized_writer()?;
        Ok(Self {
            writer,
            columns,
            resources: Origins::default(),
            scopes: Origins::default(),
            options: options.clone(),
            summaries: SummaryWriter::default(),
            filters: ValueFilters::new(options.value_filter_bits),
            item_keys: ItemKeysWriter::new(),
            baselines: options.has_baselines().then(BaselineWriter::new),
            key_counts: vec![0; chosen.len()],
            rest_keys: BTreeMap::new(),
            resource_sets: Vec::new(),
            row_groups: Vec::new(),
            trace_hashes: Vec::new(),
            row_count: 0,
        })
    }

    /// Bytes held: the row groups written, resources and scopes, counted durations.
    pub(super) fn bytes(&self) -> u64 {
        let baselines = self.baselines.as_ref().map_or(0, BaselineWriter::memory_bytes);
        self.writer.inner().len() as u64 + self.resources.bytes + self.scopes.bytes + baselines as u64
    }

    pub(super) fn row_group_count(&self) -> usize {
        self.row_groups.len()
    }

    /// Appends the row groups of a pass, complete with all columns.
    pub(super) fn append(
        &mut self,
        pass: &PassRows,
        rows: &OutputRows,
        groups: Vec<RowGroupWork>,
    ) -> Result<(), MergeError> {
        let mut resource_ids: Vec<i32> = Vec::with_capacity(rows.rows.len());
        let mut status_codes: Vec<i32> = Vec::with_capacity(rows.rows.len());
        for work in groups {
            let number = self.row_groups.len() as u32;
            let mut row_group = self.writer.next_row_group().map_err(WriteError::Encode)?;
            for chunk in work.chunks {
                chunk.append_to_row_group(&mut row_group).map_err(WriteError::Encode)?;
            }
            row_group.close().map_err(WriteError::Encode)?;
            self.writer.flush().map_err(WriteError::Index)?;
            let of_group = &rows.rows[work.rows.clone()];
            let trace_ids: Vec<_> = of_group.iter().map(|row| pass.trace_ids[row.at as usize]).collect();
            let starts: Vec<_> = of_group.iter().map(|row| pass.starts[row.at as usize]).collect();
            let durations: Vec<_> = of_group.iter().map(|row| pass.durations[row.at as usize]).collect();
            let facts = RowGroupFacts { trace_ids: &trace_ids, starts: &starts, durations: &durations };
            let stored = self.writer.flushed_row_groups().last().expect("closed a few lines above");
            let described = facts.describe(stored, self.writer.inner());
            self.row_groups.push(described);
            self.filters.push_row_group(work.values);
            self.resource_sets.push(work.resource_ids.iter().copied().collect());
            for (sum, count) in self.key_counts.iter_mut().zip(&work.key_counts) {
                *sum += count;
            }
            for (key, rest) in work.rest_keys {
                let known = self.rest_keys.entry(key).or_default();
                known.row_groups.push(number);
                known.counts.iter_mut().zip(rest.counts).for_each(|(sum, count)| *sum += count);
            }
            work.item_keys.event_keys.iter().for_each(|key| self.item_keys.push_event_key(key));
            work.item_keys.link_keys.iter().for_each(|key| self.item_keys.push_link_key(key));
            work.item_keys.event_names.iter().for_each(|name| self.item_keys.push_event_name(name));
            self.item_keys.end_row_group();
            resource_ids.extend(work.resource_ids);
            status_codes.extend(work.status_codes);
            self.resources.place(work.placed.0);
            self.scopes.place(work.placed.1);
        }
        self.summarize(pass, rows, &resource_ids, &status_codes);
        self.row_count += rows.rows.len() as u64;
        Ok(())
    }

    fn summarize(&mut self, pass: &PassRows, rows: &OutputRows, resource_ids: &[i32], status_codes: &[i32]) {
        let services: Vec<Option<&str>> = self.resources.all.iter().map(|origin| service_name(&origin.0)).collect();
        for (i, start) in rows.trace_starts.iter().enumerate() {
            let end = rows.trace_starts.get(i + 1).map_or(rows.rows.len(), |end| *end as usize);
            let trace_id = pass.trace_ids[rows.rows[*start as usize].at as usize];
            let spans = (*start as usize..end).map(|row| {
                let at = rows.rows[row].at;
                let duration_nanos = pass.durations[at as usize];
                SummarySpan {
                    start_unix_nanos: pass.starts[at as usize],
                    duration_nanos,
                    is_root: pass.parent_span_id(at) == [0; 8],
                    identity: (pass.span_ids[at as usize], pass.kinds[at as usize], duration_nanos),
                    is_error: status_codes[row] == STATUS_ERROR,
                    // The column of names is UTF-8, or it would not have been written.
                    name: std::str::from_utf8(pass.name(at)).unwrap_or_default(),
                    service: services[resource_ids[row] as usize],
                }
            });
            self.summaries.push(TraceId(trace_id), spans);
            self.trace_hashes.push(filter::hash(0, &trace_id));
        }
        let Some(baselines) = &mut self.baselines else { return };
        for (row, resource_id) in rows.rows.iter().zip(resource_ids) {
            let at = row.at as usize;
            let name = std::str::from_utf8(pass.name(row.at)).unwrap_or_default();
            let service = services[*resource_id as usize];
            baselines.push(service, name, pass.kinds[at], pass.starts[at], pass.durations[at]);
        }
    }

    /// The block.
    pub(super) fn finish(self, chosen: &[Chosen]) -> Result<Written, WriteError> {
        let mut trace_filter = Filter::with_room_for(self.trace_hashes.len(), self.options.trace_filter_bits);
        self.trace_hashes.iter().for_each(|hash| trace_filter.insert(*hash));
        let mut trace_filter_bytes = Vec::new();
        trace_filter.write(&mut trace_filter_bytes);
        let indexes = Indexes {
            level: self.options.level,
            trace_count: self.trace_hashes.len() as u64,
            duplicate_count: 0,
            summaries: self.summaries.finish(),
            value_filters: self.filters.write(),
            keys: write_keys(chosen, &self.key_counts, &self.rest_keys),
            resource_sets: write_resource_sets(&self.resource_sets),
            item_keys: self.item_keys.finish(),
            baselines: self.baselines.map(BaselineWriter::finish),
            trace_filter: trace_filter_bytes,
            resources: self.resources.write(),
            scopes: self.scopes.write(),
            attribute_columns: schema::write_columns(chosen.iter().map(|chosen| &chosen.column)),
            row_groups: self.row_groups,
        };
        finish(self.writer, indexes)
    }
}

/// The section of keys: those with a column, those without one, and where the residual column holds which.
fn write_keys(chosen: &[Chosen], key_counts: &[u64], rest_keys: &BTreeMap<Box<str>, RestKey>) -> Vec<u8> {
    let mut counts: BTreeMap<AttributeColumn, u64> = BTreeMap::new();
    for (key, rest) in rest_keys {
        for (value_type, count) in ValueType::ALL.into_iter().zip(rest.counts).filter(|(_, count)| *count > 0) {
            counts.insert(AttributeColumn { key: key.to_string(), value_type }, count);
        }
    }
    for (chosen, count) in chosen.iter().zip(key_counts) {
        let sum = counts.entry(chosen.column.clone()).or_default();
        *sum += count;
    }
    counts.retain(|_, count| *count > 0);
    let mut out = Writer::default();
    out.varint(counts.len() as u64);
    for (column, count) in counts {
        out.raw(&[column.value_type as u8]);
        out.bytes(column.key.as_bytes());
        out.varint(count);
    }
    out.varint(rest_keys.len() as u64);
    for (key, rest) in rest_keys {
        out.bytes(key.as_bytes());
        out.ascending(rest.row_groups.iter().map(|group| u64::from(*group)));
    }
    out.0
}

fn write_resource_sets(sets: &[BTreeSet<i32>]) -> Vec<u8> {
    let mut out = Writer::default();
    out.varint(sets.len() as u64);
    for set in sets {
        out.ascending(set.iter().map(|number| *number as u64).collect::<Vec<_>>().into_iter());
    }
    out.0
}

/// How a resource and a scope become text.
pub(super) const RESOURCE_TEXT: fn(&[u8], &str) -> String = resource_text;
pub(super) const SCOPE_TEXT: fn(&[u8], &str) -> String = scope_text;
