// Puts a subtree that was left out into a skeleton that opened from the top. The path stays that of the whole trace.
import type { Skeleton, SkeletonSpans } from "../api-types";

/** `below` is the answer for the subtree of span number `at`; its other spans go in under `at`. */
export function mergeSubtree(base: Skeleton, below: Skeleton, at: number): Skeleton {
  const atId = base.spans.id[at];
  const known = new Map(base.spans.id.map((id, number) => [id, number]));
  const codes = new Map(base.strings.map((text, code) => [text, code]));
  const strings = [...base.strings];
  const codeOf = (text: string): number => {
    const known = codes.get(text);
    if (known !== undefined) return known;
    codes.set(text, strings.length);
    strings.push(text);
    return strings.length - 1;
  };
  const shift = Number(BigInt(below.startUnixNanos) - BigInt(base.startUnixNanos));
  const number = new Int32Array(below.spans.id.length).fill(-1);
  const spans = copyOf(base.spans);
  const adjusted = base.adjusted ? [...base.adjusted.start] : null;
  const added: number[] = [];
  for (const from of below.preorder) {
    const id = below.spans.id[from];
    const here = id === atId ? at : known.get(id);
    if (here !== undefined) {
      number[from] = here;
      continue;
    }
    const above = below.spans.parent[from];
    const next = spans.id.length;
    number[from] = next;
    added.push(next);
    spans.id.push(id);
    spans.parent.push(above >= 0 && number[above] >= 0 ? number[above] : at);
    spans.start.push(below.spans.start[from] + shift);
    spans.service.push(codeOf(below.strings[below.spans.service[from]]));
    spans.name.push(codeOf(below.strings[below.spans.name[from]]));
    spans.host.push(codeOf(below.strings[below.spans.host[from]]));
    for (const column of ["duration", "kind", "status", "flags", "events", "links", "self", "async"] as const) {
      spans[column].push(below.spans[column][from]);
    }
    // The subtree's own path is not the trace's.
    spans.path.push(0);
    spans.depth.push(spans.depth[spans.parent[next]] + 1);
    adjusted?.push((below.adjusted?.start[from] ?? below.spans.start[from]) + shift);
  }
  const hiddenChildren = { ...base.hiddenChildren };
  delete hiddenChildren[String(at)];
  for (const [from, count] of Object.entries(below.hiddenChildren ?? {})) {
    if (number[Number(from)] >= 0) hiddenChildren[String(number[Number(from)])] = count;
  }
  const renumbered = (from: number): number => number[from] ?? -1;
  const isNew = (from: number): boolean => renumbered(from) >= base.spans.id.length;
  return {
    ...base,
    strings,
    spans,
    ...(adjusted ? { adjusted: { start: adjusted } } : {}),
    preorder: preorderWith(base, spans, at, added),
    hiddenChildren,
    truncated: Object.keys(hiddenChildren).length > 0,
    folds: [
      ...(base.folds ?? []),
      ...(below.folds ?? [])
        .filter((fold) => fold.spans.every(isNew))
        .map((fold) => ({ parent: renumbered(fold.parent), spans: fold.spans.map(renumbered) })),
    ],
  };
}

function copyOf(spans: SkeletonSpans): SkeletonSpans {
  return Object.fromEntries(
    Object.entries(spans).map(([key, column]) => [key, column.slice()]),
  ) as unknown as SkeletonSpans;
}

/** Added spans come in their own preorder, so they go in one piece after the subtree of `at`. */
function preorderWith(base: Skeleton, spans: SkeletonSpans, at: number, added: number[]): number[] {
  const start = base.preorder.indexOf(at);
  let end = start + 1;
  const isBelow = new Set([at]);
  while (end < base.preorder.length && isBelow.has(spans.parent[base.preorder[end]])) {
    isBelow.add(base.preorder[end]);
    end++;
  }
  // A child deeper down may have been left out below a span that is shown; the model repairs such an order.
  return [...base.preorder.slice(0, end), ...added, ...base.preorder.slice(end)];
}
