//! Which spans of a trace a text means: a part of any of their texts, `key=value`, or a regular expression between slashes.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use regex::{Regex, RegexBuilder};
use spanlake_analysis::OtlpTrace;

use super::detail::value_text;
use crate::client::Failure;

/// Largest compiled expression.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// What spans are held against.
#[derive(Debug)]
pub enum Matcher {
    /// A part of a text, in lower case.
    Part(String),
    /// An attribute with exactly this value.
    Attribute(String, String),
    /// A regular expression.
    Regex(Regex),
}

impl Matcher {
    /// Reads what the user wrote.
    ///
    /// # Errors
    /// If it is empty, or a regular expression that cannot be read.
    pub fn new(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Failure::usage("--filter: there is nothing to look for"));
        }
        if text.starts_with('{') {
            return Err(Failure::usage(
                "--filter: TraceQL finds traces (`spanlake search`); here write a part of a text, key=value or /a regular expression/",
            ));
        }
        if let Some(pattern) = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|p| !p.is_empty())
        {
            let regex = RegexBuilder::new(pattern).size_limit(MAX_REGEX_BYTES).build();
            let line = |error: regex::Error| error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            return regex.map(Self::Regex).map_err(|error| Failure::usage(format!("--filter: {}", line(error))));
        }
        Ok(match text.split_once('=') {
            Some((key, value)) if !key.contains(' ') => Self::Attribute(key.to_owned(), value.to_owned()),
            _ => Self::Part(text.to_lowercase()),
        })
    }

    /// Whether a span is meant.
    pub fn matches(&self, one: &OtlpTrace<'_>, span: u32) -> bool {
        let skeleton = &one.trace.skeleton;
        let row = skeleton.row(span);
        let Some(found) = one.attributes.span(row) else { return false };
        let resource = one.attributes.resource(row);
        let attributes = || found.attributes.iter().chain(resource);
        if let Self::Attribute(key, value) = self {
            let bare = ["span.", "resource."].into_iter().find_map(|scope| key.strip_prefix(scope)).unwrap_or(key);
            return attributes().any(|pair| (pair.key == *bare || pair.key == *key) && text_of(pair) == *value);
        }
        let message = found.status.as_ref().map_or("", |status| status.message.as_str());
        self.is_in(&skeleton.label(span))
            || self.is_in(message)
            || attributes().any(|pair| self.is_in(&format!("{}={}", pair.key, text_of(pair))))
            || found.events.iter().any(|event| {
                let inside = |pair: &KeyValue| self.is_in(&format!("{}={}", pair.key, text_of(pair)));
                self.is_in(&event.name) || event.attributes.iter().any(inside)
            })
    }

    fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Part(part) => text.to_lowercase().contains(part.as_str()),
            Self::Regex(regex) => regex.is_match(text),
            Self::Attribute(..) => false,
        }
    }
}

fn text_of(pair: &KeyValue) -> String {
    pair.value.as_ref().map_or_else(String::new, value_text)
}

#[cfg(test)]
mod tests {
    use spanlake_analysis::from_otlp;

    use super::*;

    #[test]
    fn spans_are_matched() {
        let file = br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"Shop"}}]},
            "scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","name":"GET /pay",
            "startTimeUnixNano":"1","endTimeUnixNano":"5","attributes":[{"key":"code","value":{"intValue":"503"}}],
            "events":[{"name":"exception","attributes":[{"key":"exception.type","value":{"stringValue":"Timeout"}}]}]}]}]}]}"#;
        let parsed = spanlake_interchange::parse(file).expect("a trace");
        let traces = from_otlp(&parsed.spans);
        let check = |text: &str, expect: bool| {
            assert_eq!(Matcher::new(text).expect("a filter").matches(&traces[0], 0), expect, "{text}");
        };
        check("shop", true);
        check("code=503", true);
        check("span.code=503", true);
        check("code=50", false);
        check("/pa[xy]$/", true);
        check("/^code=5..$/", true);
        check("timeout", true);
        check("absent", false);
        for wrong in ["", "/(/", "{ .a = 1 }"] {
            assert!(Matcher::new(wrong).is_err_and(|failure| failure.code == 2), "{wrong}");
        }
    }
}
