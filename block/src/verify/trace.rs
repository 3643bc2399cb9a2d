//! The rows of one trace against each other and against the trace's summary, row by row.
//!
//! A trace may span row groups, so that what is remembered of it grows with it: some 60 bytes a span of the largest
//! trace, and nothing of the traces before.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use spanlake_model::TraceId;

use super::problem::{Check, Problems};
use crate::filter;
use crate::{ServiceCount, TraceSummary};

/// Status code ERROR of OpenTelemetry.
const STATUS_ERROR: i32 = 2;

/// What of a row matters to its trace.
pub(super) struct TraceRow<'a> {
    /// Counted from the block's first row.
    pub(super) row: u64,
    /// First row of the row group.
    pub(super) group_first_row: u64,
    pub(super) span_id: [u8; 8],
    /// As the column has it: absent when there is no parent or the parent lies in the row group.
    pub(super) parent_span_id: Option<&'a [u8]>,
    pub(super) parent_row: Option<i32>,
    pub(super) descendant_count: i32,
    pub(super) start_unix_nanos: u64,
    pub(super) duration_nanos: i64,
    pub(super) kind: i32,
    pub(super) status_code: i32,
    pub(super) name: &'a str,
    pub(super) service: Option<&'a Arc<str>>,
}

/// A row whose descendants may still follow.
struct Ancestor {
    row: u64,
    /// Its last descendant.
    end: u64,
    span_id: [u8; 8],
    last_child_start: u64,
}

/// A row without a parent in the block.
struct Root {
    row: u64,
    start: u64,
    /// The parent that it names, if that is a span id other than its own.
    parent: Option<[u8; 8]>,
}

/// The earliest span of an id.
struct Earliest {
    start: u64,
    row: u64,
    /// Whether another span of this id starts at the same moment: which of them is meant is not told.
    is_tied: bool,
}

/// The order of roots of one trace: the earliest is the one whose name the summary has.
type RootOrder = (u64, [u8; 8], i32, i64, String);

/// The trace that is being read.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) id: Option<TraceId>,
    /// Whether rows of it are missing, so that nothing can be said of it as a whole.
    pub(super) is_partial: bool,
    first_row: u64,
    row_count: u64,
    stack: Vec<Ancestor>,
    /// Where the farthest descendant must be.
    farthest_end: u64,
    roots: Vec<Root>,
    by_id: HashMap<[u8; 8], Earliest>,
    identities: HashSet<u128>,
    start: u64,
    end: u64,
    error_count: u64,
    root: Option<(RootOrder, Option<Arc<str>>)>,
    services: Vec<ServiceCount>,
    places: HashMap<Arc<str>, usize>,
}

impl Trace {
    /// Forgets the trace before and begins another.
    pub(super) fn begin(&mut self, id: TraceId, first_row: u64) {
        self.id = Some(id);
        self.is_partial = false;
        self.first_row = first_row;
        self.row_count = 0;
        self.stack.clear();
        self.farthest_end = 0;
        self.roots.clear();
        // A map that held a huge trace is not kept for small ones: clearing it costs its capacity.
        if self.by_id.capacity() > 4 * self.by_id.len() + 64 {
            (self.by_id, self.identities) = (HashMap::new(), HashSet::new());
        }
        self.by_id.clear();
        self.identities.clear();
        (self.start, self.end, self.error_count) = (u64::MAX, 0, 0);
        self.root = None;
        self.services.clear();
        self.places.clear();
    }

    /// Reads the next row.
    pub(super) fn row(&mut self, row: &TraceRow<'_>, problems: &mut Problems) {
        self.row_count += 1;
        self.count(row);
        if self.is_partial {
            return;
        }
        self.link(row, problems);
        let first = filter::hash(0, &row.span_id);
        let identity = |seed: u64| {
            let seed = filter::hash(seed ^ first, &row.kind.to_le_bytes());
            let seed = filter::hash(seed, &row.start_unix_nanos.to_le_bytes());
            let seed = filter::hash(seed, &row.duration_nanos.to_le_bytes());
            filter::hash(seed, row.name.as_bytes())
        };
        let identity = u128::from(identity(1)) << 64 | u128::from(identity(2));
        if !self.identities.insert(identity) {
            problems.push(
                Check::Duplicates,
                format_args!("row {}", row.row),
                format_args!("a span that is not in the block yet"),
                format_args!("span {} of the same kind, times and name again", hex(&row.span_id)),
            );
        }
        let earliest = Earliest { start: row.start_unix_nanos, row: row.row, is_tied: false };
        self.by_id
            .entry(row.span_id)
            .and_modify(|known| match row.start_unix_nanos.cmp(&known.start) {
                std::cmp::Ordering::Less => *known = Earliest { ..earliest },
                std::cmp::Ordering::Equal => known.is_tied = true,
                std::cmp::Ordering::Greater => {}
            })
            .or_insert(Earliest { start: row.start_unix_nanos, row: row.row, is_tied: false });
    }

    /// Counts for the summary.
    fn count(&mut self, row: &TraceRow<'_>) {
        let start = row.start_unix_nanos;
        // A start of zero is a start that was not given.
        if start != 0 {
            self.start = self.start.min(start);
            self.end = self.end.max(start.saturating_add(row.duration_nanos.max(0) as u64));
        }
        let is_error = row.status_code == STATUS_ERROR;
        self.error_count += u64::from(is_error);
        if let Some(service) = row.service {
            let place = *self.places.entry(Arc::clone(service)).or_insert_with(|| {
                self.services.push(ServiceCount { service: Arc::clone(service), span_count: 0, error_count: 0 });
                self.services.len() - 1
            });
            self.services[place].span_count += 1;
            self.services[place].error_count += u32::from(is_error);
        }
        let names_a_parent = match row.parent_span_id {
            Some(id) => id.len() == 8 && id.iter().any(|byte| *byte != 0),
            None => row.parent_row.is_some(),
        };
        if !names_a_parent {
            let is_first = self.root.as_ref().is_none_or(|((start, span_id, kind, duration, name), _)| {
                let order = (row.start_unix_nanos, row.span_id, row.kind, row.duration_nanos, row.name);
                order < (*start, *span_id, *kind, *duration, name.as_str())
            });
            if is_first {
                let order = (start, row.span_id, row.kind, row.duration_nanos, row.name.to_owned());
                self.root = Some((order, row.service.cloned()));
            }
        }
    }

    /// Holds parent and descendants against the rows before.
    fn link(&mut self, row: &TraceRow<'_>, problems: &mut Problems) {
        while self.stack.last().is_some_and(|ancestor| ancestor.end < row.row) {
            self.stack.pop();
        }
        let place = format_args!("row {}", row.row);
        let found = row.parent_row.map(i64::from);
        let parent = self.stack.last_mut();
        let expected = parent.as_ref().map(|parent| (row.row - parent.row) as i64);
        if found != expected {
            problems.push(
                Check::Tree,
                place,
                format_args!("its parent {}", Back(expected)),
                format_args!("{}", Back(found)),
            );
        }
        let mut end = row.row + u64::try_from(row.descendant_count).unwrap_or(0);
        let start = row.start_unix_nanos;
        match parent {
            Some(parent) => {
                if start < parent.last_child_start {
                    let before = parent.last_child_start;
                    problems.push(
                        Check::Tree,
                        place,
                        format_args!("a start not before its sibling's, {before}"),
                        format_args!("{start}"),
                    );
                }
                parent.last_child_start = start;
                if end > parent.end {
                    let most = parent.end - row.row;
                    problems.push(
                        Check::Tree,
                        place,
                        format_args!("at most its parent's last {most} descendants"),
                        format_args!("{}", row.descendant_count),
                    );
                    end = parent.end;
                }
                let in_group = parent.row >= row.group_first_row;
                let stored = row.parent_span_id;
                if in_group && stored.is_some() || !in_group && stored != Some(parent.span_id.as_slice()) {
                    let parent_id = hex(&parent.span_id);
                    let expected = if in_group { "no id of a parent in the same row group" } else { &parent_id };
                    problems.push(
                        Check::Tree,
                        place,
                        format_args!("{expected}"),
                        format_args!("{}", stored.map_or_else(|| "none".to_owned(), hex)),
                    );
                }
            }
            None => {
                let parent = row.parent_span_id.and_then(|id| <[u8; 8]>::try_from(id).ok());
                let parent = parent.filter(|id| *id != [0; 8] && *id != row.span_id);
                self.roots.push(Root { row: row.row, start, parent });
            }
        }
        if row.descendant_count < 0 {
            problems.push(
                Check::Tree,
                place,
                format_args!("a count of descendants"),
                format_args!("{}", row.descendant_count),
            );
        }
        self.farthest_end = self.farthest_end.max(end);
        self.stack.push(Ancestor { row: row.row, end, span_id: row.span_id, last_child_start: 0 });
    }

    /// The trace is over: holds it as a whole against its summary.
    pub(super) fn end(&mut self, summary: Option<(&TraceSummary, &[ServiceCount])>, problems: &mut Problems) {
        let Some(id) = self.id.take().filter(|_| !self.is_partial) else { return };
        let last_row = self.first_row + self.row_count - 1;
        if self.farthest_end > last_row {
            problems.push(
                Check::Tree,
                format_args!("trace {id}"),
                format_args!("descendants up to its last row {last_row}"),
                format_args!("some up to row {}", self.farthest_end),
            );
        }
        self.check_roots(id, problems);
        if let Some((summary, services)) = summary {
            self.check_summary(id, summary, services, problems);
        }
    }

    /// Roots come by start; behind them those that were cut from a cycle, whose parent is a row behind them.
    fn check_roots(&self, id: TraceId, problems: &mut Problems) {
        let mut last = (false, 0);
        for root in &self.roots {
            let place = format_args!("row {} of trace {id}", root.row);
            let parent = root.parent.as_ref().and_then(|parent| self.by_id.get(parent));
            if parent.is_some_and(|parent| parent.is_tied) {
                continue;
            }
            if let Some(parent) = parent.filter(|parent| parent.row < root.row) {
                problems.push(Check::Tree, place, format_args!("its parent {}", parent.row), format_args!("none"));
            }
            let order = (parent.is_some(), root.start);
            if order < last {
                let before = last.1;
                problems.push(
                    Check::Tree,
                    place,
                    format_args!("a start not before the root's before it, {before}"),
                    format_args!("{}", root.start),
                );
            }
            last = last.max(order);
        }
    }

    fn check_summary(&self, id: TraceId, summary: &TraceSummary, services: &[ServiceCount], problems: &mut Problems) {
        let place = format_args!("trace {id}");
        let mut expect_number = |what: &str, rows: u64, told: u64| {
            problems.expect(Check::Summaries, place, what, &rows, &told);
        };
        expect_number("first row", self.first_row, u64::from(summary.first_row));
        expect_number("spans", self.row_count, u64::from(summary.span_count));
        expect_number("errors", self.error_count, u64::from(summary.error_count));
        let start = if self.end == 0 { 0 } else { self.start };
        expect_number("start", start, summary.start_unix_nanos);
        expect_number("end", self.end.max(start), summary.end_unix_nanos);
        let root_name = self.root.as_ref().map(|(order, _)| order.4.as_str());
        problems.expect(Check::Summaries, place, "root name", &root_name, &summary.root_name.as_deref());
        let root_service = self.root.as_ref().and_then(|(_, service)| service.as_deref());
        problems.expect(Check::Summaries, place, "root service", &root_service, &summary.root_service.as_deref());
        // Their order is not part of the format.
        let sorted = |services: &[ServiceCount]| {
            let mut services = services.to_vec();
            services.sort_by(|a, b| a.service.cmp(&b.service));
            services
        };
        problems.expect(Check::Summaries, place, "services", &sorted(&self.services), &sorted(services));
    }
}

/// A distance to the parent, for people.
struct Back(Option<i64>);

impl std::fmt::Display for Back {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(rows) => write!(f, "{rows} rows back"),
            None => f.write_str("absent"),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}
