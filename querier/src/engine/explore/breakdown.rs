//! What a selection of spans has in common that a baseline has not: every attribute of both, counted and compared.
//!
//! Three looks at the spans: the selection's values are counted, then the baseline's with each of those counted exactly, then which
//! of the values found come together. Attributes are read some at a time, so that memory does not grow with their number.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::Serialize;
use spanlake_analysis::breakdown::{
    self as analysis, Difference as Found, JointCounts, MAX_TRACKED, Seen, ValueCounts, merge_together, pairs,
};
use spanlake_block::NIL;
use spanlake_model::{Tenant, TimeRange};
use spanlake_traceql::{Field, Intrinsic, Query, Scope, Value};

use super::super::batch::Opened;
use super::super::pass::{Counter, Pass, SpanRows};
use super::examples::{Examples, Representative};
use super::window::Window;
use super::{ERROR, intrinsic, resource};
use crate::error::Error;
use crate::fetch::Reads;

/// Attributes that are read at once of a row group: 8 bytes a row each, for every row group in flight.
const FIELDS_AT_ONCE: usize = 24;
/// Most attributes that are looked at, those on most spans first.
const MAX_FIELDS: usize = 1_000;
/// Most differences that are answered.
pub const MAX_DIFFERENCES: usize = 1_000;
/// Numbers whose distributions differ, of which are told.
const MAX_NUMBERS: usize = 20;
/// Values of another type than their attribute's others of which the type is remembered.
const MAX_OTHER_TYPES: usize = 10_000;
/// What a counted value takes beside its text, about.
const VALUE_BYTES: u64 = 160;
/// A day.
const DAY_NANOS: u64 = 86_400_000_000_000;

/// Which spans are selected of those that a query finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// First nanosecond in which they start.
    pub start_unix_nanos: u64,
    /// The nanosecond after the last one.
    pub end_unix_nanos: u64,
    /// Shortest duration.
    pub least_nanos: u64,
    /// Longest duration.
    pub greatest_nanos: u64,
    /// Only failed ones, or only others.
    pub errors: Option<bool>,
}

/// What a selection is compared with.
#[derive(Debug, Clone)]
pub enum Beside {
    /// All other spans that the query finds in the window.
    Rest,
    /// Those it finds in as much time before the selection.
    Before,
    /// Those it finds a day before the selection.
    Day,
    /// Those that another query finds in the window.
    Query(Query),
}

/// What is compared.
#[derive(Debug, Clone)]
pub struct BreakdownRequest {
    /// Whose spans: a search; its metrics part must be absent.
    pub query: Query,
    /// When they start.
    pub window: Window,
    /// Which of them.
    pub selection: Selection,
    /// With what.
    pub baseline: Beside,
    /// Most differences to answer.
    pub limit: usize,
}

/// What a selection has in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Breakdown {
    /// Spans of the selection.
    pub selected: u64,
    /// Spans it is compared with.
    pub baseline: u64,
    /// Attributes left out because nearly every span has a value of its own.
    pub hidden_keys: Vec<String>,
    /// The most certain difference first.
    pub differences: Vec<Difference>,
    /// Pairs of values that say more than either alone, the best first.
    pub pairs: Vec<ValuePair>,
    /// Numbers that are distributed differently, the greatest difference first.
    pub numbers: Vec<NumberShift>,
    /// Spans of the selection to look at: the slowest, failed ones, and some of usual duration.
    pub representative: Vec<Representative>,
    /// Why not all spans are counted, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
}

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttributeValue {
    /// `span`, `resource` or `intrinsic`.
    pub scope: &'static str,
    /// Key of the attribute, or name of the intrinsic.
    pub key: String,
    /// The value; null for spans without the attribute.
    pub value: serde_json::Value,
    /// `string`, `int`, `double`, `bool`, or `keyword` for a status or kind.
    #[serde(rename = "type")]
    pub value_type: &'static str,
}

/// A value that one side has certainly more often than the other.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Which value.
    #[serde(flatten)]
    pub of: AttributeValue,
    /// Spans of the selection that have it.
    pub selected_count: u64,
    /// Spans of the baseline that have it.
    pub baseline_count: u64,
    /// Their share of the selection.
    pub selected_share: f64,
    /// Their share of the baseline.
    pub baseline_share: f64,
    /// What is certain of the difference of shares, 0 to 1.
    pub score: f64,
    /// Whether the selection has it less often.
    pub under: bool,
    /// Values of other attributes that nearly always come with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub together: Vec<AttributeValue>,
}

/// Two values that together say more than either alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValuePair {
    /// The two.
    pub of: [AttributeValue; 2],
    /// Share of the selection that has both.
    pub selected_share: f64,
    /// Share of the baseline that has both.
    pub baseline_share: f64,
    /// What is certain of the difference.
    pub score: f64,
}

/// A number that is distributed differently.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NumberShift {
    /// `span`, `resource` or `intrinsic`.
    pub scope: &'static str,
    /// Key of the attribute, or name of the intrinsic.
    pub key: String,
    /// The greatest distance of the two distribution functions, 0 to 1.
    pub ks: f64,
    /// In the selection.
    pub selected: Quantiles,
    /// In the baseline.
    pub baseline: Quantiles,
}

/// Two quantiles, within 3 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// What nine of ten do not exceed.
    pub p90: f64,
}

/// Which spans of a pass count.
#[derive(Debug, Clone, Copy)]
enum Side {
    Selected(Selection),
    Rest(Selection),
    All,
}

impl Side {
    fn has(self, start: u64, nanos: u64, is_error: bool) -> bool {
        let is_selected = |of: Selection| {
            (of.start_unix_nanos..of.end_unix_nanos).contains(&start)
                && (of.least_nanos..=of.greatest_nanos).contains(&nanos)
                && of.errors.is_none_or(|errors| errors == is_error)
        };
        match self {
            Self::Selected(of) => is_selected(of),
            Self::Rest(of) => !is_selected(of),
            Self::All => true,
        }
    }
}

/// An attribute that is looked at: its name in counts, and the field.
#[derive(Debug, Clone)]
struct Looked {
    name: String,
    field: Field,
}

/// The rows of a chunk that count.
struct Rule {
    side: Side,
    duration: usize,
    status: usize,
}

impl Rule {
    fn new(pass: &mut Pass<'_>, side: Side) -> Self {
        let duration = pass.look_at(&intrinsic(Intrinsic::Duration));
        Self { side, duration, status: pass.look_at(&intrinsic(Intrinsic::Status)) }
    }

    fn rows<'r>(&'r self, rows: &'r SpanRows<'_>) -> impl Iterator<Item = usize> + 'r {
        let counts = |row: &usize| {
            let nanos = rows.number(self.duration, *row) as u64;
            self.side.has(rows.starts[*row] as u64, nanos, rows.number(self.status, *row) == ERROR)
        };
        rows.rows.iter().map(|row| *row as usize).filter(counts)
    }
}

struct CountValues {
    rule: Rule,
    /// Names and places of attributes.
    looked: Vec<(String, usize)>,
    /// Whether spans are counted: once of several looks at the same ones.
    is_first: bool,
    service: usize,
    name: usize,
}

/// What a look has counted.
#[derive(Default)]
struct Values {
    counts: ValueCounts,
    types: Types,
    examples: Examples,
}

impl Counter for CountValues {
    type Part = (u64, Vec<(usize, Vec<(Value, u64)>)>, Examples);
    type Total = Values;

    fn count(&self, rows: &SpanRows<'_>) -> Self::Part {
        let counting: Vec<usize> = self.rule.rows(rows).collect();
        let mut values = Vec::with_capacity(self.looked.len());
        for (at, (_, place)) in self.looked.iter().enumerate() {
            if rows.columns.get(*place).is_none_or(Option::is_none) {
                continue;
            }
            let codes = rows.codes(*place);
            let mut counts: HashMap<u32, u64, RandomState> = HashMap::default();
            for row in &counting {
                *counts.entry(codes.code(*row)).or_default() += 1;
            }
            counts.remove(&NIL);
            if !counts.is_empty() {
                let mut counts: Vec<(u32, u64)> = counts.into_iter().collect();
                counts.sort_unstable();
                values.push((at, counts.into_iter().map(|(code, count)| (codes.label(code).0, count)).collect()));
            }
        }
        let mut examples = Examples::default();
        if self.is_first && matches!(self.rule.side, Side::Selected(_)) {
            examples.see(rows, &counting, [self.service, self.name, self.rule.duration, self.rule.status]);
        }
        (if self.is_first { counting.len() as u64 } else { 0 }, values, examples)
    }

    fn add(&self, total: &mut Values, (span_count, values, examples): Self::Part) {
        total.counts.add_spans(span_count);
        total.examples.merge(examples);
        for (at, values) in values {
            let name = &self.looked[at].0;
            for (value, count) in values {
                let Some((text, number, value_type)) = seen(&value) else { continue };
                let seen = number.map_or(Seen::Text(&text), Seen::Number);
                total.counts.add_value(name, seen, count);
                total.types.note(name, number.map_or(text, |number| number.to_string()), value_type);
            }
        }
    }

    fn held_bytes(&self, total: &Values) -> u64 {
        VALUE_BYTES * (total.counts.value_count() + total.types.others.len()) as u64 + total.counts.text_bytes()
    }
}

/// A value as it is counted: text, number, type.
fn seen(value: &Value) -> Option<(String, Option<f64>, &'static str)> {
    Some(match value {
        Value::String(text) => (text.clone(), None, "string"),
        Value::Int(number) | Value::Duration(number) => (number.to_string(), Some(*number as f64), "int"),
        Value::Float(number) => {
            // Zero has two spellings, and is one value.
            let number = number + 0.0;
            (number.to_string(), Some(number), "double")
        }
        Value::Bool(bool) => (bool.to_string(), None, "bool"),
        Value::Status(status) => (status.word().to_owned(), None, "keyword"),
        Value::Kind(kind) => (kind.word().to_owned(), None, "keyword"),
        Value::Nil | Value::Array(_) => return None,
    })
}

/// Counts which of the tracked values come together.
struct CountTogether {
    rule: Rule,
    /// For each tracked value its attribute's place and its text; none for spans without the attribute.
    tracked: Vec<(usize, Option<String>)>,
    is_selected: bool,
}

impl Counter for CountTogether {
    type Part = HashMap<u64, u64, RandomState>;
    type Total = JointCounts;

    fn count(&self, rows: &SpanRows<'_>) -> Self::Part {
        // Bits of tracked values by code, for each attribute.
        let mut by_place: BTreeMap<usize, Vec<(usize, &Option<String>)>> = BTreeMap::new();
        for (bit, (place, value)) in self.tracked.iter().enumerate() {
            by_place.entry(*place).or_default().push((bit, value));
        }
        let columns: Vec<_> = by_place.iter().map(|(place, values)| (rows.codes(*place), values)).collect();
        let mut bits_of: Vec<HashMap<u32, u64, RandomState>> = vec![HashMap::default(); columns.len()];
        let mut counts: HashMap<u64, u64, RandomState> = HashMap::default();
        for row in self.rule.rows(rows) {
            let mut held = 0;
            for ((codes, values), bits_of) in columns.iter().zip(&mut bits_of) {
                let code = codes.code(row);
                held |= *bits_of.entry(code).or_insert_with(|| {
                    let text = if code == NIL { None } else { counted_text(&codes.label(code).0) };
                    let holds = values.iter().filter(|(_, value)| **value == text);
                    holds.fold(0, |bits, (bit, _)| bits | 1 << bit)
                });
            }
            *counts.entry(held).or_default() += 1;
        }
        counts
    }

    fn add(&self, total: &mut JointCounts, part: Self::Part) {
        part.into_iter().for_each(|(held, count)| total.add_held(self.is_selected, held, count));
    }

    fn held_bytes(&self, _total: &JointCounts) -> u64 {
        0
    }
}

/// The text under which a value is counted.
fn counted_text(value: &Value) -> Option<String> {
    let (text, number, _) = seen(value)?;
    Some(number.map_or(text, |number| number.to_string()))
}

/// Every attribute of the blocks, those on most spans first, and intrinsics.
fn looked_at(opened: &[Option<Opened>], selection: &Selection) -> Vec<Looked> {
    let mut spans: HashMap<(Scope, &str), u64, RandomState> = HashMap::default();
    for of in opened.iter().flatten() {
        for (column, count) in of.search.keys() {
            *spans.entry((Scope::Span, &column.key)).or_default() += count;
        }
        for attribute in of.block.resources().iter().flat_map(|entry| &entry.resource.attributes) {
            let count = spans.entry((Scope::Resource, &attribute.key)).or_default();
            *count = count.saturating_add(of.at.meta.span_count);
        }
    }
    let mut ranked: Vec<((Scope, &str), u64)> = spans.into_iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    ranked.truncate(MAX_FIELDS);
    let attribute = |((scope, key), _): ((Scope, &str), u64)| Looked {
        name: format!("{}.{key}", if scope == Scope::Resource { "resource" } else { "span" }),
        field: Field::Attribute { of_parent: false, scope, key: key.to_owned() },
    };
    // What chose the selection is no news of it.
    let by_error = selection.errors.is_some();
    let by_duration = selection.least_nanos > 0 || selection.greatest_nanos < u64::MAX;
    let named = [
        ("intrinsic.name", Intrinsic::Name, true),
        ("intrinsic.kind", Intrinsic::Kind, true),
        ("intrinsic.status", Intrinsic::Status, !by_error),
        ("intrinsic.statusMessage", Intrinsic::StatusMessage, !by_error),
        ("intrinsic.duration", Intrinsic::Duration, !by_duration),
    ];
    let named = named.into_iter().filter(|(_, _, is_news)| *is_news);
    let named = named.map(|(name, of, _)| Looked { name: name.to_owned(), field: intrinsic(of) });
    named.chain(ranked.into_iter().map(attribute)).collect()
}

/// Counts the values of some spans. Says why it stopped, if it did, and of how many attributes values are counted of all the spans
/// that are.
async fn count(
    pass: &mut Pass<'_>,
    side: Side,
    looked: &[Looked],
    total: &mut Values,
) -> Result<(Option<String>, usize), Error> {
    for (number, looked) in looked.chunks(FIELDS_AT_ONCE).enumerate() {
        pass.forget_fields();
        let is_first = number == 0;
        let counting = CountValues {
            rule: Rule::new(pass, side),
            looked: looked.iter().map(|looked| (looked.name.clone(), pass.look_at(&looked.field))).collect(),
            is_first,
            service: if is_first { pass.look_at(&resource("service.name")) } else { usize::MAX },
            name: if is_first { pass.look_at(&intrinsic(Intrinsic::Name)) } else { usize::MAX },
        };
        let stopped = pass.run(&Arc::new(counting), total).await?.told();
        if stopped.is_some() {
            // The first look counts the spans too: its values are of those that it has counted.
            let known = if is_first { FIELDS_AT_ONCE } else { number * FIELDS_AT_ONCE };
            return Ok((stopped, known));
        }
    }
    Ok((None, looked.len()))
}

/// Compares a selection with its baseline.
///
/// # Errors
/// [`Error`]; past a bound there is what was counted until then, see [`Breakdown::partial`].
pub(crate) async fn run(reads: &Reads<'_>, tenants: &[Tenant], request: &BreakdownRequest) -> Result<Breakdown, Error> {
    let selection = request.selection;
    let range = |start: u64, end: u64| TimeRange { start_unix_nanos: start, end_unix_nanos: (end - 1).max(start) };
    let (start, end) = (selection.start_unix_nanos, selection.end_unix_nanos.max(selection.start_unix_nanos + 1));
    let mut of_selection = Pass::open(reads, tenants, &request.query, range(start, end)).await?;
    let (query, of_baseline, side) = match &request.baseline {
        Beside::Rest => (&request.query, request.window.range(), Side::Rest(selection)),
        Beside::Before => (&request.query, range(start.saturating_sub(end - start), start.max(1)), Side::All),
        Beside::Day => {
            (&request.query, range(start.saturating_sub(DAY_NANOS), end.saturating_sub(DAY_NANOS).max(1)), Side::All)
        }
        Beside::Query(query) => (query, request.window.range(), Side::All),
    };
    let mut of_baseline = Pass::open(reads, tenants, query, of_baseline).await?;
    // What only the baseline has is a difference too: keys of both are looked at.
    let (ours, theirs) = (of_selection.opened.clone(), of_baseline.opened.clone());
    let looked = reads
        .compute(move || {
            let mut looked = looked_at(&ours, &selection);
            for more in looked_at(&theirs, &selection) {
                if looked.len() < MAX_FIELDS && !looked.iter().any(|known| known.name == more.name) {
                    looked.push(more);
                }
            }
            looked
        })
        .await?;
    let mut selected = Values::default();
    let (mut partial, known) = count(&mut of_selection, Side::Selected(selection), &looked, &mut selected).await?;
    let mut baseline = Values { counts: ValueCounts::beside(&selected.counts), ..Values::default() };
    // What types are usual is learnt from the selection, so that both sides name the same exceptions.
    baseline.types.first.clone_from(&selected.types.first);
    let (stopped, also_known) = count(&mut of_baseline, side, &looked, &mut baseline).await?;
    partial = super::partial(partial, stopped);
    // What a bound kept from being counted on one side alone would look like a difference.
    let unknown: Vec<String> = looked.iter().skip(known.min(also_known)).map(|looked| looked.name.clone()).collect();
    let (ours, theirs) = (selected.counts, baseline.counts);
    let (found, ours, theirs) = reads
        .compute(move || {
            let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
            let found = analysis::breakdown(&ours, &theirs, &unknown);
            (found, ours, theirs)
        })
        .await?;
    let mut types = selected.types;
    types.merge(baseline.types);
    let tracked = tracked(&found.differences);
    let mut joint = JointCounts::new(&tracked);
    for (pass, side, is_selected) in
        [(&mut of_selection, Side::Selected(selection), true), (&mut of_baseline, side, false)]
    {
        pass.forget_fields();
        let rule = Rule::new(pass, side);
        let place = |one: &Found| {
            let known = looked.iter().find(|looked| looked.name == one.key)?;
            Some((pass.look_at(&known.field), one.value.clone()))
        };
        let places = tracked.iter().filter_map(place).collect();
        let stopped =
            pass.run(&Arc::new(CountTogether { rule, tracked: places, is_selected }), &mut joint).await?.told();
        partial = super::partial(partial, stopped);
    }
    let pairs = pairs(&found.differences, &joint);
    let merged = merge_together(found.differences, &joint);
    let mut representative = Vec::new();
    for example in selected.examples.chosen() {
        match of_selection.name(example.at).await {
            Ok((trace_id, span_id)) => representative.push(example.named(trace_id, span_id)),
            // Past a bound nothing more is read; what is counted stays.
            Err(error) if error.is_bound() => {
                partial.get_or_insert_with(|| format!("Not all representative spans are told: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    let shift = |shift: analysis::NumberShift| {
        let quantiles = |of: &ValueCounts| {
            let quantile = |share| of.number_quantile(&shift.key, share).unwrap_or(0.0);
            Quantiles { p50: quantile(0.5), p90: quantile(0.9) }
        };
        let (scope, key) = scoped(&shift.key);
        NumberShift {
            scope,
            key: key.to_owned(),
            ks: shift.d,
            selected: quantiles(&ours),
            baseline: quantiles(&theirs),
        }
    };
    let numbers = found.numbers.into_iter().filter(|shift| shift.d > 0.0).take(MAX_NUMBERS).map(shift).collect();
    Ok(Breakdown {
        selected: ours.span_count(),
        baseline: theirs.span_count(),
        hidden_keys: found.identity_keys,
        differences: merged.into_iter().take(request.limit).map(|one| types.difference(one)).collect(),
        pairs: pairs.into_iter().map(|pair| types.pair(pair)).collect(),
        numbers,
        representative,
        partial,
    })
}

/// The first differences, of few enough attributes that all can be read at once.
fn tracked(differences: &[Found]) -> Vec<Found> {
    let mut keys: Vec<&str> = Vec::new();
    let mut tracked = Vec::new();
    for one in differences {
        if !keys.contains(&one.key.as_str()) {
            if keys.len() == FIELDS_AT_ONCE {
                continue;
            }
            keys.push(&one.key);
        }
        tracked.push(one.clone());
        if tracked.len() == MAX_TRACKED {
            break;
        }
    }
    tracked
}

/// Types of attributes' values.
#[derive(Default)]
struct Types {
    /// That of the value that was met first, by attribute.
    first: BTreeMap<String, &'static str>,
    /// Those of values that are of another type, by attribute and value.
    others: BTreeMap<(String, String), &'static str>,
}

impl Types {
    fn note(&mut self, key: &str, text: String, value_type: &'static str) {
        match self.first.get(key) {
            None => {
                self.first.insert(key.to_owned(), value_type);
            }
            Some(first) if *first == value_type => {}
            Some(_) if self.others.len() >= MAX_OTHER_TYPES => {}
            Some(_) => {
                self.others.entry((key.to_owned(), text)).or_insert(value_type);
            }
        }
    }

    /// Takes in those of the other side.
    fn merge(&mut self, other: Self) {
        for (key, value_type) in other.first {
            self.first.entry(key).or_insert(value_type);
        }
        self.others.extend(other.others);
    }

    fn value(&self, key: &str, value: Option<&str>) -> AttributeValue {
        let other = value.and_then(|value| self.others.get(&(key.to_owned(), value.to_owned())));
        let value_type = other.or_else(|| self.first.get(key)).copied().unwrap_or("string");
        let typed = |text: &str| {
            let number = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            match value_type {
                "int" => match text.parse::<i64>() {
                    // A page cannot hold larger ones.
                    Ok(number) if number.unsigned_abs() < 1 << 53 => number.into(),
                    _ => text.into(),
                },
                "double" => number.map_or_else(|| text.into(), Into::into),
                "bool" => (text == "true").into(),
                _ => text.into(),
            }
        };
        let (scope, key) = scoped(key);
        let value = value.map_or(serde_json::Value::Null, typed);
        AttributeValue { scope, key: key.to_owned(), value, value_type }
    }

    fn difference(&self, one: Found) -> Difference {
        Difference {
            of: self.value(&one.key, one.value.as_deref()),
            selected_count: one.selected,
            baseline_count: one.baseline,
            selected_share: one.selected_share,
            baseline_share: one.baseline_share,
            score: one.score.abs(),
            under: one.score < 0.0,
            together: one.together.iter().map(|(key, value)| self.value(key, value.as_deref())).collect(),
        }
    }

    fn pair(&self, pair: analysis::Pair) -> ValuePair {
        let of = [pair.first, pair.second].map(|(key, value)| self.value(&key, value.as_deref()));
        ValuePair { of, selected_share: pair.selected_share, baseline_share: pair.baseline_share, score: pair.score }
    }
}

/// Scope and key of an attribute's name in counts.
fn scoped(name: &str) -> (&'static str, &str) {
    for scope in ["span", "resource", "intrinsic"] {
        if let Some(key) = name.strip_prefix(scope).and_then(|rest| rest.strip_prefix('.')) {
            return (scope, key);
        }
    }
    ("span", name)
}
