// What the waterfall's drawing needs to know, and where things are on it. Knows no events and no page.
import type { MissingParent, TraceModel } from "../model";
import type { Notes } from "../notes";
import type { Pruning } from "../prune";
import type { Rows } from "../rows";
import type { TimeWindow } from "../window";
import type { Working } from "../working";
import type { Paint, Texts } from "./paint";

export const ROW = 24;
export const AXIS = 26;
/** Air to the right of the last moment: room for the durations of bars that end there. */
export const RIGHT = 64;
const STEP = 14;
const EDGE = 10;

export interface Scene {
  model: TraceModel;
  rows: Rows;
  start: Float64Array;
  working: Working;
  window: TimeWindow;
  series: Uint8Array;
  paint: Paint;
  plain: Texts;
  bold: Texts;
  small: Texts;
  width: number;
  height: number;
  left: number;
  scroll: number;
  cursorRow: number;
  hoverRow: number;
  /** Pixels from the left of the canvas, or -1. */
  crosshair: number;
  selected: number;
  /** By span: 1 for a match; null when nothing is searched. */
  matches: Uint8Array | null;
  pruning: Pruning | null;
  notes: Notes;
  /** Offsets of a span's events from its start, as far as they are known. */
  events: (span: number) => ArrayLike<number> | undefined;
  loadingBelow: number;
}

/** Deep rows come closer together, so that names keep half of the column. */
export function indent(scene: { left: number }, depth: number): number {
  const most = Math.max(3, Math.floor((scene.left * 0.42) / STEP));
  return EDGE + (depth <= most ? depth * STEP : most * STEP + Math.min(depth - most, 60));
}

/** Pixel of an offset; may lie outside the canvas. */
export function pixel(scene: Scene, offset: number): number {
  const { from, to } = scene.window;
  return scene.left + ((offset - from) / (to - from)) * (scene.width - scene.left - RIGHT);
}

export function offsetAt(scene: Scene, x: number): number {
  const { from, to } = scene.window;
  return from + ((x - scene.left) / Math.max(1, scene.width - scene.left - RIGHT)) * (to - from);
}

export function rowAt(scene: { scroll: number; rows: Rows }, y: number): number {
  if (y < AXIS) return -1;
  const row = Math.floor((y - AXIS + scene.scroll) / ROW);
  return row < scene.rows.count ? row : -1;
}

export function missingTime(scene: Scene, missing: MissingParent): [number, number] {
  let from = Number.POSITIVE_INFINITY;
  let to = Number.NEGATIVE_INFINITY;
  for (const child of missing.children) {
    from = Math.min(from, scene.start[child]);
    to = Math.max(to, scene.start[child] + scene.model.duration[child]);
  }
  return from < to ? [from, to] : [missing.startNanos, missing.endNanos];
}
