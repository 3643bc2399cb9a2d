// The view as signals, and the only code that writes to history. The address is the truth for all that is shared.

import { computed, signal } from "@preact/signals";
import { fromJaeger } from "./jaeger";
import { preference } from "./prefs";
import { DEFAULT_FROM, DEFAULT_TO, parseTime } from "./time";
import { decode, encode, kept, type PageName, type Params, patch, type View } from "./url";

/** Path of `<base href>`, with a slash at both ends. */
export const base: string = new URL(document.baseURI).pathname.replace(/[^/]*$/, "");

function read(): View {
  const path = window.location.pathname;
  const asked = decode(path.startsWith(base) ? path.slice(base.length) : path, window.location.search);
  const translated = fromJaeger(asked);
  if (translated) window.history.replaceState(null, "", base + encode(translated));
  return translated ?? asked;
}

/** What is shown now. */
export const view = signal<View>(read());

window.addEventListener("popstate", () => {
  view.value = read();
});

/** Address of a page with the parameters that stay (tenant, times, time zone) and those given. */
export function href(page: PageName, id = "", params: Record<string, string | undefined> = {}): string {
  return base + encode({ page, id, params: patch(kept(view.value.params), params) });
}

/** Opens a page: a new entry in history. */
export function go(page: PageName, id = "", params: Record<string, string | undefined> = {}): void {
  follow(href(page, id, params));
}

/** Opens an address of ours, as made by `href`. */
export function follow(address: string): void {
  window.history.pushState(null, "", address);
  view.value = read();
  window.scrollTo(0, 0);
}

/** Changes parameters of the page shown; empty or undefined removes one. `replace` for zoom, scroll and other fine motion:
 * it makes no entry in history. */
export function setParams(changes: Record<string, string | undefined>, how: "push" | "replace" = "push"): void {
  const next = { ...view.value, params: patch(view.value.params, changes) };
  const address = base + encode(next);
  if (address === window.location.pathname + window.location.search) return;
  if (how === "push") window.history.pushState(null, "", address);
  else window.history.replaceState(null, "", address);
  view.value = read();
}

/** One parameter of the page shown, empty if absent. */
export function param(key: string): string {
  return view.value.params[key] ?? "";
}

export const params = computed<Params>(() => view.value.params);
export const tenant = computed(() => view.value.params.tenant ?? "");

const zone = preference<"utc" | "local">("tz", "local");
/** Whether times are shown in UTC; the address wins over the preference. */
export const utc = computed(() => (view.value.params.tz ?? zone.value.value) === "utc");

export function setUtc(on: boolean): void {
  zone.set(on ? "utc" : "local");
  if (view.value.params.tz) setParams({ tz: on ? "utc" : "local" }, "replace");
}

/** The time range as typed. */
export const typedRange = computed(() => ({
  from: view.value.params.from ?? DEFAULT_FROM,
  to: view.value.params.to ?? DEFAULT_TO,
}));

/** Set again when a person asks for fresh data of the same range: pages read it to load anew. */
export const refreshed = signal(0);

export interface Range {
  startMillis: number;
  endMillis: number;
}

/** The range in milliseconds now. Not a signal: relative ranges move on with the clock. */
export function rangeNow(nowMillis = Date.now()): Range {
  const { from, to } = typedRange.value;
  const end = parseTime(to, nowMillis, utc.peek()) ?? nowMillis;
  const start = parseTime(from, nowMillis, utc.peek()) ?? end - 15 * 60_000;
  return start < end ? { startMillis: start, endMillis: end } : { startMillis: end - 60_000, endMillis: end };
}

/** `start` and `end` of a request: Unix seconds, the end rounded up. */
export function rangeParams(range: Range = rangeNow()): { start: string; end: string } {
  return { start: String(Math.floor(range.startMillis / 1000)), end: String(Math.ceil(range.endMillis / 1000)) };
}
