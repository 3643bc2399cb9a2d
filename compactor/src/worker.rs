//! A thread for the work of one merge, so that it neither blocks the runtime nor takes its panics along. It knows nothing of
//! what the work is.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use spanlake_model::world;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that does one thing after another; it ends when this is dropped and the last thing is done.
pub(crate) struct Worker {
    jobs: SyncSender<Job>,
}

/// The work panicked.
#[derive(Debug, thiserror::Error)]
#[error("the thread of a merge ended before its work did")]
pub(crate) struct Ended;

impl Worker {
    /// Starts the thread; an error where there is none to be had.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (jobs, received) = sync_channel::<Job>(1);
        let work = move || received.into_iter().for_each(|job| job());
        thread::Builder::new().name("spanlake-merge".to_owned()).spawn(work)?;
        Ok(Self { jobs })
    }

    /// Does something there and waits for its outcome. One caller at a time.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Ended> {
        if world::is_simulated() {
            return Ok(work());
        }
        let (done, outcome) = oneshot::channel();
        let job: Job = Box::new(move || drop(done.send(work())));
        // There is room: whoever waits for an outcome sends nothing.
        self.jobs.try_send(job).map_err(|_| Ended)?;
        outcome.await.map_err(|_| Ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_in_turn_and_a_panic_ends_only_the_thread() {
        let worker = Worker::start().expect("a thread");
        assert_eq!(worker.run(|| 1 + 1).await.expect("done"), 2);
        assert_eq!(
            worker.run(|| thread::current().name().map(str::to_owned)).await.expect("done").as_deref(),
            Some("spanlake-merge")
        );
        assert!(worker.run(|| assert!(std::hint::black_box(false), "on purpose")).await.is_err());
        assert!(worker.run(|| ()).await.is_err(), "the thread is gone");
    }
}
