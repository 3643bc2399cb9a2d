//! What a JSON document is, told by its outermost keys. Values are skipped, not kept.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Most outermost keys that are looked at: the ones that tell come early, and no format has as many.
const MAX_KEYS: usize = 64;

/// Which reader takes a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// `{"resourceSpans":[..]}`.
    Otlp,
    /// OTLP in a frame: `{"batches":[..]}`, `{"trace":{..}}`, `{"result":{..}}`, one `ResourceSpans` or an array of them.
    Framed,
    /// `{"data":[{"traceID":..}]}`, one such trace, or an array of them.
    Jaeger,
    /// An array of spans, or of arrays of spans.
    Zipkin,
    /// An array of nothing, or an object of nothing.
    Nothing,
    /// Something else, in words.
    Other(&'static str),
}

/// The outermost keys of a document.
#[derive(Debug)]
pub(crate) struct Shape {
    array_depth: u8,
    is_object: bool,
    keys: Vec<String>,
}

impl Shape {
    pub(crate) fn content(&self) -> Content {
        let has = |key: &str| self.keys.iter().any(|found| found == key);
        let any = |keys: &[&str]| keys.iter().any(|key| has(key));
        if !self.is_object {
            return if self.array_depth > 0 { Content::Nothing } else { Content::Other("it is a bare JSON value") };
        }
        if any(&["resourceSpans", "resource_spans"]) {
            return if self.array_depth == 0 { Content::Otlp } else { Content::Framed };
        }
        if any(&["batches", "scopeSpans", "scope_spans", "instrumentationLibrarySpans"]) {
            return Content::Framed;
        }
        if has("binaryAnnotations") {
            return Content::Other("it is Zipkin's JSON of version 1: export it as version 2");
        }
        if has("traceId") && has("id") {
            return Content::Zipkin;
        }
        if has("traceID") {
            return Content::Jaeger;
        }
        if self.array_depth == 0 && has("data") {
            return Content::Jaeger;
        }
        if self.array_depth == 0 && any(&["trace", "result"]) {
            return Content::Framed;
        }
        if any(&["resourceLogs", "resource_logs"]) {
            return Content::Other("it holds OTLP logs, no spans");
        }
        if any(&["resourceMetrics", "resource_metrics"]) {
            return Content::Other("it holds OTLP metrics, no spans");
        }
        if has("traceEvents") {
            return Content::Other("it is a trace of Chrome's profiler");
        }
        if self.keys.is_empty() { Content::Nothing } else { Content::Other("its JSON has none of their keys") }
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look { array_depth: 0 })
    }
}

/// Looks at a value in `array_depth` arrays. Recursion ends at two arrays.
struct Look {
    array_depth: u8,
}

impl Look {
    fn scalar<E>(self) -> Result<Shape, E> {
        Ok(Shape { array_depth: self.array_depth, is_object: false, keys: Vec::new() })
    }
}

impl<'de> DeserializeSeed<'de> for Look {
    type Value = Shape;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        if self.array_depth > 2 {
            IgnoredAny::deserialize(deserializer)?;
            return self.scalar();
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut keys = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            if keys.len() < MAX_KEYS {
                keys.push(key);
            }
        }
        Ok(Shape { array_depth: self.array_depth, is_object: true, keys })
    }

    /// The first element that tells something stands for all.
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Shape, A::Error> {
        let nothing = Shape { array_depth: self.array_depth + 1, is_object: false, keys: Vec::new() };
        let mut found = nothing;
        while !found.is_object {
            match elements.next_element_seed(Look { array_depth: self.array_depth + 1 })? {
                Some(shape) => found = shape,
                None => return Ok(found),
            }
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_unit<E: Error>(self) -> Result<Shape, E> {
        self.scalar()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Shape, E> {
        self.scalar()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Shape, E> {
        self.scalar()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Shape, E> {
        self.scalar()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Shape, E> {
        self.scalar()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Shape, E> {
        self.scalar()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_keys_tell() {
        let check = |json: &str, expected: Content| {
            let shape: Shape = serde_json::from_str(json).expect("JSON");
            assert_eq!(shape.content(), expected, "{json}");
        };
        check(r#"{"resourceSpans":[]}"#, Content::Otlp);
        check(r#"{"batches":[{"resource":{}}]}"#, Content::Framed);
        check(r#"{"trace":{"resourceSpans":[]}}"#, Content::Framed);
        check(r#"[{"resource":{},"scopeSpans":[]}]"#, Content::Framed);
        check(r#"{"data":[{"traceID":"1"}],"total":0}"#, Content::Jaeger);
        check(r#"{"traceID":"1","spans":[]}"#, Content::Jaeger);
        check(r#"[null,{"traceId":"1","id":"2"}]"#, Content::Zipkin);
        check(r#"[[],[{"id":"2","traceId":"1"}]]"#, Content::Zipkin);
        check("[[[[[]]]]]", Content::Nothing);
        check("{}", Content::Nothing);
        check("[3]", Content::Nothing);
        check(r#""text""#, Content::Other("it is a bare JSON value"));
        check(r#"{"a":[{"resourceSpans":[]}]}"#, Content::Other("its JSON has none of their keys"));
    }
}
