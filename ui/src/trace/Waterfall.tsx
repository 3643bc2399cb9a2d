// The waterfall on the page: what scrolls, the canvas in it, and the grid that screen readers and keys use.
import { useComputed, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { AXIS, ROW } from "./canvas/scene";
import { Grid } from "./Grid";
import { gridKeys } from "./grid-keys";
import type { TraceStore } from "./store";
import { Tip } from "./Tip";
import { WaterfallView } from "./waterfall-view";

export function Waterfall({ store }: { store: TraceStore }) {
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const scroll = useSignal(0);
  const height = useSignal(400);
  const view = useMemo(() => new WaterfallView(store), [store]);
  const count = useComputed(() => store.rows.value?.count ?? 0);

  useEffect(() => {
    if (!scroller.current || !canvas.current) return;
    return view.attach(scroller.current, canvas.current, scroll, height);
  }, [view]);

  return (
    <div
      class="wf"
      ref={scroller}
      onScroll={(event) => {
        scroll.value = event.currentTarget.scrollTop;
      }}
    >
      <Space rows={count.value}>
        <canvas
          ref={canvas}
          onPointerDown={view.down}
          onPointerMove={view.move}
          onPointerUp={view.up}
          onPointerCancel={view.up}
          onPointerLeave={view.away}
          onDblClick={view.double}
        />
        <Tip store={store} view={view} />
        <Grid
          store={store}
          scroll={scroll}
          height={height}
          onKeyDown={(event) => gridKeys(store, event, height.peek())}
        />
      </Space>
    </div>
  );
}

function Space({ rows, children }: { rows: number; children: ComponentChildren }) {
  return (
    <div class="wf-space" style={{ height: `${AXIS + rows * ROW + 12}px` }}>
      {children}
    </div>
  );
}
