// The services of this trace as a map: who called whom, how often, how it went, and where the critical path lies.

import { useMemo } from "preact/hooks";
import { count, duration, percent } from "../format";
import { Arrowheads } from "../map/Arrowheads";
import { curve, fitting, NODE_HEIGHT, NODE_WIDTH, type Point, weight, widthOf } from "../map/boxes";
import { usePlaces } from "../map/places";
import { coloursBy } from "./colours";
import { visibleLine } from "./hostile";
import type { TraceModel } from "./model";
import { type ServiceEdge, type ServiceNode, serviceGraph } from "./service-graph";
import type { TraceStore } from "./store";

/** A saved file goes without: its viewer has a stand-in that says so. */
export const HAS_MAP = true;

/** More boxes than this are no picture. */
const MOST = 60;
const WORDS_WIDTH = 104;

export function TraceMap({ store }: { store: TraceStore }) {
  const model = store.model.value;
  if (!model) return null;
  return <Graph store={store} model={model} />;
}

function Graph({ store, model }: { store: TraceStore; model: TraceModel }) {
  const { nodes, edges, folded } = useMemo(() => {
    const all = serviceGraph(model);
    const kept = all.nodes.slice(0, MOST);
    const known = new Set(kept.map((node) => node.code));
    return {
      nodes: kept,
      edges: all.edges.filter((edge) => known.has(edge.client) && known.has(edge.server)),
      folded: all.nodes.length - kept.length,
    };
  }, [model]);
  const colours = useMemo(
    () => new Map(coloursBy(model, "service").legend.map((entry) => [entry.label, entry.series])),
    [model],
  );
  const { places, failed } = usePlaces(
    nodes.map((node) => String(node.code)),
    edges.map((edge) => [String(edge.client), String(edge.server)] as const),
    true,
    WORDS_WIDTH,
  );
  const nameOf = (code: number): string =>
    code < 0 ? "missing caller" : visibleLine(model.strings[code] || "unknown service");
  if (failed)
    return <p class="empty">This browser starts no worker to lay the map out. The table has the same numbers.</p>;
  if (!places) {
    return (
      <p class="empty" role="status">
        Laying out…
      </p>
    );
  }
  const wholePath = Math.max(
    1,
    nodes.reduce((sum, node) => sum + node.pathNanos, 0),
  );
  const most = Math.max(1, ...edges.map((edge) => edge.calls));
  return (
    <section class="trace-map map-picture" tabIndex={0} aria-label="Services of this trace">
      <svg
        width={places.width}
        height={places.height}
        style={fitting(places.width)}
        viewBox={`0 0 ${places.width} ${places.height}`}
        aria-label="Who called whom in this trace"
        role="group"
      >
        <Arrowheads name="called" />
        {edges.map((edge, at) => (
          <Edge
            key={`${edge.client} ${edge.server}`}
            edge={edge}
            points={places.edges[at] ?? []}
            middle={places.words[at] ?? { x: 0, y: 0 }}
            most={most}
            words={`${nameOf(edge.client)} to ${nameOf(edge.server)}`}
          />
        ))}
        {nodes.map((node, at) => (
          <Box
            key={node.code}
            node={node}
            at={places.nodes[at] ?? { x: 0, y: 0 }}
            name={nameOf(node.code)}
            series={colours.get(model.strings[node.code] || "unknown") ?? 0}
            share={node.pathNanos / wholePath}
            onChoose={() => {
              if (node.code < 0) return;
              store.setTab("waterfall");
              store.showGroup({ service: model.strings[node.code] ?? "", name: "", kind: "" }, "service");
            }}
          />
        ))}
      </svg>
      <p class="muted map-legend">
        {folded > 0 && `${count(folded)} services with less time are left out. `}
        Per cent: share of the critical path. Dotted: nobody waited. Red with “!”: failed. Choose a service to find its
        spans.
      </p>
    </section>
  );
}

function Edge(props: { edge: ServiceEdge; points: Point[]; middle: Point; most: number; words: string }) {
  const { edge, points, middle, most, words } = props;
  if (points.length === 0) return null;
  const bad = edge.errors > 0;
  const often = `${count(edge.calls)}× · ${duration(edge.totalNanos)}`;
  const failed = bad ? ` · ${count(edge.errors)} !` : "";
  const width = widthOf(often + failed);
  const pattern = edge.client < 0 ? "dashed" : edge.isAsync ? "dotted" : "solid";
  return (
    <g class={`edge ${bad ? "bad" : "plain"}`}>
      <title>
        {words}: {count(edge.calls)} call{edge.calls === 1 ? "" : "s"}, {duration(edge.totalNanos)} together
        {bad ? `, ${count(edge.errors)} failed` : ""}
      </title>
      <path class="reach" d={curve(points)} />
      <path
        class={`line ${pattern} weight-${weight(edge.calls, most)}`}
        d={curve(points)}
        marker-end={`url(#called-${bad ? "bad" : "plain"})`}
      />
      <rect class="edge-ground" x={middle.x - width / 2} y={middle.y - 8} width={width} height={16} />
      <text x={middle.x} y={middle.y + 4} class="edge-label">
        {often}
        {bad && <tspan class="bad">{failed}</tspan>}
      </text>
    </g>
  );
}

/** Letters of a name that fit into a box. */
const NAME = 22;

function Box(props: {
  node: ServiceNode;
  at: Point;
  name: string;
  series: number;
  share: number;
  onChoose: () => void;
}) {
  const { node, at, name, series, share, onChoose } = props;
  const left = at.x - NODE_WIDTH / 2;
  const isMissing = node.code < 0;
  const facts = isMissing
    ? "sends no spans here"
    : `${count(node.spans)} span${node.spans === 1 ? "" : "s"} · ${percent(share)}`;
  const failed = node.errors > 0 ? ` · ${count(node.errors)} !` : "";
  return (
    <g
      class={`node service ${isMissing ? "virtual" : ""} series-${series}`}
      role="button"
      // In SVG names of attributes count case.
      tabindex={isMissing ? -1 : 0}
      onClick={onChoose}
      onKeyDown={(event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        onChoose();
      }}
    >
      {/* Its name for screen readers too. */}
      <title>{`${name} ${facts}${failed}${failed && " failed"}`}</title>
      <rect class="box" x={left} y={at.y - NODE_HEIGHT / 2} width={NODE_WIDTH} height={NODE_HEIGHT} rx={5} />
      {!isMissing && <rect class="stripe" x={left + 11} y={at.y - 13} width={8} height={8} rx={2} />}
      <svg
        x={left + (isMissing ? 12 : 25)}
        y={at.y - 21}
        width={NODE_WIDTH - (isMissing ? 20 : 33)}
        height={22}
        aria-hidden="true"
      >
        <text class="name" x={0} y={16}>
          {name.length > NAME ? `${name.slice(0, NAME - 1)}…` : name}
        </text>
      </svg>
      <text class="facts" x={left + 12} y={at.y + 13}>
        {facts}
        {failed && <tspan class="bad">{failed}</tspan>}
      </text>
    </g>
  );
}
