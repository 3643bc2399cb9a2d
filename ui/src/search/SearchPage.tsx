// The first page: a query, what came of it over time, the traces it found.

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api";
import { Chips } from "../query/Chips";
import { QueryBox } from "../query/QueryBox";
import { Failure, Note } from "../shell/Note";
import { serverStatus } from "../shell/server";
import { param, rangeNow, rangeParams, refreshed, setParams, tenant, typedRange } from "../state";
import { split } from "./conditions";
import { Empty } from "./Empty";
import { remember } from "./last";
import { isEmptyStore, Onboarding } from "./Onboarding";
import { Overview } from "./Overview";
import { Progress, Summary } from "./Progress";
import { Results } from "./Results";
import { type Asked, type Run, search } from "./run";

const DEFAULT_LIMIT = 100;

/** The query as it is sent: with the columns that are shown, if nothing else is selected already. */
export function withColumns(q: string, columns: readonly string[]): string {
  const query = q.trim() === "" ? "{ }" : q;
  if (columns.length === 0 || split(query) === undefined || /\|\s*select\s*\(/.test(query)) return query;
  const at = query.search(/\s+with\s*\(/);
  const select = ` | select(${columns.join(", ")})`;
  return at < 0 ? query + select : query.slice(0, at) + select + query.slice(at);
}

/** A mistake in the query is shown at its place, below the box. */
function isSaidAtTheBox(error: unknown): boolean {
  return error instanceof ApiError && error.status === 400 && error.message.startsWith("invalid TraceQL query: line");
}

export default function SearchPage() {
  const q = param("q");
  const [draft, setDraft] = useState(q);
  const limit = Math.max(1, Number(param("limit")) || DEFAULT_LIMIT);
  const columns = param("cols") === "" ? [] : param("cols").split(",");
  const { from, to } = typedRange.value;
  const [run, setRun] = useState<Run | undefined>();
  const [asked, setAsked] = useState<Asked | undefined>();
  const abort = useRef<AbortController | undefined>(undefined);

  useEffect(() => setDraft(q), [q]);
  const sort = param("sort");
  useEffect(() => remember({ q, cols: columns.join(","), sort }), [q, columns.join(","), sort]);
  useEffect(() => {
    const mine = new AbortController();
    abort.current = mine;
    const next = { q: withColumns(q, columns), ...rangeParams(), limit };
    setAsked(next);
    // A search given up because another one begins has nothing to tell.
    let left = false;
    void search(next, mine.signal, (state) => !left && setRun(state));
    return () => {
      left = true;
      mine.abort();
    };
  }, [q, from, to, limit, columns.join(","), refreshed.value, tenant.value]);

  const submit = (text: string) => {
    setDraft(text);
    if (text.trim() === q.trim()) refreshed.value++;
    else setParams({ q: text.trim() });
  };
  const stop = () => abort.current?.abort();
  const nothing = run?.state === "done" && run.traces.length === 0 && !run.bound;
  if (nothing && isEmptyStore(serverStatus.value)) return <Onboarding />;
  return (
    <div class="page stack">
      <h1 class="hidden-text">Search traces</h1>
      <div class="stack tight">
        <QueryBox
          value={draft}
          onInput={setDraft}
          onRun={submit}
          placeholder="{ resource.service.name = &quot;…&quot; && duration > 500ms }"
        />
        <Chips query={draft} onChange={submit} />
      </div>
      <Overview q={q} />
      {run && <Progress run={run} onStop={stop} />}
      {run?.state === "failed" && !isSaidAtTheBox(run.error) && (
        <Failure error={run.error} retry={() => refreshed.value++} />
      )}
      {run?.bound && (
        <Note kind="warning">
          Not everything was read: {run.bound} What is listed is complete in itself, but more may match. Narrow the time
          or add a condition.
        </Note>
      )}
      {nothing && asked ? (
        <Empty q={q} range={rangeNow()} />
      ) : (
        run &&
        (run.state !== "failed" || run.traces.length > 0) && (
          <Results
            run={run}
            columns={columns}
            summary={
              <Summary run={run} limit={limit} onMore={() => setParams({ limit: String(limit * 5) }, "replace")} />
            }
          />
        )
      )}
    </div>
  );
}
