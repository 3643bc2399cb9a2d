//! Fewer spans with which a question is still answered differently.

use spanlake_traceql::reference::StoredSpan;

use crate::question::Question;
use crate::world::{Layout, World};

/// Most worlds made to shrink one failure.
const MAX_ATTEMPTS: usize = 2_000;

/// Takes out traces, then spans, then what spans carry, as long as some difference is left. Returns the last
/// difference.
pub async fn shrink(mut layout: Layout, question: &Question) -> (Layout, String) {
    let mut difference =
        differs(&layout, question).await.unwrap_or_else(|| "a difference that did not come again".into());
    let mut attempts = 0;
    for smaller in [without_trace, without_span, without_content] {
        let mut place = 0;
        while let Some(candidate) = smaller(&layout, place).filter(|_| attempts < MAX_ATTEMPTS) {
            attempts += 1;
            match differs(&candidate, question).await {
                Some(still) => (layout, difference) = (candidate, still),
                None => place += 1,
            }
        }
    }
    (layout, difference)
}

async fn differs(layout: &Layout, question: &Question) -> Option<String> {
    question.difference(&World::new(layout).await, layout).await
}

fn without_trace(layout: &Layout, place: usize) -> Option<Layout> {
    let mut ids: Vec<Vec<u8>> = layout.stored().into_iter().map(|one| one.span.trace_id).collect();
    ids.sort();
    ids.dedup();
    let id = ids.get(place)?;
    let mut smaller = layout.clone();
    for block in &mut smaller.blocks {
        block.retain(|one| one.span.trace_id != *id);
    }
    Some(smaller)
}

fn without_span(layout: &Layout, place: usize) -> Option<Layout> {
    let mut smaller = layout.clone();
    let (block, at) = find(layout, place)?;
    smaller.blocks[block].remove(at);
    Some(smaller)
}

/// Every span gives five candidates, each with one thing less, on all of its copies.
fn without_content(layout: &Layout, place: usize) -> Option<Layout> {
    let (block, at) = find(layout, place / 5)?;
    let original = layout.blocks[block][at].clone();
    let remove = |one: &mut StoredSpan| match place % 5 {
        0 => one.span.events.pop().is_some(),
        1 => one.span.links.pop().is_some(),
        2 => one.span.attributes.pop().is_some(),
        3 => one.resource.attributes.pop().is_some(),
        _ => one.scope.take().is_some(),
    };
    let mut smaller = layout.clone();
    let mut changed = false;
    for one in smaller.blocks.iter_mut().flatten().filter(|one| **one == original) {
        changed |= remove(one);
    }
    // What has nothing to lose is tried as it is not: an empty layout shows no difference.
    Some(if changed { smaller } else { Layout { blocks: vec![], ..smaller } })
}

fn find(layout: &Layout, place: usize) -> Option<(usize, usize)> {
    let places =
        layout.blocks.iter().enumerate().flat_map(|(block, spans)| (0..spans.len()).map(move |at| (block, at)));
    places.into_iter().nth(place)
}
