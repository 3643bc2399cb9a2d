//! Fields of the language as columns over rows: where each is read from, and how its values are meant.

use std::sync::Arc;

use arrow_array::Array as _;
use spanlake_block::{AttributeValue, Block, NIL, RowField, RowValues, SearchIndex};
use spanlake_traceql::{Field, Intrinsic, Scope, Value};

use super::scalar::{Number, Scalar, Unit, any_scalar, one_value};

/// A field of some rows.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) values: RowValues,
    pub(super) unit: Unit,
}

/// Where a field comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Origin {
    /// These, of the row itself: the first that has a value.
    Rows(Vec<RowField>),
    /// Known once the whole trace is there.
    Trace,
}

/// Where a field comes from, whatever the block.
pub(super) fn origin(field: &Field) -> Origin {
    let rows = |field| Origin::Rows(vec![field]);
    match field {
        Field::Intrinsic(intrinsic) => match intrinsic {
            Intrinsic::Duration => rows(RowField::DurationNanos),
            Intrinsic::Name => rows(RowField::Name),
            Intrinsic::Status => rows(RowField::StatusCode),
            Intrinsic::StatusMessage => rows(RowField::StatusMessage),
            Intrinsic::Kind => rows(RowField::Kind),
            Intrinsic::SpanId => rows(RowField::SpanId),
            Intrinsic::ParentId => rows(RowField::ParentSpanId),
            Intrinsic::EventName => rows(RowField::EventName),
            Intrinsic::EventTimeSinceStart => rows(RowField::EventTimeSinceStart),
            Intrinsic::LinkTraceId => rows(RowField::LinkTraceId),
            Intrinsic::LinkSpanId => rows(RowField::LinkSpanId),
            Intrinsic::InstrumentationName => rows(RowField::ScopeName),
            Intrinsic::InstrumentationVersion => rows(RowField::ScopeVersion),
            Intrinsic::ChildCount
            | Intrinsic::RootName
            | Intrinsic::RootServiceName
            | Intrinsic::TraceDuration
            | Intrinsic::TraceId
            | Intrinsic::NestedSetLeft
            | Intrinsic::NestedSetRight
            | Intrinsic::NestedSetParent => Origin::Trace,
        },
        Field::Attribute { of_parent: true, .. } => Origin::Trace,
        Field::Attribute { scope, key, .. } => Origin::Rows(attribute_origins(*scope, key)),
    }
}

/// Where an attribute is looked for, in order.
pub(super) fn attribute_origins(scope: Scope, key: &str) -> Vec<RowField> {
    let key = || key.to_owned();
    match scope {
        Scope::Span => vec![RowField::SpanAttribute(key())],
        Scope::Resource => vec![RowField::ResourceAttribute(key())],
        Scope::Event => vec![RowField::EventAttribute(key())],
        Scope::Link => vec![RowField::LinkAttribute(key())],
        Scope::Instrumentation => vec![RowField::ScopeAttribute(key())],
        Scope::Any => vec![
            RowField::SpanAttribute(key()),
            RowField::ResourceAttribute(key()),
            RowField::EventAttribute(key()),
            RowField::LinkAttribute(key()),
            RowField::ScopeAttribute(key()),
        ],
    }
}

/// How the integers of a field are meant.
pub(super) fn unit(field: &Field) -> Unit {
    match field {
        Field::Intrinsic(Intrinsic::Duration | Intrinsic::TraceDuration | Intrinsic::EventTimeSinceStart) => {
            Unit::Duration
        }
        Field::Intrinsic(Intrinsic::Status) => Unit::Status,
        Field::Intrinsic(Intrinsic::Kind) => Unit::Kind,
        _ => Unit::Plain,
    }
}

/// Whether rows of the row group may have a value of the field, from the block's indexes. No requests.
pub(super) fn may_have(block: &Block, search: &SearchIndex, row_group: usize, field: &RowField) -> bool {
    match field {
        RowField::SpanAttribute(key) => block.may_have_span_key(search, row_group, key),
        RowField::ResourceAttribute(key) => {
            block.resources().iter().any(|entry| entry.resource.attributes.iter().any(|a| a.key == *key))
        }
        RowField::ScopeAttribute(key) => {
            let mut scopes = block.scopes().iter().filter_map(|entry| entry.scope.as_ref());
            scopes.any(|scope| scope.attributes.iter().any(|a| a.key == *key))
        }
        RowField::EventAttribute(key) => search.may_have_event_key(key, row_group),
        RowField::LinkAttribute(key) => search.may_have_link_key(key, row_group),
        _ => true,
    }
}

impl Column {
    /// A field from what was read of its origins, in their order.
    pub(super) fn new(field: &Field, mut read: Vec<RowValues>, row_count: usize) -> Self {
        let unit = unit(field);
        let mut values = match read.len() {
            0 => RowValues::nil(row_count),
            1 => read.swap_remove(0),
            _ => overlaid(read, row_count),
        };
        match (field, &mut values) {
            // A span that ends before it starts took no time.
            (Field::Intrinsic(Intrinsic::Duration), RowValues::Numbers(numbers))
                if numbers.iter().any(|nanos| *nanos < 0) =>
            {
                *numbers = numbers.iter().map(|nanos| (*nanos).max(0)).collect::<Vec<_>>().into();
            }
            // A message that was not sent is an empty one.
            (Field::Intrinsic(Intrinsic::StatusMessage), RowValues::Texts { codes, texts }) => {
                let texts = texts.iter().map(|text| Some(AttributeValue::Text(Arc::from(text?))));
                let mut distinct: Vec<AttributeValue> =
                    texts.map(|text| text.unwrap_or_else(|| AttributeValue::Text(Arc::from("")))).collect();
                let empty = distinct.len() as u32;
                distinct.push(AttributeValue::Text(Arc::from("")));
                let codes = codes.iter().map(|code| if *code == NIL { empty } else { *code });
                values = RowValues::Coded { codes: codes.collect::<Vec<_>>().into(), values: distinct.into() };
            }
            _ => {}
        }
        Self { values, unit }
    }

    /// One value for each row, nil for none.
    pub(super) fn from_values(values: impl Iterator<Item = Option<AttributeValue>>, unit: Unit) -> Self {
        let mut distinct = Vec::new();
        let codes = values.map(|value| match value {
            None => NIL,
            Some(value) => {
                // Rows of one trace follow each other, and many fields are the same for all of them.
                if distinct.last() != Some(&value) {
                    distinct.push(value);
                }
                distinct.len() as u32 - 1
            }
        });
        let codes = codes.collect::<Vec<_>>().into();
        Self { values: RowValues::Coded { codes, values: distinct.into() }, unit }
    }

    /// Whether the row has a value.
    pub(super) fn has(&self, row: usize) -> bool {
        match &self.values {
            RowValues::Numbers(_) | RowValues::Ids(_) => true,
            RowValues::Ints(array) => array.is_valid(row),
            RowValues::Doubles(array) => array.is_valid(row) && !array.value(row).is_nan(),
            RowValues::Bools(array) => array.is_valid(row),
            RowValues::Texts { codes, .. } | RowValues::Coded { codes, .. } => codes[row] != NIL,
        }
    }

    /// Calls `see` with each scalar of the row's value until it says stop, and says whether it did.
    pub(super) fn any_scalar(&self, row: usize, see: &mut dyn FnMut(Scalar<'_>) -> bool) -> bool {
        if !self.has(row) {
            return false;
        }
        match &self.values {
            RowValues::Numbers(numbers) => see(Scalar::int(numbers[row], self.unit)),
            RowValues::Ids(ids) => see(Scalar::Text(&id_text(ids[row]))),
            RowValues::Ints(array) => see(Scalar::int(array.value(row), self.unit)),
            RowValues::Doubles(array) => see(Scalar::Float(array.value(row))),
            RowValues::Bools(array) => see(Scalar::Bool(array.value(row))),
            RowValues::Texts { codes, texts } => see(Scalar::Text(texts.value(codes[row] as usize))),
            RowValues::Coded { codes, values } => any_scalar(&values[codes[row] as usize], self.unit, see),
        }
    }

    /// The one value of the row.
    pub(super) fn one(&self, row: usize) -> Value {
        if !self.has(row) {
            return Value::Nil;
        }
        match &self.values {
            RowValues::Coded { codes, values } => one_value(&values[codes[row] as usize], self.unit),
            _ => {
                let mut value = Value::Nil;
                self.any_scalar(row, &mut |scalar| {
                    value = scalar.to_value();
                    true
                });
                value
            }
        }
    }

    /// The row's value as stored, to be put into another column.
    pub(super) fn attribute(&self, row: usize) -> Option<AttributeValue> {
        if !self.has(row) {
            return None;
        }
        Some(match &self.values {
            RowValues::Numbers(numbers) => AttributeValue::Int(numbers[row]),
            RowValues::Ids(ids) => AttributeValue::Text(Arc::from(id_text(ids[row]))),
            RowValues::Ints(array) => AttributeValue::Int(array.value(row)),
            RowValues::Doubles(array) => AttributeValue::Double(array.value(row)),
            RowValues::Bools(array) => AttributeValue::Bool(array.value(row)),
            RowValues::Texts { codes, texts } => AttributeValue::Text(Arc::from(texts.value(codes[row] as usize))),
            RowValues::Coded { codes, values } => values[codes[row] as usize].clone(),
        })
    }

    /// The number that the row's value is, of several the first.
    pub(super) fn number(&self, row: usize) -> Option<Number> {
        match &self.values {
            RowValues::Numbers(numbers) => Number::of(Scalar::int(numbers[row], self.unit)),
            RowValues::Ints(array) => {
                array.is_valid(row).then(|| Number::of(Scalar::int(array.value(row), self.unit))).flatten()
            }
            RowValues::Doubles(array) => {
                array.is_valid(row).then(|| Number::of(Scalar::Float(array.value(row)))).flatten()
            }
            RowValues::Coded { .. } => Number::of_value(&self.one(row)),
            RowValues::Ids(_) | RowValues::Bools(_) | RowValues::Texts { .. } => None,
        }
    }
}

/// A span id as text; zero is no id, and the empty text.
pub(super) fn id_text(id: u64) -> String {
    if id == 0 { String::new() } else { format!("{id:016x}") }
}

/// For each row the value of the first column that has one.
fn overlaid(columns: Vec<RowValues>, row_count: usize) -> RowValues {
    let is_nil = |values: &RowValues| match values {
        RowValues::Coded { values, .. } => values.is_empty(),
        RowValues::Texts { texts, .. } => texts.is_empty(),
        RowValues::Ints(array) => array.null_count() == array.len(),
        RowValues::Doubles(array) => array.null_count() == array.len(),
        RowValues::Bools(array) => array.null_count() == array.len(),
        RowValues::Numbers(_) | RowValues::Ids(_) => false,
    };
    let mut columns: Vec<RowValues> = columns.into_iter().filter(|values| !is_nil(values)).collect();
    if columns.len() <= 1 {
        return columns.pop().unwrap_or_else(|| RowValues::nil(row_count));
    }
    let mut codes = vec![NIL; row_count];
    let mut values: Vec<AttributeValue> = Vec::new();
    for column in columns {
        let first = values.len() as u32;
        match column {
            RowValues::Coded { codes: own, values: more } => {
                values.extend(more.iter().cloned());
                fill(&mut codes, own.iter().map(|code| if *code == NIL { NIL } else { first + code }));
            }
            RowValues::Texts { codes: own, texts } => {
                values.extend((0..texts.len()).map(|at| AttributeValue::Text(Arc::from(texts.value(at)))));
                fill(&mut codes, own.iter().map(|code| if *code == NIL { NIL } else { first + code }));
            }
            other => {
                let column = Column { values: other, unit: Unit::Plain };
                for (row, code) in codes.iter_mut().enumerate().filter(|(_, code)| **code == NIL) {
                    if let Some(value) = column.attribute(row) {
                        *code = values.len() as u32;
                        values.push(value);
                    }
                }
            }
        }
    }
    RowValues::Coded { codes: codes.into(), values: values.into() }
}

fn fill(codes: &mut [u32], own: impl Iterator<Item = u32>) {
    for (code, own) in codes.iter_mut().zip(own).filter(|(code, _)| **code == NIL) {
        *code = own;
    }
}
