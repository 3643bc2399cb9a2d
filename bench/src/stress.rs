//! Pressure on the real program: more than it can take, one tenant that takes too much, hostile data, and hours of everything.
//!
//! Each command starts the program that it is part of as a process of its own, in a temporary directory, talks to it over
//! HTTP, and afterwards reads what it stored. Nothing here judges: it prints numbers.

mod exporter;
mod hostile;
mod overload;
mod plot;
mod readback;
mod sample;
mod server;
mod soak;
mod stretch;
mod traffic;

pub use hostile::HostileArgs;
pub(crate) use hostile::run as hostile;
pub use overload::OverloadArgs;
pub(crate) use overload::run as overload;
pub use soak::SoakArgs;
pub(crate) use soak::run as soak;
