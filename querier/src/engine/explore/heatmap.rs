//! The durations of spans over time as a picture: counts by column of time and row of duration.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::ser::{SerializeTuple as _, Serializer};
use serde::{Deserialize, Serialize};
use spanlake_model::Tenant;
use spanlake_traceql::{Intrinsic, Query};

use super::super::pass::{Counter, Pass, SpanRows};
use super::traffic::{Counts, Passed};
use super::window::{Columns, UnixNanos, Window};
use super::{ERROR, intrinsic};
use crate::error::Error;
use crate::fetch::Reads;

/// Counting steps of each power of two: finer than any picture needs, so that rows can be chosen when all is counted.
const STEPS_PER_OCTAVE: usize = 16;
/// Durations below this are one step.
const LEAST_NANOS: u64 = 1_000;
/// Powers of two above it: up to 101 days; what is longer is the last step.
const OCTAVES: usize = 43;
/// Most rows of a picture.
pub const MAX_ROWS: usize = 200;

/// Which picture.
#[derive(Debug, Clone)]
pub struct HeatmapRequest {
    /// Whose spans: a search; its metrics part must be absent.
    pub query: Query,
    /// When they start.
    pub window: Window,
    /// How many rows there are, at least one.
    pub row_count: usize,
}

/// Spans of one cell; as JSON `[column, row, spans, errors]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct HeatmapCell {
    /// Counted from the window's start.
    pub column: u32,
    /// Counted from the shortest durations.
    pub row: u32,
    /// Spans.
    pub spans: u64,
    /// Those with status ERROR.
    pub errors: u64,
}

impl Serialize for HeatmapCell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut cell = serializer.serialize_tuple(4)?;
        [u64::from(self.column), u64::from(self.row), self.spans, self.errors]
            .iter()
            .try_for_each(|number| cell.serialize_element(number))?;
        cell.end()
    }
}

/// The picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Heatmap {
    /// First nanosecond of the window.
    pub start_unix_nanos: UnixNanos,
    /// The nanosecond after its last one.
    pub end_unix_nanos: UnixNanos,
    /// Width of a column.
    pub step_nanos: u64,
    /// Bounds of the rows in nanoseconds, one more than there are rows, ascending and equally far apart on a logarithmic scale (the
    /// first one may be 0). A row has the durations from its own bound on and below the next.
    pub bounds: Vec<u64>,
    /// Cells that have any spans, by column and row.
    pub cells: Vec<HeatmapCell>,
    /// All spans.
    pub total: u64,
    /// Those with status ERROR.
    pub errors: u64,
    /// Spans a second, by column.
    pub rate: Vec<f64>,
    /// Spans with status ERROR a second, by column.
    pub error_rate: Vec<f64>,
    /// Median duration in nanoseconds, by column; null without spans.
    pub p50: Vec<Option<u64>>,
    /// The duration that 99 of 100 spans do not exceed, by column; null without spans.
    pub p99: Vec<Option<u64>>,
    /// Why not all spans are counted, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
}

/// The lower bounds of all steps, ascending.
struct Steps(Vec<u64>);

impl Steps {
    fn new() -> Self {
        let bound = |step: usize| (LEAST_NANOS as f64 * (step as f64 / STEPS_PER_OCTAVE as f64).exp2()).round() as u64;
        Self([0].into_iter().chain((0..=OCTAVES * STEPS_PER_OCTAVE).map(bound)).collect())
    }

    fn of(&self, nanos: u64) -> u32 {
        if nanos < LEAST_NANOS {
            return 0;
        }
        let near = (nanos as f64 / LEAST_NANOS as f64).log2() * STEPS_PER_OCTAVE as f64;
        // The logarithm may be off by one at a bound, which the exact comparison mends.
        let mut step = (near as usize + 1).min(self.0.len() - 1);
        while self.0[step] > nanos {
            step -= 1;
        }
        while self.0.get(step + 1).is_some_and(|next| *next <= nanos) {
            step += 1;
        }
        step as u32
    }
}

struct Counting {
    columns: Columns,
    steps: Steps,
    duration: usize,
    status: usize,
}

#[derive(Default)]
struct Total {
    /// By column and step.
    cells: HashMap<(u32, u32), (u64, u64), RandomState>,
    columns: Counts,
}

impl Counter for Counting {
    type Part = (Vec<((u32, u32), (u64, u64))>, Vec<(u32, Passed)>);
    type Total = Total;

    fn count(&self, rows: &SpanRows<'_>) -> Self::Part {
        let mut cells: HashMap<(u32, u32), (u64, u64), RandomState> = HashMap::default();
        let mut columns: HashMap<u32, Passed, RandomState> = HashMap::default();
        for row in rows.rows.iter().map(|row| *row as usize) {
            let column = self.columns.of(rows.starts[row] as u64);
            let nanos = rows.number(self.duration, row) as u64;
            let is_error = rows.number(self.status, row) == ERROR;
            let cell = cells.entry((column, self.steps.of(nanos))).or_default();
            cell.0 += 1;
            cell.1 += u64::from(is_error);
            columns.entry(column).or_default().record(nanos, is_error);
        }
        (cells.into_iter().collect(), columns.into_iter().collect())
    }

    fn add(&self, total: &mut Total, (cells, columns): Self::Part) {
        for (place, (spans, errors)) in cells {
            let cell = total.cells.entry(place).or_default();
            cell.0 += spans;
            cell.1 += errors;
        }
        columns.iter().for_each(|(column, passed)| total.columns.add(*column, passed));
    }

    fn held_bytes(&self, total: &Total) -> u64 {
        48 * total.cells.len() as u64 + total.columns.held_bytes()
    }
}

/// Makes the picture.
///
/// # Errors
/// [`Error`]; past a bound on work there is what was counted until then, see [`Heatmap::partial`].
pub(crate) async fn run(reads: &Reads<'_>, tenants: &[Tenant], request: &HeatmapRequest) -> Result<Heatmap, Error> {
    let mut pass = Pass::open(reads, tenants, &request.query, request.window.range()).await?;
    let counting = Arc::new(Counting {
        columns: request.window.columns(),
        steps: Steps::new(),
        duration: pass.look_at(&intrinsic(Intrinsic::Duration)),
        status: pass.look_at(&intrinsic(Intrinsic::Status)),
    });
    let mut total = Total::default();
    let partial = pass.run(&counting, &mut total).await?.told();
    Ok(picture(&request.window, request.row_count, &counting.steps, &total, partial))
}

fn picture(window: &Window, row_count: usize, steps: &Steps, total: &Total, partial: Option<String>) -> Heatmap {
    let used = || total.cells.keys().map(|(_, step)| *step as usize);
    let (first, last) = (used().min().unwrap_or(0), used().max().unwrap_or(0));
    let row_count = row_count.max(1);
    let steps_per_row = (last + 1 - first).div_ceil(row_count).max(1);
    // Rows past the last step go on as the steps would.
    let bound = |step: usize| steps.0.get(step).copied().unwrap_or_else(|| beyond(step - steps.0.len()));
    let rows = (last + 1 - first).div_ceil(steps_per_row);
    let bounds = (0..=rows).map(|row| bound(first + row * steps_per_row)).collect();
    let mut cells: HashMap<(u32, u32), (u64, u64), RandomState> = HashMap::default();
    for ((column, step), (spans, errors)) in &total.cells {
        let row = (*step as usize - first) / steps_per_row;
        let cell = cells.entry((*column, row as u32)).or_default();
        cell.0 += spans;
        cell.1 += errors;
    }
    let mut cells: Vec<HeatmapCell> =
        cells.into_iter().map(|((column, row), (spans, errors))| HeatmapCell { column, row, spans, errors }).collect();
    cells.sort_unstable_by_key(|cell| (cell.column, cell.row));
    let columns = || (0..window.column_count as u32).map(|column| total.columns.column(column));
    let seconds = window.step_nanos() as f64 / 1e9;
    let (spans, errors) = total.columns.all().counts();
    Heatmap {
        start_unix_nanos: UnixNanos(window.start_unix_nanos),
        end_unix_nanos: UnixNanos(window.end_unix_nanos),
        step_nanos: window.step_nanos(),
        bounds,
        cells,
        total: spans,
        errors,
        rate: columns().map(|passed| passed.map_or(0.0, |passed| passed.counts().0 as f64 / seconds)).collect(),
        error_rate: columns().map(|passed| passed.map_or(0.0, |passed| passed.counts().1 as f64 / seconds)).collect(),
        p50: columns().map(|passed| passed?.durations().quantile(0.5)).collect(),
        p99: columns().map(|passed| passed?.durations().quantile(0.99)).collect(),
        partial,
    }
}

/// The bound of a step so many past the last one.
fn beyond(steps: usize) -> u64 {
    let step = OCTAVES * STEPS_PER_OCTAVE + 1 + steps;
    (LEAST_NANOS as f64 * (step as f64 / STEPS_PER_OCTAVE as f64).exp2()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_ascend_and_hold_their_bounds() {
        let steps = Steps::new();
        assert!(steps.0.windows(2).all(|pair| pair[0] < pair[1]));
        for (step, bound) in steps.0.iter().enumerate() {
            assert_eq!(steps.of(*bound), step as u32, "{bound}");
            if step > 0 {
                assert_eq!(steps.of(bound - 1), step as u32 - 1, "{bound}");
            }
        }
        assert_eq!(steps.of(u64::MAX), steps.0.len() as u32 - 1);
    }

    #[test]
    fn rows_hold_what_was_counted() {
        let window = Window { start_unix_nanos: 0, end_unix_nanos: 10, column_count: 2 };
        let steps = Steps::new();
        let mut total = Total::default();
        let durations = [0, 1_500, 40_000, 7_000_000, 90_000_000_000, u64::MAX];
        for nanos in durations {
            total.cells.entry((0, steps.of(nanos))).or_default().0 += 1;
        }
        for row_count in [1, 2, 7, 40, 200] {
            let picture = picture(&window, row_count, &steps, &total, None);
            assert!(picture.bounds.len() <= row_count + 1 && picture.bounds.windows(2).all(|pair| pair[0] < pair[1]));
            for nanos in &durations[..5] {
                let holds = |cell: &&HeatmapCell| {
                    (picture.bounds[cell.row as usize]..picture.bounds[cell.row as usize + 1]).contains(nanos)
                };
                assert!(picture.cells.iter().any(|cell| holds(&cell)), "{nanos} in {picture:?}");
            }
        }
        assert_eq!(picture(&window, 40, &steps, &Total::default(), None).bounds.len(), 2);
    }
}
