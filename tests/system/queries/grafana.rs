//! What Grafana's data source and Traces Drilldown ask: each request as they write it, and what they need of the answer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Shop, success};
use crate::Backend;
use crate::http::{Connection, get, query_value};
use crate::process::{Server, Setup};

/// Step of the metrics queries, in seconds.
const STEP_SECONDS: u64 = 4;

#[test]
fn grafana_and_drilldown_are_answered() {
    let server = Setup::new(Backend::Directory).start();
    let shop = Shop::send(server.otlp_http, None);
    let asked = Asked { server: &server, shop: &shop };
    // First, while the spans are less than a minute old.
    asked.probe();
    asked.health();
    asked.names_and_values();
    asked.search();
    asked.trace_view();
    asked.rates();
    asked.durations();
    asked.comparison();
    asked.structure();
    asked.exceptions();
    server.stop();
}

/// A label: its name, and the kind and text of its value.
type Label = (String, (&'static str, String));

/// Sums of samples by the labels of their series.
type Sums = BTreeMap<Vec<Label>, f64>;

struct Asked<'a> {
    server: &'a Server,
    shop: &'a Shop,
}

impl Asked<'_> {
    fn get(&self, path: &str) -> Value {
        success(path, &get(self.server.http, path))
    }

    fn window(&self) -> String {
        format!("start={}&end={}", self.shop.start - 10, self.shop.start + 40)
    }

    /// The series of a metrics query: labels as Grafana reads them, and the sum of the samples.
    fn series(&self, query: &str) -> Sums {
        let (window, query) = (self.window(), query_value(query));
        let path = format!("/api/metrics/query_range?q={query}&{window}&step={STEP_SECONDS}s&exemplars=10");
        let answer = self.get(&path);
        let mut found = BTreeMap::new();
        for series in items(&answer["series"]) {
            let labels = items(&series["labels"]).iter().map(label).collect();
            let times: Vec<u64> = items(&series["samples"]).iter().map(|s| number(&s["timestampMs"])).collect();
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] == STEP_SECONDS * 1_000), "{query}: {times:?}");
            let sum = items(&series["samples"]).iter().map(|sample| sample["value"].as_f64().unwrap_or(0.0)).sum();
            assert!(found.insert(labels, sum).is_none(), "{query}: {series} is there twice");
        }
        found
    }

    /// Drilldown's first question.
    fn probe(&self) {
        let now = self.shop.spans().map(|span| span.end).max().expect("spans") / 1_000_000_000 + 1;
        let answer =
            self.get(&format!("/api/metrics/query?q={}&start={}&end={now}", query_value("{} | rate()"), now - 60));
        let rate = items(&answer["series"])[0]["value"].as_f64().expect("a rate");
        assert_close(rate * 60.0, self.shop.spans().count() as f64, &answer);
        let answer = self.get(&format!("/api/metrics/query_range?q={}&since=1m", query_value("{} | rate()")));
        let [series] = items(&answer["series"]) else { panic!("one series: {answer}") };
        assert!(items(&series["samples"]).iter().any(|sample| sample["value"].is_number()), "{answer}");
    }

    fn health(&self) {
        let answer = get(self.server.http, "/api/echo");
        assert_eq!((answer.status, answer.text().as_str()), (200, "echo"));
        let version = self.get("/api/status/buildinfo")["version"].as_str().expect("a version").to_owned();
        let parts: Vec<u32> = version.split('.').map(|part| part.parse().expect("a number")).collect();
        assert!(parts >= vec![2, 7, 0], "streams of metrics need 2.7: {version}");
    }

    fn names_and_values(&self) {
        let window = self.window();
        let answer = self.get(&format!("/api/v2/search/tags?limit=5000&{window}"));
        let scopes: BTreeMap<&str, BTreeSet<&str>> = items(&answer["scopes"])
            .iter()
            .map(|scope| (text(&scope["name"]), items(&scope["tags"]).iter().map(text).collect()))
            .collect();
        let has = |scope: &str, name: &str| scopes.get(scope).is_some_and(|names| names.contains(name));
        assert!(has("resource", "service.name") && has("span", "http.route") && has("intrinsic", "status"), "{answer}");
        assert!(has("event", "exception.type") && !has("span", "service.name"), "{answer}");
        let one = self.get("/api/v2/search/tags?limit=5000&scope=resource");
        assert_eq!(items(&one["scopes"]).len(), 1, "{one}");

        let numbers: BTreeSet<String> = (0..self.shop.traces.len()).map(|number| format!("n{number}")).collect();
        let numbers: BTreeSet<&str> = numbers.iter().map(String::as_str).collect();
        let services = BTreeSet::from(["cart", "frontend", "stock"]);
        let in_cart = query_value("{resource.service.name=\"cart\"}");
        let values = [
            ("resource.service.name".to_owned(), String::new(), services.clone()),
            ("resource%2Eservice%2Ename".to_owned(), String::new(), services.clone()),
            ("resource%252Eservice%252Ename".to_owned(), String::new(), services),
            ("span.attr/slash".to_owned(), String::new(), BTreeSet::from(["a/b"])),
            ("span.attr%2Fslash".to_owned(), String::new(), BTreeSet::from(["a/b"])),
            ("span.attr%252Fslash".to_owned(), String::new(), BTreeSet::from(["a/b"])),
            (query_value("span.\"name with space\""), String::new(), numbers.clone()),
            (query_value(&query_value("span.\"name with space\"")), String::new(), numbers),
            ("name".to_owned(), format!("&q={in_cart}"), BTreeSet::from(["AddItem", "SELECT items"])),
            ("status".to_owned(), String::new(), BTreeSet::from(["ok", "error", "unset"])),
        ];
        for (name, more, expected) in values {
            let answer = self.get(&format!("/api/v2/search/tag/{name}/values?limit=5000&{window}{more}&tag={name}"));
            let found: BTreeSet<&str> = items(&answer["tagValues"]).iter().map(|value| text(&value["value"])).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    fn search(&self) {
        let query = query_value("{resource.service.name=\"cart\" && name=\"AddItem\"}");
        let answer = self.get(&format!("/api/search?q={query}&limit=5&spss=3&{}", self.window()));
        let traces = items(&answer["traces"]);
        assert_eq!(traces.len(), 5, "{answer}");
        let mut newest: Vec<_> = self.shop.traces.iter().collect();
        newest.sort_by_key(|trace| std::cmp::Reverse(trace.spans.iter().map(|span| span.start).min()));
        for (found, sent) in traces.iter().zip(newest) {
            assert_eq!(format!("{:0>32}", text(&found["traceID"])), sent.trace_id);
            assert!(found["startTimeUnixNano"].is_string() && found["durationMs"].is_u64(), "{found}");
            assert_eq!(found["spanSets"][0]["matched"], 1);
            let span = &found["spanSets"][0]["spans"][0];
            let add = sent.spans.iter().find(|span| span.name == "AddItem").expect("it has one");
            assert_eq!(text(&span["spanID"]), add.span_id);
            assert_eq!(number(&span["durationNanos"]), add.end - add.start);
        }
    }

    fn trace_view(&self) {
        let id = &self.shop.traces[0].trace_id;
        let answer = Connection::new(self.server.http).get_as(&format!("/api/v2/traces/{id}"), "application/protobuf");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/protobuf")));
        assert_eq!(answer.body[0], 0x0a, "the trace is the first field");
        let nothing = Connection::new(self.server.http).get_as("/api/v2/traces/1", "application/protobuf");
        // Grafana goes into the trace without asking whether there is one.
        assert_eq!((nothing.status, &nothing.body[..2]), (200, &[0x0a, 0][..]));
    }

    fn rates(&self) {
        let rate = |query: &str| -> Sums {
            let counted = |(labels, sum): (_, f64)| (labels, sum * STEP_SECONDS as f64);
            self.series(query).into_iter().map(counted).collect()
        };
        let by_service =
            rate("{true && resource.service.name != nil} | rate() by(resource.service.name) with(sample=true)");
        assert_eq!(by_service.len(), 3, "{by_service:?}");
        for (labels, count) in by_service {
            let [(key, (kind, service))] = &labels[..] else { panic!("one label: {labels:?}") };
            assert_eq!((key.as_str(), *kind), ("resource.service.name", "stringValue"));
            assert_close(count, self.shop.count(|span| span.service == *service) as f64, &labels);
        }
        for (query, count) in [
            ("{nestedSetParent<0 && true} | rate() with(sample=true)", self.shop.traces.len()),
            ("{kind=server && true} | rate() with(sample=true)", self.shop.count(|span| span.kind == "server")),
            ("{nestedSetParent<0 && status=error} | rate() with(sample=true)", {
                self.shop.count(|span| span.parent_span_id.is_empty() && span.status == "error")
            }),
            ("{span.db.system.name!=\"\"} | rate() with(sample=true)", self.shop.count(|s| s.name == "SELECT items")),
        ] {
            let found = rate(query);
            assert_eq!(found.len(), 1, "{query}: {found:?}");
            for (labels, sum) in found {
                assert_eq!(labels, [("__name__".to_owned(), ("stringValue", "rate".to_owned()))], "{query}");
                assert_close(sum, count as f64, &query);
            }
        }
        let by_code = rate("{span.http.response.status_code != nil} | rate() by(span.http.response.status_code)");
        let codes: Vec<(&str, &str)> = by_code.keys().map(|labels| (labels[0].1.0, labels[0].1.1.as_str())).collect();
        assert_eq!(codes, [("intValue", "200"), ("intValue", "500")], "integers stay integers in the legend");
    }

    fn durations(&self) {
        let found = self.series("{nestedSetParent<0 && true} | quantile_over_time(duration, .5, .9) with(sample=true)");
        let quantiles: Vec<(&str, &str)> = found.keys().map(|labels| (labels[0].1.0, labels[0].1.1.as_str())).collect();
        assert_eq!(quantiles, [("doubleValue", "0.5"), ("doubleValue", "0.9")], "{found:?}");
        let found = self.series("{nestedSetParent<0 && true} | histogram_over_time(duration) with(sample=true)");
        let buckets: Vec<(f64, f64)> = found
            .into_iter()
            .map(|(labels, count)| {
                assert_eq!((labels[0].0.as_str(), labels[0].1.0), ("__bucket", "doubleValue"));
                (labels[0].1.1.parse().expect("a bound in seconds"), count)
            })
            .collect();
        // Powers of two of nanoseconds: the requests took 100 to 210 ms.
        let took = |from: u64, to: u64| {
            let inside = |nanos: u64| nanos > from && nanos <= to;
            self.shop.count(|span| span.parent_span_id.is_empty() && inside(span.end - span.start)) as f64
        };
        let expected = [(0.134217728, took(1 << 26, 1 << 27)), (0.268435456, took(1 << 27, 1 << 28))];
        assert_eq!(buckets, expected);
    }

    fn comparison(&self) {
        let (start, end) = ((self.shop.start - 10) * 1_000_000_000, (self.shop.start + 40) * 1_000_000_000);
        let whole = "{nestedSetParent<0 && true} | compare({status = error}, 10)".to_owned();
        let part = format!("{{nestedSetParent<0 && true}} | compare({{status = error}}, 10, {start}, {end})");
        let is_root = |span: &&super::SentSpan| span.parent_span_id.is_empty();
        for query in [whole, part] {
            let found = self.series(&query);
            let sum = |meta: &str, key: &str, value: &str| {
                let is_it = |labels: &[Label]| {
                    let has = |key: &str, value: &str| labels.iter().any(|(k, (_, v))| k == key && v == value);
                    has("__meta_type", meta) && has(key, value)
                };
                found.iter().filter(|(labels, _)| is_it(labels)).map(|(_, sum)| *sum).sum::<f64>()
            };
            for code in ["200", "500"] {
                let key = "span.http.response.status_code";
                let failed = code == "500";
                let with_code = self.shop.spans().filter(is_root).filter(|span| (span.status == "error") == failed);
                let count = with_code.count() as f64;
                assert_close(sum("selection", key, code), if failed { count } else { 0.0 }, &query);
                assert_close(sum("baseline", key, code), if failed { 0.0 } else { count }, &query);
            }
            let metas: BTreeSet<&str> = found
                .keys()
                .flatten()
                .filter(|(key, _)| key == "__meta_type")
                .map(|(_, (_, value))| value.as_str())
                .collect();
            assert_eq!(metas, BTreeSet::from(["baseline", "baseline_total", "selection", "selection_total"]));
        }
    }

    fn structure(&self) {
        let query = "({nestedSetParent<0 && status = error} &>> { kind = server }) || ({nestedSetParent<0 && status = \
                     error}) | select(status, resource.service.name, name, nestedSetParent, nestedSetLeft, \
                     nestedSetRight)";
        let answer = self.get(&format!("/api/search?q={}&limit=200&spss=20&{}", query_value(query), self.window()));
        let traces = items(&answer["traces"]);
        let is_failed = |span: &super::SentSpan| span.parent_span_id.is_empty() && span.status == "error";
        assert_eq!(traces.len(), self.shop.count(is_failed), "{answer}");
        for trace in traces {
            let spans = items(&trace["spanSets"][0]["spans"]);
            let of = |name: &str| {
                let span =
                    spans.iter().find(|span| text(&span["name"]).starts_with(name)).expect("a span of that name");
                let attributes = items(&span["attributes"]).iter();
                attributes.map(|pair| (text(&pair["key"]), &pair["value"])).collect::<BTreeMap<_, _>>()
            };
            assert_eq!(spans.len(), 2, "{trace}");
            let (root, cart) = (of("GET "), of("AddItem"));
            let int =
                |of: &BTreeMap<&str, &Value>, key: &str| text(&of[key]["intValue"]).parse::<i64>().expect("a number");
            assert_eq!(int(&root, "nestedSetParent"), -1);
            assert!(int(&root, "nestedSetLeft") < int(&cart, "nestedSetLeft"), "{trace}");
            assert!(int(&root, "nestedSetRight") > int(&cart, "nestedSetRight"), "{trace}");
            assert_eq!(text(&cart["service.name"]["stringValue"]), "cart");
            assert_eq!(text(&cart["status"]["stringValue"]), "error");
        }
    }

    fn exceptions(&self) {
        let query = "{status = error && event.exception.type != nil} | select(resource.service.name, \
                     event.exception.message, event.exception.stacktrace, event.exception.type) with(most_recent=true)";
        let answer = self.get(&format!("/api/search?q={}&limit=400&spss=10&{}", query_value(query), self.window()));
        let mut messages = Vec::new();
        for trace in items(&answer["traces"]) {
            for span in items(&trace["spanSets"][0]["spans"]) {
                let attributes = items(&span["attributes"]).iter();
                let of: BTreeMap<&str, &Value> = attributes.map(|pair| (text(&pair["key"]), &pair["value"])).collect();
                assert_eq!(text(&of["exception.type"]["stringValue"]), "DeadlockError");
                assert_eq!(text(&of["exception.stacktrace"]["stringValue"]), "at cart.add\nat cart.main");
                messages.push(text(&of["exception.message"]["stringValue"]).to_owned());
            }
        }
        assert_eq!(messages, ["deadlock 9", "deadlock 6", "deadlock 3", "deadlock 0"], "newest first");
    }
}

fn label(label: &Value) -> Label {
    let value = &label["value"];
    let kinds = ["stringValue", "intValue", "doubleValue", "boolValue"];
    let kind = kinds.into_iter().find(|kind| value.get(kind).is_some()).unwrap_or("no value");
    let shown = value[kind].as_str().map_or_else(|| value[kind].to_string(), str::to_owned);
    (text(&label["key"]).to_owned(), (kind, shown))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A 64-bit integer, which JSON has as text.
fn number(value: &Value) -> u64 {
    text(value).parse().unwrap_or_else(|_| panic!("not an integer as text: {value}"))
}

fn assert_close(found: f64, expected: f64, what: &dyn std::fmt::Debug) {
    assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}: {what:?}");
}
