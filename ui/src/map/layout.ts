// Places of the services on a map: layered from callers to called, by dagre. It takes half a second for a hundred
// services, so it runs in a worker (`layout-worker.ts`), which is a file of its own.

import { Graph, layout } from "@dagrejs/dagre";
import { type Asked, NODE_HEIGHT, NODE_WIDTH, type Places, type Point } from "./boxes";

export function place({ nodes, edges, across, words }: Asked): Places {
  const graph = new Graph({ directed: true, multigraph: true });
  // Words take part in the layout as boxes of their own, so that they cover neither each other nor a service.
  const ranksep = words > 0 ? (across ? 44 : 36) : across ? 124 : 56;
  graph.setGraph({ rankdir: across ? "LR" : "TB", nodesep: 18, ranksep, marginx: 12, marginy: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (let node = 0; node < nodes; node++) graph.setNode(String(node), { width: NODE_WIDTH, height: NODE_HEIGHT });
  edges.forEach(([from, to], at) => {
    const label = words > 0 ? { width: words, height: 12, labelpos: "c" } : {};
    if (from !== to) graph.setEdge(String(from), String(to), label, String(at));
  });
  layout(graph);
  const laid = edges.map(
    ([from, to], at) =>
      graph.edge(String(from), String(to), String(at)) as ({ points?: Point[] } & Partial<Point>) | undefined,
  );
  const size = graph.graph() as { width?: number; height?: number };
  return {
    width: Math.ceil(size.width ?? 0),
    height: Math.ceil(size.height ?? 0),
    nodes: Array.from({ length: nodes }, (_, node) => {
      const { x, y } = graph.node(String(node)) as Point;
      return { x, y };
    }),
    edges: laid.map((edge) => (edge?.points ?? []).map(({ x, y }) => ({ x, y }))),
    words: laid.map((edge) => {
      const middle = edge?.points?.[Math.floor(edge.points.length / 2)] ?? { x: 0, y: 0 };
      return { x: edge?.x ?? middle.x, y: edge?.y ?? middle.y - 8 };
    }),
  };
}
