//! What a query would do: its plan, and what each step would leave out, from indexes alone.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value as Json, json};
use spanlake_model::{Tenant, TimeRange};
use spanlake_traceql::Query;

use super::column::{Origin, origin};
use super::plan::{Need, Plan, Set, Step};
use super::scan::{alive, open};
use crate::error::Error;
use crate::fetch::Reads;
use crate::search::widened;

/// Blocks whose row groups are looked at; the others are counted only.
const MAX_BLOCKS: usize = 1_000;

/// Explains a query over the blocks it would look into. Costs what opening them costs: at most one ranged GET each, none when
/// the catalog holds them. No row group is read.
///
/// # Errors
/// [`Error`].
pub(crate) async fn run(
    reads: &Reads<'_>,
    tenants: &[Tenant],
    query: &Query,
    range: Option<TimeRange>,
) -> Result<Json, Error> {
    let plan = Plan::new(query)?;
    let all = reads.blocks(tenants, TimeRange::ALL).await?.len();
    let blocks = reads.blocks(tenants, widened(range, reads.shared.config.trace_reach.as_nanos())).await?;
    let filters: Vec<usize> = (0..plan.filters.len().min(64)).collect();
    let looked_at = blocks.len().min(MAX_BLOCKS);
    let opened: Vec<_> = stream::iter(blocks[..looked_at].to_vec())
        .map(|at| async move { open(reads, &at).await })
        .buffered(reads.width())
        .try_collect()
        .await?;
    let mut totals = Totals { groups_left: vec![0; filters.len()], ..Totals::default() };
    for of in &opened {
        totals.traces += of.search.summaries().len();
        totals.row_groups += of.block.row_group_count();
        totals.spans += of.at.meta.span_count;
        for (row_group, alive) in alive(of, &plan, &filters).into_iter().enumerate() {
            alive.iter().for_each(|filter| totals.groups_left[*filter] += 1);
            if !alive.is_empty() {
                totals.groups_scanned += 1;
                totals.spans_scanned += of.block.row_count(row_group) as u64;
            }
        }
    }
    let decided = |filter: &usize| match (&plan.filters[*filter], &plan.weak[*filter]) {
        (None, _) => "every span meets it",
        (Some(_), None) => "decided once the whole trace is there",
        (Some(full), Some(weak)) if same_fields(full, weak) => "decided for each span from its row",
        (Some(_), Some(_)) => "decided in part from rows, in part once the whole trace is there",
    };
    let described = filters.iter().map(|filter| {
        json!({
            "filter": filter,
            "decided": decided(filter),
            "rowGroups": totals.row_groups,
            "rowGroupsLeftByIndexes": if plan.weak[*filter].is_some() { totals.groups_left[*filter] } else { totals.row_groups },
        })
    });
    let scans = plan.scanned_for().is_some();
    let fields = plan.fields.0.iter().map(|field| {
        let from = match origin(field) {
            Origin::Rows(_) => "rows",
            Origin::Trace => "the whole trace",
        };
        json!({ "field": field.to_string(), "from": from })
    });
    let mut json = json!({
        "query": query.to_string(),
        "blocks": { "live": all, "inTimeRange": blocks.len(), "lookedAt": looked_at },
        "traces": totals.traces,
        "spans": totals.spans,
        "fields": fields.collect::<Vec<_>>(),
        "filters": described.collect::<Vec<_>>(),
        "candidates": {
            "how": if scans { "traces with a span that meets a filter are found by a scan of the row groups left" }
                   else { "every trace is a candidate, newest first" },
            "need": need(&plan.need),
            "rowGroupsScanned": if scans { totals.groups_scanned } else { 0 },
            "spansScanned": if scans { totals.spans_scanned } else { 0 },
        },
        "stages": plan.stages.iter().map(step).collect::<Vec<_>>(),
        "wholeTraces": {
            "structure": plan.needs_tree,
            "stop": "as soon as the newest traces up to the limit are certain",
        },
    });
    if let Some(metrics) = &query.metrics {
        let alone = plan.only_filter().is_some() && !plan.needs_traces();
        json["metrics"] = json!({
            "function": metrics.function.name(),
            "by": metrics.by.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "counted": if alone { "straight from row groups; traces in several blocks whole, so that copies count once" }
                       else { "from whole traces" },
        });
    }
    Ok(json)
}

#[derive(Default)]
struct Totals {
    traces: usize,
    spans: u64,
    row_groups: usize,
    /// For each filter the row groups that indexes leave.
    groups_left: Vec<usize>,
    groups_scanned: usize,
    spans_scanned: u64,
}

fn same_fields(a: &super::compile::Expr, b: &super::compile::Expr) -> bool {
    let fields = |expr: &super::compile::Expr| {
        let mut fields = Vec::new();
        expr.each_field(&mut |place| fields.push(place));
        fields
    };
    fields(a) == fields(b)
}

fn need(need: &Need) -> Json {
    match need {
        Need::Nothing => json!("anything"),
        Need::Filter(filter) => json!(format!("a span that meets filter {filter}")),
        Need::Spans(spans) => json!(format!("at least {spans} spans")),
        Need::All(parts) => json!({ "all": parts.iter().map(self::need).collect::<Vec<_>>() }),
        Need::Any(parts) => json!({ "any": parts.iter().map(self::need).collect::<Vec<_>>() }),
    }
}

fn step(step: &Step) -> Json {
    match step {
        Step::Spansets(set) => json!({ "spans": self::set(set) }),
        Step::Scalar { aggregates, .. } => {
            json!({ "keepSpansetsBy": aggregates.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>() })
        }
        Step::By { name, .. } => json!({ "group": name }),
        Step::Coalesce => json!("coalesce"),
    }
}

fn set(set: &Set) -> Json {
    match set {
        Set::Filter(filter) => json!(format!("filter {filter}")),
        Set::Pipeline(steps) => json!({ "pipeline": steps.iter().map(step).collect::<Vec<_>>() }),
        Set::Chain { first, rest } => {
            let rest = rest.iter().map(|(op, right)| json!({ "op": op.to_string(), "right": self::set(right) }));
            json!({ "first": self::set(first), "then": rest.collect::<Vec<_>>() })
        }
    }
}
