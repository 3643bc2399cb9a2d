// The box a query is typed into. A plain text box at first; the editor, which completes and colours, comes with the first
// focus. What is wrong with the query is said below it, at its place, by the server's parser.

import { useEffect, useRef, useState } from "preact/hooks";
import { json } from "../api";
import type { Checked, QueryError } from "../api-types";
import type { Editor } from "../editor/editor";
import { useKeys } from "../keys";
import { Glyph } from "../shell/Glyph";
import { rangeParams } from "../state";

interface Props {
  value: string;
  onInput: (text: string) => void;
  onRun: (text: string) => void;
  placeholder?: string;
  /** Word on the button. */
  action?: string;
}

/** Pause in typing after which the query is checked. */
const CHECK_MILLIS = 700;

export function QueryBox({ value, onInput, onRun, placeholder = "{ }", action = "Run" }: Props) {
  const plain = useRef<HTMLTextAreaElement>(null);
  const host = useRef<HTMLDivElement>(null);
  const editor = useRef<Editor | undefined>(undefined);
  /** Texts that were told and have not come back as `value` yet: the page may be slower than the fingers. */
  const told = useRef<string[]>([]);
  const latest = useRef({ onInput, onRun });
  latest.current = { onInput, onRun };
  const [rich, setRich] = useState(false);
  const wrong = useChecked(value);

  useKeys(() => [
    {
      keys: "/",
      label: "Query",
      group: "Everywhere",
      run: () => (editor.current ? editor.current.focus() : plain.current?.focus()),
    },
  ]);
  useEffect(() => () => editor.current?.destroy(), []);
  useEffect(() => {
    const known = told.current.lastIndexOf(value);
    told.current = known < 0 ? [] : told.current.slice(known + 1);
    if (known < 0 && editor.current && editor.current.text() !== value) editor.current.setText(value);
  }, [value]);

  const enrich = async () => {
    if (editor.current) return;
    try {
      const { mountEditor } = await import("../editor/editor");
      if (!host.current || editor.current) return;
      const hadFocus = document.activeElement === plain.current;
      const at = plain.current?.selectionStart ?? 0;
      editor.current = mountEditor(host.current, {
        text: plain.current?.value ?? value,
        placeholder,
        onInput: (text) => {
          told.current.push(text);
          latest.current.onInput(text);
        },
        onRun: (text) => latest.current.onRun(text),
        range: rangeParams,
      });
      setRich(true);
      if (hadFocus) editor.current.focus(at);
    } catch {
      // Without the editor the plain box still works.
    }
  };
  const run = () => onRun(editor.current?.text() ?? plain.current?.value ?? value);
  return (
    <div class="query-box">
      <form
        class={`query-line ${wrong ? "wrong" : ""}`}
        onSubmit={(event) => {
          event.preventDefault();
          run();
        }}
      >
        <div class={`query-host ${rich ? "rich" : ""}`} ref={host} />
        {!rich && (
          <textarea
            ref={plain}
            rows={1}
            aria-label="TraceQL query"
            spellcheck={false}
            autocomplete="off"
            placeholder={placeholder}
            value={value}
            onFocus={() => void enrich()}
            onInput={(event) => onInput(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "Enter" && !event.shiftKey) {
                event.preventDefault();
                run();
              }
              if (event.key === "Escape") event.currentTarget.blur();
            }}
          />
        )}
        <button type="submit" class="primary" title="Run the query (Enter)">
          <Glyph name="play" />
          {action}
        </button>
      </form>
      {wrong && <Wrong query={value} error={wrong} onFix={onInput} />}
    </div>
  );
}

/** What the server's parser says of a query, once typing pauses. */
function useChecked(query: string): QueryError | undefined {
  const [error, setError] = useState<QueryError | undefined>();
  useEffect(() => {
    setError(undefined);
    if (query.trim() === "") return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      json<Checked>("api/v1/query/check", { params: { q: query }, signal: abort.signal }).then(
        (checked) => setError(checked.errors[0]),
        () => {},
      );
    }, CHECK_MILLIS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [query]);
  return error;
}

function Wrong({ query, error, onFix }: { query: string; error: QueryError; onFix: (text: string) => void }) {
  const line = query.split("\n")[error.line - 1] ?? "";
  const mark = `${" ".repeat(Math.max(0, error.column - 1))}${"^".repeat(Math.max(1, Math.min(error.length, line.length)))}`;
  const suggestion = /did you mean [`"']?([\w.:"-]+?)[`"']?\s*\??$/.exec(error.hint ?? "")?.[1];
  return (
    <div class="query-wrong" role="alert">
      <p>
        <Glyph name="error" /> {error.message}
        {error.hint ? `; ${error.hint}` : ""}
        {suggestion && error.length > 0 && (
          <button type="button" class="small" onClick={() => onFix(fixed(query, error, suggestion))}>
            Use {suggestion}
          </button>
        )}
      </p>
      {line.length <= 200 && (
        <pre aria-hidden="true">
          {line}
          {"\n"}
          {mark}
        </pre>
      )}
    </div>
  );
}

/** Offsets of the server count bytes of UTF-8. */
function fixed(query: string, error: QueryError, replacement: string): string {
  const raw = new TextEncoder().encode(query);
  const decoder = new TextDecoder();
  return (
    decoder.decode(raw.slice(0, error.offset)) + replacement + decoder.decode(raw.slice(error.offset + error.length))
  );
}
