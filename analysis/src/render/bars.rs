//! Bars: which part of the time a row takes, and whether it decides how long the trace takes.

use super::rows::Item;
use crate::diagnose::Diagnosis;
use crate::trace::Trace;

/// The characters of a picture.
#[derive(Clone, Copy)]
pub(super) struct Glyphs {
    /// Own time on the critical path.
    own: char,
    /// Time on the path of something below.
    waits: char,
    /// Time that does not decide.
    beside: char,
    /// A member of a folded row that is on the path.
    tick: char,
    /// A member that is not.
    tick_beside: char,
    gap: char,
    missing: char,
    /// Something too short for a cell.
    instant: char,
    pub(super) error: char,
    pub(super) more: &'static str,
    pub(super) through: &'static str,
    pub(super) branch: &'static str,
    pub(super) last: &'static str,
}

pub(super) const UNICODE: Glyphs = Glyphs {
    own: '█',
    waits: '▒',
    beside: '░',
    tick: '┃',
    tick_beside: '│',
    gap: '╌',
    missing: '╱',
    instant: '▏',
    error: '✗',
    more: "…",
    through: "│ ",
    branch: "├ ",
    last: "└ ",
};

pub(super) const ASCII: Glyphs = Glyphs {
    own: '#',
    waits: '=',
    beside: '-',
    tick: '|',
    tick_beside: ':',
    gap: '~',
    missing: '/',
    instant: '\'',
    error: 'x',
    more: "...",
    through: "| ",
    branch: "|-",
    last: "`-",
};

impl Glyphs {
    /// What the characters mean, in one line.
    pub(super) fn legend(&self) -> String {
        let Self { own, waits, beside, gap, missing, .. } = self;
        format!(
            "{own} on the critical path  {waits} waits for what is  {beside} beside it  {gap} no spans  {missing} missing"
        )
    }
}

/// The time that all bars share.
pub(super) struct Axis {
    /// Unix nanoseconds of the first cell's start.
    pub(super) start: u64,
    /// Unix nanoseconds of the last cell's end.
    pub(super) end: u64,
    pub(super) cells: usize,
}

impl Axis {
    /// The cell of a moment.
    fn cell(&self, time: u64) -> usize {
        let whole = u128::from((self.end - self.start).max(1));
        let at = u128::from(time.clamp(self.start, self.end) - self.start) * self.cells as u128 / whole;
        (at as usize).min(self.cells.saturating_sub(1))
    }

    /// The cells that an interval covers at least half of, at least the one that it starts in.
    fn cells(&self, start: u64, end: u64) -> std::ops::Range<usize> {
        let whole = u128::from((self.end - self.start).max(1));
        let edge = |time: u64| {
            let scaled = u128::from(time.clamp(self.start, self.end) - self.start) * self.cells as u128 * 2;
            (((scaled + whole) / whole / 2) as usize).min(self.cells)
        };
        let (from, to) = (edge(start), edge(end));
        if from < to { from..to } else { self.cell(start)..self.cell(start) + 1 }
    }
}

/// The bar of a row, as wide as the axis has cells.
pub(super) fn bar(
    trace: &Trace,
    diagnosis: &Diagnosis,
    own_time: &OwnTime,
    item: &Item,
    axis: &Axis,
    glyphs: &Glyphs,
) -> String {
    let mut cells = vec![' '; axis.cells];
    let mut fill = |start: u64, end: u64, glyph: char| {
        if axis.cells > 0 {
            cells[axis.cells(start, end)].fill(glyph);
        }
    };
    let skeleton = &trace.skeleton;
    match item {
        Item::Span(span) => {
            let (start, end) = (skeleton.start(*span), skeleton.end(*span));
            let is_short = axis.cell(start) == axis.cell(end) && start == end;
            fill(start, end, if is_short { glyphs.instant } else { glyphs.beside });
            if let Some(visit) = diagnosis.path.visit(*span).filter(|visit| visit.start < visit.end) {
                fill(visit.start, visit.end, glyphs.waits);
                for (start, end) in own_time.of(*span) {
                    fill(start, end, glyphs.own);
                }
            }
        }
        Item::Folded(spans) => {
            // Members that decide are drawn over those that do not, and ends that failed over all.
            for on_path in [false, true] {
                for span in spans.iter().filter(|span| diagnosis.path.visit(**span).is_some() == on_path) {
                    let glyph = if on_path { glyphs.tick } else { glyphs.tick_beside };
                    fill(skeleton.start(*span), skeleton.end(*span), glyph);
                }
            }
            for span in spans.iter().filter(|span| skeleton.is_error(**span)) {
                let last_cell = skeleton.end(*span).saturating_sub(1);
                fill(last_cell, last_cell, glyphs.error);
            }
        }
        Item::Gap(gap) => fill(gap.start, gap.end, glyphs.gap),
        Item::Missing(at) => {
            let missing = &diagnosis.missing_parents[*at];
            fill(missing.start, missing.end, glyphs.missing);
        }
        Item::More(_) => {}
    }
    cells.into_iter().collect()
}

/// The segments of the critical path by the span whose own time they are.
pub(super) struct OwnTime(Vec<(u32, u64, u64)>);

impl OwnTime {
    pub(super) fn new(diagnosis: &Diagnosis) -> Self {
        let segments = &diagnosis.path.segments;
        let mut by_span: Vec<(u32, u64, u64)> = segments.iter().map(|one| (one.span, one.start, one.end)).collect();
        by_span.sort_unstable();
        Self(by_span)
    }

    fn of(&self, span: u32) -> impl Iterator<Item = (u64, u64)> + '_ {
        let from = self.0.partition_point(|(other, _, _)| *other < span);
        self.0[from..].iter().take_while(move |(other, _, _)| *other == span).map(|(_, start, end)| (*start, *end))
    }
}
