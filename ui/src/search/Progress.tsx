// How far a search is, a way to stop it, and in the end an honest word on what was covered.

import { useEffect, useState } from "preact/hooks";
import { bytes, count, duration, percent } from "../format";
import { Glyph } from "../shell/Glyph";
import { progress, type Run } from "./run";

/** A search that is faster shows no bar. */
const SHOW_AFTER_MILLIS = 200;

export function Progress({ run, onStop }: { run: Run; onStop: () => void }) {
  const [now, setNow] = useState(performance.now());
  const running = run.state === "running";
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => setNow(performance.now()), 100);
    return () => clearInterval(timer);
  }, [running, run.startedMillis]);
  const elapsed = now - run.startedMillis;
  if (!running || elapsed < SHOW_AFTER_MILLIS) return null;
  const share = progress(run.metrics);
  return (
    <div class="search-progress">
      <progress value={share} max={1} aria-label="Progress of the search">
        {percent(share)}
      </progress>
      <span class="tabular">{percent(share)}</span>
      <span class="muted tabular">{inspected(run)}</span>
      <span class="muted tabular">{duration(elapsed * 1e6)}</span>
      <button type="button" class="small" onClick={onStop}>
        <Glyph name="stop" /> Stop
      </button>
    </div>
  );
}

/** `88/144 blocks · 2.1 GB · 1.9 M spans`. */
function inspected({ metrics }: Run): string {
  const parts: string[] = [];
  if (metrics.totalJobs) parts.push(`${metrics.completedJobs ?? 0}/${metrics.totalJobs} blocks`);
  if (metrics.inspectedBytes) parts.push(bytes(Number(metrics.inspectedBytes)));
  if (metrics.inspectedSpans) parts.push(`${count(Number(metrics.inspectedSpans))} spans`);
  return parts.join(" · ");
}

export function Summary({ run, limit, onMore }: { run: Run; limit: number; onMore: () => void }) {
  const found = run.traces.length;
  const traces = `${count(found)} trace${found === 1 ? "" : "s"}`;
  if (run.state === "running") return <span class="tabular">{traces} so far</span>;
  if (run.state === "stopped") {
    return (
      <span class="tabular">
        {traces} · <strong>stopped at {percent(progress(run.metrics))}</strong>, the rest was not read
      </span>
    );
  }
  if (run.state === "failed") return <span class="tabular">{traces} before the search failed</span>;
  const took = run.tookMillis === undefined ? "" : ` · ${duration(run.tookMillis * 1e6)}`;
  return (
    <>
      <span class="tabular" title={`Read ${inspected(run)}`}>
        {found >= limit ? `The first ${traces} found` : traces}
        <span class="muted">
          {took}
          {run.metrics.inspectedBytes ? ` · read ${bytes(Number(run.metrics.inspectedBytes))}` : ""}
        </span>
      </span>
      {found >= limit && (
        <button type="button" class="small" onClick={onMore}>
          Up to {count(limit * 5)}
        </button>
      )}
    </>
  );
}
