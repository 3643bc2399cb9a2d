// Numbers, durations and times as a person reads them. Knows no page and no API.

const UNITS: [number, string][] = [
  [3.6e12, "h"],
  [6e10, "m"],
  [1e9, "s"],
  [1e6, "ms"],
  [1e3, "µs"],
  [1, "ns"],
];

/** Three significant digits, without trailing zeros: 1.84, 12.4, 812. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size > 0 && size < 0.005) return "<0.01";
  if (size >= 100) return String(Math.round(value));
  const text = size >= 10 ? value.toFixed(1) : value.toFixed(2);
  return text.replace(/\.?0+$/, "");
}

/** A duration in nanoseconds: `1.84 s`, `812 ms`, `3 m 20 s`, `0 ns`; a dash for none. */
export function duration(nanos: number | null | undefined): string {
  if (nanos == null || !Number.isFinite(nanos)) return "–";
  const size = Math.abs(nanos);
  const sign = nanos < 0 ? "-" : "";
  if (size >= 6e10) {
    const seconds = Math.round(size / 1e9);
    const [big, small] = size >= 3.6e12 ? [3600, 60] : [60, 1];
    const rest = Math.floor((seconds % big) / small);
    const names = big === 3600 ? ["h", "m"] : ["m", "s"];
    const whole = Math.floor(seconds / big);
    return `${sign}${whole} ${names[0]}${rest ? ` ${rest} ${names[1]}` : ""}`;
  }
  for (let at = 0; at < UNITS.length; at++) {
    const [unit, name] = UNITS[at] as [number, string];
    if (size >= unit) {
      const text = digits(size / unit);
      const larger = UNITS[at - 1];
      // 999.9 µs rounds to 1000 µs, which is 1 ms.
      if (larger && Number(text) * unit >= larger[0]) return `${sign}1 ${larger[1]}`;
      return `${sign}${text} ${name}`;
    }
  }
  return size === 0 ? "0 ns" : `${sign}${digits(size)} ns`;
}

/** Nanoseconds of a duration as typed: `500ms`, `1.5s`, `1h30m`; undefined if it is none. */
export function parseDuration(text: string): number | undefined {
  const sizes: Record<string, number> = {
    ns: 1,
    us: 1e3,
    µs: 1e3,
    ms: 1e6,
    s: 1e9,
    m: 6e10,
    h: 3.6e12,
    d: 8.64e13,
    w: 6.048e14,
  };
  const whole = text.trim();
  if (!/^(?:\d+(?:\.\d+)?\s*(?:ns|us|µs|ms|s|m|h|d|w)\s*)+$/.test(whole)) return undefined;
  let sum = 0;
  for (const [, number, unit] of whole.matchAll(/(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s|m|h|d|w)/g)) {
    sum += Number(number) * (sizes[unit ?? ""] ?? 0);
  }
  return sum;
}

/** `1.9 M`, `12.4 k`, `812`. */
export function count(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  for (const [unit, name] of [
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e4, "k"],
  ] as const) {
    if (size >= unit * 0.9995) return `${digits(value / (unit === 1e4 ? 1e3 : unit))} ${name}`;
  }
  return Number.isInteger(value) ? value.toLocaleString("en-US").replaceAll(",", "\u202f") : digits(value);
}

/** `2.1 GB`, `812 B`; powers of ten. */
export function bytes(value: number): string {
  if (!Number.isFinite(value)) return "–";
  for (const [unit, name] of [
    [1e12, "TB"],
    [1e9, "GB"],
    [1e6, "MB"],
    [1e3, "kB"],
  ] as const) {
    if (Math.abs(value) >= unit * 0.9995) return `${digits(value / unit)} ${name}`;
  }
  return `${Math.round(value)} B`;
}

/** A share as per cent: `31 %`, `0.4 %`, `<0.1 %`. */
export function percent(share: number): string {
  const value = share * 100;
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0 %";
  if (Math.abs(value) < 0.1) return "<0.1 %";
  // 99.97 % is not all.
  if (value > 99.9 && value < 100) return ">99.9 %";
  return `${Math.abs(value) < 10 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value)} %`;
}

/** A rate per second: `120/s`, `0.9/s`, `3/min`. */
export function rate(perSecond: number): string {
  if (!Number.isFinite(perSecond)) return "–";
  if (perSecond === 0) return "0/s";
  if (perSecond < 0.1) return perSecond * 60 < 0.1 ? `${digits(perSecond * 3600)}/h` : `${digits(perSecond * 60)}/min`;
  return `${count(perSecond < 100 ? Number(digits(perSecond)) : Math.round(perSecond))}/s`;
}

/** Milliseconds since 1970, with microseconds as decimals, of a string of Unix nanoseconds. */
export function millisOf(unixNanos: string): number {
  const nanos = BigInt(unixNanos);
  return Number(nanos / 1000n) / 1000;
}

const two = (value: number) => String(value).padStart(2, "0");

interface Parts {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
  milli: number;
}

function parts(millis: number, utc: boolean): Parts {
  const date = new Date(millis);
  return utc
    ? {
        year: date.getUTCFullYear(),
        month: date.getUTCMonth() + 1,
        day: date.getUTCDate(),
        hour: date.getUTCHours(),
        minute: date.getUTCMinutes(),
        second: date.getUTCSeconds(),
        milli: date.getUTCMilliseconds(),
      }
    : {
        year: date.getFullYear(),
        month: date.getMonth() + 1,
        day: date.getDate(),
        hour: date.getHours(),
        minute: date.getMinutes(),
        second: date.getSeconds(),
        milli: date.getMilliseconds(),
      };
}

/** `14:02:11`, or with milliseconds `14:02:11.402`. */
export function clock(millis: number, utc: boolean, withMillis = false): string {
  const at = parts(millis, utc);
  const text = `${two(at.hour)}:${two(at.minute)}:${two(at.second)}`;
  return withMillis ? `${text}.${String(at.milli).padStart(3, "0")}` : text;
}

/** `2026-11-25`. */
export function day(millis: number, utc: boolean): string {
  const at = parts(millis, utc);
  return `${at.year}-${two(at.month)}-${two(at.day)}`;
}

/** `2026-11-25 14:02:11.402`; the caller says once whether it is UTC. */
export function dateTime(millis: number, utc: boolean, withMillis = false): string {
  return `${day(millis, utc)} ${clock(millis, utc, withMillis)}`;
}

/** How long ago: `4 s ago`, `3 d ago`. */
export function age(millis: number, nowMillis: number): string {
  const seconds = Math.max(0, (nowMillis - millis) / 1000);
  return `${span(seconds)} ago`;
}

/** A length of time in seconds in its largest unit: `3 d`, `4 s`. */
export function span(seconds: number): string {
  if (seconds < 1) return "0 s";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** Hostile text on one line: control characters and bidirectional marks become visible, length is bounded. */
export function plain(text: string, most = 400): string {
  const cut = text.length > most ? `${text.slice(0, most)}…` : text;
  return cut.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
    /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (mark) => (mark === "\n" ? "⏎" : mark === "\t" ? "→" : `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`),
  );
}

/** The address of a link that may be followed, or undefined: only http and https. */
export function safeLink(text: string): string | undefined {
  if (!/^https?:\/\//i.test(text) || text.length > 4096) return undefined;
  try {
    const url = new URL(text);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : undefined;
  } catch {
    return undefined;
  }
}
