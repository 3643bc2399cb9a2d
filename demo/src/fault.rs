//! What is wrong in the shop, on purpose: what each fault is, the rule that names it, and a query that finds its traces.

use std::fmt;

/// A planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The page of past orders asks for the items of each order by itself.
    NPlusOne,
    /// The bank is overloaded for six minutes of every hour, and `pay` tries again at once.
    RetryStorm,
    /// Version 2.4.1 of `pay`, tried in eu-west-1 for a quarter of every hour, is slow and often fails.
    BadVersion,
    /// The clock of one host of `inventory` is 180 ms ahead.
    SkewedClock,
    /// Some parcels are ordered through an old proxy that sends no spans.
    DroppedParent,
    /// Some searches wait for a connection from the pool, which nothing records.
    PoolWait,
    /// The gift finder asks four services one after the other.
    SequentialCalls,
    /// The newsletter is one trace of 20,000 spans.
    LargeBatch,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 8] = [
        Self::NPlusOne,
        Self::RetryStorm,
        Self::BadVersion,
        Self::SkewedClock,
        Self::DroppedParent,
        Self::PoolWait,
        Self::SequentialCalls,
        Self::LargeBatch,
    ];

    /// A stable word for it.
    pub fn id(self) -> &'static str {
        match self {
            Self::NPlusOne => "n-plus-one",
            Self::RetryStorm => "retry-storm",
            Self::BadVersion => "bad-version",
            Self::SkewedClock => "skewed-clock",
            Self::DroppedParent => "dropped-parent",
            Self::PoolWait => "pool-wait",
            Self::SequentialCalls => "sequential-calls",
            Self::LargeBatch => "large-batch",
        }
    }

    /// The rule of the diagnosis (a page of `docs/findings`) that names it in one trace. The large batch breaks none: it is
    /// there to be drawn.
    pub fn rule(self) -> Option<&'static str> {
        match self {
            Self::NPlusOne => Some("n-plus-one"),
            Self::RetryStorm => Some("retries"),
            Self::BadVersion => Some("error-culprit"),
            Self::SkewedClock => Some("clock-skew"),
            Self::DroppedParent => Some("missing-parent"),
            Self::PoolWait => Some("uninstrumented-gap"),
            Self::SequentialCalls => Some("sequential-calls"),
            Self::LargeBatch => None,
        }
    }

    /// A TraceQL query whose traces show it.
    pub fn query(self) -> &'static str {
        match self {
            Self::NPlusOne => "{ span.http.route = \"/orders\" } && { name = \"SELECT order_items\" } | count() > 5",
            Self::RetryStorm => "{ resource.service.name = \"pay\" && span.http.request.resend_count > 1 }",
            Self::BadVersion => {
                "{ resource.service.name = \"pay\" && status = error && resource.service.version = \"2.4.1\" }"
            }
            Self::SkewedClock => "{ resource.host.name = \"node-use1-7\" }",
            Self::DroppedParent => {
                "{ resource.service.name = \"shipping\" && span.http.request.header.via = \"1.1 parcel-proxy\" }"
            }
            Self::PoolWait => "{ span.http.route = \"/api/search\" && duration > 150ms }",
            Self::SequentialCalls => "{ span.http.route = \"/gift-finder\" }",
            Self::LargeBatch => "{ name = \"newsletter.run\" }",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
