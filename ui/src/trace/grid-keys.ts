// Keys of the waterfall's grid, as a treegrid has them.
import { ROW } from "./canvas/scene";
import { setSubtree } from "./opened";
import { parentRow, Row, spanOfRow } from "./rows";
import type { TraceStore } from "./store";
import { moveBy } from "./trace-keys";

/** Acts on the row of the cursor; `height` is that of the view in pixels. */
export function gridKeys(store: TraceStore, event: KeyboardEvent, height: number): void {
  const rows = store.rows.value;
  const model = store.model.value;
  const row = store.cursorRow.value;
  if (!rows || !model || row < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  const page = Math.max(1, Math.floor(height / ROW) - 3);
  switch (event.key) {
    case "ArrowDown":
      moveBy(store, 1);
      break;
    case "ArrowUp":
      moveBy(store, -1);
      break;
    case "PageDown":
      moveBy(store, page);
      break;
    case "PageUp":
      moveBy(store, -page);
      break;
    case "Home":
      store.moveTo(0);
      break;
    case "End":
      store.moveTo(rows.count - 1);
      break;
    case "ArrowRight":
      if (event.shiftKey) subtree(store, row, false);
      else if (rows.toggle[row] === 1) store.toggle(row);
      else if (rows.toggle[row] === 2) moveBy(store, 1);
      break;
    case "ArrowLeft":
      if (event.shiftKey) subtree(store, row, true);
      else if (rows.toggle[row] === 2) store.toggle(row);
      else if (parentRow(rows, row) >= 0) store.moveTo(parentRow(rows, row));
      break;
    case "Enter":
      enter(store, row);
      break;
    default:
      return;
  }
  event.preventDefault();
}

function subtree(store: TraceStore, row: number, collapsed: boolean): void {
  const rows = store.rows.value;
  if (!rows || rows.kind[row] !== Row.Span) return;
  const span = rows.ref[row];
  store.change((model, opened) => setSubtree(model, opened, span, collapsed));
}

function enter(store: TraceStore, row: number): void {
  const rows = store.rows.value;
  const model = store.model.value;
  if (!rows || !model) return;
  const span = spanOfRow(model, rows, row);
  if (rows.kind[row] === Row.Fold || rows.kind[row] === Row.Missing) store.toggle(row);
  else if (rows.kind[row] === Row.Hidden) void store.loadBelow(span);
  else if (span >= 0) store.select(span);
}
