//! What goes wrong is one clear line on stderr, and the right exit code; stdout stays empty.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use super::{CHECKOUT, TIME, binary, file, run, stderr, stdout};

/// Runs the binary and expects this exit code, and one line with these words.
fn check(args: &[&str], code: i32, words: &[&str]) {
    let output = run(args);
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
    assert_eq!(stdout(&output), "", "{args:?}");
    assert_eq!(error.trim_end().lines().count(), 1, "{args:?}: {error}");
    assert!(words.iter().all(|word| error.contains(word)), "{args:?}: {words:?} are not all in {error}");
    assert!(!error.contains("panicked"), "{error}");
}

#[test]
fn wrong_servers_are_told_apart() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let nobody = format!("http://{nobody}");
    check(&["search", "{}", "--url", &nobody], 1, &["nothing listens at", "spanlake serve", "--storage"]);
    check(&["trace", CHECKOUT, "--url", &nobody], 1, &["nothing listens at"]);
    check(&["send", "--endpoint", &nobody], 1, &["nothing listens at", "4318"]);
    check(&["send", "--protocol", "grpc", "--endpoint", &nobody], 1, &["cannot be reached", "4317"]);
    check(&["import", &file("checkout.json"), "--endpoint", &nobody], 1, &["nothing listens at"]);
    check(&["search", "--url", "localhost:3200"], 2, &["with its scheme"]);
    check(&["search", "--url", "s3://bucket"], 2, &["--storage"]);

    let other = answering(|_| ("200 OK", "hi"));
    check(&["search", "--url", &other], 1, &["not a Spanlake", "--url"]);
    check(&["metrics", "{} | rate()", "--url", &other], 1, &["not a Spanlake"]);
    check(&["send", "--endpoint", &other], 1, &["does not receive OTLP", "4318"]);
}

/// The URL of a server that gives these answers to requests. Ends with the test's process.
fn answering(answer: fn(&str) -> (&'static str, &'static str)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let (status, body) = answer(&String::from_utf8_lossy(&request[..read]));
            let length = body.len();
            let head = format!("content-type: text/html\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\n{head}{body}").as_bytes());
        }
    });
    url
}

/// Before a proxy that wants credentials it is they that are wrong, not the port.
#[test]
fn a_proxy_that_asks_for_credentials() {
    let proxy = answering(|request| match request {
        request if !request.contains("X-Key: good") && !request.contains("x-key: good") => {
            ("401 Unauthorized", "who are you?")
        }
        request if request.contains("buildinfo") => ("200 OK", r#"{"spanlakeVersion":"1"}"#),
        _ => ("503 Service Unavailable", "the store is out of reach"),
    });
    check(&["search", "--url", &proxy], 2, &["who are you?", "--token-file"]);
    check(&["search", "--url", &proxy, "--header", "X-Key: good"], 1, &["the store is out of reach"]);
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let output = run(&["search", "--url", &format!("http://me:secret@{nobody}")]);
    assert!(
        stderr(&output).contains("nothing listens at") && !stderr(&output).contains("secret"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn wrong_inputs_are_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let store = path("store");
    std::fs::create_dir(&store).expect("a directory");
    check(&["trace", "xyz"], 1, &["there is no file", "32 hexadecimal digits"]);
    check(&["trace", "0123456789abcdef0123456789abcdef01"], 2, &["is not a trace id"]);
    check(&["trace", CHECKOUT, "--storage", &store], 3, &["there is no trace", CHECKOUT]);
    check(&["trace", &store], 1, &["is a directory"]);
    check(&["trace", CHECKOUT, "--storage", &path("absent")], 1, &["there is no store at", "--storage"]);
    check(&["search", "{ .a = ", "--storage", &store], 2, &["invalid TraceQL query", "line 1"]);
    check(&["search", "{ .a = 1 }", "--storage", &store], 3, &["no trace matches", "--since"]);
    check(&["search", "--since", "soon", "--storage", &store], 2, &["--since"]);
    check(&["search", "--columns", "colour", "--storage", &store], 2, &["--columns", "colour"]);
    check(&["tail", "-o", "json", "--storage", &store], 2, &["jsonl"]);
    check(&["metrics", "{} | rate()", "-o", "otlp", "--storage", &store], 2, &["otlp"]);
    check(&["export", "-o", &path("x.txt"), "--storage", &store], 2, &["--form"]);
    check(&["trace", &file("checkout.json"), "--span", "1234567890abcdef"], 3, &["there is no span"]);
    check(&["trace", &file("checkout.json"), "--filter", "/(/"], 2, &["--filter"]);
    check(&["trace", &file("checkout.json"), "--filter", "nowhere at all"], 3, &["no span matches"]);

    let broken = path("broken.json");
    let text = std::fs::read_to_string(file("checkout.json")).expect("a file");
    std::fs::write(&broken, &text[..text.len() / 2]).expect("a file");
    check(&["trace", &broken], 1, &["broken.json", "line", "column"]);
    check(&["import", &broken, "--storage", &store], 1, &["broken.json", "line"]);
    std::fs::write(&broken, "hello\n").expect("a file");
    check(&["trace", &broken], 1, &["no trace file", "Jaeger"]);
    std::fs::write(&broken, "").expect("a file");
    check(&["import", &broken, "--storage", &store], 1, &["empty"]);
    let usage = run(&["search", "--no-such-flag"]);
    assert_eq!(usage.status.code(), Some(2), "{}", stderr(&usage));
}

#[test]
fn contexts_are_read_and_checked() {
    let home = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(home.path().join("spanlake")).expect("a directory");
    let file = home.path().join("spanlake/config.toml");
    let store = home.path().join("store");
    std::fs::create_dir(&store).expect("a directory");
    let run =
        |args: &[&str]| binary().args(args).env("XDG_CONFIG_HOME", home.path()).output().expect("the binary runs");
    std::fs::write(&file, format!("current = \"a\"\n[contexts.a]\nstorage = \"{}\"\n", store.display()))
        .expect("a file");
    let found = run(&["search", "{}"]);
    assert_eq!(found.status.code(), Some(3), "{}", stderr(&found));
    let found = run(&["search", "{}", "--context", "b"]);
    assert_eq!((found.status.code(), stderr(&found).contains("there are: a")), (Some(2), true), "{}", stderr(&found));
    std::fs::write(&file, "[contexts.a]\nurll = \"x\"\n").expect("a file");
    let found = run(&["search", "{}"]);
    assert_eq!((found.status.code(), stderr(&found).contains("urll")), (Some(2), true), "{}", stderr(&found));
}

#[test]
fn what_cannot_be_written_is_no_panic() {
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    for args in [&["config", "print"][..], &["demo", "remove", "--storage-url", "memory://"], &["completions", "bash"]]
    {
        let output = binary().args(args).stdout(full()).output().expect("it starts");
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("error: the output cannot be written"), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn a_reader_may_leave() {
    let input = file("batch.jsonl");
    for args in
        [["trace", &input, "-o", "jsonl"], ["trace", &input, "-o", "otlp"], ["trace", &input, "--color", "always"]]
    {
        let mut child =
            binary().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn colours_are_for_terminals() {
    let input = file("checkout.json");
    let has_colours = |args: &[&str], variable: Option<&str>| {
        let mut command = binary();
        command.args(["trace", &input]).args(args);
        if let Some(name) = variable {
            command.env(name, "1");
        }
        stdout(&command.output().expect("the binary runs")).contains('\u{1b}')
    };
    assert!(!has_colours(&[], None));
    assert!(has_colours(&["--color", "always"], None));
    assert!(!has_colours(&["--color", "never"], None));
    assert!(!has_colours(&["--color", "auto"], Some("NO_COLOR")));
}

#[test]
fn times_are_of_use_to_every_verb() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = directory.path().to_string_lossy().into_owned();
    for verb in [&["attributes", "values", "span.x"][..], &["metrics", "{} | rate()"], &["export", "{}"]] {
        let output = run(&[verb, &TIME, &["--storage", &store]].concat());
        assert_eq!(output.status.code(), Some(3), "{verb:?}: {}", stderr(&output));
    }
}
