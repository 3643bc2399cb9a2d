//! An endless supply of requests for an ingester: the same ones again and again, each time with other trace ids.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use spanlake_bench::Error;
use spanlake_otlp::Limits;

/// Spans kept in memory and sent round after round.
const MAX_SPANS: usize = 200_000;

/// Requests to send. Making the next one costs a copy of its bytes.
pub(super) struct Feed {
    requests: Vec<Template>,
    next: AtomicU64,
}

struct Template {
    body: Bytes,
    /// Where the trace ids of its spans lie.
    trace_ids: Vec<usize>,
}

impl Feed {
    /// Takes the first requests of a corpus.
    ///
    /// # Errors
    /// [`Error::Stage`] if one is malformed; [`Error::Usage`] if there is none.
    pub(super) fn new(requests: impl Iterator<Item = Result<Bytes, Error>>) -> Result<Self, Error> {
        let (mut templates, mut span_count) = (Vec::new(), 0);
        for request in requests {
            let body = request?;
            let batch = spanlake_otlp::index(body.clone(), &Limits::default()).map_err(Error::stage("index"))?;
            let place = |entry: &spanlake_otlp::SpanEntry| {
                let start = entry.span.start as usize;
                // What was re-encoded lies behind the request.
                let span = body.get(start..entry.span.end as usize)?;
                span.windows(16).position(|bytes| bytes == entry.trace_id.0).map(|at| start + at)
            };
            let trace_ids = batch.spans.iter().filter_map(place).collect();
            span_count += batch.spans.len();
            templates.push(Template { body, trace_ids });
            if span_count >= MAX_SPANS {
                break;
            }
        }
        if templates.is_empty() {
            return Err(Error::Usage("there is nothing to ingest".to_owned()));
        }
        Ok(Self { requests: templates, next: AtomicU64::new(0) })
    }

    /// The next request.
    pub(super) fn next(&self) -> Bytes {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.requests.len() as u64;
        let template = &self.requests[(number % count) as usize];
        // Never the ids of the corpus itself.
        let round = (number / count + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        let mut body = template.body.to_vec();
        for at in &template.trace_ids {
            for (byte, change) in body[*at..*at + 8].iter_mut().zip(round) {
                *byte ^= change;
            }
        }
        body.into()
    }
}

#[cfg(test)]
mod tests {
    use spanlake_bench::{Corpus, Kind, Spec};

    use super::*;

    #[test]
    fn every_round_has_other_traces() {
        let corpus = || Corpus::new(&Spec::new(Kind::Shop, 500, 1)).map(|request| Ok(Bytes::from(request.body)));
        let feed = Feed::new(corpus()).expect("a good corpus");
        let ids = |body: Bytes| {
            let batch = spanlake_otlp::index(body, &Limits::default()).expect("a good request");
            assert_eq!(batch.rejected.span_count, 0);
            batch.spans.iter().map(|entry| entry.trace_id).collect::<std::collections::BTreeSet<_>>()
        };
        let count = feed.requests.len();
        let original = ids(feed.requests[0].body.clone());
        let first = ids(feed.next());
        let again = (1..=count).map(|_| feed.next()).last().map(ids).expect("there are requests");
        assert!(original.len() == first.len() && first.len() == again.len());
        assert!(original.is_disjoint(&first) && first.is_disjoint(&again) && original.is_disjoint(&again));
    }
}
