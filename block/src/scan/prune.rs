//! Pruning: which row groups may hold a row that meets a combination of conditions, from the indexes alone.

use super::Condition;
use crate::read::{Block, SearchIndex};

/// What a wanted row must meet, as far as indexes can tell.
#[derive(Debug, Clone, PartialEq)]
pub enum Prune {
    /// Any row may be wanted.
    Unknown,
    /// All of these.
    All(Vec<Prune>),
    /// One of these.
    Any(Vec<Prune>),
    /// A condition.
    Condition(Condition),
    /// A resource for which the entry of its number, in [`Block::resources`], is true.
    Resources(Vec<bool>),
    /// The row groups whose entry is true.
    Groups(Vec<bool>),
    /// No row is wanted.
    Nothing,
}

impl Block {
    /// For each row group, whether it may hold a wanted row. No requests.
    pub fn prune(&self, search: &SearchIndex, wanted: &Prune) -> Vec<bool> {
        let groups = self.row_group_count();
        match wanted {
            Prune::Unknown => vec![true; groups],
            Prune::Nothing => vec![false; groups],
            Prune::All(parts) => parts.iter().fold(vec![true; groups], |mut all, part| {
                // What is ruled out already need not be looked at, but a part is looked at for all groups at once.
                if all.contains(&true) {
                    all.iter_mut().zip(self.prune(search, part)).for_each(|(all, part)| *all &= part);
                }
                all
            }),
            Prune::Any(parts) => parts.iter().fold(vec![false; groups], |mut any, part| {
                if any.contains(&false) {
                    any.iter_mut().zip(self.prune(search, part)).for_each(|(any, part)| *any |= part);
                }
                any
            }),
            Prune::Condition(condition) => {
                let prepared = self.prepare(condition.clone());
                (0..groups).map(|group| self.may_match(search, group, &prepared)).collect()
            }
            Prune::Groups(groups) => groups.clone(),
            Prune::Resources(meets) => {
                let meets = |id: &u32| meets.get(*id as usize).copied().unwrap_or(true);
                search.resource_sets.iter().map(|set| set.iter().any(meets)).collect()
            }
        }
    }
}
