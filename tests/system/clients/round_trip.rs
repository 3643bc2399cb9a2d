//! Every client, protocol and compression: the trace reads back field by field, and is found by its attributes.

use super::compare::assert_same;
use super::{Export, Exported, LANGUAGES, Language, PROTOCOLS, Protocol};
use crate::Backend;
use crate::http::{Connection, query_value};
use crate::process::{Server, Setup};

#[test]
fn every_client_reads_back_what_it_sent() {
    let setup = Setup::new(Backend::Directory);
    let server = setup.start();
    let mut all = Vec::new();
    for language in LANGUAGES {
        for protocol in PROTOCOLS {
            for gzip in [false, true] {
                all.push(export_and_check(&server, language, protocol, gzip));
            }
        }
    }
    server.stop();
    // What was read from the process that wrote it is still the same after a restart.
    let server = setup.start();
    for sent in &all {
        check(&server, sent);
    }
    server.stop();
}

#[test]
fn data_on_s3_reads_back_the_same() {
    let setup = Setup::new(Backend::S3);
    let server = setup.start();
    export_and_check(&server, Language::Python, Protocol::Grpc, true);
    export_and_check(&server, Language::JavaScript, Protocol::Http, false);
    server.stop();
}

fn export_and_check(server: &Server, language: Language, protocol: Protocol, gzip: bool) -> Exported {
    let address = if protocol == Protocol::Grpc { server.otlp_grpc } else { server.otlp_http };
    let mut export = Export::new(language, protocol, address);
    export.gzip = gzip;
    export.marker = format!("{language:?} {protocol:?} \"gzip {gzip}\"");
    println!("{}", export.marker);
    let sent = export.run();
    assert_eq!(sent.result, "SUCCESS");
    assert!(sent.seconds < 5.0, "the acknowledgement took {} s", sent.seconds);
    check(server, &sent);
    check_search(server, &export, &sent);
    sent
}

fn check(server: &Server, sent: &Exported) {
    let mut connection = Connection::new(server.http);
    let answer = connection.get(&format!("/api/traces/{}", sent.trace_id));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_same(sent, &answer.json()["batches"]);
    let answer = connection.get(&format!("/api/v2/traces/{}", sent.trace_id));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_same(sent, &answer.json()["trace"]["resourceSpans"]);
}

/// The trace is the only one with its marker, and its metadata is that of its root span.
fn check_search(server: &Server, export: &Export, sent: &Exported) {
    let tags = format!("test.marker=\"{}\"", export.marker.replace('"', "\\\""));
    let answer = Connection::new(server.http).get(&format!("/api/search?tags={}", query_value(&tags)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let traces = answer["traces"].as_array().unwrap_or_else(|| panic!("no traces for {tags}: {answer}"));
    assert_eq!(traces.len(), 1, "{answer}");
    let found = &traces[0];
    let root = sent.spans.iter().find(|span| span.parent_span_id.is_empty()).expect("a root span");
    let service = sent.resource["service.name"]["stringValue"].as_str().expect("a service name");
    assert_eq!(format!("{:0>32}", found["traceID"].as_str().expect("an id")), sent.trace_id);
    assert_eq!(found["rootServiceName"], service);
    assert_eq!(found["rootTraceName"], root.name.as_str());
    assert_eq!(found["startTimeUnixNano"], root.start.as_str());
    assert_eq!(found["serviceStats"][service]["spanCount"], sent.spans.len());
    assert_eq!(found["serviceStats"][service]["errorCount"], 1);
}
