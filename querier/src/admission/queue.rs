//! Who runs next: a queue that takes turns between keys. It knows no clocks, tasks or tenants.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Names one entry from when it comes until it leaves.
pub(super) type Ticket = u64;

/// Bounds of a queue; zero counts as one, except of those that wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Entries that run at once.
    pub(super) running: usize,
    /// Entries of one key that run at once.
    pub(super) running_per_key: usize,
    /// Entries that wait.
    pub(super) waiting: usize,
}

/// What became of an entry that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// It runs.
    Runs(Ticket),
    /// It waits, and is named by a later [`Queue::leave`].
    Waits(Ticket),
    /// It was turned away.
    Full,
}

/// Entries that run and wait. A key with many waiting entries gets one turn each time round, like every other key.
///
/// Between calls no entry waits that could run.
#[derive(Debug)]
pub(super) struct Queue<K> {
    bounds: Bounds,
    next_ticket: Ticket,
    pub(super) running: usize,
    pub(super) running_of: HashMap<K, usize>,
    waiting: usize,
    pub(super) waiting_of: HashMap<K, VecDeque<Ticket>>,
    /// The keys with waiting entries, whose turn is next first.
    pub(super) turns: VecDeque<K>,
    /// The key of every entry, and whether it runs.
    pub(super) entries: HashMap<Ticket, (K, bool)>,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    pub(super) fn new(bounds: Bounds) -> Self {
        let bounds =
            Bounds { running: bounds.running.max(1), running_per_key: bounds.running_per_key.max(1), ..bounds };
        Self {
            bounds,
            next_ticket: 0,
            running: 0,
            running_of: HashMap::new(),
            waiting: 0,
            waiting_of: HashMap::new(),
            turns: VecDeque::new(),
            entries: HashMap::new(),
        }
    }

    /// Entries that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn has_room(&self, key: &K) -> bool {
        self.running < self.bounds.running
            && self.running_of.get(key).copied().unwrap_or_default() < self.bounds.running_per_key
    }

    fn run(&mut self, key: &K) {
        self.running += 1;
        *self.running_of.entry(key.clone()).or_default() += 1;
    }

    /// Lets an entry run, wait, or turn back.
    pub(super) fn enter(&mut self, key: K) -> Entered {
        let runs = self.has_room(&key);
        if !runs && self.waiting >= self.bounds.waiting {
            return Entered::Full;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.entries.insert(ticket, (key.clone(), runs));
        if runs {
            self.run(&key);
            return Entered::Runs(ticket);
        }
        self.waiting += 1;
        let line = self.waiting_of.entry(key.clone()).or_default();
        if line.is_empty() {
            self.turns.push_back(key);
        }
        line.push_back(ticket);
        Entered::Waits(ticket)
    }

    /// Takes an entry out, whether it ran or waited, and gives those that run in its place.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Vec<Ticket> {
        let Some((key, ran)) = self.entries.remove(&ticket) else { return Vec::new() };
        if !ran {
            self.waiting -= 1;
            if let Some(line) = self.waiting_of.get_mut(&key) {
                line.retain(|waiting| *waiting != ticket);
                if line.is_empty() {
                    self.waiting_of.remove(&key);
                    self.turns.retain(|turn| *turn != key);
                }
            }
            return Vec::new();
        }
        self.running -= 1;
        if let Some(count) = self.running_of.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.running_of.remove(&key);
            }
        }
        std::iter::from_fn(|| self.start_next()).collect()
    }

    /// Starts the entry whose turn it is, if any may run.
    fn start_next(&mut self) -> Option<Ticket> {
        let at = self.turns.iter().position(|key| self.has_room(key))?;
        let key = self.turns.remove(at)?;
        let line = self.waiting_of.get_mut(&key)?;
        let ticket = line.pop_front()?;
        if line.is_empty() {
            self.waiting_of.remove(&key);
        } else {
            self.turns.push_back(key.clone());
        }
        self.waiting -= 1;
        self.run(&key);
        if let Some((_, runs)) = self.entries.get_mut(&ticket) {
            *runs = true;
        }
        Some(ticket)
    }
}
