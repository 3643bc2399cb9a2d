//! `/api/v1/openapi.json`: the description of our own endpoints. Each module of endpoints describes its own; [`document`] is
//! where they meet.

mod document;

use std::sync::LazyLock;

use ::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

pub(crate) use document::{Document, FAILURES, integer, query, required, shared};

use super::{check, delete, explain, explore, search, status, trace};
use crate::http::request::JSON;
use crate::http::sql;

/// The document as it is answered and as `querier/openapi.json` has it.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut text = serde_json::to_string_pretty(&document()).expect("its keys are texts");
    text.push('\n');
    text
});

/// `/api/v1/openapi.json`
pub(crate) async fn answer() -> Response {
    ([(CONTENT_TYPE, JSON)], TEXT.as_str()).into_response()
}

/// All of our own endpoints.
fn document() -> serde_json::Value {
    let mut document = Document::new();
    search::describe(&mut document);
    check::describe(&mut document);
    explain::describe(&mut document);
    sql::describe(&mut document);
    delete::describe(&mut document);
    trace::describe(&mut document);
    explore::describe(&mut document);
    status::describe(&mut document);
    document.get("/api/v1/openapi.json", "openapi", "This document").answers_plain("OpenAPI 3.1.", &[JSON]).add();
    document.into_json()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::http::sql::FORMATS;

    /// Every `$ref` leads somewhere, and every operation says what it answers.
    #[test]
    fn the_document_is_whole() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        for part in TEXT.split("\"$ref\": \"#").skip(1) {
            let pointer = part.split('"').next().expect("a part");
            assert!(document.pointer(pointer).is_some_and(|found| !found.is_null()), "{pointer}");
        }
        let mut ids = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for (method, operation) in operations.as_object().expect("operations") {
                assert!(operation["summary"].is_string(), "{method} {path}");
                assert!(ids.insert(operation["operationId"].as_str().expect("an id")), "{method} {path}");
                let succeeds = ["200", "202", "204"].iter().any(|status| operation["responses"][status].is_object());
                assert!(succeeds, "{method} {path}");
            }
        }
    }

    #[test]
    fn the_checked_in_copy_is_this_document() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        if std::env::var_os("SPANLAKE_UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, TEXT.as_str()).expect("written");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == *TEXT,
            "querier/openapi.json is not what the code describes: \
             SPANLAKE_UPDATE_GOLDEN=1 cargo test --workspace --lib the_checked_in_copy writes it anew"
        );
    }

    #[test]
    fn sql_has_the_formats_there_are() {
        let document: Value = document();
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
