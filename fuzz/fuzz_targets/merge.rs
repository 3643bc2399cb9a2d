//! Two blocks of any spans, merged: no panic, no row lost or made up, and the result verifies.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use spanlake_block::{
    Block, Merge, MergeInput, MergeOptions, SharedOrigins, Verifier, WriteOptions, Written, write_block,
};
use spanlake_otlp::{Limits, index};

fuzz_target!(|data: &[u8]| {
    let [shape, first_percent, data @ ..] = data else { return };
    let options = |level: u8, bits: u8| WriteOptions {
        level,
        row_group_rows: 1 + usize::from(bits & 7),
        page_rows: 1 + usize::from(bits >> 3 & 3),
        max_attribute_columns: usize::from(bits >> 5),
        min_values: 1,
        ..WriteOptions::default()
    };
    // Both inputs are written from requests in a row, of which the first may be in both: identical spans collapse.
    let (first, second) = data.split_at(data.len() * usize::from(*first_percent % 101) / 100);
    let inputs: Vec<Written> =
        [first, second].into_iter().filter_map(|request| block(request, &options(0, *shape))).collect();
    if inputs.is_empty() {
        return;
    }
    let options = MergeOptions {
        write: options(1, shape.rotate_left(3)),
        window_nanos: u64::from(shape & 1) * 1_000,
        pass_rows: 1 + usize::from(shape >> 4),
        ..MergeOptions::default()
    };
    let cut = |input: &Written, from: u64, to: u64| input.bytes.slice(from as usize..to as usize);
    let mut origins = SharedOrigins::default();
    let opened = inputs.iter().map(|input| {
        let behind_rows = cut(input, input.meta.search_offset, input.meta.object_bytes);
        MergeInput::open(&input.meta, behind_rows, &mut origins).expect("just written")
    });
    let mut merge = Merge::new(opened.collect(), options).expect("there are inputs");
    let mut outputs = Vec::new();
    while let Some(wanted) = merge.wanted() {
        let fetched = wanted.into_iter().map(|wanted| {
            let bytes = cut(&inputs[wanted.input], wanted.range.start, wanted.range.end);
            (wanted, bytes)
        });
        outputs.extend(merge.step(fetched.collect()).expect("sound blocks merge"));
    }
    let end = merge.finish().expect("sound blocks merge");
    outputs.extend(end.blocks);
    let span_count = |blocks: &[Written]| blocks.iter().map(|block| block.meta.span_count).sum::<u64>();
    assert_eq!(end.report.rows_read, span_count(&inputs));
    assert_eq!(end.report.rows_written, span_count(&outputs));
    assert_eq!(end.report.rows_read, end.report.rows_written + end.report.duplicate_count);
    outputs.iter().for_each(verify);
    // Every span of the outputs is one of the inputs.
    let (before, after) = (spans(&inputs), spans(&outputs));
    assert!(after.iter().all(|span| before.binary_search(span).is_ok()), "a span was changed");
});

fn block(request: &[u8], options: &WriteOptions) -> Option<Written> {
    let batch = index(Bytes::copy_from_slice(request), &Limits::default()).ok()?;
    write_block(&[batch], options).ok()
}

fn verify(block: &Written) {
    let cut = |range: std::ops::Range<u64>| block.bytes.slice(range.start as usize..range.end as usize);
    let mut verifier =
        Verifier::open(&block.meta, cut(block.meta.tail_offset..block.meta.object_bytes)).expect("just written");
    verifier.search(cut(verifier.search_range()));
    for group in 0..verifier.row_group_count() {
        verifier.row_group(cut(verifier.row_group_range(group)));
    }
    let verified = verifier.finish();
    assert!(verified.is_sound(), "{:#?}", verified.problems);
}

/// Every span with its resource and scope, as bytes, sorted.
fn spans(blocks: &[Written]) -> Vec<Vec<u8>> {
    let mut spans = Vec::new();
    for written in blocks {
        let cut = |range: std::ops::Range<u64>| written.bytes.slice(range.start as usize..range.end as usize);
        let block = Block::open(&written.meta, cut(written.meta.tail_offset..written.meta.object_bytes));
        let block = block.expect("just written");
        for group in 0..block.row_group_count() {
            for row in block.read_row_group(group, cut(block.row_group_range(group))).expect("just written") {
                let mut bytes = row.span.encode_to_vec();
                bytes.extend(row.resource.resource.encode_to_vec());
                bytes.extend(row.scope.scope.iter().flat_map(Message::encode_to_vec));
                spans.push(bytes);
            }
        }
    }
    spans.sort_unstable();
    spans
}
