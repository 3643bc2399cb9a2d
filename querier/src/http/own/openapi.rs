//! `/api/v1/openapi.json`: the description of our own endpoints.

use ::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use crate::http::request::JSON;

/// OpenAPI 3.1, with a place for the version.
const DOCUMENT: &str = include_str!("openapi.json");
const VERSION_PLACE: &str = "@VERSION@";

/// `/api/v1/openapi.json`
pub(crate) async fn document() -> Response {
    ([(CONTENT_TYPE, JSON)], text()).into_response()
}

fn text() -> String {
    DOCUMENT.replacen(VERSION_PLACE, env!("CARGO_PKG_VERSION"), 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::http::sql::FORMATS;

    /// Every `$ref` leads somewhere, and every operation says what it answers.
    #[test]
    fn the_document_is_whole() {
        let document: Value = serde_json::from_str(&text()).expect("JSON");
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        for part in text().split("\"$ref\": \"#").skip(1) {
            let pointer = part.split('"').next().expect("a part");
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for (method, operation) in operations.as_object().expect("operations") {
                assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{method} {path}");
                let succeeds = ["200", "202"].iter().any(|status| operation["responses"][status].is_object());
                assert!(succeeds, "{method} {path}");
            }
        }
    }

    #[test]
    fn sql_has_the_formats_there_are() {
        let document: Value = serde_json::from_str(&text()).expect("JSON");
        let names: Vec<&str> = FORMATS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(document["components"]["parameters"]["sqlFormat"]["schema"]["enum"], serde_json::json!(names));
        for method in ["get", "post"] {
            let content = &document["paths"]["/api/v1/sql"][method]["responses"]["200"]["content"];
            let described: BTreeSet<&str> =
                content.as_object().expect("an object").keys().map(String::as_str).collect();
            assert_eq!(described, FORMATS.iter().map(|(_, media_type, _)| *media_type).collect(), "{method}");
        }
    }
}
