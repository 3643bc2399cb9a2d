// What trace this is: root, duration, counts, time, and how to share it.
import { useEffect } from "preact/hooks";
import { clock, count, dateTime, duration, millisOf } from "../format";
import { Glyph } from "../shell/Glyph";
import { go, setUtc, utc } from "../state";
import { copy } from "./clipboard";
import { visibleLine } from "./hostile";
import { nameOf, serviceOf } from "./model";
import { ShareMenu } from "./ShareMenu";
import type { TraceStore } from "./store";

export function titleOf(store: TraceStore): { service: string; name: string } {
  const model = store.model.value;
  if (!model) return { service: "", name: "" };
  const { root, shape, traceId } = model.skeleton;
  const span = root >= 0 ? root : (model.tops[0] ?? -1);
  if (span < 0) return { service: "", name: traceId };
  return {
    service: visibleLine(serviceOf(model, span)),
    name: `${visibleLine(nameOf(model, span))}${root < 0 && shape !== "oneRoot" ? " (no root)" : ""}`,
  };
}

export function Header({ store }: { store: TraceStore }) {
  const model = store.model.value;
  const { service, name } = titleOf(store);
  useEffect(() => {
    if (service || name) document.title = `${service} ${name} · Spanlake`;
  }, [service, name]);
  if (!model) return null;
  const { skeleton } = model;
  const millis = millisOf(skeleton.startUnixNanos);
  const isUtc = utc.value;
  const services = skeleton.services.length;
  return (
    <header class="trace-head">
      {!store.source.isFile && (
        <button
          type="button"
          class="quiet icon small"
          title="Back"
          aria-label="Back"
          onClick={() => (window.history.length > 1 ? window.history.back() : go("search"))}
        >
          <Glyph name="left" />
        </button>
      )}
      <h1 class="clip" title={`${service} ${name}`}>
        <strong>{service}</strong> <span>{name}</span>
      </h1>
      <dl class="facts tabular">
        <Fact label="Duration" value={duration(skeleton.durationNanos)} strong />
        <Fact label={skeleton.spanCount === 1 ? "span" : "spans"} value={count(skeleton.spanCount)} after />
        <Fact label={services === 1 ? "service" : "services"} value={String(services)} after />
        {skeleton.errorCount === 0 && <Fact label="errors" value="0" after />}
      </dl>
      {skeleton.errorCount > 0 && (
        <button
          type="button"
          class="quiet small error-text tabular"
          title="Next error (e)"
          onClick={() => store.step(model.errorSpans, true, "error", true)}
        >
          ! {count(skeleton.errorCount)} {skeleton.errorCount === 1 ? "error" : "errors"}
        </button>
      )}
      <span class="grow" />
      <button
        type="button"
        class="quiet small tabular"
        title={`${dateTime(millis, isUtc, true)} ${isUtc ? "UTC" : "local time"}; show ${isUtc ? "local time" : "UTC"}`}
        onClick={() => setUtc(!isUtc)}
      >
        <span class="wide-only">{dateTime(millis, isUtc, true)}</span>
        <span class="narrow-only">{clock(millis, isUtc, true)}</span> {isUtc ? "UTC" : "local"}
      </button>
      <button
        type="button"
        class="quiet small mono"
        title={`Copy trace id ${skeleton.traceId}`}
        onClick={async () => {
          store.said.value = (await copy(skeleton.traceId))
            ? "Trace id copied"
            : "The browser did not let it be copied";
        }}
      >
        <span class="hidden-text">Copy trace id</span>
        {skeleton.traceId.slice(0, 8)}
        <Glyph name="copy" />
      </button>
      <ShareMenu store={store} />
    </header>
  );
}

function Fact(props: { label: string; value: string; strong?: boolean; after?: boolean }) {
  return (
    <div class={props.strong ? "strong" : ""}>
      <dt class={props.after ? "" : "hidden-text"}>{props.label}</dt>
      <dd>{props.value}</dd>
    </div>
  );
}
