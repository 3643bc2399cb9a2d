//! Services, and the operations of one: how many requests, how many of them failed, how long they took.
//!
//! A service's requests are its spans of kind SERVER and CONSUMER and those without a parent; an operation's are all of its spans.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::Serialize;
use spanlake_block::NIL;
use spanlake_model::Tenant;
use spanlake_traceql::{Intrinsic, Kind, Query, Value};

use super::super::metrics::count::Codes;
use super::super::pass::{Counter, Pass, SpanRows};
use super::map::{Calls, Connection, MapEdge};
use super::traffic::{Counts, Passed, Traffic};
use super::window::{Columns, UnixNanos, Window};
use super::{ERROR, TAKES_REQUESTS, intrinsic, resource, spans_of_service};
use crate::error::Error;
use crate::fetch::Reads;

/// Most services or operations that are told apart; the spans of others are left out, and the answer says so.
const MAX_GROUPS: usize = 2_000;
/// Most versions and namespaces that are told of a service.
const MAX_VERSIONS: usize = 20;

/// Which services.
#[derive(Debug, Clone)]
pub struct ServicesRequest {
    /// Whose spans: a search; its metrics part must be absent.
    pub query: Query,
    /// When they start.
    pub window: Window,
}

/// Which operations.
#[derive(Debug, Clone)]
pub struct OperationsRequest {
    /// Of which service.
    pub service: String,
    /// When their spans start.
    pub window: Window,
}

/// Services with their requests.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Services {
    /// First nanosecond of the window.
    pub start_unix_nanos: UnixNanos,
    /// The nanosecond after its last one.
    pub end_unix_nanos: UnixNanos,
    /// Width of a column of the series.
    pub step_nanos: u64,
    /// Most requests first, then by name.
    pub services: Vec<Service>,
    /// Why not all spans are counted, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Service {
    /// `service.name`; empty for spans whose resource has none.
    pub name: String,
    /// `service.namespace`, if all its resources that have one agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// All its spans.
    pub spans: u64,
    /// Its requests: spans of kind SERVER and CONSUMER, and spans without a parent.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// The first of its `service.version`s, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
}

/// Operations of a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Operations {
    /// The service.
    pub service: String,
    /// First nanosecond of the window.
    pub start_unix_nanos: UnixNanos,
    /// The nanosecond after its last one.
    pub end_unix_nanos: UnixNanos,
    /// Width of a column of the series.
    pub step_nanos: u64,
    /// Most spans first, then by name and kind.
    pub operations: Vec<OperationTraffic>,
    /// Who the service calls, most calls first.
    pub dependencies: Vec<Neighbour>,
    /// Who calls the service, most calls first.
    pub callers: Vec<Neighbour>,
    /// Why not all spans are counted, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
}

/// An operation and its spans.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperationTraffic {
    /// Which.
    #[serde(flatten)]
    pub operation: Operation,
    /// Its spans.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// Who a service calls, or is called by.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Neighbour {
    /// Its name on the map.
    pub service: String,
    /// `http` for any call between services, `database`, `messaging`, or `virtual` where one side has no spans.
    pub connection: &'static str,
    /// Calls.
    pub calls: u64,
    /// Those of which either side failed.
    pub errors: u64,
    /// Median duration in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_nanos: Option<u64>,
    /// The duration that 99 of 100 do not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_nanos: Option<u64>,
    /// Time of all calls, as a share of the time of all requests of the service; above 1 where calls run at once. Absent for a
    /// service without requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_time: Option<f64>,
}

/// The neighbours of a service on the map: who it calls, who calls it.
fn neighbours(calls: &Calls, service: &str) -> (Vec<Neighbour>, Vec<Neighbour>) {
    let all = calls.service_nanos(service);
    let neighbour = |name: &str, edge: &MapEdge| Neighbour {
        service: name.to_owned(),
        connection: match edge.connection {
            Connection::Call => "http",
            Connection::Database => "database",
            Connection::MessagingSystem => "messaging",
            Connection::VirtualNode => "virtual",
        },
        calls: edge.calls,
        errors: edge.errors,
        p50_nanos: edge.p50_nanos,
        p99_nanos: edge.p99_nanos,
        share_of_time: (all > 0).then(|| edge.total_nanos as f64 / all as f64),
    };
    let edges = calls.edges();
    let dependencies = edges.iter().filter(|edge| edge.client == service).map(|edge| neighbour(&edge.server, edge));
    let callers = edges.iter().filter(|edge| edge.server == service).map(|edge| neighbour(&edge.client, edge));
    let (mut dependencies, mut callers): (Vec<_>, Vec<_>) = (dependencies.collect(), callers.collect());
    dependencies.sort_by_key(|neighbour| Reverse(neighbour.calls));
    callers.sort_by_key(|neighbour| Reverse(neighbour.calls));
    (dependencies, callers)
}

/// An operation of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Operation {
    /// The spans' name.
    pub name: String,
    /// The spans' kind, such as `server`.
    pub kind: &'static str,
}

/// What is counted of a group of spans.
#[derive(Debug, Clone, Default)]
struct Group {
    spans: u64,
    counts: Counts,
    namespaces: BTreeSet<String>,
    versions: BTreeSet<String>,
}

impl Group {
    fn merge(&mut self, other: Self) {
        self.spans += other.spans;
        self.namespaces.extend(other.namespaces);
        self.versions.extend(other.versions);
        for names in [&mut self.namespaces, &mut self.versions] {
            while names.len() > MAX_VERSIONS {
                names.pop_last();
            }
        }
    }
}

/// All groups. They are met in a fixed order, so which are left out past the bound is always the same.
struct Groups<K> {
    by_key: BTreeMap<K, Group>,
    is_full: bool,
    held_bytes: u64,
}

impl<K> Default for Groups<K> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), is_full: false, held_bytes: 0 }
    }
}

/// Groups of a chunk, and what passed in columns of them, by the groups' places.
type Part<K> = (Vec<(K, Group)>, Vec<((u32, u32), Passed)>);

impl<K: Ord + Clone> Groups<K> {
    fn add(&mut self, (groups, passed): Part<K>) {
        let mut keys = Vec::with_capacity(groups.len());
        for (key, group) in groups {
            if self.by_key.len() >= MAX_GROUPS && !self.by_key.contains_key(&key) {
                self.is_full = true;
                keys.push(None);
                continue;
            }
            self.by_key.entry(key.clone()).or_default().merge(group);
            keys.push(Some(key));
        }
        for ((place, column), passed) in passed {
            let Some(group) = keys[place as usize].as_ref().and_then(|key| self.by_key.get_mut(key)) else { continue };
            group.counts.add(column, &passed);
        }
        self.held_bytes = self.by_key.values().map(|group| 256 + group.counts.held_bytes()).sum();
    }

    fn full(&self, what: &str) -> Option<String> {
        self.is_full.then(|| format!("There are more than {MAX_GROUPS} {what}: the others are left out."))
    }
}

/// Numbers the groups of a chunk by codes, as they are met.
struct Places<C, K> {
    by_code: HashMap<C, u32, RandomState>,
    by_key: BTreeMap<K, u32>,
    groups: Vec<(K, Group)>,
}

impl<C: Eq + std::hash::Hash, K: Ord + Clone> Places<C, K> {
    fn new() -> Self {
        Self { by_code: HashMap::default(), by_key: BTreeMap::new(), groups: Vec::new() }
    }

    /// The place of a group, which is named when its codes are met first. Several codes may stand for one name.
    fn of(&mut self, code: C, name: impl FnOnce() -> (K, Group)) -> u32 {
        let Self { by_code, by_key, groups } = self;
        *by_code.entry(code).or_insert_with(|| {
            let (key, group) = name();
            let place = *by_key.entry(key.clone()).or_insert(groups.len() as u32);
            match groups.get_mut(place as usize) {
                Some((_, known)) => known.merge(group),
                None => groups.push((key, group)),
            }
            place
        })
    }

    fn part(self, passed: HashMap<(u32, u32), Passed, RandomState>) -> Part<K> {
        (self.groups, passed.into_iter().collect())
    }
}

/// The text of a code; none for what is no text.
fn text(codes: &Codes<'_>, code: u32) -> Option<String> {
    match (code != NIL).then(|| codes.label(code).0)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

struct CountServices {
    columns: Columns,
    name: usize,
    namespace: usize,
    version: usize,
    kind: usize,
    status: usize,
    duration: usize,
}

impl Counter for CountServices {
    type Part = Part<String>;
    type Total = Groups<String>;

    fn count(&self, rows: &SpanRows<'_>) -> Self::Part {
        let [names, namespaces, versions] = [self.name, self.namespace, self.version].map(|place| rows.codes(place));
        let mut places = Places::new();
        let mut passed: HashMap<(u32, u32), Passed, RandomState> = HashMap::default();
        for row in rows.rows.iter().map(|row| *row as usize) {
            let code = (names.code(row), namespaces.code(row), versions.code(row));
            let place = places.of(code, || {
                let group = Group {
                    namespaces: text(&namespaces, code.1).into_iter().collect(),
                    versions: text(&versions, code.2).into_iter().collect(),
                    ..Group::default()
                };
                (text(&names, code.0).unwrap_or_default(), group)
            });
            places.groups[place as usize].1.spans += 1;
            if TAKES_REQUESTS.contains(&rows.number(self.kind, row)) || rows.is_root(row) {
                let column = self.columns.of(rows.starts[row] as u64);
                let nanos = rows.number(self.duration, row) as u64;
                passed.entry((place, column)).or_default().record(nanos, rows.number(self.status, row) == ERROR);
            }
        }
        places.part(passed)
    }

    fn add(&self, total: &mut Self::Total, part: Self::Part) {
        total.add(part);
    }

    fn held_bytes(&self, total: &Self::Total) -> u64 {
        total.held_bytes
    }
}

/// Counts the services of a window.
///
/// # Errors
/// [`Error`]; past a bound there is what was counted until then, see [`Services::partial`].
pub(crate) async fn services(
    reads: &Reads<'_>,
    tenants: &[Tenant],
    request: &ServicesRequest,
) -> Result<Services, Error> {
    let window = request.window;
    let mut pass = Pass::open(reads, tenants, &request.query, window.range()).await?;
    pass.look_at_roots();
    let counting = Arc::new(CountServices {
        columns: window.columns(),
        name: pass.look_at(&resource("service.name")),
        namespace: pass.look_at(&resource("service.namespace")),
        version: pass.look_at(&resource("service.version")),
        kind: pass.look_at(&intrinsic(Intrinsic::Kind)),
        status: pass.look_at(&intrinsic(Intrinsic::Status)),
        duration: pass.look_at(&intrinsic(Intrinsic::Duration)),
    });
    let mut total = Groups::default();
    let stopped = pass.run(&counting, &mut total).await?.told();
    let partial = super::partial(stopped, total.full("services"));
    let service = |(name, mut group): (String, Group)| Service {
        name,
        namespace: if group.namespaces.len() == 1 { group.namespaces.pop_first() } else { None },
        spans: group.spans,
        traffic: group.counts.traffic(&window),
        versions: group.versions.into_iter().collect(),
    };
    let mut services: Vec<Service> = total.by_key.into_iter().map(service).collect();
    services.sort_by(|a, b| b.traffic.requests.cmp(&a.traffic.requests).then_with(|| a.name.cmp(&b.name)));
    Ok(Services {
        start_unix_nanos: UnixNanos(window.start_unix_nanos),
        end_unix_nanos: UnixNanos(window.end_unix_nanos),
        step_nanos: window.step_nanos(),
        services,
        partial,
    })
}

struct CountOperations {
    columns: Columns,
    name: usize,
    kind: usize,
    status: usize,
    duration: usize,
}

impl Counter for CountOperations {
    type Part = Part<Operation>;
    type Total = Groups<Operation>;

    fn count(&self, rows: &SpanRows<'_>) -> Self::Part {
        let names = rows.codes(self.name);
        let mut places = Places::new();
        let mut passed: HashMap<(u32, u32), Passed, RandomState> = HashMap::default();
        for row in rows.rows.iter().map(|row| *row as usize) {
            let code = (names.code(row), rows.number(self.kind, row));
            let place = places.of(code, || {
                let operation = Operation {
                    name: text(&names, code.0).unwrap_or_default(),
                    kind: Kind::from_number(code.1 as i32).word(),
                };
                (operation, Group::default())
            });
            let column = self.columns.of(rows.starts[row] as u64);
            let nanos = rows.number(self.duration, row) as u64;
            passed.entry((place, column)).or_default().record(nanos, rows.number(self.status, row) == ERROR);
        }
        places.part(passed)
    }

    fn add(&self, total: &mut Self::Total, part: Self::Part) {
        total.add(part);
    }

    fn held_bytes(&self, total: &Self::Total) -> u64 {
        total.held_bytes
    }
}

/// Counts the operations of a service.
///
/// # Errors
/// [`Error`]; past a bound there is what was counted until then, see [`Operations::partial`].
pub(crate) async fn operations(
    reads: &Reads<'_>,
    tenants: &[Tenant],
    request: &OperationsRequest,
) -> Result<Operations, Error> {
    let window = request.window;
    let mut pass = Pass::open(reads, tenants, &spans_of_service(&request.service), window.range()).await?;
    let counting = Arc::new(CountOperations {
        columns: window.columns(),
        name: pass.look_at(&intrinsic(Intrinsic::Name)),
        kind: pass.look_at(&intrinsic(Intrinsic::Kind)),
        status: pass.look_at(&intrinsic(Intrinsic::Status)),
        duration: pass.look_at(&intrinsic(Intrinsic::Duration)),
    });
    let mut total = Groups::default();
    let stopped = pass.run(&counting, &mut total).await?.told();
    let (calls, of_calls) = match super::map::calls(reads, tenants, &window).await {
        // The operations are counted by now.
        Err(error) if error.is_bound() => (Calls::default(), Some(format!("Not all calls are counted: {error}"))),
        calls => calls?,
    };
    let (dependencies, callers) = neighbours(&calls, &request.service);
    let partial = super::partial(super::partial(stopped, total.full("operations")), of_calls);
    let operation =
        |(operation, group): (Operation, Group)| OperationTraffic { operation, traffic: group.counts.traffic(&window) };
    let mut operations: Vec<OperationTraffic> = total.by_key.into_iter().map(operation).collect();
    operations.sort_by(|a, b| b.traffic.requests.cmp(&a.traffic.requests).then_with(|| a.operation.cmp(&b.operation)));
    Ok(Operations {
        service: request.service.clone(),
        start_unix_nanos: UnixNanos(window.start_unix_nanos),
        end_unix_nanos: UnixNanos(window.end_unix_nanos),
        step_nanos: window.step_nanos(),
        operations,
        dependencies,
        callers,
        partial,
    })
}
