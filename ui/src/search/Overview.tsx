// Rate, errors and duration of what matches, over the time that is looked at. Dragging chooses a shorter time.

import { json, message } from "../api";
import type { Heatmap } from "../api-types";
import { Chart } from "../chart/Chart";
import { count, duration, millisOf, percent, rate } from "../format";
import { useLoad } from "../load";
import { rangeParams, refreshed, setParams, tenant, typedRange } from "../state";
import { frozen } from "../time";
import { split } from "./conditions";

export function Overview({ q }: { q: string }) {
  const { from, to } = typedRange.value;
  // Only a filter of spans has a rate: a pipeline behind it counts something else.
  const filter = filterOf(q);
  const { data, error, loading } = useLoad(
    filter === undefined
      ? undefined
      : (signal) =>
          json<Heatmap>("api/v1/explore/heatmap", { params: { q: filter, ...rangeParams(), x: 60, y: 20 }, signal }),
    [filter, from, to, refreshed.value, tenant.value],
  );
  if (error !== undefined) return <p class="muted">Nothing over time can be shown: {message(error)}</p>;
  if (!data || data.total === 0) return null;
  const shared = {
    startMillis: millisOf(data.startUnixNanos),
    stepMillis: data.stepNanos / 1e6,
    onRange: (start: number, end: number) => setParams({ from: frozen(start), to: frozen(end) }),
  };
  const errorShare = data.errors / data.total;
  return (
    <section class={`panel overview ${loading ? "stale" : ""}`} aria-label="Over time">
      <Chart
        {...shared}
        title="Spans"
        show={rate}
        summary={`${count(data.total)} spans${data.partial ? " (partial)" : ""}`}
        lines={[{ name: "rate", values: data.rate, shape: "bars", tone: "accent" }]}
      />
      <Chart
        {...shared}
        title="Errors"
        show={rate}
        summary={data.errors === 0 ? "none" : `${count(data.errors)} · ${percent(errorShare)}`}
        lines={[{ name: "errors", values: data.errorRate, shape: "bars", tone: "error" }]}
      />
      <Chart
        {...shared}
        title="Duration"
        log
        show={duration}
        summary="p50 solid, p99 dashed"
        lines={[
          { name: "p50", values: data.p50, shape: "line", tone: "accent" },
          { name: "p99", values: data.p99, shape: "line", tone: "muted" },
        ]}
      />
    </section>
  );
}

/** The braces of a query alone, or undefined if they are not its only filter. */
export function filterOf(q: string): string | undefined {
  const parts = split(q);
  return parts && `{ ${parts.conditions.join(" && ")} }`;
}
