// Makes skeletons for tests: random trees, repeats, errors and damage, always the same for the same seed. Stands for a
// server where a test needs more spans than the demo has; its self times and paths are simple, not the product's.
import type { Diagnosis, Skeleton, SpanDetail } from "../src/api-types";

export function random(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4294967296;
  };
}

const OPERATIONS = ["GET /cart", "POST /pay", "SELECT card", "authorize", "rules", "publish order", "GET /limits/{id}"];
const SERVICES = ["edge", "checkout", "pay", "postgres", "bank", "mail", "stock", "search", "auth", "queue"];

export interface Shape {
  seed: number;
  spans: number;
  /** Spans whose parent is not there. */
  orphans?: number;
  /** Members of one fold below the root. */
  folded?: number;
  skewed?: boolean;
}

export function skeletonOf(shape: Shape): Skeleton {
  const next = random(shape.seed);
  const total = shape.spans;
  const parent: number[] = [];
  const start: number[] = [];
  const duration: number[] = [];
  const depth: number[] = [];
  const orphans: number[] = [];
  for (let i = 0; i < total; i++) {
    if (i === 0) {
      parent.push(-1);
      start.push(0);
      duration.push(1.84e9);
      depth.push(0);
      continue;
    }
    if (i >= total - (shape.orphans ?? 0)) {
      orphans.push(i);
      parent.push(-1);
      start.push(0.9e9 + next() * 1e8);
      duration.push(1e8 * next());
      depth.push(0);
      continue;
    }
    const isFolded = i <= (shape.folded ?? 0);
    const near = Math.max(0, i - 1 - Math.floor(next() * Math.min(i, 40)));
    const above = isFolded ? 0 : depth[near] > 12 ? Math.floor(next() * Math.max(1, i / 50)) : near;
    parent.push(above);
    const share = isFolded ? 0.5 / (shape.folded ?? 1) : 0.2 + next() * 0.6;
    duration.push(Math.max(1_000, Math.round(duration[above] * share)));
    const at = isFolded ? 0.2 + (0.5 * (i - 1)) / (shape.folded ?? 1) : next();
    start.push(Math.round(start[above] + at * (duration[above] - duration[i])));
    depth.push(depth[above] + 1);
  }
  const strings = [...SERVICES, ...OPERATIONS, "host-a", "host-b"];
  const kids: number[][] = Array.from({ length: total }, () => []);
  for (let i = 1; i < total; i++) if (parent[i] >= 0) kids[parent[i]].push(i);
  for (const list of kids) list.sort((a, b) => start[a] - start[b] || a - b);
  const preorder: number[] = [];
  const stack = [...orphans].reverse();
  stack.push(0);
  while (stack.length > 0) {
    const span = stack.pop() as number;
    preorder.push(span);
    for (let i = kids[span].length - 1; i >= 0; i--) stack.push(kids[span][i]);
  }
  const self = duration.map((own, i) => {
    let covered = 0;
    let reach = start[i];
    for (const child of kids[i]) {
      const from = Math.max(reach, start[child]);
      const to = Math.min(start[child] + duration[child], start[i] + own);
      if (to > from) covered += to - from;
      reach = Math.max(reach, to);
    }
    return Math.max(0, own - covered);
  });
  const path = new Array<number>(total).fill(0);
  const criticalPath: { span: number; start: number; end: number; working: boolean }[] = [];
  // Down the last-ending child: enough to have something to draw.
  for (let at = 0, lo = start[0], hi = start[0] + duration[0]; ; ) {
    const child = kids[at].at(-1);
    if (child === undefined || start[child] <= lo) {
      criticalPath.push({ span: at, start: lo, end: hi, working: true });
      path[at] += hi - lo;
      break;
    }
    const end = Math.min(hi, start[child] + duration[child]);
    criticalPath.push({ span: at, start: lo, end: start[child], working: true });
    if (end < hi) criticalPath.push({ span: at, start: end, end: hi, working: true });
    path[at] += start[child] - lo + hi - end;
    at = child;
    lo = start[child];
    hi = end;
  }
  criticalPath.sort((a, b) => a.start - b.start);
  const service = depth.map((level, i) =>
    i <= (shape.folded ?? 0) && i > 0 ? 3 : (level + Math.floor(next() * 3)) % SERVICES.length,
  );
  const name = depth.map((_, i) =>
    i <= (shape.folded ?? 0) && i > 0 ? SERVICES.length + 2 : SERVICES.length + Math.floor(next() * OPERATIONS.length),
  );
  const status = depth.map((_, i) => (i > (shape.folded ?? 0) && next() < 0.01 ? 2 : 0));
  const zero = (): number[] => new Array<number>(total).fill(0);
  const services = SERVICES.map((label, code) => ({
    name: label,
    spans: service.filter((other) => other === code).length,
    errors: 0,
    selfNanos: 0,
    pathNanos: 0,
  })).filter((one) => one.spans > 0);
  return {
    version: 1,
    traceId: shape.seed.toString(16).padStart(32, "0"),
    startUnixNanos: "1764115200000000000",
    durationNanos: 1.84e9,
    spanCount: total,
    copyCount: 0,
    errorCount: status.filter((code) => code === 2).length,
    root: 0,
    shape: "oneRoot",
    truncated: false,
    strings,
    spans: {
      id: depth.map((_, i) => (i + 1).toString(16).padStart(16, "0")),
      parent,
      start,
      duration,
      service,
      name,
      host: depth.map(() => SERVICES.length + OPERATIONS.length),
      kind: depth.map((level) => (level % 2 === 0 ? 2 : 3)),
      status,
      flags: zero(),
      events: depth.map(() => (next() < 0.1 ? 1 : 0)),
      links: zero(),
      self,
      path,
      depth,
      async: depth.map((_, i) => (i > 0 && next() < 0.03 ? 1 : 0)),
    },
    preorder,
    services,
    orphans,
    missingParents:
      orphans.length > 0
        ? [
            {
              id: "0000000000007ad1",
              children: orphans,
              startNanos: 0.9e9,
              endNanos: 1.1e9,
              cause: "callerNotExporting",
              text: "Check that whoever calls it exports its spans.",
            },
          ]
        : [],
    criticalPath,
    gaps: [{ span: 0, start: 1.2e9, end: 1.5e9 }],
    folds:
      (shape.folded ?? 0) >= 5
        ? [{ parent: 0, spans: Array.from({ length: shape.folded ?? 0 }, (_, i) => i + 1) }]
        : [],
    clock: shape.skewed ? [{ host: "host-b", offsetNanos: -38e6, uncertaintyNanos: 1e6, verdict: "skewed" }] : [],
    ...(shape.skewed ? { adjusted: { start: start.map((at, i) => (i % 3 === 0 ? at : at + 38e6)) } } : {}),
  };
}

export function diagnosisOf(skeleton: Skeleton): Diagnosis {
  const { strings, spans } = skeleton;
  const totals = new Map<string, NonNullable<Diagnosis["operations"]>[number]>();
  const kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"];
  spans.id.forEach((_, i) => {
    const key = `${spans.service[i]} ${spans.name[i]} ${spans.kind[i]}`;
    const total = totals.get(key) ?? {
      service: strings[spans.service[i]],
      name: strings[spans.name[i]],
      kind: kinds[spans.kind[i]],
      count: 0,
      errors: 0,
      totalNanos: 0,
      selfNanos: 0,
      pathNanos: 0,
      maxNanos: 0,
    };
    total.count++;
    total.errors += spans.status[i] === 2 ? 1 : 0;
    total.totalNanos += spans.duration[i];
    total.selfNanos += spans.self[i];
    total.pathNanos += spans.path[i];
    total.maxNanos = Math.max(total.maxNanos, spans.duration[i]);
    totals.set(key, total);
  });
  return {
    version: 1,
    traceId: skeleton.traceId,
    startUnixNanos: skeleton.startUnixNanos,
    durationNanos: skeleton.durationNanos,
    spanCount: skeleton.spanCount,
    errorCount: skeleton.errorCount,
    shown: 5,
    findings: (skeleton.folds ?? []).map((fold) => ({
      rule: "n-plus-one",
      title: "N+1 queries",
      spans: fold.spans,
      spanIds: fold.spans.map((span) => spans.id[span]),
      evidence: [{ name: "calls", unit: "count", value: fold.spans.length }],
      atStakeNanos: 0.4e9,
      shareOfRoot: 0.22,
      confidence: "high",
      text: `N+1: ${fold.spans.length} calls of postgres SELECT card, one after the other: one call for all of them saves about 400 ms.`,
      doc: "docs/findings/n-plus-one.md",
    })),
    operations: [...totals.values()],
    pathByOperation: [],
    overheads: [],
    excess: [],
    errors: { culprits: [], edges: [] },
    baseline: { windowSeconds: 7200, operations: 1 },
    percentiles: { "0": { rank: 0.98, text: "p98", medianNanos: 0.6e9, count: 900 } },
  };
}

export function detailsOf(skeleton: Skeleton): SpanDetail[] {
  const { strings, spans } = skeleton;
  return spans.id.map((id, i) => ({
    id,
    ...(spans.parent[i] >= 0 ? { parentId: spans.id[spans.parent[i]] } : {}),
    name: strings[spans.name[i]],
    kind: "server",
    flags: 0,
    scope: { name: "generator", version: "1", attributes: [] },
    links: [],
    service: strings[spans.service[i]],
    startUnixNanos: String(BigInt(skeleton.startUnixNanos) + BigInt(Math.round(spans.start[i]))),
    durationNanos: spans.duration[i],
    status: { code: spans.status[i] === 2 ? "error" : "unset" },
    attributes: [{ key: "http.route", type: "string", value: `/item/${i % 7}` }],
    resource: [{ key: "service.name", type: "string", value: strings[spans.service[i]] }],
    events: spans.events[i] ? [{ name: "cache miss", offsetNanos: spans.duration[i] / 2, attributes: [] }] : [],
  }));
}
