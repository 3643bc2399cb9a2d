//! Bounds on a query, so that no text costs more than its length in time, nor much stack.

/// Longest query, in bytes; Tempo's own bound.
pub const MAX_TEXT_BYTES: usize = 128 * 1024;
/// How deep parentheses, `!`, `-`, the right sides of `^` and pipelines in parentheses may nest.
pub const MAX_NESTING: usize = 64;
/// How high the tree of an expression may be. A chain of a thousand `&&` is a tree of that height, and whoever walks
/// it by recursion needs that many frames.
pub const MAX_TREE_HEIGHT: usize = 1_100;
/// Most operators, fields and literals in a query.
pub const MAX_NODES: usize = 10_000;
/// Longest regular expression, in bytes.
pub const MAX_REGEX_BYTES: usize = 16 * 1024;
/// About how many states the regular expressions of a query may compile to, together; as much as the `regex` crate takes
/// for one by default.
pub const MAX_REGEX_STATES: u64 = 200_000;
/// Most groups of conditions that a lenient filter may expand to.
pub const MAX_CONDITION_GROUPS: usize = 100;
/// Most labels of a metrics query.
pub const MAX_LABELS: usize = 5;
/// Most labels where the function adds one itself: quantiles and histograms.
pub const MAX_LABELS_WITH_OWN: usize = 4;
