// Which rows a trace shows: spans in preorder with folds, gaps, missing parents and left-out subtrees, under what is
// collapsed and pruned. Pure; a rebuild costs about as many steps as there are rows.
import { isWithin, type TraceModel } from "./model";
import type { Pruning } from "./prune";

export enum Row {
  Span = 0,
  Fold = 1,
  Gap = 2,
  Missing = 3,
  Hidden = 4,
}

/** What a person opened and closed. */
export interface Opened {
  /** By span: 1 when its children are not shown. */
  collapsed: Uint8Array;
  /** By fold: 1 when its members are shown. */
  unfolded: Uint8Array;
  /** Runs alike are one row. */
  folding: boolean;
  /** Only this subtree, or -1. */
  top: number;
}

/** Rows as arrays; only the first `count` of each are in use. */
export interface Rows {
  count: number;
  kind: Uint8Array;
  /** Number of the span, fold, gap or missing parent; of a Hidden row the span above. */
  ref: Int32Array;
  depth: Int32Array;
  /** Bit `d`: an ancestor line at depth `d` goes on below this row. Depths from 31 on have none. */
  lines: Int32Array;
  position: Int32Array;
  setSize: Int32Array;
  /** 0 nothing to open, 1 closed, 2 open. */
  toggle: Uint8Array;
  /** By span: its row, or -1. */
  ofSpan: Int32Array;
  ofFold: Int32Array;
}

/** Items of one level while they are collected; kept between calls, since a rebuild follows every key. */
class Level {
  kind = new Uint8Array(64);
  ref = new Int32Array(64);
  count = 0;

  add(kind: Row, ref: number): void {
    if (this.count === this.ref.length) {
      const wider = new Int32Array(this.count * 2);
      wider.set(this.ref);
      this.ref = wider;
      const kinds = new Uint8Array(this.count * 2);
      kinds.set(this.kind);
      this.kind = kinds;
    }
    this.kind[this.count] = kind;
    this.ref[this.count++] = ref;
  }
}

/** A rebuild at work: what it reads, and the rows to come as a stack. */
class Build {
  readonly level = new Level();
  readonly seenFold: Uint8Array;
  private readonly kind: Uint8Array;
  private readonly ref: Int32Array;
  private readonly depth: Int32Array;
  private readonly lines: Int32Array;
  private readonly position: Int32Array;
  private readonly setSize: Int32Array;
  private height = 0;

  constructor(
    readonly model: TraceModel,
    readonly start: Float64Array,
    readonly opened: Opened,
    readonly pruning: Pruning | null,
    capacity: number,
  ) {
    this.seenFold = new Uint8Array(model.folds.length);
    this.kind = new Uint8Array(capacity);
    this.ref = new Int32Array(capacity);
    this.depth = new Int32Array(capacity);
    this.lines = new Int32Array(capacity);
    this.position = new Int32Array(capacity);
    this.setSize = new Int32Array(capacity);
  }

  shows(span: number): boolean {
    return this.pruning === null || this.pruning.shown[span] === 1;
  }

  /** Puts the collected level on the stack, its first item on top. */
  push(depth: number, lines: number): void {
    const { level } = this;
    for (let i = level.count - 1; i >= 0; i--) {
      const at = this.height++;
      const goesOn = i < level.count - 1 && depth < 31;
      this.kind[at] = level.kind[i];
      this.ref[at] = level.ref[i];
      this.depth[at] = depth;
      this.lines[at] = goesOn ? lines | (1 << depth) : lines;
      this.position[at] = i + 1;
      this.setSize[at] = level.count;
    }
    level.count = 0;
  }

  /** Moves the top of the stack into the rows; false when there is none. */
  pop(rows: Rows): boolean {
    if (this.height === 0) return false;
    const from = --this.height;
    const at = rows.count++;
    rows.kind[at] = this.kind[from];
    rows.ref[at] = this.ref[from];
    rows.depth[at] = this.depth[from];
    rows.lines[at] = this.lines[from];
    rows.position[at] = this.position[from];
    rows.setSize[at] = this.setSize[from];
    if (rows.kind[at] === Row.Span) rows.ofSpan[rows.ref[at]] = at;
    if (rows.kind[at] === Row.Fold) rows.ofFold[rows.ref[at]] = at;
    return true;
  }
}

/** Starts by which gaps are put between children. */
export function buildRows(model: TraceModel, start: Float64Array, opened: Opened, pruning: Pruning | null): Rows {
  const capacity = model.count * 2 + model.folds.length + model.gapSpan.length + model.missing.length + 4;
  const rows: Rows = {
    count: 0,
    kind: new Uint8Array(capacity),
    ref: new Int32Array(capacity),
    depth: new Int32Array(capacity),
    lines: new Int32Array(capacity),
    position: new Int32Array(capacity),
    setSize: new Int32Array(capacity),
    toggle: new Uint8Array(capacity),
    ofSpan: new Int32Array(model.count).fill(-1),
    ofFold: new Int32Array(model.folds.length).fill(-1),
  };
  const build = new Build(model, start, opened, pruning, capacity);
  collectTop(build);
  build.push(0, 0);
  while (build.pop(rows)) {
    const at = rows.count - 1;
    const kind = rows.kind[at];
    const ref = rows.ref[at];
    if (kind === Row.Gap || kind === Row.Hidden) continue;
    if (kind === Row.Fold && opened.unfolded[ref] === 0) rows.toggle[at] = 1;
    else if (kind === Row.Span && opened.collapsed[ref] === 1) rows.toggle[at] = hasItems(build, ref) ? 1 : 0;
    else {
      collectBelow(build, kind, ref);
      rows.toggle[at] = build.level.count > 0 ? 2 : 0;
      build.push(rows.depth[at] + 1, rows.lines[at]);
    }
  }
  return rows;
}

function hasItems(build: Build, span: number): boolean {
  const { model } = build;
  if (model.hidden[span] > 0 || model.gapsOf.from[span] < model.gapsOf.from[span + 1]) return true;
  for (let i = model.children.from[span]; i < model.children.from[span + 1]; i++) {
    if (build.shows(model.children.list[i])) return true;
  }
  return false;
}

function collectTop(build: Build): void {
  const { model, opened, level } = build;
  if (opened.top >= 0) {
    level.add(Row.Span, opened.top);
    return;
  }
  const seenMissing = new Uint8Array(model.missing.length);
  for (const span of model.tops) {
    if (!build.shows(span)) continue;
    const missing = model.missingOf[span];
    if (missing < 0) collectSpan(build, span);
    else if (!seenMissing[missing]) {
      seenMissing[missing] = 1;
      level.add(Row.Missing, missing);
    }
  }
}

function collectSpan(build: Build, span: number): void {
  const { model, opened, level, seenFold } = build;
  const fold = opened.folding ? model.foldOf[span] : -1;
  if (fold < 0 || (build.pruning && shownMembers(model, fold, build.pruning) < 2)) level.add(Row.Span, span);
  else if (!seenFold[fold]) {
    seenFold[fold] = 1;
    level.add(Row.Fold, fold);
  }
}

/** How many members of a fold pruning leaves. */
export function shownMembers(model: TraceModel, fold: number, pruning: Pruning | null): number {
  const { spans } = model.folds[fold];
  if (!pruning) return spans.length;
  let shown = 0;
  for (const span of spans) shown += pruning.shown[span];
  return shown;
}

function collectBelow(build: Build, kind: Row, ref: number): void {
  const { model, start, pruning, level } = build;
  if (kind === Row.Fold) {
    for (const span of model.folds[ref].spans) if (build.shows(span)) level.add(Row.Span, span);
    return;
  }
  if (kind === Row.Missing) {
    for (const span of model.missing[ref].children) {
      if (model.missingOf[span] === ref && build.shows(span)) level.add(Row.Span, span);
    }
    return;
  }
  let gap = model.gapsOf.from[ref];
  // A pruned view shows what was asked for; a gap is no answer to a search.
  const gapsEnd = pruning && !pruning.keepsGaps ? gap : model.gapsOf.from[ref + 1];
  const last = model.children.from[ref + 1];
  for (let i = model.children.from[ref]; i < last; i++) {
    const child = model.children.list[i];
    if (!build.shows(child)) continue;
    while (gap < gapsEnd && model.gapStart[model.gapsOf.list[gap]] <= start[child]) {
      level.add(Row.Gap, model.gapsOf.list[gap++]);
    }
    collectSpan(build, child);
  }
  while (gap < gapsEnd) level.add(Row.Gap, model.gapsOf.list[gap++]);
  if (model.hidden[ref] > 0) level.add(Row.Hidden, ref);
}

/** The row that stands for a span: its own, its fold's, or the nearest ancestor's; -1 when none is shown. */
export function rowFor(model: TraceModel, rows: Rows, span: number): number {
  for (let at = span; at >= 0; at = model.parent[at]) {
    if (rows.ofSpan[at] >= 0) return rows.ofSpan[at];
    const fold = model.foldOf[at];
    if (fold >= 0 && rows.ofFold[fold] >= 0) return rows.ofFold[fold];
  }
  return -1;
}

/** The row of a thing, or of the span that it belongs to when it is not shown itself; -1 when nothing is. */
export function rowOf(model: TraceModel, rows: Rows, kind: Row, ref: number): number {
  switch (kind) {
    case Row.Span:
      return rowFor(model, rows, ref);
    case Row.Fold:
      return rows.ofFold[ref] >= 0 ? rows.ofFold[ref] : rowFor(model, rows, model.folds[ref]?.spans[0] ?? -1);
    default:
      for (let at = 0; at < rows.count; at++) if (rows.kind[at] === kind && rows.ref[at] === ref) return at;
      if (kind === Row.Missing) return rowFor(model, rows, model.missing[ref]?.children[0] ?? -1);
      return rowFor(model, rows, kind === Row.Gap ? (model.gapSpan[ref] ?? -1) : ref);
  }
}

/** Opens everything that hides a span; whether anything was closed. */
export function reveal(model: TraceModel, opened: Opened, span: number): boolean {
  let changed = false;
  if (opened.top >= 0 && !isWithin(model, span, opened.top)) {
    opened.top = -1;
    changed = true;
  }
  for (let at = span; at >= 0; at = model.parent[at]) {
    if (at !== span && opened.collapsed[at]) {
      opened.collapsed[at] = 0;
      changed = true;
    }
    const fold = model.foldOf[at];
    if (opened.folding && fold >= 0 && !opened.unfolded[fold]) {
      opened.unfolded[fold] = 1;
      changed = true;
    }
  }
  return changed;
}

/** The span a row is about: its own, or that below which it stands; -1 for a missing parent. */
export function spanOfRow(model: TraceModel, rows: Rows, row: number): number {
  switch (rows.kind[row]) {
    case Row.Span:
    case Row.Hidden:
      return rows.ref[row];
    case Row.Fold:
      return model.folds[rows.ref[row]].spans[0];
    case Row.Gap:
      return model.gapSpan[rows.ref[row]];
    default:
      return -1;
  }
}

/** The row above which `row` hangs, or -1. */
export function parentRow(rows: Rows, row: number): number {
  for (let at = row - 1; at >= 0; at--) if (rows.depth[at] < rows.depth[row]) return at;
  return -1;
}
