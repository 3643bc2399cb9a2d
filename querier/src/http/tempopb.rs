//! The messages of package `tempopb` that the API reads and answers, as protobuf and as JSON.
//!
//! Field numbers are those of Tempo's `tempo.proto`. The trace itself is OTLP's `TracesData`, which has the same wire form
//! as `tempopb.Trace`. JSON has Tempo's fields and no other: its clients refuse fields they do not know.

mod by_id;
mod metrics;
mod search;
mod tags;
mod value;

pub(crate) use by_id::TraceByIdResponse;
pub(crate) use metrics::{
    QueryInstantRequest, QueryInstantResponse, QueryRangeRequest, QueryRangeResponse, TimeSeries,
};
pub(crate) use search::{
    BEGIN_JSON, SearchMetrics, SearchRequest, SearchResponse, TraceSearchMetadata, end_json, write_found, write_metrics,
};
pub(crate) use tags::{
    MetadataMetrics, SearchTagValuesRequest, SearchTagValuesResponse, SearchTagValuesV2Response, SearchTagsRequest,
    SearchTagsResponse, SearchTagsV2Response, SearchTagsV2Scope, TagValue,
};
pub(crate) use value::{key_value, text};

/// Whether an answer is all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum PartialStatus {
    Complete = 0,
    Partial = 1,
}

/// The fields `status` and `message`, which are there only when there is something to say.
fn write_status(object: &mut super::jsonpb::Object<'_>, status: PartialStatus, message: &str) {
    if status == PartialStatus::Partial {
        object.string("status", "PARTIAL");
    }
    object.string("message", message);
}

/// Counts that the messages hold in 32 bits stop at the largest they can say.
fn saturate(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
