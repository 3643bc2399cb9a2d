// The strip above the rows: the whole trace, with the part that is shown; drag to show another.
import { effect, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { percent } from "../format";
import { type Bins, bin, drawMinimap, MINIMAP } from "./canvas/minimap";
import { paint } from "./canvas/paint";
import { RIGHT } from "./canvas/scene";
import { surfaceOf } from "./canvas/surface";
import { visibleLine } from "./hostile";
import { leftWidth, type TraceStore } from "./store";
import { columnWidth } from "./waterfall-view";

type Drag = { what: "new"; begin: number } | { what: "from" } | { what: "to" } | { what: "move"; grab: number };

export function Minimap({ store, left }: { store: TraceStore; left?: number }) {
  const holder = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useSignal(0);
  const isWide = left === undefined;
  useEffect(() => {
    const element = canvas.current;
    const parent = holder.current;
    if (!element || !parent) return;
    let bins: Bins | null = null;
    let binsFor: unknown[] = [];
    const right = isWide ? RIGHT : 12;
    const leftNow = (): number => (isWide ? columnWidth(parent.clientWidth) : 12);
    const surface = surfaceOf(
      element,
      () => ({ width: parent.clientWidth, height: MINIMAP }),
      ({ context, width: drawn, height }) => {
        width.value = drawn;
        const model = store.model.value;
        const start = store.starts.value;
        const colours = store.colours.value;
        const bounds = store.bounds.value;
        if (!model || !start || !colours) return;
        if (!bins || binsFor[0] !== start || binsFor[1] !== bounds) {
          bins = bin(model, start, bounds);
          binsFor = [start, bounds];
        }
        const size = { width: drawn, height, left: leftNow(), right };
        drawMinimap(context, size, bins, colours.ofSpan, paint(), bounds, store.window.value);
      },
    );
    const stop = effect(() => {
      void [store.starts.value, store.colours.value, store.bounds.value, store.window.value, leftWidth.value.value];
      paint();
      surface.ask();
    });
    let drag: Drag | null = null;
    const place = (event: PointerEvent): { x: number; offset: number; x0: number; x1: number } => {
      const box = element.getBoundingClientRect();
      const { from, to } = store.bounds.value;
      const begin = leftNow();
      const room = Math.max(1, box.width - begin - right);
      const x = event.clientX - box.left;
      const at = (offset: number): number => begin + ((offset - from) / (to - from)) * room;
      return {
        x,
        offset: from + ((x - begin) / room) * (to - from),
        x0: at(store.window.value.from),
        x1: at(store.window.value.to),
      };
    };
    const down = (event: PointerEvent): void => {
      const { x, offset, x0, x1 } = place(event);
      if (event.button !== 0 || x < leftNow() - 6) return;
      element.setPointerCapture(event.pointerId);
      const isWhole = x1 - x0 > element.clientWidth - leftNow() - right - 4;
      if (Math.abs(x - x0) < 6) drag = { what: "from" };
      else if (Math.abs(x - x1) < 6) drag = { what: "to" };
      else if (x > x0 && x < x1 && !isWhole) drag = { what: "move", grab: offset - store.window.value.from };
      else drag = { what: "new", begin: offset };
    };
    const move = (event: PointerEvent): void => {
      const { x, offset, x0, x1 } = place(event);
      const { from, to } = store.window.value;
      element.style.cursor = Math.abs(x - x0) < 6 || Math.abs(x - x1) < 6 ? "ew-resize" : "crosshair";
      if (!drag) return;
      if (drag.what === "from") store.setWindow({ from: Math.min(offset, to - 10), to });
      else if (drag.what === "to") store.setWindow({ from, to: Math.max(offset, from + 10) });
      else if (drag.what === "move") {
        const begin = offset - drag.grab;
        store.setWindow({ from: begin, to: begin + (to - from) });
      } else if (offset !== drag.begin) {
        store.setWindow({ from: Math.min(drag.begin, offset), to: Math.max(drag.begin, offset, drag.begin + 10) });
      }
    };
    const up = (): void => {
      drag = null;
    };
    const whole = (): void => store.setWindow({ ...store.bounds.value });
    element.addEventListener("pointerdown", down);
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerup", up);
    element.addEventListener("dblclick", whole);
    return () => {
      stop();
      surface.stop();
      element.removeEventListener("pointerdown", down);
      element.removeEventListener("pointermove", move);
      element.removeEventListener("pointerup", up);
      element.removeEventListener("dblclick", whole);
    };
  }, [store, isWide]);
  return (
    <div class="minimap" ref={holder}>
      <canvas ref={canvas} />
      {isWide && <PathSummary store={store} width={columnWidth(width.value || 1200)} />}
    </div>
  );
}

/** Who the time of the critical path went to. */
function PathSummary({ store, width }: { store: TraceStore; width: number }) {
  const model = store.model.value;
  const colours = store.colours.value;
  if (!model || !colours) return null;
  const whole = model.skeleton.services.reduce((sum, one) => sum + one.pathNanos, 0);
  if (whole <= 0) return null;
  const series = new Map(colours.legend.map((entry) => [entry.label, entry.series]));
  const isByService = store.colourBy.value === "service";
  const parts = [...model.skeleton.services]
    .filter((one) => one.pathNanos > 0)
    .sort((a, b) => b.pathNanos - a.pathNanos)
    .slice(0, 4);
  return (
    <div class="path-summary" style={{ width: `${width - 12}px` }}>
      <span class="muted">Critical path</span>
      <ul>
        {parts.map((one) => (
          <li key={one.name}>
            {isByService && <i class={`dot series-${series.get(one.name) ?? 0}`} />}
            {visibleLine(one.name)} <b class="tabular">{percent(one.pathNanos / whole)}</b>
          </li>
        ))}
      </ul>
    </div>
  );
}
