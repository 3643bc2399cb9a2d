// A trace as typed arrays, made from the skeleton once; everything drawn reads these. Knows no pixels and no state of
// the view, and decides nothing about a trace: self time, path, folds, gaps and causes are the server's.
import type { Skeleton } from "../api-types";

export type MissingParent = Skeleton["missingParents"][number];

export const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"] as const;
export const ERROR = 2;

export interface Fold {
  parent: number;
  /** Members in display order. */
  spans: Int32Array;
  errors: number;
  /** Nanoseconds of all members, and of those on the critical path. */
  totalNanos: number;
  pathNanos: number;
}

/** Lists of numbers by span in two flat arrays: those of span `i` are `list[from[i]..from[i + 1]]`. */
export interface Lists {
  from: Int32Array;
  list: Int32Array;
}

/** The arrays of one trace. `number` in a comment is a span's position in them. */
export interface TraceModel {
  skeleton: Skeleton;
  count: number;
  strings: string[];
  ids: string[];
  parent: Int32Array;
  rawStart: Float64Array;
  /** With clocks corrected; null where no clock is off. */
  adjustedStart: Float64Array | null;
  duration: Float64Array;
  self: Float64Array;
  path: Float64Array;
  service: Int32Array;
  name: Int32Array;
  host: Int32Array;
  kind: Uint8Array;
  status: Uint8Array;
  isAsync: Uint8Array;
  events: Int32Array;
  links: Int32Array;
  preorder: Int32Array;
  /** Where a number stands in `preorder`, and one past the last of its subtree there. */
  position: Int32Array;
  subtreeEnd: Int32Array;
  /** Errors in the subtree, itself included. */
  errorsWithin: Int32Array;
  children: Lists;
  tops: Int32Array;
  folds: Fold[];
  /** Which fold a span is a member of, or -1. */
  foldOf: Int32Array;
  gapsOf: Lists;
  gapStart: Float64Array;
  gapEnd: Float64Array;
  gapSpan: Int32Array;
  missing: MissingParent[];
  /** Which missing parent a span names, or -1. */
  missingOf: Int32Array;
  segmentsOf: Lists;
  segmentStart: Float64Array;
  segmentEnd: Float64Array;
  segmentSpan: Int32Array;
  /** Spans that were left out below a span. */
  hidden: Int32Array;
  /** Numbers by span id, made when it is first asked for. */
  numberOf: NumberOf;
  /** Error spans in display order. */
  errorSpans: Int32Array;
}

/** Span numbers by id. Most traces are looked at without one being asked for. */
class NumberOf {
  private known: Map<string, number> | null = null;

  constructor(private readonly ids: string[]) {}

  get(id: string): number | undefined {
    if (id === "") return undefined;
    if (!this.known) {
      this.known = new Map();
      // The first of several spans with one id is what a link means.
      for (let span = this.ids.length - 1; span >= 0; span--) this.known.set(this.ids[span], span);
    }
    return this.known.get(id);
  }
}

function listsBy(owner: ArrayLike<number>, count: number): Lists {
  const from = new Int32Array(count + 2);
  for (let i = 0; i < owner.length; i++) if (owner[i] >= 0 && owner[i] < count) from[owner[i] + 2]++;
  for (let i = 2; i < from.length; i++) from[i] += from[i - 1];
  const list = new Int32Array(from[count + 1]);
  for (let i = 0; i < owner.length; i++) {
    if (owner[i] >= 0 && owner[i] < count) list[from[owner[i] + 1]++] = i;
  }
  return { from: from.subarray(0, count + 1), list };
}

/** Whether `preorder` names each span once and parents before children. */
function isPreorder(preorder: Int32Array, parent: Int32Array): boolean {
  if (preorder.length !== parent.length) return false;
  const seen = new Uint8Array(parent.length);
  for (let i = 0; i < preorder.length; i++) {
    const span = preorder[i];
    if (!(span >= 0 && span < parent.length) || seen[span]) return false;
    if (parent[span] >= 0 && !seen[parent[span]]) return false;
    seen[span] = 1;
  }
  return true;
}

/** An order of our own, for a file whose order is damaged; spans in a cycle come last, cut from their parents. */
function orderFrom(parent: Int32Array): Int32Array {
  const children = listsBy(parent, parent.length);
  const order: number[] = [];
  const seen = new Uint8Array(parent.length);
  const stack: number[] = [];
  const walk = (top: number): void => {
    stack.push(top);
    while (stack.length > 0) {
      const span = stack.pop() as number;
      if (seen[span]) continue;
      seen[span] = 1;
      order.push(span);
      for (let i = children.from[span + 1] - 1; i >= children.from[span]; i--) stack.push(children.list[i]);
    }
  };
  for (let i = 0; i < parent.length; i++) if (parent[i] < 0) walk(i);
  for (let i = 0; i < parent.length; i++) {
    if (seen[i]) continue;
    parent[i] = -1;
    walk(i);
  }
  return Int32Array.from(order);
}

/** Builds the arrays; linear in spans, without recursion. */
export function buildModel(skeleton: Skeleton): TraceModel {
  const { spans } = skeleton;
  const count = spans.id.length;
  const parent = new Int32Array(spans.parent);
  for (let i = 0; i < count; i++) if (!(parent[i] >= 0 && parent[i] < count)) parent[i] = -1;
  let preorder: Int32Array = new Int32Array(skeleton.preorder);
  if (!isPreorder(preorder, parent)) preorder = orderFrom(parent);

  const position = new Int32Array(count);
  for (let i = 0; i < count; i++) position[preorder[i]] = i;
  const status = new Uint8Array(spans.status);
  const subtreeEnd = new Int32Array(count);
  const errorsWithin = new Int32Array(count);
  // Children stand after their parents, so from the end every subtree is complete before it is added to its parent.
  for (let i = count - 1; i >= 0; i--) {
    const span = preorder[i];
    if (subtreeEnd[span] === 0) subtreeEnd[span] = i + 1;
    if (status[span] === ERROR) errorsWithin[span]++;
    const above = parent[span];
    if (above < 0) continue;
    if (subtreeEnd[span] > subtreeEnd[above]) subtreeEnd[above] = subtreeEnd[span];
    errorsWithin[above] += errorsWithin[span];
  }

  const parentInOrder = new Int32Array(count);
  for (let i = 0; i < count; i++) parentInOrder[i] = parent[preorder[i]];
  const children = listsBy(parentInOrder, count);
  for (let i = 0; i < children.list.length; i++) children.list[i] = preorder[children.list[i]];
  const tops: number[] = [];
  const errors: number[] = [];
  for (const span of preorder) {
    if (parent[span] < 0) tops.push(span);
    if (status[span] === ERROR) errors.push(span);
  }

  const duration = new Float64Array(spans.duration);
  const path = new Float64Array(spans.path);
  const foldOf = new Int32Array(count).fill(-1);
  const folds: Fold[] = [];
  for (const sent of skeleton.folds ?? []) {
    const members = sent.spans.filter((span) => span < count && foldOf[span] < 0 && parent[span] === sent.parent);
    if (members.length < 2) continue;
    const fold: Fold = {
      parent: sent.parent,
      spans: Int32Array.from(members).sort((a, b) => position[a] - position[b]),
      errors: 0,
      totalNanos: 0,
      pathNanos: 0,
    };
    for (const span of members) {
      foldOf[span] = folds.length;
      fold.errors += status[span] === ERROR ? 1 : 0;
      fold.totalNanos += duration[span];
      fold.pathNanos += path[span];
    }
    folds.push(fold);
  }

  const gaps = (skeleton.gaps ?? []).filter((gap) => gap.span < count);
  const gapSpan = Int32Array.from(gaps, (gap) => gap.span);
  const segments = (skeleton.criticalPath ?? []).filter((segment) => segment.span < count);
  const segmentSpan = Int32Array.from(segments, (segment) => segment.span);
  const missing = skeleton.missingParents ?? [];
  const missingOf = new Int32Array(count).fill(-1);
  missing.forEach((group, index) => {
    for (const span of group.children) if (span < count && parent[span] < 0) missingOf[span] = index;
  });
  const hidden = new Int32Array(count);
  for (const [span, below] of Object.entries(skeleton.hiddenChildren ?? {})) hidden[Number(span)] = below;

  return {
    skeleton,
    count,
    strings: skeleton.strings,
    ids: spans.id,
    parent,
    rawStart: new Float64Array(spans.start),
    adjustedStart: skeleton.adjusted ? new Float64Array(skeleton.adjusted.start) : null,
    duration,
    self: new Float64Array(spans.self),
    path,
    service: new Int32Array(spans.service),
    name: new Int32Array(spans.name),
    host: new Int32Array(spans.host),
    kind: new Uint8Array(spans.kind),
    status,
    isAsync: new Uint8Array(spans.async),
    events: new Int32Array(spans.events),
    links: new Int32Array(spans.links),
    preorder,
    position,
    subtreeEnd,
    errorsWithin,
    children,
    tops: new Int32Array(tops),
    folds,
    foldOf,
    gapsOf: listsBy(gapSpan, count),
    gapSpan,
    gapStart: Float64Array.from(gaps, (gap) => gap.start),
    gapEnd: Float64Array.from(gaps, (gap) => gap.end),
    missing,
    missingOf,
    segmentsOf: listsBy(segmentSpan, count),
    segmentSpan,
    segmentStart: Float64Array.from(segments, (segment) => segment.start),
    segmentEnd: Float64Array.from(segments, (segment) => segment.end),
    hidden,
    numberOf: new NumberOf(spans.id),
    errorSpans: new Int32Array(errors),
  };
}

export function serviceOf(model: TraceModel, span: number): string {
  return model.strings[model.service[span]] ?? "";
}

export function nameOf(model: TraceModel, span: number): string {
  return model.strings[model.name[span]] ?? "";
}

export function startsOf(model: TraceModel, adjusted: boolean): Float64Array {
  return adjusted && model.adjustedStart ? model.adjustedStart : model.rawStart;
}

/** First start and last end of all spans, in offsets; at least one nanosecond wide. */
export function timeBounds(model: TraceModel, adjusted: boolean): [number, number] {
  const start = startsOf(model, adjusted);
  let from = Number.POSITIVE_INFINITY;
  let to = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < model.count; i++) {
    if (start[i] < from) from = start[i];
    if (start[i] + model.duration[i] > to) to = start[i] + model.duration[i];
  }
  return from < to ? [from, to] : Number.isFinite(from) ? [from, from + 1] : [0, 1];
}

/** Whether `span` is `top` or below it. */
export function isWithin(model: TraceModel, span: number, top: number): boolean {
  const at = model.position[span];
  return at >= model.position[top] && at < model.subtreeEnd[top];
}

/** Whether a span has a part of the critical path, its own or through its children. */
export function isOnPath(model: TraceModel, span: number): boolean {
  return model.segmentsOf.from[span] < model.segmentsOf.from[span + 1];
}
