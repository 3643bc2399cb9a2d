//! What a verification found wrong: which check, where, what was expected and what is there.

use std::fmt;

/// One thing that a block is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// Size and checksum of the tail against the block's name.
    TailChecksum,
    /// The tail's sections, and its directory against the Parquet footer.
    Tail,
    /// Size and checksum of the search index against the directory.
    SearchChecksum,
    /// The sections of the search index.
    Search,
    /// Size and checksum of a column chunk against the directory.
    ChunkChecksum,
    /// Whether rows can be decoded, and refer to resources and scopes that are there.
    Rows,
    /// Rows ascend by trace id.
    RowOrder,
    /// Rows of a trace are depth-first: parents, descendant counts, siblings by start.
    Tree,
    /// No two rows are the same span.
    Duplicates,
    /// What the block's name says: spans, traces, earliest start, latest end.
    Counts,
    /// What the directory says of a row group.
    RowGroupFacts,
    /// The trace filter and the directory lead to every trace.
    TraceFilter,
    /// The value filters hold every value.
    ValueFilters,
    /// The summary of each trace says what its rows say.
    Summaries,
    /// How many spans have each key, and where the residual column has it.
    Keys,
    /// Which resources a row group has.
    ResourceSets,
    /// Which keys and names the events and links of a row group have.
    ItemKeys,
    /// How long operations took.
    Baselines,
    /// Events and links are as many as is counted.
    Items,
    /// The texts of resources and scopes lie on the first row of each.
    Origins,
}

impl Check {
    /// Every check, in the order in which they are made.
    pub const ALL: [Self; 20] = [
        Self::TailChecksum,
        Self::Tail,
        Self::SearchChecksum,
        Self::Search,
        Self::ChunkChecksum,
        Self::Rows,
        Self::RowOrder,
        Self::Tree,
        Self::Duplicates,
        Self::Counts,
        Self::RowGroupFacts,
        Self::TraceFilter,
        Self::ValueFilters,
        Self::Summaries,
        Self::Keys,
        Self::ResourceSets,
        Self::ItemKeys,
        Self::Baselines,
        Self::Items,
        Self::Origins,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::TailChecksum => "tail checksum",
            Self::Tail => "tail",
            Self::SearchChecksum => "search index checksum",
            Self::Search => "search index",
            Self::ChunkChecksum => "column chunk checksum",
            Self::Rows => "rows",
            Self::RowOrder => "row order",
            Self::Tree => "tree",
            Self::Duplicates => "duplicates",
            Self::Counts => "counts",
            Self::RowGroupFacts => "row group facts",
            Self::TraceFilter => "trace filter",
            Self::ValueFilters => "value filters",
            Self::Summaries => "trace summaries",
            Self::Keys => "keys",
            Self::ResourceSets => "resource sets",
            Self::ItemKeys => "item keys",
            Self::Baselines => "baselines",
            Self::Items => "events and links",
            Self::Origins => "resource and scope texts",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that is wrong with a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The check that failed.
    pub check: Check,
    /// Where in the block.
    pub place: String,
    /// What a sound block would have there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: expected {}, found {}", self.check, self.place, self.expected, self.found)
    }
}

/// Problems as they are found. A block that is wrong in every row must not fill memory with sentences.
#[derive(Debug, Default)]
pub(super) struct Problems {
    pub(super) kept: Vec<Problem>,
    pub(super) count: u64,
}

impl Problems {
    /// Most problems that are told one by one.
    const MAX_KEPT: usize = 100;

    pub(super) fn push(
        &mut self,
        check: Check,
        place: fmt::Arguments<'_>,
        expected: fmt::Arguments<'_>,
        found: fmt::Arguments<'_>,
    ) {
        self.count += 1;
        if self.kept.len() < Self::MAX_KEPT {
            let [place, expected, found] = [place, expected, found].map(|text| text.to_string());
            self.kept.push(Problem { check, place, expected, found });
        }
    }

    /// A problem if a value is not what it must be.
    pub(super) fn expect<T: PartialEq + fmt::Debug>(
        &mut self,
        check: Check,
        place: fmt::Arguments<'_>,
        what: &str,
        expected: &T,
        found: &T,
    ) {
        if expected != found {
            self.push(check, place, format_args!("{what} {expected:?}"), format_args!("{found:?}"));
        }
    }
}
