// A trace of the server, by id.
import { json, text } from "../api";
import type { Backlinks, Diagnosis, FindResult, OperationBaseline, Skeleton, SpanDetail } from "../api-types";
import { fromTempo } from "./otlp";
import type { TraceSource } from "./source";

/** `around` narrows where the server looks (Unix seconds); without it the id alone is enough. */
export function serverSource(traceId: string, around: { start?: string; end?: string } = {}): TraceSource {
  const path = `api/v1/traces/${encodeURIComponent(traceId)}`;
  return {
    isFile: false,
    skeleton: (signal, below) => json<Skeleton>(`${path}/skeleton`, { params: { ...around, root: below }, signal }),
    diagnosis: (signal) => json<Diagnosis>(`${path}/diagnosis`, { params: around, signal }),
    details: async (ids, signal) =>
      (await json<{ spans: SpanDetail[] }>(`${path}/spans`, { params: around, body: { ids }, signal })).spans,
    find: (q, signal) => json<FindResult>(`${path}/find`, { params: { ...around, q }, signal }),
    backlinks: (signal) => json<Backlinks>(`${path}/backlinks`, { params: around, signal }),
    standing: (operation, signal) =>
      json<OperationBaseline>("api/v1/operations/baseline", { params: { ...operation }, signal }),
    markdown: () => text(`${path}/text`, { params: { ...around, format: "markdown" } }),
    otlp: async () =>
      fromTempo(
        await text(`api/traces/${encodeURIComponent(traceId)}`, {
          params: around,
          headers: { Accept: "application/json" },
        }),
      ),
  };
}
