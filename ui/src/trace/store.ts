// One trace being looked at: what was loaded and what a person did with it, as signals. Draws nothing; what a link
// should carry is in the view state (the address), everything else is here.
import { batch, computed, effect, type Signal, signal, untracked } from "@preact/signals";
import type { Diagnosis, SpanDetail } from "../api-types";
import { preference } from "../prefs";
import { type ColourBy, coloursBy } from "./colours";
import { Details } from "./details";
import { Finder, type Found } from "./finder";
import { mergeSubtree } from "./merge";
import { buildModel, KINDS, nameOf, serviceOf, startsOf, type TraceModel, timeBounds } from "./model";
import { inDisplayOrder, neighbour } from "./numbers";
import { decodeOpened, encodeOpened, openedFor } from "./opened";
import { pruningOf } from "./prune";
import { buildRows, type Opened, Row, reveal, rowOf, spanOfRow } from "./rows";
import type { TraceSource, ViewState } from "./source";
import { clampWindow, decodeWindow, encodeWindow, frame, panBy, type TimeWindow, zoomAround } from "./window";

export type Tab = "waterfall" | "flame" | "table" | "map" | "diagnosis" | "json";
export const TABS: Tab[] = ["waterfall", "flame", "table", "map", "diagnosis", "json"];

export const leftWidth = preference("trace.left", 400);
export const panelWidth = preference("trace.panel", 400);
const folding = preference("trace.folding", true);
/** What bars are coloured by. */
export const colourTaste = preference<ColourBy>("trace.colour", "service");

/** The cursor: which row, named so that it survives a change of rows. */
interface Cursor {
  kind: Row;
  ref: number;
}

export class TraceStore {
  readonly model: Signal<TraceModel | null> = signal(null);
  readonly failure = signal<unknown>(null);
  readonly diagnosis = signal<Diagnosis | null>(null);
  readonly diagnosisFailure = signal<unknown>(null);
  readonly details: Details;
  readonly finder: Finder;
  readonly window = signal<TimeWindow>({ from: 0, to: 1 });
  readonly cursor = signal<Cursor>({ kind: Row.Span, ref: -1 });
  /** Span in the panel, or -1. */
  readonly selected = signal(-1);
  readonly onlyPath = signal(false);
  /** Said once to a screen reader, and shown for a moment. */
  readonly said = signal("");
  readonly loadingBelow = signal(-1);
  private opened: Opened = { collapsed: new Uint8Array(0), unfolded: new Uint8Array(0), folding: true, top: -1 };
  private readonly openedChanges = signal(0);
  private readonly abort = new AbortController();
  private readonly stops: (() => void)[] = [];

  readonly tab = computed<Tab>(() => {
    const asked = this.state.get("view") as Tab;
    return TABS.includes(asked) ? asked : "waterfall";
  });
  readonly only = computed(() => this.state.get("only") === "1");
  readonly adjusted = computed(() => this.state.get("skew") === "adjusted" && this.model.value?.adjustedStart != null);
  /** Of a single service the operations: one colour for all says nothing. */
  readonly colourBy = computed<ColourBy>(() => {
    const isSingle = (this.model.value?.skeleton.services.length ?? 0) === 1;
    return isSingle && colourTaste.value.value === "service" ? "operation" : colourTaste.value.value;
  });
  readonly colours = computed(() => (this.model.value ? coloursBy(this.model.value, this.colourBy.value) : null));
  readonly starts = computed(() => (this.model.value ? startsOf(this.model.value, this.adjusted.value) : null));
  readonly bounds = computed<TimeWindow>(() => {
    const model = this.model.value;
    if (!model) return { from: 0, to: 1 };
    this.openedChanges.value;
    const top = this.opened.top;
    const start = startsOf(model, this.adjusted.value);
    if (top >= 0) return { from: start[top], to: start[top] + Math.max(1, model.duration[top]) };
    const [from, to] = timeBounds(model, this.adjusted.value);
    return { from, to };
  });
  readonly pruning = computed(() => {
    const model = this.model.value;
    if (!model) return null;
    const matches = this.only.value ? (this.found.value?.spans ?? null) : null;
    return pruningOf(model, matches, this.onlyPath.value);
  });
  readonly rows = computed(() => {
    this.openedChanges.value;
    const model = this.model.value;
    const starts = this.starts.value;
    return model && starts ? buildRows(model, starts, this.opened, this.pruning.value) : null;
  });
  /** Row of the cursor, or what stands for it now; -1 only without rows. */
  readonly cursorRow = computed(() => {
    const rows = this.rows.value;
    const model = this.model.value;
    const { kind, ref } = this.cursor.value;
    if (!rows || !model || rows.count === 0) return -1;
    // Without a row that has the focus the keys would be lost.
    return Math.max(0, ref < 0 ? 0 : rowOf(model, rows, kind, ref));
  });
  readonly isFolding = computed(() => {
    this.openedChanges.value;
    return this.opened.folding;
  });
  readonly top = computed(() => {
    this.openedChanges.value;
    return this.opened.top;
  });

  constructor(
    readonly source: TraceSource,
    readonly state: ViewState,
  ) {
    this.details = new Details(source);
    this.finder = new Finder(source);
  }

  async load(): Promise<void> {
    this.failure.value = null;
    try {
      const model = buildModel(await this.source.skeleton(this.abort.signal));
      batch(() => {
        this.model.value = model;
        this.opened = decodeOpened(model, this.state.get("fold"), folding.value.value);
        const root = model.numberOf.get(this.state.get("root"));
        if (root !== undefined) this.opened.top = root;
        this.openedChanges.value++;
        this.window.value = decodeWindow(this.state.get("z"), this.bounds.value);
        const asked = model.numberOf.get(this.state.get("span"));
        if (asked !== undefined) {
          reveal(model, this.opened, asked);
          this.openedChanges.value++;
          this.selected.value = asked;
        }
        this.cursor.value = { kind: Row.Span, ref: asked ?? model.tops[0] ?? -1 };
      });
    } catch (error) {
      if (!this.abort.signal.aborted) this.failure.value = error;
      return;
    }
    this.followAddress();
    this.source.diagnosis(this.abort.signal).then(
      (diagnosis) => {
        this.diagnosis.value = diagnosis;
      },
      (error) => {
        if (!this.abort.signal.aborted) this.diagnosisFailure.value = error;
      },
    );
  }

  /** Keeps in step with the address, which back and forward change. */
  private followAddress(): void {
    if (this.stops.length > 0) return;
    this.stops.push(
      effect(() => {
        const root = this.model.value?.numberOf.get(this.state.get("root")) ?? -1;
        if (root !== this.opened.top) untracked(() => this.restrict(root));
      }),
      effect(() => {
        const text = this.state.get("find");
        untracked(() => void this.finder.run(text, this.model));
      }),
      effect(() => {
        const model = this.model.value;
        const id = this.state.get("span");
        const span = model?.numberOf.get(id) ?? -1;
        untracked(() => {
          if (!model || this.selected.value === span || model.ids[this.selected.value] === id) return;
          this.selected.value = span;
          if (span >= 0) this.show(span);
        });
      }),
    );
  }

  dispose(): void {
    this.abort.abort();
    this.finder.stop();
    clearTimeout(this.windowTimer);
    for (const stop of this.stops) stop();
  }

  /** The span the cursor is on or stands for, or -1. */
  current(): number {
    const { kind, ref } = this.cursor.value;
    if (kind === Row.Span) return ref;
    const rows = this.rows.value;
    const model = this.model.value;
    return rows && model && this.cursorRow.value >= 0 ? spanOfRow(model, rows, this.cursorRow.value) : -1;
  }

  get found(): Signal<Found | null> {
    return this.finder.found;
  }

  setTab(tab: Tab): void {
    this.state.set({ view: tab === "waterfall" ? undefined : tab }, "push");
  }

  /** Changes what is open, then puts it into the address. */
  change(how: (model: TraceModel, opened: Opened) => void): void {
    const model = this.model.value;
    if (!model) return;
    how(model, this.opened);
    this.openedChanges.value++;
    this.writeOpened(model);
  }

  private writeOpened(model: TraceModel): void {
    const text = encodeOpened(model, this.opened);
    const isTaste = this.opened.folding === folding.value.value;
    this.state.set({ fold: isTaste && text === "off" ? undefined : text }, "replace");
  }

  isCollapsed(span: number): boolean {
    return this.opened.collapsed[span] === 1;
  }

  setFolding(on: boolean): void {
    folding.set(on);
    this.change((_, opened) => {
      opened.folding = on;
    });
  }

  /** Opens or closes the row. */
  toggle(row: number): void {
    const rows = this.rows.value;
    if (!rows || row < 0) return;
    const ref = rows.ref[row];
    if (rows.kind[row] === Row.Fold) this.change((_, opened) => (opened.unfolded[ref] ^= 1));
    else if (rows.kind[row] === Row.Span && rows.toggle[row] > 0) {
      this.change((_, opened) => (opened.collapsed[ref] ^= 1));
    }
  }

  moveTo(row: number): void {
    const rows = this.rows.value;
    if (!rows || rows.count === 0) return;
    const at = Math.min(Math.max(row, 0), rows.count - 1);
    this.cursor.value = { kind: rows.kind[at], ref: rows.ref[at] };
    // An open panel follows the cursor.
    if (this.selected.value >= 0 && rows.kind[at] === Row.Span) this.select(rows.ref[at], "replace");
  }

  /** Opens the panel for a span. */
  select(span: number, how: "push" | "replace" = "push"): void {
    const model = this.model.value;
    if (!model) return;
    this.selected.value = span;
    this.state.set({ span: span >= 0 ? model.ids[span] : undefined }, how);
  }

  /** Puts the cursor on a span, opening what hides it; zooms out when it lies outside what is shown. */
  show(span: number): void {
    const model = this.model.value;
    const starts = this.starts.value;
    if (!model || !starts || span < 0) return;
    batch(() => {
      const wasTop = this.opened.top;
      if (reveal(model, this.opened, span)) {
        this.openedChanges.value++;
        this.writeOpened(model);
        if (wasTop !== this.opened.top) this.state.set({ root: undefined }, "replace");
      }
      // What pruning hides cannot be shown by opening rows.
      const pruning = this.pruning.value;
      if (pruning && !pruning.shown[span]) {
        this.onlyPath.value = false;
        if (this.only.value && !this.found.value?.spans.includes(span)) this.state.set({ only: undefined }, "replace");
      }
      this.cursor.value = { kind: Row.Span, ref: span };
      const { from, to } = this.window.value;
      const outside = starts[span] > to || starts[span] + model.duration[span] < from;
      if (outside) this.setWindow(frame(starts[span], model.duration[span], this.bounds.value));
    });
  }

  /** `show`, and the panel with it. */
  open(span: number, how: "push" | "replace" = "push"): void {
    if (span < 0) return;
    this.show(span);
    this.select(span, how);
  }

  setWindow(window: TimeWindow): void {
    this.window.value = clampWindow(window, this.bounds.value);
    clearTimeout(this.windowTimer);
    // Fine motion would flood history: browsers allow few writes a second.
    this.windowTimer = setTimeout(() => {
      this.state.set({ z: encodeWindow(this.window.value, this.bounds.value) || undefined }, "replace");
    }, 250);
  }
  private windowTimer: ReturnType<typeof setTimeout> | undefined;

  zoom(factor: number, at?: number): void {
    const { from, to } = this.window.value;
    this.setWindow(zoomAround(this.window.value, this.bounds.value, factor, at ?? (from + to) / 2));
  }

  pan(share: number): void {
    this.setWindow(panBy(this.window.value, this.bounds.value, share));
  }

  frameSpan(span: number): void {
    const model = this.model.value;
    const starts = this.starts.value;
    if (model && starts && span >= 0) this.setWindow(frame(starts[span], model.duration[span], this.bounds.value));
  }

  setAdjusted(on: boolean): void {
    this.state.set({ skew: on ? "adjusted" : undefined }, "push");
    this.window.value = { ...this.bounds.value };
  }

  /** Shows only the subtree of a span; -1 for the whole trace. */
  setTop(span: number): void {
    const model = this.model.value;
    if (!model) return;
    this.state.set({ root: span >= 0 ? model.ids[span] : undefined }, "push");
    this.restrict(span);
  }

  private restrict(span: number): void {
    batch(() => {
      this.change((_, opened) => {
        opened.top = span;
      });
      this.setWindow({ ...this.bounds.value });
      if (span >= 0) this.cursor.value = { kind: Row.Span, ref: span };
    });
  }

  find(text: string): void {
    this.state.set({ find: text || undefined, ...(text ? {} : { only: undefined }) }, "replace");
  }

  /** Next or previous of some spans, seen from the cursor; `opens` the panel where one wants to know why. */
  step(spans: Int32Array | null | undefined, forwards: boolean, what: string, opens = false): void {
    const model = this.model.value;
    if (!model || !spans) return;
    const current = this.current();
    // The span of a cursor whose panel is not open has not been looked at yet.
    const isUnseen = opens && this.selected.value < 0 && spans.includes(current);
    const next = isUnseen ? current : neighbour(model, spans, current, forwards);
    if (next < 0) {
      this.said.value = `No ${what}`;
      return;
    }
    this.show(next);
    if (opens || this.selected.value >= 0) this.select(next, "replace");
    const at = spans.indexOf(next) + 1;
    this.said.value = `${what} ${at} of ${spans.length}`;
  }

  /** Spans with segments of the critical path, by their first segment. */
  readonly pathSpans = computed(() => {
    const model = this.model.value;
    return model ? inDisplayOrder(model, [...model.segmentSpan]) : new Int32Array(0);
  });

  /** Marks the spans of a row of the statistics as if they had been searched for. */
  showGroup(group: { service: string; name: string; kind: string }, by: "operation" | "service" | "kind"): void {
    const model = this.model.value;
    if (!model) return;
    const wanted: number[] = [];
    for (let span = 0; span < model.count; span++) {
      const isKind = KINDS[model.kind[span]] === group.kind;
      const isService = serviceOf(model, span) === group.service;
      const isIn =
        by === "kind"
          ? isKind
          : by === "service"
            ? isService
            : isKind && isService && nameOf(model, span) === group.name;
      if (isIn) wanted.push(span);
    }
    const spans = inDisplayOrder(model, wanted);
    this.state.set({ find: undefined }, "replace");
    // After the address has cleared the last search.
    queueMicrotask(() => {
      this.found.value = { text: "", spans, elsewhere: 0 };
      this.show(spans[0] ?? -1);
    });
  }

  /** Loads what was left out below a span. */
  async loadBelow(span: number): Promise<void> {
    const model = this.model.value;
    if (!model || this.loadingBelow.value >= 0) return;
    this.loadingBelow.value = span;
    try {
      const below = await this.source.skeleton(this.abort.signal, model.ids[span]);
      const kept = { ...this.opened };
      const next = buildModel(mergeSubtree(model.skeleton, below, span));
      batch(() => {
        this.opened = openedFor(next, kept.folding);
        this.opened.top = kept.top;
        // Numbers and folds that were there keep their places; new ones come after.
        this.opened.collapsed.set(kept.collapsed);
        this.opened.unfolded.set(kept.unfolded.subarray(0, Math.min(kept.unfolded.length, next.folds.length)));
        this.model.value = next;
        this.openedChanges.value++;
        this.said.value = `${next.count - model.count} spans loaded`;
      });
    } catch (error) {
      if (!this.abort.signal.aborted) this.said.value = error instanceof Error ? error.message : String(error);
    } finally {
      this.loadingBelow.value = -1;
    }
  }

  async detail(span: number): Promise<SpanDetail | undefined> {
    const id = this.model.value?.ids[span];
    return id === undefined ? undefined : this.details.get(id);
  }
}
