//! Whose child each span of a trace is: the one definition that analysis and queries share. Ids may be shared by a client and
//! its server, may repeat and may form cycles. Knows ids and kinds, not times. Linear in spans, but for hashing.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::skeleton::Kind;

/// No span.
pub const NONE: u32 = u32::MAX;

/// A span as its trace's structure sees it.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// Its id.
    pub id: u64,
    /// The id of the parent that it names; 0 when it names none.
    pub parent_id: u64,
    /// Kind.
    pub kind: Kind,
}

/// The parents of a trace's spans, cycles cut.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parents {
    /// Of each span its parent, or [`NONE`].
    pub parent: Vec<u32>,
    /// Spans that name a parent which is not there, in order.
    pub orphans: Vec<u32>,
    /// The first span of each cycle, in order, which has no parent any more; a span that names itself is one.
    pub cycles: Vec<u32>,
    /// Pairs of spans with one id and one kind, the first and a later one.
    pub duplicates: Vec<(u32, u32)>,
}

/// Spans that share an id: the first of all, of kind server, of kind client.
#[derive(Clone, Copy)]
struct Sharing {
    any: u32,
    server: u32,
    client: u32,
    /// One bit for each kind met.
    kinds: u8,
}

type ById = HashMap<u64, Sharing, RandomState>;

impl Parents {
    /// Finds the parents of so many spans, numbered in span order. A server's parent is the client that shares its id (Zipkin's
    /// shared spans), else the span that it names; of spans that share that id the server, else the first.
    pub fn find(count: u32, node: impl Fn(u32) -> Node) -> Self {
        let mut found = Self { parent: Vec::with_capacity(count as usize), ..Self::default() };
        let mut by_id: ById = HashMap::with_capacity_and_hasher(count as usize, RandomState::default());
        for span in 0..count {
            let Node { id, kind, .. } = node(span);
            let sharing = by_id.entry(id).or_insert(Sharing { any: span, server: NONE, client: NONE, kinds: 0 });
            let bit = 1 << kind as u8;
            if sharing.kinds & bit != 0 {
                let first = match kind {
                    Kind::Server => sharing.server,
                    Kind::Client => sharing.client,
                    _ => sharing.any,
                };
                found.duplicates.push((first, span));
            }
            sharing.kinds |= bit;
            match kind {
                Kind::Server if sharing.server == NONE => sharing.server = span,
                Kind::Client if sharing.client == NONE => sharing.client = span,
                _ => {}
            }
        }
        for span in 0..count {
            let node = node(span);
            let parent = parent(&by_id, &node);
            if parent == NONE && node.parent_id != 0 {
                if node.parent_id == node.id { &mut found.cycles } else { &mut found.orphans }.push(span);
            }
            found.parent.push(parent);
        }
        cut_cycles(&mut found.parent, &mut found.cycles);
        found.cycles.sort_unstable();
        found
    }
}

fn parent(by_id: &ById, node: &Node) -> u32 {
    if node.kind == Kind::Server
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
}

/// Takes the parent from the first span of each cycle.
fn cut_cycles(parent: &mut [u32], cycles: &mut Vec<u32>) {
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
        cycles.push(first);
    }
}
