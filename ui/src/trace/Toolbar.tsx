// Tabs, find in trace, and what is coloured and folded.
import { useEffect, useRef } from "preact/hooks";
import { message } from "../api";
import { Glyph } from "../shell/Glyph";
import { Popover } from "../shell/Popover";
import { COLOUR_BY, type ColourBy } from "./colours";
import { visibleLine } from "./hostile";
import { colourTaste, TABS, type Tab, type TraceStore } from "./store";
import { HAS_MAP } from "./TraceMap";
import { FIND_BOX } from "./trace-keys";

const NAMES: Record<Tab, string> = {
  waterfall: "Waterfall",
  flame: "Flame",
  table: "Table",
  map: "Map",
  diagnosis: "Diagnosis",
  json: "JSON",
};

const SHOWN = TABS.filter((tab) => tab !== "map" || HAS_MAP);

export function Toolbar({ store }: { store: TraceStore }) {
  const tab = store.tab.value;
  const hasRows = tab === "waterfall" || tab === "flame";
  return (
    <div class="trace-bar">
      <Tabs store={store} />
      <span class="grow" />
      {hasRows && <Options store={store} />}
      <Find store={store} />
    </div>
  );
}

function Tabs({ store }: { store: TraceStore }) {
  const diagnosis = store.diagnosis.value;
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    event.preventDefault();
    const next = SHOWN[(SHOWN.indexOf(store.tab.value) + by + SHOWN.length) % SHOWN.length];
    store.setTab(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="Views of this trace" onKeyDown={onKeyDown}>
      {SHOWN.map((tab) => (
        <button
          key={tab}
          type="button"
          role="tab"
          id={`tab-${tab}`}
          aria-selected={store.tab.value === tab}
          aria-controls="trace-tab"
          tabIndex={store.tab.value === tab ? 0 : -1}
          onClick={() => store.setTab(tab)}
        >
          {NAMES[tab]}
          {tab === "diagnosis" && diagnosis && diagnosis.findings.length > 0 && (
            <span class="tab-count">{diagnosis.findings.length}</span>
          )}
        </button>
      ))}
    </div>
  );
}

function Options({ store }: { store: TraceStore }) {
  const colours = store.colours.value;
  return (
    <>
      {store.tab.value === "waterfall" && (
        <>
          <label class="check">
            <input
              type="checkbox"
              checked={store.isFolding.value}
              onChange={(event) => store.setFolding(event.currentTarget.checked)}
            />
            Fold repeats
          </label>
          <label class="check">
            <input
              type="checkbox"
              checked={store.onlyPath.value}
              onChange={(event) => {
                store.onlyPath.value = event.currentTarget.checked;
              }}
            />
            Path only
          </label>
        </>
      )}
      <Popover
        class="quiet small"
        title={`Colours by ${store.colourBy.value}`}
        label={
          <>
            <span class="swatches" aria-hidden="true">
              {colours?.legend.slice(0, 4).map(({ label, series }) => (
                <i key={label} class={`dot series-${series}`} />
              ))}
            </span>
            by {store.colourBy.value}
          </>
        }
      >
        {() => (
          <div class="legend-pop">
            <label>
              Colour by{" "}
              <select
                value={colourTaste.value.value}
                onChange={(event) => {
                  colourTaste.set(event.currentTarget.value as ColourBy);
                }}
              >
                {COLOUR_BY.map((by) => (
                  <option key={by}>{by}</option>
                ))}
              </select>
            </label>
            <ul>
              {colours?.legend.slice(0, 20).map(({ label, series, spans }) => (
                <li key={label}>
                  <i class={`dot series-${series}`} />
                  <span class="clip">{visibleLine(label)}</span>
                  <span class="muted num">{spans.toLocaleString("en")}</span>
                </li>
              ))}
            </ul>
          </div>
        )}
      </Popover>
    </>
  );
}

/** Typing asks the server after a pause; Enter goes to the next match. */
function Find({ store }: { store: TraceStore }) {
  const input = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const asked = store.state.get("find");
  useEffect(() => {
    if (input.current && document.activeElement !== input.current) input.current.value = asked;
  }, [asked]);
  const found = store.found.value;
  const failure = store.finder.failure.value;
  const at = found ? found.spans.indexOf(store.current()) : -1;
  const onKeyDown = (event: KeyboardEvent): void => {
    const text = input.current?.value ?? "";
    if (event.key === "Enter") {
      event.preventDefault();
      clearTimeout(timer.current);
      if (text !== asked) store.find(text);
      else store.step(found?.spans, !event.shiftKey, "match");
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (text) {
        if (input.current) input.current.value = "";
        store.find("");
      } else input.current?.blur();
    }
  };
  return (
    <search class="find" aria-label="Find in this trace">
      <Glyph name="search" />
      <input
        id={FIND_BOX}
        ref={input}
        type="text"
        placeholder="Find: text, /re/, key=value, { … }"
        aria-label="Find in this trace"
        aria-invalid={failure !== null}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => {
          const text = event.currentTarget.value;
          clearTimeout(timer.current);
          // Half a query is no question yet; Enter asks it anyway.
          if (text.startsWith("{") && !text.trimEnd().endsWith("}")) return;
          timer.current = setTimeout(() => store.find(text), 250);
        }}
        onKeyDown={onKeyDown}
      />
      {failure !== null && (
        <span class="find-state error-text clip" role="alert" title={message(failure)}>
          ! {message(failure)}
        </span>
      )}
      {found && (
        <>
          <span class="find-state tabular" role="status">
            {found.spans.length === 0 ? "none" : `${at >= 0 ? `${at + 1}/` : ""}${found.spans.length}`}
            <span class="hidden-text"> {found.spans.length === 1 ? "match" : "matches"}</span>
          </span>
          <button
            type="button"
            class="quiet icon small"
            title="Previous match (N)"
            aria-label="Previous match"
            disabled={found.spans.length === 0}
            onClick={() => store.step(found.spans, false, "match")}
          >
            <Glyph name="up" />
          </button>
          <button
            type="button"
            class="quiet icon small"
            title="Next match (n)"
            aria-label="Next match"
            disabled={found.spans.length === 0}
            onClick={() => store.step(found.spans, true, "match")}
          >
            <Glyph name="down" />
          </button>
          <button
            type="button"
            class="small"
            aria-pressed={store.only.value}
            title="Show only matches and what leads to them"
            disabled={found.spans.length === 0}
            onClick={() => store.state.set({ only: store.only.value ? undefined : "1" }, "push")}
          >
            only
          </button>
        </>
      )}
    </search>
  );
}
