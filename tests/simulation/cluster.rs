//! The store that all processes share, with its faults, and processes that can be started on it.

use std::rc::Rc;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use spanlake_catalog::Catalog;
use spanlake_compactor::Compactor;
use spanlake_ingester::Ingester;
use spanlake_model::HumanDuration;
use spanlake_querier::Querier;
use spanlake_storage::faults::{Faulty, Plan};
use spanlake_storage::{Backend, Config, Driver, Store};

use crate::gate::Gate;
use crate::history::History;

/// Longest a query may take; objects are deleted only after several times this.
pub const QUERY_TIMEOUT: HumanDuration = HumanDuration::from_secs(10);

/// How long retired objects stay: twice what a query may take, so that no reader needs them any more.
pub const GRACE: HumanDuration = HumanDuration::from_secs(20);

/// A compactor in a hurry: all that takes hours takes seconds, and orphans go sooner than a writer that stood still wakes up.
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
        ..Default::default()
    }
}

/// The shared store.
pub struct Cluster {
    /// The objects as they are: no faults, not counted as anyone's calls.
    pub truth: Store,
    pub faulty: Arc<Faulty>,
    pub history: Arc<History>,
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
        let truth = Store::memory();
        let faulty = Faulty::acting_as(truth.driver(), Backend::Remote, plan);
        Self { truth, faulty, history: Arc::new(History::new()) }
    }

    /// Starts a process.
    pub fn boot(&self, name: &str) -> Process {
        let driver = Arc::clone(&self.faulty) as Arc<dyn Driver>;
        let gate = Gate::new(name.to_owned(), driver, self.true_catalog(), Arc::clone(&self.history));
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
        let config = spanlake_querier::Config { query_timeout: QUERY_TIMEOUT, ..Default::default() };
        let querier = Querier::new(config, process.catalog.clone(), &mut Registry::default());
        Rc::new(QuerierProcess { process, querier })
    }

    /// A compactor on a process of its own.
    pub fn boot_compactor(&self, name: &str) -> (Process, Compactor) {
        let process = self.boot(name);
        let compactor = Compactor::new(compactor_config(), process.catalog.clone(), &mut Registry::default());
        (process, compactor)
    }

    /// A catalog that sees the objects as they are.
    pub fn true_catalog(&self) -> Catalog {
        Catalog::new(self.truth.clone(), Default::default())
    }

    /// A querier that sees the objects as they are, with nothing remembered.
    pub fn true_querier(&self) -> Querier {
        let config = spanlake_querier::Config { query_timeout: QUERY_TIMEOUT, ..Default::default() };
        Querier::new(config, self.true_catalog(), &mut Registry::default())
    }
}
