//! The names of intrinsics and attributes: which there are, which of them a text means, and how each is written.

use std::fmt;

use crate::ast::{Field, Intrinsic, Scope};

/// Every intrinsic with its canonical name and the names it may have: first without a scope, then with one.
const INTRINSICS: [(Intrinsic, Option<&str>, Option<&str>); 21] = [
    (Intrinsic::Duration, Some("duration"), Some("span:duration")),
    (Intrinsic::Name, Some("name"), Some("span:name")),
    (Intrinsic::Status, Some("status"), Some("span:status")),
    (Intrinsic::StatusMessage, Some("statusMessage"), Some("span:statusMessage")),
    (Intrinsic::Kind, Some("kind"), Some("span:kind")),
    (Intrinsic::SpanId, None, Some("span:id")),
    (Intrinsic::ParentId, None, Some("span:parentID")),
    (Intrinsic::ChildCount, None, Some("span:childCount")),
    (Intrinsic::RootName, Some("rootName"), Some("trace:rootName")),
    (Intrinsic::RootServiceName, Some("rootServiceName"), Some("trace:rootService")),
    (Intrinsic::TraceDuration, Some("traceDuration"), Some("trace:duration")),
    (Intrinsic::TraceId, None, Some("trace:id")),
    (Intrinsic::NestedSetLeft, Some("nestedSetLeft"), None),
    (Intrinsic::NestedSetRight, Some("nestedSetRight"), None),
    (Intrinsic::NestedSetParent, Some("nestedSetParent"), None),
    (Intrinsic::EventName, None, Some("event:name")),
    (Intrinsic::EventTimeSinceStart, None, Some("event:timeSinceStart")),
    (Intrinsic::LinkTraceId, None, Some("link:traceID")),
    (Intrinsic::LinkSpanId, None, Some("link:spanID")),
    (Intrinsic::InstrumentationName, None, Some("instrumentation:name")),
    (Intrinsic::InstrumentationVersion, None, Some("instrumentation:version")),
];

/// Characters that end the name of an attribute, besides white space.
const NAME_ENDS: [char; 13] = ['{', '}', '(', ')', '=', '~', '!', '<', '>', '&', '|', '^', ','];

/// Whether a name without quotes ends before this character.
pub(crate) fn ends_name(character: char) -> bool {
    character.is_whitespace() || NAME_ENDS.contains(&character)
}

impl Intrinsic {
    /// All of them, in the order of the type.
    pub fn all() -> impl Iterator<Item = Self> {
        INTRINSICS.iter().map(|(intrinsic, ..)| *intrinsic)
    }

    /// The one name that labels and answers show, whichever was typed: the older one without a scope where there is
    /// one.
    pub fn name(self) -> &'static str {
        let (_, plain, scoped) =
            INTRINSICS.iter().find(|(intrinsic, ..)| *intrinsic == self).expect("the table has every intrinsic");
        plain.or(*scoped).expect("every intrinsic has a name")
    }

    /// From any of its names: `name`, `span:name`.
    pub fn from_name(name: &str) -> Option<Self> {
        let is_named = |names: &[Option<&str>]| names.contains(&Some(name));
        INTRINSICS.iter().find(|(_, plain, scoped)| is_named(&[*plain, *scoped])).map(|(intrinsic, ..)| *intrinsic)
    }

    /// Every name of every intrinsic.
    pub(crate) fn all_names() -> impl Iterator<Item = &'static str> {
        INTRINSICS.iter().flat_map(|(_, plain, scoped)| plain.iter().chain(scoped).copied())
    }
}

impl Scope {
    /// The word before the dot; none for an attribute without a scope.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Any => None,
            Self::Span => Some("span"),
            Self::Resource => Some("resource"),
            Self::Event => Some("event"),
            Self::Link => Some("link"),
            Self::Instrumentation => Some("instrumentation"),
        }
    }

    /// From the word before the dot.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Span, Self::Resource, Self::Event, Self::Link, Self::Instrumentation]
            .into_iter()
            .find(|scope| scope.word() == Some(word))
    }
}

impl fmt::Display for Intrinsic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (of_parent, scope, key) = match self {
            Self::Intrinsic(intrinsic) => return intrinsic.fmt(f),
            Self::Attribute { of_parent, scope, key } => (*of_parent, *scope, key.as_str()),
        };
        if of_parent {
            f.write_str("parent.")?;
        }
        match scope.word() {
            Some(word) => write!(f, "{word}.")?,
            None if of_parent => {}
            None => f.write_str(".")?,
        }
        if needs_quotes(of_parent, scope, key) {
            write!(f, "\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""))
        } else {
            f.write_str(key)
        }
    }
}

/// Whether the bare key would be read as something else.
fn needs_quotes(of_parent: bool, scope: Scope, key: &str) -> bool {
    let is_other_text = key.is_empty() || key.chars().any(|c| ends_name(c) || c == '"' || c == '\\');
    let looks_like_number = scope == Scope::Any && !of_parent && key.starts_with(|c: char| c.is_ascii_digit());
    let looks_scoped =
        scope == Scope::Any && of_parent && ["span.", "resource."].iter().any(|prefix| key.starts_with(prefix));
    is_other_text || looks_like_number || looks_scoped
}
