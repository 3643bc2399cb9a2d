// A small chart over time: bars or lines, a reading under the pointer, a range by dragging. SVG, drawn to the pixel.

import { useRef, useState } from "preact/hooks";
import { clock } from "../format";
import { utc } from "../state";
import { useWidth } from "./width";

export interface Line {
  name: string;
  values: readonly (number | null)[];
  shape: "bars" | "line";
  /** A class of chart.css: the colour. */
  tone: "accent" | "error" | "muted" | "strong";
}

interface Props {
  title: string;
  lines: Line[];
  show: (value: number) => string;
  startMillis: number;
  stepMillis: number;
  height?: number;
  /** Logarithmic upwards, from the least value: for lines that are far apart. */
  log?: boolean;
  /** Called with the range that was dragged over. */
  onRange?: (startMillis: number, endMillis: number) => void;
  /** What is worth saying at the right of the title when the pointer is elsewhere. */
  summary?: string;
}

const TOP = 13;
const BOTTOM = 14;

export function Chart({ title, lines, show, startMillis, stepMillis, height = 92, log, onRange, summary }: Props) {
  const [box, width] = useWidth<HTMLDivElement>();
  const [at, setAt] = useState<number | undefined>();
  const [from, setFrom] = useState<number | undefined>();
  const svg = useRef<SVGSVGElement>(null);
  const count = Math.max(1, ...lines.map((line) => line.values.length));
  const most = Math.max(1e-9, ...lines.flatMap((line) => line.values.map((value) => value ?? 0)));
  const x = (index: number) => (index / count) * width;
  const some = log ? lines.flatMap((line) => line.values.filter((value): value is number => !!value)) : [];
  // Half a step of room below, so that the lowest line is seen.
  const least = Math.min(most / 1.01, ...some) / 1.5;
  const share = (value: number) =>
    log ? Math.max(0, Math.log(Math.max(value, least) / least) / Math.log(most / least)) : value / most;
  const y = (value: number) => TOP + (1 - share(value)) * (height - TOP - BOTTOM);
  const index = (event: PointerEvent) => {
    const left = svg.current?.getBoundingClientRect().left ?? 0;
    return Math.max(0, Math.min(count - 1, Math.floor(((event.clientX - left) / Math.max(1, width)) * count)));
  };
  const timeOf = (column: number) => startMillis + column * stepMillis;
  const reading =
    at === undefined
      ? summary
      : `${clock(timeOf(at), utc.value)} · ${lines
          .map((line) => {
            const value = line.values[at];
            return `${lines.length > 1 ? `${line.name} ` : ""}${value == null ? "–" : show(value)}`;
          })
          .join(" · ")}`;
  const up = (event: PointerEvent) => {
    const end = index(event);
    if (from !== undefined && onRange) {
      // A click takes its column, with a neighbour on each side so that something is left to see.
      const [low, high] = from === end ? [end, end + 1] : [Math.min(from, end), Math.max(from, end) + 1];
      onRange(timeOf(low), timeOf(high));
    }
    setFrom(undefined);
  };
  return (
    <figure class="chart">
      <figcaption>
        <span class="name">{title}</span>
        <span class="reading tabular">{reading}</span>
      </figcaption>
      <div ref={box} class="plot">
        {width > 0 && (
          <svg
            ref={svg}
            width={width}
            height={height}
            role="img"
            aria-label={`${title}: ${describe(lines, show)}`}
            class={onRange ? "drag" : ""}
            onPointerMove={(event) => setAt(index(event))}
            onPointerLeave={() => setAt(undefined)}
            onPointerDown={(event) => {
              if (event.button !== 0 || !onRange) return;
              svg.current?.setPointerCapture(event.pointerId);
              setFrom(index(event));
            }}
            onPointerUp={up}
            onPointerCancel={() => setFrom(undefined)}
          >
            <line class="axis" x1={0} x2={width} y1={height - BOTTOM + 0.5} y2={height - BOTTOM + 0.5} />
            {lines.map((line) => (
              <path
                key={line.name}
                class={`${line.shape} ${line.tone}`}
                d={
                  line.shape === "bars"
                    ? bars(line.values, x, y, height - BOTTOM)
                    : path(line.values, x, y, count, width)
                }
              />
            ))}
            {from !== undefined && at !== undefined && (
              <rect
                class="brush"
                x={x(Math.min(from, at))}
                width={x(Math.abs(at - from) + 1)}
                y={0}
                height={height - BOTTOM}
              />
            )}
            {at !== undefined && <line class="cross" x1={x(at + 0.5)} x2={x(at + 0.5)} y1={0} y2={height - BOTTOM} />}
            <text class="tick" x={0} y={9}>
              {most > 1e-9 ? show(most) : ""}
            </text>
            <text class="tick" x={0} y={height - 3}>
              {clock(startMillis, utc.value).slice(0, 5)}
            </text>
            <text class="tick end" x={width} y={height - 3}>
              {clock(timeOf(count), utc.value).slice(0, 5)}
            </text>
          </svg>
        )}
      </div>
    </figure>
  );
}

function describe(lines: Line[], show: (value: number) => string): string {
  return lines
    .map((line) => {
      const values = line.values.filter((value): value is number => value != null);
      const last = values.at(-1);
      return values.length === 0 || last === undefined
        ? `${line.name} no values`
        : `${line.name} at most ${show(Math.max(...values))}, last ${show(last)}`;
    })
    .join("; ");
}

function bars(values: Line["values"], x: (at: number) => number, y: (value: number) => number, floor: number): string {
  let out = "";
  values.forEach((value, at) => {
    if (!value) return;
    const left = Math.round(x(at));
    const right = Math.max(left + 1, Math.round(x(at + 1)) - 1);
    // What is there is seen, however little it is.
    const top = Math.min(y(value), floor - 1);
    out += `M${left} ${floor}V${top.toFixed(1)}H${right}V${floor}Z`;
  });
  return out;
}

function path(
  values: Line["values"],
  x: (at: number) => number,
  y: (value: number) => number,
  count: number,
  width: number,
): string {
  const half = width / count / 2;
  let out = "";
  let drawing = false;
  values.forEach((value, at) => {
    if (value == null) {
      drawing = false;
      return;
    }
    const centre = (x(at) + half).toFixed(1);
    const alone = !drawing && (values[at + 1] == null || at + 1 === values.length);
    out += `${drawing ? "L" : "M"}${centre} ${y(value).toFixed(1)}${alone ? "m-1.5 0h3" : ""}`;
    drawing = true;
  });
  return out;
}

/** A line in a cell of a table: no axes, no reading; the numbers stand beside it. */
export function Spark({
  values,
  shape = "bars",
  tone = "accent",
  label,
}: {
  values: Line["values"];
  shape?: Line["shape"];
  tone?: Line["tone"];
  label: string;
}) {
  const width = 110;
  const height = 18;
  const most = Math.max(1e-9, ...values.map((value) => value ?? 0));
  const x = (at: number) => (at / Math.max(1, values.length)) * width;
  const y = (value: number) => 1 + (1 - value / most) * (height - 2);
  return (
    <svg
      class="spark"
      width={width}
      height={height}
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <path
        class={`${shape} ${tone}`}
        d={shape === "bars" ? bars(values, x, y, height) : path(values, x, y, Math.max(1, values.length), width)}
      />
    </svg>
  );
}
