// A stand-in for the server: the built page, and traces from the generator of any size. For what the demo data does not
// have: a hundred thousand spans, damage, and hostile text.

import { createReadStream, existsSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import { gzipSync } from "node:zlib";
import type { Diagnosis, Skeleton, SpanDetail } from "../src/api-types";
import { detailsOf, diagnosisOf, skeletonOf } from "./skeletons";

export interface FakeTrace {
  skeleton: Skeleton;
  diagnosis: Diagnosis;
  details: SpanDetail[];
}

const TYPES: Record<string, string> = {
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".html": "text/html; charset=utf-8",
};

const POLICY =
  "default-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'self'; base-uri 'self'; form-action 'self'";

export function generated(spans: number): FakeTrace {
  const skeleton = skeletonOf({
    seed: spans,
    spans,
    folded: spans > 100 ? 37 : 0,
    orphans: spans > 100 ? 2 : 0,
    skewed: true,
  });
  return { skeleton, diagnosis: diagnosisOf(skeleton), details: spans <= 20_000 ? detailsOf(skeleton) : [] };
}

/** Serves `dist` and the traces on a free port of the loopback. */
export async function serveFake(
  dist: string,
  traces: Map<string, FakeTrace>,
): Promise<{ url: string; server: Server }> {
  // Packed before it is asked for, so that timings are those of the page.
  const packed = new Map(
    [...traces].map(([id, trace]) => [id, gzipSync(JSON.stringify(trace.skeleton), { level: 1 })] as const),
  );
  const server = createServer((request, response) => {
    void answer(request, response, dist, traces, packed).catch((error) => {
      response.writeHead(500, { "Content-Type": "text/plain" });
      response.end(String(error));
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return { url: `http://127.0.0.1:${address.port}`, server };
}

/** What a server has below a span that was cut: as many spans as the tests say were left out. */
function subtree(root: string): Skeleton {
  const below = skeletonOf({ seed: 5, spans: 1_204 });
  below.spans.id = below.spans.id.map((id, number) => (number === 0 ? root : `a${id.slice(1)}`));
  return below;
}

async function body(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of request) text += String(part);
  return text;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  dist: string,
  traces: Map<string, FakeTrace>,
  packed: Map<string, Buffer>,
): Promise<void> {
  const url = new URL(request.url ?? "/", "http://localhost");
  const json = (value: unknown): void => {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(JSON.stringify(value));
  };
  const path = /^\/api\/v1\/traces\/([0-9a-f]+)\/(\w+)$/.exec(url.pathname);
  const trace = path ? traces.get(path[1]) : undefined;
  if (path && trace) {
    switch (path[2]) {
      case "skeleton": {
        const root = url.searchParams.get("root");
        if (root) return json(subtree(root));
        response.writeHead(200, { "Content-Type": "application/json", "Content-Encoding": "gzip" });
        response.end(packed.get(path[1]));
        return;
      }
      case "diagnosis":
        return json(trace.diagnosis);
      case "spans": {
        const { ids } = JSON.parse(await body(request)) as { ids: string[] };
        const wanted = new Set(ids);
        return json({ spans: trace.details.filter((span) => wanted.has(span.id)) });
      }
      case "find": {
        const text = (url.searchParams.get("q") ?? "").toLowerCase();
        const { strings, spans } = trace.skeleton;
        const found = spans.id.flatMap((_, number) => {
          const label = `${strings[spans.service[number]]} ${strings[spans.name[number]]}`.toLowerCase();
          const isError = text === "status=error" && spans.status[number] === 2;
          return isError || label.includes(text) ? [number] : [];
        });
        return json({ spans: found, ids: found.map((number) => spans.id[number]), total: found.length });
      }
      case "backlinks":
        return json({ links: [], truncated: false });
      case "text":
        response.writeHead(200, { "Content-Type": "text/plain" });
        response.end("**trace**");
        return;
    }
  }
  if (url.pathname === "/api/v1/operations/baseline") {
    return json({
      count: 900,
      p50Nanos: 6e8,
      p90Nanos: 1.2e9,
      p99Nanos: 1.7e9,
      histogram: [
        [1e8, 4],
        [2e8, 40],
        [4e8, 210],
        [8e8, 420],
        [1.6e9, 200],
        [3.2e9, 26],
      ],
      rank: 0.98,
      text: "p98: slower than 98 % of this operation in the last 2 h",
      windowSeconds: 7200,
    });
  }
  if (url.pathname === "/api/v1/tenants") return json({ tenancy: false, tenants: [] });
  if (url.pathname === "/api/v1/status") {
    return json({ version: "test", uptimeSeconds: 1, roles: [], ready: true, tenancy: false, demo: false });
  }
  if (url.pathname.startsWith("/api/")) {
    response.writeHead(404, { "Content-Type": "text/plain" });
    response.end(`No such trace: ${url.pathname}.`);
    return;
  }
  const file = join(dist, normalize(url.pathname));
  const isAsset = extname(file) !== "" && existsSync(file);
  if (url.pathname.startsWith("/assets/") && !isAsset) {
    response.writeHead(404);
    response.end();
    return;
  }
  response.writeHead(200, {
    "Content-Type": TYPES[isAsset ? extname(file) : ".html"] ?? "application/octet-stream",
    "Content-Security-Policy": POLICY,
  });
  createReadStream(isAsset ? file : join(dist, "index.html")).pipe(response);
}
