// Who calls whom: the neighbourhood of a service as a picture, and the same as a table.

import { useRef } from "preact/hooks";
import { json } from "../api";
import type { MapEdge, ServiceMap } from "../api-types";
import { coloursTogether, seriesClass } from "../colours";
import { count, plain } from "../format";
import { useLoad } from "../load";
import { callColumns } from "../services/red";
import { Link } from "../shell/Link";
import { Failure, Note } from "../shell/Note";
import { type Column, SortTable } from "../shell/SortTable";
import { param, rangeNow, rangeParams, refreshed, setParams, tenant, typedRange } from "../state";
import type { Places } from "./boxes";
import { type Part, partOf } from "./neighbours";
import { MOST_LABELS, Picture, WORDS_WIDTH } from "./Picture";
import { usePlaces } from "./places";
import { HOW } from "./words";

export default function MapPage() {
  const { from, to } = typedRange.value;
  const focus = param("service");
  const hops = param("hops") === "2" ? 2 : 1;
  const across = param("dir") !== "down";
  const asTable = param("view") === "table";
  const { data, error, loading, reload } = useLoad(
    (signal) => json<ServiceMap>("api/v1/map", { params: rangeParams(), signal }),
    [from, to, refreshed.value, tenant.value],
  );
  const part = data && partOf(data, focus, hops);
  const range = rangeNow();
  const seconds = (range.endMillis - range.startMillis) / 1000;
  return (
    <div class="page stack">
      <div class="row">
        <h1>Service map</h1>
        <label class="row">
          <span class="muted">around</span>
          <select
            aria-label="Service in the middle"
            value={focus}
            onChange={(event) => setParams({ service: event.currentTarget.value })}
          >
            <option value="">all services</option>
            {focus !== "" && !data?.nodes.some((node) => node.name === focus) && <option value={focus}>{focus}</option>}
            {[...(data?.nodes ?? [])]
              .map((node) => node.name)
              .sort()
              .map((name) => (
                <option key={name} value={name}>
                  {plain(name, 60)}
                </option>
              ))}
          </select>
        </label>
        {focus !== "" && (
          <fieldset class="segments small-segments">
            <legend class="hidden-text">Calls away</legend>
            {[1, 2].map((number) => (
              <button
                key={number}
                type="button"
                class="small"
                aria-pressed={hops === number}
                onClick={() => setParams({ hops: number === 1 ? undefined : "2" })}
              >
                {number} hop{number > 1 && "s"}
              </button>
            ))}
          </fieldset>
        )}
        <span class="grow" />
        {data?.unpaired ? (
          <span class="muted" title="Calls whose other side sent no span in this time">
            {count(data.unpaired)} calls seen from one side only
          </span>
        ) : null}
        {!asTable && (
          <fieldset class="segments small-segments">
            <legend class="hidden-text">Direction of calls</legend>
            <button
              type="button"
              class="small"
              title="Callers on the left"
              aria-label="From left to right"
              aria-pressed={across}
              onClick={() => setParams({ dir: undefined }, "replace")}
            >
              →
            </button>
            <button
              type="button"
              class="small"
              title="Callers at the top"
              aria-label="Downwards"
              aria-pressed={!across}
              onClick={() => setParams({ dir: "down" }, "replace")}
            >
              ↓
            </button>
          </fieldset>
        )}
        <fieldset class="segments small-segments">
          <legend class="hidden-text">Shown as</legend>
          <button type="button" class="small" aria-pressed={!asTable} onClick={() => setParams({ view: undefined })}>
            Map
          </button>
          <button type="button" class="small" aria-pressed={asTable} onClick={() => setParams({ view: "table" })}>
            Table
          </button>
        </fieldset>
      </div>
      {error !== undefined && <Failure error={error} retry={reload} />}
      {data?.partial && <Note kind="warning">{data.partial}</Note>}
      {part && part.nodes.length === 0 && (
        <div class="empty">
          {focus === ""
            ? "No calls between services in this time."
            : `“${plain(focus, 60)}” made and took no calls in this time.`}
        </div>
      )}
      {part && part.folded > 0 && (
        <Note>
          {count(part.folded)} quieter services are folded away. Choose a service to see what is around it, or the
          table.
        </Note>
      )}
      {part && part.nodes.length > 0 && (
        <section class={`panel ${loading ? "stale" : ""}`} aria-label="Calls between services">
          {asTable ? (
            <EdgeTable edges={data.edges.filter((edge) => near(part, edge))} seconds={seconds} />
          ) : (
            <Laid part={part} focus={focus} seconds={seconds} across={across} />
          )}
        </section>
      )}
    </div>
  );
}

function near(part: Part, edge: MapEdge): boolean {
  return part.nodes.some((node) => node.name === edge.client) || part.nodes.some((node) => node.name === edge.server);
}

/** The picture, once its boxes have their places. The last one stays until then, so that nothing flickers. */
function Laid({ part, focus, seconds, across }: { part: Part; focus: string; seconds: number; across: boolean }) {
  const { places, failed } = usePlaces(
    part.nodes.map((node) => node.name),
    part.edges.map((edge) => [edge.client, edge.server] as const),
    across,
    part.edges.length <= MOST_LABELS ? WORDS_WIDTH : 0,
  );
  const last = useRef<{ places: Places; part: Part } | undefined>(undefined);
  if (places) last.current = { places, part };
  if (failed) return <EdgeTable edges={part.edges} seconds={seconds} />;
  return last.current ? (
    <Picture places={last.current.places} part={last.current.part} focus={focus} seconds={seconds} />
  ) : (
    <div class="empty" role="status">
      Laying out…
    </div>
  );
}

function EdgeTable({ edges, seconds }: { edges: MapEdge[]; seconds: number }) {
  const colourOf = coloursTogether(edges.flatMap((edge) => [edge.client, edge.server]));
  const service = (name: string) => (
    <Link page="service" id={name} class="whole">
      <span class={`dot ${seriesClass(colourOf(name))}`} /> {plain(name, 80)}
    </Link>
  );
  const columns: Column<MapEdge>[] = [
    { key: "client", head: "Caller", by: (row) => row.client, cell: (row) => service(row.client) },
    { key: "server", head: "Called", by: (row) => row.server, cell: (row) => service(row.server) },
    {
      key: "connection",
      head: "How",
      by: (row) => row.connection,
      cell: (row) => HOW[row.connection] ?? (row.connection || "call"),
    },
    ...callColumns<MapEdge>(seconds),
  ];
  return (
    <SortTable
      rows={edges}
      columns={columns}
      rowKey={(row) => `${row.client} ${row.server} ${row.connection}`}
      initial="-rate"
      label="Calls between services"
    />
  );
}
