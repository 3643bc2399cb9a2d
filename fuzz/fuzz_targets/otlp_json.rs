//! Any bytes as an OTLP/JSON request: no panic, and what is taken can be indexed and read back unchanged.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use spanlake_otlp::{Limits, Reason, arbitrary, decode_json, index, readable};

fuzz_target!(|data: &[u8]| {
    let request = match decode_json(data) {
        Ok(request) => request,
        Err(error) => {
            assert!(error.line >= 1 && !error.what.is_empty(), "{error}");
            return;
        }
    };
    let limits = Limits { max_attributes: usize::MAX, ..Limits::default() };
    let batch = index(Bytes::from(request.encode_to_vec()), &limits).expect("prost encodes well-formed messages");
    assert_eq!(batch.rejected.count(Reason::InvalidUtf8), 0);
    if batch.rejected.count(Reason::TooDeep) == 0 && batch.truncated_spans == 0 {
        // Encodings are compared because NaN does not equal itself.
        let read = readable::request(&batch).encode_to_vec();
        assert_eq!(read, arbitrary::canonical(&request).encode_to_vec());
    }
});
