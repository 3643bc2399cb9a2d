//! Requests made ready for sending: read or generated, counted, compressed if asked for.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::ReplayArgs;
use crate::corpus::{Corpus, Message, Reader, Spec, write_ids};
use crate::{Error, corpus};

/// One request, ready to be sent.
pub(super) struct Parcel {
    pub body: Bytes,
    pub span_count: u64,
    /// Spans in all requests before it, for pacing.
    pub spans_before: u64,
}

/// Where requests come from.
pub(super) enum Source {
    File(Reader),
    Generated(Box<Corpus>, Option<std::path::PathBuf>),
}

impl Source {
    pub(super) fn open(args: &ReplayArgs) -> Result<Self, Error> {
        if let Some(path) = &args.corpus {
            return Reader::open(path).map(Self::File);
        }
        let mut spec: Spec = args.generate.spec();
        if args.now {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            spec.start_unix_nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        }
        Ok(Self::Generated(Box::new(Corpus::new(&spec)), args.ids.clone()))
    }

    /// The requests in order. After the last generated one the ids are written.
    pub(super) fn parcels(self, gzip: bool) -> impl Iterator<Item = Result<Parcel, Error>> {
        let mut spans_before = 0;
        let mut source = self;
        std::iter::from_fn(move || source.next(gzip).transpose()).map(move |made| {
            let (body, span_count) = made?;
            let parcel = Parcel { body, span_count, spans_before };
            spans_before += span_count;
            Ok(parcel)
        })
    }

    fn next(&mut self, gzip: bool) -> Result<Option<(Bytes, u64)>, Error> {
        match self {
            Self::File(reader) => {
                let Some(message) = reader.next().transpose()? else { return Ok(None) };
                let plain = message.clone().into_plain().map_err(Error::file(reader.path()))?;
                let plain = Bytes::from(plain);
                let span_count = corpus::span_count(plain.clone());
                let body = if gzip { message.into_gzip().into() } else { plain };
                Ok(Some((body, span_count)))
            }
            Self::Generated(corpus, ids) => {
                if let Some(request) = corpus.next() {
                    let span_count = u64::from(request.span_count);
                    let body = if gzip { Message::plain(request.body).into_gzip() } else { request.body };
                    return Ok(Some((body.into(), span_count)));
                }
                if let Some(path) = ids.take() {
                    write_ids(&path, corpus.figures().known_traces())?;
                }
                Ok(None)
            }
        }
    }
}
