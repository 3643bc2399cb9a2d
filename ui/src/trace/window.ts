// The part of the time axis that is shown: zoom, pan, tick marks and the URL's `z`. Pure.

/** Offsets in nanoseconds; `from < to`. */
export interface TimeWindow {
  from: number;
  to: number;
}

/** Closest zoom: a hundredth of a microsecond over the whole width. */
const MIN_SPAN_NANOS = 10;

export function clampWindow(window: TimeWindow, bounds: TimeWindow): TimeWindow {
  const whole = bounds.to - bounds.from;
  const span = Math.min(Math.max(window.to - window.from, Math.min(MIN_SPAN_NANOS, whole)), whole);
  const from = Math.min(Math.max(window.from, bounds.from), bounds.to - span);
  return { from, to: from + span };
}

/** Shows `factor` times the present span; what is at `at` stays where it is. */
export function zoomAround(window: TimeWindow, bounds: TimeWindow, factor: number, at: number): TimeWindow {
  const from = at - (at - window.from) * factor;
  return clampWindow({ from, to: from + (window.to - window.from) * factor }, bounds);
}

/** Moves by a share of what is shown; right is positive. */
export function panBy(window: TimeWindow, bounds: TimeWindow, share: number): TimeWindow {
  const by = (window.to - window.from) * share;
  return clampWindow({ from: window.from + by, to: window.to + by }, bounds);
}

/** A span with some air on both sides. */
export function frame(start: number, duration: number, bounds: TimeWindow): TimeWindow {
  const air = Math.max(duration * 0.08, MIN_SPAN_NANOS / 2);
  return clampWindow({ from: start - air, to: start + duration + air }, bounds);
}

export function isWhole(window: TimeWindow, bounds: TimeWindow): boolean {
  return window.from <= bounds.from && window.to >= bounds.to;
}

/** Round offsets inside the window, about `wanted` of them. */
export function ticks(window: TimeWindow, wanted: number): { step: number; first: number; count: number } {
  const rough = (window.to - window.from) / Math.max(wanted, 1);
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1e-9)));
  const unit = rough / power;
  const step = (unit <= 1 ? 1 : unit <= 2 ? 2 : unit <= 5 ? 5 : 10) * power;
  const first = Math.ceil(window.from / step) * step;
  return { step, first, count: Math.max(0, Math.floor((window.to - first) / step) + 1) };
}

/** `t0,t1` in whole nanoseconds; empty when everything is shown. */
export function encodeWindow(window: TimeWindow, bounds: TimeWindow): string {
  return isWhole(window, bounds) ? "" : `${Math.round(window.from)},${Math.round(window.to)}`;
}

export function decodeWindow(text: string, bounds: TimeWindow): TimeWindow {
  const [from, to, ...rest] = text.split(",").map(Number);
  const isSound = Number.isFinite(from) && Number.isFinite(to) && from < to && rest.length === 0;
  return isSound ? clampWindow({ from, to }, bounds) : { ...bounds };
}

/** An offset on an axis whose marks are `step` apart, in the unit of the largest mark. */
export function axisLabel(offset: number, step: number, largest: number): string {
  const [unit, name] = unitOf(Math.max(Math.abs(largest), step));
  const decimals = Math.min(9, Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9)));
  return offset === 0 ? "0" : `${(offset / unit).toFixed(decimals)} ${name}`;
}

function unitOf(nanos: number): [number, string] {
  if (nanos >= 1e9) return [1e9, "s"];
  if (nanos >= 1e6) return [1e6, "ms"];
  if (nanos >= 1e3) return [1e3, "µs"];
  return [1, "ns"];
}
