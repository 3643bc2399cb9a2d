//! What runs where: the instances of each service, with the resource that each sends and how wrong its host's clock is.

use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::SERVICES;
use crate::attribute::{int, text};
use crate::dice::Dice;

/// The two regions, and the share of visitors that the first one serves.
pub(crate) const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
pub(crate) const FIRST_REGION_PERCENT: f64 = 60.0;

/// The version of `pay` that should not have been shipped.
pub(crate) const BAD_VERSION: &str = "2.4.1";
/// How far the clock of the host with the bad clock is ahead.
const CLOCK_AHEAD_NANOS: u64 = 180_000_000;
/// The host with the bad clock: it runs nothing but an instance of `inventory`.
const SKEWED_HOST: usize = 7;

/// A process that sends spans.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) service: &'static str,
    pub(crate) region: usize,
    pub(crate) resource: Resource,
    pub(crate) clock_ahead_nanos: u64,
    /// Runs the version that should not have been shipped.
    pub(crate) is_bad: bool,
}

/// All instances.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    pub(crate) instances: Vec<Instance>,
}

struct Build {
    language: &'static str,
    sdk: &'static str,
    version: &'static str,
    runtime: &'static str,
}

fn build(service: &str) -> Build {
    let (language, sdk, version, runtime) = match service {
        "frontend" => ("nodejs", "2.2.0", "5.18.2", "nodejs 24.11.0"),
        "checkout" | "shipping" => ("go", "1.38.0", "1.41.0", "go 1.25.4"),
        "cart" => ("dotnet", "1.14.0", "3.7.1", ".NET 10.0.0"),
        "catalog" => ("java", "1.56.0", "8.2.0", "OpenJDK 25.0.1"),
        "pay" => ("java", "1.56.0", "2.4.0", "OpenJDK 25.0.1"),
        "bank-gateway" => ("java", "1.49.0", "1.12.5", "OpenJDK 21.0.6"),
        "inventory" => ("rust", "0.31.0", "0.9.14", "rustc 1.91.1"),
        _ => ("python", "1.38.0", "4.0.3", "CPython 3.14.0"),
    };
    Build { language, sdk, version, runtime }
}

impl Fleet {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(&[seed, u64::MAX]);
        let mut instances = Vec::new();
        for region in 0..REGIONS.len() {
            for (number, service) in SERVICES.iter().enumerate() {
                // Two instances each, on hosts that they share with others.
                for copy in 0..2 {
                    let host = (number * 2 + copy) % 6;
                    instances.push(instance(service, region, host, build(service).version, &mut dice));
                }
            }
        }
        instances.push(instance("inventory", 0, SKEWED_HOST, build("inventory").version, &mut dice));
        instances.push(instance("pay", 1, 6, BAD_VERSION, &mut dice));
        Self { instances }
    }

    /// The instances of a service in a region that do what they should.
    pub(crate) fn healthy<'a>(&'a self, service: &'a str, region: usize) -> impl Iterator<Item = usize> + 'a {
        let fits = move |one: &Instance| one.service == service && one.region == region;
        self.instances
            .iter()
            .enumerate()
            .filter(move |(_, one)| fits(one) && one.clock_ahead_nanos == 0 && !one.is_bad)
            .map(|(at, _)| at)
    }

    /// The instance whose host has the bad clock.
    pub(crate) fn skewed(&self) -> Option<usize> {
        self.instances.iter().position(|one| one.clock_ahead_nanos != 0)
    }

    /// The instance with the bad version.
    pub(crate) fn bad(&self) -> Option<usize> {
        self.instances.iter().position(|one| one.is_bad)
    }
}

fn instance(service: &'static str, region: usize, host: usize, version: &str, dice: &mut Dice) -> Instance {
    let Build { language, sdk, runtime, .. } = build(service);
    let region_name = REGIONS[region];
    let short = ["use1", "euw1"][region];
    let zone = ["a", "b", "c"][host % 3];
    let (runtime_name, runtime_version) = runtime.split_once(' ').unwrap_or((runtime, ""));
    let attributes = vec![
        text("service.name", service),
        text("service.namespace", "shop"),
        text("service.version", version),
        text("service.instance.id", format!("{}-{}-{}-{}", dice.hex(8), dice.hex(4), dice.hex(4), dice.hex(12))),
        text("deployment.environment.name", "production"),
        text("cloud.provider", "aws"),
        text("cloud.region", region_name),
        text("cloud.availability_zone", format!("{region_name}{zone}")),
        text("host.name", format!("node-{short}-{host}")),
        text("k8s.cluster.name", format!("shop-{short}")),
        text("k8s.namespace.name", "shop"),
        text("k8s.deployment.name", service),
        text("k8s.pod.name", format!("{service}-{}-{}", dice.hex(9), dice.hex(5))),
        int("process.pid", dice.between(2, 40)),
        text("process.runtime.name", runtime_name),
        text("process.runtime.version", runtime_version),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.language", language),
        text("telemetry.sdk.version", sdk),
    ];
    Instance {
        service,
        region,
        resource: Resource { attributes, ..Resource::default() },
        clock_ahead_nanos: if host == SKEWED_HOST { CLOCK_AHEAD_NANOS } else { 0 },
        is_bad: version == BAD_VERSION,
    }
}
