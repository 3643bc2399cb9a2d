// Exports one known trace through the unmodified OpenTelemetry JavaScript SDK and prints what it sent.
//
// Usage: node export.js --protocol grpc|http|json --endpoint http://host:port [--compression gzip] [--timeout seconds]
//        [--marker text] [--padding-bytes n] [--header name=value]
// The output is one JSON object in the same neutral form as tests/python/export.py.
'use strict';

const { context, SpanKind, SpanStatusCode, trace, TraceFlags, createTraceState } = require('@opentelemetry/api');
const { resourceFromAttributes, defaultResource } = require('@opentelemetry/resources');
const { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } = require('@opentelemetry/sdk-trace');

function options(argv) {
  const found = { protocol: 'http', compression: 'none', timeout: 10, marker: 'js', 'padding-bytes': 0, headers: {} };
  for (let i = 0; i < argv.length; i += 2) {
    const name = argv[i].replace(/^--/, '');
    if (name === 'header') {
      const [key, ...rest] = argv[i + 1].split('=');
      found.headers[key] = rest.join('=');
    } else {
      found[name] = typeof found[name] === 'number' ? Number(argv[i + 1]) : argv[i + 1];
    }
  }
  return found;
}

// The exporter under test, configured through its public constructor only.
function exporter({ protocol, endpoint, compression, timeout, headers }) {
  const common = { compression, timeoutMillis: timeout * 1000 };
  if (protocol === 'grpc') {
    const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-grpc');
    const { Metadata } = require('@grpc/grpc-js');
    const metadata = new Metadata();
    for (const [key, value] of Object.entries(headers)) metadata.set(key, value);
    return new OTLPTraceExporter({ ...common, url: endpoint, metadata });
  }
  const name = protocol === 'http' ? 'proto' : 'http';
  const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${name}`);
  return new OTLPTraceExporter({ ...common, url: `${endpoint}/v1/traces`, headers });
}

// A small trace that uses every attribute type of this SDK, events, links, status and all span kinds.
async function record(marker, padding, memory) {
  const resource = defaultResource().merge(
    resourceFromAttributes({ 'service.name': 'frontend', 'service.version': '1.2.3', replicas: 3 }),
  );
  const provider = new TracerProvider({ resource, spanProcessors: [new SimpleSpanProcessor({ exporter: memory })] });
  const tracer = provider.getTracer('shop.frontend', '0.4.0', {
    schemaUrl: 'https://opentelemetry.io/schemas/1.40.0',
  });
  const attributes = {
    'test.marker': marker,
    empty: '',
    text: 'zażółć gęślą jaźń 🧪 "quoted" \\ \n',
    yes: true,
    no: false,
    zero: 0,
    negative: -42,
    large: Number.MAX_SAFE_INTEGER,
    ratio: 0.1,
    tiny: 5e-324,
    strings: ['a', '', 'c'],
    ints: [1, 2, 3],
    doubles: [1.5, -2.5],
    bools: [true, false],
  };
  if (padding) attributes.padding = 'x'.repeat(padding);
  const other = {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    isRemote: true,
    traceFlags: TraceFlags.SAMPLED,
    traceState: createTraceState('vendor=opaque'),
  };
  const links = [{ context: other, attributes: { why: 'batch', n: 1 } }];
  const root = tracer.startSpan('GET /cart', { kind: SpanKind.SERVER, attributes, links });
  root.addEvent('cart.loaded', { items: 3, ok: true });
  const inRoot = trace.setSpan(context.active(), root);
  const query = tracer.startSpan('SELECT orders', { kind: SpanKind.CLIENT }, inRoot);
  query.setStatus({ code: SpanStatusCode.ERROR, message: 'deadlock detected' });
  query.recordException(new TypeError('deadlock detected'));
  query.end();
  const publish = tracer.startSpan('publish', { kind: SpanKind.PRODUCER }, inRoot);
  publish.setStatus({ code: SpanStatusCode.OK });
  publish.end();
  tracer.startSpan('consume', { kind: SpanKind.CONSUMER }, inRoot).end();
  tracer.startSpan('price', { kind: SpanKind.INTERNAL }, inRoot).end();
  root.end();
  await provider.forceFlush();
  return root.spanContext().traceId;
}

// One attribute value as OTLP/JSON writes it, 64-bit integers as strings.
function value(item) {
  if (typeof item === 'string') return { stringValue: item };
  if (typeof item === 'boolean') return { boolValue: item };
  if (typeof item === 'number') return Number.isInteger(item) ? { intValue: String(item) } : { doubleValue: item };
  return { arrayValue: item.map(value) };
}

function values(attributes) {
  return Object.fromEntries(Object.entries(attributes ?? {}).map(([key, item]) => [key, value(item)]));
}

function nanos([seconds, rest]) {
  return String(BigInt(seconds) * 1000000000n + BigInt(rest));
}

// A finished span as the test compares it: the SDK's own record of what it was told.
function neutral(span) {
  return {
    span_id: span.spanContext().spanId,
    parent_span_id: span.parentSpanContext?.spanId ?? '',
    trace_state: span.spanContext().traceState?.serialize() ?? '',
    name: span.name,
    kind: `SPAN_KIND_${SpanKind[span.kind]}`,
    start: nanos(span.startTime),
    end: nanos(span.endTime),
    attributes: values(span.attributes),
    events: span.events.map((event) => ({
      name: event.name,
      time: nanos(event.time),
      attributes: values(event.attributes),
    })),
    links: span.links.map((link) => ({
      trace_id: link.context.traceId,
      span_id: link.context.spanId,
      trace_state: link.context.traceState?.serialize() ?? '',
      attributes: values(link.attributes),
    })),
    status_code: `STATUS_CODE_${SpanStatusCode[span.status.code]}`,
    status_message: span.status.message ?? '',
  };
}

async function main() {
  const given = options(process.argv.slice(2));
  const memory = new InMemorySpanExporter();
  const traceId = await record(given.marker, given['padding-bytes'], memory);
  const spans = memory.getFinishedSpans();
  const client = exporter(given);
  const started = process.hrtime.bigint();
  const result = await new Promise((resolve) => client.export(spans, resolve));
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  const scope = spans[0].instrumentationScope;
  console.log(
    JSON.stringify({
      trace_id: traceId,
      result: result.code === 0 ? 'SUCCESS' : 'FAILURE',
      error: result.error?.message,
      seconds,
      resource: values(spans[0].resource.attributes),
      scope: { name: scope.name, version: scope.version, schema_url: scope.schemaUrl },
      spans: spans.map(neutral),
    }),
  );
  await client.shutdown();
}

main().catch((e) => { console.error(e); process.exit(2); });
