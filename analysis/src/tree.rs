//! The structure of a trace: parents, children, roots, orphans, cycles cut, ids that repeat. Knows ids, not times,
//! but for the order of spans. No recursion: chains may be as long as traces.

use serde::Serialize;

use crate::parents::{Node, Parents};
use crate::skeleton::Skeleton;

pub(crate) use crate::parents::NONE;

/// How the roots of a trace look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Shape {
    /// No spans at all.
    Empty,
    /// One root, and every other span below it.
    OneRoot,
    /// Several roots that name no parent, nothing missing.
    SeveralRoots,
    /// No span without a parent: what is there hangs on spans that are missing.
    NoRoot,
    /// A root, but also spans whose parent is missing or that form a cycle.
    Broken,
}

/// Parents and children, each span once. Children are in span order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    parent: Vec<u32>,
    child_from: Vec<u32>,
    child: Vec<u32>,
    depth: Vec<u32>,
    preorder: Vec<u32>,
    position: Vec<u32>,
    /// Of each span the position after that of its last descendant.
    past: Vec<u32>,
    roots: Vec<u32>,
    orphans: Vec<u32>,
    cycles: Vec<u32>,
    duplicates: Vec<(u32, u32)>,
    main_root: u32,
}

impl Tree {
    /// Finds the structure: linear in spans, but for hashing.
    pub fn new(skeleton: &Skeleton) -> Self {
        let count = skeleton.span_count();
        let node =
            |span| Node { id: skeleton.id(span), parent_id: skeleton.parent_id(span), kind: skeleton.kind(span) };
        let Parents { parent, orphans, cycles, duplicates } = Parents::find(count, node);
        let mut tree = Self {
            parent,
            child_from: Vec::new(),
            child: Vec::new(),
            depth: vec![0; count as usize],
            preorder: Vec::with_capacity(count as usize),
            position: vec![0; count as usize],
            past: vec![0; count as usize],
            roots: Vec::new(),
            orphans,
            cycles,
            duplicates,
            main_root: NONE,
        };
        tree.link();
        tree.number();
        tree.main_root = tree.choose_root(skeleton);
        tree
    }

    /// Lists children, by counting.
    fn link(&mut self) {
        let count = self.parent.len();
        let mut from = vec![0u32; count + 1];
        for parent in self.parent.iter().filter(|parent| **parent != NONE) {
            from[*parent as usize + 1] += 1;
        }
        for at in 0..count {
            from[at + 1] += from[at];
        }
        self.child = vec![0; from[count] as usize];
        let mut next = from.clone();
        for (span, parent) in self.parent.iter().enumerate() {
            match *parent {
                NONE => self.roots.push(span as u32),
                parent => {
                    self.child[next[parent as usize] as usize] = span as u32;
                    next[parent as usize] += 1;
                }
            }
        }
        self.child_from = from;
    }

    fn number(&mut self) {
        let mut pending: Vec<u32> = self.roots.iter().rev().copied().collect();
        while let Some(span) = pending.pop() {
            self.position[span as usize] = self.preorder.len() as u32;
            self.preorder.push(span);
            if self.parent[span as usize] != NONE {
                self.depth[span as usize] = self.depth[self.parent[span as usize] as usize] + 1;
            }
            pending.extend(self.children(span).iter().rev());
        }
        for at in (0..self.preorder.len()).rev() {
            let span = self.preorder[at] as usize;
            self.past[span] = self.past[span].max(at as u32 + 1);
            let parent = self.parent[span];
            if parent != NONE {
                self.past[parent as usize] = self.past[parent as usize].max(self.past[span]);
            }
        }
    }

    /// The first span that names no parent and has a start, else the longest of what has no parent here.
    fn choose_root(&self, skeleton: &Skeleton) -> u32 {
        let names_none = |span: &&u32| skeleton.parent_id(**span) == 0 && skeleton.start(**span) != 0;
        let first = self.roots.iter().find(names_none);
        let longest = || self.roots.iter().max_by_key(|span| (skeleton.duration(**span), std::cmp::Reverse(**span)));
        first.or_else(longest).copied().unwrap_or(NONE)
    }

    /// The span's parent; nothing for a root, an orphan, and the span at which a cycle is cut.
    #[inline]
    pub fn parent(&self, span: u32) -> Option<u32> {
        let parent = self.parent[span as usize];
        (parent != NONE).then_some(parent)
    }

    /// The span's children, in span order.
    #[inline]
    pub fn children(&self, span: u32) -> &[u32] {
        let at = span as usize;
        &self.child[self.child_from[at] as usize..self.child_from[at + 1] as usize]
    }

    /// How many ancestors the span has.
    pub fn depth(&self, span: u32) -> u32 {
        self.depth[span as usize]
    }

    /// All spans, parents before their children, whole subtrees together.
    pub fn preorder(&self) -> &[u32] {
        &self.preorder
    }

    /// The span and all its descendants.
    pub fn subtree(&self, span: u32) -> &[u32] {
        &self.preorder[self.position[span as usize] as usize..self.past[span as usize] as usize]
    }

    /// Whether `span` is `ancestor` or below it.
    pub fn is_within(&self, span: u32, ancestor: u32) -> bool {
        let position = self.position[span as usize];
        self.position[ancestor as usize] <= position && position < self.past[ancestor as usize]
    }

    /// Spans without a parent in this trace, in span order: roots, orphans, and where cycles are cut.
    pub fn roots(&self) -> &[u32] {
        &self.roots
    }

    /// Spans that name a parent which is not there, in span order.
    pub fn orphans(&self) -> &[u32] {
        &self.orphans
    }

    /// The first span, in span order, of each cycle of parents; a span that names itself is one. It became a root.
    pub fn cycles(&self) -> &[u32] {
        &self.cycles
    }

    /// Pairs of spans with one id and one kind, the first and a later one; client and server with one id (Zipkin's shared
    /// spans) are not among them.
    pub fn duplicates(&self) -> &[(u32, u32)] {
        &self.duplicates
    }

    /// The root that stands for the trace: the first span that names no parent, else the longest of all roots. Nothing
    /// only for a trace without spans.
    pub fn main_root(&self) -> Option<u32> {
        (self.main_root != NONE).then_some(self.main_root)
    }

    /// How the roots look.
    pub fn shape(&self) -> Shape {
        let lost = self.orphans.len() + self.cycles.len();
        match self.roots.len() {
            0 => Shape::Empty,
            count if count == lost => Shape::NoRoot,
            _ if lost > 0 => Shape::Broken,
            1 => Shape::OneRoot,
            _ => Shape::SeveralRoots,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation;

    fn check(text: &str, shape: Shape, parents: &[Option<u32>], main: Option<u32>) -> Tree {
        let tree = notation::trace(text).tree;
        let found: Vec<Option<u32>> = (0..parents.len() as u32).map(|span| tree.parent(span)).collect();
        assert_eq!((tree.shape(), &found[..], tree.main_root()), (shape, parents, main), "{text}");
        tree
    }

    #[test]
    fn shapes() {
        check("", Shape::Empty, &[], None);
        let tree = check(
            "s | a | server | 0..9 |
               s | b | client | 1..5 |
                 t | c | server | 2..4 |
               s | d | client | 6..8 |",
            Shape::OneRoot,
            &[None, Some(0), Some(1), Some(0)],
            Some(0),
        );
        assert_eq!((tree.children(0), tree.subtree(1), tree.depth(2)), (&[1, 3][..], &[1, 2][..], 2));
        assert!(tree.is_within(2, 1) && tree.is_within(1, 1) && !tree.is_within(3, 1) && !tree.is_within(0, 1));
        check("s | a | server | 0..9 |\ns | b | server | 1..99 |", Shape::SeveralRoots, &[None, None], Some(0));
        // Without a root the longest orphan stands for the trace.
        let orphans = "s | a | server | 0..9 | parent=77\ns | b | server | 1..99 | parent=78";
        assert_eq!(check(orphans, Shape::NoRoot, &[None, None], Some(1)).orphans(), [0, 1]);
        let broken = "s | a | server | 5..9 |\ns | b | server | 1..99 | parent=78";
        assert_eq!(check(broken, Shape::Broken, &[None, None], Some(1)).roots(), [0, 1]);
        // A root without a start is not the one that stands for the trace.
        check("s | a | server | @0..@5 |\ns | b | server | 1..99 |", Shape::SeveralRoots, &[None, None], Some(1));
    }

    #[test]
    fn shared_ids_repeats_and_cycles() {
        let shared = "s | a | server | 0..9 |
                        s | b | client | 1..8 | id=b
                        t | c | server | 2..7 | id=b
                      t | d | internal | 3..4 | parent=b";
        let tree = check(shared, Shape::OneRoot, &[None, Some(0), Some(1), Some(2)], Some(0));
        assert!(tree.duplicates().is_empty());
        let repeats = "s | a | server | 0..9 |
                         s | b | client | 1..8 | id=b
                         s | b | client | 2..8 | id=b
                       t | d | internal | 3..4 | parent=b";
        let tree = check(repeats, Shape::OneRoot, &[None, Some(0), Some(0), Some(1)], Some(0));
        assert_eq!(tree.duplicates(), [(1, 2)]);
        let cycle = "s | a | server | 0..9 | id=a; parent=c
                     s | b | client | 1..8 | id=b; parent=a
                     s | c | client | 2..8 | id=c; parent=b
                     s | d | client | 3..8 | id=d; parent=d";
        let tree = check(cycle, Shape::NoRoot, &[None, Some(0), Some(1), None], Some(0));
        assert_eq!(tree.cycles(), [0, 3]);
    }
}
