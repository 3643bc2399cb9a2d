//! Which names or values of attributes are asked for.

use spanlake_model::TimeRange;
use spanlake_traceql::{Field, FieldExpr, Intrinsic, Kind, Scope, Status, Value};

use super::{Params, check_query_bytes, seconds_range};
use crate::engine::{TagNamesRequest, TagScope, TagValuesRequest};
use crate::http::tempopb;

/// Most bytes of names or values in an answer; what is more is left out, as Tempo does.
pub(crate) const MAX_TAG_BYTES: u64 = 1_000_000;
/// Most names of a scope, and most values, in an answer. More of them do not fit the bytes.
const MAX_TAGS: u64 = 500_000;

/// The words for whose tags are listed.
const SCOPES: [(&str, NamesAsked); 9] = [
    ("", NamesAsked::All),
    ("none", NamesAsked::All),
    ("resource", NamesAsked::Only(TagScope::Resource)),
    ("span", NamesAsked::Only(TagScope::Span)),
    ("event", NamesAsked::Only(TagScope::Event)),
    ("link", NamesAsked::Only(TagScope::Link)),
    ("instrumentation", NamesAsked::Only(TagScope::Instrumentation)),
    ("intrinsic", NamesAsked::Intrinsics),
    ("trace", NamesAsked::Nothing),
];

/// Whose names are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamesAsked {
    /// Those of every scope.
    All,
    /// Those of one scope of attributes.
    Only(TagScope),
    /// Those of what every span has.
    Intrinsics,
    /// A scope that has no attributes: those of traces are intrinsics.
    Nothing,
}

/// Which names are asked for, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Names {
    pub(crate) of: NamesAsked,
    range: Option<TimeRange>,
    filter: Option<FieldExpr>,
    pub(crate) limit: usize,
}

/// What a request for names says.
#[derive(Debug, Default)]
pub(crate) struct TagNamesAsked<'a> {
    pub(crate) scope: &'a str,
    pub(crate) query: &'a str,
    pub(crate) range: Option<TimeRange>,
    pub(crate) limit: u64,
}

impl TagNamesAsked<'_> {
    /// Checks it.
    pub(crate) fn check(self) -> Result<Names, String> {
        let of = SCOPES.iter().find(|(word, _)| *word == self.scope).map(|(_, asked)| *asked);
        let of = of.ok_or_else(|| {
            format!(
                "invalid scope: {:?} is none of trace, span, resource, event, link, instrumentation, intrinsic and none",
                self.scope
            )
        })?;
        Ok(Names { of, range: self.range, filter: filter(self.query)?, limit: bounded(self.limit) })
    }
}

impl Names {
    /// What the engine is asked; nothing when no attribute is asked for.
    pub(crate) fn request(&self) -> Option<TagNamesRequest> {
        let scope = match self.of {
            NamesAsked::All => None,
            NamesAsked::Only(scope) => Some(scope),
            NamesAsked::Intrinsics | NamesAsked::Nothing => return None,
        };
        Some(TagNamesRequest {
            scope,
            range: self.range,
            filter: self.filter.clone(),
            limit_per_scope: self.limit,
            max_bytes: MAX_TAG_BYTES,
        })
    }
}

/// Which values are asked for, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    /// The same whatever is stored.
    Known(Vec<Value>),
    /// Those the blocks have.
    Stored(Box<TagValuesRequest>),
}

/// The values of a field, by what a request says of them.
fn values(field: Field, query: &str, range: Option<TimeRange>, limit: u64) -> Result<Values, String> {
    let filter = filter(query)?;
    let known = match &field {
        Field::Intrinsic(Intrinsic::Status) => [Status::Ok, Status::Error, Status::Unset].map(Value::Status).to_vec(),
        Field::Intrinsic(Intrinsic::Kind) => {
            use Kind::{Client, Consumer, Internal, Producer, Server, Unspecified};
            [Client, Server, Producer, Consumer, Internal, Unspecified].map(Value::Kind).to_vec()
        }
        Field::Intrinsic(Intrinsic::Duration | Intrinsic::TraceDuration) => Vec::new(),
        _ => {
            let limit = bounded(limit);
            return Ok(Values::Stored(Box::new(TagValuesRequest {
                field,
                range,
                filter,
                limit,
                max_bytes: MAX_TAG_BYTES,
            })));
        }
    };
    Ok(Values::Known(known))
}

/// The fields that these names, each as in TraceQL, may mean: all that can be read, in order, at least one.
pub(crate) fn identifiers(names: &[&str]) -> Result<Vec<Field>, String> {
    let (mut fields, mut first_error) = (Vec::new(), None);
    for name in names {
        match Field::parse(name) {
            Ok(field) => fields.push(field),
            Err(error) => first_error = first_error.or(Some(format!("{name}: {error}"))),
        }
    }
    if !fields.is_empty() {
        return Ok(fields);
    }
    let error = first_error.unwrap_or_else(|| "it is empty".to_owned());
    Err(format!("please provide a valid tagName: failed to parse identifier {error}"))
}

/// The values of an attribute named without a scope, or of one of the few names that mean something else.
fn values_of_plain_name(name: &str, query: &str, range: Option<TimeRange>, limit: u64) -> Result<Values, String> {
    let intrinsic = match name {
        "" => return Err("please provide a non-empty tagName".to_owned()),
        "status.code" => {
            return Ok(Values::Known([Status::Unset, Status::Ok, Status::Error].map(Value::Status).to_vec()));
        }
        "error" => return Ok(Values::Known(vec![Value::Bool(true)])),
        "root.name" => Some(Intrinsic::RootName),
        "root.service.name" => Some(Intrinsic::RootServiceName),
        name => intrinsic(name),
    };
    let attribute = || Field::Attribute { of_parent: false, scope: Scope::Any, key: name.to_owned() };
    values(intrinsic.map_or_else(attribute, Field::Intrinsic), query, range, limit)
}

/// The intrinsic with this name, if it is one.
fn intrinsic(name: &str) -> Option<Intrinsic> {
    match Field::parse(name) {
        Ok(Field::Intrinsic(intrinsic)) => Some(intrinsic),
        _ => None,
    }
}

/// The filter of a query that may be unfinished. One that cannot be made sense of filters nothing.
fn filter(query: &str) -> Result<Option<FieldExpr>, String> {
    if query.is_empty() {
        return Ok(None);
    }
    check_query_bytes(query)?;
    spanlake_traceql::parse_lenient(query).map_err(|e| format!("invalid TraceQL query: {e}"))
}

fn bounded(limit: u64) -> usize {
    let limit = if limit == 0 { MAX_TAGS } else { limit.min(MAX_TAGS) };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// The part of a path between `prefix` and its last `/values`, as it was sent; a name may hold anything, `/` too.
pub(crate) fn tag_name_in_path<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix)?.strip_suffix("/values")
}

impl Params {
    /// Which names are asked for.
    pub(crate) fn tag_names(&self, now_unix_nanos: u64) -> Result<Names, String> {
        TagNamesAsked {
            scope: self.get("scope").unwrap_or_default(),
            query: self.get("q").unwrap_or_default(),
            range: self.range(now_unix_nanos)?,
            limit: self.number("limit")?.unwrap_or(0),
        }
        .check()
    }

    /// Which values of the attribute with this plain name are asked for.
    pub(crate) fn plain_tag_values(&self, name: &str, now_unix_nanos: u64) -> Result<Values, String> {
        let (range, limit) = (self.range(now_unix_nanos)?, self.number("limit")?.unwrap_or(0));
        values_of_plain_name(name, self.get("q").unwrap_or_default(), range, limit)
    }

    /// Which values of this field are asked for.
    pub(crate) fn tag_values(&self, field: Field, now_unix_nanos: u64) -> Result<Values, String> {
        let (range, limit) = (self.range(now_unix_nanos)?, self.number("limit")?.unwrap_or(0));
        values(field, self.get("q").unwrap_or_default(), range, limit)
    }
}

impl tempopb::SearchTagsRequest {
    /// Which names are asked for.
    pub(crate) fn check(&self) -> Result<Names, String> {
        let range = seconds_range(self.start, self.end)?;
        let limit = u64::from(self.max_tags_per_scope);
        TagNamesAsked { scope: &self.scope, query: &self.query, range, limit }.check()
    }
}

impl tempopb::SearchTagValuesRequest {
    /// Which values are asked for, the attribute being named without a scope.
    pub(crate) fn check_plain(&self) -> Result<Values, String> {
        let range = seconds_range(self.start, self.end)?;
        values_of_plain_name(&self.tag_name, &self.query, range, u64::from(self.max_tag_values))
    }

    /// Which values are asked for, the field being named as in TraceQL.
    pub(crate) fn check(&self) -> Result<Values, String> {
        let range = seconds_range(self.start, self.end)?;
        let field = identifiers(&[&self.tag_name])?.remove(0);
        values(field, &self.query, range, u64::from(self.max_tag_values))
    }
}
