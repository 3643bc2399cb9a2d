// The call paths of a comparison as a table: of two traces set in by depth, against many traces with the way to each.

import type { ComparedLine, ComparedSide } from "../api-types";
import { coloursTogether, seriesClass } from "../colours";
import { count, duration, plain } from "../format";
import { band, middle } from "./lines";

/** Deeper ones stand below each other. */
const MOST_INDENT = 14;
/** Rows that are drawn. */
const MOST_ROWS = 1_000;

const CHANGES: Record<string, string> = { added: "only in B", removed: "only in A", moved: "moved" };
/** Of many traces some have it, maybe not the middle one. */
const CHANGES_OF_MANY: Record<string, string> = { ...CHANGES, added: "not in A" };

export function Lines({ lines, isTree }: { lines: ComparedLine[]; isTree: boolean }) {
  const colourOf = coloursTogether(lines.map((line) => line.service));
  const words = isTree ? CHANGES : CHANGES_OF_MANY;
  const most = Math.max(1, ...lines.map((line) => Math.abs(line.deltaNanos)));
  return (
    <div class="scroll-x">
      <table class="grid compared" aria-label="Call paths">
        <thead>
          <tr>
            <th scope="col">Service and operation</th>
            <th class="change" scope="col">
              Change
            </th>
            <th class="num calls" scope="col">
              Calls A
            </th>
            <th class="num calls" scope="col">
              B
            </th>
            <th class="num time-column" scope="col">
              Time A
            </th>
            <th class={`num ${isTree ? "time-column" : "band-column"}`} scope="col">
              B
            </th>
            <th class="delta" scope="col" title="Time in B minus time in A">
              B − A
            </th>
            <th class="num time-column" scope="col" title="The same of its own time on the critical path">
              On path
            </th>
          </tr>
        </thead>
        <tbody>
          {lines.slice(0, MOST_ROWS).map((line, at) => (
            <tr key={at}>
              <td title={line.path.map((step) => plain(step, 120)).join("\n")}>
                {isTree && <Indent depth={line.depth} />}
                <span class={`dot ${seriesClass(colourOf(line.service))}`} /> <strong>{plain(line.service, 60)}</strong>{" "}
                {plain(line.name, 100)} <span class="muted">{line.kind}</span>
                {!isTree && line.path.length > 1 && (
                  <span class="muted"> below {plain(line.path[line.path.length - 2] ?? "", 60)}</span>
                )}
              </td>
              <td>
                {line.unusual && <span class="tag warning">unusual</span>}{" "}
                {words[line.change] && <span class="tag">{words[line.change]}</span>}
                <Errors line={line} />
              </td>
              <td class="num">{calls(line.a)}</td>
              <td class="num">{calls(line.b)}</td>
              <td class="num">{time(line.a)}</td>
              <td class="num">{time(line.b)}</td>
              <td>
                <Delta nanos={line.deltaNanos} most={most} />
              </td>
              <td class="num">{signed(line.pathDeltaNanos)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {lines.length > MOST_ROWS && <p class="muted pad">{count(lines.length - MOST_ROWS)} more are not shown.</p>}
    </div>
  );
}

function Indent({ depth }: { depth: number }) {
  return (
    <>
      {Array.from({ length: Math.min(depth, MOST_INDENT) }, (_, at) => (
        <span key={at} class="indent" />
      ))}
      {depth > MOST_INDENT && <span class="muted">{depth} deep </span>}
    </>
  );
}

function calls(side: ComparedSide): string {
  const many = middle(side, "count") ?? 0;
  const range = band(side, "count");
  if (many === 0 && (range?.p90 ?? 0) === 0) return "–";
  const text = `${count(many)}×`;
  return range && range.p10 !== range.p90 ? `${text} (${count(range.p10)}–${count(range.p90)})` : text;
}

function time(side: ComparedSide): string {
  if ((middle(side, "count") ?? 0) === 0 && !band(side, "count")) return "–";
  const range = band(side, "totalNanos");
  if (range?.p90 === 0) return "–";
  const text = duration(middle(side, "totalNanos"));
  return range ? `${text} (${duration(range.p10)} – ${duration(range.p90)})` : text;
}

function signed(nanos: number): string {
  if (nanos === 0) return "0";
  return `${nanos < 0 ? "−" : "+"}${duration(Math.abs(nanos))}`;
}

/** Of many traces nothing is known about failures. */
function failed(a: number, b: number | undefined): string {
  if (b === undefined) return `${count(a)} failed`;
  return a === b ? `${count(a)} failed in both` : `${count(a)} → ${count(b)} failed`;
}

function Errors({ line }: { line: ComparedLine }) {
  const [a, b] = [line.a.errors ?? 0, line.b.errors];
  if (a === 0 && !b) return null;
  return <span class="error-text"> {failed(a, b)} !</span>;
}

/** To the left what B is faster in, to the right what it is slower in. */
function Delta({ nanos, most }: { nanos: number; most: number }) {
  const size = (Math.abs(nanos) / most) * 50;
  return (
    <span class="delta-cell">
      <svg width="100%" height="10" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
        <rect
          class={nanos > 0 ? "more" : "less"}
          x={nanos > 0 ? 50 : 50 - size}
          width={nanos === 0 ? 0 : Math.max(0.7, size)}
          height="10"
        />
        <rect class="zero" x="49.7" width="0.6" height="10" />
      </svg>
      <span class="num">{signed(nanos)}</span>
    </span>
  );
}
