// What one must know before believing the picture: missing parents, clocks, what was left out, what still comes.
import { duration } from "../format";
import { Glyph } from "../shell/Glyph";
import { visibleLine } from "./hostile";
import type { MissingParent } from "./model";
import type { TraceStore } from "./store";

const CAUSES: Record<string, string> = {
  truncated: "left out at a limit",
  stillarriving: "may still arrive",
  callernotexporting: "caller sends no spans here",
  lostinservice: "lost in their own service",
  unknown: "cause unknown",
};

const key = (cause: string): string => cause.replace(/_/g, "").toLowerCase();

export function causeWords(cause: string): string {
  return CAUSES[key(cause)] ?? cause;
}

function summary(missing: MissingParent[]): string {
  const causes = [...new Set(missing.map((one) => causeWords(one.cause)))];
  return `${missing.length} missing ${missing.length === 1 ? "parent" : "parents"} (${causes.join("; ")})`;
}

export function Notices({ store }: { store: TraceStore }) {
  const model = store.model.value;
  if (!model) return null;
  const { clock, truncated, spanCount, shape } = model.skeleton;
  const { missing } = model;
  const skewed = (clock ?? []).filter((host) => host.verdict === "skewed");
  const inconsistent = (clock ?? []).filter((host) => host.verdict !== "skewed");
  const mayArrive = missing.some((one) => key(one.cause) === "stillarriving");
  const top = store.top.value;
  const found = store.found.value;
  const hasAny =
    missing.length > 0 || truncated || top >= 0 || skewed.length > 0 || inconsistent.length > 0 || shape === "noRoot";
  if (!hasAny && !(found && found.elsewhere > 0) && !store.onlyPath.value) return null;
  return (
    <ul class="notices" aria-label="About this trace">
      {missing.length > 0 && (
        <li class="warning">
          <Glyph name="warning" />
          <span title={missing.map((one) => one.text).join("\n")}>{summary(missing)}</span>
          {missing.length > 0 && (
            <button
              type="button"
              class="quiet small"
              onClick={() => store.open(missing[0].children[0])}
              title={missing[0].text}
            >
              Show
            </button>
          )}
          {mayArrive && (
            <button type="button" class="quiet small" onClick={() => void store.load()}>
              Load again
            </button>
          )}
        </li>
      )}
      {skewed.length > 0 && (
        <li class="warning">
          <Glyph name="clock" />
          <span>
            clock:{" "}
            {skewed
              .slice(0, 3)
              .map(
                (host) =>
                  `${visibleLine(host.host)} ${host.offsetNanos > 0 ? "+" : "−"}${duration(Math.abs(host.offsetNanos))} ± ${duration(host.uncertaintyNanos / 2)}`,
              )
              .join(", ")}
            {skewed.length > 3 ? ` and ${skewed.length - 3} more` : ""}
          </span>
          <div class="segments small" role="group" aria-label="Times shown">
            <button type="button" aria-pressed={!store.adjusted.value} onClick={() => store.setAdjusted(false)}>
              raw
            </button>
            <button type="button" aria-pressed={store.adjusted.value} onClick={() => store.setAdjusted(true)}>
              adjusted
            </button>
          </div>
        </li>
      )}
      {inconsistent.length > 0 && (
        <li class="warning">
          <Glyph name="clock" /> clocks disagree: {inconsistent.map((host) => visibleLine(host.host)).join(", ")}
        </li>
      )}
      {truncated && (
        <li class="warning">
          <Glyph name="info" /> {spanCount.toLocaleString("en")} spans are too many to show at once: the top levels are
          here, the rest loads where you open it
        </li>
      )}
      {shape === "noRoot" && missing.length === 0 && (
        <li class="warning">
          <Glyph name="warning" /> no root span
        </li>
      )}
      {found && found.elsewhere > 0 && (
        <li>
          <Glyph name="info" /> {found.elsewhere.toLocaleString("en")} more matches are in parts that are not loaded
        </li>
      )}
      {store.onlyPath.value && (
        <li>
          <Glyph name="filter" /> only the critical path, {store.pruning.value?.pruned.toLocaleString("en")} spans left
          out
          <button
            type="button"
            class="quiet small"
            onClick={() => {
              store.onlyPath.value = false;
            }}
          >
            Show all
          </button>
        </li>
      )}
      {top >= 0 && (
        <li>
          <Glyph name="filter" /> only what is below {visibleLine(model.strings[model.name[top]])}
          <button type="button" class="quiet small" onClick={() => store.setTop(-1)}>
            Whole trace
          </button>
        </li>
      )}
    </ul>
  );
}
