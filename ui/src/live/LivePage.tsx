// Spans as they arrive, newest first. The list stands still while the pointer rests on it.

import { useEffect, useState } from "preact/hooks";
import type { TailSpan } from "../api-types";
import { coloursTogether, seriesClass } from "../colours";
import { clock, count, duration, millisOf, plain } from "../format";
import { useKeys } from "../keys";
import { Chips } from "../query/Chips";
import { QueryBox } from "../query/QueryBox";
import { Glyph } from "../shell/Glyph";
import { Link } from "../shell/Link";
import { Note } from "../shell/Note";
import { param, setParams, tenant, utc } from "../state";
import { type Tail, useTail } from "./tail";

const WORDS: Record<Tail["state"], string> = {
  connecting: "connecting…",
  open: "listening",
  lost: "connection lost, trying again",
  paused: "paused",
};

export default function LivePage() {
  const q = param("q");
  const [draft, setDraft] = useState(q);
  const [on, setOn] = useState(true);
  const [held, setHeld] = useState<TailSpan[] | undefined>();
  const tail = useTail(q, tenant.value, on);
  useEffect(() => setDraft(q), [q]);
  useKeys(() => [{ keys: "Space", label: "Pause or go on", group: "Live", run: () => setOn((old) => !old) }]);
  const submit = (text: string) => {
    setDraft(text);
    setParams({ q: text.trim() });
    setOn(true);
  };
  const rows = held ?? tail.rows;
  const colourOf = coloursTogether(rows.map((row) => row.service));
  const first = held?.[0];
  const waiting = first ? tail.rows.indexOf(first) : 0;
  return (
    <div class="page stack">
      <h1 class="hidden-text">Live spans</h1>
      <div class="stack tight">
        <QueryBox value={draft} onInput={setDraft} onRun={submit} action="Listen" placeholder="{ status = error }" />
        <Chips query={draft} onChange={submit} />
      </div>
      <section class="panel live" aria-label="Spans as they arrive">
        <header>
          <span class={`tag ${tail.state === "open" ? "ok" : tail.state === "lost" ? "error" : ""}`} role="status">
            {WORDS[tail.state]}
          </span>
          <span class="tabular">{count(tail.received)} spans</span>
          {tail.progress !== undefined && (
            <span class="muted tabular">
              {tail.progress.delayMillis !== undefined && `${duration(tail.progress.delayMillis * 1e6)} behind`}
              {tail.progress.dropped > 0 && ` · ${count(tail.progress.dropped)} more matched than are shown`}
            </span>
          )}
          <span class="grow" />
          {waiting > 0 && (
            <button type="button" class="small primary" onClick={() => setHeld(undefined)}>
              {count(waiting)} newer
            </button>
          )}
          <button type="button" class="small" onClick={() => setOn(!on)}>
            <Glyph name={on ? "pause" : "play"} /> {on ? "Pause" : "Go on"}
          </button>
          <button type="button" class="small quiet" onClick={tail.clear}>
            Clear
          </button>
        </header>
        {rows.length === 0 ? (
          <div class="empty">{on ? "Waiting for spans that match…" : "Paused."}</div>
        ) : (
          <div class="scroll-x">
            <table class="grid" onPointerEnter={() => setHeld(tail.rows)} onPointerLeave={() => setHeld(undefined)}>
              <thead>
                <tr>
                  <th class="time" scope="col">
                    Time
                  </th>
                  <th scope="col">Span</th>
                  <th class="kind" scope="col">
                    Kind
                  </th>
                  <th class="num time" scope="col">
                    Duration
                  </th>
                  <th class="kind" scope="col">
                    Status
                  </th>
                  <th class="trace-id" scope="col">
                    Trace
                  </th>
                </tr>
              </thead>
              <tbody>
                {rows.map((row) => (
                  <tr key={row.traceId + row.spanId}>
                    <td class="tabular">{clock(millisOf(row.startUnixNanos), utc.value, true)}</td>
                    <td>
                      <Link page="trace" id={row.traceId} params={{ span: row.spanId }} class="whole">
                        <span class={`dot ${seriesClass(colourOf(row.service))}`} /> {plain(row.service, 60)}{" "}
                        <strong>{plain(row.name, 120)}</strong>
                        {row.rootService && row.rootService !== row.service && (
                          <span class="muted"> in {plain(row.rootService, 60)}</span>
                        )}
                      </Link>
                    </td>
                    <td class="muted">{row.kind}</td>
                    <td class="num">{duration(row.durationNanos)}</td>
                    <td>
                      {row.status === "error" ? (
                        <span class="error-text">error !</span>
                      ) : (
                        <span class="muted">{row.status}</span>
                      )}
                    </td>
                    <td class="mono muted">{row.traceId.slice(0, 16)}…</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
      {tail.fault !== "" && <Note kind="error">{plain(tail.fault)}</Note>}
      {tail.state === "lost" && (
        <Note kind="warning">The stream broke off. What is listed stays; the page connects again by itself.</Note>
      )}
    </div>
  );
}
