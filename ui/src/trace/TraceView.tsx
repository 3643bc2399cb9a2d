// One trace on a page: header, notices, tabs and panel round a store. Works for any source.
import { useComputed, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useState } from "preact/hooks";
import { Failure } from "../shell/Note";
import { DiagnosisTab } from "./DiagnosisTab";
import { Flame } from "./Flame";
import { Header } from "./Header";
import { JsonTab } from "./JsonTab";
import { exposeRows } from "./labels";
import { Minimap } from "./Minimap";
import { Notices } from "./Notices";
import { Panel } from "./Panel";
import { Statistics } from "./Statistics";
import type { TraceSource, ViewState } from "./source";
import { TraceStore } from "./store";
import { Toolbar } from "./Toolbar";
import { TraceMap } from "./TraceMap";
import { useTraceKeys } from "./trace-keys";
import { Waterfall } from "./Waterfall";
import "./trace.css";

interface Props {
  source: TraceSource;
  state: ViewState;
}

export function TraceView({ source, state }: Props) {
  const store = useMemo(() => new TraceStore(source, state), [source, state]);
  useEffect(() => {
    void store.load();
    return () => store.dispose();
  }, [store]);
  return (
    <div class="trace">
      <Loaded store={store} />
    </div>
  );
}

function Loaded({ store }: { store: TraceStore }) {
  if (store.failure.value !== null) {
    return (
      <div class="page">
        <Failure error={store.failure.value} retry={() => void store.load()} />
      </div>
    );
  }
  const model = store.model.value;
  if (!model) return <Waiting />;
  if (model.count === 0) return <p class="empty">This trace has no spans.</p>;
  return <Shown store={store} />;
}

/** Nothing for the first moments: most traces are there before one could read it. */
function Waiting() {
  const [isLong, setLong] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLong(true), 200);
    return () => clearTimeout(timer);
  }, []);
  return (
    <p class="empty" role="status">
      {isLong ? "Loading the trace …" : ""}
    </p>
  );
}

function Shown({ store }: { store: TraceStore }) {
  const hasPanel = useComputed(() => store.selected.value >= 0);
  useTraceKeys(store);
  useEffect(() => exposeRows(store), [store]);
  return (
    <>
      <Header store={store} />
      <Notices store={store} />
      <Toolbar store={store} />
      <div class="trace-body">
        <div class="trace-main" id="trace-tab" role="tabpanel" aria-labelledby={`tab-${store.tab.value}`}>
          <TabView store={store} />
        </div>
        {hasPanel.value && <Panel store={store} />}
      </div>
      <Said store={store} />
    </>
  );
}

function TabView({ store }: { store: TraceStore }) {
  switch (store.tab.value) {
    case "flame":
      return (
        <>
          <Minimap store={store} left={0} />
          <Flame store={store} />
        </>
      );
    case "table":
      return <Statistics store={store} />;
    case "map":
      return <TraceMap store={store} />;
    case "diagnosis":
      return <DiagnosisTab store={store} />;
    case "json":
      return <JsonTab store={store} />;
    default:
      return (
        <>
          <Minimap store={store} />
          <Waterfall store={store} />
        </>
      );
  }
}

/** What just happened, for a moment and for screen readers. */
function Said({ store }: { store: TraceStore }) {
  const [shown, setShown] = useState(false);
  useSignalEffect(() => {
    if (!store.said.value) return;
    setShown(true);
    const timer = setTimeout(() => {
      setShown(false);
      store.said.value = "";
    }, 2_500);
    return () => clearTimeout(timer);
  });
  return (
    <div class={`said ${shown ? "shown" : ""}`} role="status" aria-live="polite">
      {store.said.value}
    </div>
  );
}
