//! What code asks of the world outside it: chance, the clock, and threads for long computations.
//!
//! A program gets the real ones. With the feature `simulation`, a test can replace all three for its own thread, so that a
//! whole system in one thread repeats exactly from a seed, can give each process in it a clock that is wrong, and can break
//! one rule of ours ([`Rule`]) to prove that tests notice. Without the feature every question here compiles to its plain
//! answer. It knows nothing of who asks.

use std::time::SystemTime;

/// A rule of ours that a test can switch off, to see whether its rig goes red.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A file and its directory are synced before a create is acknowledged.
    SyncBeforeAck,
    /// Bytes from the store are compared with their checksum.
    CompareChecksums,
    /// An object that is there already is read back and compared with what was to be written.
    CompareWhatIsThere,
    /// Only the owner of a tenant's epoch commits.
    CheckEpoch,
    /// Every manifest has a nonce of its own.
    NonceInManifest,
    /// A retired object stays for a grace period before it is deleted.
    WaitBeforeDelete,
    /// Equal spans are answered once.
    AnswerSpansOnce,
    /// Only a sound manifest of another proves that a commit was lost.
    BelieveSoundManifests,
    /// A query shows no span of a deleted trace.
    HideDeletedTraces,
    /// A merge leaves out the rows of deleted traces.
    DropDeletedRows,
    /// A deletion is forgotten only when no live block holds the trace.
    LookBeforeForgetting,
    /// A deletion is forgotten only if it was old enough when the blocks were listed in which the trace was looked for.
    AgeAsOfTheListing,
    /// Whether a lease is over is measured by who waits for it, from when it was first seen.
    MeasureLeasesHere,
    /// How old an object is, is told by the store's clock.
    AskTheStoresClock,
}

/// A random number of this thread's simulation; none outside of one.
#[inline]
pub fn simulated_u64() -> Option<u64> {
    inner::random()
}

/// 128 random bits of this thread's simulation; none outside of one.
#[inline]
pub fn simulated_u128() -> Option<u128> {
    let high = inner::random()?;
    Some(u128::from(high) << 64 | u128::from(inner::random()?))
}

/// A random share from 0 to 1 of this thread's simulation; none outside of one.
#[inline]
pub fn simulated_share() -> Option<f64> {
    inner::random().map(|bits| bits as f64 / u64::MAX as f64)
}

/// The time of day: the system's, or the simulation's.
#[inline]
pub fn now() -> SystemTime {
    inner::now()
}

/// Work that goes on by itself, on the clock of whoever begins it. Outside of a simulation the work as it is.
#[inline]
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    inner::carried(work)
}

/// Whether long computations stay on this thread, because a simulation has no other.
#[inline]
pub fn is_simulated() -> bool {
    inner::is_simulated()
}

/// Whether a test has switched the rule off. Always false in a program.
#[inline]
pub fn is_broken(rule: Rule) -> bool {
    inner::is_broken(rule)
}

#[cfg(feature = "simulation")]
pub use inner::{Clock, Simulation, break_rule, on_clock};

#[cfg(not(feature = "simulation"))]
mod inner {
    //! The real world.

    use std::time::SystemTime;

    use super::Rule;

    #[inline]
    pub(super) fn random() -> Option<u64> {
        None
    }

    #[inline]
    pub(super) fn now() -> SystemTime {
        SystemTime::now()
    }

    #[inline]
    pub(super) fn carried<F: Future>(work: F) -> F {
        work
    }

    #[inline]
    pub(super) fn is_simulated() -> bool {
        false
    }

    #[inline]
    pub(super) fn is_broken(_rule: Rule) -> bool {
        false
    }
}

#[cfg(feature = "simulation")]
mod inner {
    //! The real world, and what a test has put in its place on this thread.

    use std::cell::{Cell, RefCell};
    use std::future::poll_fn;
    use std::marker::PhantomData;
    use std::pin::pin;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::{Duration, SystemTime};

    use super::Rule;

    type TimeOfDay = Rc<dyn Fn() -> SystemTime>;

    thread_local! {
        static STATE: Cell<Option<u64>> = const { Cell::new(None) };
        static TIME_OF_DAY: RefCell<Option<TimeOfDay>> = const { RefCell::new(None) };
        /// Of whoever computes at the moment; none is right.
        static CLOCK: RefCell<Option<Clock>> = const { RefCell::new(None) };
        static BROKEN: Cell<Option<Rule>> = const { Cell::new(None) };
    }

    /// This thread's simulation; the real world returns when it is dropped.
    #[derive(Debug)]
    pub struct Simulation(PhantomData<Rc<()>>);

    impl Simulation {
        /// From here on, on this thread, random numbers come from `seed` and the time of day from `clock`.
        #[must_use]
        pub fn begin(seed: u64, clock: impl Fn() -> SystemTime + 'static) -> Self {
            STATE.set(Some(seed));
            TIME_OF_DAY.set(Some(Rc::new(clock)));
            Self(PhantomData)
        }
    }

    impl Drop for Simulation {
        fn drop(&mut self) {
            STATE.set(None);
            TIME_OF_DAY.set(None);
            // A panic may have left one.
            CLOCK.set(None);
            BROKEN.set(None);
        }
    }

    /// One process's clock: how far it is ahead of the time of day. Clones are the same clock.
    #[derive(Debug, Clone, Default)]
    pub struct Clock {
        ahead_nanos: Arc<AtomicI64>,
    }

    impl Clock {
        /// Puts the clock ahead of the time of day, or behind it.
        pub fn set_ahead(&self, nanos: i64) {
            self.ahead_nanos.store(nanos, Ordering::Relaxed);
        }

        /// How far it is ahead, in nanoseconds.
        pub fn ahead_nanos(&self) -> i64 {
            self.ahead_nanos.load(Ordering::Relaxed)
        }

        fn read(&self, right: SystemTime) -> SystemTime {
            let ahead = self.ahead_nanos();
            let by = Duration::from_nanos(ahead.unsigned_abs());
            let wrong = if ahead < 0 { right.checked_sub(by) } else { right.checked_add(by) };
            wrong.unwrap_or(right)
        }
    }

    /// Does work on a process's clock: [`super::now`] is what it shows. Without a clock the time is right.
    pub async fn on_clock<F: Future>(clock: Option<Clock>, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            let outer = CLOCK.replace(clock.clone());
            let polled = work.as_mut().poll(context);
            CLOCK.set(outer);
            polled
        })
        .await
    }

    pub(super) fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
        on_clock(CLOCK.with_borrow(Clone::clone), work)
    }

    /// Switches a rule off on this thread; `None` switches it on again.
    pub fn break_rule(rule: Option<Rule>) {
        BROKEN.set(rule);
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): every step is one addition, so any seed is a good one.
    pub(super) fn random() -> Option<u64> {
        let state = STATE.get()?.wrapping_add(0x9E37_79B9_7F4A_7C15);
        STATE.set(Some(state));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Some(mixed ^ (mixed >> 31))
    }

    pub(super) fn now() -> SystemTime {
        let time_of_day = TIME_OF_DAY.with_borrow(Clone::clone);
        let right = time_of_day.map_or_else(SystemTime::now, |read| read());
        CLOCK.with_borrow(|clock| clock.as_ref().map_or(right, |clock| clock.read(right)))
    }

    pub(super) fn is_simulated() -> bool {
        STATE.get().is_some()
    }

    pub(super) fn is_broken(rule: Rule) -> bool {
        BROKEN.get() == Some(rule)
    }

    #[cfg(test)]
    mod tests {
        use std::time::Duration;

        use super::super::{is_broken, is_simulated, now, simulated_u64, simulated_u128};
        use super::*;

        #[test]
        fn a_simulation_repeats_and_ends() {
            assert_eq!((simulated_u64(), is_simulated()), (None, false));
            let draw = |seed| {
                let _simulation = Simulation::begin(seed, || SystemTime::UNIX_EPOCH + Duration::from_secs(7));
                assert!(is_simulated());
                assert_eq!(now(), SystemTime::UNIX_EPOCH + Duration::from_secs(7));
                (simulated_u64(), simulated_u128())
            };
            assert_eq!(draw(1), draw(1));
            assert_ne!(draw(1), draw(2));
            assert_eq!((simulated_u128(), is_simulated()), (None, false));
            assert!(now() > SystemTime::UNIX_EPOCH + Duration::from_secs(8));
        }

        #[test]
        fn each_process_has_its_own_clock_and_what_it_starts_has_it_too() {
            let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let _simulation = Simulation::begin(1, move || at(1_000));
            let (ahead, behind) = (Clock::default(), Clock::default());
            ahead.set_ahead(60_000_000_000);
            behind.set_ahead(-60_000_000_000);
            let run = |work: &mut dyn FnMut() -> SystemTime, clock: &Clock| {
                let work = on_clock(Some(clock.clone()), async { work() });
                poll_once(work)
            };
            assert_eq!(run(&mut now, &ahead), at(1_060));
            assert_eq!(run(&mut now, &behind), at(940));
            assert_eq!(now(), at(1_000));
            // Begun on one clock, it goes on where another one is current.
            let mut begun = None;
            poll_once(on_clock(Some(ahead), async { begun = Some(super::super::carried(async { now() })) }));
            let started = begun.expect("it was begun a line above");
            assert_eq!(poll_once(on_clock(Some(behind.clone()), started)), at(1_060));
            assert_eq!(poll_once(on_clock(Some(behind), on_clock(None, async { now() }))), at(1_000));
        }

        fn poll_once<T>(work: impl Future<Output = T>) -> T {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match pin!(work).poll(&mut context) {
                std::task::Poll::Ready(outcome) => outcome,
                std::task::Poll::Pending => panic!("it waits for nothing"),
            }
        }

        #[test]
        fn one_rule_is_broken_at_a_time_and_only_here() {
            break_rule(Some(Rule::CheckEpoch));
            assert!(is_broken(Rule::CheckEpoch) && !is_broken(Rule::SyncBeforeAck));
            let elsewhere = std::thread::spawn(|| is_broken(Rule::CheckEpoch)).join().expect("no panic");
            assert!(!elsewhere);
            break_rule(None);
            assert!(!is_broken(Rule::CheckEpoch));
        }
    }
}
