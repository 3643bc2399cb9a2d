// Rate, errors and duration as columns: the same for services and for operations.

import type { Red } from "../api-types";
import { Spark } from "../chart/Chart";
import { count, duration, percent, rate } from "../format";
import type { Column } from "../shell/SortTable";

/** From this share on, errors are more than noise. */
const MANY_ERRORS = 0.01;

function timeColumn<Row>(key: string, nanos: (row: Row) => number | undefined): Column<Row> {
  return { key, head: key, class: "time-column", number: true, by: nanos, cell: (row) => duration(nanos(row)) };
}

/** Calls from one service to another. */
interface Calls {
  calls: number;
  errors: number;
  p50Nanos?: number;
  p99Nanos?: number;
}

/** Columns of calls that were counted over so many seconds; without pictures over time. */
export function callColumns<Row extends Calls>(seconds: number): Column<Row>[] {
  const errorShare = (row: Row) => row.errors / Math.max(1, row.calls);
  return [
    {
      key: "rate",
      head: "Rate",
      class: "time-column",
      number: true,
      by: (row) => row.calls,
      cell: (row) => rate(row.calls / seconds),
    },
    {
      key: "errors",
      head: "Errors",
      class: "time-column",
      number: true,
      by: errorShare,
      cell: (row) => <ErrorShare share={errorShare(row)} />,
    },
    timeColumn("p50", (row) => row.p50Nanos),
    timeColumn("p99", (row) => row.p99Nanos),
  ];
}

export function redColumns<Row extends Red>(): Column<Row>[] {
  return [
    {
      key: "rate",
      head: "Rate",
      class: "rate-column",
      number: true,
      by: (row) => row.rate,
      cell: (row) => (
        <span class="with-spark" title={`${count(row.requests)} requests`}>
          <Spark values={row.series.requests} label={`Requests over time, ${rate(row.rate)} on average`} />
          <span>{rate(row.rate)}</span>
        </span>
      ),
    },
    {
      key: "errors",
      head: "Errors",
      class: "rate-column",
      number: true,
      by: (row) => row.errorShare,
      cell: (row) => (
        <span class="with-spark" title={`${count(row.errors)} errors`}>
          <Spark
            values={row.series.errors}
            tone="error"
            label={`Errors over time, ${percent(row.errorShare)} of requests`}
          />
          <ErrorShare share={row.errorShare} />
        </span>
      ),
    },
    timeColumn("p50", (row) => row.p50Nanos),
    timeColumn("p90", (row) => row.p90Nanos),
    {
      key: "p99",
      head: "p99",
      class: "rate-column",
      number: true,
      by: (row) => row.p99Nanos,
      cell: (row) => (
        <span class="with-spark">
          <Spark values={row.series.p99} shape="line" label={`p99 over time, ${duration(row.p99Nanos)} overall`} />
          <span>{duration(row.p99Nanos)}</span>
        </span>
      ),
    },
  ];
}

export function ErrorShare({ share }: { share: number }) {
  if (share === 0) return <span class="muted">0 %</span>;
  return (
    <span class={share >= MANY_ERRORS ? "error-text" : ""}>
      {percent(share)}
      {share >= MANY_ERRORS && " !"}
    </span>
  );
}
