//! Names and values of attributes, for clients that help to write a query.
//!
//! What tails and search indexes know is taken from there: names always, values of resources, scopes and root spans too. Values
//! of spans, events and links are read from their columns. A filter is decided span by span; a part of it that only the whole
//! trace decides (its root, its length, parents) is left out, so that what is listed may then be too much but not too little.

mod looks;
mod smallest;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use spanlake_block::{DistinctValues, TraceSummary, ValueField};
use spanlake_catalog::BlockRef;
use spanlake_model::{Tenant, TimeRange, TraceId};
use spanlake_traceql::{Field, FieldExpr, Intrinsic, Scope};

use super::answer::{Stats, TagNames, TagValues};
use super::batch::Opened;
use super::plan::Plan;
use super::request::{TagNamesRequest, TagScope, TagValuesRequest};
use super::scan::open;
use crate::error::Error;
use crate::fetch::Reads;
use looks::{Chosen, choose, list};
use smallest::Smallest;

/// Scopes whose names are listed from blocks.
const SCOPES: [TagScope; 5] =
    [TagScope::Resource, TagScope::Span, TagScope::Event, TagScope::Link, TagScope::Instrumentation];

/// The names of attributes in the blocks of the range.
///
/// Costs, beside the listing, at most two GETs per block not yet open; with a filter also one per row group that may meet it and one
/// per scope asked for and such row group.
pub(crate) async fn names(reads: &Reads<'_>, tenants: &[Tenant], request: &TagNamesRequest) -> Result<TagNames, Error> {
    let blocks = reads.blocks(tenants, request.range.unwrap_or(TimeRange::ALL)).await?;
    let plan = plan_of(request.filter.as_ref())?;
    let scopes: Vec<TagScope> =
        SCOPES.into_iter().filter(|scope| request.scope.is_none_or(|wanted| wanted == *scope)).collect();
    let mut all: BTreeMap<TagScope, Smallest> = BTreeMap::new();
    if !scopes.is_empty() {
        let mut found = std::pin::pin!(
            stream::iter(blocks.clone())
                .map(|at| names_in(reads, at, plan.as_ref(), &scopes, request))
                .buffered(reads.width())
        );
        while let Some(of_block) = found.try_next().await? {
            for (scope, names) in of_block {
                all.entry(scope)
                    .or_insert_with(|| Smallest::new(request.limit_per_scope, request.max_bytes))
                    .merge(names);
            }
        }
    }
    let scopes = all.into_iter().map(|(scope, names)| (scope, names.into_texts()));
    let scopes = scopes.filter(|(_, names)| !names.is_empty()).collect();
    Ok(TagNames { scopes, stats: stats(reads, &blocks) })
}

/// The distinct values of a field in the blocks of the range.
///
/// Costs, beside the listing, at most two GETs per block not yet open and one per row group that may have the field, if it is one of
/// spans, events or links; with a filter also one per row group that may meet it.
pub(crate) async fn values(
    reads: &Reads<'_>,
    tenants: &[Tenant],
    request: &TagValuesRequest,
) -> Result<TagValues, Error> {
    let blocks = reads.blocks(tenants, request.range.unwrap_or(TimeRange::ALL)).await?;
    let source = Source::of(&request.field);
    // A filter says which spans are meant, and nothing of their parents.
    let filter = request.filter.as_ref().filter(|_| !source.of_parents);
    let plan = plan_of(filter)?;
    let mut all = Smallest::new(request.limit, request.max_bytes);
    let roots_of = match (&source.root, &plan) {
        // The root of a trace may lie in another block than the spans that meet the filter.
        (Some(_), Some(plan)) => Some(traces(reads, &blocks, plan).await?),
        _ => None,
    };
    if !source.is_empty() {
        let plan = plan.as_ref().filter(|_| source.root.is_none());
        let mut found = std::pin::pin!(
            stream::iter(blocks.clone())
                .map(|at| values_in(reads, at, plan, &source, roots_of.as_ref(), request))
                .buffered(reads.width())
        );
        while let Some(of_block) = found.try_next().await? {
            all.merge(of_block);
        }
    }
    Ok(TagValues { values: all.into_values(), stats: stats(reads, &blocks) })
}

fn plan_of(filter: Option<&FieldExpr>) -> Result<Option<Arc<Plan>>, Error> {
    filter.map(|filter| Plan::of_filter(filter).map(Arc::new)).transpose()
}

fn stats(reads: &Reads<'_>, blocks: &[BlockRef]) -> Stats {
    Stats {
        inspected_traces: 0,
        inspected_spans: reads.inspected_spans(),
        inspected_bytes: reads.inspected_bytes(),
        block_count: blocks.len() as u64,
        blocks_done: blocks.len() as u64,
        block_bytes: blocks.iter().map(|block| block.meta.object_bytes).sum(),
    }
}

/// The names in one block, by scope.
async fn names_in(
    reads: &Reads<'_>,
    at: BlockRef,
    plan: Option<&Arc<Plan>>,
    scopes: &[TagScope],
    request: &TagNamesRequest,
) -> Result<Vec<(TagScope, Smallest)>, Error> {
    let limit = request.limit_per_scope;
    let mut found: Vec<(TagScope, Smallest)> =
        scopes.iter().map(|scope| (*scope, Smallest::new(limit, request.max_bytes))).collect();
    let of_origins = |scope: &TagScope| matches!(scope, TagScope::Resource | TagScope::Instrumentation);
    if plan.is_none() && scopes.iter().all(of_origins) && reads.deleted(&at).is_none() {
        let block = reads.open(&at).await?;
        for (scope, names) in &mut found {
            let is_resource = *scope == TagScope::Resource;
            let resources = block.resources().iter().filter(|_| is_resource).map(|entry| &entry.resource.attributes);
            let origins = block.scopes().iter().filter(|_| !is_resource).filter_map(|entry| entry.scope.as_ref());
            push_keys(names, resources.chain(origins.map(|scope| &scope.attributes)));
        }
        return Ok(found);
    }
    let opened = &open(reads, &at).await?;
    let chosen = choose(reads, opened, plan).await?;
    let (mut fields, mut of_fields) = (Vec::new(), Vec::new());
    for (place, (scope, names)) in found.iter_mut().enumerate() {
        // What is left of a block without its deleted traces is told by its rows alone.
        let is_filtered = plan.is_some() || !opened.hidden.is_empty();
        if let Some(field) = indexed_names(opened, *scope, is_filtered, names) {
            fields.push(field);
            of_fields.push(place);
        }
    }
    list(reads, opened, &chosen, &fields, limit, |position, values| {
        let names = &mut found[of_fields[position]].1;
        match &fields[position] {
            ValueField::ResourceNumber => push_keys(names, resources_of(opened, &values)),
            ValueField::ScopeNumber => push_keys(names, scopes_of(opened, &values)),
            _ => names.push_all(values),
        }
    })
    .await?;
    Ok(found)
}

/// Adds the names that indexes know of; what has to be read instead, if they do not tell or if there is a filter.
fn indexed_names(opened: &Opened, scope: TagScope, is_filtered: bool, names: &mut Smallest) -> Option<ValueField> {
    let search = &opened.search;
    match scope {
        TagScope::Resource if is_filtered => return Some(ValueField::ResourceNumber),
        TagScope::Span if is_filtered => return Some(ValueField::SpanKeys),
        TagScope::Event if is_filtered => return Some(ValueField::EventKeys),
        TagScope::Link if is_filtered => return Some(ValueField::LinkKeys),
        TagScope::Instrumentation if is_filtered => return Some(ValueField::ScopeNumber),
        TagScope::Resource => push_keys(names, opened.block.resources().iter().map(|entry| &entry.resource.attributes)),
        TagScope::Span => {
            search.keys().iter().for_each(|(column, _)| names.push_text(&column.key));
            search.residual_keys().for_each(|key| names.push_text(key));
        }
        TagScope::Event => match search.event_keys() {
            Some(keys) => keys.for_each(|key| names.push_text(key)),
            None => return Some(ValueField::EventKeys),
        },
        TagScope::Link => match search.link_keys() {
            Some(keys) => keys.for_each(|key| names.push_text(key)),
            None => return Some(ValueField::LinkKeys),
        },
        TagScope::Instrumentation => {
            let scopes = opened.block.scopes().iter().filter_map(|entry| entry.scope.as_ref());
            push_keys(names, scopes.map(|scope| &scope.attributes));
        }
        // Every span has these; they are the caller's own list.
        TagScope::Intrinsic => {}
    }
    None
}

fn push_keys<'a>(names: &mut Smallest, attributes: impl Iterator<Item = &'a Vec<KeyValue>>) {
    let mut seen: HashSet<&str, foldhash::fast::RandomState> = HashSet::default();
    for attribute in attributes.flatten() {
        if seen.insert(&attribute.key) {
            names.push_text(&attribute.key);
        }
    }
}

/// The attributes of the resources with these numbers.
fn resources_of<'a>(opened: &'a Opened, numbers: &DistinctValues) -> impl Iterator<Item = &'a Vec<KeyValue>> {
    let entries = numbers.ints.iter().filter_map(|number| opened.block.resources().get(usize::try_from(*number).ok()?));
    entries.map(|entry| &entry.resource.attributes)
}

/// The attributes of the instrumentation scopes with these numbers.
fn scopes_of<'a>(opened: &'a Opened, numbers: &DistinctValues) -> impl Iterator<Item = &'a Vec<KeyValue>> {
    let entries = numbers.ints.iter().filter_map(|number| opened.block.scopes().get(usize::try_from(*number).ok()?));
    entries.filter_map(|entry| entry.scope.as_ref()).map(|scope| &scope.attributes)
}

/// A text of a trace's root span, from its summary.
type RootText = fn(&TraceSummary) -> Option<&Arc<str>>;

/// Where the values of a field are.
#[derive(Debug, Default)]
struct Source {
    /// In columns of rows.
    rows: Vec<ValueField>,
    /// In resources, under this key.
    resource_key: Option<String>,
    /// In instrumentation scopes.
    scope: Option<OfScope>,
    /// In summaries of traces.
    root: Option<RootText>,
    /// Whether the spans meant are the parents of those that meet a filter.
    of_parents: bool,
}

/// What of an instrumentation scope.
#[derive(Debug)]
enum OfScope {
    Name,
    Version,
    Attribute(String),
}

impl Source {
    fn of(field: &Field) -> Self {
        let rows = |field| Self { rows: vec![field], ..Self::default() };
        match field {
            Field::Attribute { of_parent, scope, key } => {
                let within = |wanted: Scope| *scope == wanted || *scope == Scope::Any;
                let rows = [
                    (Scope::Span, ValueField::SpanAttribute(key.clone())),
                    (Scope::Event, ValueField::EventAttribute(key.clone())),
                    (Scope::Link, ValueField::LinkAttribute(key.clone())),
                ];
                Self {
                    rows: rows.into_iter().filter(|(scope, _)| within(*scope)).map(|(_, field)| field).collect(),
                    resource_key: within(Scope::Resource).then(|| key.clone()),
                    scope: within(Scope::Instrumentation).then(|| OfScope::Attribute(key.clone())),
                    root: None,
                    of_parents: *of_parent,
                }
            }
            Field::Intrinsic(intrinsic) => match intrinsic {
                Intrinsic::Name => rows(ValueField::Name),
                Intrinsic::StatusMessage => rows(ValueField::StatusMessage),
                Intrinsic::EventName => rows(ValueField::EventName),
                Intrinsic::RootName => Self { root: Some(|summary| summary.root_name.as_ref()), ..Self::default() },
                Intrinsic::RootServiceName => {
                    Self { root: Some(|summary| summary.root_service.as_ref()), ..Self::default() }
                }
                Intrinsic::InstrumentationName => Self { scope: Some(OfScope::Name), ..Self::default() },
                Intrinsic::InstrumentationVersion => Self { scope: Some(OfScope::Version), ..Self::default() },
                // Ids and numbers have too many values to list; the few of status and kind are no secret of the data.
                Intrinsic::Duration
                | Intrinsic::Status
                | Intrinsic::Kind
                | Intrinsic::SpanId
                | Intrinsic::ParentId
                | Intrinsic::ChildCount
                | Intrinsic::TraceDuration
                | Intrinsic::TraceId
                | Intrinsic::NestedSetLeft
                | Intrinsic::NestedSetRight
                | Intrinsic::NestedSetParent
                | Intrinsic::EventTimeSinceStart
                | Intrinsic::LinkTraceId
                | Intrinsic::LinkSpanId => Self::default(),
            },
        }
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.resource_key.is_none() && self.scope.is_none() && self.root.is_none()
    }
}

/// The values in one block. Those of root spans are of the traces in `roots_of`, or of all.
async fn values_in(
    reads: &Reads<'_>,
    at: BlockRef,
    plan: Option<&Arc<Plan>>,
    source: &Source,
    roots_of: Option<&HashSet<TraceId>>,
    request: &TagValuesRequest,
) -> Result<Smallest, Error> {
    let mut found = Smallest::new(request.limit, request.max_bytes);
    if plan.is_none() && source.rows.is_empty() && source.root.is_none() && reads.deleted(&at).is_none() {
        let block = reads.open(&at).await?;
        let resources = block.resources().iter().map(|entry| &entry.resource.attributes);
        source.push_resources(&mut found, resources);
        source.push_scopes(&mut found, block.scopes().iter());
        return Ok(found);
    }
    let opened = &open(reads, &at).await?;
    if let Some(root) = source.root {
        let mut last: Option<&Arc<str>> = None;
        for (_, summary) in opened.hidden.shown(&opened.search) {
            let value = root(summary).filter(|_| roots_of.is_none_or(|traces| traces.contains(&summary.trace_id)));
            // Equal texts of a block are one text in memory.
            if let Some(value) = value.filter(|value| last.is_none_or(|last| !Arc::ptr_eq(last, value))) {
                found.push_text(value);
                last = Some(value);
            }
        }
        return Ok(found);
    }
    let mut chosen = choose(reads, opened, plan).await?;
    let mut fields = source.rows.clone();
    if plan.is_some() || !opened.hidden.is_empty() {
        fields.extend(source.resource_key.as_ref().map(|_| ValueField::ResourceNumber));
        fields.extend(source.scope.as_ref().map(|_| ValueField::ScopeNumber));
    } else {
        source.push_resources(&mut found, opened.block.resources().iter().map(|entry| &entry.resource.attributes));
        source.push_scopes(&mut found, opened.block.scopes().iter());
    }
    if fields == [ValueField::EventName] {
        chosen.row_groups.retain(|(row_group, rows)| !push_event_names(opened, *row_group, rows, &mut found));
    }
    list(reads, opened, &chosen, &fields, request.limit, |position, values| match &fields[position] {
        ValueField::ResourceNumber => source.push_resources(&mut found, resources_of(opened, &values)),
        ValueField::ScopeNumber => {
            let number = |number: &i64| usize::try_from(*number).ok();
            let entries = values.ints.iter().filter_map(|int| opened.block.scopes().get(number(int)?));
            source.push_scopes(&mut found, entries);
        }
        _ => found.push_all(values),
    })
    .await?;
    Ok(found)
}

/// Adds the names of events in a row group, if the index tells them and all rows count; whether it does.
fn push_event_names(opened: &Opened, row_group: usize, rows: &Chosen, found: &mut Smallest) -> bool {
    match opened.search.event_names(row_group).filter(|_| rows.is_none()) {
        Some(names) => {
            names.for_each(|name| found.push_text(name));
            true
        }
        None => false,
    }
}

impl Source {
    fn push_resources<'a>(&self, found: &mut Smallest, resources: impl Iterator<Item = &'a Vec<KeyValue>>) {
        if let Some(key) = &self.resource_key {
            resources.for_each(|attributes| push_first(found, attributes, key));
        }
    }

    fn push_scopes<'a>(&self, found: &mut Smallest, scopes: impl Iterator<Item = &'a Arc<spanlake_block::ScopeEntry>>) {
        let Some(of_scope) = &self.scope else { return };
        for scope in scopes.filter_map(|entry| entry.scope.as_ref()) {
            match of_scope {
                OfScope::Name if !scope.name.is_empty() => found.push_text(&scope.name),
                OfScope::Version if !scope.version.is_empty() => found.push_text(&scope.version),
                OfScope::Name | OfScope::Version => {}
                OfScope::Attribute(key) => push_first(found, &scope.attributes, key),
            }
        }
    }
}

/// Adds the first value of the key that is one; of an array its elements.
fn push_first(found: &mut Smallest, attributes: &[KeyValue], key: &str) {
    let values = attributes.iter().filter(|attribute| attribute.key == key).filter_map(|a| a.value.as_ref());
    for value in values {
        let has_any = match &value.value {
            Some(Any::ArrayValue(array)) => array.values.iter().fold(false, |any, element| push(found, element) | any),
            _ => push(found, value),
        };
        if has_any {
            return;
        }
    }
}

/// Adds a scalar; whether it is one.
fn push(found: &mut Smallest, value: &AnyValue) -> bool {
    match &value.value {
        Some(Any::StringValue(text)) => found.push_text(text),
        Some(Any::IntValue(int)) => found.push_int(*int),
        Some(Any::DoubleValue(double)) if !double.is_nan() => found.push_double(*double),
        Some(Any::BoolValue(bool)) => found.push_bool(*bool),
        _ => return false,
    }
    true
}

/// The traces with a span that meets the filter.
async fn traces(reads: &Reads<'_>, blocks: &[BlockRef], plan: &Arc<Plan>) -> Result<HashSet<TraceId>, Error> {
    let max = reads.shared.config.max_search_traces;
    let mut found = std::pin::pin!(
        stream::iter(blocks.to_vec())
            .map(|at| async move {
                let opened = open(reads, &at).await?;
                let chosen = choose(reads, &opened, Some(plan)).await?;
                Ok::<_, Error>(traces_of(&opened, &chosen.row_groups))
            })
            .buffered(reads.width())
    );
    let mut traces = HashSet::new();
    while let Some(of_block) = found.try_next().await? {
        traces.extend(of_block);
        if traces.len() > max {
            return Err(Error::TooManyTraces { max });
        }
    }
    Ok(traces)
}

/// The traces of the chosen rows, in order; one twice if it lies in two row groups.
fn traces_of(opened: &Opened, chosen: &[(usize, Chosen)]) -> Vec<TraceId> {
    let summaries = opened.search.summaries();
    let mut traces = Vec::new();
    for (row_group, rows) in chosen {
        let all = opened.block.rows_in(*row_group);
        let from = summaries.partition_point(|summary| summary.first_row + summary.span_count <= all.start);
        let to = summaries.partition_point(|summary| summary.first_row < all.end);
        let mut rest = rows.as_deref();
        for summary in &summaries[from..to] {
            let end = summary.first_row + summary.span_count;
            let has_any = match rest {
                None => true,
                Some(rows) => {
                    let within = rows.partition_point(|row| *row < end);
                    rest = Some(&rows[within..]);
                    within > 0
                }
            };
            if has_any {
                traces.push(summary.trace_id);
            }
        }
    }
    traces
}
