//! The counters tell the truth: every received span is acknowledged, rejected or failed, and no other.

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::Backend;
use crate::http::{Connection, get};
use crate::process::{Server, Setup};
use crate::traffic::{Found, SentTrace, batch, find, seed};

#[test]
fn received_is_acknowledged_plus_rejected_plus_failed() {
    let setup = Setup::new(Backend::Directory);
    let server = setup.start();
    let mut random = StdRng::seed_from_u64(seed("accounting"));
    let mut connection = Connection::new(server.otlp_http);
    let mut acknowledged = 0;
    for _ in 0..5 {
        let sent = batch(&mut random, 3, 4, "good");
        assert_eq!(connection.export(&sent.body).expect("an answer").status, 200);
        acknowledged += sent.span_count();
    }

    // Two bad spans among twelve: the rest of the batch is kept, and the answer says how many were not.
    let sent = batch(&mut random, 3, 4, "partly bad");
    let mut request = ExportTraceServiceRequest::decode(sent.body.as_slice()).expect("our own request");
    let spans = &mut request.resource_spans[0].scope_spans[0].spans;
    spans[4].trace_id = vec![0; 16];
    spans[9].span_id = vec![1, 2, 3];
    let answer = connection.export(&request.encode_to_vec()).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let response = ExportTraceServiceResponse::decode(answer.body.as_slice()).expect("an export response");
    let partial = response.partial_success.expect("two spans are rejected");
    assert_eq!(partial.rejected_spans, 2, "{}", partial.error_message);
    assert!(!partial.error_message.is_empty());
    acknowledged += sent.span_count() - 2;
    let mut reader = Connection::new(server.http);
    assert_eq!(find(&mut reader, &sent.traces[0]), Found::Exactly);
    let mut rest = sent.traces[1].span_ids.clone();
    rest.remove(0);
    assert_eq!(find(&mut reader, &SentTrace { span_ids: rest, ..sent.traces[1].clone() }), Found::Exactly);

    // A body that is no request counts no spans.
    let answer = connection.export(b"\xff\xff\xff not protobuf").expect("an answer");
    assert_eq!(answer.status, 400, "{}", answer.text());

    assert_eq!(counter(&server, "spanlake_ingest_spans_acked_total"), acknowledged);
    assert_eq!(counter(&server, "spanlake_ingest_spans_rejected_total"), 2);
    assert_eq!(counter(&server, "spanlake_ingest_spans_failed_total"), 0);
    assert_balanced(&server);
    server.stop();
}

/// Fails unless received = acknowledged + rejected + failed.
pub fn assert_balanced(server: &Server) {
    let count = |name: &str| counter(server, &format!("spanlake_ingest_spans_{name}_total"));
    let (received, acknowledged, rejected, failed) =
        (count("received"), count("acked"), count("rejected"), count("failed"));
    assert_eq!(
        received,
        acknowledged + rejected + failed,
        "{acknowledged} acked, {rejected} rejected, {failed} failed"
    );
}

/// The sum of a counter over its labels; zero when it was never counted.
pub fn counter(server: &Server, name: &str) -> u64 {
    let answer = get(server.http, "/metrics");
    assert_eq!(answer.status, 200);
    let text = answer.text();
    let series = text
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{')));
    series.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()).expect("a count")).sum()
}
