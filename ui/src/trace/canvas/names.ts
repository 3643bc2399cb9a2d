// The left side of the waterfall: tree lines, what can be opened, service and operation, badges.
import { duration } from "../../format";
import { visibleLine } from "../hostile";
import { ERROR, type TraceModel } from "../model";
import { Row, shownMembers } from "../rows";
import { indent, ROW, type Scene } from "./scene";

const MIDDLE = ROW / 2;

const shown = new Map<string, string>();

/** Names are hostile too; made safe once. */
export function safe(text: string): string {
  let known = shown.get(text);
  if (known === undefined) {
    if (shown.size > 20_000) shown.clear();
    known = visibleLine(text.length > 400 ? text.slice(0, 400) : text);
    shown.set(text, known);
  }
  return known;
}

function service(model: TraceModel, span: number): string {
  return safe(model.strings[model.service[span]] || "unknown service");
}

function operation(model: TraceModel, span: number): string {
  return safe(model.strings[model.name[span]] || "(no name)");
}

/** Draws what row `row` has in the left column; the caller has clipped to it. */
export function drawName(context: CanvasRenderingContext2D, scene: Scene, row: number, y: number): void {
  const { rows, model, paint } = scene;
  const depth = rows.depth[row];
  const kind = rows.kind[row];
  const ref = rows.ref[row];
  const x = indent(scene, depth);
  drawLines(context, scene, row, y, x);
  if (rows.toggle[row] > 0) drawToggle(context, scene, x, y, rows.toggle[row] === 2);
  const right = drawBadges(context, scene, row, y);
  const at = x + 17;
  switch (kind) {
    case Row.Span:
      drawLabel(context, scene, ref, operation(model, ref), at, right, y);
      break;
    case Row.Fold: {
      const { spans } = model.folds[ref];
      drawLabel(context, scene, spans[0], operation(model, spans[0]), at, right, y);
      break;
    }
    case Row.Gap: {
      const text = `~ no spans for ${duration(model.gapEnd[ref] - model.gapStart[ref])}`;
      plain(context, scene, text, at, right, y, paint.muted);
      break;
    }
    case Row.Missing: {
      const { id, children } = model.missing[ref];
      const kids = children.length === 1 ? "1 child" : `${children.length} children`;
      plain(context, scene, `! missing span ${id.slice(-6)} (${kids})`, at, right, y, paint.warning);
      break;
    }
    case Row.Hidden: {
      const count = model.hidden[ref].toLocaleString("en");
      const text = scene.loadingBelow === ref ? `loading ${count} spans …` : `${count} more spans below: load`;
      plain(context, scene, text, at, right, y, paint.accent);
      break;
    }
  }
}

function plain(
  context: CanvasRenderingContext2D,
  scene: Scene,
  text: string,
  x: number,
  right: number,
  y: number,
  colour: string,
): void {
  context.font = scene.paint.font;
  context.fillStyle = colour;
  context.fillText(scene.plain.fit(context, text, right - x), x, y + MIDDLE);
}

function drawLabel(
  context: CanvasRenderingContext2D,
  scene: Scene,
  span: number,
  name: string,
  x: number,
  right: number,
  y: number,
): void {
  const { model, paint } = scene;
  context.fillStyle = paint.series[scene.series[span]];
  context.fillRect(x, y + 6, 3, ROW - 12);
  const textAt = x + 8;
  const above = model.parent[span];
  // A service is named where it changes; below itself it would only be noise.
  const isSame = above >= 0 && model.service[above] === model.service[span];
  let at = textAt;
  if (!isSame) {
    context.font = paint.bold;
    context.fillStyle = paint.text;
    const text = scene.bold.fit(context, service(model, span), right - textAt);
    context.fillText(text, at, y + MIDDLE);
    at += scene.bold.width(context, text) + 6;
  }
  if (right - at < 14) return;
  context.font = paint.font;
  context.fillStyle = isSame ? paint.text : paint.muted;
  context.fillText(scene.plain.fit(context, name, right - at), at, y + MIDDLE);
}

function drawLines(context: CanvasRenderingContext2D, scene: Scene, row: number, y: number, x: number): void {
  const { rows, paint } = scene;
  const depth = rows.depth[row];
  context.strokeStyle = paint.line;
  context.beginPath();
  for (let level = 1; level < depth && level < 31; level++) {
    if ((rows.lines[row] >> level) & 1) {
      const at = Math.round(indent(scene, level - 1) + 5) + 0.5;
      context.moveTo(at, y);
      context.lineTo(at, y + ROW);
    }
  }
  if (depth > 0) {
    const at = Math.round(indent(scene, depth - 1) + 5) + 0.5;
    const goesOn = depth < 31 && ((rows.lines[row] >> depth) & 1) === 1;
    context.moveTo(at, y);
    context.lineTo(at, goesOn ? y + ROW : y + MIDDLE);
    context.moveTo(at, y + MIDDLE + 0.5);
    context.lineTo(Math.max(at, x - 1), y + MIDDLE + 0.5);
  }
  context.stroke();
}

function drawToggle(context: CanvasRenderingContext2D, scene: Scene, x: number, y: number, isOpen: boolean): void {
  const middle = y + MIDDLE;
  context.strokeStyle = scene.paint.muted;
  context.lineWidth = 1.6;
  context.beginPath();
  if (isOpen) {
    context.moveTo(x + 1.5, middle - 2);
    context.lineTo(x + 5.5, middle + 2);
    context.lineTo(x + 9.5, middle - 2);
  } else {
    context.moveTo(x + 3.5, middle - 4);
    context.lineTo(x + 7.5, middle);
    context.lineTo(x + 3.5, middle + 4);
  }
  context.stroke();
  context.lineWidth = 1;
}

/** Badges from the right; answers where the text must end. */
function drawBadges(context: CanvasRenderingContext2D, scene: Scene, row: number, y: number): number {
  const { model, rows, paint, notes, pruning } = scene;
  let right = scene.left - 8;
  const ref = rows.ref[row];
  if (rows.kind[row] === Row.Fold) {
    const fold = model.folds[ref];
    const count = shownMembers(model, ref, pruning);
    if (fold.errors > 0) right = badge(context, scene, `! ${fold.errors}`, right, y, paint.error, true);
    right = badge(context, scene, `×${count}`, right, y, paint.text, false);
    const word = notes.words.get(fold.spans[0]);
    if (word) right = badge(context, scene, word, right, y, paint.warning, false);
    return right;
  }
  if (rows.kind[row] !== Row.Span) return right;
  const closed = rows.toggle[row] === 1;
  const failed = model.status[ref] === ERROR;
  if (failed) right = badge(context, scene, "!", right, y, paint.error, true);
  else if (closed && model.errorsWithin[ref] > 0) {
    right = badge(context, scene, `! ${model.errorsWithin[ref]} below`, right, y, paint.error, false);
  }
  // What is said of a whole run stands on its row, not on each of its members.
  const word = model.foldOf[ref] >= 0 && rows.ofFold[model.foldOf[ref]] >= 0 ? undefined : notes.words.get(ref);
  if (word) right = badge(context, scene, word, right, y, paint.warning, false);
  const percentile = notes.percentiles.get(ref);
  if (percentile) right = badge(context, scene, percentile, right, y, paint.warning, false);
  if (closed) {
    const below = model.subtreeEnd[ref] - model.position[ref] - 1;
    if (below > 0) right = badge(context, scene, `+${below.toLocaleString("en")}`, right, y, paint.muted, false);
  }
  if (pruning && pruning.prunedBelow[ref] > 0) {
    const errors = pruning.prunedErrors[ref];
    const text = `${pruning.prunedBelow[ref]} pruned${errors > 0 ? `, ! ${errors}` : ""}`;
    right = badge(context, scene, text, right, y, errors > 0 ? paint.error : paint.muted, false);
  }
  return right;
}

function badge(
  context: CanvasRenderingContext2D,
  scene: Scene,
  text: string,
  right: number,
  y: number,
  colour: string,
  isFilled: boolean,
): number {
  const width = Math.max(14, scene.small.width(context, text) + 8);
  const x = right - width;
  if (x < scene.left * 0.45) return right;
  context.font = scene.paint.small;
  if (isFilled) {
    context.fillStyle = colour;
    context.beginPath();
    context.roundRect(x, y + 5, width, ROW - 10, 3);
    context.fill();
    context.fillStyle = scene.paint.surface;
  } else {
    context.strokeStyle = colour;
    context.globalAlpha = 0.55;
    context.beginPath();
    context.roundRect(x + 0.5, y + 5.5, width - 1, ROW - 11, 3);
    context.stroke();
    context.globalAlpha = 1;
    context.fillStyle = colour;
  }
  context.textAlign = "center";
  context.fillText(text, x + width / 2, y + MIDDLE + 0.5);
  context.textAlign = "start";
  return x - 5;
}
