// The whole trace in a strip: how many spans run at each time, where errors are, and who is on the critical path when.
// Binned to columns, so that it costs the same for any trace once it is counted.
import { ERROR, type TraceModel } from "../model";
import type { TimeWindow } from "../window";
import type { Paint } from "./paint";

export const MINIMAP = 46;
const COLUMNS = 1_200;
const PATH_STRIP = 5;

export interface Bins {
  /** Spans running in a column, and the most of any. */
  running: Float64Array;
  most: number;
  /** Errors that start in a column. */
  errors: Uint16Array;
  /** Span on the critical path in a column, or -1. */
  path: Int32Array;
}

export function bin(model: TraceModel, start: Float64Array, bounds: TimeWindow): Bins {
  const running = new Float64Array(COLUMNS + 1);
  const errors = new Uint16Array(COLUMNS);
  const path = new Int32Array(COLUMNS).fill(-1);
  const scale = COLUMNS / (bounds.to - bounds.from);
  const column = (offset: number): number =>
    Math.min(COLUMNS - 1, Math.max(0, Math.floor((offset - bounds.from) * scale)));
  for (let span = 0; span < model.count; span++) {
    running[column(start[span])]++;
    running[column(start[span] + model.duration[span]) + 1]--;
    if (model.status[span] === ERROR) errors[column(start[span])]++;
  }
  let most = 1;
  for (let i = 1; i < COLUMNS; i++) {
    running[i] += running[i - 1];
    if (running[i] > most) most = running[i];
  }
  for (let i = 0; i < model.segmentSpan.length; i++) {
    const shift = start[model.segmentSpan[i]] - model.rawStart[model.segmentSpan[i]];
    const to = column(model.segmentEnd[i] + shift);
    for (let at = column(model.segmentStart[i] + shift); at <= to; at++) path[at] = model.segmentSpan[i];
  }
  return { running, most, errors, path };
}

/** Draws the strip from `left` on, and dims what lies outside the window. */
export function drawMinimap(
  context: CanvasRenderingContext2D,
  size: { width: number; height: number; left: number; right: number },
  bins: Bins,
  series: Uint8Array,
  paint: Paint,
  bounds: TimeWindow,
  window: TimeWindow,
): void {
  const { width, height, left } = size;
  context.fillStyle = paint.surface;
  context.fillRect(0, 0, width, height);
  const room = width - left - size.right;
  const foot = height - PATH_STRIP - 4;
  // A root, so that one span still shows beside a thousand.
  const rise = (foot - 6) / Math.sqrt(bins.most);
  context.fillStyle = paint.accent;
  context.globalAlpha = 0.4;
  context.beginPath();
  context.moveTo(left, foot);
  for (let i = 0; i < COLUMNS; i++) {
    const x = left + (i / COLUMNS) * room;
    const y = foot - Math.sqrt(bins.running[i]) * rise;
    context.lineTo(x, y);
    context.lineTo(left + ((i + 1) / COLUMNS) * room, y);
  }
  context.lineTo(left + room, foot);
  context.fill();
  context.globalAlpha = 1;
  for (let i = 0, begun = 0; i < COLUMNS; i = begun) {
    begun = i + 1;
    const span = bins.path[i];
    while (begun < COLUMNS && bins.path[begun] === span) begun++;
    if (span < 0) continue;
    context.fillStyle = paint.series[series[span]];
    context.fillRect(left + (i / COLUMNS) * room, height - PATH_STRIP - 2, ((begun - i) / COLUMNS) * room, PATH_STRIP);
  }
  context.fillStyle = paint.error;
  for (let i = 0; i < COLUMNS; i++) {
    if (bins.errors[i] === 0) continue;
    const x = left + ((i + 0.5) / COLUMNS) * room;
    context.beginPath();
    context.moveTo(x, 8);
    context.lineTo(x - 3.5, 2);
    context.lineTo(x + 3.5, 2);
    context.fill();
    context.globalAlpha = 0.4;
    context.fillRect(x - 0.5, 7, 1, foot - 7);
    context.globalAlpha = 1;
  }
  const x0 = left + ((window.from - bounds.from) / (bounds.to - bounds.from)) * room;
  const x1 = left + ((window.to - bounds.from) / (bounds.to - bounds.from)) * room;
  const isWhole = window.from <= bounds.from && window.to >= bounds.to;
  context.fillStyle = paint.surface;
  context.globalAlpha = 0.72;
  context.fillRect(left, 0, x0 - left, height);
  context.fillRect(x1, 0, left + room - x1, height);
  context.globalAlpha = 1;
  context.strokeStyle = isWhole ? paint.line : paint.accent;
  context.lineWidth = 1;
  context.strokeRect(x0 + 0.5, 0.5, Math.max(2, x1 - x0 - 1), height - 1);
  context.fillStyle = isWhole ? paint.lineStrong : paint.accent;
  for (const x of [x0, x1]) {
    context.beginPath();
    context.roundRect(x - 2.5, height / 2 - 8, 5, 16, 2.5);
    context.fill();
  }
  context.fillStyle = paint.line;
  context.fillRect(0, height - 1, width, 1);
}
