// The icicle on the page: click shows a span's time and its panel, the wheel zooms.
import { effect, signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { duration } from "../format";
import { drawFlame, type FlameScene, flameOffset, flameSpanAt, LANE, type Lanes, layOut } from "./canvas/flame";
import { paint, Texts } from "./canvas/paint";
import { AXIS } from "./canvas/scene";
import { surfaceOf } from "./canvas/surface";
import { visibleLine } from "./hostile";
import { nameOf, serviceOf } from "./model";
import type { TraceStore } from "./store";
import { frame } from "./window";

export function Flame({ store }: { store: TraceStore }) {
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [lanesShown, setLanes] = useState(1);
  const [hovered, setHovered] = useState(-1);
  useEffect(() => {
    const holder = scroller.current;
    const element = canvas.current;
    if (!holder || !element) return;
    const hover = signal(-1);
    const scrolled = signal(0);
    let lanes: Lanes | null = null;
    let lanesFor: unknown[] = [];
    let scene: FlameScene | null = null;
    let texts: { font: string; plain: Texts; small: Texts } | null = null;
    const surface = surfaceOf(
      element,
      () => ({ width: holder.clientWidth, height: holder.clientHeight }),
      ({ context, width, height }) => {
        const model = store.model.value;
        const start = store.starts.value;
        const colours = store.colours.value;
        if (!model || !start || !colours) return;
        if (!lanes || lanesFor[0] !== start || lanesFor[1] !== store.top.value) {
          lanes = layOut(model, start, store.top.value);
          lanesFor = [start, store.top.value];
          setLanes(lanes.count);
        }
        const colour = paint();
        if (texts?.font !== colour.font) {
          texts = { font: colour.font, plain: new Texts(colour.font), small: new Texts(colour.small) };
        }
        let matches: Uint8Array | null = null;
        const found = store.found.value;
        if (found) {
          matches = new Uint8Array(model.count);
          for (const span of found.spans) matches[span] = 1;
        }
        scene = {
          model,
          start,
          lanes,
          window: store.window.value,
          series: colours.ofSpan,
          paint: colour,
          plain: texts.plain,
          small: texts.small,
          width,
          height,
          scroll: holder.scrollTop,
          hover: hover.value,
          selected: store.selected.value,
          matches,
        };
        drawFlame(context, scene);
      },
    );
    const observer = new ResizeObserver(surface.ask);
    observer.observe(holder);
    const stop = effect(() => {
      void [store.starts.value, store.colours.value, store.window.value, store.selected.value, store.top.value];
      void [store.found.value, hover.value, scrolled.value];
      paint();
      surface.ask();
    });
    const spanAt = (event: MouseEvent): number => {
      const box = element.getBoundingClientRect();
      return scene ? flameSpanAt(scene, event.clientX - box.left, event.clientY - box.top) : -1;
    };
    const move = (event: MouseEvent): void => {
      hover.value = spanAt(event);
      setHovered(hover.value);
      element.style.cursor = hover.value >= 0 ? "pointer" : "default";
    };
    const click = (event: MouseEvent): void => {
      const span = spanAt(event);
      if (span < 0 || !scene) return;
      store.open(span);
      store.setWindow(frame(scene.start[span], scene.model.duration[span], store.bounds.value));
    };
    const wheel = (event: WheelEvent): void => {
      if (!scene) return;
      const x = event.clientX - element.getBoundingClientRect().left;
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        store.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.008), flameOffset(scene, x));
      } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        store.pan((event.deltaX || event.deltaY) / Math.max(1, scene.width));
      }
    };
    const away = (): void => {
      hover.value = -1;
      setHovered(-1);
    };
    const scroll = (): void => {
      scrolled.value = holder.scrollTop;
    };
    element.addEventListener("mousemove", move);
    element.addEventListener("mouseleave", away);
    element.addEventListener("click", click);
    holder.addEventListener("wheel", wheel, { passive: false });
    holder.addEventListener("scroll", scroll);
    return () => {
      stop();
      observer.disconnect();
      surface.stop();
      element.removeEventListener("mousemove", move);
      element.removeEventListener("mouseleave", away);
      element.removeEventListener("click", click);
      holder.removeEventListener("wheel", wheel);
      holder.removeEventListener("scroll", scroll);
    };
  }, [store]);
  const model = store.model.value;
  return (
    <>
      <section
        class="wf flame"
        ref={scroller}
        tabIndex={0}
        aria-label="Flame graph; the Waterfall and Table tabs have the same spans as rows"
      >
        <div class="wf-space" style={{ height: `${AXIS + lanesShown * LANE + 12}px` }}>
          <canvas ref={canvas} />
        </div>
      </section>
      <p class="flame-foot clip">
        {model && hovered >= 0 ? (
          <>
            <strong>{visibleLine(serviceOf(model, hovered))}</strong> {visibleLine(nameOf(model, hovered))}{" "}
            <span class="muted tabular">
              {duration(model.duration[hovered])}, self {duration(model.self[hovered])}
            </span>
          </>
        ) : (
          <span class="muted">Click a span to zoom to it; 0 shows the whole trace</span>
        )}
      </p>
    </>
  );
}
