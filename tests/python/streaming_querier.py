"""Asks one server the same questions over gRPC on both ports and over HTTP in both forms, and checks every answer
against what `shop.py` sent. grpcio knows nothing of this project; `tempo.proto` has only names and numbers.

The server has tenants: `--tenant` has the shop, every other one nothing.
"""

import argparse
import json
import sys

import grpc
import requests
from tempo_messages import pb, service, strict

SECOND = 1_000_000_000


class World:
    """The server, what it holds, and one way to call it over gRPC."""

    def __init__(self, http, grpc_target, tenant, traces):
        self.http, self.tenant, self.traces = http, tenant, traces
        self.spans = [span for trace in traces for span in trace["spans"]]
        self.start = min(span["start"] for span in self.spans) // SECOND - 10
        self.end = max(span["start"] for span in self.spans) // SECOND + 10
        self.channel = grpc.insecure_channel(grpc_target)
        self.stub = service.StreamingQuerierStub(self.channel)

    def stream(self, method, message, tenant=None):
        """Every message of a call."""
        metadata = (("x-scope-orgid", tenant or self.tenant),)
        return list(getattr(self.stub, method)(message, metadata=metadata, timeout=30))

    def get(self, path, parameters, accept="application/json"):
        headers = {"X-Scope-OrgID": self.tenant, "Accept": accept}
        return requests.get(f"http://{self.http}{path}", params=parameters, headers=headers, timeout=30)

    def both(self, path, parameters, message_type):
        """What HTTP answers, as JSON, which is decoded strictly, and where there is such a form as protobuf."""
        answer = self.get(path, parameters)
        assert answer.status_code == 200, f"{path} {parameters}: {answer.status_code} {answer.text}"
        assert answer.headers["content-type"] == "application/json", answer.headers
        from_json = strict(message_type, answer.text)
        if "/metrics/" not in path:
            answer = self.get(path, parameters, "application/protobuf")
            assert answer.headers["content-type"] == "application/protobuf", answer.headers
            from_protobuf = message_type.FromString(answer.content)
            for message in (from_json, from_protobuf):
                assert message.HasField("metrics"), f"{path}: no metrics"
            same(without_metrics(from_json), without_metrics(from_protobuf), path)
        return from_json

    def refused(self, method, message, path, parameters, *parts):
        """Both refuse, with the same words."""
        try:
            answered = self.stream(method, message)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
            for part in parts:
                assert part in error.details(), f"{part!r} in {error.details()!r}"
            answer = self.get(path, parameters)
            assert answer.status_code == 400, answer.status_code
            assert answer.headers["content-type"].startswith("text/plain"), answer.headers
            assert answer.text.strip() == error.details().strip(), f"{answer.text!r} and {error.details()!r}"
        else:
            raise AssertionError(f"{method} answered {message}: {answered}")


def same(one, other, what):
    assert one == other, f"{what}:\n{one}\nand\n{other}"


def without_metrics(message):
    copy = type(message)()
    copy.CopyFrom(message)
    copy.ClearField("metrics")
    return copy


def search(world):
    queries = {
        "{ status = error }": lambda span: span["status"] == "error",
        '{ resource.service.name = "cart" && kind = server }': lambda span: span["name"] == "AddItem",
        "{ span.cart.items >= 6 } | select(span.cart.user, name)": None,
        "{ name = `AddItem` } >> { span.db.system.name != nil }": lambda span: span["name"] == "SELECT items",
        "{ } | count() = 5": lambda span: True,
        "{ .nothing = 1 }": lambda span: False,
    }
    for query, matches in queries.items():
        asked = pb.SearchRequest(Query=query, Limit=50, SpansPerSpanSet=10, start=world.start, end=world.end)
        messages = world.stream("Search", asked)
        assert messages, f"{query}: no message"
        found = [trace for message in messages for trace in message.traces]
        ids = [trace.traceID for trace in found]
        assert len(ids) == len(set(ids)), f"{query}: a trace came twice: {ids}"
        last = messages[-1].metrics
        assert last.totalJobs > 0 and last.completedJobs == last.totalJobs, f"{query}: the last message: {last}"
        assert all(message.HasField("metrics") for message in messages), messages
        parameters = {"q": query, "limit": 50, "spss": 10, "start": world.start, "end": world.end}
        over_http = world.both("/api/search", parameters, pb.SearchResponse).traces
        starts = [trace.startTimeUnixNano for trace in over_http]
        assert starts == sorted(starts, reverse=True), f"{query}: not newest first: {starts}"
        same(sorted(found, key=lambda trace: trace.traceID), sorted(over_http, key=lambda trace: trace.traceID), query)
        if matches is None:
            continue
        expected = {}
        for trace in world.traces:
            spans = {span["span_id"] for span in trace["spans"] if matches(span)}
            if spans and (query != "{ } | count() = 5" or len(spans) == 5):
                expected[trace["trace_id"]] = spans
        got = {trace.traceID.zfill(32): {span.spanID for span in trace.spanSets[0].spans} for trace in found}
        same(got, expected, query)
        assert bool(expected) == (".nothing" not in query), f"{query} shows nothing"
    for trace in found:
        same(trace.spanSet, trace.spanSets[0], "spanSet")
    by_tags = world.stream("Search", pb.SearchRequest(Tags={"http.route": "/products"}, Limit=50))
    parameters = {"tags": "http.route=/products", "limit": 50}
    over_http = world.both("/api/search", parameters, pb.SearchResponse)
    same([trace for message in by_tags for trace in message.traces], list(over_http.traces), "by tags")
    assert len(over_http.traces) == len(world.traces) // 2


def search_details(world):
    """Metadata and values of one found span, against what was sent."""
    query = '{ name = "AddItem" && span.cart.items > 0 } | select(span.cart.user, kind, duration)'
    asked = pb.SearchRequest(Query=query, Limit=50, start=world.start, end=world.end)
    traces = {trace.traceID.zfill(32): trace for message in world.stream("Search", asked) for trace in message.traces}
    assert len(traces) == len(world.traces) - 1
    for sent in world.traces:
        trace = traces.get(sent["trace_id"])
        if trace is None:
            continue
        (root,) = [span for span in sent["spans"] if not span["parent_span_id"]]
        assert (trace.rootServiceName, trace.rootTraceName) == ("frontend", root["name"]), trace
        assert trace.startTimeUnixNano == root["start"], trace
        assert trace.durationMs == (root["end"] - root["start"]) // 1_000_000, trace
        for name, stats in trace.serviceStats.items():
            spans = [span for span in sent["spans"] if span["service"] == name]
            errors = [span for span in spans if span["status"] == "error"]
            assert (stats.spanCount, stats.errorCount) == (len(spans), len(errors)), f"{name}: {stats}"
        assert set(trace.serviceStats) == {span["service"] for span in sent["spans"]}
        (span,) = trace.spanSets[0].spans
        (original,) = [span for span in sent["spans"] if span["name"] == "AddItem"]
        assert trace.spanSets[0].matched == 1
        assert (span.spanID, span.startTimeUnixNano) == (original["span_id"], original["start"]), span
        assert span.durationNanos == original["end"] - original["start"] and span.name == "AddItem", span
        number = (root["end"] - root["start"]) // 10_000_000 - 10
        values = {pair.key: pair.value for pair in span.attributes}
        assert values["cart.items"].int_value == number, span
        assert values["cart.user"].string_value == f"user-{number % 4}", span
        assert values["kind"].string_value == "server" and values["duration"].string_value == "40ms", span


def tags(world):
    window = {"start": world.start, "end": world.end}
    for scope, query in [("", ""), ("span", ""), ("resource", ""), ("", '{ resource.service.name = "stock" }')]:
        asked = pb.SearchTagsRequest(scope=scope, query=query, **window)
        parameters = {"scope": scope, "q": query} | window
        parameters = {key: value for key, value in parameters.items() if value != ""}
        v1 = world.stream("SearchTags", asked)
        over_http = world.both("/api/search/tags", parameters, pb.SearchTagsResponse)
        same([name for message in v1 for name in message.tagNames], list(over_http.tagNames), f"v1 {parameters}")
        v2 = world.stream("SearchTagsV2", asked)
        over_http = world.both("/api/v2/search/tags", parameters, pb.SearchTagsV2Response)
        same([scope for message in v2 for scope in message.scopes], list(over_http.scopes), f"v2 {parameters}")
        found = {scope.name: set(scope.tags) for scope in over_http.scopes}
        if scope == "" and query == "":
            assert {"http.route", "attr/slash", "name with space", "cart.user"} <= found["span"], found
            assert {"service.name", "replicas", "telemetry.sdk.name"} <= found["resource"], found
            assert {"exception.type", "exception.message", "exception.stacktrace"} <= found["event"], found
            assert {"name", "status", "kind", "duration"} <= found["intrinsic"], found
        if query:
            assert "span" not in found and "replicas" not in found["resource"], found


def values(world):
    window = {"start": world.start, "end": world.end}
    carts = {str(number) for number in range(len(world.traces))}
    expected = {
        "resource.service.name": {("string", "cart"), ("string", "frontend"), ("string", "stock")},
        "span.http.response.status_code": {("int", "200"), ("int", "500")},
        "span.cart.items": {("int", number) for number in carts},
        "span.attr/slash": {("string", "a/b")},
        'span."name with space"': {("string", f"n{number}") for number in carts},
        "span.beta": {("bool", "true"), ("bool", "false")},
        ".http.route": {("string", "/products"), ("string", "/checkout")},
        "event.exception.type": {("string", "DeadlockError")},
        "name": {("string", span["name"]) for span in world.spans},
        "status": {("keyword", "ok"), ("keyword", "error"), ("keyword", "unset")},
        "span.nothing": set(),
    }
    for name, wanted in expected.items():
        messages = world.stream("SearchTagValuesV2", pb.SearchTagValuesRequest(tagName=name, **window))
        path = f"/api/v2/search/tag/{requests.utils.quote(name, safe='/')}/values"
        over_http = world.both(path, window, pb.SearchTagValuesV2Response)
        found = [value for message in messages for value in message.tagValues]
        same(found, list(over_http.tagValues), name)
        same({(value.type, value.value) for value in found}, wanted, name)
        assert len(found) == len(wanted), f"{name}: a value came twice"
    messages = world.stream("SearchTagValues", pb.SearchTagValuesRequest(tagName="service.name", **window))
    over_http = world.both("/api/search/tag/service.name/values", window, pb.SearchTagValuesResponse)
    found = [value for message in messages for value in message.tagValues]
    same(found, list(over_http.tagValues), "v1 values")
    same(found, ["cart", "frontend", "stock"], "v1 values")
    query = '{ resource.service.name = "cart" }'
    asked = pb.SearchTagValuesRequest(tagName="name", query=query, **window)
    found = [value.value for message in world.stream("SearchTagValuesV2", asked) for value in message.tagValues]
    same(sorted(found), ["AddItem", "SELECT items"], query)
    asked = pb.SearchTagValuesRequest(tagName="name", maxTagValues=2, **window)
    found = [value.value for message in world.stream("SearchTagValuesV2", asked) for value in message.tagValues]
    assert len(found) == 2, found


def labels(series):
    return tuple((label.key, label.value.WhichOneof("value"), str(label.value).strip()) for label in series.labels)


def metrics(world):
    nanos = {"start": world.start * SECOND, "end": world.end * SECOND}
    window = {"start": world.start, "end": world.end}
    for query in (
        "{ kind = server } | count_over_time() by(resource.service.name)",
        "{ } | rate() by(status, span.http.response.status_code)",
        "{ } | quantile_over_time(duration, .5, .9) by(name)",
        "{ } | histogram_over_time(duration)",
        "{ } | avg_over_time(span.cart.items)",
        "{ } | max_over_time(duration) by(resource.service.name) | topk(2)",
        "{ } | compare({ status = error }, 10)",
        '{ resource.service.name = "nobody" } | rate()',
    ):
        messages = world.stream("MetricsQueryRange", pb.QueryRangeRequest(query=query, step=4 * SECOND, exemplars=7, **nanos))
        parameters = {"q": query, "step": "4s", "exemplars": 7} | window
        over_http = world.both("/api/metrics/query_range", parameters, pb.QueryRangeResponse)
        found = [series for message in messages for series in message.series]
        same(found, list(over_http.series), query)
        assert len({labels(series) for series in found}) == len(found), f"{query}: series with the same labels"
        assert sum(len(series.exemplars) for series in found) <= 7 or "compare" in query, f"{query}: exemplars"
        assert over_http.status == pb.COMPLETE and not over_http.message, over_http
        instant = world.stream("MetricsQueryInstant", pb.QueryInstantRequest(query=query, **nanos))
        over_http = world.both("/api/metrics/query", {"q": query} | window, pb.QueryInstantResponse)
        same([series for message in instant for series in message.series], list(over_http.series), query)
    query = "{ kind = server } | count_over_time() by(resource.service.name)"
    asked = pb.QueryRangeRequest(query=query, step=4 * SECOND, **nanos)
    (message,) = world.stream("MetricsQueryRange", asked)
    counts = {series.labels[0].value.string_value: sum(s.value for s in series.samples) for series in message.series}
    same(counts, {"frontend": len(world.traces), "cart": len(world.traces)}, query)
    for series in message.series:
        for sample in series.samples:
            spans = [span for span in world.spans if span["service"] == series.labels[0].value.string_value]
            end = sample.timestamp_ms * 1_000_000
            inside = [s for s in spans if s["kind"] == "server" and end - 4 * SECOND < s["start"] <= end]
            assert sample.value == len(inside), f"{series.labels}: {sample}, but {len(inside)}"
        ids = {trace["trace_id"] for trace in world.traces}
        assert series.exemplars, "there are exemplars unless they are not wanted"
        for exemplar in series.exemplars:
            (trace_id,) = [label.value.string_value for label in exemplar.labels if label.key == "trace:id"]
            assert trace_id.zfill(32) in ids, exemplar
    (message,) = world.stream("MetricsQueryInstant", pb.QueryInstantRequest(query="{} | count_over_time()", **nanos))
    same([series.value for series in message.series], [len(world.spans)], "instant")
    (message,) = world.stream("MetricsQueryRange", pb.QueryRangeRequest(query="{} | count_over_time()", instant=True, **nanos))
    same([sample.value for series in message.series for sample in series.samples], [len(world.spans)], "instant range")
    query = "{} | max_over_time(duration)"
    (message,) = world.stream("MetricsQueryInstant", pb.QueryInstantRequest(query=query, **nanos))
    longest = max(span["end"] - span["start"] for span in world.spans) / SECOND
    same([series.value for series in message.series], [longest], query)


def by_id(world):
    for trace in world.traces[:3]:
        trace_id = trace["trace_id"]
        answer = world.get(f"/api/v2/traces/{trace_id}", {})
        v2 = strict(pb.TraceByIDResponse, answer.text)
        v1 = strict(pb.BatchesOfTrace, world.get(f"/api/traces/{trace_id}", {}).text)
        same(list(v1.batches), list(v2.trace.resourceSpans), trace_id)
        binary = world.get(f"/api/v2/traces/{trace_id}", {}, "application/protobuf")
        same(without_metrics(pb.TraceByIDResponse.FromString(binary.content)), without_metrics(v2), trace_id)
        found = {s.span_id.hex() for batch in v1.batches for scope in batch.scope_spans for s in scope.spans}
        same(found, {span["span_id"] for span in trace["spans"]}, trace_id)
    answer = world.get("/api/v2/traces/123", {}, "application/protobuf")
    assert answer.status_code == 200 and answer.content.startswith(b"\x0a\x00"), answer.content
    assert world.get("/api/traces/123", {}).status_code == 404


def refusals(world):
    nanos = {"start": world.start * SECOND, "end": world.end * SECOND}
    query = "{ span.a =\n = 1 }"
    place = "line 2, column 2"
    world.refused("Search", pb.SearchRequest(Query=query), "/api/search", {"q": query}, place)
    path = "/api/metrics/query_range"
    world.refused("MetricsQueryRange", pb.QueryRangeRequest(query=query, **nanos), path, {"q": query}, place)
    path = "/api/metrics/query"
    world.refused("MetricsQueryInstant", pb.QueryInstantRequest(query=query, **nanos), path, {"q": query}, place)
    metrics_query = "{} | rate()"
    world.refused("Search", pb.SearchRequest(Query=metrics_query), "/api/search", {"q": metrics_query}, "metrics")
    path = "/api/metrics/query_range"
    world.refused("MetricsQueryRange", pb.QueryRangeRequest(query="{}", **nanos), path, {"q": "{}"}, "not a metrics query")
    both = {"Query": "{}", "Tags": {"a": "b"}}
    world.refused("Search", pb.SearchRequest(**both), "/api/search", {"q": "{}", "tags": "a=b"}, "tags and q")
    asked = pb.SearchTagsRequest(scope="planet")
    world.refused("SearchTags", asked, "/api/search/tags", {"scope": "planet"}, "planet")
    world.refused("SearchTagsV2", asked, "/api/v2/search/tags", {"scope": "planet"}, "planet")
    asked = pb.SearchTagValuesRequest(tagName="span.{")
    path = "/api/v2/search/tag/span.%7B/values"
    world.refused("SearchTagValuesV2", asked, path, {}, "please provide a valid tagName")
    unknown = world.channel.unary_stream("/tempopb.StreamingQuerier/Rewind", None, None)
    try:
        list(unknown(b"", metadata=(("x-scope-orgid", world.tenant),), timeout=30))
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
    else:
        raise AssertionError("a method that does not exist answered")


def tenants(world):
    asked = pb.SearchRequest(Query="{}", Limit=100)
    count = lambda tenant: sum(len(message.traces) for message in world.stream("Search", asked, tenant))
    same(count(world.tenant), len(world.traces), "the tenant")
    same(count("somebody-else"), 0, "another tenant")
    same(count(f"somebody-else|{world.tenant}"), len(world.traces), "both tenants")
    for metadata, code in [((), "UNAUTHENTICATED"), ((("x-scope-orgid", "a||b"),), "INVALID_ARGUMENT")]:
        try:
            list(world.stub.Search(asked, metadata=metadata, timeout=30))
        except grpc.RpcError as error:
            assert error.code().name == code, error
        else:
            raise AssertionError(f"{metadata} was answered")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--http", required=True, help="host:port of the HTTP API")
    parser.add_argument("--grpc", required=True, help="host:port to call over gRPC")
    parser.add_argument("--tenant", required=True)
    options = parser.parse_args()
    world = World(options.http, options.grpc, options.tenant, json.load(sys.stdin))
    for check in (tenants, search, search_details, tags, values, metrics, by_id, refusals):
        print(f"{options.grpc}: {check.__name__}", flush=True)
        check(world)


if __name__ == "__main__":
    main()
