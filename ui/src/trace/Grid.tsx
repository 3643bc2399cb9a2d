// The same rows as the canvas for screen readers and for the focus: only those on the screen, and that of the cursor.
import { type ReadonlySignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { AXIS, ROW } from "./canvas/scene";
import { rowLabel } from "./labels";
import type { TraceStore } from "./store";

interface Props {
  store: TraceStore;
  scroll: ReadonlySignal<number>;
  height: ReadonlySignal<number>;
  onKeyDown: (event: KeyboardEvent) => void;
}

export function Grid({ store, scroll, height, onKeyDown }: Props) {
  const grid = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState<[number, number]>([0, 40]);
  // Follows the scrolling at rest: rows that fly by are of no use to anybody.
  useSignalEffect(() => {
    const first = Math.max(0, Math.floor(scroll.value / ROW));
    const last = first + Math.ceil(height.value / ROW);
    const timer = setTimeout(() => setRange([first, last]), 80);
    return () => clearTimeout(timer);
  });
  const rows = store.rows.value;
  const model = store.model.value;
  const cursor = store.cursorRow.value;
  const wasCursor = useRef(cursor);
  useEffect(() => {
    if (wasCursor.current === cursor) return;
    wasCursor.current = cursor;
    const focused = document.activeElement;
    // The focus follows the cursor unless a person is elsewhere, as in the find box.
    const isFree = !focused || focused === document.body || grid.current?.contains(focused) || focused.id === "main";
    if (isFree) grid.current?.querySelector<HTMLElement>('[tabindex="0"]')?.focus({ preventScroll: true });
  });
  useEffect(() => {
    // Keys work at once on a page that was just opened.
    if (document.activeElement === document.body || document.activeElement?.id === "main") {
      grid.current?.querySelector<HTMLElement>('[tabindex="0"]')?.focus({ preventScroll: true });
    }
  }, []);
  if (!rows || !model) return null;
  const [first, last] = range;
  const shown: number[] = [];
  if (cursor >= 0 && cursor < first) shown.push(cursor);
  for (let row = first; row < Math.min(last, rows.count); row++) shown.push(row);
  if (cursor >= last && cursor < rows.count) shown.push(cursor);
  return (
    <div
      class="wf-grid"
      id="trace-grid"
      ref={grid}
      role="treegrid"
      aria-label="Spans"
      aria-rowcount={rows.count}
      aria-colcount={1}
      onKeyDown={onKeyDown}
    >
      {shown.map((row) => (
        <div
          key={row}
          role="row"
          class="wf-row"
          tabIndex={row === cursor ? 0 : -1}
          style={{ top: `${AXIS + row * ROW}px` }}
          aria-rowindex={row + 1}
          aria-level={rows.depth[row] + 1}
          aria-posinset={rows.position[row]}
          aria-setsize={rows.setSize[row]}
          aria-expanded={rows.toggle[row] === 0 ? undefined : rows.toggle[row] === 2}
          aria-selected={row === cursor}
        >
          {/* biome-ignore lint/a11y/useFocusableInteractive: rows have the focus, as in a tree */}
          <span role="gridcell" class="hidden-text">
            {rowLabel(store, row)}
          </span>
        </div>
      ))}
    </div>
  );
}
