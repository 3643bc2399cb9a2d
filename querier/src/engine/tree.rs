//! The structure of a trace: parents as the analysis finds them, and nested-set numbers. Pure; linear in spans but for hashing.

use spanlake_analysis::Parents;
pub(super) use spanlake_analysis::{NONE, Node};

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

impl Tree {
    /// The structure of a trace whose spans come in span order.
    pub(super) fn new(nodes: &[Node]) -> Self {
        let count = nodes.len();
        let Parents { parent, .. } = Parents::find(count as u32, |span| nodes[span as usize]);
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

#[cfg(test)]
mod tests {
    use spanlake_analysis::Kind;

    use super::*;

    const SERVER: i32 = 2;
    const CLIENT: i32 = 3;

    fn node(id: u64, parent_id: u64, kind: i32) -> Node {
        Node { id, parent_id, kind: Kind::from_otlp(kind) }
    }

    fn check(spans: &[(u64, u64, i32)], parents: &[u32]) -> Tree {
        let nodes: Vec<Node> = spans.iter().map(|(id, parent_id, kind)| node(*id, *parent_id, *kind)).collect();
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
        let spans: Vec<(u64, u64, i32)> = (1..=200_000).map(|id| (id, id - 1, 1)).collect();
        let nodes: Vec<Node> = spans.iter().map(|(id, parent_id, kind)| node(*id, *parent_id, *kind)).collect();
        let tree = Tree::new(&nodes);
        assert_eq!((tree.left[199_999], tree.right[0]), (200_000, 400_000));
    }
}
