// One search: its lines as they come, put together into traces. Knows no component.

import { isAbort, lines } from "../api";
import type { FoundTrace, SearchLine, SearchMetrics } from "../api-types";

export interface Run {
  state: "running" | "done" | "stopped" | "failed";
  traces: FoundTrace[];
  metrics: SearchMetrics;
  /** Why the server ended before everything was read. */
  bound?: string;
  error?: unknown;
  startedMillis: number;
  tookMillis?: number;
}

export interface Asked {
  q: string;
  start: string;
  end: string;
  limit: number;
}

/** Runs a search and tells of it at most once a frame. Aborting `signal` ends it, here and on the server. */
export async function search(asked: Asked, signal: AbortSignal, tell: (run: Run) => void): Promise<void> {
  const found = new Map<string, FoundTrace>();
  const run: Run = { state: "running", traces: [], metrics: {}, startedMillis: performance.now() };
  let waiting = false;
  const changed = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (run.state === "running" && !signal.aborted) tell({ ...run, traces: [...found.values()] });
    });
  };
  const end = (state: Run["state"]) => {
    run.state = state;
    tell({ ...run, traces: [...found.values()], tookMillis: performance.now() - run.startedMillis });
  };
  tell({ ...run });
  try {
    const params = { q: asked.q, start: asked.start, end: asked.end, limit: asked.limit, spss: 3 };
    for await (const line of lines<SearchLine>("api/v1/search", { params, signal })) {
      if (line.type === "error") throw new Error(line.message);
      if (line.type === "traces") for (const trace of line.traces) found.set(trace.traceID, trace);
      else run.metrics = line.metrics;
      if (line.type === "done") {
        if (line.stopped) run.bound = line.stopped;
        return end("done");
      }
      changed();
    }
    throw new Error("The connection ended before the search did.");
  } catch (error) {
    if (isAbort(error) || signal.aborted) return end("stopped");
    run.error = error;
    end("failed");
  }
}

/** Share of the work done, from 0 to 1. */
export function progress({ completedJobs = 0, totalJobs = 0 }: SearchMetrics): number {
  return totalJobs > 0 ? Math.min(1, completedJobs / totalJobs) : 0;
}
