// What is known of one span: its numbers first, then attributes, resource, events and links.
import { useEffect, useRef, useState } from "preact/hooks";
import { message } from "../api";
import type { SpanDetail } from "../api-types";
import { Glyph } from "../shell/Glyph";
import { Attributes } from "./Attributes";
import { Events } from "./Events";
import { Facts } from "./Facts";
import { visibleLine } from "./hostile";
import { Links } from "./Links";
import { ERROR, isWithin, nameOf, serviceOf } from "./model";
import { isWholeTrace } from "./numbers";
import { panelWidth, type TraceStore } from "./store";
import { attributeText } from "./values";

type Section = "attributes" | "resource" | "events" | "links";

/** Loads the detail of the span in the panel; keeps what was there until the next has come. */
function useDetail(store: TraceStore, span: number): { detail: SpanDetail | undefined; failure: unknown } {
  const [state, setState] = useState<{ span: number; detail?: SpanDetail; failure?: unknown }>({ span: -1 });
  useEffect(() => {
    let isCurrent = true;
    store.detail(span).then(
      (detail) => isCurrent && setState({ span, detail }),
      (failure) => isCurrent && setState({ span, failure }),
    );
    return () => {
      isCurrent = false;
    };
  }, [store, span]);
  return state.span === span
    ? { detail: state.detail, failure: state.failure }
    : { detail: undefined, failure: undefined };
}

export function Panel({ store }: { store: TraceStore }) {
  const model = store.model.value;
  const span = store.selected.value;
  const { detail, failure } = useDetail(store, span);
  const [section, setSection] = useState<Section>("attributes");
  const scroller = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (scroller.current) scroller.current.scrollTop = 0;
  }, [span]);
  if (!model || span < 0 || span >= model.count) return null;
  const failed = model.status[span] === ERROR;
  const counts: Record<Section, number | undefined> = {
    attributes: detail?.attributes?.length,
    resource: (detail?.resource?.length ?? 0) + (detail?.scope?.attributes?.length ?? 0),
    events: model.events[span],
    links: model.links[span],
  };
  const sections: Section[] = ["attributes", "resource", "events", "links"];
  return (
    <aside class="span-panel" aria-label="Span" style={{ width: `${panelWidth.value.value}px` }}>
      <Divider />
      <header>
        <div class="clip-2">
          <strong>{visibleLine(serviceOf(model, span) || "unknown service")}</strong> {visibleLine(nameOf(model, span))}
        </div>
        <button
          type="button"
          class="quiet icon small"
          title="Frame in time (f)"
          aria-label="Frame in time"
          onClick={() => store.frameSpan(span)}
        >
          <Glyph name="columns" />
        </button>
        <button
          type="button"
          class="quiet icon small"
          title="Only this subtree (r)"
          aria-label="Only this subtree"
          onClick={() => store.setTop(store.top.value === span ? -1 : span)}
        >
          <Glyph name="flow" />
        </button>
        <button
          type="button"
          class="quiet icon small"
          title="Close (Esc)"
          aria-label="Close"
          onClick={() => store.select(-1)}
        >
          <Glyph name="close" />
        </button>
      </header>
      <div class="span-scroll" ref={scroller}>
        {failed && <ErrorNote store={store} span={span} detail={detail} />}
        <Facts store={store} span={span} detail={detail} />
        {failure !== undefined && <p class="error-text pad">! {message(failure)}</p>}
        <div class="tabs small" role="tablist" aria-label="Parts of the span">
          {sections.map((one) => (
            <button
              key={one}
              type="button"
              role="tab"
              id={`part-${one}`}
              aria-selected={section === one}
              aria-controls="span-part"
              tabIndex={section === one ? 0 : -1}
              onClick={() => setSection(one)}
              onKeyDown={(event) => {
                const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
                if (by === 0) return;
                event.preventDefault();
                const next = sections[(sections.indexOf(section) + by + sections.length) % sections.length];
                setSection(next);
                document.getElementById(`part-${next}`)?.focus();
              }}
            >
              {one === "attributes"
                ? "Attributes"
                : one === "resource"
                  ? "Resource"
                  : one === "events"
                    ? "Events"
                    : "Links"}
              {counts[one] ? <span class="tab-count">{counts[one]}</span> : null}
            </button>
          ))}
        </div>
        <div id="span-part" role="tabpanel" aria-labelledby={`part-${section}`}>
          <Part store={store} span={span} section={section} detail={detail} isFailed={failure !== undefined} />
        </div>
      </div>
    </aside>
  );
}

/** What the status says, and the way to where the failure began. */
function ErrorNote({ store, span, detail }: { store: TraceStore; span: number; detail: SpanDetail | undefined }) {
  const model = store.model.value;
  if (!model) return null;
  const culprits = isWholeTrace(model) ? (store.diagnosis.value?.errors?.culprits ?? []) : [];
  const below = culprits.filter((one) => one.span !== span && isWithin(model, one.span, span)).slice(0, 3);
  const own = culprits.find((one) => one.span === span);
  const type = detail?.attributes?.find((one) => one.key === "error.type");
  const words = detail?.status?.message || own?.message || own?.type || (type ? attributeText(type) : "");
  return (
    <div class="span-error" role="note" aria-label="Error">
      <b>! Error</b> {visibleLine(words.slice(0, 2_000))}
      {below.map((one) => (
        <div key={one.span}>
          Began in{" "}
          <button type="button" class="quiet small inline" onClick={() => store.open(one.span)}>
            {visibleLine(serviceOf(model, one.span))} {visibleLine(nameOf(model, one.span))}
          </button>
          {one.type ? ` (${visibleLine(one.type).slice(0, 200)})` : ""}
        </div>
      ))}
    </div>
  );
}

function Part(props: {
  store: TraceStore;
  span: number;
  section: Section;
  detail: SpanDetail | undefined;
  isFailed: boolean;
}) {
  const { store, span, section, detail } = props;
  if (!detail) return props.isFailed ? null : <p class="muted pad">Loading …</p>;
  if (section === "attributes") {
    return (
      <Attributes store={store} scope="span" attributes={detail.attributes ?? []} dropped={detail.droppedAttributes} />
    );
  }
  if (section === "events") return <Events store={store} span={span} detail={detail} />;
  if (section === "links") return <Links store={store} span={span} detail={detail} />;
  const scope = detail.scope;
  return (
    <>
      <Attributes store={store} scope="resource" attributes={detail.resource ?? []} />
      {scope?.name && (
        <>
          <h3 class="part-head">
            Instrumentation scope: {visibleLine(scope.name)} {visibleLine(scope.version ?? "")}
          </h3>
          {(scope.attributes ?? []).length > 0 && (
            <Attributes store={store} scope="instrumentation" attributes={scope.attributes ?? []} />
          )}
        </>
      )}
    </>
  );
}

/** Drag, or arrow keys, to make the panel wider. */
function Divider() {
  const set = (width: number): void =>
    panelWidth.set(Math.round(Math.min(Math.max(280, width), window.innerWidth * 0.7)));
  return (
    <div
      class="panel-divider"
      role="separator"
      aria-orientation="vertical"
      aria-label="Width of the panel"
      aria-valuenow={panelWidth.value.value}
      aria-valuemin={280}
      aria-valuemax={1200}
      tabIndex={0}
      onKeyDown={(event) => {
        const by = event.key === "ArrowLeft" ? 24 : event.key === "ArrowRight" ? -24 : 0;
        if (by === 0) return;
        event.preventDefault();
        set(panelWidth.value.value + by);
      }}
      onPointerDown={(event) => {
        const { currentTarget, pointerId } = event;
        currentTarget.setPointerCapture(pointerId);
        const from = event.clientX;
        const width = panelWidth.value.value;
        const move = (moved: PointerEvent): void => set(width + from - moved.clientX);
        const up = (): void => {
          currentTarget.removeEventListener("pointermove", move);
          currentTarget.removeEventListener("pointerup", up);
        };
        currentTarget.addEventListener("pointermove", move);
        currentTarget.addEventListener("pointerup", up);
      }}
    />
  );
}
