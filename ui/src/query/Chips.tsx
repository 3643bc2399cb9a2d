// Conditions of the query as chips, and the common ones at hand: errors, root or entry spans, a service, a least duration.

import { useState } from "preact/hooks";
import { json } from "../api";
import type { TagValues } from "../api-types";
import { parseDuration, plain } from "../format";
import { pinned } from "../pins";
import { add, has, literal, quote, remove, replaceWhere, split } from "../search/conditions";
import { Glyph } from "../shell/Glyph";
import { Popover } from "../shell/Popover";
import { rangeParams } from "../state";

const ROOT = "nestedSetParent < 0";
const ENTRY = "(kind = server || kind = consumer)";
const LEVELS = /^(nestedSetParent\s*<\s*0|\(kind = server \|\| kind = consumer\))$/;
const LEAST = /^(span:)?duration\s*>=?\s*[\d.]+\s*\w+$/;
const SERVICE = /^(resource)?\.service\.name\s*=\s*["`]/;
const ERRORS = "status = error";

export function Chips({ query, onChange }: { query: string; onChange: (query: string) => void }) {
  const parts = split(query);
  if (!parts) {
    return (
      <div class="chips">
        <span class="muted">This query is more than one pair of braces; chips do not apply.</span>
      </div>
    );
  }
  const level = has(query, ROOT) ? "root" : has(query, ENTRY) ? "entry" : "any";
  const others = parts.conditions.filter((text) => !LEVELS.test(text) && !/^status\s*=\s*error$/.test(text));
  const least = parts.conditions.find((text) => LEAST.test(text));
  return (
    <div class="chips">
      <ServiceChoice query={query} onChange={onChange} />
      <button
        type="button"
        class="small"
        aria-pressed={has(query, ERRORS)}
        onClick={() => onChange(has(query, ERRORS) ? remove(query, ERRORS) : add(query, ERRORS))}
      >
        Errors only
      </button>
      <fieldset class="segments small-segments">
        <legend class="hidden-text">Which spans</legend>
        {(
          [
            ["any", "Any span", ""],
            ["entry", "Entry", ENTRY],
            ["root", "Root", ROOT],
          ] as const
        ).map(([name, label, condition]) => (
          <button
            key={name}
            type="button"
            class="small"
            aria-pressed={level === name}
            onClick={() => onChange(replaceWhere(query, LEVELS, condition))}
          >
            {label}
          </button>
        ))}
      </fieldset>
      <Pinned query={query} onChange={onChange} />
      <LeastDuration key={least ?? ""} known={least} query={query} onChange={onChange} />
      {others
        .filter((text) => !LEAST.test(text))
        .map((text) => (
          <span class="chip" key={text}>
            <code class="clip">{plain(text, 80)}</code>
            <button
              type="button"
              aria-label={`Remove ${plain(text, 80)}`}
              title="Remove this condition"
              onClick={() => onChange(remove(query, text))}
            >
              <Glyph name="close" />
            </button>
          </span>
        ))}
    </div>
  );
}

function LeastDuration({
  known,
  query,
  onChange,
}: {
  known: string | undefined;
  query: string;
  onChange: (query: string) => void;
}) {
  const [typed, setTyped] = useState(known?.replace(/^.*?>=?\s*/, "") ?? "");
  const apply = () => {
    const text = typed.trim().replace(/\s+/g, "");
    if (text === "") onChange(replaceWhere(query, LEAST, ""));
    else if (parseDuration(text) !== undefined) onChange(replaceWhere(query, LEAST, `duration > ${text}`));
  };
  const wrong = typed.trim() !== "" && parseDuration(typed.trim()) === undefined;
  return (
    <label class="least">
      min
      <input
        type="text"
        size={7}
        placeholder="500ms"
        spellcheck={false}
        aria-invalid={wrong}
        title={wrong ? "A number and a unit: 500ms, 1.5s" : "Least duration of a span"}
        value={typed}
        onInput={(event) => setTyped(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") apply();
        }}
        onBlur={() => {
          if (!wrong) apply();
        }}
      />
    </label>
  );
}

function ServiceChoice({ query, onChange }: { query: string; onChange: (query: string) => void }) {
  return (
    <ValueChoice
      field="resource.service.name"
      label="Service"
      title="Filter to a service"
      inputLabel="Name of a service"
      onChoose={(value) => onChange(replaceWhere(query, SERVICE, `resource.service.name = ${quote(value.value)}`))}
    />
  );
}

/** Attributes that were pinned in a span's panel, each with its values. */
function Pinned({ query, onChange }: { query: string; onChange: (query: string) => void }) {
  const pins = pinned.value.value;
  if (!Array.isArray(pins)) return null;
  return (
    <>
      {pins.map((name) => (
        <ValueChoice
          key={name}
          field={name}
          label={plain(name.replace(/^(span|resource)\./, ""), 40)}
          title={`Filter to a value of ${plain(name, 80)}`}
          inputLabel={`Value of ${plain(name, 80)}`}
          onChoose={(value) => onChange(add(query, `${name} = ${literal(value.value, value.type)}`))}
        />
      ))}
    </>
  );
}

interface Value {
  type: string;
  value: string;
}

function ValueChoice(props: {
  field: string;
  label: string;
  title: string;
  inputLabel: string;
  onChoose: (value: Value) => void;
}) {
  const { field, label, title, inputLabel, onChoose } = props;
  const [values, setValues] = useState<Value[] | undefined>();
  const [typed, setTyped] = useState("");
  const [failed, setFailed] = useState(false);
  const learn = () => {
    setFailed(false);
    json<TagValues>(`api/v2/search/tag/${encodeURIComponent(field)}/values`, { params: rangeParams() }).then(
      (found) => setValues([...found.tagValues].sort((a, b) => (a.value < b.value ? -1 : 1))),
      () => setFailed(true),
    );
  };
  const matching = (values ?? []).filter(({ value }) => value.toLowerCase().includes(typed.toLowerCase()));
  return (
    <Popover
      left
      title={title}
      class="small"
      onToggle={(open) => open && learn()}
      label={
        <>
          <Glyph name="plus" />
          {label}
        </>
      }
    >
      {(close) => {
        const choose = (value: Value) => {
          onChoose(value);
          close();
        };
        return (
          <div class="menu scroll-menu">
            <form
              onSubmit={(event) => {
                event.preventDefault();
                const first = matching[0] ?? { type: "string", value: typed.trim() };
                if (first.value) choose(first);
              }}
            >
              <input
                type="text"
                autofocus
                aria-label={inputLabel}
                placeholder={field === "resource.service.name" ? "name" : "value"}
                value={typed}
                onInput={(event) => setTyped(event.currentTarget.value)}
              />
            </form>
            {failed && <p class="muted">Values cannot be had now; type one.</p>}
            {!failed && values === undefined && <p class="muted">Asking…</p>}
            {values?.length === 0 && (
              <p class="muted">
                {field === "resource.service.name"
                  ? "No service sent spans in this time."
                  : "No span has it in this time."}
              </p>
            )}
            {matching.slice(0, 100).map((value) => (
              <button key={`${value.type} ${value.value}`} type="button" onClick={() => choose(value)}>
                {plain(value.value, 80)}
              </button>
            ))}
          </div>
        );
      }}
    </Popover>
  );
}
