//! What made a trace slow or fail, and what is different about it: pure functions over a trace's [`Skeleton`] and a few
//! attributes on demand. No I/O, no storage format, no HTTP, no clock: API, command line and page all call this.
//!
//! [`diagnose`] runs every rule over one trace and ranks what they find. The parts can be called alone:
//! [`CriticalPath`], [`self_times`], [`slack`], [`skew()`], [`Histogram`] as the baseline of an operation,
//! [`PathProfile`] over many traces, [`diff`] of two, [`breakdown`] of what a selection has in common. [`Observed`] learns from
//! traces what is usual.
//!
//! Everything is deterministic, does not depend on the order in which spans came, and never recurses: a chain of
//! spans may be as long as the trace.
//!
//! ```
//! use spanlake_analysis::{CriticalPath, SkeletonBuilder, SpanRow, Trace};
//! use spanlake_model::{SpanId, TraceId};
//!
//! let mut builder = SkeletonBuilder::with_capacity(TraceId([1; 16]), 2);
//! let root = SpanId([1; 8]);
//! builder.push(SpanRow { span_id: root, start_unix_nanos: 10, end_unix_nanos: 100, ..SpanRow::default() });
//! let child = SpanRow { span_id: SpanId([2; 8]), parent_span_id: Some(root), ..SpanRow::default() };
//! builder.push(SpanRow { start_unix_nanos: 20, end_unix_nanos: 90, ..child });
//! let path = CriticalPath::of_trace(&Trace::new(builder.finish()));
//! assert_eq!(path.segments.iter().map(|segment| segment.duration()).collect::<Vec<_>>(), [10, 70, 10]);
//! ```

mod attributes;
mod baseline;
pub mod breakdown;
mod call_paths;
mod chains;
mod critical_path;
mod diagnose;
pub mod diff;
mod errors;
mod finding;
mod folds;
mod histogram;
mod history;
#[cfg(test)]
mod notation;
mod observed;
mod otlp;
mod parents;
mod profile;
pub mod render;
mod repeats;
mod retries;
mod self_time;
mod settings;
mod siblings;
mod skeleton;
mod skew;
mod statement;
mod storm;
mod trace;
mod tree;

pub use attributes::{Attributes, Exception, NoAttributes, Value};
pub use baseline::{Attribution, Baseline, Standing, attribute_excess, percentile, standing};
pub use call_paths::{CallPaths, MAX_CALL_PATHS};
pub use chains::{Cause, Gap, MissingParent, gaps, missing_parents};
pub use critical_path::{CriticalPath, Segment, Visit, slack};
pub use diagnose::{Diagnosis, diagnose};
pub use errors::{
    ErrorEdge, ErrorGroup, ErrorReport, Label, MAX_CULPRITS, MAX_TYPED_ERRORS, error_group, error_type, errors,
};
pub use finding::{
    Confidence, Evidence, Finding, MAX_FINDING_SPANS, Quantity, Rule, rank, readable_nanos, readable_share,
};
pub use folds::{FOLD_FROM, Fold, folds};
pub use histogram::{Histogram, HistogramError, RELATIVE_ERROR, Spread};
pub use history::{Completeness, EdgeCalls, History, NoHistory, SiblingOrder, UsualCalls};
pub use observed::Observed;
pub use otlp::{OtlpAttributes, OtlpTrace, from_otlp, service_name};
pub use parents::{NONE, Node, Parents};
pub use profile::{Contrast, PathCounts, PathProfile, ProfileLine, slow_and_ordinary};
pub use self_time::{CallOverhead, OperationTotals, call_overheads, operation_totals, self_times};
pub use settings::Settings;
pub use skeleton::{Kind, Operation, Skeleton, SkeletonBuilder, SpanRow, Status};
pub use skew::{HostPair, SkewCorrection, Verdict, skew};
pub use storm::{Edge, EdgeTraffic, SampledSlots, Storm, Traffic, UsualTraffic, storms};
pub use trace::{Blocking, Trace};
pub use tree::{Shape, Tree};
