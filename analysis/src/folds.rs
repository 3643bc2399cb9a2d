//! Siblings that are alike, which a picture shows as one row: many calls of one operation below one parent.

use std::collections::BTreeMap;

use crate::chains::MissingParent;
use crate::skeleton::{Operation, Skeleton};
use crate::trace::Trace;

/// Siblings of one operation are folded from this many on.
pub const FOLD_FROM: usize = 5;

/// Siblings of one operation, enough to be shown as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// Their parent; nothing for children of one missing parent.
    pub parent: Option<u32>,
    /// The siblings, in span order; at least [`FOLD_FROM`].
    pub spans: Vec<u32>,
}

/// Siblings by operation, each group in the order given.
pub(crate) fn alike(skeleton: &Skeleton, siblings: impl Iterator<Item = u32>) -> BTreeMap<Operation, Vec<u32>> {
    let mut alike: BTreeMap<Operation, Vec<u32>> = BTreeMap::new();
    for span in siblings {
        alike.entry(skeleton.operation(span)).or_default().push(span);
    }
    alike
}

/// All siblings that can be shown as one, by their first span. Roots are never folded, children of one missing parent are.
/// n log n in spans.
pub fn folds(trace: &Trace, missing: &[MissingParent]) -> Vec<Fold> {
    let skeleton = &trace.skeleton;
    let mut folds = Vec::new();
    let mut add = |parent: Option<u32>, children: &[u32]| {
        if children.len() >= FOLD_FROM {
            let groups = alike(skeleton, children.iter().copied()).into_values();
            folds.extend(groups.filter(|spans| spans.len() >= FOLD_FROM).map(|spans| Fold { parent, spans }));
        }
    };
    (0..skeleton.span_count()).for_each(|span| add(Some(span), trace.tree.children(span)));
    missing.iter().for_each(|one| add(None, &one.children));
    folds.sort_by_key(|fold| fold.spans.first().copied());
    folds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chains::missing_parents;
    use crate::history::Completeness;
    use crate::notation;
    use crate::settings::Settings;

    fn check(text: &str, expect: &[(Option<u32>, &[u32])]) {
        let trace = notation::trace(text);
        let missing = missing_parents(&trace, &Completeness::default(), &Settings::default());
        let found = folds(&trace, &missing);
        let found: Vec<(Option<u32>, &[u32])> = found.iter().map(|fold| (fold.parent, &fold.spans[..])).collect();
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn five_alike_are_folded() {
        check(
            "s | root | server | 0..100 |
               s | a | client | 0..5 | x5 +10
               s | b | client | 60..61 | x4 +2",
            &[(Some(0), &[1, 2, 3, 4, 5])],
        );
        check("s | root | server | 0..100 |\n  s | a | client | 0..5 | x4 +10\n  t | a | client | 50..55 |", &[]);
    }

    #[test]
    fn roots_are_not_folded_but_orphans_of_one_parent_are() {
        check("s | root | server | 0..1 | x6 +10", &[]);
        let orphans = "s | a | server | 0..1 | parent=77; x6 +10";
        check(orphans, &[(None, &[0, 1, 2, 3, 4, 5])]);
    }
}
