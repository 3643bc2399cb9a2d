//! The store that all processes share, with its faults, and processes that can be started on it, each with a clock of its own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use spanlake_catalog::Catalog;
use spanlake_compactor::{Compactor, TenantConfig};
use spanlake_ingester::Ingester;
use spanlake_model::world::Clock;
use spanlake_model::{HumanDuration, Tenant};
use spanlake_querier::Querier;
use spanlake_storage::faults::{Fault, Faulty, Plan};
use spanlake_storage::{Backend, Config, Driver, Store};

use crate::gate::Gate;
use crate::history::History;
use crate::watch::Watch;

/// Longest a query may take; objects are deleted only after several times this.
pub const QUERY_TIMEOUT: HumanDuration = HumanDuration::from_secs(10);

/// How long retired objects stay: twice what a query may take, so that no reader needs them any more.
pub const GRACE: HumanDuration = HumanDuration::from_secs(20);

/// How long it is remembered at least that a trace was deleted.
pub const DELETED_MIN_AGE: HumanDuration = HumanDuration::from_secs(20);

/// How far a process's clock may be off.
pub const MAX_SKEW: Duration = Duration::from_secs(600);

/// How long spans are kept of the tenant that does not keep them for ever, and how long at least after they came: longer than a
/// clock may be off.
pub const RETENTION: HumanDuration = HumanDuration::from_secs(1_800);
pub const LATE_RETENTION: HumanDuration = HumanDuration::from_secs(1_200);

/// The tenant whose spans are not kept for ever.
const RETAINED: &str = "b";

/// Whether a tenant's spans are kept for a time only.
pub fn retains(tenant: &Tenant) -> bool {
    tenant.as_str() == RETAINED
}

/// A compactor in a hurry: all that takes hours takes seconds, and orphans go sooner than a writer that stood still wakes up. Only
/// what is compared with a writer's clock must be longer than that may be off.
pub fn compactor_config() -> spanlake_compactor::Config {
    spanlake_compactor::Config {
        interval: HumanDuration::from_secs(3),
        l0_min_age: HumanDuration::from_secs(1),
        l0_fan_in: 4,
        l0_max_wait: HumanDuration::from_secs(5),
        window: HumanDuration::from_secs(20),
        window_grace: HumanDuration::from_secs(10),
        lease: HumanDuration::from_secs(6),
        delete_grace: GRACE,
        l0_delete_grace: HumanDuration::from_secs(15),
        sweep_interval: HumanDuration::from_secs(15),
        orphan_min_age: HumanDuration::from_secs(40),
        manifest_min_age: HumanDuration::from_secs(60),
        deleted_traces_min_age: DELETED_MIN_AGE,
        late_retention: LATE_RETENTION,
        tenants: BTreeMap::from([(RETAINED.to_owned(), TenantConfig { retention: Some(RETENTION) })]),
        ..Default::default()
    }
}

/// A querier that knows that spans of one trace may be two years apart here.
fn querier_config() -> spanlake_querier::Config {
    let trace_reach = HumanDuration::from_secs(3 * 365 * 24 * 3_600);
    spanlake_querier::Config { query_timeout: QUERY_TIMEOUT, trace_reach, ..Default::default() }
}

/// The shared store.
pub struct Cluster {
    /// The objects as they are: no faults, not counted as anyone's calls.
    pub truth: Store,
    pub watch: Arc<Watch>,
    pub faulty: Arc<Faulty>,
    pub history: Arc<History>,
    /// The clock of each machine, by the name of the process that runs on it: one that is started anew has the same.
    clocks: RefCell<BTreeMap<String, Clock>>,
}

/// One process: its own connection, catalog and memory of both.
pub struct Process {
    pub gate: Arc<Gate>,
    pub catalog: Catalog,
}

/// A process with the ingest role.
pub struct IngesterProcess {
    pub process: Process,
    pub ingester: Ingester,
}

/// A process with the query role.
pub struct QuerierProcess {
    pub process: Process,
    pub querier: Querier,
}

impl Cluster {
    /// An empty store that acts as a bucket.
    pub fn new(plan: Plan) -> Self {
        let (truth, history) = (Store::memory(), Arc::new(History::new()));
        let spoils_reads = plan.rules.iter().any(|rule| matches!(rule.fault, Fault::Flip));
        let watch = Watch::over(truth.driver(), Arc::clone(&history), spoils_reads);
        let faulty = Faulty::acting_as(Arc::clone(&watch) as Arc<dyn Driver>, Backend::Remote, plan);
        Self { truth, watch, faulty, history, clocks: RefCell::default() }
    }

    /// The clocks of all machines that were asked for.
    pub fn clocks(&self) -> Vec<Clock> {
        self.clocks.borrow().values().cloned().collect()
    }

    /// The clock of the machine on which the process of a name runs.
    pub fn clock(&self, name: &str) -> Clock {
        self.clocks.borrow_mut().entry(name.to_owned()).or_default().clone()
    }

    /// Starts a process.
    pub fn boot(&self, name: &str) -> Process {
        let driver = Arc::clone(&self.faulty) as Arc<dyn Driver>;
        let (clock, history) = (self.clock(name), Arc::clone(&self.history));
        let gate = Gate::new(name.to_owned(), driver, self.true_catalog(), history, clock);
        let store = Store::over(Arc::clone(&gate) as Arc<dyn Driver>, &Config::default());
        self.history.note(format_args!("{name} starts"));
        Process { gate, catalog: Catalog::new(store, Default::default()) }
    }

    pub fn boot_ingester(&self, name: &str) -> Rc<IngesterProcess> {
        let process = self.boot(name);
        let ingester = Ingester::new(Default::default(), process.catalog.clone(), &mut Registry::default());
        Rc::new(IngesterProcess { process, ingester })
    }

    pub fn boot_querier(&self, name: &str) -> Rc<QuerierProcess> {
        let process = self.boot(name);
        let querier = Querier::new(querier_config(), process.catalog.clone(), &mut Registry::default());
        Rc::new(QuerierProcess { process, querier })
    }

    /// A compactor on a process of its own.
    pub fn boot_compactor(&self, name: &str) -> (Process, Compactor) {
        self.boot_compactor_with(name, compactor_config())
    }

    /// A compactor with settings of its own.
    pub fn boot_compactor_with(&self, name: &str, config: spanlake_compactor::Config) -> (Process, Compactor) {
        let process = self.boot(name);
        let compactor = Compactor::new(config, process.catalog.clone(), &mut Registry::default());
        (process, compactor)
    }

    /// A catalog that sees the objects as they are.
    pub fn true_catalog(&self) -> Catalog {
        Catalog::new(self.truth.clone(), Default::default())
    }

    /// A querier that sees the objects as they are, with nothing remembered.
    pub fn true_querier(&self) -> Querier {
        Querier::new(querier_config(), self.true_catalog(), &mut Registry::default())
    }
}
