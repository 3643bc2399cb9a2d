//! The receivers: HTTP and gRPC around one way of handling a request.
//!
//! Both take the body apart their own way, then meet in [`Receiver::receive`]: read, decompress, decode, store. Both put
//! the outcome into their own words from one table, [`answer`].

mod answer;
mod body;
mod cors;
mod decompress;
mod discards;
mod grpc;
mod http;
mod tenant;

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use prost::Message;
use spanlake_model::Tenant;
use spanlake_otlp::answer::Encoding;

use crate::config::ReceiverConfig;
use crate::error::PushError;
use crate::ingester::{Accepted, Admission, INLINE_BYTES, Ingester};

use self::body::{BodyReader, Length};
use self::decompress::Compression;
use self::discards::Discards;

pub use self::grpc::grpc_router;
pub use self::http::http_router;

/// What a JSON object takes once decoded, about: an attribute takes less for its two, a span more for its one.
const JSON_OBJECT_BYTES: usize = 128;

/// What any other element of a JSON array takes once decoded, about.
const JSON_ELEMENT_BYTES: usize = 32;

/// Shared by all requests of one router.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub ingester: Ingester,
    pub config: ReceiverConfig,
    discards: Discards,
}

/// How a request is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    pub encoding: Encoding,
    pub compression: Compression,
}

impl Receiver {
    pub fn new(ingester: Ingester, config: ReceiverConfig) -> Arc<Self> {
        Arc::new(Self { ingester, config, discards: Discards::new() })
    }

    /// Reads one request, stores it and says what was stored. Memory is charged to the tenant before it is filled.
    pub async fn receive(
        &self,
        tenant: Tenant,
        form: Form,
        body: &mut BodyReader,
        length: Length,
    ) -> Result<Accepted, PushError> {
        let limits = &self.ingester.shared().config;
        let mut admission = self.ingester.admit(tenant)?;
        let sent = body.read(length, limits.max_request_bytes.as_usize(), &mut admission).await?;
        if matches!(length, Length::Exact(_)) && !body.at_end().await? {
            return Err(PushError::Malformed("a unary call has one message, and something follows it".to_owned()));
        }
        let sent_bytes = sent.len();
        let max_bytes = limits.max_decompressed_bytes.as_usize();
        let plain =
            decompress::decompress(self.ingester.shared(), &mut admission, form.compression, sent, max_bytes).await?;
        let request = match form.encoding {
            Encoding::Protobuf => plain,
            Encoding::Json => self.transcode(&mut admission, plain).await?,
        };
        let accepted = admission.store(request).await?;
        self.discards.accepted(sent_bytes);
        Ok(accepted)
    }

    /// Reads what is left of a refused body away.
    pub async fn discard(&self, body: Body) {
        self.discards.discard(body, self.ingester.until_closing()).await;
    }

    /// OTLP/JSON to protobuf.
    async fn transcode(&self, admission: &mut Admission, json: Bytes) -> Result<Bytes, PushError> {
        // Three bytes of JSON can become a span of some hundred, so the body's size says little.
        let decoded_bytes = json.iter().map(|byte| match byte {
            b'{' => JSON_OBJECT_BYTES,
            b',' => JSON_ELEMENT_BYTES,
            _ => 1,
        });
        let decoded_bytes: usize = decoded_bytes.sum();
        admission.hold(json.len() + decoded_bytes).await?;
        let work = move || -> Result<Vec<u8>, PushError> {
            let request = spanlake_otlp::decode_json(&json).map_err(|error| PushError::Malformed(error.to_string()))?;
            Ok(request.encode_to_vec())
        };
        let protobuf = if decoded_bytes > INLINE_BYTES {
            let outcome = self.ingester.shared().on_cpu(&admission.tenant(), decoded_bytes, work).await;
            outcome.ok_or_else(|| PushError::Internal(Arc::from("the JSON decoder panicked")))??
        } else {
            work()?
        };
        Ok(admission.keep(protobuf))
    }
}

#[cfg(test)]
mod tests;
