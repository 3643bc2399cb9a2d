//! Names of attributes and their values: what is asked over gRPC, what is answered.

use spanlake_traceql::Value;

use super::{saturate, value};
use crate::engine::Stats;
use crate::http::jsonpb::{self, Object};

/// Which names are asked for over gRPC; what is zero or empty is not asked.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SearchTagsRequest {
    #[prost(string, tag = "1")]
    pub(crate) scope: String,
    #[prost(string, tag = "2")]
    pub(crate) query: String,
    /// Unix seconds.
    #[prost(uint32, tag = "3")]
    pub(crate) start: u32,
    /// Unix seconds.
    #[prost(uint32, tag = "4")]
    pub(crate) end: u32,
    #[prost(uint32, tag = "5")]
    pub(crate) max_tags_per_scope: u32,
}

/// Which values are asked for over gRPC; what is zero or empty is not asked.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SearchTagValuesRequest {
    #[prost(string, tag = "1")]
    pub(crate) tag_name: String,
    #[prost(string, tag = "2")]
    pub(crate) query: String,
    /// Unix seconds.
    #[prost(uint32, tag = "4")]
    pub(crate) start: u32,
    /// Unix seconds.
    #[prost(uint32, tag = "5")]
    pub(crate) end: u32,
    #[prost(uint32, tag = "6")]
    pub(crate) max_tag_values: u32,
}

/// What names or values cost. A job is a block.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MetadataMetrics {
    #[prost(uint64, tag = "1")]
    pub(crate) inspected_bytes: u64,
    #[prost(uint32, tag = "2")]
    pub(crate) total_jobs: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) completed_jobs: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) total_blocks: u32,
    #[prost(uint64, tag = "5")]
    pub(crate) total_block_bytes: u64,
}

/// The answer of `/api/search/tags`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SearchTagsResponse {
    #[prost(string, repeated, tag = "1")]
    pub(crate) tag_names: Vec<String>,
    #[prost(message, optional, tag = "2")]
    pub(crate) metrics: Option<MetadataMetrics>,
}

/// The answer of `/api/v2/search/tags`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SearchTagsV2Response {
    #[prost(message, repeated, tag = "1")]
    pub(crate) scopes: Vec<SearchTagsV2Scope>,
    #[prost(message, optional, tag = "2")]
    pub(crate) metrics: Option<MetadataMetrics>,
}

/// The names of one scope.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SearchTagsV2Scope {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, repeated, tag = "2")]
    pub(crate) tags: Vec<String>,
}

/// The answer of `/api/search/tag/{name}/values`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SearchTagValuesResponse {
    #[prost(string, repeated, tag = "1")]
    pub(crate) tag_values: Vec<String>,
    #[prost(message, optional, tag = "2")]
    pub(crate) metrics: Option<MetadataMetrics>,
}

/// The answer of `/api/v2/search/tag/{identifier}/values`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SearchTagValuesV2Response {
    #[prost(message, repeated, tag = "1")]
    pub(crate) tag_values: Vec<TagValue>,
    #[prost(message, optional, tag = "2")]
    pub(crate) metrics: Option<MetadataMetrics>,
}

/// One value: the word for its type, and its text.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct TagValue {
    #[prost(string, tag = "1")]
    pub(crate) r#type: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

impl From<&Stats> for MetadataMetrics {
    fn from(stats: &Stats) -> Self {
        Self {
            inspected_bytes: stats.inspected_bytes,
            total_jobs: saturate(stats.block_count),
            completed_jobs: saturate(stats.blocks_done),
            total_blocks: saturate(stats.block_count),
            total_block_bytes: stats.block_bytes,
        }
    }
}

impl From<&Value> for TagValue {
    fn from(value: &Value) -> Self {
        Self { r#type: value::type_word(value).to_owned(), value: value::text(value) }
    }
}

impl SearchTagsResponse {
    /// As protobuf JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        write("tagNames", &self.tag_names, |out, name| jsonpb::write_string(out, name), self.metrics.as_ref())
    }
}

impl SearchTagsV2Response {
    /// As protobuf JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        write("scopes", &self.scopes, write_scope, self.metrics.as_ref())
    }
}

impl SearchTagValuesResponse {
    /// As protobuf JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        write("tagValues", &self.tag_values, |out, value| jsonpb::write_string(out, value), self.metrics.as_ref())
    }
}

impl SearchTagValuesV2Response {
    /// As protobuf JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        write("tagValues", &self.tag_values, write_value, self.metrics.as_ref())
    }
}

fn write<T>(
    name: &'static str,
    values: &[T],
    write_one: fn(&mut Vec<u8>, &T),
    metrics: Option<&MetadataMetrics>,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut object = Object::open(&mut out);
    object.whole_list(name, values, write_one);
    object.message("metrics", metrics, write_metrics);
    object.close();
    out
}

fn write_scope(out: &mut Vec<u8>, scope: &SearchTagsV2Scope) {
    let mut object = Object::open(out);
    object.string("name", &scope.name);
    object.list("tags", &scope.tags, |out, name| jsonpb::write_string(out, name));
    object.close();
}

fn write_value(out: &mut Vec<u8>, value: &TagValue) {
    let mut object = Object::open(out);
    object.string("type", &value.r#type);
    object.string("value", &value.value);
    object.close();
}

fn write_metrics(out: &mut Vec<u8>, metrics: &MetadataMetrics) {
    let mut object = Object::open(out);
    object.u64("inspectedBytes", metrics.inspected_bytes);
    object.u32("totalJobs", metrics.total_jobs);
    object.u32("completedJobs", metrics.completed_jobs);
    object.u32("totalBlocks", metrics.total_blocks);
    object.u64("totalBlockBytes", metrics.total_block_bytes);
    object.close();
}
