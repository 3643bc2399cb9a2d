//! Where spans come from: the distinct resources and scopes of a block, each stored once and named by a small number.

use foldhash::{HashMap, HashMapExt as _};
use spanlake_otlp::{Batch, ResourceField, ScopeField, ValueRef, resource_fields, scope_fields};

use super::arrays::Sparse;
use super::order::Order;
use crate::section::Writer;
use crate::text;

/// The resources and scopes of a block, numbered in order of first appearance.
#[derive(Default)]
pub(crate) struct Origins<'a> {
    resources: Vec<(&'a [u8], &'a str)>,
    scopes: Vec<(&'a [u8], &'a str)>,
    /// For each batch and each of its groups: resource number, scope number.
    numbers: Vec<Vec<(i32, i32)>>,
    /// Each resource as JSON text, for readers that know Parquet only.
    pub(crate) resource_texts: Vec<String>,
    /// Each scope as JSON text.
    pub(crate) scope_texts: Vec<String>,
}

impl<'a> Origins<'a> {
    /// Numbers the resources and scopes of all groups; equal bytes and schema URL are one.
    pub(crate) fn number(batches: &'a [Batch]) -> Self {
        let mut origins = Self::default();
        let mut resources = HashMap::new();
        let mut scopes = HashMap::new();
        for batch in batches {
            let mut numbers = Vec::with_capacity(batch.groups.len());
            for group in &batch.groups {
                let resource = (batch.resource_bytes(group), batch.resource_schema_url(group));
                let scope = (batch.scope_bytes(group), batch.scope_schema_url(group));
                let resource_id = *resources.entry(resource).or_insert_with(|| {
                    origins.resources.push(resource);
                    origins.resource_texts.push(resource_text(resource.0, resource.1));
                    origins.resources.len() as i32 - 1
                });
                let scope_id = *scopes.entry(scope).or_insert_with(|| {
                    origins.scopes.push(scope);
                    origins.scope_texts.push(scope_text(scope.0, scope.1));
                    origins.scopes.len() as i32 - 1
                });
                numbers.push((resource_id, scope_id));
            }
            origins.numbers.push(numbers);
        }
        origins
    }

    /// Resource and scope number of a group.
    pub(crate) fn of(&self, batch: u32, group: u32) -> (i32, i32) {
        self.numbers[batch as usize][group as usize]
    }

    /// OTLP bytes of each row: of its span, and of its resource and scope where they occur first.
    pub(crate) fn row_bytes(&self, batches: &[Batch], order: &Order) -> Vec<u64> {
        let mut is_new_resource = vec![true; self.resources.len()];
        let mut is_new_scope = vec![true; self.scopes.len()];
        let row_bytes = order.rows.iter().map(|row| {
            let (batch, span) = row.at;
            let entry = &batches[batch as usize].spans[span as usize];
            let (resource, scope) = self.of(batch, entry.group);
            let mut bytes = entry.span.len();
            for (number, is_new, all) in [
                (resource as usize, &mut is_new_resource, &self.resources),
                (scope as usize, &mut is_new_scope, &self.scopes),
            ] {
                if std::mem::take(&mut is_new[number]) {
                    bytes += all[number].0.len() + all[number].1.len();
                }
            }
            bytes as u64
        });
        row_bytes.collect()
    }

    /// How many distinct resources there are.
    pub(crate) fn resource_count(&self) -> usize {
        self.resources.len()
    }

    /// `service.name` of each resource, where it is a string.
    pub(crate) fn services(&self) -> Vec<Option<&'a str>> {
        self.resources.iter().map(|(bytes, _)| service_name(bytes)).collect()
    }

    /// Places each text at the first row that has its number.
    pub(crate) fn first_rows<'t>(&self, ids: &[i32], texts: &'t [String]) -> Sparse<&'t str> {
        let mut seen = vec![false; texts.len()];
        let mut placed = Sparse::default();
        for (row, id) in ids.iter().enumerate() {
            if !std::mem::replace(&mut seen[*id as usize], true) {
                placed.push(row as u32, texts[*id as usize].as_str());
                if placed.rows.len() == texts.len() {
                    break;
                }
            }
        }
        placed
    }

    /// The section of resources: each as its OTLP protobuf bytes and its schema URL.
    pub(crate) fn write_resources(&self) -> Vec<u8> {
        write_all(self.resources.iter().copied())
    }

    /// The section of scopes, likewise.
    pub(crate) fn write_scopes(&self) -> Vec<u8> {
        write_all(self.scopes.iter().copied())
    }
}

/// `service.name` of a resource, where it is a string.
pub(crate) fn service_name(resource: &[u8]) -> Option<&str> {
    resource_fields(resource).find_map(|field| match field {
        ResourceField::Attribute(attribute) if attribute.key == "service.name" => match attribute.value {
            ValueRef::String(name) => Some(name),
            _ => None,
        },
        _ => None,
    })
}

/// The section of resources or scopes: each as its OTLP protobuf bytes and its schema URL.
pub(crate) fn write_all<'a>(all: impl ExactSizeIterator<Item = (&'a [u8], &'a str)>) -> Vec<u8> {
    let mut out = Writer::default();
    out.varint(all.len() as u64);
    for (message, schema_url) in all {
        out.bytes(message);
        out.bytes(schema_url.as_bytes());
    }
    out.0
}

/// A resource as JSON text.
pub(crate) fn resource_text(bytes: &[u8], schema_url: &str) -> String {
    let mut attributes = Vec::new();
    let mut dropped_attributes_count = 0;
    for field in resource_fields(bytes) {
        match field {
            ResourceField::Attribute(attribute) => attributes.push(attribute),
            ResourceField::DroppedAttributesCount(count) => dropped_attributes_count = count,
            ResourceField::EntityRef(_) => {}
        }
    }
    let mut out = String::from("{\"attributes\":");
    text::write_attributes(&mut out, attributes.into_iter());
    finish_text(out, dropped_attributes_count, schema_url)
}

/// A scope as JSON text.
pub(crate) fn scope_text(bytes: &[u8], schema_url: &str) -> String {
    let (mut name, mut version) = ("", "");
    let mut attributes = Vec::new();
    let mut dropped_attributes_count = 0;
    for field in scope_fields(bytes) {
        match field {
            ScopeField::Name(value) => name = value,
            ScopeField::Version(value) => version = value,
            ScopeField::Attribute(attribute) => attributes.push(attribute),
            ScopeField::DroppedAttributesCount(count) => dropped_attributes_count = count,
        }
    }
    let mut out = String::from("{\"name\":");
    text::write_string(&mut out, name);
    out.push_str(",\"version\":");
    text::write_string(&mut out, version);
    out.push_str(",\"attributes\":");
    text::write_attributes(&mut out, attributes.into_iter());
    finish_text(out, dropped_attributes_count, schema_url)
}

fn finish_text(mut out: String, dropped_attributes_count: u32, schema_url: &str) -> String {
    use std::fmt::Write as _;
    write!(out, ",\"dropped_attributes_count\":{dropped_attributes_count},\"schema_url\":")
        .expect("writing to a String cannot fail");
    text::write_string(&mut out, schema_url);
    out.push('}');
    out
}
