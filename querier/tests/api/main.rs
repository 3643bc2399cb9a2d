//! The querier over real blocks in memory, asked through its HTTP router.

mod by_id;
mod faulty;
mod interleaving;
mod refusals;
mod search;
mod world;
