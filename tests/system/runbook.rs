//! The runbook tells of every metric that the binary exposes, and its alerts are PromQL over metrics that there are.

mod promql;

use std::collections::BTreeSet;
use std::fs;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::http::{Connection, get};
use crate::process::{Server, Setup};
use crate::traffic::{batch, seed};
use crate::{Backend, repository};

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of all series of a running server, after it was asked for something of everything.
fn series(server: &Server) -> BTreeSet<String> {
    let mut connection = Connection::new(server.otlp_http);
    let sent = batch(&mut StdRng::seed_from_u64(seed("runbook")), 1, 3, "runbook");
    assert_eq!(connection.export(&sent.body).expect("an answer").status, 200);
    assert_eq!(connection.export(b"\xff\xff no request").expect("an answer").status, 400);
    assert_eq!(get(server.http, &format!("/api/traces/{}", sent.traces[0].hex())).status, 200);
    let text = get(server.http, "/metrics").text();
    // A metric with labels shows no series before it was first counted, but the help is there from the start or never.
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let (mut names, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for family in families {
        assert!(seen.insert(family), "{family} is told twice, which OpenMetrics forbids");
        let (name, kind) = family.split_once(' ').expect("a name and a type");
        names.extend(match kind {
            "counter" => vec![format!("{name}_total")],
            "histogram" => ["bucket", "sum", "count"].map(|part| format!("{name}_{part}")).to_vec(),
            _ => vec![name.to_owned()],
        });
    }
    names
}

#[test]
fn every_metric_and_every_alert_has_its_place() {
    // The compactor commits within the test, so that commits are counted too.
    let setup = Setup::new(Backend::Directory).noisy();
    // Both tiers of the read cache, which count into the same metrics.
    let pages = setup.data().with_file_name("pages").display().to_string();
    let setup = setup.with("cache.disk_path", &pages);
    let server = setup.start();
    let series = series(&server);
    let runbook = read("docs/runbook.md");
    for name in &series {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
        assert!(runbook.contains(&format!("| `{base}` |")), "{base} is exposed and not in docs/runbook.md");
    }

    let alerts = read("docs/alerts.yml");
    let field = |line: &'_ str, name: &str| line.trim_start().strip_prefix(name).map(str::to_owned);
    let names: Vec<String> = alerts.lines().filter_map(|line| field(line, "- alert: ")).collect();
    let expressions: Vec<String> = alerts.lines().filter_map(|line| field(line, "expr: ")).collect();
    assert!(names.len() >= 10 && names.len() == expressions.len(), "{names:?}");
    for (name, expression) in names.iter().zip(&expressions) {
        let metrics = promql::metrics(expression).unwrap_or_else(|problem| panic!("{name}: {problem}: {expression}"));
        assert!(!metrics.is_empty(), "{name} looks at nothing");
        for metric in metrics {
            // What has labels and was never counted is not exposed yet: the runbook must know it.
            let base =
                ["_bucket", "_sum", "_count"].iter().find_map(|part| metric.strip_suffix(part)).unwrap_or(&metric);
            assert!(runbook.contains(&format!("| `{base}` |")), "{name} looks at {metric}, which nobody exposes");
        }
        assert!(runbook.contains(&format!("### {name}\n")), "{name} has no section in docs/runbook.md");
        let link = format!("runbook: \"docs/runbook.md#{}\"", name.to_lowercase());
        assert!(alerts.contains(&link), "{name} does not name its section");
    }
    server.stop();
}

/// Every metric that the page lists is registered somewhere, so that the page does not outlive what it tells of.
#[test]
fn the_runbook_tells_of_nothing_that_is_not_there() {
    let server = Setup::new(Backend::Directory).noisy().start();
    let series = series(&server);
    let runbook = read("docs/runbook.md");
    let listed = runbook.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let names =
        listed.map(|(name, _)| name).filter(|name| name.starts_with("spanlake_") || name.starts_with("process_"));
    // Labelled metrics show themselves when they are first counted.
    let unseen: Vec<&str> =
        names.filter(|name| !series.contains(*name) && !series.contains(&format!("{name}_count"))).collect();
    let mut sources = String::new();
    for crate_name in ["catalog", "compactor", "ingester", "querier", "storage", "table", "src"] {
        gather(&repository().join(crate_name), &mut sources);
    }
    for name in unseen {
        let base = name.trim_start_matches("spanlake_").trim_end_matches("_total").trim_end_matches("_seconds");
        assert!(sources.contains(&format!("\"{base}\"")), "{name} is in docs/runbook.md and registered nowhere");
    }
    server.stop();
}

fn gather(directory: &std::path::Path, text: &mut String) {
    for entry in fs::read_dir(directory).expect("a directory of the repository").flatten() {
        let path = entry.path();
        if path.is_dir() {
            gather(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("a source file is text"));
        }
    }
}
