//! The choice against hand-made blocks, and against one that never stops early.

use super::*;

fn request(limit: usize) -> SearchRequest {
    SearchRequest { tags: vec![], min_duration_nanos: None, max_duration_nanos: None, range: None, limit }
}

fn id(n: u64) -> TraceId {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    TraceId(id)
}

fn piece(n: u64, start: u64, end: u64, matched: u64) -> Summary {
    Summary { trace_id: id(n), start_unix_nanos: start, end_unix_nanos: end, matched }
}

fn ids(candidates: Candidates) -> Vec<u64> {
    let number = |id: TraceId| u64::from_be_bytes(id.0[8..].try_into().expect("eight bytes"));
    candidates.into_winners().into_iter().map(|winner| number(winner.trace_id)).collect()
}

#[test]
fn stops_only_when_the_newest_are_certain() {
    let mut candidates = Candidates::new(&request(2), 10, 100);
    candidates
        .add(0, [piece(1, 100, 110, 0), piece(2, 90, 95, 0), piece(3, 50, 60, 0)].into_iter().enumerate())
        .expect("fits");
    // The blocks left end at 85: within reach of 90, so a piece of trace 2 may follow.
    assert_eq!(candidates.settle(Some(85)), Progress::Open);
    assert_eq!(candidates.settle(Some(80)), Progress::Open);
    assert_eq!(candidates.settle(Some(79)), Progress::Certain);
    assert_eq!(ids(candidates), [1, 2]);
}

#[test]
fn a_piece_from_an_older_block_changes_the_trace() {
    let request = SearchRequest { max_duration_nanos: Some(20), ..request(1) };
    let mut candidates = Candidates::new(&request, 50, 100);
    candidates.add(0, [piece(1, 100, 110, 0), piece(2, 95, 96, 0)].into_iter().enumerate()).expect("fits");
    assert_eq!(candidates.settle(Some(80)), Progress::Open);
    candidates.add(1, [piece(1, 70, 75, 0)].into_iter().enumerate()).expect("fits");
    assert_eq!(candidates.settle(None), Progress::Certain);
    assert_eq!(ids(candidates), [2]);
}

#[test]
fn tags_are_matched_by_the_whole_trace() {
    let tag = |key: &str| super::super::Tag::new(key.to_owned(), "x".to_owned()).expect("a tag");
    let request = SearchRequest { tags: vec![tag("a"), tag("b")], ..request(10) };
    let mut candidates = Candidates::new(&request, 0, 100);
    candidates
        .add(0, [piece(1, 10, 20, 0b01), piece(2, 10, 20, 0b01), piece(3, 10, 20, 0b11)].into_iter().enumerate())
        .expect("fits");
    candidates.add(1, [piece(1, 10, 20, 0b10), piece(2, 10, 20, 0b01)].into_iter().enumerate()).expect("fits");
    assert_eq!(ids(candidates), [1, 3]);
}

#[test]
fn time_and_duration_are_those_of_the_whole_trace() {
    let range = TimeRange { start_unix_nanos: 40, end_unix_nanos: 50 };
    let request = SearchRequest { range: Some(range), min_duration_nanos: Some(10), ..request(10) };
    let mut candidates = Candidates::new(&request, 1_000, 100);
    candidates
        .add(
            0,
            [piece(1, 60, 70, 0), piece(2, 45, 46, 0), piece(3, 50, 60, 0), piece(4, 51, 70, 0)]
                .into_iter()
                .enumerate(),
        )
        .expect("fits");
    candidates
        .add(1, [piece(1, 20, 30, 0), piece(5, 20, 40, 0), piece(6, 20, 39, 0)].into_iter().enumerate())
        .expect("fits");
    assert_eq!(ids(candidates), [3, 1, 5]);
}

#[test]
fn ties_go_by_trace_id_and_the_bound_has_a_name() {
    let mut candidates = Candidates::new(&request(2), 0, 3);
    candidates
        .add(0, [piece(3, 10, 20, 0), piece(1, 10, 20, 0), piece(2, 10, 20, 0)].into_iter().enumerate())
        .expect("fits");
    assert!(matches!(
        candidates.add(1, [piece(4, 10, 20, 0)].into_iter().enumerate()),
        Err(Error::TooManyTraces { max: 3 })
    ));
    assert_eq!(ids(candidates), [1, 2]);
}

#[test]
fn stopping_early_and_dropping_change_nothing() {
    // A small generator (xorshift) keeps the cases the same on every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for round in 0..300 {
        let reach = 30;
        let mut blocks: Vec<Vec<(u64, u64, u64, u64)>> = vec![Vec::new(); 12];
        for trace in 0..40 {
            let mut start = 100 + next(1_000);
            for _ in 0..=next(3) {
                let end = start + next(20);
                let block = next(12) as usize;
                if blocks[block].iter().all(|(known, ..)| *known != trace) {
                    blocks[block].push((trace, start, end, next(4)));
                }
                // The next piece is within reach of this one, before or after it.
                start = (start + next(2 * reach)).saturating_sub(reach);
            }
        }
        blocks.retain(|block| !block.is_empty());
        blocks.sort_by_key(|block| Reverse(block.iter().map(|piece| piece.2).max()));
        let request = SearchRequest {
            tags: vec![super::super::Tag::new("a".into(), "x".into()).expect("a tag")],
            max_duration_nanos: Some(40),
            ..request(1 + next(6) as usize)
        };
        let run = |stops: bool| {
            let mut candidates = Candidates::new(&request, 4 * reach, usize::MAX);
            for (i, block) in blocks.iter().enumerate() {
                candidates.add(i, block.iter().map(|&(n, s, e, m)| piece(n, s, e, m)).enumerate()).expect("fits");
                let left = blocks[i + 1..].iter().flatten().map(|piece| piece.2).max();
                if stops && candidates.settle(left) == Progress::Certain {
                    break;
                }
            }
            candidates.into_winners()
        };
        assert_eq!(run(true), run(false), "round {round}");
    }
}
