// A row in words: what a screen reader says, and what tests read.
import { duration, percent } from "../format";
import { visibleLine } from "./hostile";
import { ERROR, isOnPath, nameOf, serviceOf } from "./model";
import { causeWords } from "./Notices";
import { Row, shownMembers } from "./rows";
import type { TraceStore } from "./store";

/** `checkout SELECT card, 12.4 ms, 31 % of trace, error, on critical path`. */
export function rowLabel(store: TraceStore, row: number): string {
  const rows = store.rows.value;
  const model = store.model.value;
  if (!rows || !model) return "";
  const ref = rows.ref[row];
  const whole = Math.max(1, model.skeleton.durationNanos);
  const named = (span: number): string =>
    `${visibleLine(serviceOf(model, span) || "unknown service")} ${visibleLine(nameOf(model, span))}`;
  switch (rows.kind[row]) {
    case Row.Fold: {
      const fold = model.folds[ref];
      const parts = [`${named(fold.spans[0])} ×${shownMembers(model, ref, store.pruning.value)}`];
      parts.push(`${duration(fold.totalNanos)} together`, `${percent(fold.totalNanos / whole)} of trace`);
      if (fold.errors > 0) parts.push(fold.errors === 1 ? "1 error" : `${fold.errors} errors`);
      if (fold.pathNanos > 0) parts.push("on critical path");
      return parts.join(", ");
    }
    case Row.Gap:
      return `no spans for ${duration(model.gapEnd[ref] - model.gapStart[ref])}, on critical path`;
    case Row.Missing: {
      const missing = model.missing[ref];
      const children = missing.children.length === 1 ? "1 child" : `${missing.children.length} children`;
      return `missing span ${missing.id}, ${children}, ${causeWords(missing.cause)}`;
    }
    case Row.Hidden:
      return `${model.hidden[ref].toLocaleString("en")} more spans below: load`;
    default: {
      const parts = [named(ref), duration(model.duration[ref]), `${percent(model.duration[ref] / whole)} of trace`];
      if (model.status[ref] === ERROR) parts.push("error");
      if (isOnPath(model, ref)) parts.push("on critical path");
      if (model.isAsync[ref]) parts.push("async");
      if (store.found.value?.spans.includes(ref)) parts.push("match");
      const pruned = store.pruning.value?.prunedBelow[ref] ?? 0;
      const errors = store.pruning.value?.prunedErrors[ref] ?? 0;
      if (pruned > 0) parts.push(`${pruned} spans pruned${errors > 0 ? `, ${errors} errors` : ""}`);
      return parts.join(", ");
    }
  }
}

declare global {
  interface Window {
    __spanlake?: { rows: () => { label: string; depth: number; kind: number }[] };
  }
}

/** Lets a test that drives the browser read what the canvas shows. */
export function exposeRows(store: TraceStore): void {
  if (!navigator.webdriver) return;
  window.__spanlake = {
    rows: () => {
      const rows = store.rows.peek();
      if (!rows) return [];
      return Array.from({ length: Math.min(rows.count, 5_000) }, (_, row) => ({
        label: rowLabel(store, row),
        depth: rows.depth[row],
        kind: rows.kind[row],
      }));
    },
  };
}
