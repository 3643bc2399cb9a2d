//! The shop's services, their pods as OpenTelemetry resources, and the instrumentation libraries they use.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::corpus::attributes::text;
use crate::corpus::exporters::Fleet;
use crate::dice::Dice;

/// A service of the shop. The discriminant is its place in [`SERVICES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::corpus) enum Service {
    FrontendProxy,
    Frontend,
    Cart,
    Checkout,
    Payment,
    Shipping,
    Quote,
    ProductCatalog,
    Recommendation,
    Ad,
    Currency,
    Email,
    Accounting,
    FraudDetection,
    Inventory,
}

/// What an instrumentation library instruments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::corpus) enum Library {
    Http,
    Rpc,
    Database,
    Messaging,
    /// The service's own code.
    Own,
}

const LIBRARY_COUNT: usize = 5;

#[derive(Clone, Copy)]
enum Language {
    Cpp,
    DotNet,
    Go,
    Java,
    JavaScript,
    Php,
    Python,
    Ruby,
    Rust,
}

struct Description {
    name: &'static str,
    version: &'static str,
    language: Language,
    pods: u32,
}

const fn service(name: &'static str, version: &'static str, language: Language, pods: u32) -> Description {
    Description { name, version, language, pods }
}

const SERVICES: [Description; 15] = [
    service("frontend-proxy", "1.34.1", Language::Cpp, 3),
    service("frontend", "2.11.0", Language::JavaScript, 4),
    service("cart", "2.4.1", Language::DotNet, 3),
    service("checkout", "2.9.3", Language::Go, 4),
    service("payment", "1.18.0", Language::JavaScript, 3),
    service("shipping", "0.9.12", Language::Rust, 2),
    service("quote", "0.4.7", Language::Php, 2),
    service("product-catalog", "3.2.0", Language::Go, 4),
    service("recommendation", "1.7.5", Language::Python, 3),
    service("ad", "2.0.8", Language::Java, 3),
    service("currency", "1.1.2", Language::Cpp, 3),
    service("email", "0.6.0", Language::Ruby, 2),
    service("accounting", "1.3.4", Language::DotNet, 2),
    service("fraud-detection", "1.5.1", Language::Java, 2),
    service("inventory", "2.2.6", Language::Java, 4),
];

impl Service {
    /// Its `service.name`.
    pub(in crate::corpus) fn name(self) -> &'static str {
        SERVICES[self as usize].name
    }

    /// The port it listens on.
    pub(in crate::corpus) fn port(self) -> u32 {
        8080 + self as u32 * 10
    }

    /// One of its pods.
    pub(in crate::corpus) fn pod(self, dice: &mut Dice) -> u32 {
        let first: u32 = SERVICES[..self as usize].iter().map(|service| service.pods).sum();
        first + dice.below(u64::from(SERVICES[self as usize].pods)) as u32
    }

    /// The index of the scope its library reports under.
    pub(in crate::corpus) fn scope(self, library: Library) -> u32 {
        self as u32 * LIBRARY_COUNT as u32 + library as u32
    }
}

impl Language {
    fn sdk(self) -> (&'static str, &'static str) {
        match self {
            Self::Cpp => ("cpp", "1.22.0"),
            Self::DotNet => ("dotnet", "1.12.0"),
            Self::Go => ("go", "1.37.0"),
            Self::Java => ("java", "1.52.0"),
            Self::JavaScript => ("nodejs", "2.0.1"),
            Self::Php => ("php", "1.6.0"),
            Self::Python => ("python", "1.36.0"),
            Self::Ruby => ("ruby", "1.8.0"),
            Self::Rust => ("rust", "0.31.0"),
        }
    }

    /// Name and version of the library; `None` for the service's own tracer.
    fn library(self, library: Library) -> Option<(&'static str, &'static str)> {
        use Library::{Database, Http, Messaging, Own, Rpc};
        Some(match (self, library) {
            (_, Own) => return None,
            (Self::Cpp, Http) => ("envoy", "1.34.1"),
            (Self::Cpp, _) => ("opentelemetry-cpp-grpc", "1.22.0"),
            (Self::DotNet, Http) => ("Microsoft.AspNetCore", "9.0.0"),
            (Self::DotNet, Rpc) => ("OpenTelemetry.Instrumentation.GrpcNetClient", "1.12.0-beta.1"),
            (Self::DotNet, Database) => ("OpenTelemetry.Instrumentation.StackExchangeRedis", "1.12.0-beta.2"),
            (Self::DotNet, Messaging) => ("OpenTelemetry.Instrumentation.ConfluentKafka", "0.1.0-alpha.3"),
            (Self::Go, Http) => ("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "0.62.0"),
            (Self::Go, Rpc) => {
                ("go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc", "0.62.0")
            }
            (Self::Go, Database) => ("github.com/XSAM/otelsql", "0.39.0"),
            (Self::Go, Messaging) => ("github.com/dnwe/otelsarama", "0.62.0"),
            (Self::Java, Http) => ("io.opentelemetry.tomcat-10.0", "2.18.1-alpha"),
            (Self::Java, Rpc) => ("io.opentelemetry.grpc-1.6", "2.18.1-alpha"),
            (Self::Java, Database) => ("io.opentelemetry.jdbc", "2.18.1-alpha"),
            (Self::Java, Messaging) => ("io.opentelemetry.kafka-clients-0.11", "2.18.1-alpha"),
            (Self::JavaScript, Http) => ("@opentelemetry/instrumentation-http", "0.203.0"),
            (Self::JavaScript, Rpc) => ("@opentelemetry/instrumentation-grpc", "0.203.0"),
            (Self::JavaScript, Database) => ("@opentelemetry/instrumentation-pg", "0.56.0"),
            (Self::JavaScript, Messaging) => ("@opentelemetry/instrumentation-kafkajs", "0.13.0"),
            (Self::Php, _) => ("io.opentelemetry.contrib.php.slim", "1.1.3"),
            (Self::Python, Http) => ("opentelemetry.instrumentation.flask", "0.57b0"),
            (Self::Python, Rpc) => ("opentelemetry.instrumentation.grpc", "0.57b0"),
            (Self::Python, _) => ("opentelemetry.instrumentation.psycopg", "0.57b0"),
            (Self::Ruby, _) => ("OpenTelemetry::Instrumentation::Sinatra", "0.25.0"),
            (Self::Rust, _) => ("opentelemetry-instrumentation-actix-web", "0.22.0"),
        })
    }
}

/// Every pod and scope of the shop. The pods of every third service export through one collector, the rest themselves.
pub(in crate::corpus) fn fleet(dice: &mut Dice) -> Fleet {
    let nodes: Vec<String> = (0..12).map(|_| format!("ip-10-{}-{}", dice.below(256), dice.below(256))).collect();
    let mut fleet = Fleet { pods: Vec::new(), scopes: Vec::new(), routes: Vec::new() };
    let mut next_route = 1;
    for (at, service) in SERVICES.iter().enumerate() {
        let replica_set = dice.hex(10);
        for _ in 0..service.pods {
            fleet.pods.push(resource(service, &replica_set, &nodes, dice));
            let collected = at % 3 == 2;
            fleet.routes.push(if collected { 0 } else { next_route });
            next_route += u32::from(!collected);
        }
        for library in [Library::Http, Library::Rpc, Library::Database, Library::Messaging, Library::Own] {
            let (name, version) = service.language.library(library).unwrap_or((service.name, service.version));
            let (name, version) = (name.to_owned(), version.to_owned());
            fleet.scopes.push(InstrumentationScope { name, version, ..InstrumentationScope::default() });
        }
    }
    fleet
}

fn resource(service: &Description, replica_set: &str, nodes: &[String], dice: &mut Dice) -> Resource {
    let (language, sdk_version) = service.language.sdk();
    let pod = format!("{}-{replica_set}-{}", service.name, dice.hex(5));
    let node = dice.pick(nodes).clone();
    let zone = format!("eu-central-1{}", dice.pick(&["a", "b", "c"]));
    let attributes = vec![
        text("service.name", service.name),
        text("service.namespace", "shop"),
        text("service.version", service.version),
        text("service.instance.id", dice.uuid()),
        text("deployment.environment.name", "production"),
        text("k8s.cluster.name", "shop-eu-1"),
        text("k8s.namespace.name", "shop"),
        text("k8s.deployment.name", service.name),
        text("k8s.pod.name", pod),
        text("k8s.pod.uid", dice.uuid()),
        text("k8s.node.name", format!("{node}.eu-central-1.compute.internal")),
        text("host.name", node),
        text("host.arch", "arm64"),
        text("cloud.provider", "aws"),
        text("cloud.region", "eu-central-1"),
        text("cloud.availability_zone", zone),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.language", language),
        text("telemetry.sdk.version", sdk_version),
    ];
    Resource { attributes, ..Resource::default() }
}
