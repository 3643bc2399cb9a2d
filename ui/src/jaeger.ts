// Links of Jaeger's pages, translated into ours: dashboards and old messages keep working.

import { field, quote } from "./search/conditions";
import type { Params, View } from "./url";

const OURS = ["q", "from", "to"];

/** The view that a Jaeger link means, or undefined if the view is no Jaeger link. */
export function fromJaeger(view: View): View | undefined {
  const { page, params } = view;
  if (page === "trace" && (params.uiFind !== undefined || params.uiEmbed !== undefined)) {
    const { uiFind, uiEmbed, ...rest } = params;
    return {
      ...view,
      params: { ...rest, ...(uiFind ? { find: uiFind } : {}), ...(uiEmbed ? { embed: "1" } : {}) },
    };
  }
  if (page !== "search" || OURS.some((key) => params[key])) return undefined;
  const known = ["service", "operation", "tags", "tag", "lookback", "start", "end", "minDuration", "maxDuration"];
  if (!known.some((key) => params[key])) return undefined;
  return { ...view, params: { ...kept(params), ...times(params), q: query(params) } };
}

function kept(params: Params): Record<string, string> {
  const out: Record<string, string> = {};
  for (const key of ["tenant", "tz", "limit"]) if (params[key]) out[key] = params[key];
  return out;
}

function times({ lookback, start, end }: Params): Record<string, string> {
  if (lookback && lookback !== "custom") return { from: `now-${lookback}`, to: "now" };
  const out: Record<string, string> = {};
  // Microseconds, which the reader of times tells by their size.
  if (start) out.from = start;
  if (end) out.to = end;
  return out;
}

function query(params: Params): string {
  const conditions: string[] = [];
  const { service, operation, minDuration, maxDuration } = params;
  if (service) conditions.push(`resource.service.name = ${quote(service)}`);
  if (operation && operation !== "all") conditions.push(`name = ${quote(operation)}`);
  if (minDuration) conditions.push(`duration >= ${minDuration.replace("us", "µs")}`);
  if (maxDuration) conditions.push(`duration <= ${maxDuration.replace("us", "µs")}`);
  for (const [key, value] of tags(params)) conditions.push(condition(key, value));
  return conditions.length === 0 ? "{ }" : `{ ${conditions.join(" && ")} }`;
}

/** `tags` is a JSON object; `tag=key:value` may be repeated. */
function tags(params: Params): [string, string][] {
  const out: [string, string][] = [];
  for (const text of (params.tags ?? "").split("\u0000")) {
    if (text === "") continue;
    try {
      const found: unknown = JSON.parse(text);
      if (found && typeof found === "object") {
        for (const [key, value] of Object.entries(found)) out.push([key, String(value)]);
      }
    } catch {
      // Old links write logfmt.
      for (const [, key, quoted, bare] of text.matchAll(/([^\s=]+)=(?:"([^"]*)"|(\S*))/g)) {
        if (key) out.push([key, quoted ?? bare ?? ""]);
      }
    }
  }
  for (const text of (params.tag ?? "").split("\u0000")) {
    const at = text.indexOf(":");
    if (at > 0) out.push([text.slice(0, at), text.slice(at + 1)]);
  }
  return out;
}

function condition(key: string, value: string): string {
  if (key === "error") return value === "true" ? "status = error" : "status != error";
  if (key === "span.kind") return `kind = ${/^\w+$/.test(value) ? value : quote(value)}`;
  // Jaeger keeps all values as text: a number may be stored as one.
  const name = field("", key);
  if (/^-?\d+(\.\d+)?$/.test(value)) return `(${name} = ${value} || ${name} = ${quote(value)})`;
  if (value === "true" || value === "false") return `(${name} = ${value} || ${name} = ${quote(value)})`;
  return `${name} = ${quote(value)}`;
}
