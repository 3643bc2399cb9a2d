//! Which rows a picture has: spans below their parents, repeats folded, gaps and missing parents in their places.

use std::collections::{BTreeMap, BTreeSet};

use super::Style;
use crate::chains::Gap;
use crate::diagnose::Diagnosis;
use crate::finding::Rule;
use crate::folds::{FOLD_FROM, alike};
use crate::trace::Trace;

/// What a row shows.
pub(super) enum Item {
    Span(u32),
    /// Siblings of one operation, by start; two at least.
    Folded(Vec<u32>),
    Gap(Gap),
    /// A missing parent, by its place in the diagnosis.
    Missing(usize),
    /// So many spans that are not drawn.
    More(u32),
}

/// One row.
pub(super) struct Row {
    pub(super) item: Item,
    pub(super) depth: u32,
    /// Whether no sibling follows.
    pub(super) is_last: bool,
}

struct Chooser<'a> {
    trace: &'a Trace,
    style: &'a Style,
    /// Spans that are drawn; all if nothing.
    kept: Option<Vec<bool>>,
    /// Spans that findings about repeats name.
    repeated: BTreeSet<u32>,
    gaps: BTreeMap<u32, Vec<Gap>>,
}

/// The rows, and whether there are more than the style allows.
pub(super) fn rows(trace: &Trace, diagnosis: &Diagnosis, style: &Style) -> (Vec<Row>, bool) {
    let mut gaps: BTreeMap<u32, Vec<Gap>> = BTreeMap::new();
    for gap in &diagnosis.gaps {
        gaps.entry(gap.span).or_default().push(*gap);
    }
    let is_repeat = |rule: Rule| {
        matches!(rule, Rule::NPlusOne | Rule::DuplicateCalls | Rule::FanOut | Rule::Retries | Rule::MaskedFailure)
    };
    let repeats = diagnosis.findings.iter().filter(|finding| is_repeat(finding.rule));
    let chooser = Chooser {
        trace,
        style,
        kept: kept(trace, diagnosis, style),
        repeated: repeats.flat_map(|finding| finding.spans.iter().copied()).collect(),
        gaps,
    };
    let mut rows = Vec::new();
    let mut pending = chooser.roots(diagnosis);
    while let Some(row) = pending.pop() {
        if rows.len() >= style.max_rows {
            return (rows, true);
        }
        let below = match &row.item {
            Item::Span(span) => chooser.below(*span, row.depth),
            Item::Missing(at) => {
                let children = &diagnosis.missing_parents[*at].children;
                chooser.siblings(children, &[], row.depth + 1)
            }
            _ => Vec::new(),
        };
        rows.push(row);
        pending.extend(below);
    }
    (rows, false)
}

/// The spans of a large trace, or of its path alone, that are drawn: with all above them.
fn kept(trace: &Trace, diagnosis: &Diagnosis, style: &Style) -> Option<Vec<bool>> {
    let is_large = trace.skeleton.span_count() as usize > style.max_rows;
    if !is_large && !style.only_path {
        return None;
    }
    let mut kept = vec![false; trace.skeleton.span_count() as usize];
    let mut keep = |span: u32| {
        let mut next = Some(span);
        while let Some(span) = next.filter(|span| !kept[*span as usize]) {
            kept[span as usize] = true;
            next = trace.tree.parent(span);
        }
    };
    trace.tree.roots().iter().for_each(|root| keep(*root));
    diagnosis.path.visits.iter().for_each(|visit| keep(visit.span));
    if !style.only_path {
        diagnosis.errors.edges.iter().for_each(|edge| keep(edge.span));
        diagnosis.findings.iter().flat_map(|finding| &finding.spans).for_each(|span| keep(*span));
    }
    Some(kept)
}

impl Chooser<'_> {
    /// Roots and missing parents, the last first.
    fn roots(&self, diagnosis: &Diagnosis) -> Vec<Row> {
        let orphans: BTreeSet<u32> = self.trace.tree.orphans().iter().copied().collect();
        let roots = self.trace.tree.roots().iter().filter(|root| !orphans.contains(root));
        let main = self.trace.tree.main_root();
        let mut items: Vec<(bool, u64, Item)> =
            roots.map(|root| (Some(*root) != main, self.trace.skeleton.start(*root), Item::Span(*root))).collect();
        let missing = diagnosis.missing_parents.iter().enumerate();
        items.extend(
            missing.map(|(at, one)| {
                (!one.children.iter().any(|child| Some(*child) == main), one.start, Item::Missing(at))
            }),
        );
        items.sort_by_key(|(is_other, start, _)| (*is_other, *start));
        self.in_rows(items.into_iter().map(|(_, _, item)| item).collect(), 0)
    }

    fn below(&self, span: u32, depth: u32) -> Vec<Row> {
        let children = self.trace.tree.children(span);
        if self.style.depth.is_some_and(|most| depth >= most) && !children.is_empty() {
            let hidden = self.trace.tree.subtree(span).len() as u32 - 1;
            return vec![Row { item: Item::More(hidden), depth: depth + 1, is_last: true }];
        }
        let gaps = self.gaps.get(&span).map_or(&[][..], |gaps| gaps);
        self.siblings(children, gaps, depth + 1)
    }

    /// Rows of siblings and of the gaps between them, the last first.
    fn siblings(&self, children: &[u32], gaps: &[Gap], depth: u32) -> Vec<Row> {
        let skeleton = &self.trace.skeleton;
        let is_kept = |span: &u32| self.kept.as_ref().is_none_or(|kept| kept[*span as usize]);
        let is_left_out = |child: &&u32| !is_kept(child);
        let hidden: usize =
            children.iter().filter(is_left_out).map(|child| self.trace.tree.subtree(*child).len()).sum();
        let alike = alike(skeleton, children.iter().copied().filter(is_kept));
        let mut items: Vec<(u64, Item)> = gaps.iter().map(|gap| (gap.start, Item::Gap(*gap))).collect();
        for spans in alike.into_values() {
            let is_repeat = spans.len() > 1 && spans.iter().all(|span| self.repeated.contains(span));
            if self.style.fold && (spans.len() >= FOLD_FROM || is_repeat) {
                items.push((skeleton.start(spans[0]), Item::Folded(spans)));
            } else {
                items.extend(spans.into_iter().map(|span| (skeleton.start(span), Item::Span(span))));
            }
        }
        let order = |item: &Item| match item {
            Item::Span(span) => *span,
            Item::Folded(spans) => spans[0],
            _ => u32::MAX,
        };
        items.sort_by_key(|(start, item)| (*start, order(item)));
        if hidden > 0 {
            items.push((u64::MAX, Item::More(hidden as u32)));
        }
        self.in_rows(items.into_iter().map(|(_, item)| item).collect(), depth)
    }

    fn in_rows(&self, items: Vec<Item>, depth: u32) -> Vec<Row> {
        let count = items.len();
        let row = |(at, item)| Row { item, depth, is_last: at + 1 == count };
        let mut rows: Vec<Row> = items.into_iter().enumerate().map(row).collect();
        rows.reverse();
        rows
    }
}
