//! Turns on the processor: long computations take a core each, and tenants that wait for one take turns. Short ones have a place
//! beside the cores, so that who sends little does not wait for the blocks of who sends much.
//!
//! It knows nothing of what is computed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spanlake_model::Tenant;
use tokio::sync::oneshot;

/// How long a computation takes, as its caller judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Some milliseconds.
    Short,
    /// More, up to some hundred.
    Long,
}

/// The cores of the process.
#[derive(Debug)]
pub(crate) struct Cores(Mutex<State>);

#[derive(Debug)]
struct State {
    free: usize,
    /// Whether the place beside the cores is free: one thread more than there are cores, for short computations only.
    is_side_free: bool,
    short: Queue,
    long: Queue,
    /// Which kind the next free core goes to, if both wait.
    next: Work,
}

/// Tenants that wait, the next one first; each is here once.
#[derive(Debug, Default)]
struct Queue(VecDeque<(Tenant, VecDeque<oneshot::Sender<Core>>)>);

impl Queue {
    fn push(&mut self, tenant: &Tenant) -> oneshot::Receiver<Core> {
        let (sender, turn) = oneshot::channel();
        match self.0.iter_mut().find(|(waiting, _)| waiting == tenant) {
            Some((_, queue)) => queue.push_back(sender),
            None => self.0.push_back((tenant.clone(), VecDeque::from([sender]))),
        }
        turn
    }

    /// Whose turn is next. Those who left do not cost their tenant its turn.
    fn pop(&mut self) -> Option<oneshot::Sender<Core>> {
        while let Some((tenant, mut queue)) = self.0.pop_front() {
            while queue.front().is_some_and(oneshot::Sender::is_closed) {
                queue.pop_front();
            }
            let next = queue.pop_front();
            if !queue.is_empty() {
                self.0.push_back((tenant, queue));
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

impl State {
    /// Who gets the place that is given back; if nobody, it is free.
    fn hand_on(&mut self, place: Place) -> Option<oneshot::Sender<Core>> {
        let next = match (place, self.next) {
            (Place::Side, _) => self.short.pop(),
            (Place::Core, Work::Short) => self.short.pop().or_else(|| self.long.pop()),
            (Place::Core, Work::Long) => self.long.pop().or_else(|| self.short.pop()),
        };
        match (place, &next) {
            (Place::Core, Some(_)) => self.next = if self.next == Work::Short { Work::Long } else { Work::Short },
            (Place::Core, None) => self.free += 1,
            (Place::Side, Some(_)) => {}
            (Place::Side, None) => self.is_side_free = true,
        }
        next
    }
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Core,
    Side,
}

/// The right to keep one core busy; it returns when this is dropped.
#[derive(Debug)]
pub(crate) struct Core {
    /// None once it is handed on.
    cores: Option<Arc<Cores>>,
    place: Place,
}

impl Cores {
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            free: count.max(1),
            is_side_free: true,
            short: Queue::default(),
            long: Queue::default(),
            next: Work::Long,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything can panic, so a poisoned state is a sound one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn core(self: &Arc<Self>, place: Place) -> Core {
        Core { cores: Some(Arc::clone(self)), place }
    }

    /// Waits for this tenant's turn.
    pub async fn acquire(self: &Arc<Self>, tenant: &Tenant, work: Work) -> Core {
        let turn = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                return self.core(Place::Core);
            }
            if work == Work::Short && state.is_side_free {
                state.is_side_free = false;
                return self.core(Place::Side);
            }
            match work {
                Work::Short => state.short.push(tenant),
                Work::Long => state.long.push(tenant),
            }
        };
        turn.await.expect("a turn that waits is dropped by its waiter only")
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let Some(cores) = self.cores.take() else { return };
        loop {
            let Some(sender) = cores.lock().hand_on(self.place) else { return };
            // Sent outside the lock: what cannot be sent comes back, and must not be dropped as a core.
            match sender.send(cores.core(self.place)) {
                Ok(()) => return,
                Err(mut unsent) => drop(unsent.cores.take()),
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
        let first = cores.acquire(&a, Work::Long).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for tenant in [&a, &a, &a, &b, &b, &c] {
            let (cores, tenant, order) = (Arc::clone(&cores), tenant.clone(), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let core = cores.acquire(&tenant, Work::Long).await;
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

    /// However many long computations wait, a short one begins at once, and the next ones soon.
    #[tokio::test]
    async fn short_computations_do_not_wait_behind_long_ones() {
        let cores = Cores::new(1);
        let [large, small, other] = ["large", "small", "other"].map(|name| Tenant::parse(name).expect("a name"));
        let order = Arc::new(Mutex::new(Vec::new()));
        let core = cores.acquire(&large, Work::Long).await;
        let side = cores.acquire(&small, Work::Short).await;
        let mut tasks = Vec::new();
        for (tenant, work) in [
            (&large, Work::Long),
            (&large, Work::Long),
            (&small, Work::Short),
            (&small, Work::Short),
            (&other, Work::Short),
        ] {
            let (cores, tenant, order) = (Arc::clone(&cores), tenant.clone(), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let core = cores.acquire(&tenant, work).await;
                order.lock().expect("no panic").push(tenant.to_string());
                tokio::task::yield_now().await;
                drop(core);
            }));
            tokio::task::yield_now().await;
        }
        drop(side);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*order.lock().expect("no panic"), ["small", "other", "small"], "the core is still taken");
        drop(core);
        for task in tasks {
            let _ = task.await;
        }
        assert_eq!(order.lock().expect("no panic").len(), 5);
        assert!(cores.lock().free == 1 && cores.lock().is_side_free);
    }

    #[tokio::test]
    async fn a_turn_that_comes_to_one_who_left_goes_on() {
        let cores = Cores::new(1);
        let tenant = Tenant::single();
        let first = cores.acquire(&tenant, Work::Long).await;
        let mut wait = Box::pin(cores.acquire(&tenant, Work::Long));
        assert!(futures::poll!(wait.as_mut()).is_pending());
        drop(first);
        // Handed over and never looked at.
        drop(wait);
        assert_eq!(cores.lock().free, 1);
    }
}
