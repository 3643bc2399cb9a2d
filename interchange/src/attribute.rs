//! Attributes built from, and asked by, the readers and writers of other formats.

use std::collections::HashMap;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

/// An attribute.
pub(crate) fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
}

/// A text attribute.
pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.to_owned()))
}

/// The value of an attribute.
pub(crate) fn value_of<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

/// Takes an attribute out, when it is a text.
pub(crate) fn take_text(attributes: &mut Vec<KeyValue>, key: &str) -> Option<String> {
    let at = attributes.iter().position(|attribute| attribute.key == key)?;
    match attributes[at].value.take().and_then(|value| value.value) {
        Some(Value::StringValue(text)) => {
            attributes.remove(at);
            Some(text)
        }
        other => {
            attributes[at].value = Some(AnyValue { value: other });
            None
        }
    }
}

/// A scalar of JSON as an attribute's value; arrays and objects as their JSON text.
pub(crate) fn from_json(value: serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(flag) => Value::BoolValue(flag),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::IntValue(whole),
            None => Value::DoubleValue(number.as_f64()?),
        },
        serde_json::Value::String(text) => Value::StringValue(text),
        nested => Value::StringValue(nested.to_string()),
    })
}

/// The kind that a word names, in any case.
pub(crate) fn kind(word: &str) -> Option<SpanKind> {
    SpanKind::from_str_name(&format!("SPAN_KIND_{}", word.to_ascii_uppercase()))
}

/// What OpenTelemetry's exporters put into tags because the other formats have no place for it.
pub(crate) struct FromTags {
    pub(crate) scope: Option<InstrumentationScope>,
    pub(crate) status: Option<Status>,
    pub(crate) trace_state: String,
    pub(crate) kind: Option<SpanKind>,
}

/// Takes those tags out. `error` is left to the caller, because the formats differ in it: it gives what that tag says.
pub(crate) fn take_tags(attributes: &mut Vec<KeyValue>, error: Option<String>) -> FromTags {
    let name = take_text(attributes, "otel.scope.name").or_else(|| take_text(attributes, "otel.library.name"));
    let version = take_text(attributes, "otel.scope.version").or_else(|| take_text(attributes, "otel.library.version"));
    let scope = (name.is_some() || version.is_some()).then(|| InstrumentationScope {
        name: name.unwrap_or_default(),
        version: version.unwrap_or_default(),
        ..InstrumentationScope::default()
    });
    let described = take_text(attributes, "otel.status_description");
    let code = match take_text(attributes, "otel.status_code").as_deref() {
        _ if error.is_some() => 2,
        Some("ERROR" | "Error" | "error" | "2") => 2,
        Some("OK" | "Ok" | "ok" | "1") => 1,
        _ => 0,
    };
    let message = described.or(error).unwrap_or_default();
    let kind = value_of(attributes, "span.kind").and_then(|value| match value {
        Value::StringValue(word) => kind(word),
        _ => None,
    });
    if kind.is_some() {
        attributes.retain(|attribute| attribute.key != "span.kind");
    }
    FromTags {
        scope,
        // A description without a code says nothing of success, but is not lost.
        status: (code != 0 || !message.is_empty()).then_some(Status { message, code }),
        trace_state: take_text(attributes, "w3c.tracestate").unwrap_or_default(),
        kind,
    }
}

/// Spans put together by what surrounds them, in the order in which each surrounding first came.
#[derive(Default)]
pub(crate) struct Groups {
    resources: HashMap<String, usize>,
    scopes: HashMap<(usize, String, String), usize>,
    messages: Vec<ResourceSpans>,
}

impl Groups {
    /// Adds a span. Equal `key`s stand for equal resources, which `resource` makes when the first comes.
    pub(crate) fn add(
        &mut self,
        key: &str,
        resource: impl FnOnce() -> Vec<KeyValue>,
        scope: Option<InstrumentationScope>,
        span: Span,
    ) {
        let at = match self.resources.get(key) {
            Some(at) => *at,
            None => {
                let resource = Resource { attributes: resource(), ..Resource::default() };
                self.messages.push(ResourceSpans { resource: Some(resource), ..ResourceSpans::default() });
                self.resources.insert(key.to_owned(), self.messages.len() - 1);
                self.messages.len() - 1
            }
        };
        let (name, version) = scope.as_ref().map_or(("", ""), |scope| (&scope.name, &scope.version));
        let scopes = &mut self.messages[at].scope_spans;
        let scope_at = *self.scopes.entry((at, name.to_owned(), version.to_owned())).or_insert_with(|| {
            scopes.push(ScopeSpans { scope, ..ScopeSpans::default() });
            scopes.len() - 1
        });
        scopes[scope_at].spans.push(span);
    }

    pub(crate) fn into_messages(self) -> Vec<ResourceSpans> {
        self.messages
    }
}
