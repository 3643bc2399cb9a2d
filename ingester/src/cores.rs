//! Turns on the processor: long computations take a core each, and tenants that wait for one take turns.
//!
//! It knows nothing of what is computed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spanlake_model::Tenant;
use tokio::sync::oneshot;

/// The cores of the process.
#[derive(Debug)]
pub(crate) struct Cores(Mutex<State>);

#[derive(Debug)]
struct State {
    free: usize,
    /// Tenants that wait, the next one first; each is here once.
    turns: VecDeque<(Tenant, VecDeque<oneshot::Sender<Core>>)>,
}

/// The right to keep one core busy; it returns when this is dropped.
#[derive(Debug)]
pub(crate) struct Core(Option<Arc<Cores>>);

impl Cores {
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { free: count.max(1), turns: VecDeque::new() })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything can panic, so a poisoned state is a sound one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for this tenant's turn.
    pub async fn acquire(self: &Arc<Self>, tenant: &Tenant) -> Core {
        let turn = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return Core(Some(Arc::clone(self)));
            }
            let (sender, turn) = oneshot::channel();
            match state.turns.iter_mut().find(|(waiting, _)| waiting == tenant) {
                Some((_, queue)) => queue.push_back(sender),
                None => state.turns.push_back((tenant.clone(), VecDeque::from([sender]))),
            }
            turn
        };
        turn.await.expect("a turn that waits is dropped by its waiter only")
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let Some(cores) = self.0.take() else { return };
        loop {
            let next = {
                let mut state = cores.lock();
                let Some((tenant, mut queue)) = state.turns.pop_front() else {
                    state.free += 1;
                    return;
                };
                // Those who left do not cost their tenant its turn.
                while queue.front().is_some_and(oneshot::Sender::is_closed) {
                    queue.pop_front();
                }
                let next = queue.pop_front();
                if !queue.is_empty() {
                    state.turns.push_back((tenant, queue));
                }
                next
            };
            // Sent outside the lock: what cannot be sent comes back, and must not be dropped as a core.
            match next.map(|sender| sender.send(Core(Some(Arc::clone(&cores))))) {
                Some(Ok(())) => return,
                Some(Err(mut unsent)) => drop(unsent.0.take()),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tenants_take_turns_whoever_asks_more_often() {
        let cores = Cores::new(1);
        let [a, b, c] = ["a", "b", "c"].map(|name| Tenant::parse(name).expect("a name"));
        let first = cores.acquire(&a).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for tenant in [&a, &a, &a, &b, &b, &c] {
            let (cores, tenant, order) = (Arc::clone(&cores), tenant.clone(), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let core = cores.acquire(&tenant).await;
                order.lock().expect("no panic").push(tenant.to_string());
                drop(core);
            }));
            tokio::task::yield_now().await;
        }
        // One that waits no more is passed over.
        tasks[3].abort();
        tokio::task::yield_now().await;
        drop(first);
        for task in tasks {
            let _ = task.await;
        }
        assert_eq!(*order.lock().expect("no panic"), ["a", "b", "c", "a", "a"]);
        assert_eq!(cores.lock().free, 1);
    }

    #[tokio::test]
    async fn a_turn_that_comes_to_one_who_left_goes_on() {
        let cores = Cores::new(1);
        let tenant = Tenant::single();
        let first = cores.acquire(&tenant).await;
        let mut wait = Box::pin(cores.acquire(&tenant));
        assert!(futures::poll!(wait.as_mut()).is_pending());
        drop(first);
        // Handed over and never looked at.
        drop(wait);
        assert_eq!(cores.lock().free, 1);
    }
}
