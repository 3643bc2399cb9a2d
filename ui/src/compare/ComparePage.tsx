// Two traces side by side, or one against many of its kind: call path by call path, as the server compares them.

import { json } from "../api";
import type { ComparedTrace, Comparison } from "../api-types";
import { count, dateTime, duration, millisOf, plain } from "../format";
import { useLoad } from "../load";
import { Glyph } from "../shell/Glyph";
import { Link } from "../shell/Link";
import { Failure, Note } from "../shell/Note";
import { param, refreshed, setParams, tenant, utc } from "../state";
import { Choose } from "./Choose";
import { Lines } from "./Lines";
import { differs } from "./lines";

export default function ComparePage() {
  const a = param("a");
  const b = param("b");
  const cohort = b === "" ? param("cohort") : "";
  const isComplete = a !== "" && (b !== "" || cohort !== "");
  const { data, error, loading, reload } = useLoad(
    isComplete
      ? (signal) =>
          json<Comparison>("api/v1/traces/compare", {
            params: { a, b, cohort, start: param("start"), end: param("end") },
            signal,
          })
      : undefined,
    [a, b, cohort, param("start"), param("end"), refreshed.value, tenant.value],
  );
  const all = param("all") === "1";
  const shown = data?.lines.filter((line) => all || differs(line)) ?? [];
  const alike = (data?.lines.length ?? 0) - shown.length;
  return (
    <div class="page stack">
      <div class="row">
        <h1>Compare traces</h1>
        <span class="grow" />
        {data?.b && (
          <button type="button" class="small" onClick={() => setParams({ a: b, b: a })}>
            Swap A and B
          </button>
        )}
        {isComplete && (
          <button
            type="button"
            class="small"
            onClick={() => setParams({ b: undefined, cohort: undefined, start: undefined, end: undefined })}
          >
            Compare with another
          </button>
        )}
      </div>
      {!isComplete && <Choose a={a} />}
      {error !== undefined && <Failure error={error} retry={reload} />}
      {isComplete && !data && error === undefined && (
        <p class="empty" role="status">
          Comparing…
        </p>
      )}
      {data && (
        <div class={`stack ${loading ? "stale" : ""}`}>
          <div class="sides">
            <Side letter="A" trace={data.a} />
            {data.b && <Side letter="B" trace={data.b} than={data.a} />}
            {data.cohort && (
              <section class="panel side" aria-label="B">
                <span class="side-letter">B</span>
                <div class="side-facts">
                  <strong>
                    {count(data.cohort.traces)} other trace{data.cohort.traces === 1 ? "" : "s"}
                  </strong>
                  <code class="clip" title={plain(data.cohort.query)}>
                    {plain(data.cohort.query, 200)}
                  </code>
                  <span class="muted">Numbers are their medians; in brackets what is ordinary (p10 to p90).</span>
                </div>
              </section>
            )}
          </div>
          {data.cohort && data.cohort.traces < 10 && (
            <Note kind="warning">
              {count(data.cohort.traces)} traces are few: what is called unusual may be chance. A longer time or a wider
              query finds more.
            </Note>
          )}
          <section class="panel" aria-label="Call paths">
            <header>
              <h2>
                {all ? count(shown.length) : `${count(shown.length)} that differ`} of {count(data.lines.length)} call
                paths
              </h2>
              <span class="muted">{data.cohort ? "those that explain most first" : "in the order of the trace"}</span>
              <span class="grow" />
              <label class="check">
                <input
                  type="checkbox"
                  checked={all}
                  onChange={(event) => setParams({ all: event.currentTarget.checked ? "1" : undefined }, "replace")}
                />
                Alike ones too
              </label>
            </header>
            {shown.length === 0 ? (
              <div class="empty">Nothing differs{alike > 0 && `: ${count(alike)} call paths are alike`}.</div>
            ) : (
              <Lines lines={shown} isTree={!data.cohort} />
            )}
            {data.truncated && <p class="muted pad">There are more call paths than are told.</p>}
          </section>
        </div>
      )}
    </div>
  );
}

function Side({ letter, trace, than }: { letter: string; trace: ComparedTrace; than?: ComparedTrace }) {
  const delta = than && trace.durationNanos - than.durationNanos;
  return (
    <section class="panel side" aria-label={letter}>
      <span class="side-letter">{letter}</span>
      <div class="side-facts">
        <Link page="trace" id={trace.traceId} class="clip" title={plain(`${trace.rootService} ${trace.rootName}`)}>
          {trace.rootName === "" && trace.rootService === "" ? (
            <em>root span not seen</em>
          ) : (
            <>
              {plain(trace.rootService, 60)} <strong>{plain(trace.rootName, 100)}</strong>
            </>
          )}
        </Link>
        <span class="tabular">
          <strong>{duration(trace.durationNanos)}</strong>
          {delta !== undefined && delta !== 0 && (
            <span class="muted">
              {" "}
              ({delta > 0 ? "+" : "−"}
              {duration(Math.abs(delta))})
            </span>
          )}{" "}
          · {count(trace.spanCount)} spans ·{" "}
          <span class={trace.errorCount > 0 ? "error-text" : "muted"}>
            {count(trace.errorCount)} error{trace.errorCount === 1 ? "" : "s"}
            {trace.errorCount > 0 && " !"}
          </span>
        </span>
        <span class="muted tabular">
          {dateTime(millisOf(trace.startUnixNanos), utc.value, true)} {utc.value ? "UTC" : "local"} ·{" "}
          <span class="mono">{trace.traceId.slice(0, 16)}…</span>
        </span>
      </div>
      <Link page="trace" id={trace.traceId} class="button small" aria-label={`Open trace ${letter}`}>
        Open <Glyph name="right" />
      </Link>
    </section>
  );
}
