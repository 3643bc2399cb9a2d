// Links of a span to other spans, and those of other traces that link to it.
import { useEffect, useState } from "preact/hooks";
import { message } from "../api";
import type { Backlinks, SpanDetail } from "../api-types";
import { count } from "../format";
import { Link } from "../shell/Link";
import { Attributes } from "./Attributes";
import { visibleLine } from "./hostile";
import { nameOf, serviceOf } from "./model";
import type { TraceStore } from "./store";

export function Links({ store, span, detail }: { store: TraceStore; span: number; detail: SpanDetail }) {
  const links = detail.links ?? [];
  return (
    <>
      <h3 class="part-head">To</h3>
      {links.length === 0 && <p class="muted pad">None</p>}
      <ul class="links">
        {links.slice(0, 200).map((link, index) => (
          <li key={index}>
            <Target store={store} traceId={link.traceId} spanId={link.spanId} />
            {(link.attributes ?? []).length > 0 && (
              <Attributes store={store} scope="link" attributes={link.attributes ?? []} />
            )}
          </li>
        ))}
      </ul>
      {detail.droppedLinks ? <p class="muted pad">The SDK dropped {count(detail.droppedLinks)} more</p> : null}
      {!store.source.isFile && <Linked store={store} span={span} />}
    </>
  );
}

function Target({ store, traceId, spanId }: { store: TraceStore; traceId: string; spanId: string }) {
  const model = store.model.value;
  const here = model && model.skeleton.traceId === traceId ? model.numberOf.get(spanId) : undefined;
  if (model && here !== undefined) {
    return (
      <button type="button" class="quiet small inline" onClick={() => store.open(here)}>
        {visibleLine(serviceOf(model, here))} {visibleLine(nameOf(model, here))} (this trace)
      </button>
    );
  }
  // Ids are hex; anything else would not be an address of ours.
  if (store.source.isFile || !/^[0-9a-f]{1,32}$/.test(traceId)) return <span class="mono">{visibleLine(traceId)}</span>;
  return (
    <Link page="trace" id={traceId} params={{ span: spanId }} class="mono">
      {traceId.slice(0, 16)}… {spanId}
    </Link>
  );
}

function Linked({ store, span }: { store: TraceStore; span: number }) {
  const [state, setState] = useState<{ answer?: Backlinks; failure?: unknown }>({});
  useEffect(() => {
    const abort = new AbortController();
    store.source.backlinks(abort.signal).then(
      (answer) => setState({ answer }),
      (failure) => !abort.signal.aborted && setState({ failure }),
    );
    return () => abort.abort();
  }, [store]);
  const id = store.model.value?.ids[span];
  const links = state.answer?.links.filter((link) => !link.toSpanId || link.toSpanId === id) ?? [];
  return (
    <>
      <h3 class="part-head">From other traces</h3>
      {state.failure !== undefined && <p class="error-text pad">! {message(state.failure)}</p>}
      {!state.answer && state.failure === undefined && <p class="muted pad">Looking …</p>}
      {state.answer && links.length === 0 && <p class="muted pad">None found</p>}
      <ul class="links">
        {links.map((link) => (
          <li key={link.spanId}>
            <Link page="trace" id={link.traceId} params={{ span: link.spanId }}>
              {visibleLine(link.service)} {visibleLine(link.name)}
            </Link>
          </li>
        ))}
      </ul>
      {state.answer?.truncated && <p class="muted pad">There are more</p>}
    </>
  );
}
