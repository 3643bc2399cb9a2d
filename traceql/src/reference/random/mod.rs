//! Random traces and random queries that meet: few keys with few values, and whatever OTLP and the language can say.

mod metrics;
mod queries;
mod spans;

use rand::Rng as _;
use rand::rngs::StdRng;

pub use metrics::metrics_query;
pub use queries::search_query;
pub use spans::{EPOCH_UNIX_NANOS, stored_spans};

fn one_of<'a, T>(rng: &mut StdRng, all: &'a [T]) -> &'a T {
    &all[rng.random_range(0..all.len())]
}

fn percent(rng: &mut StdRng, chance: u32) -> bool {
    rng.random_range(0..100) < chance
}
