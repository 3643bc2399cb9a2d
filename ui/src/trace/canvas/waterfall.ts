// Draws the waterfall: only the rows that are on the screen, nothing allocated for a row.
import { duration } from "../../format";
import { Row } from "../rows";
import { axisLabel, ticks } from "../window";
import { drawBar } from "./bars";
import { drawName } from "./names";
import { AXIS, offsetAt, pixel, ROW, type Scene } from "./scene";

export function drawWaterfall(context: CanvasRenderingContext2D, scene: Scene): void {
  const { paint, rows, width, height, left } = scene;
  context.fillStyle = paint.surface;
  context.fillRect(0, 0, width, height);
  context.textBaseline = "middle";
  context.lineWidth = 1;
  const first = Math.max(0, Math.floor(scene.scroll / ROW));
  const last = Math.min(rows.count, Math.ceil((scene.scroll + height - AXIS) / ROW));

  for (let row = first; row < last; row++) drawGround(context, scene, row, AXIS + row * ROW - scene.scroll);
  drawGrid(context, scene);

  context.save();
  context.beginPath();
  context.rect(left, AXIS, width - left, height - AXIS);
  context.clip();
  for (let row = first; row < last; row++) drawBar(context, scene, row, AXIS + row * ROW - scene.scroll);
  context.restore();

  context.save();
  context.beginPath();
  context.rect(0, AXIS, left - 2, height - AXIS);
  context.clip();
  for (let row = first; row < last; row++) drawName(context, scene, row, AXIS + row * ROW - scene.scroll);
  context.restore();

  context.fillStyle = paint.line;
  context.fillRect(left - 1, 0, 1, height);
  drawAxis(context, scene);
  drawCrosshair(context, scene);
}

function drawGround(context: CanvasRenderingContext2D, scene: Scene, row: number, y: number): void {
  const { paint, rows } = scene;
  const span = rows.kind[row] === Row.Span ? rows.ref[row] : -1;
  const isSelected = span >= 0 && span === scene.selected;
  const isMatch = scene.matches !== null && matchesRow(scene, row);
  if (isMatch) {
    context.fillStyle = paint.warningSoft;
    context.fillRect(0, y, scene.width, ROW);
  }
  if (isSelected || row === scene.cursorRow) {
    context.fillStyle = paint.selected;
    if (!isSelected && isMatch) context.globalAlpha = 0.7;
    context.fillRect(0, y, scene.width, ROW);
    context.globalAlpha = 1;
  } else if (row === scene.hoverRow) {
    context.fillStyle = paint.hover;
    if (isMatch) context.globalAlpha = 0.5;
    context.fillRect(0, y, scene.width, ROW);
    context.globalAlpha = 1;
  }
  if (isMatch) {
    // A mark as well: a tint alone says nothing to many eyes.
    context.fillStyle = paint.warning;
    context.beginPath();
    context.moveTo(0, y + 6);
    context.lineTo(6, y + ROW / 2);
    context.lineTo(0, y + ROW - 6);
    context.fill();
  }
}

function matchesRow(scene: Scene, row: number): boolean {
  const { rows, matches, model } = scene;
  if (!matches) return false;
  if (rows.kind[row] === Row.Span) return matches[rows.ref[row]] === 1;
  if (rows.kind[row] !== Row.Fold) return false;
  for (const span of model.folds[rows.ref[row]].spans) if (matches[span]) return true;
  return false;
}

function drawGrid(context: CanvasRenderingContext2D, scene: Scene): void {
  const { paint, width, left, height } = scene;
  const marks = ticks(scene.window, (width - left) / 120);
  context.strokeStyle = paint.line;
  context.globalAlpha = 0.7;
  context.beginPath();
  for (let i = 0; i < marks.count; i++) {
    const x = Math.round(pixel(scene, marks.first + i * marks.step)) + 0.5;
    if (x <= left) continue;
    context.moveTo(x, AXIS);
    context.lineTo(x, height);
  }
  context.stroke();
  context.globalAlpha = 1;
}

function drawAxis(context: CanvasRenderingContext2D, scene: Scene): void {
  const { paint, width, left } = scene;
  context.fillStyle = paint.surface;
  context.fillRect(0, 0, width, AXIS);
  context.font = paint.small;
  context.fillStyle = paint.muted;
  context.fillText("Service and operation", 12, AXIS / 2);
  const marks = ticks(scene.window, (width - left) / 120);
  for (let i = 0; i < marks.count; i++) {
    const offset = marks.first + i * marks.step;
    const x = pixel(scene, offset);
    const text = axisLabel(offset, marks.step, scene.window.to);
    const textWidth = scene.small.width(context, text);
    if (x < left - 1 || x + textWidth + 4 > width) continue;
    context.fillText(text, x + 5, AXIS / 2);
    context.fillRect(Math.round(x), AXIS - 6, 1, 6);
  }
  context.fillStyle = paint.line;
  context.fillRect(0, AXIS - 1, width, 1);
  context.fillRect(left - 1, 0, 1, AXIS);
}

function drawCrosshair(context: CanvasRenderingContext2D, scene: Scene): void {
  const { paint, crosshair, left, width, height } = scene;
  if (crosshair <= left) return;
  const x = Math.round(crosshair) + 0.5;
  context.strokeStyle = paint.accent;
  context.globalAlpha = 0.75;
  context.beginPath();
  context.moveTo(x, AXIS);
  context.lineTo(x, height);
  context.stroke();
  context.globalAlpha = 1;
  const text = duration(offsetAt(scene, crosshair));
  const textWidth = scene.small.width(context, text) + 10;
  const at = Math.min(Math.max(left, x - textWidth / 2), width - textWidth);
  context.fillStyle = paint.accent;
  context.beginPath();
  context.roundRect(at, 4, textWidth, AXIS - 8, 3);
  context.fill();
  context.fillStyle = paint.surface;
  context.font = paint.small;
  context.fillText(text, at + 5, AXIS / 2);
}
