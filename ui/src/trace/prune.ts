// Which spans stay when only some are asked for: those, what leads to them, and how much was left out below each.
import { ERROR, isOnPath, type TraceModel } from "./model";

export interface Pruning {
  /** By span: 1 when it is shown. */
  shown: Uint8Array;
  /** By shown span: how many spans below it went, and how many of them failed. */
  prunedBelow: Int32Array;
  prunedErrors: Int32Array;
  /** Over the whole trace, with what has no shown ancestor. */
  pruned: number;
  errors: number;
  /** Whether gap rows stay. */
  keepsGaps: boolean;
}

/** Keeps the spans with a 1 in `wanted` and their ancestors. */
export function prune(model: TraceModel, wanted: Uint8Array, keepsGaps: boolean): Pruning {
  const shown = new Uint8Array(model.count);
  for (let span = 0; span < model.count; span++) {
    if (!wanted[span]) continue;
    for (let at = span; at >= 0 && !shown[at]; at = model.parent[at]) shown[at] = 1;
  }
  const pruning: Pruning = {
    shown,
    prunedBelow: new Int32Array(model.count),
    prunedErrors: new Int32Array(model.count),
    pruned: 0,
    errors: 0,
    keepsGaps,
  };
  const nearest = new Int32Array(model.count);
  for (const span of model.preorder) {
    const above = model.parent[span];
    if (shown[span]) {
      nearest[span] = span;
      continue;
    }
    nearest[span] = above < 0 ? -1 : nearest[above];
    const failed = model.status[span] === ERROR ? 1 : 0;
    pruning.pruned++;
    pruning.errors += failed;
    if (nearest[span] >= 0) {
      pruning.prunedBelow[nearest[span]]++;
      pruning.prunedErrors[nearest[span]] += failed;
    }
  }
  return pruning;
}

/** What the two switches "only matches" and "path only" leave; null when neither is on. */
export function pruningOf(model: TraceModel, matches: Int32Array | null, onlyPath: boolean): Pruning | null {
  if (!matches && !onlyPath) return null;
  const wanted = new Uint8Array(model.count);
  if (matches) for (const span of matches) wanted[span] = 1;
  else wanted.fill(1);
  if (onlyPath) for (let span = 0; span < model.count; span++) if (!isOnPath(model, span)) wanted[span] = 0;
  return prune(model, wanted, !matches);
}
