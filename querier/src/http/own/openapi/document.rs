//! Puts an OpenAPI document together, operation by operation. Knows no endpoint.

use serde_json::{Map, Value, json};

use crate::http::own::describe::{Described, Schemas};
use crate::http::request::JSON;

/// What nearly every endpoint that reads may answer instead.
pub(crate) const FAILURES: &[&str] = &["400", "401", "422", "429", "500", "503", "504"];

const TEXT: &str = "text/plain";

/// A document that grows.
pub(crate) struct Document {
    paths: Map<String, Value>,
    parameters: Map<String, Value>,
    schemas: Schemas,
}

/// An operation that is being described; [`Operation::add`] puts it into its document.
#[must_use]
pub(crate) struct Operation<'a> {
    document: &'a mut Document,
    method: &'static str,
    path: &'static str,
    value: Value,
    parameters: Vec<Value>,
    responses: Map<String, Value>,
}

/// A parameter of the URL.
pub(crate) fn query(name: &str, text: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": text, "schema": schema })
}

/// A parameter of the URL that must be there.
pub(crate) fn required(name: &str, text: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "required": true, "description": text, "schema": schema })
}

/// A parameter that several operations have: `tenant`, `start`, `end`, `since`, `query` or what a module added.
pub(crate) fn shared(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

/// The schema of a whole number with bounds and a default.
pub(crate) fn integer(minimum: u64, maximum: u64, default: u64) -> Value {
    json!({ "type": "integer", "minimum": minimum, "maximum": maximum, "default": default })
}

fn failure(status: &str) -> (&'static str, &'static str) {
    match status {
        "400" => ("wrong", "A parameter is wrong; the text says which and how."),
        "401" => ("noTenant", "No tenant is named although tenancy is on."),
        "403" => (
            "otherSite",
            "A page of another site asks for a change; only this server's own pages and other programs may.",
        ),
        "404" => ("absent", "There is no such thing, as far as this tenant and time go."),
        "422" => ("tooLarge", "A bound was reached; the text names its setting."),
        "429" => ("busy", "Too many queries run and wait; come again after Retry-After."),
        "503" => ("unavailable", "The object store is out of reach."),
        "504" => ("timeLimit", "The query took longer than allowed."),
        _ => ("fault", "An object is damaged or missing, or a fault of Spanlake."),
    }
}

impl Document {
    pub(crate) fn new() -> Self {
        let mut document = Self { paths: Map::new(), parameters: Map::new(), schemas: Schemas::default() };
        let text = json!({ "type": "string" });
        document.parameter(
            "tenant",
            json!({
                "name": "X-Scope-OrgID",
                "in": "header",
                "description": "The tenant, or several joined by `|`. Needed when tenancy is on, ignored when it is off.",
                "schema": text,
            }),
        );
        document.parameter("query", required("q", "TraceQL.", text.clone()));
        let start = "Start of the time asked about: Unix seconds, Unix nanoseconds (more than 10 digits) or RFC 3339. \
                     All time without start, end and since.";
        document.parameter("start", query("start", start, text.clone()));
        document.parameter("end", query("end", "End of the time asked about, as start.", text.clone()));
        let since = "Length of the time asked about, up to end or now: 15m, 1h, 7d.";
        document.parameter("since", query("since", since, text.clone()));
        document.parameter(
            "traceId",
            json!({
                "name": "id",
                "in": "path",
                "required": true,
                "description": "Up to 32 hexadecimal digits.",
                "schema": text,
            }),
        );
        document
    }

    /// A parameter that several operations have.
    pub(crate) fn parameter(&mut self, name: &str, parameter: Value) {
        self.parameters.insert(name.to_owned(), parameter);
    }

    /// A schema that is written by hand, and the reference to it.
    pub(crate) fn schema(&mut self, name: &'static str, schema: Value) -> Value {
        self.schemas.named(name, |_| schema)
    }

    pub(crate) fn get(&mut self, path: &'static str, id: &str, summary: &str) -> Operation<'_> {
        self.operation("get", path, id, summary)
    }

    pub(crate) fn post(&mut self, path: &'static str, id: &str, summary: &str) -> Operation<'_> {
        self.operation("post", path, id, summary)
    }

    pub(crate) fn operation(
        &mut self,
        method: &'static str,
        path: &'static str,
        id: &str,
        summary: &str,
    ) -> Operation<'_> {
        Operation {
            document: self,
            method,
            path,
            value: json!({ "operationId": id, "summary": summary }),
            parameters: Vec::new(),
            responses: Map::new(),
        }
    }

    /// The whole document.
    pub(crate) fn into_json(self) -> Value {
        let mut responses = Map::new();
        for status in ["400", "401", "403", "404", "422", "429", "500", "503", "504"] {
            let (name, text) = failure(status);
            responses.insert(name.to_owned(), json!({ "description": text, "content": { TEXT: {} } }));
        }
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Spanlake",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Spanlake's own endpoints. It also answers Grafana Tempo's query API (/api/search, \
                    /api/traces, /api/metrics and others), which is described by Tempo. Failures are plain text with a \
                    sentence.",
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "paths": self.paths,
            "components": {
                "parameters": self.parameters,
                "responses": responses,
                "schemas": self.schemas.into_json(),
            },
        })
    }
}

impl Operation<'_> {
    /// What there is to know beside the summary.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.value["description"] = json!(text);
        self
    }

    /// Its parameters.
    pub(crate) fn parameters(mut self, parameters: impl IntoIterator<Item = Value>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// Its body.
    pub(crate) fn body(mut self, media_type: &str, schema: Value) -> Self {
        let mut content = self.value["requestBody"]["content"].take();
        content[media_type] = json!({ "schema": schema });
        self.value["requestBody"] = json!({ "content": content });
        self
    }

    /// Its body, as JSON of this type.
    pub(crate) fn takes<T: Described>(self) -> Self {
        let schema = T::schema(&mut self.document.schemas);
        self.body(JSON, schema)
    }

    /// What it answers with 200, as JSON of this type.
    pub(crate) fn answers<T: Described>(self, text: &str) -> Self {
        let schema = T::schema(&mut self.document.schemas);
        self.answers_as("200", text, JSON, schema)
    }

    /// What it answers with this status. May be called again for another media type.
    pub(crate) fn answers_as(mut self, status: &str, text: &str, media_type: &str, schema: Value) -> Self {
        let mut content =
            self.responses.get_mut(status).map_or_else(|| json!({}), |response| response["content"].take());
        content[media_type] = json!({ "schema": schema });
        self.responses.insert(status.to_owned(), json!({ "description": text, "content": content }));
        self
    }

    /// What it answers with 200, in any of these media types.
    pub(crate) fn answers_plain(mut self, text: &str, media_types: &[&str]) -> Self {
        let content: Map<String, Value> = media_types.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
        self.responses.insert("200".to_owned(), json!({ "description": text, "content": content }));
        self
    }

    /// What it may answer instead.
    pub(crate) fn fails(mut self, statuses: &[&str]) -> Self {
        for status in statuses {
            let (name, _) = failure(status);
            let reference = json!({ "$ref": format!("#/components/responses/{name}") });
            self.responses.insert((*status).to_owned(), reference);
        }
        self
    }

    /// Puts it into the document.
    pub(crate) fn add(mut self) {
        if !self.parameters.is_empty() {
            self.value["parameters"] = Value::Array(self.parameters);
        }
        self.value["responses"] = Value::Object(self.responses);
        let path = self.document.paths.entry(self.path).or_insert_with(|| json!({}));
        path[self.method] = self.value;
    }
}
