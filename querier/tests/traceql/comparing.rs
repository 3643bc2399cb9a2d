//! Breakdowns, maps and baselines of many spans, against slow counts over the same spans.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use rand::Rng as _;
use rand::rngs::StdRng;
use spanlake_analysis::breakdown::{Seen, ValueCounts, WEIGHT_ONE, breakdown};
use spanlake_analysis::{Histogram, Kind};
use spanlake_block::SLOT_NANOS;
use spanlake_model::{Tenant, TimeRange};
use spanlake_querier::{
    AttributeValue, Beside, BreakdownRequest, Connection, MapRequest, OperationKey, Selection, Window, every_span,
};
use spanlake_traceql::reference::StoredSpan;
use spanlake_traceql::reference::random::EPOCH_UNIX_NANOS;

use crate::overview::{duration, each_once, is_error, resource, same, spans};
use crate::world::{Layout, World};

const SECOND: u64 = 1_000_000_000;

/// An attribute's name in counts, and its text and number; none for what is not counted.
type Named = (String, Option<(String, Option<f64>)>);

/// What is asked.
#[derive(Debug, Clone)]
pub struct Comparing {
    window: Window,
    selection: Selection,
    baseline: Beside,
}

impl Comparing {
    pub fn random(rng: &mut StdRng) -> Self {
        let start_unix_nanos = EPOCH_UNIX_NANOS + rng.random_range(0..60) * SECOND;
        let end_unix_nanos = start_unix_nanos + rng.random_range(60..400) * SECOND;
        let window = Window { start_unix_nanos, end_unix_nanos, column_count: 1 };
        let from = start_unix_nanos + rng.random_range(0..30) * SECOND;
        let selection = Selection {
            start_unix_nanos: from,
            end_unix_nanos: from + rng.random_range(1..200) * SECOND,
            least_nanos: if rng.random_bool(0.3) { 100_000_000 } else { 0 },
            greatest_nanos: if rng.random_bool(0.2) { 2 * SECOND } else { u64::MAX },
            errors: [None, None, Some(true), Some(false)][rng.random_range(0..4)],
        };
        let baseline = if rng.random_bool(0.7) { Beside::Rest } else { Beside::Before };
        Self { window, selection, baseline }
    }

    /// How an answer differs from the slow one.
    pub async fn difference(&self, world: &World, layout: &Layout) -> Result<(), String> {
        let spans = spans(layout);
        self.breakdown(world, &spans).await?;
        self.map(world, &spans).await?;
        self.baselines(world, layout).await
    }

    fn is_selected(&self, one: &StoredSpan) -> bool {
        let (of, start) = (&self.selection, one.span.start_time_unix_nano);
        (of.start_unix_nanos..of.end_unix_nanos).contains(&start)
            && (of.least_nanos..=of.greatest_nanos).contains(&duration(one))
            && of.errors.is_none_or(|errors| errors == is_error(one))
    }

    fn is_beside(&self, one: &StoredSpan) -> bool {
        let (of, start) = (&self.selection, one.span.start_time_unix_nano);
        match self.baseline {
            Beside::Rest => self.is_in_window(one) && !self.is_selected(one),
            _ => {
                (of.start_unix_nanos - (of.end_unix_nanos - of.start_unix_nanos)..of.start_unix_nanos).contains(&start)
            }
        }
    }

    fn is_in_window(&self, one: &StoredSpan) -> bool {
        (self.window.start_unix_nanos..self.window.end_unix_nanos).contains(&one.span.start_time_unix_nano)
    }

    fn values(&self, one: &StoredSpan) -> Vec<Named> {
        let text = |text: &str| Some((text.to_owned(), None));
        let mut values = vec![
            ("intrinsic.name".to_owned(), text(&one.span.name)),
            ("intrinsic.kind".to_owned(), text(kind_word(one.span.kind))),
        ];
        if self.selection.errors.is_none() {
            let status = one.span.status.clone().unwrap_or_default();
            values.push(("intrinsic.status".to_owned(), text(["unset", "ok", "error"][status.code as usize])));
            values.push(("intrinsic.statusMessage".to_owned(), text(&status.message)));
        }
        if self.selection.least_nanos == 0 && self.selection.greatest_nanos == u64::MAX {
            values.push(("intrinsic.duration".to_owned(), Some((String::new(), Some(duration(one) as f64)))));
        }
        let scoped = |scope: &str, of: &KeyValue| (format!("{scope}.{}", of.key), value(of));
        values.extend(one.span.attributes.iter().map(|of| scoped("span", of)));
        values.extend(one.resource.attributes.iter().map(|of| scoped("resource", of)));
        // Of a key that comes twice the first value counts, whatever it is.
        let mut known = BTreeSet::new();
        values.retain(|(key, _)| known.insert(key.clone()));
        values
    }

    async fn breakdown(&self, world: &World, spans: &[StoredSpan]) -> Result<(), String> {
        let count = |mut counts: ValueCounts, chosen: &dyn Fn(&StoredSpan) -> bool| {
            for one in spans.iter().filter(|one| chosen(one)) {
                let values = self.values(one);
                let seen = values.iter().filter_map(|(key, value)| {
                    let (text, number) = value.as_ref()?;
                    Some((key.as_str(), number.map_or(Seen::Text(text), Seen::Number)))
                });
                counts.add(WEIGHT_ONE, seen);
            }
            counts
        };
        let ours = count(ValueCounts::default(), &|one| self.is_selected(one));
        let theirs = count(ValueCounts::beside(&ours), &|one| self.is_beside(one));
        let request = BreakdownRequest {
            query: every_span(),
            window: self.window,
            selection: self.selection,
            baseline: self.baseline.clone(),
            limit: 1_000,
        };
        let answer = world.querier.breakdown(&[Tenant::single()], &request).await.map_err(|e| e.to_string())?;
        same("counted", &(answer.selected, answer.baseline), &(ours.span_count(), theirs.span_count()))?;
        let expect = breakdown(&ours, &theirs, &[]);
        let expected: BTreeMap<(String, Option<String>), (u64, u64)> = expect
            .differences
            .iter()
            .map(|one| ((one.key.clone(), one.value.clone()), (one.selected, one.baseline)))
            .collect();
        let named = |of: &AttributeValue| {
            let value = match &of.value {
                serde_json::Value::Null => None,
                serde_json::Value::String(text) => Some(text.clone()),
                other => Some(other.to_string().trim_end_matches(".0").to_owned()),
            };
            (format!("{}.{}", of.scope, of.key), value)
        };
        let found: BTreeSet<(String, Option<String>)> =
            answer.differences.iter().flat_map(|one| [&one.of].into_iter().chain(&one.together)).map(named).collect();
        same("differences", &found, &expected.keys().cloned().collect())?;
        for one in &answer.differences {
            same("counts", &(one.selected_count, one.baseline_count), &expected[&named(&one.of)])?;
        }
        same("hidden", &answer.hidden_keys, &expect.identity_keys)?;
        let selected = |id: &(String, String)| {
            let is_it =
                |one: &&StoredSpan| (hex(&one.span.trace_id), hex(&one.span.span_id)) == *id && self.is_selected(one);
            spans.iter().any(|one| is_it(&one))
        };
        let shown: Vec<(String, String)> =
            answer.representative.iter().map(|one| (one.trace_id.clone(), one.span_id.clone())).collect();
        match shown.iter().find(|id| !selected(id)) {
            Some(stray) => Err(format!("{stray:?} is not selected")),
            None if shown.is_empty() && answer.selected > 0 => Err("no span is shown".to_owned()),
            None => Ok(()),
        }
    }

    async fn map(&self, world: &World, spans: &[StoredSpan]) -> Result<(), String> {
        let spans: Vec<&StoredSpan> = spans.iter().filter(|one| self.is_in_window(one)).collect();
        let service = |one: &StoredSpan| resource(one, "service.name").unwrap_or_default();
        let attribute = |one: &StoredSpan, keys: &[&str]| {
            keys.iter().find_map(|key| {
                let found = one.span.attributes.iter().find(|of| of.key == *key)?;
                match found.value.as_ref()?.value.as_ref()? {
                    Value::StringValue(text) if !text.is_empty() => Some(text.clone()),
                    Value::IntValue(number) => Some(number.to_string()),
                    _ => None,
                }
            })
        };
        let parent = |one: &StoredSpan| match one.span.parent_span_id.as_slice() {
            id if id.len() == 8 && id.iter().any(|byte| *byte != 0) => Some(id.to_vec()),
            _ => None,
        };
        let mut expect: BTreeMap<(String, String, Connection), (u64, u64)> = BTreeMap::new();
        let mut edge = |client: String, server: String, connection: Connection, failed: bool| {
            let counts = expect.entry((client, server, connection)).or_default();
            counts.0 += 1;
            counts.1 += u64::from(failed);
        };
        type Call<'a> = (Vec<u8>, Vec<u8>);
        let mut clients: HashMap<Call<'_>, Vec<&StoredSpan>> = HashMap::new();
        let mut servers: Vec<(Call<'_>, &StoredSpan)> = Vec::new();
        for one in &spans {
            let trace = one.span.trace_id.clone();
            match one.span.kind {
                2 if parent(one).is_none() => {
                    let peer = attribute(one, &["peer.service"]).unwrap_or_else(|| "user".to_owned());
                    edge(peer, service(one), Connection::VirtualNode, is_error(one));
                }
                2 | 5 => servers.push(((trace, parent(one).unwrap_or_else(|| vec![0; 8])), one)),
                3 if attribute(one, &["db.namespace", "db.name", "db.system", "db.system.name"]).is_some() => {
                    let named = attribute(one, &["peer.service", "server.address", "net.peer.name"]);
                    let address = attribute(one, &["network.peer.address", "net.sock.peer.addr"]);
                    let address = address.map(|address| match attribute(one, &["network.peer.port"]) {
                        Some(port) => format!("{address}:{port}"),
                        None => address,
                    });
                    let database = attribute(one, &["db.namespace", "db.name", "db.system", "db.system.name"]);
                    let server = named.or(address).or(database).unwrap_or_default();
                    edge(service(one), server, Connection::Database, is_error(one));
                }
                3 | 4 => clients.entry((trace, one.span.span_id.clone())).or_default().push(one),
                _ => {}
            }
        }
        // Spans that share an id are told apart by what is said of them: the first counts.
        for of in clients.values_mut() {
            of.sort_by_key(|one| (service(one), duration(one), one.span.kind, is_error(one)));
        }
        let mut paired: BTreeSet<(Vec<u8>, Vec<u8>)> = BTreeSet::new();
        let is_message = |one: &StoredSpan| matches!(one.span.kind, 4 | 5);
        for (call, server) in &servers {
            let Some(client) = clients.get(call).and_then(|of| of.first()) else { continue };
            if is_message(client) == is_message(server) {
                paired.insert(call.clone());
                let connection = if is_message(server) { Connection::MessagingSystem } else { Connection::Call };
                edge(service(client), service(server), connection, is_error(client) || is_error(server));
            }
        }
        for (call, of) in &clients {
            let Some(client) = of.first().filter(|_| !paired.contains(call)) else { continue };
            if let (3, Some(peer)) = (client.span.kind, attribute(client, &["peer.service"])) {
                edge(service(client), peer, Connection::VirtualNode, is_error(client));
            }
        }
        let request = MapRequest { window: self.window, focus: None, hops: 1 };
        let answer = world.querier.service_map(&[Tenant::single()], &request).await.map_err(|e| e.to_string())?;
        let found = answer
            .edges
            .iter()
            .map(|edge| ((edge.client.clone(), edge.server.clone(), edge.connection), (edge.calls, edge.errors)));
        same("edges", &found.collect(), &expect)?;
        let names: BTreeSet<&String> = answer.nodes.iter().map(|node| &node.name).collect();
        match expect.keys().flat_map(|(client, server, _)| [client, server]).find(|name| !names.contains(name)) {
            Some(absent) => Err(format!("there is no node {absent:?}")),
            None => Ok(()),
        }
    }

    /// Blocks above level 0 tell of durations: rounded, in slots of time, a span as often as blocks have it. The spans of others are
    /// counted one by one.
    async fn baselines(&self, world: &World, layout: &Layout) -> Result<(), String> {
        let range = TimeRange {
            start_unix_nanos: self.window.start_unix_nanos,
            end_unix_nanos: self.window.end_unix_nanos - 1,
        };
        let mut expect: BTreeMap<OperationKey, Histogram> = BTreeMap::new();
        let mut count = |one: &StoredSpan, nanos: u64| {
            let service = resource(one, "service.name").unwrap_or_default();
            let key = (service, one.span.name.clone(), Kind::from_otlp(one.span.kind));
            expect.entry(key).or_default().record(nanos);
        };
        let (telling, others): (Vec<_>, Vec<_>) =
            layout.blocks.iter().enumerate().partition(|(number, _)| Layout::level(*number) > 0);
        let others = each_once(others.into_iter().flat_map(|(_, block)| block.clone()).collect());
        others.iter().filter(|one| self.is_in_window(one)).for_each(|one| count(one, duration(one)));
        let slots = range.start_unix_nanos / SLOT_NANOS..=range.end_unix_nanos / SLOT_NANOS;
        for (_, block) in telling {
            let block = each_once(block.clone());
            let starts = block.iter().map(|one| one.span.start_time_unix_nano);
            let ends = block.iter().map(|one| one.span.start_time_unix_nano + duration(one));
            let (Some(start), Some(end)) = (starts.min(), ends.max()) else { continue };
            let of_block = TimeRange { start_unix_nanos: start, end_unix_nanos: end };
            if start == 0 || of_block.overlaps(&range) {
                let told = block.iter().filter(|one| slots.contains(&(one.span.start_time_unix_nano / SLOT_NANOS)));
                told.for_each(|one| count(one, kept(duration(one))));
            }
        }
        let answer = world.querier.baselines(&[Tenant::single()], range, None).await.map_err(|e| e.to_string())?;
        let found = answer.by_operation.into_iter().map(|(key, baseline)| (key, baseline.duration));
        same("baselines", &found.collect(), &expect)
    }
}

/// A duration as a block tells of it: the middle of all that share their highest five bits.
fn kept(nanos: u64) -> u64 {
    let width = 1 << nanos.max(1).ilog2().saturating_sub(4);
    nanos / width * width + width / 2
}

fn kind_word(kind: i32) -> &'static str {
    match kind {
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "unspecified",
    }
}

fn value(of: &KeyValue) -> Option<(String, Option<f64>)> {
    Some(match of.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => (text.clone(), None),
        Value::BoolValue(bool) => (bool.to_string(), None),
        Value::IntValue(number) => (String::new(), Some(*number as f64)),
        // -0.0 and 0.0 are the same double.
        Value::DoubleValue(number) if !number.is_nan() => (String::new(), Some(number + 0.0)),
        _ => return None,
    })
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
