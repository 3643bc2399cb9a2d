// The keys of the trace view. Arrows, Enter and their like belong to the waterfall's grid, which listens itself; they
// are listed here for the help sheet.
import { useEffect } from "preact/hooks";
import { type Binding, useKeys } from "../keys";
import { go } from "../state";
import { copy } from "./clipboard";
import { setAll, setDepth } from "./opened";
import type { TraceStore } from "./store";

export const FIND_BOX = "trace-find";

/** Focuses the find box. */
export function focusFind(): void {
  const box = document.getElementById(FIND_BOX);
  if (box instanceof HTMLInputElement) {
    box.focus();
    box.select();
  }
}

/** Takes the cursor down or up; the waterfall follows with the focus. */
export function moveBy(store: TraceStore, rows: number): void {
  store.moveTo(Math.max(0, store.cursorRow.value) + rows);
}

/** Listens for itself: a binding would keep the key from a dialog, which closes by it. */
function useEscape(store: TraceStore): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const isTaken = event.defaultPrevented || document.querySelector("dialog[open]") !== null;
      const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select") !== null;
      if (event.key === "Escape" && !isTaken && !isTyping) leave(store);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [store]);
}

function leave(store: TraceStore): void {
  if (store.selected.value >= 0) store.select(-1);
  else if (store.state.get("find")) store.find("");
  else if (store.top.value >= 0) store.setTop(-1);
}

export function useTraceKeys(store: TraceStore): void {
  useEscape(store);
  useKeys(() => {
    const key = (
      keys: string,
      group: string,
      label: string,
      run: () => void,
      more: Partial<Binding> = {},
    ): Binding => ({
      keys,
      label,
      group,
      run,
      ...more,
    });
    const listed = (keys: string, label: string): Binding => key(keys, "Rows", label, () => {});
    const say = (text: string, what: string): void => {
      void copy(text).then((done) => {
        store.said.value = done ? `${what} copied` : "The browser did not let it be copied";
      });
    };
    return [
      listed("↓", "Next row"),
      key("j", "Rows", "Next row", () => moveBy(store, 1)),
      listed("↑", "Previous row"),
      key("k", "Rows", "Previous row", () => moveBy(store, -1)),
      listed("→", "Expand; with Shift the whole subtree"),
      listed("←", "Collapse, or go to the parent; with Shift the whole subtree"),
      listed("↵", "Detail of the span; unfold a run; load what was left out"),
      key("[", "Rows", "Collapse all", () => store.change((model, opened) => setAll(model, opened, true))),
      key("]", "Rows", "Expand and unfold all", () => store.change((model, opened) => setAll(model, opened, false))),
      ...Array.from({ length: 9 }, (_, index) =>
        key(
          String(index + 1),
          "Rows",
          "Open to this depth, from 1 to 9",
          () => store.change((model, opened) => setDepth(model, opened, index + 1)),
          { hidden: index > 0 },
        ),
      ),
      key("r", "Rows", "This span as root", () =>
        store.setTop(store.top.value === store.current() ? -1 : store.current()),
      ),
      key("p", "Rows", "Critical path only", () => {
        store.onlyPath.value = !store.onlyPath.value;
      }),
      key("Ctrl+f", "Find", "Find in this trace", focusFind),
      key("/", "Find", "Find in this trace", focusFind),
      key("n", "Find", "Next match", () => store.step(store.found.value?.spans, true, "match")),
      key("N", "Find", "Previous match", () => store.step(store.found.value?.spans, false, "match")),
      key("e", "Find", "Next error", () => store.step(store.model.value?.errorSpans, true, "error", true)),
      key("E", "Find", "Previous error", () => store.step(store.model.value?.errorSpans, false, "error", true)),
      key("c", "Find", "Next span on the critical path", () => store.step(store.pathSpans.value, true, "path span")),
      key("C", "Find", "Previous span on the critical path", () =>
        store.step(store.pathSpans.value, false, "path span"),
      ),
      key("w", "Time", "Zoom in", () => store.zoom(0.7)),
      key("s", "Time", "Zoom out", () => store.zoom(1 / 0.7)),
      key("a", "Time", "To the left", () => store.pan(-0.2)),
      key("d", "Time", "To the right", () => store.pan(0.2)),
      key("f", "Time", "Frame the span", () => store.frameSpan(store.current())),
      key("0", "Time", "Whole trace", () => store.setWindow({ ...store.bounds.value })),
      ...(store.source.isFile
        ? []
        : [
            key("x", "Trace", "Compare with another trace", () =>
              go("compare", "", { a: store.model.value?.skeleton.traceId }),
            ),
          ]),
      key("Y", "Trace", "Copy trace id", () => say(store.model.value?.skeleton.traceId ?? "", "Trace id")),
      key("Esc", "Trace", "Close the panel, then the search", () => {}),
    ];
  }, [store]);
}
