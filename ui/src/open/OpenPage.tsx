// A file of traces, shown and not kept: dropped or chosen here, read by the server, stored by nobody.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { json } from "../api";
import type { Opened, OpenedTrace } from "../api-types";
import { bytes, count, dateTime, duration, millisOf, plain } from "../format";
import { Glyph } from "../shell/Glyph";
import { Failure, Note } from "../shell/Note";
import { utc } from "../state";
import { memoryState } from "../trace/address";
import { memorySource } from "../trace/memory-source";
import { TraceView } from "../trace/TraceView";

/** As the server takes. */
const MOST_BYTES = 64 * 1024 * 1024;

const FORMATS: Record<string, string> = {
  otlpJson: "OTLP JSON",
  otlpJsonLines: "OTLP JSON lines",
  otlpProtobuf: "OTLP protobuf",
  tempoJson: "Tempo JSON",
  jaegerJson: "Jaeger JSON",
  zipkinJson: "Zipkin JSON",
};

/** The file stays here while one looks at its traces. It has no address: a link to it would lead nowhere. */
interface Chosen {
  file: File;
  answer: Opened;
}

export default function OpenPage() {
  const [chosen, setChosen] = useState<Chosen | undefined>();
  const [shown, setShown] = useState<OpenedTrace | undefined>();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState("");
  const abort = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => abort.current?.abort(), []);

  const ask = async (file: File, trace?: string) => {
    abort.current?.abort();
    const mine = new AbortController();
    abort.current = mine;
    setError(undefined);
    setBusy(trace ? "Reading the trace…" : `Reading ${file.name}…`);
    try {
      if (file.size > MOST_BYTES)
        throw new Error(`The file has ${bytes(file.size)}; at most ${bytes(MOST_BYTES)} can be opened.`);
      const answer = await json<Opened>("api/v1/open", {
        method: "POST",
        body: file,
        params: { trace },
        signal: mine.signal,
      });
      if (!trace) setChosen({ file, answer });
      setShown(whole(answer));
    } catch (why) {
      if (!mine.signal.aborted) setError(why);
    } finally {
      if (abort.current === mine) setBusy("");
    }
  };
  if (shown) {
    const several = (chosen?.answer.traces.length ?? 0) > 1;
    return (
      <>
        <div class="opened-bar">
          <button
            type="button"
            class="small"
            onClick={() => {
              setShown(undefined);
              if (!several) setChosen(undefined);
            }}
          >
            <Glyph name="left" /> {several ? "Traces of the file" : "Another file"}
          </button>
          <Glyph name="file" />
          <span class="clip">{plain(chosen?.file.name ?? "", 120)}</span>
          <span class="muted">shown from the file, not stored</span>
        </div>
        {chosen && <Rejected answer={chosen.answer} />}
        <Shown trace={shown} />
      </>
    );
  }
  return (
    <div class="page stack">
      <h1>Open a file of traces</h1>
      <DropZone busy={busy} onFile={(file) => void ask(file)} />
      {error !== undefined && <Failure error={error} />}
      {chosen && <Rejected answer={chosen.answer} />}
      {chosen && chosen.answer.traces.length === 0 && <div class="empty">There are no spans in this file.</div>}
      {chosen && chosen.answer.traces.length > 0 && (
        <Traces chosen={chosen} onOpen={(id) => void ask(chosen.file, id)} />
      )}
    </div>
  );
}

function Rejected({ answer: { rejectedCount, rejected } }: { answer: Opened }) {
  if (!rejectedCount) return null;
  return (
    <Note kind="warning">
      {count(rejectedCount)} spans or lines could not be read: {plain((rejected ?? []).slice(0, 3).join("; "), 600)}
    </Note>
  );
}

function whole({ skeleton, diagnosis, spans }: Opened): OpenedTrace | undefined {
  return skeleton && diagnosis && spans ? { skeleton, diagnosis, spans } : undefined;
}

function Shown({ trace }: { trace: OpenedTrace }) {
  const source = useMemo(() => memorySource(trace), [trace]);
  const state = useMemo(() => memoryState(), [trace]);
  return <TraceView source={source} state={state} />;
}

function DropZone({ busy, onFile }: { busy: string; onFile: (file: File) => void }) {
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  // Anywhere on the page will do: a file that is dropped beside the box must not replace the page.
  useEffect(() => {
    const drag = (event: DragEvent) => {
      event.preventDefault();
      setOver(event.type === "dragover");
    };
    const drop = (event: DragEvent) => {
      event.preventDefault();
      setOver(false);
      const file = event.dataTransfer?.files[0];
      if (file) onFile(file);
    };
    document.addEventListener("dragover", drag);
    document.addEventListener("dragleave", drag);
    document.addEventListener("drop", drop);
    return () => {
      document.removeEventListener("dragover", drag);
      document.removeEventListener("dragleave", drag);
      document.removeEventListener("drop", drop);
    };
  });
  return (
    <section class={`drop ${over ? "over" : ""}`} aria-label="Drop a file">
      <Glyph name="file" />
      <p>
        <strong>Drop a file here</strong>, or{" "}
        <button type="button" class="primary" onClick={() => input.current?.click()} disabled={busy !== ""}>
          Choose a file
        </button>
      </p>
      <p class="muted">
        OTLP as JSON, JSON lines or protobuf, Jaeger JSON, Zipkin JSON; gzip as well; at most {bytes(MOST_BYTES)}. Only
        this server reads it, and nothing is stored.
      </p>
      <p role="status">{busy}</p>
      <input
        ref={input}
        type="file"
        class="hidden-text"
        aria-label="File of traces"
        tabIndex={-1}
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) onFile(file);
          event.currentTarget.value = "";
        }}
      />
    </section>
  );
}

function Traces({ chosen, onOpen }: { chosen: Chosen; onOpen: (id: string) => void }) {
  const { answer, file } = chosen;
  return (
    <section class="panel opened" aria-label="Traces of the file">
      <header>
        <h2 class="clip">{plain(file.name, 80)}</h2>
        <span class="muted">
          {FORMATS[answer.format] ?? answer.format} · {bytes(file.size)} · {count(answer.traces.length)} traces
        </span>
      </header>
      <div class="scroll-x">
        <table class="grid">
          <thead>
            <tr>
              <th class="when" scope="col">
                Time
              </th>
              <th scope="col">Root</th>
              <th class="num time-column" scope="col">
                Duration
              </th>
              <th class="num time-column" scope="col">
                Spans
              </th>
              <th class="num time-column" scope="col">
                Errors
              </th>
            </tr>
          </thead>
          <tbody>
            {answer.traces.map((trace) => (
              <tr key={trace.traceId}>
                <td class="tabular">{dateTime(millisOf(trace.startUnixNanos), utc.value)}</td>
                <td>
                  <button type="button" class="as-link" onClick={() => onOpen(trace.traceId)}>
                    {plain(trace.rootService, 60)} <strong>{plain(trace.rootName, 120) || trace.traceId}</strong>
                  </button>
                </td>
                <td class="num">{duration(trace.durationNanos)}</td>
                <td class="num">{count(trace.spanCount)}</td>
                <td class="num">
                  {trace.errorCount > 0 ? <span class="error-text">{count(trace.errorCount)} !</span> : "0"}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
