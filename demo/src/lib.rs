//! A shop of nine services, as the spans that it would send, with faults planted in it to be found: what `spanlake serve --demo`
//! shows a newcomer, and what pictures and journeys are tested on. Pure: no clock, no randomness but its seed, no I/O.
//!
//! Time is cut into seconds, and what happens in one depends on the seed and that second alone. So the same range gives the
//! same spans for ever, and neighbouring ranges fit together.
//!
//! ```
//! use spanlake_demo::Shop;
//!
//! let noon = 1_764_158_400_000_000_000;
//! let minute = 60_000_000_000;
//! let shop = Shop::new(1);
//! let traces: Vec<_> = shop.traces(noon, noon + minute).collect();
//! let again: Vec<_> = Shop::new(1).traces(noon, noon + minute).collect();
//! assert_eq!(traces, again);
//! ```

mod attribute;
mod batch;
mod calls;
mod checkout;
mod dice;
mod fault;
mod fleet;
mod flow;
mod pages;
mod schedule;

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use dice::Dice;
pub use fault::Fault;
use fleet::Fleet;
use schedule::NANOS_PER_SECOND;

/// The shop's services.
pub const SERVICES: [&str; 9] =
    ["frontend", "checkout", "cart", "catalog", "pay", "bank-gateway", "shipping", "inventory", "mailer"];

/// The shop: its services, hosts and habits.
#[derive(Debug, Clone)]
pub struct Shop {
    seed: u64,
    fleet: Fleet,
}

/// One trace, and what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// The planted fault that it shows, if any.
    pub fault: Option<Fault>,
    /// When it began, in Unix nanoseconds.
    pub start_unix_nanos: u64,
    /// When its last span ended, in Unix nanoseconds: a real shop would have sent all of it by then.
    pub end_unix_nanos: u64,
    /// How many spans it has.
    pub span_count: usize,
    /// The spans, by the resource that sent them.
    pub spans: Vec<ResourceSpans>,
}

impl Shop {
    /// A shop that behaves as `seed` says. Cheap: traces are made when they are asked for.
    pub fn new(seed: u64) -> Self {
        Self { seed, fleet: Fleet::new(seed) }
    }

    /// The traces of the visits at or after `from_unix_nanos` and before `to_unix_nanos`, by the visit's time. What a visit sets
    /// off later, in a trace of its own, comes with it. About 1.7 traces a second over the day, with 5 to 50 spans each, and a batch of
    /// 20,000 spans twice an hour. Holds one second's traces in memory.
    pub fn traces(&self, from_unix_nanos: u64, to_unix_nanos: u64) -> impl Iterator<Item = Vec<ResourceSpans>> + '_ {
        self.stories(from_unix_nanos, to_unix_nanos).map(|story| story.spans)
    }

    /// As [`Shop::traces`], each with what is wrong with it.
    pub fn stories(&self, from_unix_nanos: u64, to_unix_nanos: u64) -> impl Iterator<Item = Story> + '_ {
        let seconds = from_unix_nanos / NANOS_PER_SECOND..to_unix_nanos.div_ceil(NANOS_PER_SECOND);
        seconds
            .flat_map(|second| self.second(second))
            .filter(move |(visit, _)| (from_unix_nanos..to_unix_nanos).contains(visit))
            .map(|(_, story)| story)
    }

    /// The traces of one second's visits, each with the time of its visit, by that.
    fn second(&self, second: u64) -> Vec<(u64, Story)> {
        let mut dice = Dice::new(&[self.seed, second]);
        let mut stories = Vec::new();
        for visit in 0..schedule::visits(second, &mut dice) {
            let mut dice = Dice::new(&[self.seed, second, visit + 1]);
            let start = second.saturating_mul(NANOS_PER_SECOND).saturating_add(dice.below(NANOS_PER_SECOND));
            stories.extend(pages::visit(&self.fleet, dice, start).into_iter().map(|story| (start, story)));
        }
        if schedule::batch_starts(second) {
            let start = second.saturating_mul(NANOS_PER_SECOND);
            stories.push((start, batch::newsletter(&self.fleet, Dice::new(&[self.seed, second, 0]), start)));
        }
        stories.sort_by_key(|(visit, _)| *visit);
        stories
    }
}
