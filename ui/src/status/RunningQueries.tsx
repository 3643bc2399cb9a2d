// Queries that run now, each with a button that ends it, and the last slow ones.

import { useState } from "preact/hooks";
import { message, request } from "../api";
import type { Queries } from "../api-types";
import { bytes, clock, count, duration, millisOf, plain, span } from "../format";
import type { Loaded } from "../load";
import { Link } from "../shell/Link";
import { Failure, Note } from "../shell/Note";
import { utc } from "../state";

export function RunningQueries({ loaded }: { loaded: Loaded<Queries> }) {
  const { data, error, reload } = loaded;
  const [failed, setFailed] = useState("");
  const cancel = (id: string) => {
    setFailed("");
    request(`api/v1/queries/${encodeURIComponent(id)}`, { method: "DELETE" }).then(reload, (why) =>
      setFailed(message(why)),
    );
  };
  if (error !== undefined && !data) return <Failure error={error} retry={reload} />;
  if (!data) return null;
  return (
    <div class="below">
      <section class="panel queries" aria-label="Running queries">
        <header>
          <h2>Running queries</h2>
          <span class="muted">{count(data.running.length)}</span>
        </header>
        {failed !== "" && <Note kind="error">{failed}</Note>}
        {data.running.length === 0 ? (
          <p class="body muted">None now.</p>
        ) : (
          <table class="grid">
            <tbody>
              {data.running.map((query) => (
                <tr key={query.id}>
                  <td class="what" title={plain(query.query)}>
                    <span class="muted">{query.kind}</span> <code>{plain(query.query, 120)}</code>
                  </td>
                  <td class="num time-column">{span((Date.now() - millisOf(query.startedUnixNanos)) / 1000)}</td>
                  <td class="num time-column">{bytes(query.inspectedBytes)}</td>
                  <td class="num time-column">
                    <button type="button" class="small" onClick={() => cancel(query.id)}>
                      Cancel
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </section>
      <section class="panel queries" aria-label="Slow queries">
        <header>
          <h2>Slow queries</h2>
          <span class="muted">the last that took over 1 s</span>
        </header>
        {data.slow.length === 0 ? (
          <p class="body muted">None since the start.</p>
        ) : (
          <table class="grid">
            <tbody>
              {data.slow.map((query) => (
                <tr key={query.id}>
                  <td class="tabular time-column">{clock(millisOf(query.startedUnixNanos), utc.value)}</td>
                  <td class="what" title={plain(query.query)}>
                    <Link page="search" class="whole" params={{ q: query.query }}>
                      <span class="muted">{query.kind}</span> <code>{plain(query.query, 120)}</code>
                    </Link>
                  </td>
                  <td class="num time-column">{duration(query.durationNanos)}</td>
                  <td class="num time-column">{bytes(query.inspectedBytes)}</td>
                  <td class="num time-column muted">{String(query.status)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </section>
    </div>
  );
}
