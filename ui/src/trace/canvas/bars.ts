// The right side of the waterfall: bars, folded runs, gaps, missing parents, events and the critical path.
import { duration } from "../../format";
import { ERROR } from "../model";
import { Row } from "../rows";
import type { Paint } from "./paint";
import { missingTime, pixel, ROW, type Scene } from "./scene";

const TOP = 6;
const BAR = 11;
const SOLID: number[] = [];
const DASHED = [3, 3];
const GAP_DASH = [5, 4];

let hatchFor = "";
let hatched: CanvasPattern | null = null;

function hatch(context: CanvasRenderingContext2D, colour: string): CanvasPattern | string {
  if (hatchFor === colour && hatched) return hatched;
  const tile = document.createElement("canvas");
  tile.width = 6;
  tile.height = 6;
  const inner = tile.getContext("2d");
  if (!inner) return colour;
  inner.strokeStyle = colour;
  inner.lineWidth = 1.4;
  inner.beginPath();
  inner.moveTo(-1, 7);
  inner.lineTo(7, -1);
  inner.moveTo(-1, 1);
  inner.lineTo(1, -1);
  inner.moveTo(5, 7);
  inner.lineTo(7, 5);
  inner.stroke();
  hatchFor = colour;
  hatched = context.createPattern(tile, "repeat");
  return hatched ?? colour;
}

const labels: string[] = [];
let labelsOf: unknown = null;

/** Durations as text, made once a span. */
function label(scene: Scene, span: number): string {
  if (labelsOf !== scene.model) {
    labelsOf = scene.model;
    labels.length = 0;
  }
  let text = labels[span];
  if (text === undefined) {
    text = duration(scene.model.duration[span]);
    labels[span] = text;
  }
  return text;
}

/** Draws what row `row` has on the time axis; the caller has clipped to the right side. */
export function drawBar(context: CanvasRenderingContext2D, scene: Scene, row: number, y: number): void {
  const ref = scene.rows.ref[row];
  switch (scene.rows.kind[row]) {
    case Row.Span:
      drawSpan(context, scene, ref, y);
      break;
    case Row.Fold:
      drawFold(context, scene, ref, y);
      break;
    case Row.Gap:
      drawGap(context, scene, ref, y);
      break;
    case Row.Missing:
      drawMissing(context, scene, ref, y);
      break;
  }
}

function beside(
  context: CanvasRenderingContext2D,
  scene: Scene,
  text: string,
  x0: number,
  x1: number,
  y: number,
): void {
  const width = scene.small.width(context, text);
  const right = scene.width - 8;
  context.font = scene.paint.small;
  const middle = y + ROW / 2 - 0.5;
  if (x1 < scene.left || x0 > scene.width) return;
  if (x1 + 7 + width <= right) context.fillText(text, Math.max(x1, scene.left) + 7, middle);
  else if (x0 - 7 - width >= scene.left + 4) context.fillText(text, Math.min(x0, scene.width) - 7 - width, middle);
  else {
    // No room on either side: on the bar, over a ground of its own.
    const at = Math.max(scene.left + 6, Math.min(right, x1) - width - 6);
    const ink = context.fillStyle;
    context.fillStyle = scene.paint.surface;
    context.globalAlpha = 0.82;
    context.fillRect(at - 3, y + TOP, width + 6, BAR);
    context.globalAlpha = 1;
    context.fillStyle = ink;
    context.fillText(text, at, middle);
  }
}

function drawSpan(context: CanvasRenderingContext2D, scene: Scene, span: number, y: number): void {
  const { model, paint, start } = scene;
  const colour = paint.series[scene.series[span]];
  const failed = model.status[span] === ERROR;
  const x0 = pixel(scene, start[span]);
  const x1 = Math.max(pixel(scene, start[span] + model.duration[span]), x0 + 2);
  const from = Math.max(x0, scene.left - 2);
  const to = Math.min(x1, scene.width + 2);
  if (to > from) {
    if (model.isAsync[span]) {
      // Nobody waits for it: an outline.
      context.fillStyle = colour;
      context.globalAlpha = 0.22;
      context.fillRect(from, y + TOP, to - from, BAR);
      context.globalAlpha = 1;
      context.strokeStyle = colour;
      context.setLineDash(DASHED);
      context.strokeRect(x0 + 0.5, y + TOP + 0.5, Math.max(1, x1 - x0 - 1), BAR - 1);
      context.setLineDash(SOLID);
    } else {
      context.fillStyle = colour;
      context.globalAlpha = paint.isDark ? 0.34 : 0.36;
      context.fillRect(from, y + TOP, to - from, BAR);
      context.globalAlpha = 1;
      drawWorking(context, scene, span, y, from, to);
    }
    drawNetwork(context, scene, span, y, x0, x1);
    if (failed) {
      context.strokeStyle = paint.error;
      context.lineWidth = 1.5;
      context.strokeRect(x0 + 0.75, y + TOP + 0.75, Math.max(1.5, x1 - x0 - 1.5), BAR - 1.5);
      context.lineWidth = 1;
    }
    drawPath(context, scene, span, y);
    if (model.events[span] > 0) drawEvents(context, scene, span, y);
  }
  const text = label(scene, span);
  if (failed) {
    context.fillStyle = paint.error;
    beside(context, scene, `! ${text}`, x0, x1, y);
  } else {
    context.fillStyle = paint.muted;
    beside(context, scene, model.isAsync[span] ? `${text} async` : text, x0, x1, y);
  }
}

function drawWorking(
  context: CanvasRenderingContext2D,
  scene: Scene,
  span: number,
  y: number,
  from: number,
  to: number,
): void {
  const intervals = scene.working.of(span);
  let drawnTo = from;
  for (let i = 0; i < intervals.length; i += 2) {
    const begin = pixel(scene, intervals[i]);
    if (begin > to) break;
    const end = Math.min(to, pixel(scene, intervals[i + 1]));
    const at = Math.max(begin, drawnTo);
    // What is less than half a pixel is not drawn, but what follows it still is.
    if (end - at < 0.5 && intervals.length > 64) continue;
    if (end > at) context.fillRect(at, y + TOP, Math.max(end - at, 0.75), BAR);
    drawnTo = Math.max(drawnTo, end);
  }
  if (to - from <= 3) context.fillRect(from, y + TOP, to - from, BAR);
}

/** Dots where a client waited for the network or a queue, before its server began and after it ended. */
function drawNetwork(
  context: CanvasRenderingContext2D,
  scene: Scene,
  span: number,
  y: number,
  x0: number,
  x1: number,
): void {
  const overhead = scene.notes.overheads.get(span);
  if (!overhead) return;
  const { start, model, paint } = scene;
  const beforeEnd = pixel(scene, start[span] + overhead.before);
  const afterStart = pixel(scene, start[span] + model.duration[span] - overhead.after);
  if (overhead.before > 0) dots(context, scene, paint.surface, x0, beforeEnd, y);
  if (overhead.after > 0) dots(context, scene, paint.surface, afterStart, x1, y);
}

function dots(
  context: CanvasRenderingContext2D,
  scene: Scene,
  colour: string,
  from: number,
  to: number,
  y: number,
): void {
  if (to - from < 5) return;
  context.fillStyle = colour;
  const end = Math.min(to - 2, scene.width);
  for (let x = Math.max(from + 2, scene.left - 2); x < end; x += 5) context.fillRect(x, y + TOP + 4.5, 2, 2);
}

/** A thick line under the bar with a halo of the opposite luminance: it is told by its place, not by its colour. */
function drawPath(context: CanvasRenderingContext2D, scene: Scene, span: number, y: number): void {
  const { model, paint } = scene;
  const last = model.segmentsOf.from[span + 1];
  const shift = scene.start[span] - model.rawStart[span];
  let from = 0;
  let to = Number.NEGATIVE_INFINITY;
  for (let i = model.segmentsOf.from[span]; i < last; i++) {
    const segment = model.segmentsOf.list[i];
    const begin = Math.max(pixel(scene, model.segmentStart[segment] + shift), scene.left - 2);
    const end = Math.min(Math.max(pixel(scene, model.segmentEnd[segment] + shift), begin + 1.5), scene.width + 2);
    if (end <= begin) continue;
    // What is nearer than a pair of pixels is one line: dust says nothing.
    if (begin - to < 2.5) to = Math.max(to, end);
    else {
      underline(context, paint, from, to, y);
      from = begin;
      to = end;
    }
  }
  underline(context, paint, from, to, y);
}

function underline(context: CanvasRenderingContext2D, paint: Paint, from: number, to: number, y: number): void {
  if (to <= from) return;
  context.fillStyle = paint.halo;
  context.fillRect(from - 1, y + TOP + BAR - 1, to - from + 2, 5);
  context.fillStyle = paint.path;
  context.fillRect(from, y + TOP + BAR, to - from, 3);
}

function drawEvents(context: CanvasRenderingContext2D, scene: Scene, span: number, y: number): void {
  const offsets = scene.events(span);
  if (!offsets) return;
  const { paint } = scene;
  for (let i = 0; i < offsets.length && i < 200; i++) {
    const x = pixel(scene, scene.start[span] + offsets[i]);
    if (x < scene.left || x > scene.width) continue;
    context.fillStyle = paint.halo;
    context.beginPath();
    context.moveTo(x, y + TOP + 4);
    context.lineTo(x + 4.5, y + TOP - 3.5);
    context.lineTo(x - 4.5, y + TOP - 3.5);
    context.fill();
    context.fillStyle = paint.path;
    context.beginPath();
    context.moveTo(x, y + TOP + 2);
    context.lineTo(x + 3, y + TOP - 2.5);
    context.lineTo(x - 3, y + TOP - 2.5);
    context.fill();
  }
}

function drawFold(context: CanvasRenderingContext2D, scene: Scene, ref: number, y: number): void {
  const { model, paint, start } = scene;
  const fold = model.folds[ref];
  const colour = paint.series[scene.series[fold.spans[0]]];
  let x0 = Number.POSITIVE_INFINITY;
  let x1 = Number.NEGATIVE_INFINITY;
  for (const span of fold.spans) {
    x0 = Math.min(x0, start[span]);
    x1 = Math.max(x1, start[span] + model.duration[span]);
  }
  x0 = pixel(scene, x0);
  x1 = Math.max(pixel(scene, x1), x0 + 2);
  context.fillStyle = colour;
  context.globalAlpha = paint.isDark ? 0.24 : 0.26;
  context.fillRect(
    Math.max(x0, scene.left - 2),
    y + TOP,
    Math.min(x1, scene.width + 2) - Math.max(x0, scene.left - 2),
    BAR,
  );
  context.globalAlpha = 1;
  let drawnTo = Number.NEGATIVE_INFINITY;
  for (const span of fold.spans) {
    const from = pixel(scene, start[span]);
    if (from > scene.width) continue;
    // At least a pixel of air between members, so that a run looks like a run.
    const to = Math.max(from + 1, pixel(scene, start[span] + model.duration[span]) - 1);
    const failed = model.status[span] === ERROR;
    if (to < scene.left || (to < drawnTo + 1 && !failed)) continue;
    const at = failed ? from : Math.max(from, drawnTo + 1);
    context.fillStyle = failed ? paint.error : colour;
    context.fillRect(at, failed ? y + TOP - 2 : y + TOP, Math.max(to - at, 1), failed ? BAR + 4 : BAR);
    drawnTo = Math.max(to, drawnTo);
  }
  if (fold.pathNanos > 0) for (const span of fold.spans) drawPath(context, scene, span, y);
  context.fillStyle = fold.errors > 0 ? paint.error : paint.muted;
  beside(context, scene, `${fold.errors > 0 ? "! " : ""}${duration(fold.totalNanos)}`, x0, x1, y);
}

function drawGap(context: CanvasRenderingContext2D, scene: Scene, ref: number, y: number): void {
  const { model, paint } = scene;
  const shift = scene.start[model.gapSpan[ref]] - model.rawStart[model.gapSpan[ref]];
  const x0 = pixel(scene, model.gapStart[ref] + shift);
  const x1 = pixel(scene, model.gapEnd[ref] + shift);
  context.strokeStyle = paint.muted;
  context.lineWidth = 2;
  context.setLineDash(GAP_DASH);
  context.beginPath();
  context.moveTo(Math.max(x0, scene.left - 20), y + ROW / 2);
  context.lineTo(Math.min(x1, scene.width + 20), y + ROW / 2);
  context.stroke();
  context.setLineDash(SOLID);
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(x0 + 0.5, y + TOP);
  context.lineTo(x0 + 0.5, y + TOP + BAR + 1);
  context.moveTo(x1 - 0.5, y + TOP);
  context.lineTo(x1 - 0.5, y + TOP + BAR + 1);
  context.stroke();
  context.fillStyle = paint.muted;
  beside(context, scene, duration(model.gapEnd[ref] - model.gapStart[ref]), x0, x1, y);
}

function drawMissing(context: CanvasRenderingContext2D, scene: Scene, ref: number, y: number): void {
  const { model, paint } = scene;
  const [from, to] = missingTime(scene, model.missing[ref]);
  const x0 = pixel(scene, from);
  const x1 = Math.max(pixel(scene, to), x0 + 2);
  const left = Math.max(x0, scene.left - 4);
  const right = Math.min(x1, scene.width + 4);
  if (right > left) {
    context.fillStyle = hatch(context, paint.warning);
    context.fillRect(left, y + TOP, right - left, BAR);
    context.strokeStyle = paint.warning;
    context.strokeRect(x0 + 0.5, y + TOP + 0.5, Math.max(1, x1 - x0 - 1), BAR - 1);
  }
}
