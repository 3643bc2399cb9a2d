//! How an answer becomes messages of a stream: none larger than clients take, an end that is a status.

use std::pin::Pin;

use futures::{Stream, StreamExt as _, stream};
use prost::Message;
use tonic::Status;

use crate::http::live::produce;
use crate::http::refusal::Refusal;

/// Most bytes of a message: half of what Go's client takes. A single trace or series that is larger goes alone.
const MAX_PACKET_BYTES: usize = 2 << 20;

/// The messages of an answer; an error is the last item.
pub(crate) type Packets<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

/// The messages that the work gives once it is done.
pub(crate) fn packets<R: Send + 'static>(
    work: impl Future<Output = Result<Vec<R>, Refusal>> + Send + 'static,
) -> Packets<R> {
    Box::pin(stream::once(work).flat_map(|done| match done {
        Ok(messages) => stream::iter(messages.into_iter().map(Ok).collect::<Vec<_>>()),
        Err(refusal) => stream::iter(vec![Err(refusal.into_status())]),
    }))
}

/// The messages that the work sends while it runs.
pub(crate) fn streamed<R, F>(
    work: impl FnOnce(tokio::sync::mpsc::Sender<Result<R, Status>>) -> F + Send + 'static,
) -> Packets<R>
where
    R: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    Box::pin(produce(work))
}

/// Cuts a list into pieces that fit a message each, in order. Never empty: of nothing it is one empty piece.
pub(crate) fn pieces<M: Message>(items: Vec<M>) -> Vec<Vec<M>> {
    let mut pieces = vec![Vec::new()];
    let mut bytes = 0;
    for item in items {
        let len = item.encoded_len();
        let piece = pieces.last_mut().expect("there is one from the start");
        if piece.is_empty() || bytes + len <= MAX_PACKET_BYTES {
            bytes += len;
            piece.push(item);
        } else {
            bytes = len;
            pieces.push(vec![item]);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tempopb::TagValue;

    #[test]
    fn pieces_fit_a_message() {
        let item = |bytes: usize| TagValue { r#type: String::new(), value: "x".repeat(bytes) };
        let check = |sizes: &[usize], expect: &[usize]| {
            let pieces = pieces(sizes.iter().map(|bytes| item(*bytes)).collect());
            assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), expect, "{sizes:?}");
        };
        let half = MAX_PACKET_BYTES / 2;
        check(&[], &[0]);
        check(&[1, 2, 3], &[3]);
        check(&[half - 10, half - 10, 1], &[3]);
        check(&[half, half, half], &[1, 1, 1]);
        check(&[1, MAX_PACKET_BYTES * 2, 1], &[1, 1, 1]);
    }
}
