// The trace as OTLP JSON, fetched when it is looked at.
import { useEffect, useState } from "preact/hooks";
import { bytes } from "../format";
import { Failure } from "../shell/Note";
import { copy, download } from "./clipboard";
import { cut, visible } from "./hostile";
import type { TraceStore } from "./store";

/** More text than this makes a browser slow and no reader wiser. */
const SHOWN = 300_000;

/** Laid out for reading; what is not JSON stays as it came. */
function pretty(text: string): string {
  try {
    return text.length < 4 * SHOWN ? JSON.stringify(JSON.parse(text), null, 2) : text;
  } catch {
    return text;
  }
}

export function JsonTab({ store }: { store: TraceStore }) {
  const [state, setState] = useState<{ text?: string; failure?: unknown }>({});
  const load = (): void => {
    setState({});
    store.source.otlp().then(
      (text) => setState({ text }),
      (failure) => setState({ failure }),
    );
  };
  useEffect(load, [store]);
  if (state.failure !== undefined) {
    return (
      <div class="page">
        <Failure error={state.failure} retry={load} />
      </div>
    );
  }
  if (state.text === undefined) return <p class="empty">Fetching the spans …</p>;
  const { text } = state;
  const part = cut(pretty(text), SHOWN);
  const id = store.model.value?.skeleton.traceId ?? "trace";
  return (
    <div class="trace-json">
      <div class="row">
        <button type="button" class="small" onClick={() => download(`trace-${id}.json`, "application/json", text)}>
          Save {bytes(text.length)}
        </button>
        <button
          type="button"
          class="small"
          onClick={async () => {
            store.said.value = (await copy(text)) ? "JSON copied" : "The browser did not let it be copied";
          }}
        >
          Copy
        </button>
        {part.isCut && <span class="muted">The first {bytes(SHOWN)} are shown</span>}
      </div>
      <pre tabIndex={0}>{visible(part.text)}</pre>
    </div>
  );
}
