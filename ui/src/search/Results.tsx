// The list of traces. Rows never move under the pointer: what comes meanwhile waits behind a button.

import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { coloursTogether, seriesClass } from "../colours";
import { clock, count, day, duration, plain } from "../format";
import { useKeys } from "../keys";
import { Glyph } from "../shell/Glyph";
import { Link } from "../shell/Link";
import { follow, href, param, setParams, utc } from "../state";
import { ColumnChoice } from "./ColumnChoice";
import { MOST_SPANS, Notes, notesOn, type TraceNote } from "./notes";
import { answerName, type Row, rowOf, SORTS, type Sort, sorted, steady } from "./rows";
import type { Run } from "./run";

/** Rows in the document at once; more come with a button. */
const PAGE_ROWS = 300;

export function Results({ run, columns, summary }: { run: Run; columns: string[]; summary: ComponentChildren }) {
  const sort = (SORTS as string[]).includes(param("sort")) ? (param("sort") as Sort) : "newest";
  const fresh = useMemo(() => sorted(run.traces.map(rowOf), sort), [run.traces, sort]);
  const [held, setHeld] = useState<readonly Row[] | undefined>();
  const [most, setMost] = useState(PAGE_ROWS);
  const [chosen, setChosen] = useState(-1);
  const body = useRef<HTMLTableSectionElement>(null);
  const rows = held ? steady(held, fresh) : fresh;
  const waiting = fresh.length - rows.length;
  const running = run.state === "running";
  const longest = Math.max(1, ...rows.map((row) => row.durationNanos));
  const colourOf = useMemo(
    () => coloursTogether(fresh.flatMap((row) => [row.rootService, ...row.services.map((service) => service.name)])),
    [fresh],
  );
  const filtered = !/^\s*(\{\s*\})?\s*$/.test(param("q"));
  const hasNotes = notesOn.value.value;
  const notes = useMemo(() => new Notes(), [run.startedMillis]);
  useEffect(() => () => notes.stop(), [notes]);
  // After the search, which they must not slow down; for rows in sight only.
  useEffect(() => {
    if (running || !hasNotes || !body.current) return;
    const watch = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const id = (target as HTMLElement).dataset.trace;
        if (id && isIntersecting) notes.show(id);
        else if (id) notes.hide(id);
      }
    });
    for (const row of body.current.rows) if (row.dataset.trace) watch.observe(row);
    return () => watch.disconnect();
  }, [running, hasNotes, notes, rows, most]);
  const days = new Set(rows.map((row) => day(row.startMillis, utc.value))).size > 1;

  useEffect(() => setHeld(undefined), [sort]);
  useEffect(() => {
    if (!running) return;
    return () => setHeld((old) => old);
  }, [running]);
  const move = (by: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, chosen + by));
    setChosen(next);
    body.current?.rows[next]?.querySelector<HTMLElement>("a")?.focus();
  };
  useKeys(
    () => [
      { keys: "j", label: "Next trace", group: "List", run: () => move(1) },
      { keys: "k", label: "Previous trace", group: "List", run: () => move(-1) },
      { keys: "ArrowDown", label: "Next trace", group: "List", run: () => move(1) },
      { keys: "ArrowUp", label: "Previous trace", group: "List", run: () => move(-1) },
      {
        keys: "o",
        label: "Open the trace",
        group: "List",
        run: () => {
          const row = rows[Math.max(0, chosen)];
          if (row) follow(href("trace", row.id));
        },
      },
    ],
    [rows, chosen],
  );

  const head = (name: string, by: [Sort, Sort] | [Sort], className = "") => {
    const order = by.indexOf(sort);
    return (
      <th class={className} aria-sort={order < 0 ? "none" : order === 0 ? "descending" : "ascending"} scope="col">
        <button
          type="button"
          onClick={() => setParams({ sort: order === 0 && by[1] ? by[1] : by[0] === "newest" ? "" : by[0] })}
        >
          {name}
          {order >= 0 && <Glyph name={order === 0 ? "down" : "up"} />}
        </button>
      </th>
    );
  };
  if (rows.length === 0 && running) return <div class="empty">Searching…</div>;
  return (
    <section class="panel results" aria-label="Traces">
      <header>
        {summary}
        {running && <span class="muted">order may change until it is done</span>}
        <span class="grow" />
        {waiting > 0 && (
          <button type="button" class="small primary" onClick={() => setHeld(undefined)}>
            {count(waiting)} {sort === "newest" ? "newer" : "more"}
          </button>
        )}
        <ColumnChoice columns={columns} />
      </header>
      <div class="scroll-x">
        <table
          class="grid"
          onPointerEnter={() => running && setHeld((old) => old ?? rows)}
          onPointerLeave={() => setHeld(undefined)}
          onFocusIn={() => running && setHeld((old) => old ?? rows)}
          onFocusOut={() => setHeld(undefined)}
        >
          <thead>
            <tr>
              {head("Time", ["newest", "oldest"], days ? "wide-time" : "time")}
              <th class="root" scope="col">
                Root
              </th>
              {head("Duration", ["slowest", "fastest"], "duration")}
              {head("Spans", ["spans"], "num spans")}
              {head("Errors", ["errors"], "num spans")}
              {filtered && (
                <th class="num spans" scope="col" title="Spans of the trace that match the query">
                  Matched
                </th>
              )}
              <th class="services" scope="col">
                Services
              </th>
              {hasNotes && (
                <th class="notes" scope="col" title="What the diagnosis finds in the traces that are on the screen">
                  Notes
                </th>
              )}
              {columns.map((column) => (
                <th key={column} class="extra" scope="col" title={column}>
                  {answerName(column)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody ref={body}>
            {rows.slice(0, most).map((row, at) => (
              <tr
                key={row.id}
                class={at === chosen ? "chosen" : ""}
                data-trace={row.spans <= MOST_SPANS ? row.id : undefined}
              >
                <td class="tabular">
                  {days && <span class="muted">{day(row.startMillis, utc.value).slice(5)} </span>}
                  {clock(row.startMillis, utc.value)}
                </td>
                <td>
                  <Link page="trace" id={row.id} class="whole" title={plain(`${row.rootService} ${row.rootName}`)}>
                    {row.rootService === "" && row.rootName === "" ? (
                      <em class="muted">root span not seen</em>
                    ) : (
                      <>
                        <span class={`dot ${seriesClass(colourOf(row.rootService))}`} /> {plain(row.rootService, 80)}{" "}
                        <strong>{plain(row.rootName, 120)}</strong>
                      </>
                    )}
                  </Link>
                </td>
                <td>
                  <span class="duration-cell">
                    <span class="tabular">{duration(row.durationNanos)}</span>
                    <Bar share={row.durationNanos / longest} />
                  </span>
                </td>
                <td class="num">{count(row.spans)}</td>
                <td class="num">
                  {row.errors > 0 ? (
                    <span class="error-text">{count(row.errors)} !</span>
                  ) : (
                    <span class="muted">0</span>
                  )}
                </td>
                {filtered && <td class="num">{count(row.matched)}</td>}
                <td>
                  <Services row={row} colourOf={colourOf} />
                </td>
                {hasNotes && (
                  <td class="noted">
                    <Noted notes={notes.known.value.get(row.id)} />
                  </td>
                )}
                {columns.map((column) => {
                  const value = row.values[answerName(column)];
                  return (
                    <td key={column} title={value === undefined ? undefined : plain(value)}>
                      {value === undefined ? <span class="muted">–</span> : plain(value, 80)}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > most && (
        <div class="body">
          <button type="button" onClick={() => setMost(most + PAGE_ROWS)}>
            Show {count(Math.min(PAGE_ROWS, rows.length - most))} more of {count(rows.length)}
          </button>
        </div>
      )}
    </section>
  );
}

function Noted({ notes }: { notes: TraceNote[] | undefined }) {
  if (notes === undefined) return null;
  if (notes.length === 0) return <span class="muted">–</span>;
  return (
    <span title={notes.map((note) => plain(note.text, 300)).join("\n")}>
      {notes.map((note) => (
        <span key={note.word} class="tag">
          {plain(note.word, 24)}
        </span>
      ))}
    </span>
  );
}

function Bar({ share }: { share: number }) {
  return (
    <svg class="share-bar" width="100%" height="6" aria-hidden="true" preserveAspectRatio="none" viewBox="0 0 100 6">
      <rect class="rest" width="100" height="6" />
      <rect class="part" width={Math.max(0.5, share * 100)} height="6" />
    </svg>
  );
}

const SERVICES_SHOWN = 4;

function Services({ row, colourOf }: { row: Row; colourOf: (name: string) => number }) {
  const more = row.services.length - SERVICES_SHOWN;
  return (
    <span title={row.services.map((service) => `${plain(service.name, 60)}: ${service.spans}`).join("\n")}>
      {row.services.slice(0, SERVICES_SHOWN).map((service) => (
        <span class="service" key={service.name}>
          <span class={`dot ${seriesClass(colourOf(service.name))}`} /> {plain(service.name, 40)}
          {service.errors > 0 && <span class="error-text">!</span>}
        </span>
      ))}
      {more > 0 && <span class="muted">+{more}</span>}
    </span>
  );
}
