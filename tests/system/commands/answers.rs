//! Every verb gives the same answer from a server and from the store that it writes, and what is exported comes back unchanged.

use std::fs;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{CHECKOUT, TIME, file, stderr, stdout};
use crate::Backend;
use crate::process::{Server, Setup};

#[test]
fn verbs_answer_alike_on_a_directory() {
    verbs_answer_alike(Backend::Directory);
}

#[test]
fn verbs_answer_alike_on_s3() {
    verbs_answer_alike(Backend::S3);
}

struct World {
    setup: Setup,
    server: Server,
    url: String,
    storage: String,
}

impl World {
    fn new(backend: Backend) -> World {
        let setup = Setup::new(backend);
        let server = setup.start();
        let url = format!("http://{}", server.http);
        let storage = setup.value("storage.url").expect("a store").to_owned();
        World { setup, server, url, storage }
    }

    fn run(&self, args: &[&str]) -> Output {
        let output = self.setup.run(args);
        assert!(!stderr(&output).contains("panicked"), "{args:?}: {}", stderr(&output));
        output
    }

    /// The same from the server and from the store, and done.
    fn both(&self, args: &[&str]) -> String {
        let of = |target: [&str; 2]| {
            let output = self.run(&[args, &target].concat());
            assert_eq!(output.status.code(), Some(0), "{args:?} {target:?}: {}", stderr(&output));
            assert_eq!(stderr(&output), "", "progress and links are for terminals: {args:?}");
            stdout(&output)
        };
        let by_server = of(["--url", &self.url]);
        assert_eq!(by_server, of(["--storage", &self.storage]), "{args:?}");
        by_server
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"))
}

fn verbs_answer_alike(backend: Backend) {
    let world = World::new(backend);
    let endpoint = format!("http://{}", world.server.otlp_http);
    let files = ["checkout.json", "batch.jsonl", "jaeger.json", "zipkin.json"].map(file);
    let mut line = vec!["import", "--endpoint", &endpoint, "-o", "json"];
    line.extend(files.iter().map(String::as_str));
    let imported = world.run(&line);
    assert_eq!(imported.status.code(), Some(0), "{}", stderr(&imported));
    let imported = json(&stdout(&imported));
    let formats: Vec<&str> =
        imported["files"].as_array().expect("files").iter().filter_map(|f| f["format"].as_str()).collect();
    assert_eq!(formats, ["OTLP JSON", "OTLP JSON lines", "Jaeger JSON", "Zipkin v2 JSON"]);
    assert_eq!((&imported["version"], &imported["files"][0]["accepted"]), (&1.into(), &47.into()), "{imported:#}");

    search(&world);
    numbers_and_names(&world);
    one_trace(&world);
    together(&world);
    round_trip(&world);
    sending(&world);
    tailing(&world);
    doctor(&world);
    world.server.stop();
}

fn search(world: &World) {
    let table = world.both(&[&["search", "{}"][..], &TIME].concat());
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    assert!(lines[0].starts_with("TRACE") && lines[0].contains("DURATION"), "{table}");
    assert!(lines.iter().any(|line| line.starts_with(CHECKOUT) && line.contains("checkout POST /pay")), "{table}");
    let csv = world.both(&[&["search", "{ status = error }", "-o", "csv"][..], &TIME].concat());
    assert!(csv.starts_with("trace,time,root,duration,spans,err,services\n") && csv.lines().count() == 3, "{csv}");
    let columns = ["search", "{ span.http.route = \"/charge\" }", "--columns", "trace,span.http.route,matched"];
    let table = world.both(&[&columns[..], &TIME].concat());
    assert!(
        table.lines().nth(1).is_some_and(|line| line.contains("/charge") && line.trim_end().ends_with('3')),
        "{table}"
    );
    let lines = world.both(&[&["search", "{ span.http.route = \"/charge\" }", "-o", "jsonl"][..], &TIME].concat());
    assert_eq!(json(lines.trim_end())["traceID"], CHECKOUT);
    let otlp = world.both(&[&["search", "{ resource.service.name = \"front\" }", "-o", "otlp"][..], &TIME].concat());
    assert!(otlp.contains("463ac35c9f6413ad48485a3953bb6124"), "{otlp}");
}

fn numbers_and_names(world: &World) {
    let query = "{} | count_over_time() by (resource.service.name)";
    let table = world.both(&[&["metrics", query, "--step", "1h"][..], &TIME].concat());
    assert!(table.lines().any(|line| line.starts_with("pay ") && line.contains(" 38 ")), "{table}");
    let document = json(&world.both(&[&["metrics", query, "--step", "1h", "-o", "json"][..], &TIME].concat()));
    assert_eq!(document["series"].as_array().map(Vec::len), Some(8), "{document:#}");
    let names = world.both(&[&["attributes", "names", "--scope", "span", "-o", "csv"][..], &TIME].concat());
    assert!(names.lines().any(|line| line == "span,http.route"), "{names}");
    let values = world.both(&[&["attributes", "values", "resource.service.name", "-o", "csv"][..], &TIME].concat());
    assert!(values.lines().any(|line| line == "checkout,string"), "{values}");
}

fn one_trace(world: &World) {
    let document = json(&world.both(&["trace", CHECKOUT, "-o", "json"]));
    assert_eq!((&document["spanCount"], document["spans"].as_array().map(Vec::len)), (&47.into(), Some(47)));
    let of_file = json(&stdout(&world.run(&["trace", &file("checkout.json"), "-o", "json"])));
    // Only who has the store knows that spans may still be arriving.
    let known_to_both = |mut document: Value| {
        let findings = document["findings"].as_array_mut().expect("there are findings");
        findings.retain(|finding| finding["rule"] != "missing-parent");
        document
    };
    assert_eq!(known_to_both(document), known_to_both(of_file), "a file and the same trace in a store are alike");
    let picture = world.both(&["trace", CHECKOUT, "--width", "100"]);
    assert!(picture.starts_with("checkout POST /pay") && picture.contains("N+1"), "{picture}");
    let findings = world.both(&["trace", CHECKOUT, "--diagnose"]);
    assert!(findings.contains("n-plus-one") && findings.contains("retries"), "{findings}");
    let matching = world.both(&["trace", CHECKOUT, "--filter", "db.system.name=postgresql", "-o", "jsonl"]);
    assert_eq!(matching.lines().count(), 37, "{matching}");
    let span = world.both(&["trace", CHECKOUT, "--span", "3"]);
    assert!(span.contains("ledger did not answer"), "{span}");
}

/// What many traces say together, and what two differ in.
fn together(world: &World) {
    let services = world.both(&[&["services"][..], &TIME].concat());
    assert!(services.lines().any(|line| line.starts_with("checkout ")), "{services}");
    let operations = world.both(&[&["operations", "bank"][..], &TIME].concat());
    assert!(operations.lines().any(|line| line.starts_with("POST /charge ")), "{operations}");
    let map = world.both(&[&["map", "-o", "csv"][..], &TIME].concat());
    assert!(map.lines().any(|line| line.starts_with("checkout,bank,")), "{map}");
    let explored = world.both(&[&["explore", "{}", "--longer-than", "3s"][..], &TIME].concat());
    assert!(explored.contains("spans selected") && explored.contains("worker"), "{explored}");
    let cart = "1f".repeat(16);
    let lines = world.both(&["compare", CHECKOUT, &cart]);
    assert!(lines.contains("pay Authorize") && lines.contains("removed"), "{lines}");
}

/// A tail shows what is sent while it runs, and ends after as many spans as it was asked for.
fn tailing(world: &World) {
    let query = "{ resource.service.name = \"tailed\" }";
    let mut child = super::binary()
        .args(["tail", query, "-n", "2", "-o", "jsonl", "--url", &world.url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let endpoint = format!("http://{}", world.server.otlp_http);
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().expect("it can be waited for").is_none() {
        assert!(Instant::now() < deadline, "the tail shows nothing");
        let sent = world.run(&["send", "--endpoint", &endpoint, "--service", "tailed", "--no-read"]);
        assert_eq!(sent.status.code(), Some(0), "{}", stderr(&sent));
    }
    let output = child.wait_with_output().expect("it has ended");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines = stdout(&output);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.lines().all(|line| json(line)["service"] == "tailed"), "{lines}");
}

/// Export, import elsewhere, export again: the same bytes.
fn round_trip(world: &World) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let (first, second, store) = (path("first.jsonl"), path("second.jsonl.gz"), path("store"));
    let export = |to: &str, target: [&str; 2]| {
        let output = world.run(&[&["export", "{}", "-o", to][..], &TIME, &target].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    };
    export(&first, ["--url", &world.url]);
    let imported = world.run(&["import", &first, "--storage", &store]);
    assert_eq!(imported.status.code(), Some(0), "{}", stderr(&imported));
    export(&second, ["--storage", &store]);
    let third = path("third.jsonl");
    export(&third, ["--storage", &store]);
    let bytes = fs::read(&first).expect("the first export");
    assert!(bytes.len() > 10_000 && bytes == fs::read(&third).expect("the third export"), "a round trip is exact");
    assert!(fs::read(&second).expect("the second export").starts_with(&[0x1f, 0x8b]));
    let again = world.run(&["trace", &second, "--pick", CHECKOUT, "-o", "otlp"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    let parquet = path("spans.parquet");
    export(&parquet, ["--storage", &store]);
    let bytes = fs::read(&parquet).expect("the Parquet file");
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
}

fn sending(world: &World) {
    for (protocol, address) in [("http", world.server.otlp_http), ("grpc", world.server.otlp_grpc)] {
        let endpoint = format!("http://{address}");
        let args = ["send", "--protocol", protocol, "--endpoint", &endpoint, "--url", &world.url, "-o", "json"];
        let output = world.run(&args);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let steps = json(&stdout(&output));
        assert_eq!(steps["steps"].as_array().map(Vec::len), Some(3), "{steps:#}");
    }
}

fn doctor(world: &World) {
    let output = world.run(&["doctor", "--url", &world.url, "-o", "json", "--set", "server.http_listen=127.0.0.1:0"]);
    let found = json(&stdout(&output));
    let verdict = |name: &str| {
        let checks = found["checks"].as_array().expect("checks");
        let check = checks.iter().find(|check| check["check"] == name);
        check.and_then(|check| check["verdict"].as_str()).unwrap_or("absent").to_owned()
    };
    for name in
        ["configuration", "clock", "list", "put", "get", "delete", "conditional put", "races", "checksums", "server"]
    {
        assert_eq!(verdict(name), "ok", "{name}: {found:#}");
    }
    assert_eq!(verdict("refused spans"), "ok", "{found:#}");
    let wrong = world.run(&["doctor", "--set", "server.max_connections=many"]);
    assert_eq!(wrong.status.code(), Some(1), "{}", stderr(&wrong));
    assert!(stdout(&wrong).contains("FAIL") && stdout(&wrong).contains("fix:"), "{}", stdout(&wrong));
}
