// A box on the heatmap: a range of time and of duration. As text it is `sel=x1,x2,y1,y2`, milliseconds since 1970 and
// nanoseconds. Pure.

import type { Heatmap, Selection } from "../api-types";
import { millisOf } from "../format";

export interface Box {
  /** Milliseconds since 1970. */
  fromMillis: number;
  toMillis: number;
  minNanos: number;
  maxNanos: number;
}

export function parseBox(text: string): Box | undefined {
  const numbers = text.split(",").map(Number);
  if (text === "" || numbers.length !== 4 || numbers.some((number) => !Number.isFinite(number) || number < 0))
    return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = numbers;
  if (a === b || c === d) return undefined;
  return { fromMillis: Math.min(a, b), toMillis: Math.max(a, b), minNanos: Math.min(c, d), maxNanos: Math.max(c, d) };
}

export function printBox(box: Box): string {
  return [box.fromMillis, box.toMillis, box.minNanos, box.maxNanos].map(Math.round).join(",");
}

/** Columns and rows from the first to the last, both included. */
export interface Cells {
  column1: number;
  column2: number;
  row1: number;
  row2: number;
}

export function boxOf(map: Heatmap, cells: Cells): Box {
  const start = millisOf(map.startUnixNanos);
  const step = map.stepNanos / 1e6;
  const [low, high] = [Math.min(cells.column1, cells.column2), Math.max(cells.column1, cells.column2)];
  const [bottom, top] = [Math.min(cells.row1, cells.row2), Math.max(cells.row1, cells.row2)];
  return {
    fromMillis: start + low * step,
    toMillis: start + (high + 1) * step,
    minNanos: map.bounds[bottom] ?? 0,
    maxNanos: map.bounds[top + 1] ?? map.bounds.at(-1) ?? 0,
  };
}

/** Spans and errors of the cells whose centre lies in the box. */
export function countIn(map: Heatmap, box: Box): { spans: number; errors: number } {
  const start = millisOf(map.startUnixNanos);
  const step = map.stepNanos / 1e6;
  let spans = 0;
  let errors = 0;
  for (const [column, row, some, wrong] of map.cells) {
    const at = start + (column + 0.5) * step;
    const low = map.bounds[row] ?? 0;
    const high = map.bounds[row + 1] ?? low;
    const middle = (low + high) / 2;
    if (at < box.fromMillis || at >= box.toMillis || middle < box.minNanos || middle >= box.maxNanos) continue;
    spans += some;
    errors += wrong;
  }
  return { spans, errors };
}

/** The box of the slowest share of all spans, over the whole time: the rows from the top that hold at least that many. */
export function slowest(map: Heatmap, share: number): Box | undefined {
  const rows = new Map<number, number>();
  for (const [, row, spans] of map.cells) rows.set(row, (rows.get(row) ?? 0) + spans);
  const top = Math.max(...rows.keys());
  if (!Number.isFinite(top)) return undefined;
  let seen = 0;
  let bottom = top;
  for (let row = top; row >= 0; row--) {
    const some = rows.get(row) ?? 0;
    if (seen > 0 && seen + some > map.total * share * 1.5) break;
    seen += some;
    bottom = row;
    if (seen >= map.total * share) break;
  }
  return boxOf(map, { column1: 0, column2: columns(map) - 1, row1: bottom, row2: top });
}

export function columns(map: Heatmap): number {
  return Math.max(1, map.rate.length);
}

/** What the server is asked about. */
export function selectionOf(box: Box, errors: boolean): Selection {
  const nanos = (millis: number) => String(BigInt(Math.round(millis * 1000)) * 1000n);
  return {
    startUnixNanos: nanos(box.fromMillis),
    endUnixNanos: nanos(box.toMillis),
    minNanos: Math.round(box.minNanos),
    // The last row ends below its bound, and the server takes the greatest duration itself.
    maxNanos: Math.max(Math.round(box.minNanos), Math.round(box.maxNanos) - 1),
    ...(errors ? { errors: true } : {}),
  };
}

/** The conditions on duration that a box means. */
export function durationConditions(box: Box): string[] {
  const out = [`duration < ${Math.round(box.maxNanos)}ns`];
  if (box.minNanos > 0) out.unshift(`duration >= ${Math.round(box.minNanos)}ns`);
  return out;
}
