//! Series over time: what is asked over gRPC, what is answered.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use spanlake_traceql::Value;

use super::search::{SearchMetrics, write_metrics};
use super::{PartialStatus, key_value, write_status};
use crate::engine::{self, MetricsAnswer};
use crate::http::jsonpb::{self, Object};

/// A metrics query over gRPC; what is zero or empty is not asked.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct QueryRangeRequest {
    #[prost(string, tag = "1")]
    pub(crate) query: String,
    /// Unix nanoseconds.
    #[prost(uint64, tag = "2")]
    pub(crate) start: u64,
    /// Unix nanoseconds.
    #[prost(uint64, tag = "3")]
    pub(crate) end: u64,
    /// Nanoseconds.
    #[prost(uint64, tag = "4")]
    pub(crate) step: u64,
    #[prost(uint32, tag = "16")]
    pub(crate) exemplars: u32,
    #[prost(uint32, tag = "17")]
    pub(crate) max_series: u32,
    /// Whether one value over the whole time is asked for.
    #[prost(bool, optional, tag = "18")]
    pub(crate) instant: Option<bool>,
}

/// A metrics query over gRPC for one value a series.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct QueryInstantRequest {
    #[prost(string, tag = "1")]
    pub(crate) query: String,
    /// Unix nanoseconds.
    #[prost(uint64, tag = "2")]
    pub(crate) start: u64,
    /// Unix nanoseconds.
    #[prost(uint64, tag = "3")]
    pub(crate) end: u64,
}

/// The answer of `/api/metrics/query_range`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct QueryRangeResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) series: Vec<TimeSeries>,
    #[prost(message, optional, tag = "2")]
    pub(crate) metrics: Option<SearchMetrics>,
    #[prost(enumeration = "PartialStatus", tag = "3")]
    pub(crate) status: i32,
    #[prost(string, tag = "4")]
    pub(crate) message: String,
}

/// One series.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<KeyValue>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) exemplars: Vec<Exemplar>,
}

/// The value of a series at a time.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Sample {
    #[prost(double, tag = "1")]
    pub(crate) value: f64,
    #[prost(int64, tag = "2")]
    pub(crate) timestamp_ms: i64,
}

/// A span behind a sample.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<KeyValue>,
    #[prost(double, tag = "2")]
    pub(crate) value: f64,
    #[prost(int64, tag = "3")]
    pub(crate) timestamp_ms: i64,
}

/// The answer of `/api/metrics/query`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct QueryInstantResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) series: Vec<InstantSeries>,
    #[prost(message, optional, tag = "2")]
    pub(crate) metrics: Option<SearchMetrics>,
    #[prost(enumeration = "PartialStatus", tag = "3")]
    pub(crate) status: i32,
    #[prost(string, tag = "4")]
    pub(crate) message: String,
}

/// One series and its one value.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct InstantSeries {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<KeyValue>,
    #[prost(double, tag = "2")]
    pub(crate) value: f64,
}

fn labels(labels: Vec<(String, Value)>) -> Vec<KeyValue> {
    labels.into_iter().map(|(key, value)| key_value(key, &value)).collect()
}

/// Why there is not all of it, as a status and a message.
fn status(partial: Option<String>) -> (i32, String) {
    match partial {
        Some(reason) => (PartialStatus::Partial.into(), reason),
        None => (PartialStatus::Complete.into(), String::new()),
    }
}

impl From<engine::Series> for TimeSeries {
    fn from(series: engine::Series) -> Self {
        let sample = |(timestamp_ms, value)| Sample { value, timestamp_ms };
        let exemplar = |exemplar: engine::Exemplar| Exemplar {
            labels: labels(exemplar.labels),
            value: exemplar.value,
            timestamp_ms: exemplar.timestamp_ms,
        };
        Self {
            labels: labels(series.labels),
            samples: series.samples.into_iter().map(sample).collect(),
            exemplars: series.exemplars.into_iter().map(exemplar).collect(),
        }
    }
}

impl From<MetricsAnswer> for QueryRangeResponse {
    fn from(answer: MetricsAnswer) -> Self {
        let (status, message) = status(answer.partial);
        let series = answer.series.into_iter().filter(|series| !series.samples.is_empty());
        Self {
            series: series.map(TimeSeries::from).collect(),
            metrics: Some(SearchMetrics::of_metrics(&answer.stats)),
            status,
            message,
        }
    }
}

impl From<MetricsAnswer> for QueryInstantResponse {
    fn from(answer: MetricsAnswer) -> Self {
        let (status, message) = status(answer.partial);
        let series = answer.series.into_iter().filter_map(|series| {
            let (_, value) = *series.samples.last()?;
            Some(InstantSeries { labels: labels(series.labels), value })
        });
        Self { series: series.collect(), metrics: Some(SearchMetrics::of_metrics(&answer.stats)), status, message }
    }
}

impl QueryRangeResponse {
    /// As protobuf JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let series = |object: &mut Object<'_>| object.whole_list("series", &self.series, write_series);
        write_response(series, self.metrics.as_ref(), self.status(), &self.message)
    }
}

impl QueryInstantResponse {
    /// As protobuf JSON. Without any series the list is left out, as Tempo does.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let series = |object: &mut Object<'_>| object.list("series", &self.series, write_instant);
        write_response(series, self.metrics.as_ref(), self.status(), &self.message)
    }
}

/// What both answers have around their series.
fn write_response(
    series: impl FnOnce(&mut Object<'_>),
    metrics: Option<&SearchMetrics>,
    status: PartialStatus,
    message: &str,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut object = Object::open(&mut out);
    series(&mut object);
    object.message("metrics", metrics, write_metrics);
    write_status(&mut object, status, message);
    object.close();
    out
}

fn write_series(out: &mut Vec<u8>, series: &TimeSeries) {
    let mut object = Object::open(out);
    object.whole_list("labels", &series.labels, jsonpb::write_key_value);
    object.whole_list("samples", &series.samples, write_sample);
    object.list("exemplars", &series.exemplars, write_exemplar);
    object.close();
}

fn write_sample(out: &mut Vec<u8>, sample: &Sample) {
    let mut object = Object::open(out);
    object.i64("timestampMs", sample.timestamp_ms);
    object.f64("value", sample.value);
    object.close();
}

fn write_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    let mut object = Object::open(out);
    object.whole_list("labels", &exemplar.labels, jsonpb::write_key_value);
    object.f64("value", exemplar.value);
    object.i64("timestampMs", exemplar.timestamp_ms);
    object.close();
}

fn write_instant(out: &mut Vec<u8>, series: &InstantSeries) {
    let mut object = Object::open(out);
    object.whole_list("labels", &series.labels, jsonpb::write_key_value);
    object.f64("value", series.value);
    object.close();
}
