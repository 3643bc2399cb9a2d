//! Searches whose results are sent on while they run. It knows nothing of the form in which they are sent.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use futures::{Stream, stream};
use spanlake_model::Tenant;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::engine::{SearchEvent, Stats, TraceqlSearch};
use crate::error::Error;
use crate::querier::Querier;
use crate::querier::watched::CURRENT;
use crate::search::FoundTrace;

/// Results that wait for a slow reader; with more of them the search waits.
const QUEUE: usize = 16;
/// A reader hears of progress at most this often.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// What a running search says.
#[derive(Debug)]
pub(crate) enum Heard {
    /// How far it is.
    Progress(Stats),
    /// More traces, none of them sent before, and how far it is.
    Traces(Vec<FoundTrace>, Stats),
    /// It has ended, at a bound or with everything.
    End(Stats, Option<Error>),
}

/// Runs `work` in a task of its own; the stream gives what it sends. Dropping the stream stops the work.
///
/// The task is why a query's time limit holds for a reader that takes nothing too: a body is not polled while its
/// connection has no room, and what is not polled notices no time.
pub(crate) fn produce<T, F>(work: impl FnOnce(mpsc::Sender<T>) -> F) -> impl Stream<Item = T> + Send
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    let work = work(sender);
    // What it looks into counts for the query that is watched.
    let running = AbortOnDropHandle::new(match CURRENT.try_with(Arc::clone) {
        Ok(effort) => tokio::spawn(CURRENT.scope(effort, work)),
        Err(_) => tokio::spawn(work),
    });
    stream::poll_fn(move |cx: &mut Context<'_>| {
        let _held = &running;
        receiver.poll_recv(cx)
    })
}

/// The results of a search as they come. The last item is [`Heard::End`] or the failure; each trace comes once.
pub(crate) fn search(
    querier: Querier,
    tenants: Vec<Tenant>,
    request: TraceqlSearch,
) -> impl Stream<Item = Result<Heard, Error>> + Send {
    produce(async move |out: mpsc::Sender<Result<Heard, Error>>| {
        let (tell, told) = mpsc::channel(QUEUE);
        let run = querier.traceql_search(&tenants, &request, Some(tell));
        let (answer, mut sent) = tokio::join!(run, forward(told, &out));
        let last = match answer {
            Ok(mut answer) => {
                answer.traces.retain(|trace| sent.insert(trace.trace_id.0));
                if !answer.traces.is_empty() {
                    // Sending fails only when the reader is gone, which ends this task as well.
                    let _ = out.send(Ok(Heard::Traces(answer.traces, answer.stats))).await;
                }
                Ok(Heard::End(answer.stats, answer.stopped))
            }
            Err(error) => Err(error),
        };
        let _ = out.send(last).await;
    })
}

/// Sends on what the search says until it has ended. Gives the ids of the traces sent.
async fn forward(mut told: mpsc::Receiver<SearchEvent>, out: &mpsc::Sender<Result<Heard, Error>>) -> HashSet<[u8; 16]> {
    let (mut sent, mut stats, mut last_told) = (HashSet::new(), Stats::default(), Instant::now());
    while let Some(event) = told.recv().await {
        let heard = match event {
            SearchEvent::Progress(now) => {
                stats = now;
                if last_told.elapsed() < PROGRESS_PAUSE {
                    continue;
                }
                Heard::Progress(stats)
            }
            // A search that begins anew, because blocks were merged meanwhile, finds the same traces again.
            SearchEvent::Traces(mut traces) => {
                traces.retain(|trace| sent.insert(trace.trace_id.0));
                if traces.is_empty() {
                    continue;
                }
                Heard::Traces(traces, stats)
            }
        };
        last_told = Instant::now();
        if out.send(Ok(heard)).await.is_err() {
            break;
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn work_runs_beside_its_reader_and_ends_with_it() {
        let counted: Vec<u32> = produce(async |out: mpsc::Sender<u32>| {
            for i in 0..100 {
                out.send(i).await.expect("it is read");
            }
        })
        .collect()
        .await;
        assert_eq!(counted, (0..100).collect::<Vec<_>>());
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let mut endless = Box::pin(produce(async move |out: mpsc::Sender<u32>| {
            let _held = held;
            loop {
                let _ = out.send(1).await;
                tokio::task::yield_now().await;
            }
        }));
        assert_eq!(endless.next().await, Some(1));
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(endless);
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_does_not_stop_time() {
        let place = Arc::new(Semaphore::new(1));
        let entered = Arc::clone(&place);
        let stream = produce(async move |out: mpsc::Sender<u32>| {
            let held = entered.acquire_owned().await.expect("it is never closed");
            let endless = async {
                loop {
                    out.send(1).await.expect("the stream is there");
                }
            };
            assert!(tokio::time::timeout(Duration::from_millis(20), endless).await.is_err());
            drop(held);
            out.send(2).await.expect("the stream is there");
        });
        let mut stream = Box::pin(stream);
        assert_eq!(stream.next().await, Some(1));
        let freed = tokio::time::timeout(Duration::from_secs(10), place.acquire()).await;
        assert!(freed.is_ok(), "the place is free although nothing was read");
        assert_eq!(stream.collect::<Vec<_>>().await.last(), Some(&2));
    }
}
