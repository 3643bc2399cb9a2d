//! Layering, names, and problems, as whole inputs and whole outputs.

use std::ffi::OsString;
use std::path::PathBuf;

use super::*;

/// What one person wrote: a file, variables and flags.
#[derive(Default)]
struct Written<'a> {
    file: &'a str,
    variables: &'a [(&'a str, &'a str)],
    flags: SettingArgs,
}

impl Written<'_> {
    fn load(&self) -> Result<Loaded, Problems> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("spanlake.toml");
        std::fs::write(&path, self.file).expect("a file in it");
        let flags = &self.flags;
        let args = SettingArgs {
            config: Some(path),
            storage_url: flags.storage_url.clone(),
            http_listen: flags.http_listen.clone(),
            otlp_grpc_listen: flags.otlp_grpc_listen.clone(),
            otlp_http_listen: flags.otlp_http_listen.clone(),
            roles: flags.roles.clone(),
            ui_dir: flags.ui_dir.clone(),
            set: flags.set.clone(),
        };
        let variables = self.variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        load(&args, variables)
    }

    /// The problems, without the directory of the file.
    fn problems(&self) -> Vec<String> {
        let problems = self.load().expect_err("problems").0;
        let shorten =
            |line: &str| line.rsplit_once("spanlake.toml").map_or(line.to_owned(), |(_, rest)| rest.to_owned());
        problems.iter().map(|p| shorten(p.to_string().lines().next().unwrap_or_default())).collect()
    }
}

#[test]
fn nothing_written_is_the_defaults() {
    let config = Written::default().load().expect("no problem").config;
    assert_eq!(config.server.http_listen.to_string(), "127.0.0.1:3200");
    assert_eq!(config.server.grpc_listen.to_string(), "127.0.0.1:9095");
    assert_eq!(config.otlp.grpc_listen.to_string(), "127.0.0.1:4317");
    assert_eq!(config.otlp.http_listen.to_string(), "127.0.0.1:4318");
    assert!(config.storage.url.ends_with("./spanlake-data"));
    assert!(!config.tenancy.enabled);
    assert!(Role::ALL.into_iter().all(|role| config.roles.contains(role)));
}

#[test]
fn later_layers_win() {
    let file =
        "[server]\nhttp_listen = \"127.0.0.1:1\"\n[otlp]\nhttp_listen = \"127.0.0.1:2\"\ngrpc_listen = \"h:3\"\n";
    let variables = [("SPANLAKE_SERVER__HTTP_LISTEN", "127.0.0.1:11"), ("SPANLAKE_OTLP__HTTP_LISTEN", "127.0.0.1:12")];
    let check = |variables: &[(&str, &str)], flags: SettingArgs, expect: [&str; 3]| {
        let config = Written { file, variables, flags }.load().expect("no problem").config;
        let found = [&config.server.http_listen, &config.otlp.http_listen, &config.otlp.grpc_listen];
        assert_eq!(found.map(ToString::to_string), expect);
    };
    check(&[], SettingArgs::default(), ["127.0.0.1:1", "127.0.0.1:2", "h:3"]);
    check(&variables, SettingArgs::default(), ["127.0.0.1:11", "127.0.0.1:12", "h:3"]);
    let set = SettingArgs { set: vec!["server.http_listen=127.0.0.1:21".to_owned()], ..SettingArgs::default() };
    check(&variables, set, ["127.0.0.1:21", "127.0.0.1:12", "h:3"]);
    let flag = SettingArgs {
        set: vec!["server.http_listen=127.0.0.1:21".to_owned()],
        http_listen: Some("127.0.0.1:31".to_owned()),
        ..SettingArgs::default()
    };
    check(&variables, flag, ["127.0.0.1:31", "127.0.0.1:12", "h:3"]);
}

#[test]
fn every_fixed_name_is_read_from_every_layer() {
    let settings = [
        ("storage.url", "s3://bucket/prefix"),
        ("storage.s3.endpoint", "http://127.0.0.1:9000"),
        ("storage.s3.region", "eu-1"),
        ("storage.s3.access_key_id", "12345"),
        ("storage.s3.secret_access_key", "hidden"),
        ("storage.s3.allow_http", "true"),
        ("storage.s3.virtual_hosted_style", "true"),
        ("server.http_listen", "0.0.0.0:1"),
        ("server.grpc_listen", "0.0.0.0:4"),
        ("otlp.grpc_listen", "0.0.0.0:2"),
        ("otlp.http_listen", "0.0.0.0:3"),
        ("tenancy.enabled", "true"),
        ("roles", "querier,ingester"),
    ];
    let check = |loaded: Result<Loaded, Problems>| {
        let config = loaded.expect("no problem").config;
        let s3 = &config.storage.s3;
        assert_eq!(config.storage.url, "s3://bucket/prefix");
        assert_eq!((s3.endpoint.as_str(), s3.region.as_str()), ("http://127.0.0.1:9000", "eu-1"));
        assert_eq!((s3.access_key_id.as_str(), s3.secret_access_key.expose()), ("12345", "hidden"));
        assert!(s3.allow_http && s3.virtual_hosted_style && config.tenancy.enabled);
        assert_eq!((config.server.http_listen.port, config.server.grpc_listen.port), (1, 4));
        assert_eq!((config.otlp.grpc_listen.port, config.otlp.http_listen.port), (2, 3));
        assert_eq!(config.roles.to_string(), "ingester, querier");
    };
    let names: Vec<String> = settings.iter().map(|(key, _)| load::variable(key)).collect();
    let variables: Vec<_> = names.iter().zip(&settings).map(|(name, (_, value))| (name.as_str(), *value)).collect();
    check(Written { variables: &variables, ..Written::default() }.load());
    let set = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    check(Written { flags: SettingArgs { set, ..SettingArgs::default() }, ..Written::default() }.load());
    let quoted = |value: &str| if value == "true" { value.to_owned() } else { format!("{value:?}") };
    let file: String = settings.iter().rev().map(|(key, value)| format!("{key} = {}\n", quoted(value))).collect();
    check(Written { file: &file, ..Written::default() }.load());
}

#[test]
fn typed_values_from_text() {
    let set = ["server.idle_timeout=90s", "server.max_header_bytes=32KiB", "server.max_connections=7"];
    let flags = SettingArgs { set: set.map(String::from).to_vec(), ..SettingArgs::default() };
    let config = Written { flags, ..Written::default() }.load().expect("no problem").config;
    assert_eq!(config.server.idle_timeout, HumanDuration::from_secs(90));
    assert_eq!(config.server.max_header_bytes, ByteSize::kib(32));
    assert_eq!(config.server.max_connections, 7);
}

#[test]
fn all_problems_at_once_each_with_its_place_and_the_nearest_name() {
    let file = "\
[storage]
ulr = \"file:///x\"
[storage.s3]
buket_style = 1
regoin = \"eu\"
[server]
http_listen = \"localhost\"
idle_timeout = \"5 parsecs\"
query_timeout = \"1s\"
max_header_bytes = \"64M\"
[colour]
red = 1
green = 2
[log]
format = \"xml\"
";
    let variables = [("SPANLAKE_STORAGE__S3__ALOW_HTTP", "true"), ("SPANLAKE_TENANCY__ENABLED", "maybe")];
    let flags = SettingArgs {
        roles: Some("ingester,queryer".to_owned()),
        set: vec!["otlp.grpc_lisen=x:1".to_owned(), "nonsense".to_owned()],
        ..SettingArgs::default()
    };
    let problems = Written { file, variables: &variables, flags }.problems();
    let expect = [
        "flag --set nonsense: write --set section.key=value",
        ":2:1: unknown key `storage.ulr`: did you mean `storage.url`?",
        ":4:1: unknown key `storage.s3.buket_style`: `storage.s3` has",
        ":5:1: unknown key `storage.s3.regoin`: did you mean `storage.s3.region`?",
        ":7:1: `server.http_listen`: \"localhost\" is not an address to listen on: write host:port",
        ":8:1: `server.idle_timeout`: \"parsecs\" is not a unit of time",
        ":9:1: unknown key `server.query_timeout`: did you mean `querier.query_timeout`?",
        ":10:1: `server.max_header_bytes`: \"M\" is not a unit of size",
        ":12:1: unknown section `colour`: at the top there are roles, storage, server",
        ":15:1: `log.format`: unknown variant `xml`, expected `text` or `json`",
        "error: environment variable SPANLAKE_STORAGE__S3__ALOW_HTTP: unknown key `storage.s3.alow_http`: did you mean \
         `SPANLAKE_STORAGE__S3__ALLOW_HTTP`?",
        "error: environment variable SPANLAKE_TENANCY__ENABLED: `tenancy.enabled`: invalid type: string \"maybe\"",
        "error: flag --set otlp.grpc_lisen: unknown key `otlp.grpc_lisen`: did you mean `otlp.grpc_listen`?",
        "error: flag --roles: `roles`: unknown role \"queryer\": did you mean \"querier\"?",
    ];
    assert_eq!(problems.len(), expect.len(), "{problems:#?}");
    for (found, expect) in problems.iter().zip(expect) {
        assert!(found.contains(expect), "{found}\nshould contain\n{expect}");
    }
}

#[test]
fn a_file_that_is_not_toml_is_named_with_its_line() {
    let check = |file: &str, expect: &str| {
        let problems = Written { file, ..Written::default() }.problems();
        assert!(problems[0].contains(expect), "{problems:?}");
    };
    check("[server]\nhttp_listen = 127.0.0.1:1\n", ":2:");
    check("[server\n", ":1:");
    check("a = 1\na = 2\n", ":2:1: not TOML: duplicate key");
    check("storage = 3\n", ":1:1: `storage` is a section, not a setting");
    check("[[storage]]\nurl = \"x\"\n", ":1:");
    check("[roles.x]\ny = 1\n", ":1:");
}

#[test]
fn settings_that_contradict_each_other() {
    let check = |set: &[&str], expect: &str| {
        let set = set.iter().map(ToString::to_string).collect();
        let problems =
            Written { flags: SettingArgs { set, ..SettingArgs::default() }, ..Written::default() }.problems();
        assert!(problems.len() == 1 && problems[0].contains(expect), "{problems:?}");
    };
    check(&["otlp.http_listen=127.0.0.1:3200"], "--set otlp.http_listen: `otlp.http_listen`: 127.0.0.1:3200 is taken");
    check(
        &["server.grpc_listen=127.0.0.1:3200"],
        "--set server.grpc_listen: `server.grpc_listen`: 127.0.0.1:3200 is taken",
    );
    check(&["storage.url=ftp://host/x"], "--set storage.url: `storage.url`:");
    check(&["server.max_connections=0"], "at least one connection");
    check(&["server.max_header_bytes=1KiB"], "at least 8KiB");
    check(&["log.level=spanlake==loud"], "`log.level`");
    check(&["roles="], "`roles`");
    check(
        &["ingester.flush_spans=0"],
        "--set ingester.flush_spans: `ingester.flush_spans`: flush_spans must be above 0",
    );
    check(&["ingester.publish_timeout=300ms"], "`ingester.publish_timeout`: publish_timeout must be at least twice");
    check(&["ingester.max_in_flight_bytes=32KiB"], "`ingester.max_in_flight_bytes`: max_in_flight_bytes must be");
    check(&["otlp.path_prefix=/{x}"], "--set otlp.path_prefix: `otlp.path_prefix`: path_prefix");
}

#[test]
fn variables_of_other_programs_are_left_alone() {
    let variables = [("SPANLAKE_PORT", "tcp://10.0.0.1:3200"), ("SPANLAKE_SERVICE_HOST", "10.0.0.1"), ("PATH", "/bin")];
    assert!(Written { variables: &variables, ..Written::default() }.load().is_ok());
}

#[test]
fn an_absent_file_is_a_problem() {
    let args = SettingArgs { config: Some(PathBuf::from("/nowhere/spanlake.toml")), ..SettingArgs::default() };
    let problems = load(&args, std::iter::empty()).expect_err("a problem");
    assert!(problems.to_string().contains("/nowhere/spanlake.toml"), "{problems}");
}

#[test]
fn what_is_printed_names_origins_hides_secrets_and_reads_back() {
    let file = "[server]\nmax_connections = 9\n[storage.s3]\nsecret_access_key = \"canary\"\n";
    let variables = [("SPANLAKE_LOG__LEVEL", "debug")];
    let flags = SettingArgs { roles: Some("all".to_owned()), ..SettingArgs::default() };
    let loaded = Written { file, variables: &variables, flags }.load().expect("no problem");
    let text = print(&loaded).expect("printable");
    assert!(!text.contains("canary"), "{text}");
    for line in [
        "roles = [\"ingester\", \"querier\", \"compactor\"]  # flag --roles",
        "secret_access_key = \"***\"  # ",
        "spanlake.toml:2:1",
        "level = \"debug\"  # environment variable SPANLAKE_LOG__LEVEL",
        "idle_timeout = \"2m\"  # default",
        "url = \"./spanlake-data\"  # default",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    let again = Written { file: &text, ..Written::default() }.load().expect("what is printed can be read");
    assert_eq!(again.config.server.max_connections, 9);
    // Printing once more gives the same values: only the origins differ.
    let values = |text: &str| text.lines().map(|l| l.split("  #").next().map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(values(&print(&again).expect("printable")), values(&text));
}

#[test]
fn secrets_are_not_shown_with_their_problems() {
    let file = "[storage.s3]\nsecret_access_key = 31337\n";
    let problems = Written { file, ..Written::default() }.load().expect_err("a problem").to_string();
    assert!(!problems.contains("31337") && problems.contains(":2:1"), "{problems}");
}

#[test]
fn a_log_level_that_is_none_is_a_mistake() {
    let problems = |level: &str| {
        let file = format!("[log]\nlevel = \"{level}\"\n");
        Written { file: &file, ..Written::default() }.load().err().map(|problems| problems.to_string())
    };
    assert!(problems("loud").is_some_and(|text| text.contains("\"loud\" is no level")), "{:?}", problems("loud"));
    for level in ["warn", "INFO", "info,spanlake_storage=debug", "off"] {
        assert_eq!(problems(level), None, "{level}");
    }
}

#[test]
fn objects_outlive_queries_and_writers() {
    let problems = |file: &str| {
        Written { file, ..Written::default() }.load().err().map(|problems| problems.to_string()).unwrap_or_default()
    };
    assert_eq!(problems("[querier]\nquery_timeout = \"2m\"\n"), "");
    for (file, at_fault) in [
        ("[querier]\nquery_timeout = \"121s\"\n", "l0_delete_grace"),
        ("[compactor]\nl0_delete_grace = \"179s\"\n", "l0_delete_grace"),
        ("[compactor]\ndelete_grace = \"4m\"\n", "delete_grace"),
        ("[compactor]\nmanifest_min_age = \"30m\"\n", "manifest_min_age"),
        ("[compactor]\norphan_min_age = \"59m\"\n", "orphan_min_age"),
    ] {
        let text = problems(file);
        assert!(text.contains(&format!("{at_fault} must be at least")), "{file}{text}");
    }
}

#[test]
fn tenants_have_settings_of_their_own() {
    let file = "[compactor]\nretention = \"7d\"\n[compactor.tenants.team-a]\nretention = \"30d\"\n";
    let loaded = Written { file, ..Written::default() }.load().expect("no problem");
    let nanos = |config: &Config, name| {
        config.compactor.retention_nanos(&spanlake_model::Tenant::parse(name).expect("a name")) / 86_400_000_000_000
    };
    assert_eq!((nanos(&loaded.config, "team-a"), nanos(&loaded.config, "team-b")), (30, 7));
    let text = print(&loaded).expect("printable");
    let again = Written { file: &text, ..Written::default() }.load().expect("what is printed can be read");
    assert_eq!((nanos(&again.config, "team-a"), nanos(&again.config, "team-b")), (30, 7));
    let wrong = "[compactor.tenants.team-a]\nretentoin = \"30d\"\n";
    let problems = Written { file: wrong, ..Written::default() }.load().expect_err("a problem");
    assert!(problems.to_string().contains("retentoin"), "{problems}");
}
