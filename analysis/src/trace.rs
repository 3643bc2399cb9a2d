//! A skeleton with its tree, and which children a span waits for: what every rule starts from.

use crate::skeleton::{Kind, Operation, Skeleton};
use crate::tree::Tree;

/// A child may end this much after its parent and still be one that the parent waited for: clocks and exporters
/// round.
const LATE_NANOS: u64 = 1_000_000;
/// The same, as a share of the parent's duration: one in so many.
const LATE_SHARE: u64 = 20;

/// A trace ready to be analysed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The columns.
    pub skeleton: Skeleton,
    /// The structure.
    pub tree: Tree,
}

/// A child that its parent waits for, clamped to the parent's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocking {
    /// The child.
    pub span: u32,
    /// Start in Unix nanoseconds, not before the parent's.
    pub start: u64,
    /// End in Unix nanoseconds, after the start and not after the parent's.
    pub end: u64,
}

impl Trace {
    /// Finds the structure of a skeleton.
    pub fn new(skeleton: Skeleton) -> Self {
        let tree = Tree::new(&skeleton);
        Self { skeleton, tree }
    }

    /// The span and what is below it as a trace of its own, in which it is the root. Spans have other numbers there; rows stay.
    pub fn below(&self, span: u32) -> Self {
        let mut spans = self.tree.subtree(span).to_vec();
        spans.sort_unstable();
        Self::new(self.skeleton.part(&spans, span))
    }

    /// The child's time inside its parent if the parent waits for it. It does not for a consumer below a producer, for
    /// what starts when the parent has ended, and for what outlives it by more than 1 ms and 5 %. A child that takes no
    /// time inside its parent makes nothing wait either.
    pub fn blocking(&self, parent: u32, child: u32) -> Option<Blocking> {
        let skeleton = &self.skeleton;
        let (start, end) = (skeleton.start(parent), skeleton.end(parent));
        if self.is_async(parent, child) {
            return None;
        }
        let clamped =
            Blocking { span: child, start: skeleton.start(child).max(start), end: skeleton.end(child).min(end) };
        (clamped.start < clamped.end).then_some(clamped)
    }

    /// Whether the child runs on its own: its parent does not wait for its end.
    pub fn is_async(&self, parent: u32, child: u32) -> bool {
        let skeleton = &self.skeleton;
        let end = skeleton.end(parent);
        let late = LATE_NANOS.max(skeleton.duration(parent) / LATE_SHARE);
        let message = skeleton.kind(parent) == Kind::Producer && skeleton.kind(child) == Kind::Consumer;
        message || skeleton.start(child) > end || skeleton.end(child) > end.saturating_add(late)
    }

    /// The children that a span waits for, by start.
    pub fn blocking_children(&self, span: u32) -> impl Iterator<Item = Blocking> + '_ {
        self.tree.children(span).iter().filter_map(move |child| self.blocking(span, *child))
    }

    /// The root that stands for the trace, with its duration; nothing for an empty trace.
    pub fn root(&self) -> Option<(u32, u64)> {
        let root = self.tree.main_root()?;
        Some((root, self.skeleton.duration(root)))
    }

    /// Earliest start and latest end in Unix nanoseconds. Spans without a start count only if none has one.
    pub fn bounds(&self) -> Option<(u64, u64)> {
        let skeleton = &self.skeleton;
        let of = |timed: bool| {
            let spans = || (0..skeleton.span_count()).filter(move |span| !timed || skeleton.start(*span) != 0);
            Some((spans().map(|span| skeleton.start(span)).min()?, spans().map(|span| skeleton.end(span)).max()?))
        };
        of(true).or_else(|| of(false))
    }

    /// The only child that carries nearly all of a span's time (80 %), as below a thin wrapper.
    pub(crate) fn inner_call(&self, span: u32) -> Option<u32> {
        let [child] = self.tree.children(span) else { return None };
        let whole = self.skeleton.duration(span);
        (self.skeleton.duration(*child) >= whole - whole / 5 && whole > 0).then_some(*child)
    }

    pub(crate) fn operation(&self, span: u32) -> Operation {
        self.skeleton.operation(span)
    }
}

/// Nanoseconds covered by at least one of the intervals, which come by start.
pub(crate) fn covered(intervals: impl Iterator<Item = (u64, u64)>) -> u64 {
    let mut sum = 0u64;
    let mut until = 0u64;
    for (start, end) in intervals {
        let from = start.max(until);
        if end > from {
            sum = sum.saturating_add(end - from);
            until = end;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use crate::notation;

    #[test]
    fn a_part_is_a_trace() {
        let whole = notation::trace(
            "s | root | server | 0..100 |
               s | a | client | 10..20 |
                 t | b | server | 11..19 |
               s | c | client | 30..40 |",
        );
        let part = whole.below(1);
        assert_eq!((part.skeleton.span_count(), part.tree.main_root(), part.tree.parent(1)), (2, Some(0), Some(0)));
        assert_eq!((part.skeleton.name(0), part.skeleton.row(1)), ("a", whole.skeleton.row(2)));
        assert_eq!(part.skeleton.parent_span_id(0), None);
        assert_eq!(whole.below(0).skeleton, whole.skeleton);
    }
}
