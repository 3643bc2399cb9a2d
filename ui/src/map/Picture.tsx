// The map as SVG: boxes are links, lines say how much and how well in width, words and pattern.

import { useState } from "preact/hooks";
import type { MapEdge, MapNode } from "../api-types";
import { coloursTogether, seriesClass } from "../colours";
import { duration, percent, plain, rate } from "../format";
import { follow, href } from "../state";
import { Arrowheads } from "./Arrowheads";
import { curve, fitting, NODE_HEIGHT, NODE_WIDTH, type Places, type Point, weight, widthOf } from "./boxes";
import type { Part } from "./neighbours";
import { edgeText } from "./words";

/** With more lines than this, words stand only on the one that is pointed at. */
export const MOST_LABELS = 24;
export const WORDS_WIDTH = 96;

interface Props {
  places: Places;
  part: Part;
  focus: string;
  seconds: number;
}

export function Picture({ places, part, focus, seconds }: Props) {
  const [over, setOver] = useState<string>("");
  const most = Math.max(1, ...part.edges.map((edge) => edge.calls));
  const colourOf = coloursTogether(part.nodes.map((node) => node.name));
  return (
    <div class="map-picture">
      <svg
        width={places.width}
        height={places.height}
        style={fitting(places.width)}
        viewBox={`0 0 ${places.width} ${places.height}`}
        aria-label="Service map"
        role="group"
      >
        <Arrowheads name="arrow" />
        {part.edges.map((edge, at) => {
          const points = places.edges[at] ?? [];
          if (points.length === 0) return null;
          const bad = edge.errors / Math.max(1, edge.calls) >= 0.01;
          const middle = places.words[at] ?? { x: 0, y: 0 };
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
              {shown && <EdgeWords edge={edge} bad={bad} at={middle} seconds={seconds} />}
            </g>
          );
        })}
        {part.nodes.map((node, at) => {
          const { x, y } = places.nodes[at] ?? { x: 0, y: 0 };
          return (
            <Node
              key={node.name}
              node={node}
              x={x}
              y={y}
              focused={node.name === focus}
              seconds={seconds}
              colour={colourOf(node.name)}
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

/** How much and how well, on a ground of its own, so that no line goes through the words. */
function EdgeWords({ edge, bad, at, seconds }: { edge: MapEdge; bad: boolean; at: Point; seconds: number }) {
  const often = rate(edge.calls / seconds);
  const well = edge.errors > 0 ? `${percent(edge.errors / edge.calls)}${bad ? " !" : ""}` : duration(edge.p50Nanos);
  const width = widthOf(`${often} · ${well}`);
  return (
    <>
      <rect class="edge-ground" x={at.x - width / 2} y={at.y - 8} width={width} height={16} />
      <text x={at.x} y={at.y + 4} class="edge-label">
        {often} · <tspan class={bad ? "bad" : ""}>{well}</tspan>
      </text>
    </>
  );
}

const key = (edge: MapEdge) => `${edge.client}\u0000${edge.server}\u0000${edge.connection}`;

function patternOf(edge: MapEdge): string {
  if (edge.connection.startsWith("messaging")) return "dotted";
  return edge.connection === "" || edge.connection === "http" ? "solid" : "dashed";
}

const KINDS: Record<string, string> = { database: "database", messaging: "queue", virtual: "not traced" };

function Node({
  node,
  x,
  y,
  focused,
  seconds,
  colour,
  onOver,
}: {
  node: MapNode;
  x: number;
  y: number;
  focused: boolean;
  seconds: number;
  colour: number;
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
      class={`node ${node.kind} ${focused ? "focused" : ""} ${seriesClass(colour)}`}
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
        x={x - NODE_WIDTH / 2}
        y={y - NODE_HEIGHT / 2}
        width={NODE_WIDTH}
        height={NODE_HEIGHT}
        rx={node.kind === "database" ? 14 : 5}
      />
      <rect class="stripe" x={x - NODE_WIDTH / 2 + 11} y={y - 13} width={8} height={8} rx={2} />
      <svg x={x - NODE_WIDTH / 2 + 25} y={y - 21} width={NODE_WIDTH - 33} height={22} aria-hidden="true">
        <text class="name" x={0} y={16}>
          {plain(node.name, 22)}
        </text>
      </svg>
      <text class="facts" x={x - NODE_WIDTH / 2 + 12} y={y + 13}>
        {traffic}
        {errors !== "" && <tspan class={bad ? "bad" : ""}> · {errors}</tspan>}
      </text>
    </a>
  );
}
