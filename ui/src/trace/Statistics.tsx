// The operations of the trace as a table: counts, errors, total, self and path time, the longest; sums are the server's.
import { useMemo, useState } from "preact/hooks";
import { count, duration, percent } from "../format";
import { preference } from "../prefs";
import { Failure } from "../shell/Note";
import { visibleLine } from "./hostile";
import { type GroupBy, type GroupRow, groupOperations } from "./statistics";
import type { TraceStore } from "./store";

type Column = "name" | "count" | "errors" | "totalNanos" | "selfNanos" | "pathNanos" | "maxNanos";

const COLUMNS: { key: Column; label: string; title: string }[] = [
  { key: "count", label: "Count", title: "Spans" },
  { key: "errors", label: "Errors", title: "Spans with status error" },
  { key: "totalNanos", label: "Total", title: "Sum of durations; spans that run at once count twice" },
  { key: "selfNanos", label: "Self", title: "Time without a child running" },
  { key: "pathNanos", label: "Path", title: "Time on the critical path" },
  { key: "maxNanos", label: "Longest", title: "Longest span" },
];

const groupTaste = preference<GroupBy>("trace.group", "operation");
const MOST = 500;

export function Statistics({ store }: { store: TraceStore }) {
  const [sort, setSort] = useState<{ by: Column; up: boolean }>({ by: "selfNanos", up: false });
  const diagnosis = store.diagnosis.value;
  const by = groupTaste.value.value;
  const rows = useMemo(() => (diagnosis ? groupOperations(diagnosis.operations ?? [], by) : []), [diagnosis, by]);
  if (store.diagnosisFailure.value !== null) {
    return (
      <div class="page">
        <Failure error={store.diagnosisFailure.value} />
      </div>
    );
  }
  if (!diagnosis) return <p class="empty">Counting …</p>;
  const sorted = [...rows].sort((a, b) => {
    const order = sort.by === "name" ? (a.label < b.label ? -1 : 1) : a[sort.by] - b[sort.by];
    return sort.up ? order : -order;
  });
  const wholePath = rows.reduce((sum, row) => sum + row.pathNanos, 0);
  const wholeSelf = rows.reduce((sum, row) => sum + row.selfNanos, 0);
  const head = (key: Column, label: string, title: string, isNumber: boolean) => (
    <th
      key={key}
      scope="col"
      class={isNumber ? "num" : ""}
      aria-sort={sort.by === key ? (sort.up ? "ascending" : "descending") : undefined}
    >
      <button
        type="button"
        title={title}
        onClick={() => setSort({ by: key, up: sort.by === key ? !sort.up : key === "name" })}
      >
        {label}
        {sort.by === key ? (sort.up ? " ↑" : " ↓") : ""}
      </button>
    </th>
  );
  return (
    <div class="trace-table">
      <div class="row">
        <span class="muted">Group by</span>
        <div class="segments" role="group" aria-label="Group by">
          {(["operation", "service", "kind"] as GroupBy[]).map((one) => (
            <button key={one} type="button" aria-pressed={by === one} onClick={() => groupTaste.set(one)}>
              {one}
            </button>
          ))}
        </div>
        <span class="muted">{count(rows.length)} rows</span>
      </div>
      <section class="panel scroll-x" tabIndex={0} aria-label="Statistics of this trace">
        <table class="grid statistics">
          <thead>
            <tr>
              {head(
                "name",
                by === "operation" ? "Service and operation" : by === "service" ? "Service" : "Kind",
                "Name",
                false,
              )}
              {COLUMNS.map(({ key, label, title }) => head(key, label, title, true))}
            </tr>
          </thead>
          <tbody>
            {sorted.slice(0, MOST).map((row) => (
              <Line key={row.label} store={store} row={row} by={by} wholePath={wholePath} wholeSelf={wholeSelf} />
            ))}
          </tbody>
        </table>
      </section>
      {sorted.length > MOST && <p class="muted">{count(sorted.length - MOST)} more rows are not shown</p>}
    </div>
  );
}

function Line(props: { store: TraceStore; row: GroupRow; by: GroupBy; wholePath: number; wholeSelf: number }) {
  const { store, row, by, wholePath, wholeSelf } = props;
  const series = store.colours.value?.legend.find((entry) => entry.label === row.service)?.series;
  return (
    <tr>
      <td title={row.label}>
        <button
          type="button"
          class="quiet small inline name"
          title="Find these spans"
          onClick={() => {
            store.setTab("waterfall");
            store.showGroup(row, by);
          }}
        >
          {series !== undefined && <i class={`dot series-${series}`} />}
          {by === "operation" ? (
            <span class="clip">
              <strong>{visibleLine(row.service)}</strong> {visibleLine(row.name)} <span class="muted">{row.kind}</span>
            </span>
          ) : (
            <span class="clip">{visibleLine(row.label)}</span>
          )}
        </button>
      </td>
      <td class="num">{count(row.count)}</td>
      <td class={`num ${row.errors > 0 ? "error-text" : "muted"}`}>
        {row.errors > 0 ? `! ${count(row.errors)}` : "0"}
      </td>
      <td class="num">{duration(row.totalNanos)}</td>
      <td class="num">
        <Meter share={wholeSelf > 0 ? row.selfNanos / wholeSelf : 0} text={duration(row.selfNanos)} />
      </td>
      <td class="num">
        <Meter
          share={wholePath > 0 ? row.pathNanos / wholePath : 0}
          text={row.pathNanos > 0 ? duration(row.pathNanos) : "–"}
        />
      </td>
      <td class="num">{duration(row.maxNanos)}</td>
    </tr>
  );
}

function Meter({ share, text }: { share: number; text: string }) {
  return (
    <span class="meter">
      <span class="muted">{share >= 0.0005 ? percent(share) : ""}</span>
      <b>{text}</b>
      <i style={{ width: `${Math.round(share * 100)}%` }} />
    </span>
  );
}
