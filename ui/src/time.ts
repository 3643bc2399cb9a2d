// Times as typed into the address: `now-15m`, ISO 8601, or a Unix number. Relative ones stay as typed; only a request
// turns them into seconds.

import { dateTime, parseDuration } from "./format";

export const DEFAULT_FROM = "now-15m";
export const DEFAULT_TO = "now";

/** The ranges offered by name, shortest first. */
export const RANGES: [string, string][] = [
  ["now-5m", "Last 5 minutes"],
  ["now-15m", "Last 15 minutes"],
  ["now-1h", "Last hour"],
  ["now-3h", "Last 3 hours"],
  ["now-6h", "Last 6 hours"],
  ["now-12h", "Last 12 hours"],
  ["now-24h", "Last 24 hours"],
  ["now-2d", "Last 2 days"],
  ["now-7d", "Last 7 days"],
];

/** Milliseconds since 1970 of a time as typed, or undefined if it is none. A time without zone is UTC or local as told. */
export function parseTime(text: string, nowMillis: number, utc = true): number | undefined {
  const typed = text.trim();
  if (typed === "now") return nowMillis;
  const relative = /^now\s*([+-])\s*(.+)$/.exec(typed);
  if (relative) {
    const nanos = parseDuration(relative[2] ?? "");
    return nanos === undefined ? undefined : nowMillis + ((relative[1] === "-" ? -1 : 1) * nanos) / 1e6;
  }
  if (/^\d{9,20}(\.\d+)?$/.test(typed)) {
    const number = Number(typed);
    // Seconds, milliseconds, microseconds (Jaeger) and nanoseconds are told apart by size.
    if (number < 1e11) return number * 1e3;
    if (number < 1e14) return number;
    if (number < 1e17) return number / 1e3;
    return number / 1e6;
  }
  if (!/^\d{4}-\d{2}-\d{2}/.test(typed)) return undefined;
  let iso = typed.replace(" ", "T");
  if (iso.length === 10) iso += "T00:00";
  if (!/(?:Z|[+-]\d{2}:?\d{2})$/i.test(iso) && utc) iso += "Z";
  const millis = Date.parse(iso);
  return Number.isNaN(millis) ? undefined : millis;
}

/** How a time is shown in the picker. */
export function describeTime(text: string, utc: boolean): string {
  if (text.startsWith("now")) return text;
  const millis = parseTime(text, 0, utc);
  return millis === undefined ? text : dateTime(millis, utc);
}

/** How a range is shown in the bar: by name if it has one. */
export function describeRange(from: string, to: string, utc: boolean): string {
  if (to === "now") {
    const named = RANGES.find(([typed]) => typed === from);
    if (named) return named[1];
    if (from.startsWith("now-")) return `Last ${from.slice(4)}`;
  }
  return `${describeTime(from, utc)} → ${describeTime(to, utc)}`;
}

/** Absolute text of a moment for the address, in UTC with milliseconds. */
export function frozen(millis: number): string {
  return new Date(millis).toISOString();
}
