"""Exports one known trace through the unmodified OpenTelemetry Python SDK and prints what it sent.

The last line of the output is a JSON object: the exporter's verdict, how long it took, and the trace in the
neutral form that `tests/system/clients.rs` compares with the answer of `/api/traces/{id}`:
`{"trace_id", "result", "seconds", "resource", "scope", "spans": [...]}`, attributes as OTLP/JSON values by key.
"""

import argparse
import base64
import json
import math
import sys
import time

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, SamplingResult, StaticSampler
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState


class Collect(SpanExporter):
    """Keeps finished spans, so that one batch holds the whole trace."""

    def __init__(self):
        self.spans = []

    def export(self, spans):
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


class StateSampler(StaticSampler):
    """Samples everything and gives every span a trace state, as probability samplers do."""

    def should_sample(self, *arguments, **keywords):
        result = super().should_sample(*arguments, **keywords)
        return SamplingResult(result.decision, result.attributes, TraceState([("ot", "th:0"), ("vendor", "opaque")]))


def exporter(protocol, endpoint, compression, timeout, headers):
    """The exporter under test, configured through its public constructor only."""
    if protocol == "grpc":
        import grpc
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        kind = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
        return OTLPSpanExporter(
            endpoint=endpoint, insecure=True, compression=kind, timeout=timeout, headers=tuple(headers.items())
        )
    if protocol == "http":
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    else:
        from opentelemetry.exporter.otlp.common.http import Compression
        from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
    return OTLPSpanExporter(
        endpoint=endpoint + "/v1/traces", compression=Compression(compression), timeout=timeout, headers=headers
    )


def record(marker, padding, items, collect):
    """A small trace that uses every attribute type, events, links, status and all span kinds."""
    resource = Resource.create(
        {"service.name": "checkout", "service.version": "1.2.3", "k8s.pod.name": "checkout-7d4", "replicas": 3}
    )
    provider = TracerProvider(resource=resource, sampler=StateSampler(Decision.RECORD_AND_SAMPLE))
    provider.add_span_processor(SimpleSpanProcessor(collect))
    tracer = provider.get_tracer("shop.checkout", "0.4.0", schema_url="https://opentelemetry.io/schemas/1.40.0")
    other = SpanContext(
        trace_id=0x0AF7651916CD43DD8448EB211C80319C,
        span_id=0xB7AD6B7169203331,
        is_remote=True,
        trace_flags=TraceFlags(1),
    )
    attributes = {
        "test.marker": marker,
        "empty": "",
        "text": "zażółć gęślą jaźń \U0001f9ea \"quoted\" \\ \n",
        "yes": True,
        "no": False,
        "zero": 0,
        "negative": -42,
        "largest": 2**63 - 1,
        "smallest": -(2**63),
        "ratio": 0.1,
        "whole": 3.0,
        "tiny": 5e-324,
        "infinite": math.inf,
        "bytes": b"\x00\x01\xfe\xff",
        "strings": ["a", "", "c"],
        "ints": [1, 2, 3],
        "doubles": [1.5, -2.5],
        "bools": [True, False],
        "mixed": ["a", 1, True, 2.5],
        "nothing": None,
        "no.items": [],
        "nested": {"inner": {"list": [1, "two"], "flag": False}},
    }
    if padding:
        attributes["padding"] = "x" * padding
    with tracer.start_as_current_span(
        "POST /checkout", kind=SpanKind.SERVER, attributes=attributes, links=[Link(other, {"why": "batch", "n": 1})]
    ) as root:
        root.add_event("cart.loaded", {"items": 3, "ok": True})
        with tracer.start_as_current_span("SELECT orders", kind=SpanKind.CLIENT) as child:
            child.set_attribute("db.system.name", "postgresql")
            child.set_status(Status(StatusCode.ERROR, "deadlock detected"))
            try:
                raise ValueError("deadlock detected")
            except ValueError as error:
                child.record_exception(error)
        with tracer.start_as_current_span("publish", kind=SpanKind.PRODUCER) as child:
            child.set_status(Status(StatusCode.OK))
        with tracer.start_as_current_span("consume", kind=SpanKind.CONSUMER):
            pass
        for index in range(items):
            item = {"item.index": index, "item.price": index / 4, "item.gift": index % 3 == 0, "item.sku": f"sku-{index}"}
            with tracer.start_as_current_span("price", kind=SpanKind.INTERNAL, attributes=item):
                pass
    return trace.format_trace_id(root.get_span_context().trace_id)


def value(item):
    """One attribute value as OTLP/JSON writes it, 64-bit integers as strings."""
    if item is None:
        return {}
    if isinstance(item, bool):
        return {"boolValue": item}
    if isinstance(item, str):
        return {"stringValue": item}
    if isinstance(item, int):
        return {"intValue": str(item)}
    if isinstance(item, float):
        return {"doubleValue": item if math.isfinite(item) else "Infinity" if item > 0 else "-Infinity"}
    if isinstance(item, bytes):
        return {"bytesValue": base64.b64encode(item).decode()}
    if hasattr(item, "items"):
        return {"kvlistValue": values(item)}
    return {"arrayValue": [value(element) for element in item]}


def values(attributes):
    return {key: value(item) for key, item in (attributes or {}).items()}


def neutral(span):
    """A finished span as the test compares it: the SDK's own record of what it was told."""
    parent = span.parent
    return {
        "span_id": trace.format_span_id(span.context.span_id),
        "parent_span_id": trace.format_span_id(parent.span_id) if parent else "",
        "trace_state": span.context.trace_state.to_header(),
        "name": span.name,
        "kind": "SPAN_KIND_" + span.kind.name,
        "start": str(span.start_time),
        "end": str(span.end_time),
        "attributes": values(span.attributes),
        "events": [
            {"name": event.name, "time": str(event.timestamp), "attributes": values(event.attributes)}
            for event in span.events
        ],
        "links": [
            {
                "trace_id": trace.format_trace_id(link.context.trace_id),
                "span_id": trace.format_span_id(link.context.span_id),
                # The SDK has one, but this version's exporters do not send it.
                "trace_state": "",
                "attributes": values(link.attributes),
            }
            for link in span.links
        ],
        "status_code": "STATUS_CODE_" + span.status.status_code.name,
        "status_message": span.status.description or "",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", choices=["grpc", "http", "json"], required=True)
    parser.add_argument("--endpoint", required=True, help="http://host:port, without a path")
    parser.add_argument("--compression", choices=["none", "gzip"], default="none")
    parser.add_argument("--timeout", type=float, default=10)
    parser.add_argument("--marker", default="python", help="value of the attribute test.marker")
    parser.add_argument("--padding-bytes", type=int, default=0, help="adds an attribute of this size")
    parser.add_argument("--items", type=int, default=1, help="number of spans with attributes of every scalar type")
    parser.add_argument("--header", action="append", default=[], help="name=value")
    options = parser.parse_args()

    collect = Collect()
    trace_id = record(options.marker, options.padding_bytes, options.items, collect)
    headers = dict(header.split("=", 1) for header in options.header)
    client = exporter(options.protocol, options.endpoint, options.compression, options.timeout, headers)
    started = time.monotonic()
    result = client.export(collect.spans)
    seconds = time.monotonic() - started
    client.shutdown()
    first = collect.spans[0]
    json.dump(
        {
            "trace_id": trace_id,
            "result": result.name,
            "seconds": round(seconds, 3),
            "resource": values(first.resource.attributes),
            "scope": {
                "name": first.instrumentation_scope.name,
                "version": first.instrumentation_scope.version,
                "schema_url": first.instrumentation_scope.schema_url,
            },
            "spans": [neutral(span) for span in collect.spans],
        },
        sys.stdout,
    )
    print()


if __name__ == "__main__":
    main()
