//! The description of the endpoints about many spans, members as the answers have them: `querier/tests/api` holds real answers
//! against it.

use serde_json::{Map, Value, json};

use crate::http::own::openapi::{Document, FAILURES, integer, query, required, shared};

/// One object: its name, what it is, and its members as name (with `?` if it may be left out), type and text.
type Object = (&'static str, &'static str, &'static [(&'static str, &'static str, &'static str)]);

/// What `Traffic` has, which is put into objects with members of their own.
const TRAFFIC: &[(&str, &str, &str)] = &[
    ("requests", "int", "Requests."),
    ("errors", "int", "Those with status ERROR."),
    ("rate", "num", "Requests a second, over the whole window."),
    ("errorShare", "num", "Errors of all requests, 0 to 1; 0 when there are none."),
    ("p50Nanos?", "int", "Median duration, within 1.6 %."),
    ("p90Nanos?", "int", "The duration that nine of ten do not exceed."),
    ("p99Nanos?", "int", "The duration that 99 of 100 do not exceed."),
    ("series", "TrafficSeries", "The same by column of the window."),
];

const VALUE: &[(&str, &str, &str)] = &[
    ("scope", "text", "`span`, `resource` or `intrinsic`."),
    ("key", "text", "Key of the attribute, or name of the intrinsic."),
    ("value", "any", "The value; null for spans without the attribute."),
    ("type", "text", "`string`, `int`, `double`, `bool` or `keyword`."),
];

const WINDOW: &[(&str, &str, &str)] = &[
    ("startUnixNanos", "time", "First nanosecond of the window."),
    ("endUnixNanos", "time", "The nanosecond after its last one."),
];

const OBJECTS: &[Object] = &[
    (
        "Services",
        "Services with their requests.",
        &[
            ("+window", "", ""),
            ("stepNanos", "int", "Width of a column of the series."),
            ("services", "Service[]", "Most requests first, then by name."),
            ("partial?", "text", "Why not all spans are counted."),
        ],
    ),
    (
        "Service",
        "A service and its requests: spans of kind SERVER and CONSUMER, and spans without a parent.",
        &[
            ("name", "text", "`service.name`; empty for spans whose resource has none."),
            ("namespace?", "text", "`service.namespace`, if all its resources that have one agree."),
            ("spans", "int", "All its spans."),
            ("versions?", "text[]", "The first of its `service.version`s, in order."),
            ("+traffic", "", ""),
        ],
    ),
    (
        "TrafficSeries",
        "One value for each column of a window.",
        &[
            ("requests", "int[]", "Requests."),
            ("errors", "int[]", "Those with status ERROR."),
            ("p99", "int|null[]", "The duration that 99 of 100 do not exceed."),
        ],
    ),
    (
        "Operations",
        "Operations of a service.",
        &[
            ("service", "text", "The service."),
            ("+window", "", ""),
            ("stepNanos", "int", "Width of a column of the series."),
            ("operations", "OperationTraffic[]", "Most spans first, then by name and kind."),
            ("dependencies", "Neighbour[]", "Who the service calls, most calls first."),
            ("callers", "Neighbour[]", "Who calls the service, most calls first."),
            ("partial?", "text", "Why not all spans are counted."),
        ],
    ),
    (
        "OperationTraffic",
        "An operation and its spans.",
        &[
            ("name", "text", "The spans' name."),
            ("kind", "text", "The spans' kind, such as `server`."),
            ("+traffic", "", ""),
        ],
    ),
    (
        "Neighbour",
        "Who a service calls, or is called by.",
        &[
            ("service", "text", "Its name on the map."),
            ("connection", "text", "`http` for any call between services, `database`, `messaging` or `virtual`."),
            ("calls", "int", "Calls."),
            ("errors", "int", "Those of which either side failed."),
            ("p50Nanos?", "int", "Median duration."),
            ("p99Nanos?", "int", "The duration that 99 of 100 do not exceed."),
            ("shareOfTime?", "num", "Time of all calls, as a share of the time of all requests of the service."),
        ],
    ),
    (
        "OperationBaseline",
        "What is usual for one operation.",
        &[
            ("count", "int", "Spans of the operation."),
            ("p50Nanos?", "int", "Median duration."),
            ("p90Nanos?", "int", "The duration that nine of ten do not exceed."),
            ("p99Nanos?", "int", "The duration that 99 of 100 do not exceed."),
            ("histogram", "int[][]", "Greatest duration of each step that has any, and how many durations it has."),
            ("rank?", "num", "Share of the durations that are shorter than the one asked about."),
            ("text?", "text", "The same in words."),
            ("windowSeconds", "int", "Over how long."),
            ("tooFew", "bool", "Whether there are too few durations to say what is usual."),
            ("partial?", "text", "Why not all spans are counted."),
        ],
    ),
    (
        "Heatmap",
        "Spans by time and duration.",
        &[
            ("+window", "", ""),
            ("stepNanos", "int", "Width of a column."),
            ("bounds", "int[]", "Bounds of the rows, one more than there are rows, on a logarithmic scale."),
            ("cells", "int[][]", "Column, row, spans and errors of each cell that has any."),
            ("total", "int", "All spans."),
            ("errors", "int", "Those with status ERROR."),
            ("rate", "num[]", "Spans a second, by column."),
            ("errorRate", "num[]", "Spans with status ERROR a second, by column."),
            ("p50", "int|null[]", "Median duration, by column."),
            ("p99", "int|null[]", "The duration that 99 of 100 spans do not exceed, by column."),
            ("partial?", "text", "Why not all spans are counted."),
        ],
    ),
    (
        "BreakdownRequest",
        "What is compared with what.",
        &[
            ("q?", "text", "A TraceQL search; every span without."),
            ("start?", "any", "Start of the window, in any form a time has."),
            ("end?", "any", "End of the window."),
            ("selection", "BreakdownSelection", "Which of the spans."),
            ("baseline?", "any", "`rest`, `before`, `day`, or an object with a query `q`; the rest without."),
            ("limit?", "int", "Most differences."),
        ],
    ),
    (
        "BreakdownSelection",
        "Which spans are selected; what is left out is without bound.",
        &[
            ("startUnixNanos?", "any", "First nanosecond in which they start, as a text or a number."),
            ("endUnixNanos?", "any", "The nanosecond after the last one."),
            ("minNanos?", "any", "Shortest duration."),
            ("maxNanos?", "any", "Longest duration."),
            ("errors?", "bool", "Only failed ones, or only others."),
        ],
    ),
    (
        "Breakdown",
        "What a selection has in common that its baseline has not.",
        &[
            ("selected", "int", "Spans of the selection."),
            ("baseline", "int", "Spans it is compared with."),
            ("hiddenKeys", "text[]", "Attributes left out because nearly every span has a value of its own."),
            ("differences", "ValueDifference[]", "The most certain difference first."),
            ("pairs", "ValuePair[]", "Pairs of values that say more than either alone."),
            ("numbers", "NumberShift[]", "Numbers that are distributed differently, the greatest difference first."),
            (
                "representative",
                "Representative[]",
                "Spans to look at: the slowest, failed ones, some of usual duration.",
            ),
            ("partial?", "text", "Why not all spans are counted."),
        ],
    ),
    ("AttributeValue", "A value of an attribute.", &[("+value", "", "")]),
    (
        "ValueDifference",
        "A value that one side has certainly more often than the other.",
        &[
            ("+value", "", ""),
            ("selectedCount", "int", "Spans of the selection that have it."),
            ("baselineCount", "int", "Spans of the baseline that have it."),
            ("selectedShare", "num", "Their share of the selection."),
            ("baselineShare", "num", "Their share of the baseline."),
            ("score", "num", "What is certain of the difference of shares, 0 to 1."),
            ("under", "bool", "Whether the selection has it less often."),
            ("together?", "AttributeValue[]", "Values of other attributes that nearly always come with it."),
        ],
    ),
    (
        "ValuePair",
        "Two values that together say more than either alone.",
        &[
            ("of", "AttributeValue[]", "The two."),
            ("selectedShare", "num", "Share of the selection that has both."),
            ("baselineShare", "num", "Share of the baseline that has both."),
            ("score", "num", "What is certain of the difference."),
        ],
    ),
    (
        "NumberShift",
        "A number that is distributed differently.",
        &[
            ("scope", "text", "`span`, `resource` or `intrinsic`."),
            ("key", "text", "Key of the attribute, or name of the intrinsic."),
            ("ks", "num", "The greatest distance of the two distribution functions, 0 to 1."),
            ("selected", "Quantiles", "In the selection."),
            ("baseline", "Quantiles", "In the baseline."),
        ],
    ),
    (
        "Quantiles",
        "Two quantiles, within 3 %.",
        &[("p50", "num", "The median."), ("p90", "num", "What nine of ten do not exceed.")],
    ),
    (
        "Representative",
        "A span to look at.",
        &[
            ("traceId", "text", "Its trace."),
            ("spanId", "text", "Its id."),
            ("service", "text", "Its `service.name`; empty for none."),
            ("name", "text", "Its name."),
            ("durationNanos", "int", "Its duration."),
            ("startUnixNanos", "time", "Its start."),
            ("error", "bool", "Whether its status is ERROR."),
        ],
    ),
    (
        "ServiceMap",
        "Nodes and edges.",
        &[
            ("+window", "", ""),
            ("nodes", "MapNode[]", "By name."),
            ("edges", "MapEdge[]", "By client, server and connection."),
            ("unpaired", "int", "Sides of calls whose other side was not found in the window."),
            ("partial?", "text", "Why not all spans are counted."),
        ],
    ),
    (
        "MapNode",
        "A node of the map.",
        &[
            ("name", "text", "Its name: of a service `service.name`."),
            ("kind", "text", "`service`, `database` or `virtual`."),
            ("requests", "int", "What it took."),
            ("errors", "int", "What of it failed."),
            ("p50Nanos?", "int", "Median duration."),
            ("p99Nanos?", "int", "The duration that 99 of 100 do not exceed."),
        ],
    ),
    (
        "MapEdge",
        "Calls of one node by another.",
        &[
            ("client", "text", "Who calls."),
            ("server", "text", "Who is called."),
            (
                "connection",
                "text",
                "Empty for a call between services, `database`, `messaging_system` or `virtual_node`.",
            ),
            ("calls", "int", "Calls."),
            ("errors", "int", "Those of which either side failed."),
            ("p50Nanos?", "int", "Median duration."),
            ("p99Nanos?", "int", "The duration that 99 of 100 do not exceed."),
            ("totalNanos", "int", "The sum of the durations."),
        ],
    ),
    (
        "Why",
        "What each condition of a query finds.",
        &[
            ("conditions", "WhyCondition[]", "In the order of the query."),
            ("widen?", "Widen", "Another time to look at, where there are no spans at all in this one."),
            ("partial?", "text", "Why not all spans are counted."),
        ],
    ),
    (
        "WhyCondition",
        "One condition of a query.",
        &[
            ("text", "text", "As TraceQL."),
            ("matches", "int", "Spans of the window that meet it."),
            ("exists", "int", "Spans of the window that have its field at all."),
            ("suggestion?", "text", "What may have been meant."),
        ],
    ),
    (
        "Widen",
        "Another time to look at.",
        &[("start", "time", "Its first nanosecond."), ("end", "time", "Its last."), ("text", "text", "Why.")],
    ),
    (
        "Queries",
        "Queries of a process.",
        &[
            ("running", "WatchedQuery[]", "Those that run, the oldest first."),
            ("slow", "WatchedQuery[]", "The last ones that took longer than a second, the newest first."),
        ],
    ),
    (
        "WatchedQuery",
        "A query.",
        &[
            ("id", "text", "Its number."),
            ("kind", "text", "The route, such as `/api/search`."),
            ("query", "text", "Its text."),
            ("tenant", "text", "The tenants as the request names them."),
            ("startedUnixNanos", "time", "When it began."),
            ("durationNanos", "int", "How long it took, or has taken so far."),
            ("inspectedBytes", "int", "Bytes of objects looked into."),
            ("inspectedSpans", "int", "Spans of row groups looked into."),
            ("status?", "int", "The status it ended with."),
        ],
    ),
    (
        "Tenants",
        "Who there is to ask about.",
        &[
            ("tenancy", "bool", "Whether requests name their tenant."),
            ("tenants", "text[]", "Tenants that have anything stored, by name."),
        ],
    ),
];

/// The schema of a type.
fn schema(of: &str) -> Value {
    if let Some(items) = of.strip_suffix("[]") {
        return json!({ "type": "array", "items": schema(items) });
    }
    if let Some(nullable) = of.strip_suffix("|null") {
        let of = schema(nullable);
        return json!({ "type": [of["type"], "null"] });
    }
    match of {
        "int" => json!({ "type": "integer", "minimum": 0 }),
        "num" => json!({ "type": "number" }),
        "text" => json!({ "type": "string" }),
        "time" => json!({ "type": "string", "pattern": "^[0-9]+$", "format": "unix-nanos" }),
        "bool" => json!({ "type": "boolean" }),
        "any" => json!({}),
        name => json!({ "$ref": format!("#/components/schemas/{name}") }),
    }
}

fn object((_, text, members): &Object) -> Value {
    let all = members.iter().flat_map(|member| match member.0 {
        "+traffic" => TRAFFIC,
        "+value" => VALUE,
        "+window" => WINDOW,
        _ => std::slice::from_ref(member),
    });
    let (mut properties, mut needed) = (Map::new(), Vec::new());
    for (name, of, text) in all {
        let plain = name.trim_end_matches('?');
        if plain.len() == name.len() {
            needed.push(plain);
        }
        let mut schema = schema(of);
        schema["description"] = json!(text);
        properties.insert(plain.to_owned(), schema);
    }
    json!({ "type": "object", "description": text, "required": needed, "properties": properties })
}

/// Describes the endpoints.
pub(crate) fn describe(document: &mut Document) {
    for of in OBJECTS {
        document.schema(of.0, object(of));
    }
    let text = || json!({ "type": "string" });
    let times = || ["tenant", "start", "end", "since"].map(shared);
    let q = || query("q", "A TraceQL search; every span without.", text());
    let columns = || query("x", "Columns of the window.", integer(1, 500, 60));
    let of = |name: &str| schema(name);
    let json_type = crate::http::request::JSON;
    let mut get = |path, id, summary, parameters: Vec<Value>, name: &str, told: &str| {
        let operation = document.get(path, id, summary).parameters(times()).parameters(parameters);
        operation.answers_as("200", told, json_type, of(name)).fails(FAILURES).add();
    };
    get("/api/v1/services", "services", "Services and their requests", vec![q(), columns()], "Services", "Services.");
    let service = || required("service", "The service's name.", text());
    get(
        "/api/v1/operations",
        "operations",
        "Operations of a service, and who it calls and is called by",
        vec![service(), columns()],
        "Operations",
        "Operations.",
    );
    let operation = vec![
        service(),
        required("operation", "The spans' name.", text()),
        required("kind", "The spans' kind, such as `server`.", text()),
        query("durationNanos", "A duration to be placed among the others.", json!({ "type": "integer" })),
    ];
    get(
        "/api/v1/operations/baseline",
        "operationBaseline",
        "How long an operation usually takes: in the two hours before now without times",
        operation,
        "OperationBaseline",
        "What is usual.",
    );
    let rows = query("y", "Most rows.", integer(1, 200, 40));
    get(
        "/api/v1/explore/heatmap",
        "heatmap",
        "Spans by time and duration",
        vec![q(), columns(), rows],
        "Heatmap",
        "Cells.",
    );
    let near = vec![
        query("service", "The service in the middle; all nodes without.", text()),
        query("hops", "How many edges from it nodes may be.", integer(1, 10, 1)),
    ];
    get("/api/v1/map", "map", "Who calls whom", near, "ServiceMap", "Nodes and edges.");
    get(
        "/api/v1/query/why",
        "why",
        "Why a query finds nothing",
        vec![shared("query")],
        "Why",
        "What each condition finds.",
    );
    document
        .post("/api/v1/explore/breakdown", "breakdown", "What a selection of spans has in common")
        .parameters([shared("tenant")])
        .body(json_type, schema("BreakdownRequest"))
        .answers_as("200", "Differences.", json_type, schema("Breakdown"))
        .fails(FAILURES)
        .add();
    document
        .get("/api/v1/tenants", "tenants", "Tenants that have anything stored")
        .answers_as("200", "Tenants.", json_type, schema("Tenants"))
        .fails(&["429", "500", "503", "504"])
        .add();
    document
        .get("/api/v1/tail", "tail", "Spans as they are stored, as server-sent events")
        .text(
            "`event: span` has a span, `event: progress` how many were dropped and how late the newest block is, \
             `event: error` a sentence. At most 50 spans a second are sent.",
        )
        .parameters([shared("tenant"), q()])
        .parameters([
            query("limit", "Spans after which it ends.", json!({ "type": "integer" })),
            query("tenant", "The tenant, for those who cannot set headers.", text()),
        ])
        .answers_plain("Events, until the client goes.", &["text/event-stream"])
        .fails(&["400", "401", "429", "503"])
        .add();
    document
        .get("/api/v1/queries", "queries", "Queries that run, and slow ones")
        .parameters([shared("tenant")])
        .answers_as("200", "Queries.", json_type, schema("Queries"))
        .fails(&["401"])
        .add();
    document
        .operation("delete", "/api/v1/queries/{id}", "endQuery", "End a query: its client gets 499")
        .parameters([
            shared("tenant"),
            json!({ "name": "id", "in": "path", "required": true, "description": "Its number.", "schema": text() }),
        ])
        .answers_as("204", "It ends.", "text/plain", json!({}))
        .fails(&["400", "403", "404"])
        .add();
}
