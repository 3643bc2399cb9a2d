// The services of one trace and who called whom in it: sums over the skeleton, nothing more. Knows no pixels.
import { ERROR, type TraceModel } from "./model";

export interface ServiceNode {
  /** Code of the service into the trace's strings; -1 stands for callers whose spans are missing. */
  code: number;
  spans: number;
  errors: number;
  selfNanos: number;
  pathNanos: number;
}

export interface ServiceEdge {
  client: number;
  server: number;
  calls: number;
  errors: number;
  /** Of all calls together. */
  totalNanos: number;
  /** Nobody waited for any of them. */
  isAsync: boolean;
}

/** Services by share of the critical path, then of time; calls in the order in which they first happen. */
export function serviceGraph(model: TraceModel): { nodes: ServiceNode[]; edges: ServiceEdge[] } {
  const nodes = new Map<number, ServiceNode>();
  const edges = new Map<string, ServiceEdge>();
  const node = (code: number): ServiceNode => {
    let found = nodes.get(code);
    if (!found) {
      found = { code, spans: 0, errors: 0, selfNanos: 0, pathNanos: 0 };
      nodes.set(code, found);
    }
    return found;
  };
  for (const span of model.preorder) {
    const code = model.service[span];
    const own = node(code);
    const failed = model.status[span] === ERROR ? 1 : 0;
    own.spans++;
    own.errors += failed;
    own.selfNanos += model.self[span];
    own.pathNanos += model.path[span];
    const parent = model.parent[span];
    const client = parent >= 0 ? model.service[parent] : model.missingOf[span] >= 0 ? -1 : code;
    if (client === code) continue;
    if (client < 0) node(client);
    const key = `${client} ${code}`;
    let edge = edges.get(key);
    if (!edge) {
      edge = { client, server: code, calls: 0, errors: 0, totalNanos: 0, isAsync: true };
      edges.set(key, edge);
    }
    edge.calls++;
    edge.errors += failed;
    edge.totalNanos += model.duration[span];
    if (!model.isAsync[span]) edge.isAsync = false;
  }
  const sorted = [...nodes.values()].sort(
    (a, b) => b.pathNanos - a.pathNanos || b.selfNanos - a.selfNanos || a.code - b.code,
  );
  return { nodes: sorted, edges: [...edges.values()] };
}
