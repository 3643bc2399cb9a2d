// The blocks of the store, page by page; one of them opened shows its columns and why it is not compacted.

import { useState } from "preact/hooks";
import { json } from "../api";
import type { BlockFacts, BlockPage, BlockRow } from "../api-types";
import { age, bytes, count, dateTime, millisOf, percent, plain } from "../format";
import { useLoad } from "../load";
import { Glyph } from "../shell/Glyph";
import { Failure } from "../shell/Note";
import { param, refreshed, setParams, tenant, utc } from "../state";

const PAGE_BLOCKS = 25;

export function Blocks({ retentionSeconds }: { retentionSeconds: number | undefined }) {
  const [after, setAfter] = useState<string[]>([]);
  const from = after.at(-1);
  const { data, error, loading, reload } = useLoad(
    (signal) => json<BlockPage>("api/v1/status/blocks", { params: { limit: PAGE_BLOCKS, after: from }, signal }),
    [from, refreshed.value, tenant.value],
  );
  const open = param("block");
  if (error !== undefined && !data) return <Failure error={error} retry={reload} />;
  if (!data) return null;
  return (
    <section class={`panel blocks ${loading ? "stale" : ""}`} aria-label="Blocks">
      <header>
        <h2>Blocks</h2>
        {retentionSeconds !== undefined && <span class="muted">dropped when their youngest span is too old</span>}
        <span class="grow" />
        <button type="button" class="small" disabled={after.length === 0} onClick={() => setAfter(after.slice(0, -1))}>
          <Glyph name="left" /> Newer
        </button>
        <button
          type="button"
          class="small"
          disabled={!data.next}
          onClick={() => data.next && setAfter([...after, data.next])}
        >
          Older <Glyph name="right" />
        </button>
      </header>
      {data.blocks.length === 0 ? (
        <p class="body muted">No blocks yet: spans are in memory until the first one is written.</p>
      ) : (
        <div class="scroll-x">
          <table class="grid">
            <thead>
              <tr>
                <th scope="col">Block</th>
                <th class="num time-column" scope="col">
                  Level
                </th>
                <th class="num time-column" scope="col">
                  Spans
                </th>
                <th class="num time-column" scope="col">
                  Traces
                </th>
                <th class="num time-column" scope="col">
                  Bytes
                </th>
                <th class="span-column" scope="col">
                  Spans from, to
                </th>
                <th class="time-column" scope="col">
                  Written
                </th>
                <th class="time-column" scope="col">
                  State
                </th>
              </tr>
            </thead>
            <tbody>
              {data.blocks.map((block) => (
                <Block key={block.key} block={block} open={open === block.key} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Block({ block, open }: { block: BlockRow; open: boolean }) {
  const from = millisOf(block.fromUnixNanos);
  const to = millisOf(block.toUnixNanos);
  return (
    <>
      <tr class={open ? "chosen" : ""}>
        <td title={plain(block.key)}>
          <button
            type="button"
            class="quiet small block-name"
            aria-expanded={open}
            onClick={() => setParams({ block: open ? undefined : block.key })}
          >
            <Glyph name={open ? "down" : "right"} />
            <span class="mono">{plain(block.key.split("/").at(-1) ?? block.key, 60)}</span>
          </button>
        </td>
        <td class="num">{block.level}</td>
        <td class="num">{count(block.spans)}</td>
        <td class="num">{count(block.traces)}</td>
        <td class="num">{bytes(block.bytes)}</td>
        <td class="tabular">
          {dateTime(from, utc.value)} – {dateTime(to, utc.value).slice(11)}
        </td>
        <td class="tabular">{age(millisOf(block.writtenUnixNanos), Date.now())}</td>
        <td>{block.state}</td>
      </tr>
      {open && (
        <tr class="block-facts">
          <td colSpan={8}>
            <Inside blockKey={block.key} />
          </td>
        </tr>
      )}
    </>
  );
}

function Inside({ blockKey }: { blockKey: string }) {
  const path = blockKey.split("/").map(encodeURIComponent).join("/");
  const { data, error } = useLoad((signal) => json<BlockFacts>(`api/v1/status/blocks/${path}`, { signal }), [blockKey]);
  if (error !== undefined) return <Failure error={error} />;
  if (!data) return <span class="muted">Reading the footer…</span>;
  const all = [...data.columns, ...data.indexes].reduce((sum, part) => sum + part.bytes, 0);
  const parts = [
    ...data.columns.map((column) => ({ ...column, index: false })),
    ...data.indexes.map((index) => ({ ...index, rawBytes: 0, index: true })),
  ].sort((a, b) => b.bytes - a.bytes);
  return (
    <div class="inside">
      <p>{plain(data.why)}</p>
      <ul>
        {parts.slice(0, 40).map((part) => (
          <li key={`${part.index} ${part.name}`}>
            <span class="clip">
              {plain(part.name, 60)} {part.index && <span class="tag">index</span>}
            </span>
            <svg width="100%" height="8" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
              <rect
                class={part.index ? "bars muted" : "bars accent"}
                width={(part.bytes / Math.max(1, all)) * 100}
                height="8"
              />
            </svg>
            <span class="num">{bytes(part.bytes)}</span>
            <span class="num muted">
              {part.rawBytes ? `${percent(part.bytes / part.rawBytes)} of raw` : percent(part.bytes / Math.max(1, all))}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}
