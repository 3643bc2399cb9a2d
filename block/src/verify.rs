//! Holding a block against itself: checksums, order, counts, and every index against the rows.
//!
//! A reader trusts what is under a right checksum; this does not. It does no I/O: the caller fetches the tail, the search
//! index and one row group after the other, so that no more than a row group is in memory, and what is remembered of the
//! largest trace. Which keys have columns of their own is a writer's choice and is not judged.

mod index;
mod problem;
mod rows;
#[cfg(test)]
mod tests;
mod trace;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::Array;
use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use spanlake_model::TraceId;

pub use problem::{Check, Problem};

use crate::damage::check_crc;
use crate::directory::{ID_STRIDE, RowGroup};
use crate::read::{Block, Fetched, ResourceEntry, SearchIndex};
use crate::{BlockMeta, Damage};
use index::Contents;
use problem::Problems;
use rows::{Columns, text_at};
use trace::{Trace, TraceRow};

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 1_024;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// The first hundred problems, in the order found.
    pub problems: Vec<Problem>,
    /// All problems.
    pub problem_count: u64,
    /// Rows that were read.
    pub row_count: u64,
    /// Row groups that cannot be read, ascending. Checks of the block as a whole were left out if there is one.
    pub lost_row_groups: Vec<usize>,
    /// Rows in those.
    pub lost_row_count: u64,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problem_count == 0
    }
}

/// A verification under way: [`Verifier::open`], [`Verifier::search`], [`Verifier::row_group`] for each, [`Verifier::finish`].
pub struct Verifier {
    block: Block,
    search: Option<SearchIndex>,
    problems: Problems,
    next_group: usize,
    lost_row_groups: Vec<usize>,
    lost_row_count: u64,
    row_count: u64,
    trace_count: u64,
    /// The last trace of a row group that could not be read: the next one may have more of it.
    cut_trace: Option<TraceId>,
    last_trace_id: Option<TraceId>,
    trace: Trace,
    contents: Contents,
    services: Vec<Option<Arc<str>>>,
    seen_resources: Vec<bool>,
    seen_scopes: Vec<bool>,
}

/// What the rows of a row group say, to be held against the directory.
#[derive(Default)]
struct Facts {
    row_count: usize,
    first_trace_id: Option<TraceId>,
    last_trace_id: Option<TraceId>,
    min_start: Option<u64>,
    max_end: u64,
    durations: Option<(i64, i64)>,
    strides: Vec<TraceId>,
}

impl Verifier {
    /// Begins with a block's facts and its tail, the bytes from [`BlockMeta::tail_offset`] to the object's end.
    ///
    /// # Errors
    /// [`Verified`] with the one problem if the tail is not sound: nothing else can be read without it.
    pub fn open(meta: &BlockMeta, tail: Bytes) -> Result<Self, Verified> {
        let expect_bytes = meta.object_bytes.saturating_sub(meta.tail_offset);
        let fail = |check, expected: String, found: String| {
            let problem = Problem { check, place: "tail".to_owned(), expected, found };
            let lost_row_count = meta.span_count;
            Err(Verified { problems: vec![problem], problem_count: 1, lost_row_count, ..Verified::default() })
        };
        if tail.len() as u64 != expect_bytes {
            return fail(Check::TailChecksum, format!("{expect_bytes} bytes"), format!("{} bytes", tail.len()));
        }
        let crc = crc32c::crc32c(&tail);
        if crc != meta.tail_crc32c {
            return fail(Check::TailChecksum, format!("checksum {:08x}", meta.tail_crc32c), format!("{crc:08x}"));
        }
        match Block::open(meta, tail) {
            Ok(block) => Ok(Self::of(block)),
            Err(damage) => fail(Check::Tail, "sections and a footer that agree".to_owned(), damage.to_string()),
        }
    }

    fn of(block: Block) -> Self {
        let services: Vec<_> = block.resources().iter().map(|resource| service_of(resource)).collect();
        Self {
            contents: Contents::new(block.attribute_columns(), services.clone()),
            services,
            seen_resources: vec![false; block.resources().len()],
            seen_scopes: vec![false; block.scopes().len()],
            block,
            search: None,
            problems: Problems::default(),
            next_group: 0,
            lost_row_groups: Vec::new(),
            lost_row_count: 0,
            row_count: 0,
            trace_count: 0,
            cut_trace: None,
            last_trace_id: None,
            trace: Trace::default(),
        }
    }

    /// The opened block.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// Where the search index lies in the object.
    pub fn search_range(&self) -> Range<u64> {
        self.block.search_range()
    }

    /// Takes the bytes of [`Verifier::search_range`], or what could be read of them. To be called before any row group; what
    /// the index says is not checked if it cannot be opened.
    pub fn search(&mut self, bytes: Bytes) {
        let range = self.search_range();
        if bytes.len() as u64 != range.end - range.start {
            let (expected, found) = (range.end - range.start, bytes.len());
            let place = format_args!("search index");
            let check = Check::SearchChecksum;
            return self.problems.push(check, place, format_args!("{expected} bytes"), format_args!("{found} bytes"));
        }
        let crc = self.block.directory.search_crc32c;
        if check_crc("search index", &bytes, crc).is_err() {
            let (place, found) = (format_args!("search index"), crc32c::crc32c(&bytes));
            let expected = format_args!("checksum {crc:08x}");
            return self.problems.push(Check::SearchChecksum, place, expected, format_args!("{found:08x}"));
        }
        match self.block.open_search(bytes) {
            Ok(search) => self.search = Some(search),
            Err(damage) => self.problems.push(
                Check::Search,
                format_args!("search index"),
                format_args!("sections that agree with the directory"),
                format_args!("{damage}"),
            ),
        }
    }

    /// How many row groups there are.
    pub fn row_group_count(&self) -> usize {
        self.block.row_group_count()
    }

    /// The bytes of a row group in the object.
    pub fn row_group_range(&self, row_group: usize) -> Range<u64> {
        self.block.row_group_range(row_group)
    }

    /// Takes the bytes of the next row group, in order, or what could be read of them. True if all of its rows could be read.
    pub fn row_group(&mut self, bytes: Bytes) -> bool {
        let number = self.next_group;
        if number >= self.row_group_count() {
            return false;
        }
        self.next_group += 1;
        let sound = self.checked(number, bytes).is_some_and(|fetched| match self.read(number, fetched) {
            Ok(()) => true,
            Err(damage) => {
                let place = format_args!("row group {number}");
                self.problems.push(Check::Rows, place, format_args!("rows"), format_args!("{damage}"));
                false
            }
        });
        if !sound {
            self.contents.abandon_row_group();
            self.lost_row_groups.push(number);
            let group = &self.block.directory.row_groups[number];
            self.lost_row_count += u64::from(group.row_count);
            self.cut_trace = Some(group.last_trace_id);
            self.last_trace_id = Some(group.last_trace_id);
            self.trace.is_partial = true;
        }
        sound
    }

    /// The row group's bytes if every column chunk has its checksum.
    fn checked(&mut self, number: usize, bytes: Bytes) -> Option<Fetched> {
        let range = self.row_group_range(number);
        if bytes.len() as u64 != range.end - range.start {
            let (expected, found) = (range.end - range.start, bytes.len());
            self.problems.push(
                Check::ChunkChecksum,
                format_args!("row group {number}"),
                format_args!("{expected} bytes"),
                format_args!("{found} bytes"),
            );
            return None;
        }
        let fetched = Fetched::new(self.block.meta.object_bytes, vec![(range.start, bytes)]);
        let mut sound = true;
        for leaf in 0..self.block.plain.leaf_count() {
            if let Err(damage) = self.block.check_chunks(number, &fetched, [leaf]) {
                sound = false;
                let path = self.block.plain.parquet_schema().column(leaf).path().string();
                let crc = self.block.directory.row_groups[number].chunk_crc32c[leaf];
                self.problems.push(
                    Check::ChunkChecksum,
                    format_args!("row group {number}, column {path}"),
                    format_args!("checksum {crc:08x}"),
                    format_args!("{damage}"),
                );
            }
        }
        sound.then_some(fetched)
    }

    fn read(&mut self, number: usize, fetched: Fetched) -> Result<(), Damage> {
        let mut facts = Facts::default();
        let group_first_row = u64::from(self.block.first_rows[number]);
        let reader = self.block.reader(&self.block.plain, number, fetched, None, None, BATCH_ROWS)?;
        for batch in reader {
            let batch = batch.map_err(|error| Damage::new("row group", error.to_string()))?;
            let columns = Columns::of(&batch, self.block.columns.len())?;
            let first_row = group_first_row + facts.row_count as u64;
            for row in 0..batch.num_rows() {
                facts.add(&columns, row);
                self.read_row(&columns, row, first_row + row as u64, group_first_row, number)?;
            }
            if let Some(search) = &self.search {
                self.contents.rows(&columns, first_row, number, search, &mut self.problems)?;
            }
        }
        self.row_count += facts.row_count as u64;
        facts.compare(number, &self.block.directory.row_groups[number], &mut self.problems);
        if let Some(search) = &self.search {
            self.contents.end_row_group(number, search, &mut self.problems);
        }
        Ok(())
    }

    fn read_row(
        &mut self,
        columns: &Columns<'_>,
        at: usize,
        row: u64,
        group_first_row: u64,
        number: usize,
    ) -> Result<(), Damage> {
        let id = TraceId(fixed(columns.trace_ids.value(at))?);
        let resource_id = columns.resource_ids.value(at) as usize;
        let scope_id = columns.scope_ids.value(at) as usize;
        if resource_id >= self.seen_resources.len() || scope_id >= self.seen_scopes.len() {
            return Err(Damage::new("row group", format!("row {row} has a resource or scope that is not there")));
        }
        let begins = self.trace.id != Some(id);
        if begins {
            self.end_trace();
            if self.last_trace_id.is_some_and(|last| last > id) {
                let last = self.last_trace_id.unwrap_or(id);
                let (place, expected) = (format_args!("row {row}"), format_args!("a trace id above {last}"));
                self.problems.push(Check::RowOrder, place, expected, format_args!("{id}"));
            }
            self.trace.begin(id, row);
            self.trace.is_partial = self.cut_trace == Some(id);
            self.trace_count += u64::from(self.last_trace_id != Some(id));
            self.last_trace_id = Some(id);
        }
        if begins || row == group_first_row {
            self.check_lookup(&id, row, number);
        }
        let trace_row = TraceRow {
            row,
            group_first_row,
            span_id: fixed(columns.span_ids.value(at))?,
            parent_span_id: columns.parent_ids.is_valid(at).then(|| columns.parent_ids.value(at)),
            parent_row: columns.parent_rows.is_valid(at).then(|| columns.parent_rows.value(at)),
            descendant_count: columns.descendant_counts.value(at),
            start_unix_nanos: columns.starts.value(at),
            duration_nanos: columns.durations.value(at),
            kind: columns.kinds.value(at),
            status_code: columns.status_codes.value(at),
            name: columns.names.value(at),
            service: self.services[resource_id].as_ref(),
        };
        self.trace.row(&trace_row, &mut self.problems);
        self.check_items(columns, at, row);
        if self.lost_row_groups.is_empty() {
            self.check_texts(columns, at, row, resource_id, scope_id);
        }
        Ok(())
    }

    /// A lookup by id must come to this row group.
    fn check_lookup(&mut self, id: &TraceId, row: u64, number: usize) {
        if !self.block.row_groups_for(id).contains(&number) {
            let place = format_args!("row {row}, row group {number}");
            let expected = format_args!("a filter and a directory that lead to trace {id}");
            self.problems.push(Check::TraceFilter, place, expected, format_args!("it is ruled out"));
        }
    }

    fn check_items(&mut self, columns: &Columns<'_>, at: usize, row: u64) {
        let lists = [("events", columns.events, columns.event_counts), ("links", columns.links, columns.link_counts)];
        for (what, list, counts) in lists {
            let items = if list.is_valid(at) { list.value_length(at) } else { 0 };
            self.problems.expect(Check::Items, format_args!("row {row}"), what, &items, &counts.value(at));
        }
    }

    fn check_texts(&mut self, columns: &Columns<'_>, at: usize, row: u64, resource_id: usize, scope_id: usize) {
        let is_new = |seen: &mut Vec<bool>, id: usize| !std::mem::replace(&mut seen[id], true);
        let resource = (is_new(&mut self.seen_resources, resource_id), text_at(columns.resources, at).is_some());
        let scope = (is_new(&mut self.seen_scopes, scope_id), text_at(columns.scopes, at).is_some());
        for (what, (expected, found)) in [("a resource text:", resource), ("a scope text:", scope)] {
            self.problems.expect(Check::Origins, format_args!("row {row}"), what, &expected, &found);
        }
    }

    /// Ends the trace under way and holds it against its summary.
    fn end_trace(&mut self) {
        let Some(id) = self.trace.id else { return };
        let summary = self.search.as_ref().and_then(|search| {
            let summaries = search.summaries();
            let found = summaries.binary_search_by(|summary| summary.trace_id.cmp(&id)).ok()?;
            Some((&summaries[found], search.services(&summaries[found])))
        });
        if summary.is_none() && self.search.is_some() {
            let (place, expected) = (format_args!("trace {id}"), format_args!("a summary"));
            self.problems.push(Check::Summaries, place, expected, format_args!("none"));
        }
        self.trace.end(summary, &mut self.problems);
    }

    /// The verdict, once every row group was handed in; those that were not count as lost.
    pub fn finish(mut self) -> Verified {
        while self.next_group < self.row_group_count() {
            self.row_group(Bytes::new());
        }
        self.end_trace();
        if self.lost_row_groups.is_empty() {
            self.check_whole();
        }
        Verified {
            problems: self.problems.kept,
            problem_count: self.problems.count,
            row_count: self.row_count,
            lost_row_groups: self.lost_row_groups,
            lost_row_count: self.lost_row_count,
        }
    }

    fn check_whole(&mut self) {
        let meta = self.block.meta.clone();
        let groups = &self.block.directory.row_groups;
        let min_start = groups.iter().map(|group| group.min_start_unix_nanos).min().unwrap_or(0);
        let max_end = groups.iter().map(|group| group.max_end_unix_nanos).max().unwrap_or(0);
        // The row groups' own facts have been held against the rows.
        let numbers = [
            ("spans", self.row_count, meta.span_count),
            ("traces", self.trace_count, meta.trace_count),
            ("earliest start", min_start, meta.min_start_unix_nanos),
            ("latest end", max_end, meta.max_end_unix_nanos),
        ];
        for (what, rows, name) in numbers {
            self.problems.expect(Check::Counts, format_args!("name"), what, &rows, &name);
        }
        let Some(search) = &self.search else { return };
        let summary_count = search.summaries().len() as u64;
        let place = format_args!("search index");
        self.problems.expect(Check::Summaries, place, "traces", &self.trace_count, &summary_count);
        let contents = std::mem::replace(&mut self.contents, Contents::new(&[], Vec::new()));
        contents.end(search, &mut self.problems);
    }
}

impl Facts {
    fn add(&mut self, columns: &Columns<'_>, at: usize) {
        let id = columns.trace_ids.value(at).try_into().ok().map(TraceId);
        if self.row_count.is_multiple_of(ID_STRIDE) {
            self.strides.extend(id);
        }
        self.row_count += 1;
        self.first_trace_id = self.first_trace_id.or(id);
        self.last_trace_id = id;
        let (start, duration) = (columns.starts.value(at), columns.durations.value(at));
        self.min_start = Some(self.min_start.map_or(start, |min| min.min(start)));
        self.max_end = self.max_end.max(start.saturating_add(duration.max(0) as u64));
        let (min, max) = self.durations.unwrap_or((duration, duration));
        self.durations = Some((min.min(duration), max.max(duration)));
    }

    fn compare(&self, number: usize, told: &RowGroup, problems: &mut Problems) {
        let place = format_args!("row group {number}");
        let check = Check::RowGroupFacts;
        problems.expect(check, place, "rows", &self.row_count, &(told.row_count as usize));
        problems.expect(check, place, "first trace id", &self.first_trace_id, &Some(told.first_trace_id));
        problems.expect(check, place, "last trace id", &self.last_trace_id, &Some(told.last_trace_id));
        problems.expect(check, place, "earliest start", &self.min_start, &Some(told.min_start_unix_nanos));
        problems.expect(check, place, "latest end", &self.max_end, &told.max_end_unix_nanos);
        let durations = Some((told.min_duration_nanos, told.max_duration_nanos));
        problems.expect(check, place, "durations", &self.durations, &durations);
        problems.expect(check, place, "trace ids of strides", &self.strides, &told.stride_trace_ids);
    }
}

/// `service.name` of a resource, where it is a string.
fn service_of(resource: &ResourceEntry) -> Option<Arc<str>> {
    let services = resource.resource.attributes.iter().filter(|attribute| attribute.key == "service.name");
    services
        .filter_map(|attribute| match attribute.value.as_ref()?.value.as_ref()? {
            Value::StringValue(name) => Some(Arc::from(name.as_str())),
            _ => None,
        })
        .next()
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Damage> {
    bytes.try_into().map_err(|_| Damage::new("row group", "an id has another length"))
}
