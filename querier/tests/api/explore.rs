//! What many spans say together, over HTTP: forms of answers, defaults, refusals.

use http::StatusCode;
use serde_json::{Value, json};
use spanlake_model::{Tenant, TraceId};
use spanlake_querier::Config;
use spanlake_storage::Store;

use crate::world::*;

const TIMES: &str = "start=1700000000&end=1700000060";

/// Two blocks that share a copy of one span.
async fn shop() -> World {
    let world = World::new();
    let copied = span(2, 1, 0, "shop", "GET /", 1_000, 20);
    world
        .block(&[
            span(1, 1, 0, "shop", "GET /", 0, 557).failed(),
            span(1, 2, 1, "db", "SELECT", 10, 5),
            span(1, 3, 1, "db", "SELECT", 20, 5),
            copied.clone(),
        ])
        .await;
    world.block(&[copied, span(3, 1, 0, "shop", "GET /cart", 59_000, 100)]).await;
    world
}

#[tokio::test]
async fn services_and_their_operations() {
    let world = shop().await;
    let json = world.get(&format!("/api/v1/services?{TIMES}&x=2")).await.json();
    assert_eq!((&json["startUnixNanos"], &json["stepNanos"]), (&json!(EPOCH.to_string()), &json!(30 * SECOND)));
    let services = json["services"].as_array().expect("services");
    assert_eq!(services.len(), 2);
    let shop = &services[0];
    assert_eq!((&shop["name"], &shop["spans"], &shop["requests"]), (&json!("shop"), &json!(3), &json!(3)));
    assert_eq!((&shop["errors"], &shop["rate"]), (&json!(1), &json!(0.05)));
    assert_eq!((&shop["series"]["requests"], &shop["series"]["errors"]), (&json!([2, 1]), &json!([1, 0])));
    assert_eq!(shop["p99Nanos"], json!(557 * MILLI));
    assert_eq!(json.get("partial"), None);
    let only = world.get(&format!("/api/v1/services?{TIMES}&q=%7Bstatus%3Derror%7D")).await.json();
    assert_eq!(only["services"].as_array().map(Vec::len), Some(1));
    let json = world.get(&format!("/api/v1/operations?service=db&{TIMES}&x=3")).await.json();
    assert_eq!(json["service"], "db");
    let operation = &json["operations"][0];
    let found = ["name", "kind", "requests", "errorShare"].map(|name| &operation[name]);
    assert_eq!(found, [&json!("SELECT"), &json!("server"), &json!(2), &json!(0.0)]);
    assert_eq!(operation["series"]["p99"][0], json!(5 * MILLI));
    assert_eq!(operation["series"]["p99"][1], Value::Null);
    let none = world.get(&format!("/api/v1/operations?service=nobody&{TIMES}")).await.json();
    assert_eq!(none["operations"], json!([]));
}

#[tokio::test]
async fn a_heatmap_has_each_span_once() {
    let world = shop().await;
    let json = world.get(&format!("/api/v1/explore/heatmap?{TIMES}&x=6&y=10")).await.json();
    assert_eq!((&json["total"], &json["errors"]), (&json!(5), &json!(1)));
    let cells = json["cells"].as_array().expect("cells");
    let spans: u64 = cells.iter().filter_map(|cell| cell[2].as_u64()).sum();
    assert_eq!(spans, 5);
    let bounds = json["bounds"].as_array().expect("bounds");
    assert!(bounds.len() <= 11 && bounds[0].as_u64() <= Some(5 * MILLI), "{bounds:?}");
    assert!(bounds[bounds.len() - 1].as_u64() > Some(557 * MILLI), "{bounds:?}");
    assert_eq!((&json["rate"][0], &json["errorRate"][0]), (&json!(0.4), &json!(0.1)));
    assert_eq!((&json["p50"][5], &json["p50"][1]), (&json!(100 * MILLI), &Value::Null));
    let structural = "q=%7Bname%3D%22GET%20%2F%22%7D%3E%7B%7D";
    let json = world.get(&format!("/api/v1/explore/heatmap?{TIMES}&{structural}")).await.json();
    assert_eq!(json["total"], 2);
    let empty = world.get("/api/v1/explore/heatmap?q=%7B%7D").await.json();
    assert_eq!((&empty["total"], &empty["cells"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn wrong_questions_are_refused_with_a_sentence() {
    let world = World::new();
    for (path, part) in [
        ("/api/v1/explore/heatmap?q=%7B", "line 1, column 2"),
        ("/api/v1/explore/heatmap?q=%7B%7D%7Crate()", "metrics query"),
        ("/api/v1/explore/heatmap?x=0", "x: 0 is not from 1 to 500"),
        ("/api/v1/explore/heatmap?y=1000", "y: 1000 is not from 1 to 200"),
        ("/api/v1/services?start=2&end=1", "start must be before end"),
        ("/api/v1/services?start=yesterday", "not a time"),
        ("/api/v1/operations", "service"),
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.text());
        assert!(answer.text().contains(part), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn tenants_are_named_where_there_are_any() {
    let alone = World::new().get("/api/v1/tenants").await.json();
    assert_eq!(alone, json!({"tenancy": false, "tenants": [Tenant::single().as_str()]}));
    let world = World::with(Store::memory(), Config { tenancy_enabled: true, ..Config::default() });
    for name in ["b", "a"] {
        world.block_of(&Tenant::parse(name).expect("a tenant"), &[span(1, 1, 0, name, "GET /", 0, 5)]).await;
    }
    assert_eq!(world.get("/api/v1/tenants").await.json(), json!({"tenancy": true, "tenants": ["a", "b"]}));
    assert_eq!(world.get("/api/v1/services").await.status, StatusCode::UNAUTHORIZED);
    let of_a = world.ask(&format!("/api/v1/services?{TIMES}"), &[("X-Scope-OrgID", "a")]).await.json();
    assert_eq!(of_a["services"][0]["name"], "a");
}

#[tokio::test]
async fn a_selection_has_in_common_what_was_planted() {
    let world = World::new();
    let spans: Vec<Stored> = (0..120_u8)
        .map(|number| {
            let slow = number % 4 == 0;
            let start = u64::from(number) * 100;
            let one = span(number, 1, 0, "shop", "GET /", start, if slow { 900 } else { 20 });
            let one = if number % 8 == 0 { one.failed() } else { one };
            one.text("build", if slow { "bad" } else { "good" }).text("request.id", &format!("r{number}"))
        })
        .collect();
    for part in spans.chunks(50) {
        world.block(part).await;
    }
    let body = json!({
        "q": "{ name = \"GET /\" }", "start": 1_700_000_000, "end": "1700000060", "baseline": "rest",
        "selection": {"startUnixNanos": EPOCH.to_string(), "minNanos": 500 * MILLI},
    });
    let answer = world.post("/api/v1/explore/breakdown", body.to_string()).await.expect("an answer").json();
    assert_eq!((&answer["selected"], &answer["baseline"]), (&json!(30), &json!(90)));
    let first = &answer["differences"][0];
    assert_eq!((&first["scope"], &first["key"], &first["type"]), (&json!("span"), &json!("build"), &json!("string")));
    let shares = (&first["selectedCount"], &first["baselineCount"], &first["selectedShare"]);
    assert!(
        shares == (&json!(30), &json!(0), &json!(1.0)) || shares == (&json!(0), &json!(90), &json!(0.0)),
        "{first}"
    );
    assert_eq!(answer["hiddenKeys"], json!(["span.request.id"]));
    let shown = answer["representative"].as_array().expect("spans");
    assert!(!shown.is_empty() && shown.len() <= 10, "{shown:?}");
    assert!(shown.iter().all(|span| span["durationNanos"] == json!(900 * MILLI) && span["service"] == "shop"));
    for (wrong, part) in
        [("", "JSON"), ("{\"selection\":{},\"limit\":0}", "limit"), ("{\"selection\":{},\"q\":\"{\"}", "line 1")]
    {
        let answer = world.post("/api/v1/explore/breakdown", wrong).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(answer.text().contains(part), "{wrong}: {}", answer.text());
    }
}

#[tokio::test]
async fn the_map_pairs_spans_of_different_blocks() {
    let world = World::new();
    let of_kind = |mut stored: Stored, kind: i32| {
        stored.span.kind = kind;
        stored
    };
    world
        .block(&[of_kind(span(1, 2, 1, "shop", "POST /pay", 10, 40), 3), span(1, 1, 0, "shop", "GET /", 0, 100)])
        .await;
    world
        .block(&[
            span(1, 3, 2, "payment", "POST /pay", 15, 30).failed(),
            of_kind(
                span(1, 4, 3, "payment", "SELECT", 20, 5)
                    .text("db.system", "postgresql")
                    .text("server.address", "db-1"),
                3,
            ),
            of_kind(span(1, 5, 3, "payment", "paid publish", 26, 1), 4),
            of_kind(span(1, 6, 5, "mail", "paid process", 30, 9), 5),
            of_kind(span(1, 7, 3, "payment", "POST", 30, 9).text("peer.service", "bank"), 3),
        ])
        .await;
    let map = world.get(&format!("/api/v1/map?{TIMES}")).await.json();
    let edges: Vec<(&str, &str, &str, u64)> = map["edges"]
        .as_array()
        .expect("edges")
        .iter()
        .map(|edge| {
            let text = |name: &str| edge[name].as_str().expect("a text");
            (text("client"), text("server"), text("connection"), edge["errors"].as_u64().expect("a count"))
        })
        .collect();
    assert_eq!(
        edges,
        [
            ("payment", "bank", "virtual_node", 0),
            ("payment", "db-1", "database", 0),
            ("payment", "mail", "messaging_system", 0),
            ("shop", "payment", "", 1),
            ("user", "shop", "virtual_node", 0),
        ]
    );
    let kinds: Vec<(&str, &str)> = map["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| (node["name"].as_str().expect("a name"), node["kind"].as_str().expect("a kind")))
        .collect();
    assert_eq!(
        kinds,
        [
            ("bank", "virtual"),
            ("db-1", "database"),
            ("mail", "service"),
            ("payment", "service"),
            ("shop", "service"),
            ("user", "virtual"),
        ]
    );
    let near = world.get(&format!("/api/v1/map?{TIMES}&service=shop&hops=1")).await.json();
    assert_eq!(near["nodes"].as_array().map(Vec::len), Some(3));
    let operations = world.get(&format!("/api/v1/operations?service=payment&{TIMES}")).await.json();
    let names = |list: &str| -> Vec<String> {
        let neighbours = operations[list].as_array().expect("neighbours");
        let mut names: Vec<String> = neighbours
            .iter()
            .map(|one| {
                format!("{} {}", one["service"].as_str().unwrap_or(""), one["connection"].as_str().unwrap_or(""))
            })
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("dependencies"), ["bank virtual", "db-1 database", "mail messaging"]);
    assert_eq!(names("callers"), ["shop http"]);
}

#[tokio::test]
async fn durations_stand_among_those_of_their_operation() {
    let world = World::new();
    let spans: Vec<Stored> =
        (0..250_u8).map(|number| span(number, 1, 0, "shop", "GET /", 0, 1 + u64::from(number))).collect();
    world.block(&spans).await;
    let path = |more: &str| format!("/api/v1/operations/baseline?service=shop&operation=GET%20/&{more}&{TIMES}");
    let json = world.get(&path("kind=server&durationNanos=245000000")).await.json();
    assert_eq!((&json["count"], &json["tooFew"], &json["windowSeconds"]), (&json!(250), &json!(false), &json!(60)));
    assert!(json["rank"].as_f64().is_some_and(|rank| (0.94..1.0).contains(&rank)), "{json}");
    assert!(json["text"].as_str().is_some_and(|text| text.starts_with("p9") && text.contains("1 min")), "{json}");
    let counts = json["histogram"].as_array().expect("steps").iter().filter_map(|step| step[1].as_u64());
    assert_eq!(counts.sum::<u64>(), 250);
    let none = world.get(&path("kind=client&durationNanos=5")).await.json();
    assert_eq!((&none["count"], &none["tooFew"], none.get("rank")), (&json!(0), &json!(true), None));
    for wrong in ["kind=big", "kind=server&durationNanos=x"] {
        assert_eq!(world.get(&path(wrong)).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn blocks_tell_of_durations_unless_they_have_deleted_traces() {
    let world = World::new();
    let spans = [span(1, 1, 0, "shop", "GET /", 0, 10), span(2, 1, 0, "shop", "GET /", 90_000, 30)];
    world.block_at(1, &Tenant::single(), &spans).await;
    let path = format!("/api/v1/operations/baseline?service=shop&operation=GET%20/&kind=server&{TIMES}");
    let fetched = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &world.registry).expect("metrics");
        let line = text.lines().find(|line| line.starts_with("query_fetched_bytes_total "));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).expect("a count")
    };
    let json = world.get(&path).await.json();
    assert_eq!(
        (&json["count"], fetched()),
        (&json!(2), 0),
        "the five minutes of the range count whole, no row is read"
    );
    let p50 = json["p50Nanos"].as_u64().expect("a duration");
    assert!(p50.abs_diff(10 * MILLI) <= 10 * MILLI / 20, "{p50}");

    world.catalog.delete_traces(&Tenant::single(), &[TraceId(trace_id(2))], "").await.expect("deleted");
    let json = world.get(&path).await.json();
    assert_eq!(json["count"], json!(1), "rows say what is left");
    assert!(fetched() > 0);
}

#[tokio::test]
async fn a_query_that_finds_nothing_says_why() {
    let world = shop().await;
    let query = "q=%7B%20span.db.systm%20%3D%20%22x%22%20%26%26%20name%20%3D%20%22SELECT%22%20%7D";
    world.block(&[span(9, 1, 0, "db", "SELECT", 5, 1).text("db.system", "postgres")]).await;
    let json = world.get(&format!("/api/v1/query/why?{query}&{TIMES}")).await.json();
    let [wrong, right] = [0, 1].map(|at| &json["conditions"][at]);
    assert_eq!((&wrong["matches"], &wrong["exists"]), (&json!(0), &json!(0)));
    assert_eq!(wrong["suggestion"], "did you mean span.db.system?");
    assert_eq!((&right["matches"], right.get("suggestion")), (&json!(3), None));
    assert_eq!(json.get("widen"), None);
    let json = world.get(&format!("/api/v1/query/why?{query}&start=1600000000&end=1600000060")).await.json();
    assert!(json["widen"]["text"].as_str().is_some_and(|text| text.contains("later")), "{json}");
    assert_eq!(world.get("/api/v1/query/why").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_tail_tells_of_spans_as_they_are_stored() {
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;
    let world = shop().await;
    let request = http::Request::get("/api/v1/tail?q=%7Bname%3D%22new%22%7D&limit=2").body(axum::body::Body::empty());
    let response = world.router.clone().oneshot(request.expect("a request")).await.expect("an answer");
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &http::HeaderValue::from_static("text/event-stream"))
    );
    let mut body = response.into_body();
    let first = body.frame().await.expect("an event").expect("no failure").into_data().expect("data");
    assert!(first.starts_with(b"event: progress\n"), "{first:?}");
    world
        .block(&[
            span(7, 1, 0, "shop", "new", 0, 5).failed(),
            span(7, 2, 1, "shop", "old", 0, 5),
            span(8, 1, 0, "shop", "new", 0, 5),
        ])
        .await;
    let rest = body.collect().await.expect("it ends after its limit").to_bytes();
    let text = String::from_utf8(rest.to_vec()).expect("a text");
    assert_eq!(text.matches("event: span\n").count(), 2, "{text}");
    assert!(text.contains("\"status\":\"error\"") && text.contains(&hex(7)) && !text.contains("old"), "{text}");
    let structural = world.get("/api/v1/tail?q=%7B%7D%3E%7B%7D").await;
    assert_eq!(structural.status, StatusCode::BAD_REQUEST);
    assert!(structural.text().contains("one filter"), "{}", structural.text());
}

#[tokio::test(start_paused = true)]
async fn a_tail_past_a_bound_says_so() {
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;
    let store = Store::memory();
    let (mut max_bytes, mut refused_count) = (300.0, 0);
    loop {
        let max_query_bytes = spanlake_model::ByteSize(max_bytes as u64);
        let world = World::with(store.clone(), Config { max_query_bytes, ..Config::default() });
        let request = http::Request::get("/api/v1/tail?limit=6").body(axum::body::Body::empty());
        let response = world.router.clone().oneshot(request.expect("a request")).await.expect("an answer");
        let mut body = response.into_body();
        body.frame().await.expect("an event").expect("no failure");
        for id in 1..=3 {
            world.block(&[span(7, id, 0, "shop", "new", 0, 5), span(8, id, 0, "shop", "new", 0, 5)]).await;
        }
        // It ends with its limit, or with its failures; a tail that left spans out would wait for ever.
        let rest = tokio::time::timeout(std::time::Duration::from_secs(600), body.collect()).await;
        let text = rest.expect("it ends").expect("no failure").to_bytes();
        let text = String::from_utf8(text.to_vec()).expect("a text");
        if !text.contains("event: error\n") {
            assert_eq!(text.matches("event: span\n").count(), 6, "{max_bytes}: {text}");
            break;
        }
        refused_count += 1;
        max_bytes *= 1.3;
    }
    assert!(refused_count > 0, "some bound is reached");
}

#[tokio::test]
async fn queries_are_listed() {
    let world = World::new();
    assert_eq!(world.get("/api/v1/queries").await.json(), json!({"running": [], "slow": []}));
    let request = |id: &str| http::Request::delete(format!("/api/v1/queries/{id}")).body(axum::body::Body::empty());
    for (id, status) in [("7", StatusCode::NOT_FOUND), ("x", StatusCode::BAD_REQUEST)] {
        use tower::ServiceExt as _;
        let answer = world.router.clone().oneshot(request(id).expect("a request")).await.expect("an answer");
        assert_eq!(answer.status(), status, "{id}");
    }
}

/// How a value differs from its schema, as text for people.
fn misfit(document: &Value, schema: &Value, value: &Value, place: &str) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let named = document.pointer(reference.trim_start_matches('#')).expect("a schema");
        return misfit(document, named, value, place);
    }
    let is_of = |of: &str| match of {
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    };
    let fits = match &schema["type"] {
        Value::String(of) => is_of(of),
        Value::Array(any) => any.iter().filter_map(Value::as_str).any(is_of),
        _ => true,
    };
    if !fits {
        return Some(format!("{place} is {value}, not {}", schema["type"]));
    }
    match value {
        Value::Array(items) => items.iter().find_map(|item| misfit(document, &schema["items"], item, place)),
        Value::Object(members) if schema["properties"].is_object() => {
            let required = schema["required"].as_array().expect("a list").iter().filter_map(Value::as_str);
            let absent = required.into_iter().find(|name| !members.contains_key(*name));
            let wrong = absent.map(|name| format!("{place} has no {name}"));
            wrong.or_else(|| {
                members.iter().find_map(|(name, member)| match &schema["properties"][name] {
                    Value::Null => Some(format!("{place} has {name}, which is not described")),
                    schema => misfit(document, schema, member, &format!("{place}.{name}")),
                })
            })
        }
        _ => None,
    }
}

#[tokio::test]
async fn answers_are_as_they_are_described() {
    let world = shop().await;
    world.block(&[span(9, 1, 0, "db", "SELECT", 5, 1).text("service.version", "1").text("build", "x")]).await;
    let document = world.get("/api/v1/openapi.json").await.json();
    let described = |path: &str, method: &str| {
        let schema = &document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path} is not described");
        schema.clone()
    };
    for (path, query) in [
        ("/api/v1/services", ""),
        ("/api/v1/operations", "service=shop"),
        ("/api/v1/operations/baseline", "service=shop&operation=GET%20/&kind=server&durationNanos=7"),
        ("/api/v1/explore/heatmap", "x=5"),
        ("/api/v1/map", ""),
        ("/api/v1/query/why", "q=%7Bspan.biuld%3D1%7D"),
        ("/api/v1/query/why", "q=%7Bspan.biuld%3D1%7D&start=5&end=6"),
        ("/api/v1/tenants", ""),
        ("/api/v1/queries", ""),
    ] {
        let times = if query.contains("start") { "" } else { TIMES };
        let answer = world.get(&format!("{path}?{query}&{times}")).await.json();
        assert_eq!(misfit(&document, &described(path, "get"), &answer, path), None);
    }
    let spans: Vec<Stored> = (0..60_u8)
        .map(|number| {
            let of = if number % 2 == 0 { "a" } else { "b" };
            let one = span(100 + number, 1, 0, "shop", "GET /", 100, if number % 2 == 0 { 5 } else { 700 });
            one.text("build", of).text("twin", of)
        })
        .collect();
    world.block(&spans).await;
    let body = json!({"start": 1_700_000_000, "end": 1_700_000_060, "selection": {"minNanos": 600 * MILLI}});
    let answer = world.post("/api/v1/explore/breakdown", body.to_string()).await.expect("an answer").json();
    assert!(answer["differences"][0]["together"].is_array(), "{answer}");
    let path = "/api/v1/explore/breakdown";
    assert_eq!(misfit(&document, &described(path, "post"), &answer, path), None);
}
