//! What is usual for the operations of a trace: the history that its diagnosis is held against.
//!
//! Durations come from what blocks tell of every span; all else is learned from a sample of whole traces of the same entry point.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use spanlake_analysis::{
    Baseline, Edge, EdgeCalls, History, Kind, SampledSlots, Settings, SiblingOrder, Trace, Traffic, UsualCalls,
    UsualTraffic, service_name,
};
use spanlake_model::{SpanId, Tenant, TimeRange};
use tokio::time::Instant;

use super::diagnosis::BaselineWindow;
use super::load::Loaded;
use crate::engine::explore::OperationKey;
use crate::engine::explore::learned::{LearnRequest, Learned};
use crate::error::Error;
use crate::querier::Querier;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const MINUTE_NANOS: u64 = 60 * NANOS_PER_SECOND;
/// "Usual" is what was so in the two hours up to the trace's end.
const WINDOW_NANOS: u64 = 120 * MINUTE_NANOS;
/// A diagnosis does not wait longer for what is usual: it is worth reading without.
const PATIENCE: Duration = Duration::from_secs(2);
/// Operations of one trace that are looked up: those of its first spans.
const MAX_OPERATIONS: usize = 500;

/// The sample's time is cut into slots, and ends where the slot begins in which the trace does: all traces of one slot share it.
const SLOT_NANOS: u64 = 5 * MINUTE_NANOS;
/// Traces of the sample. More than a rule wants to see before it says what is usual.
const SAMPLE_TRACES: usize = 256;
/// With fewer, the sample is taken from a day, if that has few blocks.
const FEW_TRACES: u64 = 200;
const DAY_SLOT_NANOS: u64 = 60 * MINUTE_NANOS;
const DAY_NANOS: u64 = 24 * DAY_SLOT_NANOS;
const DAY_BLOCKS: usize = 200;
/// A storm is looked for in a slot's length of time around the trace: so much of it before the minute of the trace.
const AROUND_NANOS: u64 = 2 * MINUTE_NANOS;
const AROUND_TRACES: usize = 128;

/// What is known of a trace's operations.
#[derive(Debug, Default)]
pub(super) struct Usual {
    /// By service, then by name and kind, so that looking one up makes no text.
    by_service: HashMap<String, HashMap<String, Vec<(Kind, Baseline)>>>,
    before: Before,
    /// What passed in the minutes around the trace, and how many slots long they are.
    around: Option<(Traffic, f64)>,
}

/// What was learned from traces before.
#[derive(Debug, Default)]
struct Before {
    learned: Arc<Learned>,
    /// How long a time they are from, in nanoseconds.
    nanos: u64,
    /// What passed in each part of that time.
    slots: SampledSlots,
    slot_nanos: u64,
}

impl Usual {
    /// Asks what was usual before the trace ended. Nothing when that takes too long or cannot be had: a diagnosis says less
    /// then, and nothing wrong. Costs as much as [`Querier::baselines`] and, thrice at most, [`Querier::learned`].
    pub(super) async fn of(querier: &Querier, tenants: &[Tenant], loaded: &Loaded) -> Self {
        let until = Instant::now() + PATIENCE;
        let Some(trace) = loaded.range() else { return Self::default() };
        let range = TimeRange {
            start_unix_nanos: trace.end_unix_nanos.saturating_sub(WINDOW_NANOS),
            end_unix_nanos: trace.end_unix_nanos,
        };
        let wanted = operations(loaded);
        let baselines = async {
            let asked = querier.baselines(tenants, range, Some(&wanted));
            match tokio::time::timeout_at(until, asked).await {
                Ok(Ok(known)) => known.by_operation,
                Ok(Err(error)) => unknown(&error),
                Err(_) => HashMap::default(),
            }
        };
        let entry = Entry::of(loaded);
        let before = async {
            match &entry {
                Some(entry) => entry.before(querier, tenants, until).await,
                None => Before::default(),
            }
        };
        let around = async { entry.as_ref()?.around(querier, tenants, until).await };
        let (durations, before, around) = tokio::join!(baselines, before, around);
        let mut usual = Self { before, around, ..durations.into_iter().collect() };
        usual.add_self_times();
        usual
    }

    /// What "usual" means, unless nothing is known.
    pub(super) fn window(&self, settings: &Settings) -> Option<BaselineWindow> {
        let known = self.by_service.values().flat_map(HashMap::values).flatten();
        let operations = known.filter(|(_, baseline)| baseline.duration.count() >= settings.baseline_count).count();
        let sampled_traces = self.before.learned.trace_count();
        (!self.by_service.is_empty() || sampled_traces > 0).then_some(BaselineWindow {
            window_seconds: WINDOW_NANOS / NANOS_PER_SECOND,
            operations,
            sampled_traces,
            sample_seconds: self.before.nanos / NANOS_PER_SECOND,
        })
    }

    /// Blocks tell of durations only, since a trace's spans may lie in several; the sample has whole traces.
    fn add_self_times(&mut self) {
        let learned = Arc::clone(&self.before.learned);
        for (service, name, kind, observed) in learned.observed.baselines() {
            let names = self.by_service.get_mut(service).and_then(|names| names.get_mut(name));
            let of_kind = names.and_then(|kinds| kinds.iter_mut().find(|(of, _)| *of == kind));
            if let Some((_, baseline)) = of_kind {
                baseline.self_time = observed.self_time.clone();
            }
        }
    }
}

/// Nothing is known, and why: for who looks into it.
fn unknown<T: Default>(error: &Error) -> T {
    tracing::debug!(%error, "what is usual cannot be had");
    T::default()
}

/// What a trace began with.
struct Entry {
    service: String,
    name: String,
    start_unix_nanos: u64,
}

impl Entry {
    /// The entry point of a trace: its earliest span without a parent, as blocks tell it too.
    fn of(loaded: &Loaded) -> Option<Self> {
        let mut first: Option<((u64, &[u8]), Self)> = None;
        for resource in &loaded.spans().resource_spans {
            let service = resource.resource.as_ref().map_or("", |resource| service_name(&resource.attributes));
            let spans = resource.scope_spans.iter().flat_map(|scope| &scope.spans);
            for span in spans.filter(|span| SpanId::from_wire(&span.parent_span_id).is_none()) {
                let order = (span.start_time_unix_nano, span.span_id.as_slice());
                if first.as_ref().is_none_or(|(known, _)| order < *known) {
                    let (service, name) = (service.to_owned(), span.name.clone());
                    first = Some((order, Self { service, name, start_unix_nanos: span.start_time_unix_nano }));
                }
            }
        }
        first.map(|(_, entry)| entry).filter(|entry| entry.start_unix_nanos > 0)
    }

    fn request(&self, start_unix_nanos: u64, slot_nanos: u64, slot_count: usize) -> LearnRequest {
        LearnRequest {
            root_service: self.service.clone(),
            root_name: self.name.clone(),
            start_unix_nanos,
            slot_nanos,
            slot_count,
            max_traces: SAMPLE_TRACES,
            max_blocks: usize::MAX,
        }
    }

    /// How its traces went before the slot in which this one begins.
    async fn before(&self, querier: &Querier, tenants: &[Tenant], until: Instant) -> Before {
        let end = self.start_unix_nanos / SLOT_NANOS * SLOT_NANOS;
        let learn = async |nanos: u64, slot_nanos: u64, max_blocks: usize| {
            let slot_count = usize::try_from(nanos / slot_nanos).unwrap_or(0);
            let request =
                LearnRequest { max_blocks, ..self.request(end.saturating_sub(nanos), slot_nanos, slot_count) };
            let learned = querier.learned(tenants, &request, until).await.unwrap_or_else(|error| unknown(&error));
            Before::of(learned, nanos, slot_nanos)
        };
        let near = learn(WINDOW_NANOS, SLOT_NANOS, usize::MAX).await;
        if near.learned.trace_count() >= FEW_TRACES || near.learned.is_cut {
            return near;
        }
        let day = learn(DAY_NANOS, DAY_SLOT_NANOS, DAY_BLOCKS).await;
        if day.learned.trace_count() > near.learned.trace_count() { day } else { near }
    }

    /// What passes in the minutes around it; fewer of them when they are not over yet.
    async fn around(&self, querier: &Querier, tenants: &[Tenant], until: Instant) -> Option<(Traffic, f64)> {
        let start = (self.start_unix_nanos / MINUTE_NANOS * MINUTE_NANOS).saturating_sub(AROUND_NANOS);
        let request = LearnRequest { max_traces: AROUND_TRACES, ..self.request(start, SLOT_NANOS, 1) };
        let learned = querier.learned(tenants, &request, until).await.unwrap_or_else(|error| unknown(&error));
        let (entries, sampled) = learned.slots.first().filter(|(_, sampled)| sampled.entries > 0)?;
        // What was learned a minute ago knows nothing of this minute.
        let nanos = learned.seen_unix_nanos.saturating_sub(start).min(SLOT_NANOS);
        Some((sampled.clone().of_all(*entries), nanos as f64 / SLOT_NANOS as f64))
    }
}

impl Before {
    fn of(learned: Arc<Learned>, nanos: u64, slot_nanos: u64) -> Self {
        let mut slots = SampledSlots::default();
        learned.slots.iter().for_each(|(entries, sampled)| slots.push(*entries, sampled.clone()));
        Self { learned, nanos, slots, slot_nanos }
    }
}

impl FromIterator<(OperationKey, Baseline)> for Usual {
    fn from_iter<I: IntoIterator<Item = (OperationKey, Baseline)>>(known: I) -> Self {
        let mut usual = Self::default();
        for ((service, name, kind), baseline) in known {
            usual.by_service.entry(service).or_default().entry(name).or_default().push((kind, baseline));
        }
        usual
    }
}

impl History for Usual {
    fn edge(&self, service: &str, name: &str) -> Option<EdgeCalls> {
        self.before.learned.observed.edge(service, name)
    }

    fn usual_caller(&self, service: &str, name: &str) -> Option<String> {
        self.before.learned.observed.usual_caller(service, name)
    }

    fn order(&self, trace: &Trace, first: u32, second: u32) -> Option<SiblingOrder> {
        self.before.learned.observed.order(trace, first, second)
    }

    fn baseline(&self, service: &str, name: &str, kind: Kind) -> Option<&Baseline> {
        let kinds = self.by_service.get(service)?.get(name)?;
        kinds.iter().find(|(of, _)| *of == kind).map(|(_, baseline)| baseline)
    }

    fn usual_calls(&self, trace: &Trace, span: u32) -> Option<UsualCalls> {
        self.before.learned.observed.usual_calls(trace, span)
    }

    fn usual_calls_of(&self, trace: &Trace, spans: &[u32]) -> Vec<Option<UsualCalls>> {
        self.before.learned.observed.usual_calls_of(trace, spans)
    }

    fn traffic(&self) -> Option<&Traffic> {
        self.around.as_ref().map(|(traffic, _)| traffic)
    }

    fn usual_traffic(&self, edge: &Edge) -> Option<UsualTraffic> {
        let (_, lengths) = self.around.as_ref()?;
        self.before.slots.usual(edge, lengths * SLOT_NANOS as f64 / self.before.slot_nanos.max(1) as f64)
    }
}

fn operations(loaded: &Loaded) -> HashSet<OperationKey> {
    let mut operations = HashSet::new();
    for resource in &loaded.spans().resource_spans {
        let service = resource.resource.as_ref().map_or("", |resource| service_name(&resource.attributes));
        for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            if operations.len() >= MAX_OPERATIONS {
                return operations;
            }
            operations.insert((service.to_owned(), span.name.clone(), Kind::from_otlp(span.kind)));
        }
    }
    operations
}
