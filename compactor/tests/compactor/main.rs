//! The compactor from outside: what it decides, how often it rewrites, and what it does to a store, with faults.

mod plan;
mod role;
mod simulation;
mod world;
