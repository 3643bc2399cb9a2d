// All services with rate, errors and duration.

import { json } from "../api";
import type { Services } from "../api-types";
import { coloursTogether, seriesClass } from "../colours";
import { count, plain } from "../format";
import { useLoad } from "../load";
import { quote } from "../search/conditions";
import { Link } from "../shell/Link";
import { Failure, Note } from "../shell/Note";
import { type Column, SortTable } from "../shell/SortTable";
import { param, rangeParams, refreshed, setParams, tenant, typedRange } from "../state";
import { redColumns } from "./red";

type Row = Services["services"][number];

const columns = (colourOf: (name: string) => number): Column<Row>[] => [
  {
    key: "name",
    head: "Service",
    by: (row) => row.name,
    cell: (row) =>
      row.name === "" ? (
        <em class="muted">without a name</em>
      ) : (
        <Link page="service" id={row.name} class="whole" title={plain(row.name)}>
          <span class={`dot ${seriesClass(colourOf(row.name))}`} /> <strong>{plain(row.name, 80)}</strong>{" "}
          <span class="muted">
            {row.namespace && `${plain(row.namespace, 40)} `}
            {row.versions && plain(row.versions.slice(0, 3).join(", "), 60)}
          </span>
        </Link>
      ),
  },
  ...redColumns<Row>(),
  {
    key: "spans",
    head: "Spans",
    class: "count-column",
    number: true,
    by: (row) => row.spans,
    cell: (row) => count(row.spans),
  },
  {
    key: "links",
    head: "Links",
    hideHead: true,
    class: "link-column",
    cell: (row) => (
      <span class="row nowrap end">
        <Link page="search" params={{ q: ofService(row.name) }}>
          Traces
        </Link>
        <Link page="map" params={{ service: row.name }}>
          Map
        </Link>
      </span>
    ),
  },
];

/** All spans of a service. */
export function ofService(name: string): string {
  return `{ resource.service.name = ${quote(name)} }`;
}

export default function ServicesPage() {
  const { from, to } = typedRange.value;
  const find = param("find");
  const { data, error, loading, reload } = useLoad(
    (signal) => json<Services>("api/v1/services", { params: { ...rangeParams(), x: 40 }, signal }),
    [from, to, refreshed.value, tenant.value],
  );
  const colourOf = coloursTogether((data?.services ?? []).map((row) => row.name));
  const rows = (data?.services ?? []).filter((row) => row.name.toLowerCase().includes(find.toLowerCase()));
  return (
    <div class="page stack">
      <div class="row">
        <h1>Services</h1>
        {data && <span class="muted">{count(data.services.length)}</span>}
        <span class="grow" />
        <input
          type="search"
          aria-label="Find a service"
          placeholder="find a service"
          value={find}
          onInput={(event) => setParams({ find: event.currentTarget.value }, "replace")}
        />
      </div>
      {error !== undefined && <Failure error={error} retry={reload} />}
      {data?.partial && <Note kind="warning">{data.partial}</Note>}
      {data && rows.length === 0 && (
        <div class="empty">
          {find === "" ? "No service sent spans in this time." : `No service has “${find}” in its name.`}
        </div>
      )}
      {rows.length > 0 && (
        <section class={`panel red ${loading ? "stale" : ""}`} aria-label="Services">
          <SortTable
            rows={rows}
            columns={columns(colourOf)}
            rowKey={(row) => row.name}
            initial="-rate"
            label="Services"
          />
        </section>
      )}
    </div>
  );
}
