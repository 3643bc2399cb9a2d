// One service: its traffic over time, its operations, who it calls and who calls it.

import { json } from "../api";
import type { Dependency, Operations, Services } from "../api-types";
import { Chart } from "../chart/Chart";
import { coloursTogether, seriesClass } from "../colours";
import { count, duration, millisOf, percent, plain, rate } from "../format";
import { useLoad } from "../load";
import { quote } from "../search/conditions";
import { Link } from "../shell/Link";
import { Failure, Note } from "../shell/Note";
import { type Column, SortTable } from "../shell/SortTable";
import { rangeNow, rangeParams, refreshed, setParams, tenant, typedRange } from "../state";
import { frozen } from "../time";
import { callColumns, redColumns } from "./red";
import { ofService } from "./ServicesPage";

type Row = Operations["operations"][number];

export default function ServicePage({ id }: { id: string }) {
  const { from, to } = typedRange.value;
  const on = [id, from, to, refreshed.value, tenant.value];
  const traffic = useLoad(
    (signal) => json<Services>("api/v1/services", { params: { q: ofService(id), ...rangeParams(), x: 90 }, signal }),
    on,
  );
  const { data, error, loading, reload } = useLoad(
    (signal) => json<Operations>("api/v1/operations", { params: { service: id, ...rangeParams(), x: 40 }, signal }),
    on,
  );
  const around = [...(data?.dependencies ?? []), ...(data?.callers ?? [])];
  const colourOf = coloursTogether([id, ...around.map((call) => call.service)]);
  const service = traffic.data?.services.find(({ name }) => name === id);
  return (
    <div class="page stack">
      <div class="row">
        <Link page="services" class="muted">
          Services
        </Link>
        <span class="muted">/</span>
        <h1>
          <span class={`dot ${seriesClass(colourOf(id))}`} /> {plain(id, 120)}
        </h1>
        {service?.versions && <span class="muted">{plain(service.versions.join(", "), 120)}</span>}
        <span class="grow" />
        <Link page="search" class="button small" params={{ q: ofService(id) }}>
          Traces
        </Link>
        <Link
          page="search"
          class="button small"
          params={{ q: `{ resource.service.name = ${quote(id)} && status = error }` }}
        >
          Failed traces
        </Link>
        <Link page="explore" class="button small" params={{ q: ofService(id) }}>
          Explore
        </Link>
        <Link page="map" class="button small" params={{ service: id }}>
          Map
        </Link>
      </div>
      {error !== undefined && <Failure error={error} retry={reload} />}
      {data?.partial && <Note kind="warning">{data.partial}</Note>}
      {traffic.data && service && <Traffic data={traffic.data} service={service} stale={traffic.loading} />}
      {data && data.operations.length === 0 && <div class="empty">This service sent no spans in this time.</div>}
      {data && data.operations.length > 0 && (
        <section class={`panel red ${loading ? "stale" : ""}`} aria-label="Operations">
          <header>
            <h2>Operations</h2>
            <span class="muted">{count(data.operations.length)}</span>
          </header>
          <SortTable
            rows={data.operations}
            columns={operationColumns(id)}
            rowKey={(row) => `${row.kind} ${row.name}`}
            initial="-rate"
            label="Operations"
          />
        </section>
      )}
      <div class="below">
        <Dependencies title="Calls" rows={data?.dependencies} param="calls" colourOf={colourOf} />
        <Dependencies title="Called by" rows={data?.callers} param="callers" colourOf={colourOf} />
      </div>
    </div>
  );
}

function Traffic({ data, service, stale }: { data: Services; service: Services["services"][number]; stale: boolean }) {
  const seconds = data.stepNanos / 1e9;
  const shared = {
    startMillis: millisOf(data.startUnixNanos),
    stepMillis: data.stepNanos / 1e6,
    height: 110,
    onRange: (start: number, end: number) => setParams({ from: frozen(start), to: frozen(end) }),
  };
  return (
    <section class={`panel overview ${stale ? "stale" : ""}`} aria-label="Traffic">
      <Chart
        {...shared}
        title="Requests"
        show={rate}
        summary={rate(service.rate)}
        lines={[
          {
            name: "rate",
            values: service.series.requests.map((some) => some / seconds),
            shape: "bars",
            tone: "accent",
          },
        ]}
      />
      <Chart
        {...shared}
        title="Errors"
        show={rate}
        summary={`${percent(service.errorShare)} of requests`}
        lines={[
          { name: "errors", values: service.series.errors.map((some) => some / seconds), shape: "bars", tone: "error" },
        ]}
      />
      <Chart
        {...shared}
        title="Duration p99"
        show={duration}
        summary={`p50 ${duration(service.p50Nanos)} · p90 ${duration(service.p90Nanos)} · p99 ${duration(service.p99Nanos)}`}
        lines={[{ name: "p99", values: service.series.p99, shape: "line", tone: "accent" }]}
      />
    </section>
  );
}

function operationColumns(service: string): Column<Row>[] {
  const query = (row: Row) =>
    `{ resource.service.name = ${quote(service)} && name = ${quote(row.name)} && kind = ${row.kind} }`;
  return [
    {
      key: "name",
      head: "Operation",
      by: (row) => row.name,
      cell: (row) => (
        <Link page="search" class="whole" params={{ q: query(row) }} title={plain(row.name)}>
          <strong>{plain(row.name, 100)}</strong> <span class="muted">{row.kind}</span>
        </Link>
      ),
    },
    ...redColumns<Row>(),
    {
      key: "links",
      head: "Links",
      hideHead: true,
      class: "link-column",
      cell: (row) => (
        <span class="row nowrap end">
          <Link page="explore" params={{ q: query(row) }}>
            Explore
          </Link>
        </span>
      ),
    },
  ];
}

function Dependencies({
  title,
  rows,
  param,
  colourOf,
}: {
  title: string;
  rows: Dependency[] | undefined;
  param: string;
  colourOf: (name: string) => number;
}) {
  if (!rows || rows.length === 0) return null;
  const range = rangeNow();
  const seconds = (range.endMillis - range.startMillis) / 1000;
  const columns: Column<Dependency>[] = [
    {
      key: "service",
      head: "Service",
      by: (row) => row.service,
      cell: (row) => (
        <Link page="service" id={row.service} class="whole">
          <span class={`dot ${seriesClass(colourOf(row.service))}`} /> <strong>{plain(row.service, 60)}</strong>{" "}
          <span class="muted">{row.connection}</span>
        </Link>
      ),
    },
    {
      key: "share",
      head: "Time",
      title: "Share of the time of all these calls",
      class: "share-column",
      number: true,
      by: (row) => row.shareOfTime,
      cell: (row) => (row.shareOfTime === undefined ? "–" : percent(Math.min(1, row.shareOfTime))),
    },
    ...callColumns<Dependency>(seconds),
  ];
  return (
    <section class="panel" aria-label={title}>
      <header>
        <h2>{title}</h2>
        <span class="muted">{count(rows.length)}</span>
      </header>
      <SortTable
        rows={rows}
        columns={columns}
        rowKey={(row) => `${row.service} ${row.connection}`}
        param={param}
        initial="-share"
        label={title}
      />
    </section>
  );
}
