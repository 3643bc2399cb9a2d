//! Row groups that a writer gone wrong could store under right checksums. The fuzz target `block_reader` looks deeper.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::Fetched;
use crate::{Block, WriteOptions, Written, write_block};

fn sample() -> Written {
    let spans = (1..=60_u64).map(|number| Span {
        trace_id: u128::from(number / 4 + 1).to_be_bytes().to_vec(),
        span_id: number.to_be_bytes().to_vec(),
        name: format!("step {}", number % 7),
        start_time_unix_nano: 1_760_000_000_000_000_000 + number,
        end_time_unix_nano: 1_760_000_000_000_000_000 + 2 * number,
        events: vec![Event { name: "e".to_owned(), ..Event::default() }; (number % 3) as usize],
        ..Span::default()
    });
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let request = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let batch = spanlake_otlp::index(request.into(), &spanlake_otlp::Limits::default()).expect("a sound request");
    let options = WriteOptions { row_group_rows: 30, page_rows: 7, ..WriteOptions::default() };
    write_block(&[batch], &options).expect("it has spans")
}

#[test]
fn a_flip_in_a_row_group_that_passes_as_sound_is_no_panic() {
    let Written { meta, bytes, .. } = sample();
    let block = Block::open(&meta, bytes.slice(meta.tail_offset as usize..)).expect("just written");
    let mut random = StdRng::seed_from_u64(0x9a6e);
    let (mut named, mut unnoticed) = (0, 0);
    for round in 0..4_000 {
        let row_group = round % block.row_group_count();
        let range = block.row_group_range(row_group);
        let mut changed = bytes[range.start as usize..range.end as usize].to_vec();
        let at = random.random_range(0..changed.len());
        changed[at] ^= 1 << random.random_range(0..8);
        let fetched = Fetched::new(meta.object_bytes, vec![(range.start, Bytes::from(changed))]);
        let row_count = block.directory.row_groups[row_group].row_count as usize;
        match block.read_rows(row_group, &fetched, 0..row_count, None) {
            Err(_) => named += 1,
            Ok(_) => unnoticed += 1,
        }
    }
    println!("4000 bit flips of row groups: {named} named, {unnoticed} unnoticed");
    assert!(named > 0 && unnoticed > 0);
}
