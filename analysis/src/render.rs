//! A trace as a picture of text: the waterfall with its critical path, folded repeats, gaps, missing parents, and what was found.
//! Pure: whoever prints it says how wide it is and whether it has colours. Names come from outside and are made harmless.

use std::collections::BTreeMap;

use crate::diagnose::Diagnosis;
use crate::finding::{readable_nanos, readable_share, share};
use crate::trace::Trace;

mod bars;
mod markdown;
mod note;
mod rows;
mod text;

pub use markdown::markdown;

use bars::{Axis, Glyphs, OwnTime};
use rows::{Item, Row};
use text::{columns, cut, harmless, pad};

/// How a trace is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal; at least [`MIN_WIDTH`] are used.
    pub width: usize,
    /// Whether to write ANSI colours. The text is the same without.
    pub colour: bool,
    /// Whether more than ASCII may be drawn. Names are written as they are in any case.
    pub unicode: bool,
    /// Draw siblings of one operation as one row, from five alike or where a finding is about them.
    pub fold: bool,
    /// Draw only what is on the critical path.
    pub only_path: bool,
    /// Levels below the roots that are drawn.
    pub depth: Option<u32>,
    /// Most rows. A trace with more spans is drawn without what is neither on the path nor failed nor found.
    pub max_rows: usize,
    /// Findings written below the waterfall.
    pub findings: usize,
}

/// The narrowest picture.
pub const MIN_WIDTH: usize = 40;
/// The widest picture: more columns would tell nothing.
pub const MAX_WIDTH: usize = 400;

impl Default for Style {
    fn default() -> Self {
        Self {
            width: 80,
            colour: false,
            unicode: true,
            fold: true,
            only_path: false,
            depth: None,
            max_rows: 200,
            findings: 5,
        }
    }
}

/// Where the columns are.
struct Layout {
    label: usize,
    bar: usize,
    duration: usize,
    note: usize,
}

impl Layout {
    fn new(width: usize) -> Self {
        let width = width.clamp(MIN_WIDTH, MAX_WIDTH);
        let label = (width * 3 / 8).min(60);
        // As wide as the longest duration, 5124096 hours.
        let duration = 9;
        // A narrow picture has its notes in the list of findings only.
        let note = if width >= 100 { (width / 5).min(40) } else { 0 };
        let blanks = if note > 0 { 3 } else { 2 };
        Self { label, bar: width - label - duration - note - blanks, duration, note }
    }
}

/// Draws a trace with what was found about it. Every line ends with a line feed and is at most as wide as said; the sentences of
/// findings are broken between words.
pub fn render(trace: &Trace, diagnosis: &Diagnosis, style: &Style) -> String {
    let Some((start, end)) = trace.bounds() else { return "The trace has no spans.\n".to_owned() };
    let layout = Layout::new(style.width);
    let mut picture = Picture {
        trace,
        diagnosis,
        style,
        axis: Axis { start, end, cells: layout.bar },
        glyphs: if style.unicode { bars::UNICODE } else { bars::ASCII },
        notes: note::notes(trace, diagnosis),
        own_time: OwnTime::new(diagnosis),
        colours: if style.colour { service_colours(trace, diagnosis) } else { BTreeMap::new() },
        layout,
        out: String::new(),
    };
    picture.header();
    picture.scale();
    let (rows, cut_rows) = rows::rows(trace, diagnosis, style);
    let mut open: Vec<bool> = Vec::new();
    for row in &rows {
        picture.row(row, &mut open);
    }
    picture.legend();
    if cut_rows {
        picture.line(&format!("{} more rows are not drawn", picture.glyphs.more));
    }
    picture.findings();
    picture.out
}

/// Colours of services, the one with the most time on the path first; ties by name, so that everyone sees the same.
fn service_colours(trace: &Trace, diagnosis: &Diagnosis) -> BTreeMap<u32, u8> {
    const PALETTE: [u8; 10] = [36, 32, 33, 35, 34, 96, 92, 93, 95, 94];
    let mut time: BTreeMap<u32, u64> =
        (0..trace.skeleton.span_count()).map(|span| (trace.skeleton.service_code(span), 0)).collect();
    for segment in &diagnosis.path.segments {
        let of = time.entry(trace.skeleton.service_code(segment.span)).or_default();
        *of = of.saturating_add(segment.duration());
    }
    let mut services: Vec<(u32, u64)> = time.into_iter().collect();
    services.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    services.iter().enumerate().map(|(at, (service, _))| (*service, PALETTE[at % PALETTE.len()])).collect()
}

struct Picture<'a> {
    trace: &'a Trace,
    diagnosis: &'a Diagnosis,
    style: &'a Style,
    layout: Layout,
    axis: Axis,
    glyphs: Glyphs,
    notes: BTreeMap<u32, String>,
    own_time: OwnTime,
    colours: BTreeMap<u32, u8>,
    out: String,
}

const RED: u8 = 31;
const DIM: u8 = 2;
const BOLD: u8 = 1;

impl Picture<'_> {
    fn width(&self) -> usize {
        self.style.width.clamp(MIN_WIDTH, MAX_WIDTH)
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    fn paint(&self, text: &str, colour: Option<u8>) -> String {
        match colour.filter(|_| self.style.colour) {
            Some(code) if !text.trim().is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }

    fn header(&mut self) {
        let skeleton = &self.trace.skeleton;
        let whole = self.trace.root().map_or(0, |(_, nanos)| nanos);
        let label = self.trace.tree.main_root().map_or_else(String::new, |root| harmless(&skeleton.label(root)));
        let services = (0..skeleton.span_count()).map(|span| skeleton.service_code(span));
        let services: std::collections::BTreeSet<u32> = services.collect();
        let counted = crate::chains::counted;
        let mut facts = vec![
            readable_nanos(whole),
            counted(skeleton.span_count() as usize, "span"),
            counted(services.len(), "service"),
        ];
        if !self.diagnosis.errors.edges.is_empty() {
            facts.push(counted(self.diagnosis.errors.edges.len(), "error"));
        }
        let facts = facts.join("  ");
        let room = self.width().saturating_sub(columns(&facts) + 2);
        let head = cut(&label, room.max(8), self.glyphs.more);
        let head = self.paint(&head, Some(BOLD));
        self.line(&format!("{head}  {facts}"));
        if let Some(path) = self.path_line(whole) {
            let path = cut(&path, self.width(), self.glyphs.more);
            self.line(&path);
        }
    }

    /// Which services the path is spent in, and how much of it nothing tells of.
    fn path_line(&self, whole: u64) -> Option<String> {
        let skeleton = &self.trace.skeleton;
        let gaps = &self.diagnosis.gaps;
        let mut by_service: BTreeMap<u32, u64> = BTreeMap::new();
        for segment in &self.diagnosis.path.segments {
            let at = gaps.partition_point(|gap| gap.start < segment.start);
            if gaps.get(at).is_none_or(|gap| gap.start != segment.start) {
                let of = by_service.entry(skeleton.service_code(segment.span)).or_default();
                *of = of.saturating_add(segment.duration());
            }
        }
        let mut services: Vec<(u32, u64)> = by_service.into_iter().collect();
        services.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let name = |service: u32| match skeleton.strings()[service as usize].as_str() {
            "" => "(no service)".to_owned(),
            service => harmless(service),
        };
        let part =
            |(service, nanos): &(u32, u64)| format!("{} {}", name(*service), readable_share(share(*nanos, whole)));
        let mut parts: Vec<String> = services.iter().take(4).map(part).collect();
        let silent = gaps.iter().map(|gap| gap.end - gap.start).fold(0, u64::saturating_add);
        if silent > 0 {
            parts.push(format!("no spans {}", readable_share(share(silent, whole))));
        }
        (!parts.is_empty()).then(|| format!("critical path: {}", parts.join("  ")))
    }

    fn scale(&mut self) {
        let marks = if self.layout.bar >= 48 { 4 } else { 2 };
        let mut scale = String::new();
        let whole = self.axis.end - self.axis.start;
        for mark in 0..=marks {
            let text = if mark == 0 { "0".to_owned() } else { readable_nanos(whole / marks * mark) };
            let at = self.layout.bar * mark as usize / marks as usize;
            // The last one ends where the bars end.
            let at = if mark == marks { at.saturating_sub(columns(&text)) } else { at };
            if at >= columns(&scale) + usize::from(mark > 0) {
                scale = pad(&scale, at);
                scale.push_str(&text);
            }
        }
        let line = format!("{} {scale}", pad("", self.layout.label));
        self.line(&line);
    }

    fn legend(&mut self) {
        let legend = self.glyphs.legend();
        let legend = cut(&legend, self.width(), self.glyphs.more);
        let legend = self.paint(&legend, Some(DIM));
        self.line(&legend);
    }

    fn row(&mut self, row: &Row, open: &mut Vec<bool>) {
        let skeleton = &self.trace.skeleton;
        let prefix = self.prefix(row, open);
        let more = self.glyphs.more;
        let times = if self.style.unicode { "×" } else { "x" };
        let (label, suffix, mark_error, nanos, note, service) = match &row.item {
            Item::Span(span) => {
                let note = self.notes.get(span).cloned();
                let error = skeleton.is_error(*span);
                (
                    harmless(&skeleton.label(*span)),
                    String::new(),
                    error,
                    skeleton.duration(*span),
                    note,
                    Some(skeleton.service_code(*span)),
                )
            }
            Item::Folded(spans) => {
                let first = spans[0];
                let failed = spans.iter().filter(|span| skeleton.is_error(**span)).count();
                let total =
                    crate::trace::covered(spans.iter().map(|span| (skeleton.start(*span), skeleton.end(*span))));
                let errors =
                    if failed > 0 { format!(", {}", crate::chains::counted(failed, "error")) } else { String::new() };
                let suffix = format!(" {times}{}{errors}", spans.len());
                let label = harmless(&skeleton.label(first));
                let note = spans.iter().find_map(|span| self.notes.get(span)).cloned();
                (label, suffix, failed > 0, total, note, Some(skeleton.service_code(first)))
            }
            Item::Gap(gap) => ("~ no spans".to_owned(), String::new(), false, gap.end - gap.start, None, None),
            Item::Missing(at) => {
                let missing = &self.diagnosis.missing_parents[*at];
                let label = format!("! missing {}", missing.span_id);
                (label, String::new(), false, missing.end - missing.start, Some(missing.cause.words().to_owned()), None)
            }
            Item::More(count) => (
                format!("{more} {}", crate::chains::counted(*count as usize, "more span")),
                String::new(),
                false,
                0,
                None,
                None,
            ),
        };
        let error_mark = if mark_error { self.glyphs.error } else { ' ' };
        let room = self.layout.label.saturating_sub(columns(&prefix) + 2);
        // Of a folded row the number of repeats is kept before the name.
        let label = cut(&label, room.saturating_sub(columns(&suffix)), more) + &suffix;
        let name = pad(&cut(&label, room, more), room);
        let colour =
            if mark_error { Some(RED) } else { service.and_then(|service| self.colours.get(&service)).copied() };
        let bar = bars::bar(self.trace, self.diagnosis, &self.own_time, &row.item, &self.axis, &self.glyphs);
        let bar_colour = if matches!(row.item, Item::Gap(_) | Item::Missing(_)) { Some(DIM) } else { colour };
        let duration = match row.item {
            Item::More(_) => String::new(),
            _ => readable_nanos(nanos),
        };
        let blanks = self.layout.duration.saturating_sub(columns(&duration));
        let note = cut(&harmless(&note.unwrap_or_default()), self.layout.note, more);
        let line = format!(
            "{}{} {} {} {}{duration} {note}",
            self.paint(&prefix, Some(DIM)),
            self.paint(&name, colour),
            self.paint(&error_mark.to_string(), Some(RED)),
            self.paint(&bar, bar_colour),
            " ".repeat(blanks),
        );
        self.line(&line);
    }

    /// The branches left of a label. Of very deep rows only the last levels, which a narrow column can hold.
    fn prefix(&self, row: &Row, open: &mut Vec<bool>) -> String {
        let depth = row.depth as usize;
        open.truncate(depth);
        open.resize(depth, false);
        open.push(!row.is_last);
        let mut prefix = String::new();
        // Half of the column is for names.
        let most = self.layout.label / 4;
        let from = if depth > most {
            prefix = format!("{}{depth} ", self.glyphs.more);
            depth - most.saturating_sub(4)
        } else {
            1.min(depth)
        };
        for is_open in &open[from..depth] {
            prefix.push_str(if *is_open { self.glyphs.through } else { "  " });
        }
        if depth > 0 {
            prefix.push_str(if row.is_last { self.glyphs.last } else { self.glyphs.branch });
        }
        prefix
    }

    fn findings(&mut self) {
        let shown = self.diagnosis.findings.iter().take(self.style.findings);
        let width = self.width();
        let mut lines = Vec::new();
        for (at, finding) in shown.enumerate() {
            let confidence = format!("{:?}", finding.confidence).to_lowercase();
            let stake = match finding.at_stake_nanos {
                0 => String::new(),
                nanos => format!(", {} ({})", readable_nanos(nanos), readable_share(finding.share_of_root)),
            };
            lines.push(
                self.paint(&format!("{}. {}", at + 1, finding.rule), Some(BOLD)) + &format!("  {confidence}{stake}"),
            );
            lines.extend(text::wrap(&harmless(&finding.text), width - 3).into_iter().map(|line| format!("   {line}")));
        }
        let rest = self.diagnosis.findings.len().saturating_sub(self.style.findings);
        if rest > 0 && self.style.findings > 0 {
            lines.push(format!("   and {} of less weight", crate::chains::counted(rest, "finding")));
        }
        if !lines.is_empty() {
            self.out.push('\n');
        }
        lines.iter().for_each(|line| self.line(line));
    }
}

#[cfg(test)]
mod tests;
