"""Sends the traces of a small shop through the unmodified OpenTelemetry Python SDK and prints what they are.

Three services, a call from each to the next, errors with exceptions, a database, names that need escaping. All times
follow from `--start`, so that every answer can be worked out from what is printed: a JSON list of traces, each
`{"trace_id", "spans": [...]}` with spans as the SDK recorded them.
"""

import argparse
import json
import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

MILLI = 1_000_000
SECOND = 1_000 * MILLI


class Service:
    """One service: its tracer, and the spans it finished."""

    def __init__(self, name, **attributes):
        self.name = name
        self.finished = InMemorySpanExporter()
        resource = {"service.name": name} | attributes
        provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.finished))
        self.tracer = provider.get_tracer("shop.tracing", "2.1.0")

    def start(self, name, kind, parent, start, **attributes):
        context = trace.set_span_in_context(parent) if parent else None
        return self.tracer.start_span(name, context=context, kind=kind, start_time=start, attributes=attributes)


def order(number, start, frontend, cart, stock):
    """One request to the shop. Every third one fails in the cart; every other one is a look at the products."""
    route = "/products" if number % 2 else "/checkout"
    failed = number % 3 == 0
    took = (100 + 10 * number) * MILLI
    root = frontend.start(f"GET {route}", SpanKind.SERVER, None, start)
    root.set_attributes({"http.route": route, "http.response.status_code": 500 if failed else 200})
    root.set_attributes({"attr/slash": "a/b", "name with space": f"n{number}", "ratio": number / 4, "beta": failed})
    call = frontend.start("call cart", SpanKind.CLIENT, root, start + 10 * MILLI)
    serve = cart.start("AddItem", SpanKind.SERVER, call, start + 20 * MILLI)
    serve.set_attributes({"cart.items": number, "cart.user": f"user-{number % 4}"})
    query = cart.start("SELECT items", SpanKind.CLIENT, serve, start + 30 * MILLI)
    query.set_attributes({"db.system.name": "postgresql", "db.query.text": "SELECT * FROM items"})
    query.end(start + 40 * MILLI)
    if not failed:
        reserve = stock.start("reserve", SpanKind.CONSUMER, serve, start + 45 * MILLI)
        reserve.end(start + 50 * MILLI)
    else:
        exception = {
            "exception.type": "DeadlockError",
            "exception.message": f"deadlock {number}",
            "exception.stacktrace": "at cart.add\nat cart.main",
        }
        serve.add_event("exception", exception, timestamp=start + 42 * MILLI)
        serve.set_status(Status(StatusCode.ERROR, "deadlock"))
        root.set_status(Status(StatusCode.ERROR))
    serve.end(start + 60 * MILLI)
    call.end(start + 70 * MILLI)
    root.end(start + took)


def printed(span):
    return {
        "span_id": trace.format_span_id(span.context.span_id),
        "parent_span_id": trace.format_span_id(span.parent.span_id) if span.parent else "",
        "service": span.resource.attributes["service.name"],
        "name": span.name,
        "kind": span.kind.name.lower(),
        "start": span.start_time,
        "end": span.end_time,
        "status": span.status.status_code.name.lower(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True, help="http://host:port of OTLP over HTTP")
    parser.add_argument("--start", type=int, required=True, help="start of the first trace, in Unix seconds")
    parser.add_argument("--traces", type=int, default=12, help="how many; each starts two seconds after the one before")
    parser.add_argument("--tenant", help="value of X-Scope-OrgID")
    options = parser.parse_args()

    frontend = Service("frontend", **{"deployment.environment.name": "test"})
    cart = Service("cart", replicas=3)
    stock = Service("stock")
    for number in range(options.traces):
        order(number, (options.start + 2 * number) * SECOND, frontend, cart, stock)
    headers = {"X-Scope-OrgID": options.tenant} if options.tenant else {}
    exporter = OTLPSpanExporter(endpoint=options.endpoint + "/v1/traces", headers=headers)
    traces = {}
    for service in (frontend, cart, stock):
        spans = service.finished.get_finished_spans()
        result = exporter.export(spans)
        assert result is SpanExportResult.SUCCESS, f"{service.name}: {result}"
        for span in spans:
            traces.setdefault(trace.format_trace_id(span.context.trace_id), []).append(printed(span))
    exporter.shutdown()
    json.dump([{"trace_id": trace_id, "spans": spans} for trace_id, spans in traces.items()], sys.stdout)
    print()


if __name__ == "__main__":
    main()
