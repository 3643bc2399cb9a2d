//! What is usual for the operations of a trace: the history that its diagnosis is held against.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use spanlake_analysis::{Baseline, History, Kind, Settings, service_name};
use spanlake_model::{Tenant, TimeRange};

use super::diagnosis::BaselineWindow;
use super::load::Loaded;
use crate::engine::explore::OperationKey;
use crate::querier::Querier;

/// "Usual" is what was so in the two hours up to the trace's end.
const WINDOW_NANOS: u64 = 2 * 3_600 * 1_000_000_000;
/// A diagnosis does not wait longer for what is usual: it is worth reading without.
const PATIENCE: Duration = Duration::from_secs(2);
/// Operations of one trace that are looked up: those of its first spans.
const MAX_OPERATIONS: usize = 500;

/// What is known of a trace's operations.
#[derive(Debug, Default)]
pub(super) struct Usual {
    /// By service, then by name and kind, so that looking one up makes no text.
    by_service: HashMap<String, HashMap<String, Vec<(Kind, Baseline)>>>,
}

impl Usual {
    /// Asks what was usual before the trace ended. Nothing when that takes too long or cannot be had: a diagnosis says less
    /// then, and nothing wrong. Costs as much as [`Querier::baselines`].
    pub(super) async fn of(querier: &Querier, tenants: &[Tenant], loaded: &Loaded) -> Self {
        let Some(trace) = loaded.range() else { return Self::default() };
        let range = TimeRange {
            start_unix_nanos: trace.end_unix_nanos.saturating_sub(WINDOW_NANOS),
            end_unix_nanos: trace.end_unix_nanos,
        };
        let wanted = operations(loaded);
        let asked = querier.baselines(tenants, range, Some(&wanted));
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(known)) => known.by_operation.into_iter().collect(),
            Ok(Err(error)) => {
                tracing::debug!(%error, "what is usual cannot be had");
                Self::default()
            }
            Err(_) => Self::default(),
        }
    }

    /// What "usual" means, unless nothing is known.
    pub(super) fn window(&self, settings: &Settings) -> Option<BaselineWindow> {
        let known = self.by_service.values().flat_map(HashMap::values).flatten();
        let operations = known.filter(|(_, baseline)| baseline.duration.count() >= settings.baseline_count).count();
        (!self.by_service.is_empty())
            .then_some(BaselineWindow { window_seconds: WINDOW_NANOS / 1_000_000_000, operations })
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
    fn baseline(&self, service: &str, name: &str, kind: Kind) -> Option<&Baseline> {
        let kinds = self.by_service.get(service)?.get(name)?;
        kinds.iter().find(|(of, _)| *of == kind).map(|(_, baseline)| baseline)
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
