//! Measuring Spanlake: corpora that look like production, a client that replays them against any OTLP/HTTP server, the
//! cost of every stage by itself, load for the read side, and pressure on the real program.
//!
//! Mounted by the binary as `spanlake bench`. It must not know any role: it meets servers over HTTP only.

mod cli;
mod client;
mod clock;
mod corpus;
mod dice;
mod error;
mod latency;
mod load;
mod replay;
mod stages;
mod stress;
mod table;

pub use cli::{Args, Command, CorpusArgs, GenerateArgs, main, run};
pub use clock::{peak_rss_bytes, process_cpu, reset_peak_rss};
pub use corpus::{Corpus, Figures, Kind, KnownTrace, Message, Reader, Request, Spec, Writer, read_ids, write_ids};
pub use error::Error;
pub use latency::{Latencies, Quantiles};
pub use load::{LookupArgs, SearchArgs};
pub use replay::ReplayArgs;
pub use stages::StagesArgs;
pub use stress::{HostileArgs, OverloadArgs, SoakArgs};
pub use table::render;
