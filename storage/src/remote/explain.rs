//! Reading the errors of the `object_store` crate: which kind they are, and whether a create may have happened.

use std::error::Error as _;

use object_store::Error as Cause;
use object_store::client::{HttpError, HttpErrorKind};

use crate::error::{Error, Kind, Operation};
use crate::retry::shorten;

/// Turns a client's error into ours. Doubtful creates count as "may have happened": that costs one read.
pub(super) fn explain(operation: Operation, key: &str, cause: Cause) -> Error {
    let text = full_text(&cause);
    let kind = kind_of(&cause, &text);
    let message = match kind {
        Kind::NotFound => "there is no such object".to_owned(),
        Kind::AlreadyExists => "the key is taken, or another create of it is under way".to_owned(),
        Kind::Invalid if text.contains("NoSuchBucket") => format!("the bucket does not exist: {}", shorten(&text)),
        _ => shorten(&text),
    };
    let unsent = matches!(http_error(&cause).map(HttpError::kind), Some(HttpErrorKind::Connect));
    let doubtful = match kind {
        Kind::Unavailable => !unsent,
        // A server that is overloaded may have stored the object before it gave up; one that counts requests did not.
        Kind::Throttled => status_of(&text) != Some(429),
        _ => false,
    };
    let error = Error::new(kind, operation, key, message).with_source(cause);
    if operation == Operation::Put && doubtful { error.that_may_have_happened() } else { error }
}

fn kind_of(cause: &Cause, text: &str) -> Kind {
    if text.contains("NoSuchBucket") || text.contains("ContainerNotFound") {
        return Kind::Invalid;
    }
    match cause {
        Cause::NotFound { .. } => return Kind::NotFound,
        Cause::AlreadyExists { .. } | Cause::Precondition { .. } | Cause::NotModified { .. } => {
            return Kind::AlreadyExists;
        }
        Cause::PermissionDenied { .. } | Cause::Unauthenticated { .. } => return Kind::Denied,
        Cause::InvalidPath { .. }
        | Cause::NotSupported { .. }
        | Cause::NotImplemented { .. }
        | Cause::UnknownConfigurationKey { .. } => return Kind::Invalid,
        _ => {}
    }
    match status_of(text) {
        Some(404) => Kind::NotFound,
        Some(409 | 412) => Kind::AlreadyExists,
        Some(401 | 403) => Kind::Denied,
        Some(416) => Kind::Damaged,
        Some(429 | 503) => Kind::Throttled,
        Some(507) => Kind::Full,
        Some(501) => Kind::Invalid,
        Some(400) if text.contains("ExpiredToken") || text.contains("InvalidToken") => Kind::Denied,
        Some(400) if text.contains("RequestTimeout") => Kind::Unavailable,
        Some(400..=499) => Kind::Invalid,
        _ if text.contains("SlowDown") => Kind::Throttled,
        _ if starts_past_the_end(text) => Kind::Damaged,
        _ => Kind::Unavailable,
    }
}

/// The client itself finds out when a range begins behind the object's end, and says so only in words.
fn starts_past_the_end(text: &str) -> bool {
    text.contains("InvalidRange") || text.contains("too large for object") || text.contains("Range started at")
}

/// The HTTP status in an error's text. The client keeps the status in a type it does not export.
fn status_of(text: &str) -> Option<u16> {
    const BEFORE: &str = "status code: ";
    let at = text.find(BEFORE)? + BEFORE.len();
    text.get(at..at + 3)?.parse().ok()
}

fn http_error(cause: &Cause) -> Option<&HttpError> {
    let mut next = cause.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<HttpError>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The error and its causes, without those whose words the one above already repeats.
fn full_text(cause: &Cause) -> String {
    let mut text = cause.to_string();
    let mut next = cause.source();
    while let Some(error) = next {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        next = error.source();
    }
    text
}
