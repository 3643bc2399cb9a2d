// The trace as an icicle: time across, calls below their callers; what runs at once lies in lanes below one another.
import { duration } from "../../format";
import { ERROR, type TraceModel } from "../model";
import type { TimeWindow } from "../window";
import { axisLabel, ticks } from "../window";
import { safe } from "./names";
import type { Paint, Texts } from "./paint";
import { AXIS } from "./scene";

export const LANE = 20;
/** Beyond this many, spans share the last lane: nobody looks that far down. */
const MAX_LANES = 2_000;

export interface Lanes {
  ofSpan: Int32Array;
  count: number;
  /** Spans by lane and start: those of lane `i` are `list[from[i]..from[i + 1]]`. */
  from: Int32Array;
  list: Int32Array;
}

/** Puts each span into the first lane below its parent's that is free at its start. */
export function layOut(model: TraceModel, start: Float64Array, top: number): Lanes {
  const begin = top >= 0 ? model.position[top] : 0;
  const end = top >= 0 ? model.subtreeEnd[top] : model.count;
  const order = model.preorder.slice(begin, end);
  const level = new Int32Array(model.count);
  for (const span of order) {
    const above = model.parent[span];
    level[span] = above >= 0 && span !== top ? level[above] + 1 : 0;
  }
  order.sort((a, b) => start[a] - start[b] || level[a] - level[b] || model.position[a] - model.position[b]);
  const ofSpan = new Int32Array(model.count).fill(-1);
  const busyUntil: number[] = [];
  const counts: number[] = [];
  for (const span of order) {
    const above = model.parent[span];
    let lane = above >= 0 && ofSpan[above] >= 0 ? ofSpan[above] + 1 : 0;
    while (lane < MAX_LANES - 1 && (busyUntil[lane] ?? Number.NEGATIVE_INFINITY) > start[span]) lane++;
    lane = Math.min(lane, MAX_LANES - 1);
    ofSpan[span] = lane;
    busyUntil[lane] = Math.max(busyUntil[lane] ?? 0, start[span] + model.duration[span]);
    counts[lane] = (counts[lane] ?? 0) + 1;
  }
  const count = busyUntil.length;
  const from = new Int32Array(count + 1);
  for (let i = 0; i < count; i++) from[i + 1] = from[i] + (counts[i] ?? 0);
  const next = from.slice();
  const list = new Int32Array(order.length);
  for (const span of order) list[next[ofSpan[span]]++] = span;
  return { ofSpan, count, from, list };
}

export interface FlameScene {
  model: TraceModel;
  start: Float64Array;
  lanes: Lanes;
  window: TimeWindow;
  series: Uint8Array;
  paint: Paint;
  plain: Texts;
  small: Texts;
  width: number;
  height: number;
  scroll: number;
  hover: number;
  selected: number;
  matches: Uint8Array | null;
}

const PAD = 12;

function pixel(scene: FlameScene, offset: number): number {
  const { from, to } = scene.window;
  return PAD + ((offset - from) / (to - from)) * (scene.width - 2 * PAD);
}

export function flameOffset(scene: { window: TimeWindow; width: number }, x: number): number {
  const { from, to } = scene.window;
  return from + ((x - PAD) / Math.max(1, scene.width - 2 * PAD)) * (to - from);
}

export function flameSpanAt(scene: FlameScene, x: number, y: number): number {
  const lane = Math.floor((y - AXIS + scene.scroll) / LANE);
  if (y < AXIS || lane < 0 || lane >= scene.lanes.count) return -1;
  for (let i = scene.lanes.from[lane]; i < scene.lanes.from[lane + 1]; i++) {
    const span = scene.lanes.list[i];
    const x0 = pixel(scene, scene.start[span]);
    if (x >= x0 - 1 && x <= Math.max(x0 + 2, pixel(scene, scene.start[span] + scene.model.duration[span]))) return span;
  }
  return -1;
}

export function drawFlame(context: CanvasRenderingContext2D, scene: FlameScene): void {
  const { paint, width, height, lanes, window } = scene;
  context.fillStyle = paint.surface;
  context.fillRect(0, 0, width, height);
  context.textBaseline = "middle";
  const marks = ticks(window, width / 120);
  context.fillStyle = paint.line;
  for (let i = 0; i < marks.count; i++) {
    context.fillRect(Math.round(pixel(scene, marks.first + i * marks.step)), AXIS, 1, height);
  }
  const first = Math.max(0, Math.floor(scene.scroll / LANE));
  const last = Math.min(lanes.count, Math.ceil((scene.scroll + height - AXIS) / LANE));
  for (let lane = first; lane < last; lane++) {
    let drawnTo = Number.NEGATIVE_INFINITY;
    for (let i = lanes.from[lane]; i < lanes.from[lane + 1]; i++) {
      const span = lanes.list[i];
      const x0 = pixel(scene, scene.start[span]);
      if (x0 > width) break;
      const x1 = pixel(scene, scene.start[span] + scene.model.duration[span]);
      const isMarked = span === scene.selected || span === scene.hover;
      if (x1 < 0 || (Math.max(x1, x0 + 1) <= drawnTo && !isMarked)) continue;
      drawBox(context, scene, span, x0, x1, AXIS + lane * LANE - scene.scroll);
      drawnTo = Math.max(drawnTo, Math.ceil(Math.max(x1, x0 + 1)));
    }
  }
  context.fillStyle = paint.surface;
  context.fillRect(0, 0, width, AXIS);
  context.fillStyle = paint.line;
  context.fillRect(0, AXIS - 1, width, 1);
  context.font = paint.small;
  context.fillStyle = paint.muted;
  for (let i = 0; i < marks.count; i++) {
    const offset = marks.first + i * marks.step;
    const text = axisLabel(offset, marks.step, window.to);
    const x = pixel(scene, offset);
    if (x + scene.small.width(context, text) + 6 < width) context.fillText(text, x + 4, AXIS / 2);
  }
}

function drawBox(
  context: CanvasRenderingContext2D,
  scene: FlameScene,
  span: number,
  x0: number,
  x1: number,
  y: number,
): void {
  const { model, paint } = scene;
  const from = Math.max(x0, -2);
  const width = Math.max(1, Math.min(x1, scene.width + 2) - from - 1);
  const failed = model.status[span] === ERROR;
  const isDim = scene.matches !== null && !scene.matches[span];
  context.globalAlpha = isDim ? 0.2 : 1;
  context.fillStyle = paint.series[scene.series[span]];
  context.fillRect(from, y + 1, width, LANE - 2);
  // Calm ground for words in both themes.
  context.fillStyle = paint.surface;
  context.globalAlpha = isDim ? 0.2 : 0.42;
  context.fillRect(from + 3, y + 1, Math.max(0, width - 3), LANE - 2);
  context.globalAlpha = isDim ? 0.45 : 1;
  if (failed) {
    context.strokeStyle = paint.error;
    context.lineWidth = 2;
    context.strokeRect(from + 1, y + 2, Math.max(1, width - 2), LANE - 4);
    context.lineWidth = 1;
  }
  if (width > 24) {
    const service = safe(model.strings[model.service[span]] ?? "");
    const name = safe(model.strings[model.name[span]] ?? "");
    const text = `${failed ? "! " : ""}${service} ${name}  ${duration(model.duration[span])}`;
    context.font = paint.font;
    context.fillStyle = paint.text;
    context.fillText(scene.plain.fit(context, text, width - 12), Math.max(from, 0) + 7, y + LANE / 2 + 0.5);
  }
  context.globalAlpha = 1;
  if (span === scene.selected || span === scene.hover) {
    context.strokeStyle = span === scene.selected ? paint.focus : paint.text;
    context.lineWidth = span === scene.selected ? 2 : 1;
    context.strokeRect(from + 0.5, y + 1.5, Math.max(1, width - 1), LANE - 3);
    context.lineWidth = 1;
  }
}
