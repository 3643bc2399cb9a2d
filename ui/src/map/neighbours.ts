// Which part of a large map is drawn: the neighbourhood of a service, or the busiest services when none is chosen. Pure.

import type { MapEdge, MapNode, ServiceMap } from "../api-types";

/** More boxes than this are no picture. */
export const MOST_NODES = 60;

export interface Part {
  nodes: MapNode[];
  edges: MapEdge[];
  /** Services that are left out. */
  folded: number;
}

export function partOf(map: ServiceMap, focus: string, hops: number): Part {
  const near = focus === "" ? undefined : within(map, focus, hops);
  const busy = [...map.nodes]
    .filter((node) => near?.has(node.name) ?? true)
    .sort(
      (a, b) =>
        Number(b.name === focus) - Number(a.name === focus) || b.requests - a.requests || (a.name < b.name ? -1 : 1),
    );
  const nodes = busy.slice(0, MOST_NODES);
  const kept = new Set(nodes.map((node) => node.name));
  return {
    nodes,
    edges: map.edges.filter((edge) => kept.has(edge.client) && kept.has(edge.server)),
    folded: busy.length - nodes.length,
  };
}

/** Services at most so many calls away, in either direction. */
function within(map: ServiceMap, focus: string, hops: number): Set<string> {
  const found = new Set([focus]);
  let edge = [focus];
  for (let hop = 0; hop < hops; hop++) {
    const next: string[] = [];
    for (const { client, server } of map.edges) {
      for (const [here, there] of [
        [client, server],
        [server, client],
      ] as const) {
        if (edge.includes(here) && !found.has(there)) {
          found.add(there);
          next.push(there);
        }
      }
    }
    edge = next;
  }
  return found;
}
