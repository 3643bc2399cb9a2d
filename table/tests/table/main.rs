//! The span table from outside: answers equal a naive filter, with and without pushdown, over blocks of different shapes;
//! merged traces do not depend on how spans were split; plans, damage and cancellation are as promised.

mod differential;
mod merge;
mod naive;
mod plans;
mod predicate;
mod sql;
mod world;
