//! What to search for: values that occur in the corpus.

use spanlake_otlp::{Batch, ResourceField, SpanField, ValueRef, resource_fields, span_fields};

/// The key whose values hardly repeat.
pub(super) const NEEDLE_KEY: &str = "app.order.id";

/// Values found in the middle of a corpus.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    /// A value of [`NEEDLE_KEY`].
    pub needle: Option<String>,
    /// A `service.name`.
    pub service: Option<String>,
}

impl Samples {
    pub(super) fn choose(batches: &[Batch]) -> Self {
        let later = &batches[batches.len() / 2..];
        Self { needle: later.iter().find_map(needle), service: later.iter().find_map(service) }
    }
}

fn needle(batch: &Batch) -> Option<String> {
    batch.spans.iter().flat_map(|entry| span_fields(batch.span_bytes(entry))).find_map(|field| match field {
        SpanField::Attribute(attribute) if attribute.key == NEEDLE_KEY => text(attribute.value),
        _ => None,
    })
}

fn service(batch: &Batch) -> Option<String> {
    let groups = batch.groups.iter().flat_map(|group| resource_fields(batch.resource_bytes(group)));
    groups.into_iter().find_map(|field| match field {
        ResourceField::Attribute(attribute) if attribute.key == "service.name" => text(attribute.value),
        _ => None,
    })
}

fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::String(text) => Some(text.to_owned()),
        _ => None,
    }
}
