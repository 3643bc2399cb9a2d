// What the list of traces shows of each trace, and in which order. Pure.

import type { FoundTrace, OtlpValue } from "../api-types";
import { millisOf } from "../format";

export interface Row {
  id: string;
  startMillis: number;
  durationNanos: number;
  rootService: string;
  rootName: string;
  spans: number;
  errors: number;
  services: { name: string; spans: number; errors: number }[];
  matched: number;
  /** By the name that the server gives an attribute: without scope. */
  values: Record<string, string>;
}

export type Sort = "newest" | "oldest" | "slowest" | "fastest" | "spans" | "errors";
export const SORTS: Sort[] = ["newest", "oldest", "slowest", "fastest", "spans", "errors"];

export function rowOf(trace: FoundTrace): Row {
  const services = Object.entries(trace.serviceStats ?? {}).map(([name, stats]) => ({
    name,
    spans: stats.spanCount,
    errors: stats.errorCount ?? 0,
  }));
  services.sort((a, b) => b.spans - a.spans || (a.name < b.name ? -1 : 1));
  const values: Record<string, string> = {};
  let matched = 0;
  for (const set of trace.spanSets ?? []) {
    matched += set.matched;
    for (const span of set.spans) {
      for (const { key, value } of span.attributes ?? []) {
        const text = valueText(value);
        const known = values[key];
        if (known === undefined) values[key] = text;
        else if (!known.split(", ").includes(text) && known.length < 200) values[key] = `${known}, ${text}`;
      }
    }
  }
  return {
    id: trace.traceID,
    startMillis: millisOf(trace.startTimeUnixNano || "0"),
    durationNanos: (trace.durationMs ?? 0) * 1e6,
    rootService: trace.rootServiceName ?? "",
    rootName: trace.rootTraceName ?? "",
    spans: services.reduce((sum, service) => sum + service.spans, 0),
    errors: services.reduce((sum, service) => sum + service.errors, 0),
    services,
    matched,
    values,
  };
}

export function valueText(value: OtlpValue): string {
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.intValue !== undefined) return String(value.intValue);
  if (value.doubleValue !== undefined) return String(value.doubleValue);
  if (value.boolValue !== undefined) return String(value.boolValue);
  if (value.bytesValue !== undefined) return value.bytesValue;
  if (value.arrayValue) return `[${(value.arrayValue.values ?? []).map(valueText).join(", ")}]`;
  if (value.kvlistValue) {
    return `{${(value.kvlistValue.values ?? []).map((pair) => `${pair.key}: ${valueText(pair.value)}`).join(", ")}}`;
  }
  return "";
}

const ORDERS: Record<Sort, (a: Row, b: Row) => number> = {
  newest: (a, b) => b.startMillis - a.startMillis,
  oldest: (a, b) => a.startMillis - b.startMillis,
  slowest: (a, b) => b.durationNanos - a.durationNanos,
  fastest: (a, b) => a.durationNanos - b.durationNanos,
  spans: (a, b) => b.spans - a.spans,
  errors: (a, b) => b.errors - a.errors,
};

export function sorted(rows: readonly Row[], sort: Sort): Row[] {
  const order = ORDERS[sort];
  return [...rows].sort((a, b) => order(a, b) || b.startMillis - a.startMillis || (a.id < b.id ? -1 : 1));
}

/** What is shown while the pointer rests on the list: rows that were there keep their place, new ones wait. */
export function steady(shown: readonly Row[], fresh: readonly Row[]): Row[] {
  const byId = new Map(fresh.map((row) => [row.id, row]));
  return shown.map((row) => byId.get(row.id) ?? row);
}

/** `span.http.route` as the server names it in an answer. */
export function answerName(column: string): string {
  return column.replace(/^(span|resource|event|link|instrumentation|parent)?\./, "").replace(/^"(.*)"$/, "$1");
}
