// The map as SVG: boxes are links, lines say how much and how well in width, words and pattern.

import { useState } from "preact/hooks";
import type { MapEdge, MapNode } from "../api-types";
import { colourOfName, seriesClass } from "../colours";
import { duration, percent, plain, rate } from "../format";
import { follow, href } from "../state";
import type { Placed } from "./layout";
import type { Part } from "./neighbours";
import { edgeText } from "./words";

const WIDTH = 168;
const HEIGHT = 46;
/** With more lines than this, words stand only on the one that is pointed at. */
const MOST_LABELS = 24;

interface Props {
  placed: Placed;
  part: Part;
  focus: string;
  seconds: number;
}

export function Picture({ placed, part, focus, seconds }: Props) {
  const [over, setOver] = useState<string>("");
  const most = Math.max(1, ...part.edges.map((edge) => edge.calls));
  const fresh = new Map(part.nodes.map((node) => [node.name, node]));
  const calls = new Map(part.edges.map((edge) => [key(edge), edge]));
  return (
    <div class="map-picture">
      <svg
        width={placed.width}
        height={placed.height}
        viewBox={`0 0 ${placed.width} ${placed.height}`}
        aria-label="Service map"
        role="group"
      >
        <defs>
          {(["plain", "bad"] as const).map((tone) => (
            <marker
              key={tone}
              id={`arrow-${tone}`}
              viewBox="0 0 8 8"
              refX="7"
              refY="4"
              markerWidth="7"
              markerHeight="7"
              markerUnits="userSpaceOnUse"
              orient="auto"
            >
              <path class={`arrow ${tone}`} d="M0 0L8 4L0 8Z" />
            </marker>
          ))}
        </defs>
        {placed.edges.map(({ edge: known, points }) => {
          const edge = calls.get(key(known)) ?? known;
          const bad = edge.errors / Math.max(1, edge.calls) >= 0.01;
          const middle = points[Math.floor(points.length / 2)] ?? { x: 0, y: 0 };
          const shown =
            part.edges.length <= MOST_LABELS || over === key(edge) || over === edge.client || over === edge.server;
          const faint = over !== "" && over !== key(edge) && over !== edge.client && over !== edge.server;
          return (
            <g
              key={key(edge)}
              class={`edge ${bad ? "bad" : "plain"} ${faint ? "faint" : ""}`}
              onPointerEnter={() => setOver(key(edge))}
              onPointerLeave={() => setOver("")}
            >
              <title>{edgeText(edge, seconds)}</title>
              <path class="reach" d={curve(points)} />
              <path
                class={`line ${patternOf(edge)} weight-${weight(edge.calls, most)}`}
                d={curve(points)}
                marker-end={`url(#arrow-${bad ? "bad" : "plain"})`}
              />
              {shown && (
                <text x={middle.x} y={middle.y - 5} class="edge-label">
                  {rate(edge.calls / seconds)}
                  {edge.errors > 0 ? (
                    <tspan class={bad ? "bad" : ""}>
                      {" "}
                      · {percent(edge.errors / edge.calls)}
                      {bad ? " !" : ""}
                    </tspan>
                  ) : (
                    ` · ${duration(edge.p50Nanos)}`
                  )}
                </text>
              )}
            </g>
          );
        })}
        {placed.nodes.map(({ node: known, x, y }) => {
          const node = fresh.get(known.name) ?? known;
          return (
            <Node
              key={node.name}
              node={node}
              x={x}
              y={y}
              focused={node.name === focus}
              seconds={seconds}
              onOver={setOver}
            />
          );
        })}
      </svg>
      <p class="muted map-legend">
        Solid: traced on both sides. Dashed: inferred, the called side sent no span. Dotted: messages. Red with “!”: 1 %
        errors or more. Choose a box to put it in the middle.
      </p>
    </div>
  );
}

const key = (edge: MapEdge) => `${edge.client}\u0000${edge.server}\u0000${edge.connection}`;

function patternOf(edge: MapEdge): string {
  if (edge.connection.startsWith("messaging")) return "dotted";
  return edge.connection === "" || edge.connection === "http" ? "solid" : "dashed";
}

function weight(calls: number, most: number): number {
  return Math.max(1, Math.ceil((Math.log1p(calls) / Math.log1p(most)) * 4));
}

function curve(points: { x: number; y: number }[]): string {
  const [first, ...rest] = points;
  if (!first) return "";
  let out = `M${first.x.toFixed(1)} ${first.y.toFixed(1)}`;
  rest.forEach((point, at) => {
    const next = rest[at + 1];
    // Corners are rounded by aiming at the middle between one and the next.
    if (next)
      out += `Q${point.x.toFixed(1)} ${point.y.toFixed(1)} ${((point.x + next.x) / 2).toFixed(1)} ${((point.y + next.y) / 2).toFixed(1)}`;
    else out += `L${point.x.toFixed(1)} ${point.y.toFixed(1)}`;
  });
  return out;
}

const KINDS: Record<string, string> = { database: "database", messaging: "queue", virtual: "not traced" };

function Node({
  node,
  x,
  y,
  focused,
  seconds,
  onOver,
}: {
  node: MapNode;
  x: number;
  y: number;
  focused: boolean;
  seconds: number;
  onOver: (name: string) => void;
}) {
  const share = node.errors / Math.max(1, node.requests);
  const bad = share >= 0.01;
  const errors = share > 0 ? `${percent(share)}${bad ? " !" : ""}` : "";
  // Who only calls takes no requests.
  const traffic = [KINDS[node.kind], node.requests > 0 && rate(node.requests / seconds)].filter(Boolean).join(" · ");
  // The one in the middle leads on to its page.
  const address = focused ? href("service", node.name) : href("map", "", { service: node.name });
  return (
    <a
      href={address}
      class={`node ${node.kind} ${focused ? "focused" : ""} ${seriesClass(colourOfName(node.name))}`}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        follow(address);
      }}
      onPointerEnter={() => onOver(node.name)}
      onPointerLeave={() => onOver("")}
    >
      <rect
        class="box"
        x={x - WIDTH / 2}
        y={y - HEIGHT / 2}
        width={WIDTH}
        height={HEIGHT}
        rx={node.kind === "database" ? 14 : 5}
      />
      <rect class="stripe" x={x - WIDTH / 2 + 11} y={y - 13} width={8} height={8} rx={2} />
      <text class="name" x={x - WIDTH / 2 + 25} y={y - 5}>
        {plain(node.name, 19)}
      </text>
      <text class="facts" x={x - WIDTH / 2 + 12} y={y + 13}>
        {traffic}
        {errors !== "" && <tspan class={bad ? "bad" : ""}> · {errors}</tspan>}
      </text>
    </a>
  );
}
