// From "something is slow" to what the slow ones share: heatmap, box, attributes that are more frequent inside of it.

import { useEffect, useState } from "preact/hooks";
import { json } from "../api";
import type { Breakdown, Heatmap } from "../api-types";
import { count, percent } from "../format";
import { useLoad } from "../load";
import { Chips } from "../query/Chips";
import { QueryBox } from "../query/QueryBox";
import { add, join, split } from "../search/conditions";
import { filterOf } from "../search/Overview";
import { Link } from "../shell/Link";
import { Failure, Note } from "../shell/Note";
import { go, param, rangeParams, refreshed, setParams, tenant, typedRange } from "../state";
import { frozen } from "../time";
import { Differences } from "./Differences";
import { boxText, HeatmapView } from "./HeatmapView";
import { type Box, countIn, durationConditions, parseBox, printBox, slowest } from "./selection";

const COLUMNS = 96;
const ROWS = 36;
/** Share of spans that the button for the slowest takes. */
const SLOWEST = 0.05;

export default function ExplorePage() {
  const q = param("q");
  const [draft, setDraft] = useState(q);
  useEffect(() => setDraft(q), [q]);
  const { from, to } = typedRange.value;
  const filter = filterOf(q) ?? q;
  const { data, error, loading, reload } = useLoad(
    (signal) =>
      json<Heatmap>("api/v1/explore/heatmap", { params: { q: filter, ...rangeParams(), x: COLUMNS, y: ROWS }, signal }),
    [filter, from, to, refreshed.value, tenant.value],
  );
  const box = parseBox(param("sel"));
  const errors = param("only") === "errors";
  const submit = (text: string) => {
    setDraft(text);
    if (text.trim() === q.trim()) refreshed.value++;
    else setParams({ q: text.trim(), sel: undefined });
  };
  const choose = (next: Box | undefined) => setParams({ sel: next && printBox(next) });
  return (
    <div class="page stack">
      <h1 class="hidden-text">Explore durations</h1>
      <div class="stack tight">
        <QueryBox value={draft} onInput={setDraft} onRun={submit} placeholder="{ kind = server }" />
        <Chips query={draft} onChange={submit} />
      </div>
      {error !== undefined && <Failure error={error} retry={reload} />}
      {data?.partial && <Note kind="warning">{data.partial}</Note>}
      {data && (
        <section class={`panel heat-panel ${loading ? "stale" : ""}`} aria-label="Heatmap">
          <header>
            <h2>Duration of {count(data.total)} spans</h2>
            <span class="muted">
              {data.errors === 0 ? "no errors" : `${count(data.errors)} errors (${percent(data.errors / data.total)})`}
            </span>
            <span class="grow" />
            <button
              type="button"
              class="small"
              onClick={() => choose(slowest(data, SLOWEST))}
              disabled={data.total === 0}
            >
              Slowest {percent(SLOWEST)}
            </button>
            <fieldset class="segments small-segments">
              <legend class="hidden-text">What colours count</legend>
              <button type="button" class="small" aria-pressed={!errors} onClick={() => setParams({ only: undefined })}>
                All spans
              </button>
              <button type="button" class="small" aria-pressed={errors} onClick={() => setParams({ only: "errors" })}>
                Errors
              </button>
            </fieldset>
          </header>
          {data.total === 0 ? (
            <div class="empty">No span matches in this time.</div>
          ) : (
            <HeatmapView map={data} box={box} errors={errors} onBox={choose} />
          )}
        </section>
      )}
      {data && box && <Chosen map={data} box={box} filter={filter} errors={errors} />}
    </div>
  );
}

function Chosen({ map, box, filter, errors }: { map: Heatmap; box: Box; filter: string; errors: boolean }) {
  const [found, setFound] = useState<Breakdown | undefined>();
  const slowestSpan = found?.representative.reduce<Breakdown["representative"][number] | undefined>(
    (most, span) => (most && most.durationNanos >= span.durationNanos ? most : span),
    undefined,
  );
  const inside = countIn(map, box);
  const narrowed = [...durationConditions(box), ...(errors ? ["status = error"] : [])].reduce(add, filter);
  const times = { from: frozen(box.fromMillis), to: frozen(box.toMillis) };
  const without = () => {
    const parts = split(filter) ?? { conditions: [], rest: "" };
    const low = Math.round(box.minNanos);
    const high = Math.round(box.maxNanos);
    return join({ ...parts, conditions: [...parts.conditions, `(duration < ${low}ns || duration >= ${high}ns)`] });
  };
  return (
    <>
      <section class="chosen" aria-label="Selection">
        <div>
          <strong class="tabular">{count(inside.spans)} spans chosen</strong>{" "}
          <span class="muted tabular">
            {inside.errors > 0 && `${count(inside.errors)} errors · `}
            {boxText(box)}
          </span>
        </div>
        <span class="grow" />
        <button type="button" class="primary" onClick={() => go("search", "", { q: narrowed, ...times })}>
          Show traces
        </button>
        {slowestSpan && (
          <Link page="trace" id={slowestSpan.traceId} params={{ span: slowestSpan.spanId }} class="button">
            Open slowest
          </Link>
        )}
        <button
          type="button"
          title="Look at the selection alone"
          onClick={() => setParams({ q: narrowed, ...times, sel: undefined })}
        >
          Filter to
        </button>
        <button
          type="button"
          title="Leave durations of the selection out"
          onClick={() => setParams({ q: without(), sel: undefined })}
        >
          Exclude
        </button>
        <button type="button" class="quiet" onClick={() => setParams({ sel: undefined })}>
          Clear
        </button>
      </section>
      <Differences filter={filter} box={box} errors={errors} onFound={setFound} />
    </>
  );
}
