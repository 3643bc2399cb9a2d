//! The cold path: messages that are past a limit, or that give a singular field twice, are decoded into the readable
//! prost types, cut or merged, and encoded again. It trusts that `check` has accepted the bytes.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::limits::Limits;

/// The attribute that marks a span, resource or scope of which something was cut to stay inside a limit: `true`.
pub const TRUNCATED: &str = "spanlake.truncated";

/// Bytes of a text that is cut to at most `max_bytes`, at a character boundary.
pub(crate) fn cut_at(text: &str, max_bytes: usize) -> usize {
    text.floor_char_boundary(max_bytes)
}

/// A message encoded again, and whether something was cut from it.
pub(crate) struct Rewritten {
    pub(crate) encoded: Vec<u8>,
    pub(crate) truncated: bool,
}

/// Merges and cuts a span. Nothing when prost finds it nested too deep (unknown groups inside deep values).
pub(crate) fn span(encoded: &[u8], limits: &Limits) -> Option<Rewritten> {
    let mut span = Span::decode(encoded).ok()?;
    let mut cutter = Cutter { limits, cut: false };
    cutter.text(&mut span.name);
    cutter.text(&mut span.trace_state);
    if let Some(status) = &mut span.status {
        cutter.text(&mut status.message);
    }
    cutter.attributes(&mut span.attributes, &mut span.dropped_attributes_count);
    cutter.list(&mut span.events, &mut span.dropped_events_count, limits.max_events);
    for event in &mut span.events {
        cutter.text(&mut event.name);
        cutter.attributes(&mut event.attributes, &mut event.dropped_attributes_count);
    }
    cutter.list(&mut span.links, &mut span.dropped_links_count, limits.max_links);
    for link in &mut span.links {
        cutter.text(&mut link.trace_state);
        cutter.attributes(&mut link.attributes, &mut link.dropped_attributes_count);
    }
    cutter.mark(&mut span.attributes);
    Some(Rewritten { encoded: span.encode_to_vec(), truncated: cutter.cut })
}

/// Merges and cuts the resource of one `ResourceSpans`, given every encoding of it in order. `schema_url_cut` says
/// that the schema URL beside it is cut, which the resource has to tell.
pub(crate) fn resource<'a>(
    encodings: impl Iterator<Item = &'a [u8]>,
    limits: &Limits,
    schema_url_cut: bool,
) -> Option<Rewritten> {
    let mut resource = Resource::default();
    for encoded in encodings {
        resource.merge(encoded).ok()?;
    }
    let mut cutter = Cutter { limits, cut: schema_url_cut };
    cutter.attributes(&mut resource.attributes, &mut resource.dropped_attributes_count);
    for entity in &mut resource.entity_refs {
        cutter.text(&mut entity.schema_url);
        cutter.text(&mut entity.r#type);
        entity.id_keys.iter_mut().chain(&mut entity.description_keys).for_each(|key| cutter.text(key));
    }
    cutter.mark(&mut resource.attributes);
    Some(Rewritten { encoded: resource.encode_to_vec(), truncated: cutter.cut })
}

/// As [`resource`], for the scope of one `ScopeSpans`.
pub(crate) fn scope<'a>(
    encodings: impl Iterator<Item = &'a [u8]>,
    limits: &Limits,
    schema_url_cut: bool,
) -> Option<Rewritten> {
    let mut scope = InstrumentationScope::default();
    for encoded in encodings {
        scope.merge(encoded).ok()?;
    }
    let mut cutter = Cutter { limits, cut: schema_url_cut };
    cutter.text(&mut scope.name);
    cutter.text(&mut scope.version);
    cutter.attributes(&mut scope.attributes, &mut scope.dropped_attributes_count);
    cutter.mark(&mut scope.attributes);
    Some(Rewritten { encoded: scope.encode_to_vec(), truncated: cutter.cut })
}

struct Cutter<'a> {
    limits: &'a Limits,
    cut: bool,
}

impl Cutter<'_> {
    fn text(&mut self, text: &mut String) {
        if text.len() > self.limits.max_value_bytes {
            text.truncate(cut_at(text, self.limits.max_value_bytes));
            self.cut = true;
        }
    }

    fn list<T>(&mut self, list: &mut Vec<T>, dropped_count: &mut u32, max: usize) {
        if list.len() > max {
            let surplus = u32::try_from(list.len() - max).unwrap_or(u32::MAX);
            *dropped_count = dropped_count.saturating_add(surplus);
            list.truncate(max);
            self.cut = true;
        }
    }

    fn attributes(&mut self, attributes: &mut Vec<KeyValue>, dropped_count: &mut u32) {
        self.list(attributes, dropped_count, self.limits.max_attributes);
        attributes.iter_mut().for_each(|attribute| self.key_value(attribute));
    }

    fn key_value(&mut self, key_value: &mut KeyValue) {
        self.text(&mut key_value.key);
        if let Some(value) = &mut key_value.value {
            self.value(value);
        }
    }

    fn value(&mut self, value: &mut AnyValue) {
        match &mut value.value {
            Some(Value::StringValue(text)) => self.text(text),
            Some(Value::BytesValue(bytes)) if bytes.len() > self.limits.max_value_bytes => {
                bytes.truncate(self.limits.max_value_bytes);
                self.cut = true;
            }
            Some(Value::ArrayValue(array)) => array.values.iter_mut().for_each(|value| self.value(value)),
            Some(Value::KvlistValue(list)) => list.values.iter_mut().for_each(|entry| self.key_value(entry)),
            _ => {}
        }
    }

    fn mark(&self, attributes: &mut Vec<KeyValue>) {
        if self.cut {
            let value = AnyValue { value: Some(Value::BoolValue(true)) };
            attributes.push(KeyValue { key: TRUNCATED.to_owned(), value: Some(value), key_strindex: 0 });
        }
    }
}
