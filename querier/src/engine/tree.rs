//! The structure of a trace: parents, cycles cut, nested-set numbers. Pure; linear in spans but for hashing.

use std::collections::HashMap;

/// No span.
pub(super) const NONE: u32 = u32::MAX;

/// A span as its trace's structure sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) id: u64,
    /// Zero when it names none.
    pub(super) parent_id: u64,
    /// As OTLP numbers it.
    pub(super) kind: i64,
}

/// Kinds that matter to shared ids.
const SERVER: i64 = 2;
const CLIENT: i64 = 3;

/// Spans are numbered in span order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    /// The parent, or [`NONE`].
    pub(super) parent: Vec<u32>,
    /// From 1; smaller than those of all descendants.
    pub(super) left: Vec<u32>,
    /// Larger than those of all descendants.
    pub(super) right: Vec<u32>,
    pub(super) child_count: Vec<u32>,
}

/// Spans that share an id: the first of all, of kind server, of kind client.
#[derive(Clone, Copy)]
struct Sharing {
    any: u32,
    server: u32,
    client: u32,
}

impl Tree {
    /// The structure of a trace whose spans come in span order.
    pub(super) fn new(nodes: &[Node]) -> Self {
        let mut parent = parents(nodes);
        cut_cycles(&mut parent);
        let count = nodes.len();
        let (mut first_child, mut next_sibling) = (vec![NONE; count], vec![NONE; count]);
        let mut child_count = vec![0; count];
        let mut first_root = NONE;
        // From the last span to the first, so that lists of children are in span order.
        for span in (0..count as u32).rev() {
            let list = match parent[span as usize] {
                NONE => &mut first_root,
                parent => {
                    child_count[parent as usize] += 1;
                    &mut first_child[parent as usize]
                }
            };
            next_sibling[span as usize] = *list;
            *list = span;
        }
        let (mut left, mut right) = (vec![0; count], vec![0; count]);
        let mut counter = 0;
        let mut path = Vec::new();
        let mut next = first_root;
        loop {
            while next != NONE {
                counter += 1;
                left[next as usize] = counter;
                path.push(next);
                next = first_child[next as usize];
            }
            let Some(done) = path.pop() else { break };
            counter += 1;
            right[done as usize] = counter;
            next = next_sibling[done as usize];
        }
        Self { parent, left, right, child_count }
    }
}

fn parents(nodes: &[Node]) -> Vec<u32> {
    let mut by_id: HashMap<u64, Sharing, foldhash::fast::RandomState> =
        HashMap::with_capacity_and_hasher(nodes.len(), foldhash::fast::RandomState::default());
    for (at, node) in nodes.iter().enumerate() {
        let at = at as u32;
        let sharing = by_id.entry(node.id).or_insert(Sharing { any: at, server: NONE, client: NONE });
        match node.kind {
            SERVER if sharing.server == NONE => sharing.server = at,
            CLIENT if sharing.client == NONE => sharing.client = at,
            _ => {}
        }
    }
    let parent = |node: &Node| {
        if node.kind == SERVER
            && let Some(Sharing { client, .. }) = by_id.get(&node.id)
            && *client != NONE
        {
            return *client;
        }
        if node.parent_id == 0 || node.parent_id == node.id {
            return NONE;
        }
        match by_id.get(&node.parent_id) {
            None => NONE,
            Some(Sharing { any, server: NONE, .. }) => *any,
            Some(Sharing { server, .. }) => *server,
        }
    };
    nodes.iter().map(parent).collect()
}

/// Takes the parent from the first span of each cycle.
fn cut_cycles(parent: &mut [u32]) {
    const NEW: u32 = 0;
    // The walk in which a span was met first.
    let mut met = vec![NEW; parent.len()];
    for start in 0..parent.len() as u32 {
        let walk = start + 1;
        let mut at = start;
        while at != NONE && met[at as usize] == NEW {
            met[at as usize] = walk;
            at = parent[at as usize];
        }
        if at == NONE || met[at as usize] != walk {
            continue;
        }
        let (mut first, mut next) = (at, parent[at as usize]);
        while next != at {
            first = first.min(next);
            next = parent[next as usize];
        }
        parent[first as usize] = NONE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spans: &[(u64, u64, i64)], parents: &[u32]) -> Tree {
        let nodes: Vec<Node> =
            spans.iter().map(|(id, parent_id, kind)| Node { id: *id, parent_id: *parent_id, kind: *kind }).collect();
        let tree = Tree::new(&nodes);
        assert_eq!(tree.parent, parents, "{spans:?}");
        tree
    }

    #[test]
    fn parents_and_numbers() {
        let tree = check(&[(1, 0, 1), (2, 1, 1), (3, 1, 1), (4, 2, 1), (5, 99, 1)], &[NONE, 0, 0, 1, NONE]);
        assert_eq!(tree.left, [1, 2, 6, 3, 9]);
        assert_eq!(tree.right, [8, 5, 7, 4, 10]);
        assert_eq!(tree.child_count, [2, 1, 0, 0, 0]);
        check(&[], &[]);
    }

    #[test]
    fn shared_ids() {
        // Client and server share an id; a child of that id is the server's.
        check(&[(1, 0, 1), (2, 1, CLIENT), (2, 1, SERVER), (3, 2, 1)], &[NONE, 0, 1, 2]);
        check(&[(2, 2, 1), (2, 0, 1), (3, 2, 1)], &[NONE, NONE, 0]);
    }

    #[test]
    fn cycles_are_cut_at_their_first_span() {
        check(&[(1, 3, 1), (2, 1, 1), (3, 2, 1), (4, 3, 1)], &[NONE, 0, 1, 2]);
        check(&[(4, 3, 1), (1, 3, 1), (2, 1, 1), (3, 2, 1)], &[3, NONE, 1, 2]);
        check(&[(1, 1, 1)], &[NONE]);
        check(&[(1, 2, 1), (2, 1, 1), (3, 4, 1), (4, 3, 1)], &[NONE, 0, NONE, 2]);
    }

    #[test]
    fn a_long_chain() {
        let spans: Vec<(u64, u64, i64)> = (1..=200_000).map(|id| (id, id - 1, 1)).collect();
        let nodes: Vec<Node> =
            spans.iter().map(|(id, parent_id, kind)| Node { id: *id, parent_id: *parent_id, kind: *kind }).collect();
        let tree = Tree::new(&nodes);
        assert_eq!((tree.left[199_999], tree.right[0]), (200_000, 400_000));
    }
}
