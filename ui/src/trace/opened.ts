// What is collapsed and unfolded: the operations behind the keys, and the same as text for the URL's `fold`.
import type { TraceModel } from "./model";
import type { Opened } from "./rows";

/** Ids written into a link; more would make it longer than some programs keep. */
const MAX_IDS = 60;

export function openedFor(model: TraceModel, folding: boolean): Opened {
  return {
    collapsed: new Uint8Array(model.count),
    unfolded: new Uint8Array(model.folds.length),
    folding,
    top: -1,
  };
}

export function setSubtree(model: TraceModel, opened: Opened, span: number, collapsed: boolean): void {
  for (let at = model.position[span]; at < model.subtreeEnd[span]; at++) {
    const below = model.preorder[at];
    opened.collapsed[below] = collapsed && hasBelow(model, below) ? 1 : 0;
    const fold = model.foldOf[below];
    if (fold >= 0 && below !== span) opened.unfolded[fold] = collapsed ? 0 : 1;
  }
}

export function setAll(model: TraceModel, opened: Opened, collapsed: boolean): void {
  for (let span = 0; span < model.count; span++) opened.collapsed[span] = collapsed && hasBelow(model, span) ? 1 : 0;
  opened.unfolded.fill(collapsed ? 0 : 1);
}

/** Shows `depth` levels: 1 is the top spans alone. */
export function setDepth(model: TraceModel, opened: Opened, depth: number): void {
  const level = new Int32Array(model.count);
  for (const span of model.preorder) {
    const above = model.parent[span];
    level[span] = above < 0 ? 1 : level[above] + 1;
    opened.collapsed[span] = level[span] >= depth && hasBelow(model, span) ? 1 : 0;
  }
  opened.unfolded.fill(0);
}

function hasBelow(model: TraceModel, span: number): boolean {
  return (
    model.children.from[span] < model.children.from[span + 1] ||
    model.gapsOf.from[span] < model.gapsOf.from[span + 1] ||
    model.hidden[span] > 0
  );
}

/** `off` when runs are not folded, `c` ids collapsed, `u` first members of what is unfolded; empty at the default. */
export function encodeOpened(model: TraceModel, opened: Opened): string {
  const parts: string[] = [];
  if (!opened.folding) parts.push("off");
  const collapsed: string[] = [];
  for (const span of model.preorder) {
    if (collapsed.length === MAX_IDS) break;
    if (opened.collapsed[span]) collapsed.push(model.ids[span]);
  }
  if (collapsed.length > 0) parts.push(`c${collapsed.join(",")}`);
  const unfolded: string[] = [];
  opened.unfolded.forEach((isOpen, fold) => {
    if (isOpen && unfolded.length < MAX_IDS) unfolded.push(model.ids[model.folds[fold].spans[0]]);
  });
  if (unfolded.length > 0) parts.push(`u${unfolded.join(",")}`);
  return parts.join(".");
}

/** The reverse of `encodeOpened`; ids that are not in the trace mean nothing. */
export function decodeOpened(model: TraceModel, text: string, foldingByTaste: boolean): Opened {
  const opened = openedFor(model, foldingByTaste);
  for (const part of text.split(".")) {
    if (part === "off") opened.folding = false;
    else if (part.startsWith("c")) {
      for (const id of part.slice(1).split(",")) {
        const span = model.numberOf.get(id);
        if (span !== undefined) opened.collapsed[span] = 1;
      }
    } else if (part.startsWith("u")) {
      for (const id of part.slice(1).split(",")) {
        const span = model.numberOf.get(id);
        if (span !== undefined && model.foldOf[span] >= 0) opened.unfolded[model.foldOf[span]] = 1;
      }
    }
  }
  return opened;
}
