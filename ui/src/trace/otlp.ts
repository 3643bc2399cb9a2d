// Traces as OTLP JSON: from Tempo's JSON, which the server speaks, and from span details of a trace that came from a file.
import type { Attribute, SpanDetail } from "../api-types";

const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];

interface Sent {
  key: string;
  value: unknown;
}

function sent(attributes: Attribute[] | undefined): Sent[] {
  return (attributes ?? []).map(({ key, type, value }) => ({ key, value: typed(type, value) }));
}

function typed(type: string, value: unknown): unknown {
  switch (type) {
    case "int":
      return { intValue: String(value) };
    case "double":
      return { doubleValue: value };
    case "bool":
      return { boolValue: value };
    case "bytes":
      return { bytesValue: value };
    case "array":
      return { arrayValue: { values: (Array.isArray(value) ? value : []).map(guessed) } };
    case "map":
      return {
        kvlistValue: { values: Object.entries(value ?? {}).map(([key, one]) => ({ key, value: guessed(one) })) },
      };
    default:
      return { stringValue: String(value) };
  }
}

/** Inside arrays and maps the API has plain JSON. */
function guessed(value: unknown): unknown {
  if (typeof value === "boolean") return typed("bool", value);
  if (typeof value === "number") return Number.isInteger(value) ? typed("int", value) : typed("double", value);
  if (Array.isArray(value)) return typed("array", value);
  return typeof value === "object" && value !== null ? typed("map", value) : typed("string", value ?? "");
}

export function otlpJson(traceId: string, spans: SpanDetail[]): string {
  const groups = new Map<string, { resource: Attribute[]; scope: SpanDetail["scope"]; spans: unknown[] }>();
  for (const span of spans) {
    const key = JSON.stringify([span.resource, span.scope]);
    const group = groups.get(key) ?? { resource: span.resource ?? [], scope: span.scope, spans: [] };
    groups.set(key, group);
    group.spans.push(one(traceId, span));
  }
  return JSON.stringify({
    resourceSpans: [...groups.values()].map((group) => ({
      resource: { attributes: sent(group.resource) },
      scopeSpans: [
        {
          scope: {
            name: group.scope?.name ?? "",
            version: group.scope?.version ?? "",
            attributes: sent(group.scope?.attributes),
          },
          spans: group.spans,
        },
      ],
    })),
  });
}

function one(traceId: string, span: SpanDetail): unknown {
  const start = BigInt(span.startUnixNanos);
  return {
    traceId,
    spanId: span.id,
    parentSpanId: span.parentId ?? "",
    traceState: span.traceState ?? "",
    name: span.name,
    kind: Math.max(0, KINDS.indexOf(span.kind)),
    startTimeUnixNano: span.startUnixNanos,
    endTimeUnixNano: String(start + BigInt(Math.round(span.durationNanos))),
    attributes: sent(span.attributes),
    events: (span.events ?? []).map((event) => ({
      name: event.name,
      timeUnixNano: String(start + BigInt(Math.round(event.offsetNanos))),
      attributes: sent(event.attributes),
    })),
    links: (span.links ?? []).map((link) => ({
      traceId: link.traceId,
      spanId: link.spanId,
      traceState: link.traceState ?? "",
      attributes: sent(link.attributes),
    })),
    status: {
      code: ["unset", "ok", "error"].indexOf(span.status?.code ?? "unset"),
      message: span.status?.message ?? "",
    },
    flags: span.flags ?? 0,
  };
}

/** Tempo writes protobuf's own JSON: ids as base64, enumerations as words, another name at the top. */
interface TempoSpan {
  traceId?: string;
  spanId?: string;
  parentSpanId?: string;
  kind?: string | number;
  status?: { code?: string | number; message?: string };
  links?: { traceId?: string; spanId?: string }[];
}

const STATUS_CODES = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

function hex(base64: string | undefined): string {
  if (!base64 || /^([0-9a-f]{16}|[0-9a-f]{32})$/.test(base64)) return base64 ?? "";
  return Array.from(atob(base64), (byte) => byte.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}

function numbered(value: string | number | undefined, words: string[], prefix: string): number {
  if (typeof value === "number") return value;
  const found = words.findIndex((word) => `${prefix}${word}`.toUpperCase() === value);
  return Math.max(0, found);
}

/** Tempo's JSON of a trace as OTLP JSON; nothing else of it changes. */
export function fromTempo(text: string): string {
  const { batches, resourceSpans, ...rest } = JSON.parse(text) as {
    batches?: { scopeSpans?: { spans?: TempoSpan[] }[] }[];
    resourceSpans?: { scopeSpans?: { spans?: TempoSpan[] }[] }[];
  };
  const groups = batches ?? resourceSpans ?? [];
  for (const span of groups.flatMap((group) => group.scopeSpans ?? []).flatMap((scope) => scope.spans ?? [])) {
    span.traceId = hex(span.traceId);
    span.spanId = hex(span.spanId);
    if (span.parentSpanId) span.parentSpanId = hex(span.parentSpanId);
    span.kind = numbered(span.kind, KINDS, "SPAN_KIND_");
    if (span.status) span.status.code = numbered(span.status.code, STATUS_CODES, "");
    for (const link of span.links ?? []) {
      link.traceId = hex(link.traceId);
      link.spanId = hex(link.spanId);
    }
  }
  return JSON.stringify({ resourceSpans: groups, ...rest });
}
