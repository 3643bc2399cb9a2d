// Which attributes are columns of the list: chosen here, kept in the address.

import { useState } from "preact/hooks";
import { json } from "../api";
import type { TagNames } from "../api-types";
import { plain } from "../format";
import { Glyph } from "../shell/Glyph";
import { Popover } from "../shell/Popover";
import { rangeParams, setParams } from "../state";
import { field } from "./conditions";
import { notesOn } from "./notes";

/** Names offered at once; typing finds the others. */
const OFFERED = 60;

export function ColumnChoice({ columns }: { columns: string[] }) {
  const [names, setNames] = useState<string[]>([]);
  const [typed, setTyped] = useState("");
  const learn = () => {
    json<TagNames>("api/v2/search/tags", { params: rangeParams() }).then(
      (found) =>
        setNames(
          found.scopes
            .filter((scope) => ["span", "resource", "event"].includes(scope.name))
            .flatMap((scope) => scope.tags.map((tag) => field(scope.name, tag)))
            // A comma or a quote cannot stand in the address's list of columns.
            .filter((name) => !/[",]/.test(name)),
        ),
      () => setNames([]),
    );
  };
  const change = (name: string) => {
    const next = columns.includes(name) ? columns.filter((known) => known !== name) : [...columns, name];
    setParams({ cols: next.join(",") });
  };
  const matching = names.filter((name) => name.toLowerCase().includes(typed.toLowerCase()));
  return (
    <Popover
      title="Choose columns"
      class="small"
      onToggle={(open) => open && learn()}
      label={
        <>
          <Glyph name="columns" /> Columns
        </>
      }
    >
      {() => (
        <div class="menu scroll-menu">
          <form
            onSubmit={(event) => {
              event.preventDefault();
              const name = matching[0] ?? (/^[\w.]+$/.test(typed) ? typed : undefined);
              if (name) change(name);
            }}
          >
            <input
              type="text"
              autofocus
              aria-label="Name of an attribute"
              placeholder="attribute"
              value={typed}
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </form>
          <button
            type="button"
            title="What the diagnosis finds; asked for the traces that are on the screen"
            aria-pressed={notesOn.value.value}
            onClick={() => notesOn.set(!notesOn.value.peek())}
          >
            {notesOn.value.value ? <Glyph name="check" /> : <span class="glyph-space" />}
            <span class="clip">Notes</span>
          </button>
          {[...columns, ...matching.filter((name) => !columns.includes(name)).slice(0, OFFERED)].map((name) => (
            <button key={name} type="button" aria-pressed={columns.includes(name)} onClick={() => change(name)}>
              {columns.includes(name) ? <Glyph name="check" /> : <span class="glyph-space" />}
              <span class="clip">{plain(name, 80)}</span>
            </button>
          ))}
        </div>
      )}
    </Popover>
  );
}
