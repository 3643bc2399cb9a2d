// Lines of a comparison as they are shown: which tell of a difference, and the middle of a band. Pure; the same rules as
// `spanlake compare`.

import type { ComparedLine, ComparedSide } from "../api-types";

/** Below both it is how long things take, one time and another. */
const LEAST_NANOS = 1e6;
const LEAST_SHARE = 0.1;

/** A number of one trace, or the median of many; undefined where there are no such spans. */
export function middle(side: ComparedSide, name: keyof ComparedSide): number | undefined {
  const value = side[name];
  return typeof value === "object" ? value.p50 : value;
}

/** The ordinary range of a number, where the side is many traces. */
export function band(side: ComparedSide, name: keyof ComparedSide): { p10: number; p90: number } | undefined {
  const value = side[name];
  return typeof value === "object" ? value : undefined;
}

/** Whether a line tells of a difference. Against many traces the server says what is unusual. */
export function differs(line: ComparedLine): boolean {
  if (line.change !== "same") return true;
  if (line.unusual !== undefined) return line.unusual;
  const [a, b] = [line.a, line.b];
  if ((middle(a, "count") ?? 0) !== (middle(b, "count") ?? 0)) return true;
  if ((middle(a, "errors") ?? 0) !== (middle(b, "errors") ?? 0)) return true;
  const size = Math.abs(line.deltaNanos);
  const most = Math.max(middle(a, "totalNanos") ?? 0, middle(b, "totalNanos") ?? 0);
  return size >= LEAST_NANOS && size >= most * LEAST_SHARE;
}
