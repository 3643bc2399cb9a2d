// Durations over time as a picture, on a canvas: logarithmic upwards, darker or lighter for more. A box is chosen with the
// mouse or with the keys; what lies under either is said in words.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Heatmap } from "../api-types";
import { useWidth } from "../chart/width";
import { clock, count, duration, millisOf } from "../format";
import { utc } from "../state";
import { theme, token } from "../theme";
import { type Box, boxOf, type Cells, columns } from "./selection";

interface Props {
  map: Heatmap;
  box: Box | undefined;
  /** Whether colours count errors only. */
  errors: boolean;
  onBox: (box: Box | undefined) => void;
}

const HEIGHT = 300;
const LEFT = 62;
const BOTTOM = 20;
const TOP = 6;
const SHADES = 7;

export function HeatmapView({ map, box, errors, onBox }: Props) {
  const [host, width] = useWidth<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [over, setOver] = useState<{ column: number; row: number } | undefined>();
  const [drag, setDrag] = useState<Cells | undefined>();
  const [cursor, setCursor] = useState<{ column: number; row: number } | undefined>();
  const anchor = useRef<{ column: number; row: number } | undefined>(undefined);

  const across = columns(map);
  const rows = map.bounds.length - 1;
  const plotWidth = Math.max(1, width - LEFT - 2);
  const plotHeight = HEIGHT - TOP - BOTTOM;
  const x = (column: number) => LEFT + (column / across) * plotWidth;
  const y = (row: number) => TOP + (1 - row / rows) * plotHeight;
  const cellAt = (event: PointerEvent) => {
    const bounds = canvas.current?.getBoundingClientRect();
    const column = Math.floor(((event.clientX - (bounds?.left ?? 0) - LEFT) / plotWidth) * across);
    const row = Math.floor((1 - (event.clientY - (bounds?.top ?? 0) - TOP) / plotHeight) * rows);
    return { column: clamp(column, across), row: clamp(row, rows) };
  };
  const shown = theme.value;
  const most = map.cells.reduce((max, cell) => Math.max(max, cell[errors ? 3 : 2]), 0);

  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || width === 0 || !canvas.current) return;
    const scale = window.devicePixelRatio || 1;
    canvas.current.width = Math.round(width * scale);
    canvas.current.height = Math.round(HEIGHT * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, HEIGHT);
    axes(context, map, { x, y, width, across });
    const shades = Array.from({ length: SHADES }, (_, at) => token(`heat-${at}`));
    const wrong = token("error");
    for (const [column, row, spans, bad] of map.cells) {
      const value = errors ? bad : spans;
      if (value === 0) continue;
      const left = Math.round(x(column));
      const top = Math.round(y(row + 1));
      const cellWidth = Math.max(1, Math.round(x(column + 1)) - left - (plotWidth / across > 5 ? 1 : 0));
      const cellHeight = Math.max(1, Math.round(y(row)) - top - 1);
      context.fillStyle = shades[shadeOf(value, most)] ?? "";
      context.fillRect(left, top, cellWidth, cellHeight);
      // Errors have a mark of their own: shape, not only colour.
      if (bad > 0 && !errors) {
        context.fillStyle = wrong;
        context.fillRect(left, top, Math.max(2, Math.round((cellWidth * bad) / spans)), 2);
      }
    }
    const chosen = drag ? boxOf(map, drag) : box;
    if (chosen) outline(context, map, chosen, { x, y, across, rows }, token("accent"));
    const at = cursor && !drag ? cursor : undefined;
    if (at) {
      context.strokeStyle = token("text");
      context.strokeRect(x(at.column) - 0.5, y(at.row + 1) - 0.5, x(1) - x(0) + 1, y(0) - y(1) + 1);
    }
  }, [map, width, box, drag, cursor, errors, shown, utc.value]);

  const onKeyDown = (event: KeyboardEvent) => {
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, 1],
      ArrowDown: [0, -1],
    };
    const step = moves[event.key];
    const here = cursor ?? { column: across - 1, row: Math.floor(rows / 2) };
    if (step) {
      event.preventDefault();
      event.stopPropagation();
      const far = event.ctrlKey ? 5 : 1;
      const next = { column: clamp(here.column + step[0] * far, across), row: clamp(here.row + step[1] * far, rows) };
      if (event.shiftKey) {
        anchor.current ??= here;
        setDrag({ column1: anchor.current.column, column2: next.column, row1: anchor.current.row, row2: next.row });
      } else {
        anchor.current = undefined;
        setDrag(undefined);
      }
      setCursor(next);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      event.stopPropagation();
      const cells = drag ?? { column1: here.column, column2: here.column, row1: here.row, row2: here.row };
      setDrag(undefined);
      anchor.current = undefined;
      onBox(boxOf(map, cells));
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      if (drag || cursor) {
        setDrag(undefined);
        setCursor(undefined);
        anchor.current = undefined;
      } else onBox(undefined);
    }
  };
  const at = drag ? undefined : (over ?? cursor);
  return (
    <figure class="heatmap">
      <figcaption>
        <span class="reading tabular" aria-live="polite">
          {drag ? boxText(boxOf(map, drag)) : at ? cellText(map, at) : "Drag a box over what you want explained."}
        </span>
        <Legend most={most} errors={errors} />
      </figcaption>
      <div ref={host}>
        <canvas
          ref={canvas}
          height={HEIGHT}
          role="application"
          tabIndex={0}
          aria-label={`Durations of ${count(map.total)} spans over time. Arrow keys move a cell, with Shift they extend a box, Enter chooses it, Escape leaves.`}
          onPointerMove={(event) => {
            const cell = cellAt(event);
            setOver(cell);
            if (drag && event.buttons === 1) setDrag({ ...drag, column2: cell.column, row2: cell.row });
          }}
          onPointerLeave={() => setOver(undefined)}
          onPointerDown={(event) => {
            if (event.button !== 0) return;
            event.currentTarget.setPointerCapture(event.pointerId);
            const cell = cellAt(event);
            setCursor(undefined);
            setDrag({ column1: cell.column, column2: cell.column, row1: cell.row, row2: cell.row });
          }}
          onPointerUp={() => {
            if (!drag) return;
            onBox(boxOf(map, drag));
            setDrag(undefined);
          }}
          onPointerCancel={() => setDrag(undefined)}
          onKeyDown={onKeyDown}
          onBlur={() => setCursor(undefined)}
        />
      </div>
    </figure>
  );
}

function clamp(value: number, size: number): number {
  return Math.max(0, Math.min(size - 1, value));
}

/** Shades are steps of a logarithm: one span is seen, and a thousand do not hide it. */
function shadeOf(value: number, most: number): number {
  if (most <= 1) return SHADES - 2;
  const share = Math.log(value) / Math.log(most);
  return Math.min(SHADES - 1, Math.floor(share ** 1.6 * SHADES));
}

function cellText(map: Heatmap, { column, row }: { column: number; row: number }): string {
  const cell = map.cells.find(([c, r]) => c === column && r === row);
  const from = millisOf(map.startUnixNanos) + (column * map.stepNanos) / 1e6;
  const spans = cell ? `${count(cell[2])} span${cell[2] === 1 ? "" : "s"}` : "no spans";
  const errors = cell?.[3] ? `, ${count(cell[3])} error${cell[3] === 1 ? "" : "s"}` : "";
  return `${clock(from, utc.value)} · ${duration(map.bounds[row] ?? 0)} – ${duration(map.bounds[row + 1] ?? 0)} · ${spans}${errors}`;
}

export function boxText(box: Box): string {
  return `${clock(box.fromMillis, utc.value)} – ${clock(box.toMillis, utc.value)} · ${duration(box.minNanos)} – ${duration(box.maxNanos)}`;
}

function Legend({ most, errors }: { most: number; errors: boolean }) {
  return (
    <span class="legend">
      <span>1</span>
      {Array.from({ length: SHADES }, (_, at) => (
        <span key={at} class={`shade shade-${at}`} />
      ))}
      <span>
        {count(most)} {errors ? "errors" : "spans"}
      </span>
      {!errors && (
        <>
          <span class="shade error-mark" />
          <span>with errors</span>
        </>
      )}
    </span>
  );
}

interface Scale {
  x: (column: number) => number;
  y: (row: number) => number;
  across: number;
}

function axes(context: CanvasRenderingContext2D, map: Heatmap, { x, y, width, across }: Scale & { width: number }) {
  context.font = `10.5px ${token("font") || "sans-serif"}`;
  context.fillStyle = token("muted");
  context.strokeStyle = token("line");
  context.lineWidth = 1;
  context.textBaseline = "middle";
  context.textAlign = "right";
  let last = Number.POSITIVE_INFINITY;
  for (const nanos of ticks(map.bounds)) {
    const at = Math.round(y(rowOf(map.bounds, nanos))) + 0.5;
    if (last - at < 16) continue;
    last = at;
    context.beginPath();
    context.moveTo(LEFT, at);
    context.lineTo(width, at);
    context.stroke();
    context.fillText(duration(nanos), LEFT - 8, Math.max(7, at));
  }
  context.textBaseline = "alphabetic";
  const start = millisOf(map.startUnixNanos);
  const step = map.stepNanos / 1e6;
  const total = across * step;
  const every = niceStep(total / Math.max(2, Math.floor(width / 110)));
  for (let time = Math.ceil(start / every) * every; time < start + total; time += every) {
    const at = x((time - start) / step);
    context.textAlign = at > width - 30 ? "right" : "center";
    context.fillText(clock(time, utc.value).slice(0, every < 60_000 ? 8 : 5), at, HEIGHT - 5);
  }
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

function niceStep(millis: number): number {
  return (STEPS.find((step) => step * 1000 >= millis) ?? Math.ceil(millis / 86_400_000) * 86_400) * 1000;
}

/** 1, 2 and 5 of each power of ten within the bounds, ascending. */
function ticks(bounds: number[]): number[] {
  const out: number[] = [];
  const high = bounds.at(-1) ?? 1;
  const low = Math.max(1, bounds[0] || (bounds[1] ?? 1));
  for (let ten = 10 ** Math.floor(Math.log10(low)); ten <= high; ten *= 10) {
    for (const times of [1, 2, 5]) if (ten * times >= low && ten * times <= high) out.push(ten * times);
  }
  // Few are better than many: without 2 and 5 when the powers of ten are enough.
  const powers = out.filter((nanos) => Math.log10(nanos) % 1 === 0);
  return powers.length >= 4 ? powers : out;
}

/** Row of a duration as a fraction. */
function rowOf(bounds: number[], nanos: number): number {
  const above = bounds.findIndex((bound) => bound > nanos);
  if (above < 0) return bounds.length - 1;
  if (above === 0) return 0;
  const low = Math.max(1, bounds[above - 1] ?? 1);
  const high = bounds[above] ?? low;
  return above - 1 + Math.max(0, Math.log(nanos / low) / Math.log(high / low));
}

function outline(
  context: CanvasRenderingContext2D,
  map: Heatmap,
  box: Box,
  { x, y, across, rows }: Scale & { rows: number },
  colour: string,
) {
  const start = millisOf(map.startUnixNanos);
  const step = map.stepNanos / 1e6;
  const column = (millis: number) => Math.max(0, Math.min(across, (millis - start) / step));
  const [left, right] = [x(column(box.fromMillis)), x(column(box.toMillis))];
  const [bottom, top] = [
    y(Math.min(rows, rowOf(map.bounds, box.minNanos))),
    y(Math.min(rows, rowOf(map.bounds, box.maxNanos))),
  ];
  if (right - left < 1) return;
  context.fillStyle = colour;
  context.globalAlpha = 0.12;
  context.fillRect(left, top, right - left, bottom - top);
  context.globalAlpha = 1;
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.strokeRect(left, top, right - left, bottom - top);
  context.lineWidth = 1;
}
