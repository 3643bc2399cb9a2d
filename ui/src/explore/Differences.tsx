// What the chosen spans have more often, or less often, than those they are compared with.

import { useEffect } from "preact/hooks";
import { json } from "../api";
import type { Baseline, Breakdown, Difference } from "../api-types";
import { clock, count, digits, duration, millisOf, percent, plain } from "../format";
import { useLoad } from "../load";
import { add, equals, field } from "../search/conditions";
import { Glyph } from "../shell/Glyph";
import { Link } from "../shell/Link";
import { Failure, Note } from "../shell/Note";
import { param, rangeParams, refreshed, setParams, tenant, typedRange, utc } from "../state";
import { type Box, printBox, selectionOf } from "./selection";

const BASELINES: [string, string, string][] = [
  ["rest", "The rest", "All other spans of the query in this time"],
  ["before", "Just before", "The same durations and all others, in the time before the selection"],
  ["day", "A day before", "The same time yesterday"],
];

interface Props {
  filter: string;
  box: Box;
  errors: boolean;
  /** What was found, or nothing while it is another selection's. */
  onFound: (data: Breakdown | undefined) => void;
}

export function Differences({ filter, box, errors, onFound }: Props) {
  const { from, to } = typedRange.value;
  const base = param("base") || "rest";
  const { data, error, loading, reload } = useLoad(
    (signal) => {
      const { start, end } = rangeParams();
      const baseline: Baseline = base === "rest" || base === "before" || base === "day" ? base : { q: base };
      return json<Breakdown>("api/v1/explore/breakdown", {
        method: "POST",
        body: { q: filter, start, end, selection: selectionOf(box, errors), baseline, limit: 100 },
        signal,
      });
    },
    [filter, printBox(box), errors, base, from, to, refreshed.value, tenant.value],
  );
  useEffect(() => onFound(loading ? undefined : data), [data, loading]);
  return (
    <>
      <section
        class={`panel differences ${loading ? "stale" : ""}`}
        aria-label="What the selection has in common"
        aria-busy={loading}
      >
        <header>
          <h2>What sets them apart</h2>
          <span class="muted">
            {data ? `${count(data.selected)} chosen against ${count(data.baseline)}` : "comparing…"}
          </span>
          <span class="grow" />
          <span class="muted">compared with</span>
          <fieldset class="segments small-segments">
            <legend class="hidden-text">Compared with</legend>
            {BASELINES.map(([name, label, title]) => (
              <button
                key={name}
                type="button"
                class="small"
                title={title}
                aria-pressed={base === name}
                onClick={() => setParams({ base: name === "rest" ? undefined : name })}
              >
                {label}
              </button>
            ))}
          </fieldset>
        </header>
        {error !== undefined && <Failure error={error} retry={reload} />}
        {data?.partial && <Note kind="warning">{data.partial}</Note>}
        {data && <Table data={data} filter={filter} />}
        {data?.pairs && data.pairs.length > 0 && <Pairs data={data} />}
        {data && data.differences.length === 0 && (
          <div class="empty">
            Nothing sets the chosen spans apart with certainty. {data.selected < 30 && "They are few: choose more."}
          </div>
        )}
        {data && data.hiddenKeys.length > 0 && (
          <p class="muted hidden-keys" title={data.hiddenKeys.map((key) => plain(key)).join("\n")}>
            {count(data.hiddenKeys.length)} attribute{data.hiddenKeys.length === 1 ? "" : "s"} left out, because nearly
            every span has its own value: {plain(data.hiddenKeys.slice(0, 6).join(", "), 200)}
            {data.hiddenKeys.length > 6 && "…"}
          </p>
        )}
      </section>
      {data && (
        <div class="below">
          <Representative data={data} />
          {data.numbers.length > 0 && <Numbers data={data} />}
        </div>
      )}
    </>
  );
}

function Table({ data, filter }: { data: Breakdown; filter: string }) {
  if (data.differences.length === 0) return null;
  return (
    <div class="scroll-x">
      <table class="grid">
        <thead>
          <tr>
            <th scope="col">Value</th>
            <th class="share" scope="col">
              Chosen
            </th>
            <th class="share" scope="col">
              Others
            </th>
            <th class="num certain" scope="col" title="The part of the difference that is certain (95 % intervals)">
              Certain
            </th>
            <th scope="col">Always together with</th>
            <th class="actions" scope="col">
              <span class="hidden-text">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {ordered(data.differences).map((difference) => (
            <Line
              key={`${difference.scope}.${difference.key}=${JSON.stringify(difference.value)}`}
              difference={difference}
              filter={filter}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Two values that say more together than each alone. */
function Pairs({ data }: { data: Breakdown }) {
  return (
    <ul class="pairs" aria-label="Together">
      {(data.pairs ?? []).slice(0, 5).map((pair) => {
        const text = pair.of.map((of) => `${plain(field(of.scope, of.key), 60)} = ${plain(shown(of.value), 60)}`);
        return (
          <li key={text.join()}>
            <strong>{text.join(" and ")}</strong>{" "}
            <span class="muted">
              together {percent(pair.selectedShare)} of the chosen, {percent(pair.baselineShare)} of the others
            </span>
          </li>
        );
      })}
    </ul>
  );
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return "absent";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What the chosen have more often comes first: the rest of a value's own shares falls with it and explains nothing. */
function ordered(differences: Difference[]): Difference[] {
  return [...differences.filter((one) => !one.under), ...differences.filter((one) => one.under)];
}

function Line({ difference, filter }: { difference: Difference; filter: string }) {
  const { scope, key, value, type, together = [] } = difference;
  const change = (not: boolean) => setParams({ q: add(filter, equals(scope, key, value, type, not)), sel: undefined });
  const name = field(scope, key);
  return (
    <tr>
      <td title={plain(`${name} = ${shown(value)}`)}>
        <span class="muted">{plain(name, 80)}</span>{" "}
        {value === null ? <em>absent</em> : <strong>{plain(shown(value), 120)}</strong>}
      </td>
      <td>
        <Share
          share={difference.selectedShare}
          tone={difference.under ? "muted" : "accent"}
          of={difference.selectedCount}
        />
      </td>
      <td>
        <Share share={difference.baselineShare} tone="muted" of={difference.baselineCount} />
      </td>
      <td class="num">
        {difference.under ? "−" : "+"}
        {percent(Math.abs(difference.score))}
      </td>
      <td class="muted">
        {together
          .slice(0, 2)
          .map((other) => `${plain(other.key, 40)} = ${plain(shown(other.value), 40)}`)
          .join(", ")}
        {together.length > 2 && ` +${together.length - 2}`}
      </td>
      <td class="actions">
        <button
          type="button"
          class="quiet icon small"
          title="Only spans with this"
          aria-label={`Filter to ${plain(key, 60)}`}
          onClick={() => change(false)}
        >
          <Glyph name="plus" />
        </button>
        <button
          type="button"
          class="quiet icon small"
          title="Only spans without this"
          aria-label={`Exclude ${plain(key, 60)}`}
          onClick={() => change(true)}
        >
          <Glyph name="minus" />
        </button>
      </td>
    </tr>
  );
}

function Share({ share, tone, of }: { share: number; tone: "accent" | "muted"; of: number }) {
  return (
    <span class="share-cell" title={`${count(of)} spans`}>
      <svg width="100%" height="10" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
        <rect class={`bars ${tone}`} width={Math.max(share > 0 ? 0.7 : 0, share * 100)} height="10" />
      </svg>
      <span class="num">{percent(share)}</span>
    </span>
  );
}

function Numbers({ data }: { data: Breakdown }) {
  const show = (key: string, value: number) => (/duration|nanos/i.test(key) ? duration(value) : digits(value));
  return (
    <section class="panel" aria-label="Numbers that differ">
      <header>
        <h2>Numbers that are distributed differently</h2>
      </header>
      <table class="grid">
        <thead>
          <tr>
            <th scope="col">Attribute</th>
            <th class="num" scope="col">
              Chosen p50 / p90
            </th>
            <th class="num" scope="col">
              Others p50 / p90
            </th>
            <th
              class="num certain"
              scope="col"
              title="Greatest distance between the two distributions (Kolmogorov-Smirnov)"
            >
              Distance
            </th>
          </tr>
        </thead>
        <tbody>
          {data.numbers.map((line) => (
            <tr key={line.key}>
              <td>{plain(field(line.scope, line.key), 80)}</td>
              <td class="num">
                {show(line.key, line.selected.p50)} / {show(line.key, line.selected.p90)}
              </td>
              <td class="num">
                {show(line.key, line.baseline.p50)} / {show(line.key, line.baseline.p90)}
              </td>
              <td class="num">{line.ks.toFixed(2)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Representative({ data }: { data: Breakdown }) {
  if (data.representative.length === 0) return null;
  return (
    <section class="panel" aria-label="Representative traces">
      <header>
        <h2>Traces to look at</h2>
        <span class="muted">slowest, median and failed ones of the selection</span>
      </header>
      <table class="grid">
        <tbody>
          {data.representative.map((span) => (
            <tr key={`${span.traceId}${span.spanId}`}>
              <td class="tabular trace-time">{clock(millisOf(span.startUnixNanos), utc.value)}</td>
              <td class="num trace-time">{duration(span.durationNanos)}</td>
              <td>
                <Link page="trace" id={span.traceId} params={{ span: span.spanId }} class="whole">
                  {plain(span.service, 60)} <strong>{plain(span.name, 100)}</strong>
                  {span.error && <span class="error-text"> error !</span>}
                </Link>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
