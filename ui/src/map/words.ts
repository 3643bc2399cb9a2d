// Calls between services in words.

import type { MapEdge } from "../api-types";
import { duration, percent, plain, rate } from "../format";

/** How an edge is called in words. */
export const HOW: Record<string, string> = {
  "": "call",
  http: "call",
  database: "database",
  messaging: "messages",
  messaging_system: "messages",
  virtual: "inferred",
  virtual_node: "inferred",
};

/** An edge in words, for its tooltip and for screen readers. */
export function edgeText(edge: MapEdge, seconds: number): string {
  const errors = edge.errors === 0 ? "no errors" : `${percent(edge.errors / Math.max(1, edge.calls))} errors`;
  return `${plain(edge.client, 60)} to ${plain(edge.server, 60)}: ${rate(edge.calls / seconds)}, ${errors}, p50 ${duration(edge.p50Nanos)}, p99 ${duration(edge.p99Nanos)}${HOW[edge.connection] && HOW[edge.connection] !== "call" ? `, ${HOW[edge.connection]}` : ""}`;
}
