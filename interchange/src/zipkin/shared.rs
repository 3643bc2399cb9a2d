//! Spans that client and server share: both report one id, which OTLP does not allow. The server's half gets an id of its own
//! below the client's, and what the server did goes below the server's half.

use std::collections::HashMap;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::Converted;
use crate::attribute::text;
use crate::otlp_json::hex;

/// The attribute that keeps the id which a server's half was sent with.
const SENT_ID: &str = "zipkin.id";

/// The halves of an id.
#[derive(Default)]
struct Halves {
    client: Option<usize>,
    server: Option<usize>,
}

type Ids = (Vec<u8>, Vec<u8>);

/// Gives each server's half whose client's half is there too an id of its own.
pub(super) fn separate(spans: &mut [Converted]) {
    let mut halves: HashMap<Ids, Halves> = HashMap::new();
    for (at, converted) in spans.iter().enumerate() {
        let ids = (converted.span.trace_id.clone(), converted.span.span_id.clone());
        let halves = halves.entry(ids).or_default();
        // Old senders do not mark the half, but its kind tells.
        if converted.shared || converted.span.kind == SpanKind::Server as i32 {
            halves.server.get_or_insert(at);
        } else if converted.span.kind == SpanKind::Client as i32 {
            halves.client.get_or_insert(at);
        }
    }
    halves.retain(|_, halves| halves.client.is_some() && halves.server.is_some());
    if halves.is_empty() {
        return;
    }
    let servers: HashMap<Ids, (usize, String, String)> = halves
        .into_iter()
        .filter_map(|(ids, halves)| {
            let (client, server) = (halves.client?, halves.server?);
            Some((ids, (server, spans[server].service.clone(), spans[client].service.clone())))
        })
        .collect();
    for (at, converted) in spans.iter_mut().enumerate() {
        let span = &mut converted.span;
        let below = (span.trace_id.clone(), span.parent_span_id.clone());
        if let Some((_, server_service, client_service)) = servers.get(&below) {
            let clients_own = converted.service == *client_service && client_service != server_service;
            if !clients_own {
                span.parent_span_id = server_id(&below.1);
            }
        }
        let own = (span.trace_id.clone(), span.span_id.clone());
        if servers.get(&own).is_some_and(|(server, ..)| *server == at) {
            span.attributes.push(text(SENT_ID, &hex(&own.1)));
            span.parent_span_id.clone_from(&own.1);
            span.span_id = server_id(&own.1);
        }
    }
}

/// An id for the server's half of a client's span, the same in every file: a mixed copy of the client's.
fn server_id(client_id: &[u8]) -> Vec<u8> {
    let client_id = client_id.try_into().map_or(0, u64::from_be_bytes);
    // An odd factor and a rotation are reversible, so different ids stay different.
    let mixed = (client_id ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(31);
    if mixed == 0 { 1u64 } else { mixed }.to_be_bytes().to_vec()
}
