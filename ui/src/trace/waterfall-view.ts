// Draws the waterfall when anything it shows changes, and turns what the pointer does into acts on the store.
import { effect, signal } from "@preact/signals";
import { paint, Texts } from "./canvas/paint";
import { AXIS, indent, offsetAt, ROW, rowAt, type Scene } from "./canvas/scene";
import { type Surface, surfaceOf } from "./canvas/surface";
import { drawWaterfall } from "./canvas/waterfall";
import { NO_NOTES, notesOf } from "./notes";
import { Row, spanOfRow } from "./rows";
import { leftWidth, type TraceStore } from "./store";
import { Working } from "./working";

const MIN_LEFT = 160;

/** What the pointer is doing. */
type Drag =
  | { what: "divider" }
  | { what: "select"; from: number; to: number }
  | { what: "pan"; x: number }
  | { what: "press"; x: number; row: number };

/** Draws and listens; made once for a store. */
export class WaterfallView {
  private readonly hoverRow = signal(-1);
  private readonly crosshair = signal(-1);
  /** Where the tip stands, in the space of the rows. */
  readonly tip = signal<{ row: number; x: number; y: number } | null>(null);
  private tipTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly drag = signal<Drag | null>(null);
  private scene: Scene | null = null;
  private isDrawn = false;
  private scroller: HTMLDivElement | null = null;
  private canvas: HTMLCanvasElement | null = null;
  private working: Working | null = null;
  private workingFor: unknown = null;
  private matches: Uint8Array | null = null;
  private matchesFor: unknown = null;
  private notes = NO_NOTES;
  private texts: { font: string; plain: Texts; bold: Texts; small: Texts } | null = null;

  constructor(private readonly store: TraceStore) {}

  attach(
    scroller: HTMLDivElement,
    canvas: HTMLCanvasElement,
    scroll: { value: number },
    height: { value: number },
  ): () => void {
    this.scroller = scroller;
    this.canvas = canvas;
    const size = () => {
      const { clientWidth, clientHeight } = scroller;
      if (height.value !== clientHeight) height.value = clientHeight;
      return { width: clientWidth, height: clientHeight };
    };
    const surface = surfaceOf(canvas, size, (drawn) => this.draw(drawn));
    const { store } = this;
    const observer = new ResizeObserver(surface.ask);
    observer.observe(scroller);
    const stops = [
      effect(() => {
        const model = store.model.value;
        const diagnosis = store.diagnosis.value;
        this.notes = model && diagnosis ? notesOf(model, diagnosis) : NO_NOTES;
        surface.ask();
      }),
      // Whatever the picture depends on asks for the next frame.
      effect(() => {
        void [store.rows.value, store.window.value, store.colours.value, store.cursorRow.value, store.selected.value];
        void [store.found.value, store.details.came.value, store.loadingBelow.value, leftWidth.value.value];
        void [this.hoverRow.value, this.crosshair.value, this.drag.value, scroll.value];
        paint();
        surface.ask();
      }),
      effect(() => this.prefetch(scroll.value)),
      // The cursor stays in sight.
      effect(() => {
        const row = store.cursorRow.value;
        if (row >= 0) this.keepInSight(row);
      }),
    ];
    // Without `passive: false` the browser would zoom the page.
    scroller.addEventListener("wheel", this.wheel, { passive: false });
    return () => {
      for (const stop of stops) stop();
      scroller.removeEventListener("wheel", this.wheel);
      observer.disconnect();
      surface.stop();
      clearTimeout(this.prefetchTimer);
      clearTimeout(this.tipTimer);
    };
  }

  private keepInSight(row: number): void {
    const { scroller } = this;
    if (!scroller) return;
    const top = row * ROW;
    const room = scroller.clientHeight - AXIS;
    if (room <= 0) return;
    // The space grows in the same turn; without its new height the browser would clamp.
    queueMicrotask(() =>
      requestAnimationFrame(() => {
        const isNear = top >= scroller.scrollTop - 2 * ROW && top + ROW <= scroller.scrollTop + room + 2 * ROW;
        if (top < scroller.scrollTop) scroller.scrollTop = isNear ? top : Math.max(0, top - room / 3);
        else if (top + ROW > scroller.scrollTop + room) {
          scroller.scrollTop = isNear ? top + ROW - room : Math.max(0, top - room / 3);
        }
      }),
    );
  }

  private prefetchTimer: ReturnType<typeof setTimeout> | undefined;

  /** Events are drawn where they happened, which only the details say: fetched for what is on the screen, at rest. */
  private prefetch(scrollTop: number): void {
    const { store, scroller } = this;
    const rows = store.rows.value;
    const model = store.model.value;
    if (!rows || !model || !scroller) return;
    clearTimeout(this.prefetchTimer);
    this.prefetchTimer = setTimeout(() => {
      const first = Math.floor(scrollTop / ROW);
      const last = Math.min(rows.count, first + Math.ceil(scroller.clientHeight / ROW));
      const ids: string[] = [];
      for (let row = first; row < last; row++) {
        if (rows.kind[row] === Row.Span && model.events[rows.ref[row]] > 0) ids.push(model.ids[rows.ref[row]]);
      }
      store.details.prefetch(ids);
    }, 200);
  }

  private readonly eventOffsets = new Map<number, Float64Array>();

  private readonly events = (span: number): ArrayLike<number> | undefined => {
    const known = this.eventOffsets.get(span);
    if (known) return known;
    const id = this.store.model.peek()?.ids[span];
    const detail = id === undefined ? undefined : this.store.details.peek(id);
    if (!detail) return undefined;
    const offsets = Float64Array.from(detail.events ?? [], (event) => event.offsetNanos);
    this.eventOffsets.set(span, offsets);
    return offsets;
  };

  private draw(surface: Surface): void {
    const { store } = this;
    const model = store.model.value;
    const rows = store.rows.value;
    const start = store.starts.value;
    const colours = store.colours.value;
    if (!model || !rows || !start || !colours || !this.scroller) return;
    if (this.workingFor !== start) {
      this.working = new Working(model, start);
      this.workingFor = start;
      this.eventOffsets.clear();
    }
    const found = store.found.value;
    if (this.matchesFor !== found) {
      this.matchesFor = found;
      this.matches = null;
      if (found) {
        this.matches = new Uint8Array(model.count);
        for (const span of found.spans) this.matches[span] = 1;
      }
    }
    const colour = paint();
    if (this.texts?.font !== colour.font) {
      this.texts = {
        font: colour.font,
        plain: new Texts(colour.font),
        bold: new Texts(colour.bold),
        small: new Texts(colour.small),
      };
    }
    this.scene = {
      model,
      rows,
      start,
      working: this.working as Working,
      window: store.window.value,
      series: colours.ofSpan,
      paint: colour,
      plain: this.texts.plain,
      bold: this.texts.bold,
      small: this.texts.small,
      width: surface.width,
      height: surface.height,
      left: columnWidth(surface.width),
      scroll: this.scroller.scrollTop,
      cursorRow: store.cursorRow.value,
      hoverRow: this.hoverRow.value,
      crosshair: this.crosshair.value,
      selected: store.selected.value,
      matches: this.matches,
      pruning: store.pruning.value,
      notes: this.notes,
      events: this.events,
      loadingBelow: store.loadingBelow.value,
    };
    drawWaterfall(surface.context, this.scene);
    if (!this.isDrawn) {
      this.isDrawn = true;
      // What the timing gates measure, and what a person sees in the browser's profiler.
      performance.mark("trace drawn");
    }
    const drag = this.drag.value;
    if (drag?.what === "select") drawSelection(surface.context, this.scene, drag.from, drag.to);
  }

  private point(event: MouseEvent): { x: number; y: number } {
    const box = this.canvas?.getBoundingClientRect();
    return { x: event.clientX - (box?.left ?? 0), y: event.clientY - (box?.top ?? 0) };
  }

  readonly down = (event: PointerEvent): void => {
    const { scene } = this;
    if (!scene || event.button !== 0) return;
    const { x, y } = this.point(event);
    this.hideTip();
    this.canvas?.setPointerCapture(event.pointerId);
    if (Math.abs(x - scene.left) <= 4) this.drag.value = { what: "divider" };
    else if (x > scene.left && event.shiftKey) this.drag.value = { what: "pan", x };
    else if (x > scene.left && y < AXIS) this.drag.value = { what: "select", from: x, to: x };
    else this.drag.value = { what: "press", x, row: rowAt(scene, y) };
  };

  readonly move = (event: PointerEvent): void => {
    const { scene, canvas } = this;
    if (!scene || !canvas) return;
    const { x, y } = this.point(event);
    const drag = this.drag.value;
    this.hoverRow.value = rowAt(scene, y);
    this.crosshair.value = x > scene.left + 4 ? x : -1;
    this.rest(x, y, this.hoverRow.value);
    canvas.style.cursor =
      drag?.what === "divider" || Math.abs(x - scene.left) <= 4
        ? "col-resize"
        : drag?.what === "pan"
          ? "grabbing"
          : x < scene.left && this.hoverRow.value >= 0
            ? "pointer"
            : "default";
    if (!drag) return;
    if (drag.what === "divider") {
      leftWidth.set(Math.round(Math.min(Math.max(MIN_LEFT, x), scene.width - 200)));
    } else if (drag.what === "pan") {
      this.store.pan((drag.x - x) / Math.max(1, scene.width - scene.left));
      this.drag.value = { what: "pan", x };
    } else if (drag.what === "select") this.drag.value = { ...drag, to: Math.max(scene.left, x) };
    // A press on the bars that moves becomes a selection of time.
    else if (drag.x > scene.left && Math.abs(x - drag.x) > 4) {
      this.drag.value = { what: "select", from: drag.x, to: x };
    }
  };

  readonly up = (event: PointerEvent): void => {
    const drag = this.drag.value;
    const { scene } = this;
    this.drag.value = null;
    this.canvas?.releasePointerCapture(event.pointerId);
    if (!drag || !scene) return;
    if (drag.what === "select" && Math.abs(drag.to - drag.from) > 4) {
      const from = offsetAt(scene, Math.min(drag.from, drag.to));
      this.store.setWindow({ from, to: offsetAt(scene, Math.max(drag.from, drag.to)) });
    } else if (drag.what === "press") this.press(scene, drag.row, drag.x, event.shiftKey);
  };

  /** Shows the tip when the pointer rests. */
  private rest(x: number, y: number, row: number): void {
    clearTimeout(this.tipTimer);
    if (this.tip.value && this.tip.value.row !== row) this.tip.value = null;
    if (row < 0 || this.drag.value || this.tip.value) return;
    this.tipTimer = setTimeout(() => {
      const { scene, scroller } = this;
      if (!scene || !scroller || this.drag.value) return;
      const isLow = y > scene.height - 80;
      this.tip.value = {
        row,
        x: Math.max(8, Math.min(x + 14, scene.width - 380)),
        y: scroller.scrollTop + (isLow ? y - 62 : y + 16),
      };
    }, 350);
  }

  private hideTip(): void {
    clearTimeout(this.tipTimer);
    this.tip.value = null;
  }

  private press(scene: Scene, row: number, x: number, isShift: boolean): void {
    if (row < 0) return;
    const { store } = this;
    const { rows, model } = scene;
    const at = indent(scene, rows.depth[row]);
    const isOnToggle = x >= at - 4 && x <= at + 15 && rows.toggle[row] > 0;
    const span = spanOfRow(model, rows, row);
    store.moveTo(row);
    if (isOnToggle) store.toggle(row);
    else if (rows.kind[row] === Row.Hidden) void store.loadBelow(span);
    else if (rows.kind[row] === Row.Fold) store.toggle(row);
    else if (isShift && rows.toggle[row] > 0) store.toggle(row);
    else if (span >= 0 && rows.kind[row] === Row.Span) store.select(span);
    document.getElementById("trace-grid")?.querySelector<HTMLElement>('[tabindex="0"]')?.focus({ preventScroll: true });
  }

  readonly double = (event: MouseEvent): void => {
    const { scene } = this;
    if (!scene) return;
    const { x, y } = this.point(event);
    const row = rowAt(scene, y);
    if (row >= 0 && x > scene.left) this.store.frameSpan(spanOfRow(scene.model, scene.rows, row));
  };

  readonly away = (): void => {
    this.hoverRow.value = -1;
    this.crosshair.value = -1;
    this.hideTip();
  };

  private readonly wheel = (event: WheelEvent): void => {
    const { scene } = this;
    if (!scene) return;
    const { x } = this.point(event);
    this.hideTip();
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      if (x > scene.left)
        this.store.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.008), offsetAt(scene, x));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      this.store.pan((event.deltaX || event.deltaY) / Math.max(1, scene.width - scene.left));
    }
  };
}

/** The remembered width, less where the page is narrow. */
export function columnWidth(width: number): number {
  return Math.min(leftWidth.value.value, Math.max(MIN_LEFT, Math.floor(width * 0.46)));
}

function drawSelection(context: CanvasRenderingContext2D, scene: Scene, from: number, to: number): void {
  const x = Math.min(from, to);
  context.fillStyle = scene.paint.accent;
  context.globalAlpha = 0.16;
  context.fillRect(x, AXIS, Math.abs(to - from), scene.height - AXIS);
  context.globalAlpha = 1;
  context.fillRect(x, AXIS, 1, scene.height - AXIS);
  context.fillRect(Math.max(from, to), AXIS, 1, scene.height - AXIS);
}
