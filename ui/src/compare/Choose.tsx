// What to compare a trace with: others like it at a click, many of its kind at once, or any id.

import { useState } from "preact/hooks";
import { json } from "../api";
import type { FoundTrace, Skeleton } from "../api-types";
import { clock, count, day, duration, millisOf, plain } from "../format";
import { useLoad } from "../load";
import { quote } from "../search/conditions";
import { rowOf } from "../search/rows";
import { Failure } from "../shell/Note";
import { setParams, tenant, utc } from "../state";

/** Others are looked for so long before and after the trace. */
const AROUND_SECONDS = 3_600;
const OFFERED = 20;

interface Root {
  service: string;
  name: string;
  durationNanos: number;
  start: string;
  end: string;
  query: string;
}

/** The root of a trace; its top level is enough. */
async function rootOf(id: string, signal: AbortSignal): Promise<Root | undefined> {
  const { root, spans, strings, durationNanos, startUnixNanos } = await json<Skeleton>(
    `api/v1/traces/${encodeURIComponent(id)}/skeleton`,
    { params: { maxSpans: 1 }, signal },
  );
  if (root < 0) return undefined;
  const service = strings[spans.service[root]] ?? "";
  const name = strings[spans.name[root]] ?? "";
  const at = Math.floor(millisOf(startUnixNanos) / 1000);
  return {
    service,
    name,
    durationNanos,
    start: String(at - AROUND_SECONDS),
    end: String(at + AROUND_SECONDS),
    query: `{ nestedSetParent < 0 && resource.service.name = ${quote(service)} && name = ${quote(name)} }`,
  };
}

export function Choose({ a }: { a: string }) {
  const [typedA, setTypedA] = useState(a);
  const [typedB, setTypedB] = useState("");
  const root = useLoad(a === "" ? undefined : (signal) => rootOf(a, signal), [a, tenant.value]);
  const found = useLoad(
    root.data
      ? (signal) =>
          json<{ traces: FoundTrace[] }>("api/search", {
            params: { q: root.data?.query, start: root.data?.start, end: root.data?.end, limit: OFFERED + 1 },
            signal,
          })
      : undefined,
    [root.data, tenant.value],
  );
  const others = (found.data?.traces ?? []).map(rowOf).filter((row) => row.id !== a);
  const longest = Math.max(1, ...others.map((row) => row.durationNanos));
  return (
    <div class="stack">
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          setParams({ a: typedA.trim(), b: typedB.trim(), start: undefined, end: undefined });
        }}
      >
        <label class="row">
          A
          <input
            type="text"
            class="mono"
            size={34}
            placeholder="id of a trace"
            spellcheck={false}
            value={typedA}
            onInput={(event) => setTypedA(event.currentTarget.value)}
          />
        </label>
        <label class="row">
          B
          <input
            type="text"
            class="mono"
            size={34}
            autofocus
            placeholder="id of another"
            spellcheck={false}
            value={typedB}
            onInput={(event) => setTypedB(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="primary" disabled={typedA.trim() === "" || typedB.trim() === ""}>
          Compare
        </button>
      </form>
      {root.error !== undefined && <Failure error={root.error} retry={root.reload} />}
      {a !== "" && root.data === undefined && !root.loading && root.error === undefined && (
        <p class="muted">This trace has no root, so no others like it can be offered.</p>
      )}
      {root.data && (
        <section class="panel" aria-label="Others like it">
          <header>
            <h2 class="clip">
              Others of {plain(root.data.service, 60)} {plain(root.data.name, 80)}
            </h2>
            <span class="muted">
              from an hour before it to an hour after; it took {duration(root.data.durationNanos)}
            </span>
            <span class="grow" />
            <button
              type="button"
              class="small primary"
              title="What this trace does that is not ordinary for its kind"
              onClick={() =>
                setParams({ cohort: root.data?.query, start: root.data?.start, end: root.data?.end, b: undefined })
              }
            >
              Compare with all of them
            </button>
          </header>
          {found.error !== undefined && <Failure error={found.error} retry={found.reload} />}
          {found.data && others.length === 0 && <div class="empty">There are no others.</div>}
          {others.length > 0 && (
            <table class="grid">
              <tbody>
                {others.slice(0, OFFERED).map((row) => (
                  <tr key={row.id}>
                    <td class="tabular trace-time">
                      {day(row.startMillis, utc.value)} {clock(row.startMillis, utc.value)}
                    </td>
                    <td>
                      <span class="duration-cell">
                        <span class="tabular">{duration(row.durationNanos)}</span>
                        <svg
                          class="share-bar"
                          width="100%"
                          height="6"
                          viewBox="0 0 100 6"
                          preserveAspectRatio="none"
                          aria-hidden="true"
                        >
                          <rect class="rest" width="100" height="6" />
                          <rect class="part" width={Math.max(0.5, (row.durationNanos / longest) * 100)} height="6" />
                        </svg>
                      </span>
                    </td>
                    <td class="num trace-time">{count(row.spans)} spans</td>
                    <td class="num trace-time">
                      {row.errors > 0 ? (
                        <span class="error-text">{count(row.errors)} failed !</span>
                      ) : (
                        <span class="muted">no errors</span>
                      )}
                    </td>
                    <td class="num trace-time">
                      <button
                        type="button"
                        class="small"
                        onClick={() => setParams({ b: row.id, start: undefined, end: undefined })}
                      >
                        Compare
                      </button>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </section>
      )}
    </div>
  );
}
