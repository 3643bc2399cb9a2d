// Places of the services on the map: layered from callers to called, by dagre. A chunk of its own.

import { Graph, layout } from "@dagrejs/dagre";
import type { MapEdge, MapNode } from "../api-types";

export const NODE_WIDTH = 168;
export const NODE_HEIGHT = 46;

export interface Placed {
  width: number;
  height: number;
  nodes: { node: MapNode; x: number; y: number }[];
  edges: { edge: MapEdge; points: { x: number; y: number }[] }[];
}

export function place(nodes: MapNode[], edges: MapEdge[], across: boolean): Placed {
  const graph = new Graph({ directed: true, multigraph: true });
  graph.setGraph({ rankdir: across ? "LR" : "TB", nodesep: 18, ranksep: across ? 124 : 56, marginx: 12, marginy: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { name } of nodes) graph.setNode(name, { width: NODE_WIDTH, height: NODE_HEIGHT });
  edges.forEach((edge, at) => {
    // A service that calls itself is told in its box.
    if (edge.client !== edge.server && graph.hasNode(edge.client) && graph.hasNode(edge.server)) {
      graph.setEdge(edge.client, edge.server, {}, String(at));
    }
  });
  layout(graph);
  const size = graph.graph() as { width?: number; height?: number };
  return {
    width: Math.ceil(size.width ?? 0),
    height: Math.ceil(size.height ?? 0),
    nodes: nodes.map((node) => {
      const at = graph.node(node.name) as { x: number; y: number };
      return { node, x: at.x, y: at.y };
    }),
    edges: edges.flatMap((edge, at) => {
      const found = graph.edge(edge.client, edge.server, String(at)) as
        | { points?: { x: number; y: number }[] }
        | undefined;
      return found?.points ? [{ edge, points: found.points }] : [];
    }),
  };
}
