// Nothing matched: which condition leaves nothing, and what would find something.

import { json } from "../api";
import type { Why } from "../api-types";
import { count, millisOf, plain } from "../format";
import { useLoad } from "../load";
import { Glyph } from "../shell/Glyph";
import { type Range, rangeParams, setParams } from "../state";
import { frozen } from "../time";
import { remove } from "./conditions";

export function Empty({ q, range }: { q: string; range: Range }) {
  const asks = q.trim() !== "" && q.trim() !== "{ }" && q.trim() !== "{}";
  const { data } = useLoad(
    (signal) => json<Why>("api/v1/query/why", { params: { q: asks ? q : "{ }", ...rangeParams(range) }, signal }),
    [q],
  );
  const length = range.endMillis - range.startMillis;
  const culprit = data?.conditions.find((condition) => condition.exists === 0 || condition.matches === 0);
  return (
    <section class="panel empty-why" aria-live="polite">
      <h2>No trace matches in this time</h2>
      {asks && data && data.conditions.length > 0 && (
        <>
          <p class="muted">
            {culprit
              ? "What each condition finds by itself:"
              : "Each condition finds something, but no span has them all:"}
          </p>
          <table class="grid">
            <thead>
              <tr>
                <th>Condition</th>
                <th class="num count-column">Matches</th>
                <th class="num count-column">Has the field</th>
                <th>What helps</th>
              </tr>
            </thead>
            <tbody>
              {data.conditions.map((condition) => (
                <tr key={condition.text}>
                  <td title={plain(condition.text)}>
                    <code>{plain(condition.text, 120)}</code>
                  </td>
                  <td class="num">
                    {condition.matches === 0 ? <strong class="error-text">0 !</strong> : count(condition.matches)}
                  </td>
                  <td class="num">{count(condition.exists)}</td>
                  <td>
                    <span class="row nowrap">
                      {condition.suggestion && <span class="clip">{plain(condition.suggestion, 160)}</span>}
                      <button
                        type="button"
                        class="small"
                        title="Search again without this condition"
                        onClick={() => setParams({ q: remove(q, condition.text) })}
                      >
                        Drop it
                      </button>
                    </span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
      {data?.partial && <p class="muted">{plain(data.partial, 400)}</p>}
      <div class="row">
        {data?.widen && (
          <button type="button" class="primary" onClick={() => widen(data.widen)}>
            <Glyph name="clock" /> {data.widen.text}
          </button>
        )}
        <button
          type="button"
          onClick={() => setParams({ from: frozen(range.startMillis - 3 * length), to: frozen(range.endMillis) })}
        >
          Look four times as long
        </button>
        <button type="button" onClick={() => setParams({ from: "now-24h", to: "now" })}>
          Last 24 hours
        </button>
        {asks && (
          <button type="button" onClick={() => setParams({ q: "" })}>
            Clear the query
          </button>
        )}
      </div>
    </section>
  );
}

function widen(widen: Why["widen"]) {
  if (!widen) return;
  // To the second outwards, so that the spans at both ends are inside.
  const from = Math.floor(millisOf(widen.start) / 1000) * 1000;
  const to = Math.ceil(millisOf(widen.end) / 1000 + 1) * 1000;
  setParams({ from: frozen(from), to: frozen(to) });
}
