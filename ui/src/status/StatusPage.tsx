// How the server is: what comes in, what is stored, what is compacted, the object store, caches, and running queries.

import { useEffect } from "preact/hooks";
import { json } from "../api";
import type { Queries, Status } from "../api-types";
import { age, bytes, count, digits, percent, plain, rate, span } from "../format";
import { useLoad } from "../load";
import { Failure, Note } from "../shell/Note";
import { refreshed, tenant } from "../state";
import { Blocks } from "./Blocks";
import { Fact, Facts } from "./Facts";
import { RunningQueries } from "./RunningQueries";

/** How often the numbers are asked for while the page is seen. */
const EVERY_MILLIS = 3_000;

export default function StatusPage() {
  const status = useLoad((signal) => json<Status>("api/v1/status", { signal }), [refreshed.value, tenant.value]);
  const queries = useLoad((signal) => json<Queries>("api/v1/queries", { signal }), [refreshed.value, tenant.value]);
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState !== "visible") return;
      status.reload();
      queries.reload();
    }, EVERY_MILLIS);
    return () => clearInterval(timer);
  }, []);
  const { data, error } = status;
  return (
    <div class="page stack">
      <div class="row">
        <h1>Status</h1>
        {data && (
          <>
            <span class={`tag ${data.ready ? "ok" : "error"}`}>{data.ready ? "ready" : "not ready !"}</span>
            <span class="muted tabular">
              version {data.version} · up {span(data.uptimeSeconds)} · {data.roles.join(", ")}
              {data.demo && " · demo data"}
            </span>
          </>
        )}
      </div>
      {error !== undefined && <Failure error={error} retry={status.reload} />}
      {data?.reason && <Note kind="warning">{plain(data.reason)}</Note>}
      {data && <Overall data={data} />}
      {data && <Details data={data} />}
      <RunningQueries loaded={queries} />
      <Blocks retentionSeconds={data?.retention?.seconds} />
    </div>
  );
}

function Overall({ data }: { data: Status }) {
  const { ingest, blocks, compaction, store, cache, process } = data;
  const levels = blocks?.levels ?? [];
  const sum = (pick: (level: (typeof levels)[number]) => number) => levels.reduce((all, level) => all + pick(level), 0);
  const requests = store?.requests ?? [];
  const failed = requests.reduce((all, line) => all + line.errors, 0);
  const hits = (cache ?? []).reduce((all, line) => all + line.hits, 0);
  const looks = hits + (cache ?? []).reduce((all, line) => all + line.misses, 0);
  return (
    <section class="tiles" aria-label="At a glance">
      {ingest && (
        <Fact
          name="Ingest"
          value={rate(ingest.spansPerSecond)}
          more={`${count(ingest.spansTotal)} spans since the start · ${count(ingest.bufferedSpans)} buffered`}
          bad={ingest.refusedTotal > 0 ? `${count(ingest.refusedTotal)} refused` : undefined}
        />
      )}
      {blocks && (
        <Fact
          name="Stored"
          value={bytes(sum((level) => level.bytes))}
          more={`${count(sum((level) => level.spans))} spans in ${count(sum((level) => level.blocks))} block${sum((level) => level.blocks) === 1 ? "" : "s"}`}
          bad={blocks.quarantined.length > 0 ? `${count(blocks.quarantined.length)} damaged` : undefined}
        />
      )}
      {compaction && (
        <Fact
          name="Compaction"
          value={compaction.due === "nothing" ? "in step" : `${plain(compaction.due, 40)} due`}
          more={`${count(compaction.backlogBlocks)} blocks, ${bytes(compaction.backlogBytes)} waiting`}
          bad={compaction.lastError && "last run failed"}
        />
      )}
      {store && (
        <Fact
          name="Object store"
          value={worst(requests)}
          more={plain(store.url, 80)}
          bad={failed > 0 ? `${count(failed)} ${failed === 1 ? "request" : "requests"} failed` : undefined}
        />
      )}
      {cache && (
        <Fact
          name="Cache"
          value={looks === 0 ? "not asked" : percent(hits / looks)}
          more={looks === 0 ? "" : `hits of ${count(looks)} looks`}
        />
      )}
      {process && (
        <Fact
          name="Process"
          value={bytes(process.residentBytes)}
          more={`${count(process.openFiles)} open files · ${span(process.cpuSeconds)} of processor time`}
        />
      )}
    </section>
  );
}

function worst(requests: NonNullable<Status["store"]>["requests"]): string {
  const slowest = requests.reduce((most, line) => Math.max(most, line.p99Millis), 0);
  return requests.length === 0 ? "no requests" : `p99 ${digits(slowest)} ms`;
}

function Details({ data }: { data: Status }) {
  const { ingest, blocks, compaction, store, cache } = data;
  return (
    <div class="below">
      {ingest && ingest.refused.length > 0 && (
        <Facts
          title="Refused spans"
          heads={["Reason", "Spans"]}
          rows={ingest.refused.map((line) => [plain(line.reason, 160), count(line.count)])}
        />
      )}
      {blocks && blocks.levels.length > 0 && (
        <Facts
          title="Blocks by level"
          note={[
            blocks.retired > 0 && `${count(blocks.retired)} retired`,
            blocks.deletedTraces > 0 && `${count(blocks.deletedTraces)} traces deleted`,
            data.retention?.seconds && `kept for ${span(data.retention.seconds)}`,
          ]
            .filter(Boolean)
            .join(" · ")}
          heads={["Level", "Blocks", "Spans", "Bytes"]}
          rows={blocks.levels.map((line) => [
            String(line.level),
            count(line.blocks),
            count(line.spans),
            bytes(line.bytes),
          ])}
        />
      )}
      {store && store.requests.length > 0 && (
        <Facts
          title="Object store"
          heads={["Request", "Count", "Errors", "p50", "p99"]}
          rows={store.requests.map((line) => [
            line.operation,
            count(line.count),
            line.errors > 0 ? `${count(line.errors)} !` : "0",
            `${digits(line.p50Millis)} ms`,
            `${digits(line.p99Millis)} ms`,
          ])}
        />
      )}
      {cache && cache.length > 0 && (
        <Facts
          title="Caches"
          heads={["Cache", "Hits", "Bytes", "Limit"]}
          rows={cache.map((line) => [
            line.name,
            line.hits + line.misses === 0 ? "–" : percent(line.hits / (line.hits + line.misses)),
            bytes(line.bytes),
            bytes(line.limitBytes),
          ])}
        />
      )}
      {blocks && blocks.quarantined.length > 0 && (
        <Facts
          title="Damaged objects"
          heads={["Object", "Problem"]}
          rows={blocks.quarantined.map((line) => [plain(line.key, 160), plain(line.problem, 200)])}
          isText
        />
      )}
      {compaction?.lastError && <Note kind="error">Compaction: {plain(compaction.lastError)}</Note>}
      {compaction && compaction.backlogBlocks > 0 && compaction.oldestAgeSeconds > 3600 && (
        <Note kind="warning">
          The oldest block that waits for compaction is {age(0, compaction.oldestAgeSeconds * 1000).replace(" ago", "")}{" "}
          old.
        </Note>
      )}
    </div>
  );
}
