//! What was learned of entry points a short while ago, so that opening several traces of one costs once.
//!
//! What is kept are counts, names of services and operations, and the ids of a few traces of each call path, which nobody is told. A deletion through this process
//! forgets all of it, and one through another process outlives it by no more than [`KEPT`]: nothing of a deleted trace is shown
//! meanwhile, but it still counts.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spanlake_model::Tenant;
use tokio::time::Instant;

use super::Querier;
use crate::engine::explore::learned::{self, LearnRequest, Learned, MAX_LEARNED_BYTES};
use crate::error::Error;

/// How long something learned is used.
const KEPT: Duration = Duration::from_secs(60);
/// Questions whose answers are kept.
const MAX_KEPT: usize = 64;
/// Before the time is up, so much is left for what was learned until then to be handed on.
const MARGIN: Duration = Duration::from_millis(200);
/// Memory of all that is kept, about.
const MAX_BYTES: usize = 32 << 20;

/// A question: of which tenants, which traces.
type Question = (Vec<Tenant>, LearnRequest);

/// One question's place: who asks first fills it, others wait for that, or fill it when the first one left.
#[derive(Debug, Clone)]
struct Place {
    question: Question,
    begun: Instant,
    answer: Arc<tokio::sync::Mutex<Option<Known>>>,
}

/// An answer that is kept: what was learned, or the bound that does not allow it.
#[derive(Debug, Clone)]
struct Known {
    learned: Result<Arc<Learned>, Error>,
    bytes: usize,
}

impl Known {
    /// What is worth keeping of an answer. What the time or the memory of a moment did not suffice for may be had next time: blocks are
    /// open by then.
    fn of(learned: &Result<Arc<Learned>, Error>) -> Option<Self> {
        let bytes = match learned {
            Ok(learned) if learned.is_cut => return None,
            Ok(learned) => learned.memory_bytes(),
            Err(Error::TooManyBlocks { .. } | Error::TooManyBytes { .. } | Error::TooManyTraces { .. }) => 0,
            Err(_) => return None,
        };
        (bytes <= MAX_LEARNED_BYTES).then(|| Self { learned: learned.clone(), bytes })
    }
}

/// What is kept, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Lessons(Mutex<VecDeque<Place>>);

impl Lessons {
    fn places(&self) -> MutexGuard<'_, VecDeque<Place>> {
        // No code that holds the lock leaves it between two states.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, question: Question) -> Place {
        let mut places = self.places();
        drop_old(&mut places);
        if let Some(place) = places.iter().find(|place| place.question == question) {
            return place.clone();
        }
        let place = Place { question, begun: Instant::now(), answer: Arc::default() };
        places.push_back(place.clone());
        drop_old(&mut places);
        place
    }

    /// Drops what is past its time, and the oldest of what is too much.
    fn sweep(&self) {
        drop_old(&mut self.places());
    }

    /// Forgets everything.
    pub(super) fn forget(&self) {
        self.places().clear();
    }
}

fn drop_old(places: &mut VecDeque<Place>) {
    places.retain(|place| place.begun.elapsed() < KEPT);
    let bytes = |places: &VecDeque<Place>| -> usize {
        let of = |place: &Place| place.answer.try_lock().ok()?.as_ref().map(|known| known.bytes);
        places.iter().filter_map(of).sum()
    };
    while places.len() > MAX_KEPT || bytes(places) > MAX_BYTES {
        places.pop_front();
    }
}

/// Forgets everything when it goes: whoever deletes may be gone before the deletion is done.
pub(super) struct Forgetting<'a>(pub(super) &'a Lessons);

impl Drop for Forgetting<'_> {
    fn drop(&mut self) {
        self.0.forget();
    }
}

impl Querier {
    /// What a sample of whole traces teaches, learned by then or a short while ago. Costs as much as the engine's `learned`; nothing
    /// when it is known.
    ///
    /// # Errors
    /// [`Error`]; [`Error::TimedOut`] when not even the turn came by then.
    pub(crate) async fn learned(
        &self,
        tenants: &[Tenant],
        request: &LearnRequest,
        until: Instant,
    ) -> Result<Arc<Learned>, Error> {
        let place = self.inner.lessons.place((tenants.to_vec(), request.clone()));
        let learn = async {
            let mut answer = place.answer.lock().await;
            if let Some(known) = &*answer {
                return known.learned.clone();
            }
            let stop = until.checked_sub(MARGIN).unwrap_or(until);
            let learned =
                self.answer(tenants, |reads| async move { learned::run(&reads, tenants, request, stop).await });
            let learned = learned.await.map(Arc::new);
            *answer = Known::of(&learned);
            let is_kept = answer.is_some();
            drop(answer);
            if is_kept {
                self.inner.lessons.sweep();
                // Nothing stays past its time because nobody asks any more.
                let inner = Arc::downgrade(&self.inner);
                tokio::spawn(async move {
                    tokio::time::sleep(KEPT).await;
                    inner.upgrade().iter().for_each(|inner| inner.lessons.sweep());
                });
            }
            learned
        };
        let limit = until.saturating_duration_since(Instant::now());
        tokio::time::timeout_at(until, learn).await.unwrap_or(Err(Error::TimedOut { limit }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str) -> Question {
        let request = LearnRequest {
            root_service: "shop".to_owned(),
            root_name: name.to_owned(),
            start_unix_nanos: 1,
            slot_nanos: 1,
            slot_count: 1,
            max_traces: 1,
            max_blocks: 1,
        };
        (vec![Tenant::single()], request)
    }

    async fn fill(lessons: &Lessons, name: &str, bytes: usize) {
        let place = lessons.place(question(name));
        *place.answer.lock().await = Some(Known { learned: Ok(Arc::default()), bytes });
        lessons.sweep();
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_kept_than_may_be() {
        let lessons = Lessons::default();
        fill(&lessons, "a", MAX_BYTES / 2).await;
        fill(&lessons, "b", MAX_BYTES / 2).await;
        assert_eq!(lessons.places().len(), 2);
        fill(&lessons, "c", 1).await;
        let names: Vec<String> = lessons.places().iter().map(|place| place.question.1.root_name.clone()).collect();
        assert_eq!(names, ["b", "c"]);
        fill(&lessons, "d", MAX_BYTES + 1).await;
        assert!(lessons.places().is_empty());
        fill(&lessons, "e", 1).await;
        tokio::time::advance(KEPT).await;
        lessons.sweep();
        assert!(lessons.places().is_empty());
        fill(&lessons, "f", 1).await;
        drop(Forgetting(&lessons));
        assert!(lessons.places().is_empty());
    }

    #[test]
    fn what_is_cut_is_not_kept() {
        let kept = |learned: Result<Learned, Error>| Known::of(&learned.map(Arc::new)).is_some();
        assert!(kept(Ok(Learned::default())));
        assert!(!kept(Ok(Learned { is_cut: true, ..Learned::default() })));
        assert!(kept(Err(Error::TooManyTraces { max: 1 })));
        assert!(!kept(Err(Error::TimedOut { limit: KEPT })));
    }
}
