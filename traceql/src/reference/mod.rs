//! TraceQL evaluated directly, slowly and obviously: the judge of the engine. For tests only.
//!
//! It sees every span that was ever stored of one tenant, in any order and any number of copies, and answers a checked
//! query with straight loops. It knows nothing of blocks, columns or pushdown, and shares no operator with anybody.
//!
//! # The rules
//!
//! What Tempo answers from pieces of a trace, or gets wrong, is answered rightly and over whole traces here.
//!
//! ## Traces
//! - Spans are grouped by trace id. Spans that agree in trace id, span id, kind, start, end and name are copies: the
//!   first stays.
//! - *Span order* is by (start, span id, kind, end, name), bytewise for ids and names. Every list of spans is in span
//!   order.
//! - A span *names no parent* when its parent id is absent, all zeros or not of 8 bytes. The *root span* is the first
//!   span in span order that names no parent; a trace may have none.
//! - Trace start: the earliest start of spans whose start is not zero. Trace end: the latest of start + duration of
//!   those spans (saturating). Both are zero when no span has a start.
//! - A span's duration is (end - start) modulo 2^64 read as signed, and zero if negative.
//! - A span's service is the first `service.name` of its resource that is a text. Services count spans that have one;
//!   errors are spans with status error.
//!
//! ## Structure
//! - The parent of a span, by the first rule that applies: (1) a SERVER span whose id is also that of a CLIENT span:
//!   the first such CLIENT span; (2) a span that names no parent, or names itself: none; (3) of the spans whose id is
//!   the parent id, the first of kind SERVER, else the first; none if there are none. "First" is in span order.
//! - Where parents form a cycle, the cycle's first span in span order has no parent.
//! - A span without a parent is a *tree root*, whether it names a parent or not: traces without root span and spans
//!   whose parent is missing have structure like any other.
//! - Nested set: tree roots in span order, children in span order; one counter from 1 gives left on entry and right on
//!   exit. `nestedSetParent` is the parent's left, -1 for a tree root. `childCount` is the number of children.
//! - A descendant is a child or a child of a descendant: never the span itself. Siblings are different spans with the
//!   same parent; tree roots are no siblings.
//!
//! ## Values
//! - Attribute values: text, boolean, integer and double as they are; an array is the list of its text, boolean,
//!   integer and double elements. Bytes, key-value lists, a value that is not set, a double that is not a number, and
//!   an array without such elements are nil. (Doubles in an array that are not a number are left out.)
//! - An attribute is the first with its key that is not nil. A key whose values are all nil is as good as not there.
//! - `.x` is looked for in span, resource, events, links, instrumentation scope; the first that has it counts.
//!   `event.x` and `link.x` have several values when several events or links have them, in the order sent.
//! - `parent.x`, `parent.span.x`, `parent.resource.x` are those of the parent by the rules of structure, nil without
//!   one.
//! - Intrinsics: `statusMessage` and `name` are texts, maybe empty. Ids are lower-case hexadecimal of all bytes: 32
//!   digits for `trace:id`, 16 for `span:id`; `span:parentID` is as sent, but the empty text if the span names no
//!   parent. `event:timeSinceStart` is (event time - span start) modulo 2^64 read as signed, so maybe negative.
//!   `rootName` and `rootServiceName` are nil without a root span, or without its service. `instrumentation:name` and
//!   `:version` are nil when empty. `traceDuration` is trace end - start. `event:*` and `link:*` have a value for each
//!   event or link.
//! - The *one value* of a field, for `by`, `select`, labels and as an operand of arithmetic or an aggregate: of an
//!   attribute its value, which may be an array; of events and links the value of the first that has it. Arithmetic,
//!   aggregates and metrics functions take the first element of an array.
//! - Two values are *the same* (groups, labels) when type and value are: the integer 1, the double 1.0 and the text 1
//!   are three. -0.0 and 0.0 are the same double.
//!
//! ## Comparing
//! - For comparisons, a field is a list of scalars: an array's elements, all events' values (and their elements), one
//!   scalar, or nothing for nil. A pair of scalars is *comparable* when both are numbers (integer, double, duration),
//!   both texts, both booleans, both statuses or both kinds. All comparisons give a boolean.
//! - `= < <= > >= =~`: true when it holds for a comparable pair. `!=` and `!~`: true when there is a comparable pair
//!   and `=` or `=~` holds for none. So nil is false, other types are false, for `!=` as well; an array of one is like
//!   a scalar.
//! - Integers and durations are compared as 64-bit integers; with a double as doubles. Texts bytewise. Statuses and
//!   kinds by OTLP's number. Booleans have only `=` and `!=`; the others are false.
//! - `=~` and `!~` match the whole text; `.` matches newlines: `\A(?s:...)\z`.
//! - `x = nil` is whether x has no value, `x != nil` whether it has; likewise `nil = x`. With `nil` on both sides, or
//!   with another operator, false. Two missing attributes are not equal.
//! - A text literal beside an id field (`trace:id`, `link:traceID`: 32 digits; `span:id`, `span:parentID`,
//!   `link:spanID`: 16) under any comparison but `=~` and `!~`, when it is 1 to that many hexadecimal digits, is put
//!   into lower case and padded with zeros on the left.
//!
//! ## Conditions
//! - A value is true when it, or one of its elements, is the boolean true. `&&` and `||` are of that and give
//!   booleans.
//! - `!x`: nil when x has no boolean value; else whether none of them is true. So `!(.a = "x")` holds for spans
//!   without a, `!.a` only where a is false.
//!
//! ## Arithmetic
//! - Operands that are not numbers give nil. A result that is not a number (NaN) is nil; infinities stay.
//! - With a double, both are doubles (`%` keeps the sign of the left side). Else 64-bit integers: `/` and `%`
//!   truncate, by zero nil; `^` with an exponent that is negative or 2^32 or more, and whatever does not fit, is
//!   computed in doubles and is a double.
//! - An integer result is a duration if an operand is, except that duration / duration is an integer. `-x` keeps the
//!   type, by the same rule of what fits.
//!
//! ## Spansets
//! - A trace begins as one spanset of all spans, without attributes. Each stage makes of each spanset a list of
//!   spansets, in order; empty ones are dropped. A trace without spansets does not match.
//! - `{ x }` keeps the spans for which x is true, and the spanset's attributes. In a later stage only spans of the
//!   spanset are seen, by both sides of an operator too; the structure is always that of the whole trace.
//! - `&&`: all spans of both sides, if neither is empty. `||`: all spans of both sides.
//! - Structural, with L and R the two sides: plain, the spans of R that are the relation of some span in L; not, the
//!   spans of R that are of none (so all of R when L is empty); union, the plain spans and those of L that they are
//!   related to.
//! - A side that is a pipeline with several spansets counts as their union. The result of a binary operator has the
//!   attributes of the spanset it was applied to, not those its sides gained. A pipeline in parentheses that is a
//!   whole stage keeps its spansets as they are.
//! - `by(x)`: one spanset for each value of x, in the order of their first spans; adds attribute `by(x)` (nil:
//!   `Value::Nil`). Attributes are named with the language's canonical text. One of the same name takes the place of
//!   the former.
//! - `coalesce()`: one spanset of all spans, without attributes. `select` changes nothing.
//! - A scalar filter keeps the spansets for which the comparison holds, by the rules of comparing, and adds an
//!   attribute for each aggregate in it, from left to right (`count()`, `avg(duration)`).
//! - `count()` is the number of spans. The other aggregates skip what is not a number; of nothing they are nil, so no
//!   comparison holds. `min`, `max`: of equal ones the first, with its type. `sum`: a double if any value is, in span
//!   order; else an integer, or a duration if any value is; what does not fit is a double. `avg`: a double; but a
//!   duration, truncated, if any value is a duration and none is a double. Integers and durations are added exactly.
//!
//! ## Search
//! - Traces whose time overlaps the range, both closed; newest trace start first, then trace id ascending; at most the
//!   limit.
//!
//! ## Metrics
//! - The spans of all spansets of all traces count, by their own start; the range leaves out spans, never parts of the
//!   trace a query looks at.
//! - Buckets: start is aligned down to the step, end up; a bucket ends at the aligned start, at each step after it,
//!   and at the aligned end. Each is (edge - step, edge], and its sample's time is its edge in milliseconds,
//!   truncated. Instant: one bucket (start, end], at end.
//! - A number is: integer and double as they are, any duration in seconds (nanoseconds as a double / 1e9).
//! - `count_over_time`: spans. `rate`: spans / seconds of the step (instant: of the range). A series exists when it
//!   has a span in some bucket; its empty buckets are 0.
//! - `min_`, `max_`, `sum_`, `avg_over_time`: of the numbers, as doubles. Spans without a number do not count; empty
//!   buckets have no sample.
//! - `histogram_over_time`: only integers and durations (in nanoseconds) of at least 2. Bucket exponent e is the
//!   smallest with 2^e >= value. One series for each e, with last label `__bucket`: the double 2^e, or 2^e / 1e9 for
//!   durations. Samples are counts, 0 when empty.
//! - `quantile_over_time`: of the same counts, one series for each q, with last label `p`: the double q. With n values
//!   in the time bucket, r = q * n as doubles: the bucket is the first with values, in ascending order, whose
//!   cumulative count c is >= r (the last if rounding leaves none); with b the cumulative count before it and k its
//!   own count, the sample is 2^(e - 1 + (r - b) / k), / 1e9 for durations. 0 when n is 0.
//! - Labels: those of `by`, under their canonical text, in order; nil ones are left out, but if all are nil the first
//!   stays with `Value::Nil`. Without `by`: `__name__` with the function's name; histogram and quantile have no
//!   `__name__`, only their own label. In `by`, `.x` is looked for in span and resource only.
//! - `compare`: a span is of the selection when the filter is true for it and its start is in the given range (closed,
//!   if given), else of the baseline. Looked at are all attributes of span and resource that are scalars, by name
//!   `span.x` and `resource.x`, and `name`, `kind`, `status`, `statusMessage` (unless empty), `rootName`,
//!   `rootServiceName`. For each class (`baseline`, `selection`) and name: for the values with the most spans over all
//!   buckets (ties: label order), at most `top`, a series `__meta_type`=class, name=value; if there are more values
//!   also `__meta_type`=class, `__meta_error`=`__too_many_values__`, name=nil with all samples 0; and
//!   `__meta_type`=class + `_total`, name=nil with the spans that have it. Samples are counts, 0 when empty.
//! - Second stages, in order. `topk`, `bottomk`: at each time, of the series with a sample there the n largest or
//!   smallest keep it, of equal ones the first in label order. A filter keeps the samples that meet it, as doubles.
//!   Series without samples are dropped.
//! - Label order: label by label, key bytewise, then type (nil, boolean, integer, double, text, duration, status,
//!   kind, array), then value; a list that is the beginning of another comes first.
//! - Hints change nothing.

mod compare;
mod expressions;
mod fields;
mod metrics;
mod operators;
pub mod random;
mod spansets;
mod trace;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::ast::Query;

pub use metrics::{Interval, Labels, Series};

/// One span as it was sent, with what it was sent under.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSpan {
    /// Its resource; an absent one is an empty one.
    pub resource: Resource,
    /// Its instrumentation scope.
    pub scope: Option<InstrumentationScope>,
    /// Itself; ids of 16 and 8 bytes.
    pub span: Span,
}

/// One trace that a search finds.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundTrace {
    /// Its id, 16 bytes.
    pub trace_id: Vec<u8>,
    /// Service of the root span, if both are there.
    pub root_service: Option<String>,
    /// Name of the root span, if there is one.
    pub root_name: Option<String>,
    /// Earliest start.
    pub start_unix_nanos: u64,
    /// Latest end.
    pub end_unix_nanos: u64,
    /// Of each service its spans, and those of them that failed.
    pub services: BTreeMap<String, (u32, u32)>,
    /// What matched, at least one.
    pub span_sets: Vec<SpanSet>,
}

/// Spans of one trace that match together.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanSet {
    /// All that match, in span order.
    pub spans: Vec<FoundSpan>,
    /// What `by()` and aggregates said, in the order of stages.
    pub attributes: Labels,
}

/// One span that matches.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundSpan {
    /// Its id, 8 bytes.
    pub span_id: Vec<u8>,
    /// Its start.
    pub start_unix_nanos: u64,
    /// Its duration.
    pub duration_nanos: u64,
}

/// The traces that match, newest start first, at most `limit`; of those that overlap the range (first and last
/// nanosecond), if given.
pub fn search(stored: &[StoredSpan], query: &Query, range: Option<(u64, u64)>, limit: usize) -> Vec<FoundTrace> {
    let mut found = Vec::new();
    for trace in trace::traces(stored) {
        let overlaps = |(from, to): (u64, u64)| trace.start_unix_nanos <= to && from <= trace.end_unix_nanos;
        if !range.is_none_or(overlaps) {
            continue;
        }
        let span = |at: usize| {
            let span = &trace.spans[at].span;
            FoundSpan {
                span_id: span.span_id.clone(),
                start_unix_nanos: span.start_time_unix_nano,
                duration_nanos: trace::duration_nanos(span).unsigned_abs(),
            }
        };
        let sets = spansets::run(&trace, &query.pipeline).into_iter();
        let span_sets: Vec<SpanSet> = sets
            .map(|set| SpanSet { spans: set.spans.into_iter().map(span).collect(), attributes: set.attributes })
            .collect();
        if !span_sets.is_empty() {
            found.push(FoundTrace {
                trace_id: trace.id.clone(),
                root_service: trace.root_service(),
                root_name: trace.root_name(),
                start_unix_nanos: trace.start_unix_nanos,
                end_unix_nanos: trace.end_unix_nanos,
                services: trace.services(),
                span_sets,
            });
        }
    }
    found.sort_by(|a, b| b.start_unix_nanos.cmp(&a.start_unix_nanos).then_with(|| a.trace_id.cmp(&b.trace_id)));
    found.truncate(limit);
    found
}

/// The series of a metrics query, in label order; of a query without metrics part none.
pub fn metrics(stored: &[StoredSpan], query: &Query, interval: Interval) -> Vec<Series> {
    metrics::run(&trace::traces(stored), query, interval)
}
