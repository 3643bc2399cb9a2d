//! Who calls whom: edges between services, paired from the spans of both sides, and what each node takes.
//!
//! Names and pairing are those of Tempo's service graphs: a CLIENT span and the SERVER span whose parent it is, in one trace, are a
//! call; PRODUCER and CONSUMER likewise a message. A client span that names a database is a call of it. A SERVER span without a
//! parent is called by `user`, and a CLIENT span without a server by what its `peer.service` says: virtual nodes both. A call
//! failed if either side did.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::Serialize;
use spanlake_block::NIL;
use spanlake_model::{Tenant, TraceId};
use spanlake_traceql::{Field, Intrinsic, Scope, Value};

use super::super::metrics::copies;
use super::super::pass::{Counter, Pass, SpanRows};
use super::traffic::Passed;
use super::window::{UnixNanos, Window};
use super::{ERROR, every_span, intrinsic, resource};
use crate::error::Error;
use crate::fetch::Reads;

/// Most edges and most nodes that are told apart; calls of others are left out, and the answer says so.
const MAX_EDGES: usize = 10_000;
/// Most sides of calls (about 100 bytes each) that wait for their other side, which lies in another row group or block.
const MAX_WAITING: usize = 1_000_000;
/// What a waiting side takes.
const WAITING_BYTES: u64 = 104;
/// The caller of what nobody is seen to call.
const USER: &str = "user";
/// Where a span names who is on the other side, the old and the new names of OpenTelemetry.
const PEER: [&str; 6] = [
    "peer.service",
    "server.address",
    "net.peer.name",
    "network.peer.address",
    "net.sock.peer.addr",
    "network.peer.port",
];
/// Where a span names its database.
const DATABASE: [&str; 4] = ["db.namespace", "db.name", "db.system", "db.system.name"];

/// Which map.
#[derive(Debug, Clone)]
pub struct MapRequest {
    /// When spans start.
    pub window: Window,
    /// The service in the middle; all nodes without.
    pub focus: Option<String>,
    /// How many edges from it nodes may be.
    pub hops: usize,
}

/// Nodes and edges.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceMap {
    /// First nanosecond of the window.
    pub start_unix_nanos: UnixNanos,
    /// The nanosecond after its last one.
    pub end_unix_nanos: UnixNanos,
    /// By name.
    pub nodes: Vec<MapNode>,
    /// By client, server and connection.
    pub edges: Vec<MapEdge>,
    /// Sides of calls whose other side was not found in the window.
    pub unpaired: u64,
    /// Why not all spans are counted, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum NodeKind {
    /// It has spans of its own.
    Service,
    /// A database, named by its callers.
    Database,
    /// Anything else that is only named by others.
    Virtual,
}

/// A node of the map.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapNode {
    /// Its name: of a service `service.name`.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// What it took: its SERVER and CONSUMER spans, or where it has none of its own the calls of it.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Median duration in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_nanos: Option<u64>,
    /// The duration that 99 of 100 do not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_nanos: Option<u64>,
}

/// How two nodes are connected, in the words of Tempo's service graphs; as JSON the empty text for a call between services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// A call.
    #[serde(rename = "")]
    Call,
    /// A call of a database.
    Database,
    /// A message.
    MessagingSystem,
    /// One side has no spans.
    VirtualNode,
}

/// Calls of one node by another.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MapEdge {
    /// Who calls.
    pub client: String,
    /// Who is called.
    pub server: String,
    /// How.
    pub connection: Connection,
    /// Calls.
    pub calls: u64,
    /// Those of which either side failed.
    pub errors: u64,
    /// Median duration in nanoseconds, as the client saw it; of messages and of calls without a client span as the server did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_nanos: Option<u64>,
    /// The duration that 99 of 100 do not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_nanos: Option<u64>,
    /// The sum of these durations.
    pub total_nanos: u64,
}

/// One side of a call.
#[derive(Debug, Clone)]
struct Side {
    trace_id: TraceId,
    /// The client's span id, which is the server's parent.
    call_id: u64,
    service: Arc<str>,
    /// Who the client says is on the other side.
    peer: Option<Arc<str>>,
    nanos: u64,
    is_client: bool,
    is_message: bool,
    is_error: bool,
}

type Edges = BTreeMap<(Arc<str>, Arc<str>, Connection), Passed>;

/// What was counted, and what waits for its other side.
#[derive(Debug, Default)]
pub(super) struct Calls {
    edges: Edges,
    /// What services took, by name.
    services: BTreeMap<Arc<str>, Passed>,
    waiting: Vec<Side>,
    unpaired: u64,
    is_full: bool,
}

impl Calls {
    fn edge(&mut self, client: &Arc<str>, server: &Arc<str>, connection: Connection, nanos: u64, is_error: bool) {
        let key = (Arc::clone(client), Arc::clone(server), connection);
        if self.edges.len() >= MAX_EDGES && !self.edges.contains_key(&key) {
            self.is_full = true;
            return;
        }
        self.edges.entry(key).or_default().record(nanos, is_error);
    }

    /// Pairs sides that are all there are of their calls.
    fn pair(&mut self, mut sides: Vec<Side>) {
        // Of clients that share an id the first one counts, wherever they came from.
        sides.sort_unstable_by(|a, b| {
            let key = |side: &Side| (side.trace_id, side.call_id);
            let rest = |side: &Side| (side.nanos, side.is_message, side.is_error);
            key(a).cmp(&key(b)).then_with(|| a.service.cmp(&b.service)).then_with(|| rest(a).cmp(&rest(b)))
        });
        let mut clients: HashMap<(TraceId, u64), (Side, bool), RandomState> = HashMap::default();
        let mut servers = Vec::new();
        for side in sides {
            if side.is_client {
                match clients.entry((side.trace_id, side.call_id)) {
                    Entry::Vacant(entry) => {
                        entry.insert((side, false));
                    }
                    Entry::Occupied(_) => self.unpaired += 1,
                }
            } else {
                servers.push(side);
            }
        }
        for server in servers {
            let key = (server.trace_id, server.call_id);
            match clients.get_mut(&key).filter(|(client, _)| client.is_message == server.is_message) {
                Some((client, is_paired)) => {
                    *is_paired = true;
                    let connection = if server.is_message { Connection::MessagingSystem } else { Connection::Call };
                    let nanos = if server.is_message { server.nanos } else { client.nanos };
                    let (client, is_error) = (Arc::clone(&client.service), client.is_error || server.is_error);
                    self.edge(&client, &server.service, connection, nanos, is_error);
                }
                None => self.unpaired += 1,
            }
        }
        // In the order of ids, so that which edges are left out past the bound is always the same.
        let mut lone: Vec<Side> =
            clients.into_values().filter(|(_, is_paired)| !is_paired).map(|(client, _)| client).collect();
        lone.sort_unstable_by_key(|side| (side.trace_id, side.call_id));
        for client in lone {
            match &client.peer {
                Some(peer) if !client.is_message => {
                    self.edge(&client.service, peer, Connection::VirtualNode, client.nanos, client.is_error);
                }
                _ => self.unpaired += 1,
            }
        }
    }

    fn merge(&mut self, other: Self) {
        for (key, passed) in other.edges {
            if self.edges.len() >= MAX_EDGES && !self.edges.contains_key(&key) {
                self.is_full = true;
                continue;
            }
            self.edges.entry(key).or_default().merge(&passed);
        }
        for (service, passed) in other.services {
            if self.services.len() >= MAX_EDGES && !self.services.contains_key(&service) {
                self.is_full = true;
                continue;
            }
            self.services.entry(service).or_default().merge(&passed);
        }
        self.unpaired += other.unpaired;
        let room = MAX_WAITING.saturating_sub(self.waiting.len());
        self.is_full |= other.waiting.len() > room || other.is_full;
        self.waiting.extend(other.waiting.into_iter().take(room));
    }

    /// The time that a service's requests took in all.
    pub(super) fn service_nanos(&self, service: &str) -> u64 {
        self.services.get(service).map_or(0, |passed| passed.durations().sum())
    }

    /// The edges, by client, server and connection.
    pub(super) fn edges(&self) -> Vec<MapEdge> {
        let edge = |((client, server, connection), passed): (&(Arc<str>, Arc<str>, Connection), &Passed)| {
            let (calls, errors) = passed.counts();
            MapEdge {
                client: client.to_string(),
                server: server.to_string(),
                connection: *connection,
                calls,
                errors,
                p50_nanos: passed.durations().quantile(0.5),
                p99_nanos: passed.durations().quantile(0.99),
                total_nanos: passed.durations().sum(),
            }
        };
        self.edges.iter().map(edge).collect()
    }
}

struct CountCalls {
    service: usize,
    kind: usize,
    status: usize,
    duration: usize,
    span_id: usize,
    parent_id: usize,
    peer: [usize; PEER.len()],
    database: [usize; DATABASE.len()],
    /// For each block, for each summary, whether other blocks have spans of the trace too.
    shared: Vec<Vec<bool>>,
}

const SERVER: i64 = 2;
const CLIENT: i64 = 3;
const PRODUCER: i64 = 4;
const CONSUMER: i64 = 5;

impl CountCalls {
    fn new(pass: &mut Pass<'_>, shared: Vec<Vec<bool>>) -> Self {
        let attribute = |key: &str| Field::Attribute { of_parent: false, scope: Scope::Span, key: key.to_owned() };
        Self {
            service: pass.look_at(&resource("service.name")),
            kind: pass.look_at(&intrinsic(Intrinsic::Kind)),
            status: pass.look_at(&intrinsic(Intrinsic::Status)),
            duration: pass.look_at(&intrinsic(Intrinsic::Duration)),
            span_id: pass.look_at(&intrinsic(Intrinsic::SpanId)),
            parent_id: pass.look_at(&intrinsic(Intrinsic::ParentId)),
            peer: PEER.map(|key| pass.look_at(&attribute(key))),
            database: DATABASE.map(|key| pass.look_at(&attribute(key))),
            shared,
        }
    }

    /// The first of the attributes that the span has, as text.
    fn first(rows: &SpanRows<'_>, places: &[usize], row: usize) -> Option<String> {
        places.iter().find_map(|place| rows.text(*place, row))
    }

    /// What a client span says of its database: its name on the map.
    fn database(&self, rows: &SpanRows<'_>, row: usize) -> Option<String> {
        let name = Self::first(rows, &self.database, row)?;
        let [service, address, old_address, peer_address, old_peer_address, port] = self.peer;
        let named = Self::first(rows, &[service, address, old_address], row);
        Some(named.unwrap_or_else(|| match Self::first(rows, &[peer_address, old_peer_address], row) {
            Some(address) => match rows.text(port, row) {
                Some(port) => format!("{address}:{port}"),
                None => address,
            },
            None => name,
        }))
    }
}

impl Counter for CountCalls {
    type Part = Calls;
    type Total = Calls;

    fn count(&self, rows: &SpanRows<'_>) -> Calls {
        let mut calls = Calls::default();
        let services = rows.codes(self.service);
        let mut names: HashMap<u32, Arc<str>, RandomState> = HashMap::default();
        let nobody: Arc<str> = Arc::from("");
        let user: Arc<str> = Arc::from(USER);
        // Sides of the traces that lie in this chunk alone.
        let mut here: Vec<Side> = Vec::new();
        for row in rows.rows.iter().map(|row| *row as usize) {
            let kind = rows.number(self.kind, row);
            if !(SERVER..=CONSUMER).contains(&kind) {
                continue;
            }
            let code = services.code(row);
            let service = names.entry(code).or_insert_with(|| match (code != NIL).then(|| services.label(code).0) {
                Some(Value::String(name)) => Arc::from(name),
                _ => Arc::clone(&nobody),
            });
            let service = Arc::clone(service);
            let nanos = rows.number(self.duration, row) as u64;
            let is_error = rows.number(self.status, row) == ERROR;
            let is_client = matches!(kind, CLIENT | PRODUCER);
            // Who only calls is a service too.
            let took = calls.services.entry(Arc::clone(&service)).or_default();
            if !is_client {
                took.record(nanos, is_error);
            }
            let parent_id = rows.id(self.parent_id, row);
            if kind == SERVER && parent_id == 0 {
                let peer = rows.text(self.peer[0], row).map_or_else(|| Arc::clone(&user), Arc::from);
                calls.edge(&peer, &service, Connection::VirtualNode, nanos, is_error);
                continue;
            }
            if kind == CLIENT
                && let Some(database) = self.database(rows, row)
            {
                calls.edge(&service, &Arc::from(database), Connection::Database, nanos, is_error);
                continue;
            }
            let side = Side {
                trace_id: rows.trace_id(row),
                call_id: if is_client { rows.id(self.span_id, row) } else { parent_id },
                service,
                peer: if kind == CLIENT { rows.text(self.peer[0], row).map(Arc::from) } else { None },
                nanos,
                is_client,
                is_message: matches!(kind, PRODUCER | CONSUMER),
                is_error,
            };
            if rows.is_trace_here(row, &self.shared) { here.push(side) } else { calls.waiting.push(side) }
        }
        calls.pair(here);
        calls
    }

    fn add(&self, total: &mut Calls, part: Calls) {
        total.merge(part);
    }

    fn held_bytes(&self, total: &Calls) -> u64 {
        WAITING_BYTES * total.waiting.len() as u64 + 1_024 * (total.edges.len() + total.services.len()) as u64
    }
}

/// Counts the calls of a window.
///
/// # Errors
/// [`Error`]; past a bound on work there is what was counted until then, with a sentence.
pub(super) async fn calls(
    reads: &Reads<'_>,
    tenants: &[Tenant],
    window: &Window,
) -> Result<(Calls, Option<String>), Error> {
    let mut pass = Pass::open(reads, tenants, &every_span(), window.range()).await?;
    let opened = pass.opened.clone();
    let shared = reads.compute(move || copies::shared(&opened)).await?;
    let counting = Arc::new(CountCalls::new(&mut pass, shared));
    let mut total = Calls::default();
    let stopped = pass.run(&counting, &mut total).await?.told();
    let _held = loop {
        match reads.hold(2 * WAITING_BYTES * total.waiting.len() as u64) {
            Ok(held) => break held,
            // As many are paired as there is room for; the others are left out, which the answer says.
            Err(bound) if bound.is_bound() && !total.waiting.is_empty() => {
                let kept = total.waiting.len() / 2;
                total.unpaired += (total.waiting.len() - kept) as u64;
                total.waiting.truncate(kept);
                total.is_full = true;
            }
            Err(error) => return Err(error),
        }
    };
    let total = reads
        .compute(move || {
            let waiting = std::mem::take(&mut total.waiting);
            total.pair(waiting);
            total
        })
        .await?;
    let full = total.is_full.then(|| {
        format!(
            "There are more than {MAX_EDGES} edges, {MAX_WAITING} calls between blocks, or calls than the memory of a query has room for: the others are left out."
        )
    });
    Ok((total, super::partial(stopped, full)))
}

/// Makes the map.
///
/// # Errors
/// [`Error`]; past a bound there is what was counted until then, see [`ServiceMap::partial`].
pub(crate) async fn run(reads: &Reads<'_>, tenants: &[Tenant], request: &MapRequest) -> Result<ServiceMap, Error> {
    let (calls, partial) = calls(reads, tenants, &request.window).await?;
    let mut edges = calls.edges();
    let near = request.focus.as_deref().map(|focus| near(&edges, focus, request.hops));
    if let Some(near) = &near {
        edges.retain(|edge| near.contains(&edge.client) && near.contains(&edge.server));
    }
    let mut nodes = nodes(&calls);
    nodes.retain(|node| near.as_ref().is_none_or(|near| near.contains(&node.name)));
    Ok(ServiceMap {
        start_unix_nanos: UnixNanos(request.window.start_unix_nanos),
        end_unix_nanos: UnixNanos(request.window.end_unix_nanos),
        nodes,
        edges,
        unpaired: calls.unpaired,
        partial,
    })
}

/// The names at most so many edges from one.
fn near(edges: &[MapEdge], focus: &str, hops: usize) -> BTreeSet<String> {
    let mut known = BTreeSet::from([focus.to_owned()]);
    for _ in 0..hops {
        let ends = edges.iter().flat_map(|edge| [(&edge.client, &edge.server), (&edge.server, &edge.client)]);
        let next: Vec<String> =
            ends.filter(|(from, to)| known.contains(*from) && !known.contains(*to)).map(|(_, to)| to.clone()).collect();
        if next.is_empty() {
            break;
        }
        known.extend(next);
    }
    known
}

fn nodes(calls: &Calls) -> Vec<MapNode> {
    let mut nodes: BTreeMap<&str, (NodeKind, Passed)> =
        calls.services.iter().map(|(name, passed)| (&**name, (NodeKind::Service, passed.clone()))).collect();
    for ((client, server, connection), passed) in &calls.edges {
        nodes.entry(client).or_insert_with(|| (NodeKind::Virtual, Passed::default()));
        let kind = if *connection == Connection::Database { NodeKind::Database } else { NodeKind::Virtual };
        let (known, of) = nodes.entry(server).or_insert_with(|| (kind, Passed::default()));
        if *known != NodeKind::Service {
            of.merge(passed);
        }
    }
    let node = |(name, (kind, passed)): (&str, (NodeKind, Passed))| {
        let (requests, errors) = passed.counts();
        let [p50_nanos, p99_nanos] = [0.5, 0.99].map(|share| passed.durations().quantile(share));
        MapNode { name: name.to_owned(), kind, requests, errors, p50_nanos, p99_nanos }
    };
    nodes.into_iter().map(node).collect()
}
