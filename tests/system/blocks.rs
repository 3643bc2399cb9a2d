//! `spanlake blocks` on damaged stores: verify finds every flipped bit, repair keeps all that can be read and says what is lost.

use std::fs;
use std::process::{Command, Output};

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::http::Connection;
use crate::process::Setup;
use crate::traffic::{Batch, Found, batch, find, seed};
use crate::{Backend, python, repository, s3};

#[test]
fn damage_is_found_and_repaired_on_a_directory() {
    damage_is_found_and_repaired(Backend::Directory);
}

#[test]
fn damage_is_found_and_repaired_on_s3() {
    damage_is_found_and_repaired(Backend::S3);
}

fn damage_is_found_and_repaired(backend: Backend) {
    // A level-0 block for each batch, and nobody who merges them meanwhile.
    let setup = Setup::new(backend).with("roles", "ingester,querier").noisy();
    let server = setup.start();
    let mut random = StdRng::seed_from_u64(seed("blocks"));
    let mut connection = Connection::new(server.otlp_http);
    let mut sent: Vec<(String, Batch)> = Vec::new();
    for number in 0..4 {
        let made = batch(&mut random, 3, 4 + number, "blocks");
        assert_eq!(connection.export(&made.body).expect("an answer").status, 200);
        let all = json(&setup.run(&["blocks", "list", "--output", "json"]));
        let key_of = |block: &Value| block["key"].as_str().expect("a key").to_owned();
        let keys: Vec<String> = all.as_array().expect("a list").iter().map(key_of).collect();
        let new = keys.into_iter().find(|key| !sent.iter().any(|(known, _)| known == key)).expect("a new block");
        sent.push((new, made));
    }

    // Sound, and shown as what was sent.
    let verified = setup.run(&["blocks", "verify", "--output", "json"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    assert!(verified.stderr.is_empty(), "progress is for terminals: {verified:?}");
    let spans: u64 = sent.iter().map(|(_, batch)| batch.span_count()).sum();
    assert_eq!(sum(&json(&verified), "row_count"), spans);
    let shown = json(&setup.run(&["blocks", "show", &sent[0].0, "--output", "json"]));
    assert_eq!((&shown["state"], &shown["span_count"]), (&"live".into(), &sent[0].1.span_count().into()));
    let number = |field: &str| shown[field].as_u64().expect("a number");
    let bytes = sum(&shown["columns"], "bytes") + sum(&shown["sections"], "bytes") + number("footer_bytes");
    let object_bytes = number("object_bytes");
    // The rest is magic and tables of sections.
    assert!(bytes + 250 > object_bytes && bytes < object_bytes, "{bytes} of {object_bytes} bytes are told of");
    assert_eq!(shown["row_groups"][0]["row_count"], sent[0].1.span_count());

    // A bit in the rows of one, in the search index of another, in the tail of a third.
    let offset = |key: &str, field: usize| u64::from_str_radix(key.split('_').nth(field).expect("a field"), 16);
    flip(&setup, backend, &sent[0].0, 10);
    flip(&setup, backend, &sent[1].0, 30 + offset(&sent[1].0, 8).expect("the search index's offset"));
    flip(&setup, backend, &sent[2].0, 30 + offset(&sent[2].0, 9).expect("the tail's offset"));
    let verified = setup.run(&["blocks", "verify", "--output", "json"]);
    assert_eq!(verified.status.code(), Some(1), "{verified:?}");
    let found = json(&verified);
    let check_of = |key: &str| {
        let block = found.as_array()?.iter().find(|block| block["key"] == key)?;
        Some(block["problems"].as_array()?.first()?["check"].as_str()?.to_owned())
    };
    let expect = [Some("column chunk checksum"), Some("search index checksum"), Some("tail checksum"), None];
    for ((key, _), expect) in sent.iter().zip(expect) {
        assert_eq!(check_of(key).as_deref(), expect, "{key}: {found:#}");
    }
    let one = setup.run(&["blocks", "verify", &sent[3].0]);
    assert_eq!(one.status.code(), Some(0), "{one:?}");

    // Told first, and nothing changed.
    let told = setup.run(&["blocks", "repair", "--output", "json"]);
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    let lost = sent[0].1.span_count() + sent[2].1.span_count();
    assert_eq!((sum(&json(&told), "lost_row_count"), json(&told).as_array().map(Vec::len)), (lost, Some(3)));
    assert_eq!(setup.run(&["blocks", "verify"]).status.code(), Some(1));

    let repaired = setup.run(&["blocks", "repair", "--apply"]);
    println!("{}", String::from_utf8_lossy(&repaired.stdout));
    assert_eq!(repaired.status.code(), Some(0), "{repaired:?}");
    let verified = setup.run(&["blocks", "verify"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");

    // The damaged objects are kept, and what the running server answers is what is left.
    let all = json(&setup.run(&["blocks", "list", "--output", "json"]));
    let of_state = |state: &str| all.as_array().expect("a list").iter().filter(|block| block["state"] == state).count();
    assert_eq!((of_state("live"), of_state("retired"), of_state("kept")), (2, 3, 3), "{all:#}");
    let mut reader = Connection::new(server.http);
    for (number, (_, batch)) in sent.iter().enumerate() {
        let expect = if number == 1 || number == 3 { Found::Exactly } else { Found::Nothing };
        for trace in &batch.traces {
            assert_eq!(find(&mut reader, trace), expect, "block {number}");
        }
    }
    server.stop();
}

#[test]
fn what_cannot_be_is_said() {
    let setup = Setup::new(Backend::Directory);
    let output = setup.run(&["blocks", "verify", "no-such-block"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        (output.status.code(), error.contains("there is no such block: no-such-block")),
        (Some(1), true),
        "{error}"
    );
    let output = setup.run(&["blocks", "list", "--storage", "nonsense://x"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let empty = setup.run(&["blocks", "verify"]);
    let text = String::from_utf8_lossy(&empty.stdout).into_owned();
    assert_eq!((empty.status.code(), text.as_str()), (Some(0), "0 blocks verified, 0 spans read, 0 blocks damaged\n"));
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn sum(list: &Value, field: &str) -> u64 {
    list.as_array().expect("a list").iter().map(|item| item[field].as_u64().expect("a number")).sum()
}

/// Flips a bit of a stored object.
fn flip(setup: &Setup, backend: Backend, key: &str, offset: u64) {
    match backend {
        Backend::Directory => {
            let path = setup.data().join(key);
            let mut bytes = fs::read(&path).expect("the block's file");
            bytes[offset as usize] ^= 4;
            fs::write(&path, bytes).expect("the block's file");
        }
        Backend::S3 => {
            let url = setup.value("storage.url").expect("a store");
            let path = format!("/{}/{key}", url.strip_prefix("s3://").expect("a bucket"));
            let script = repository().join("tests/python/flip_object.py");
            let endpoint = format!("http://{}", s3::address());
            let status = Command::new(python()).arg(script).args([&endpoint, &path, &offset.to_string()]).status();
            assert!(status.is_ok_and(|status| status.success()), "{path} cannot be changed");
        }
    }
}
