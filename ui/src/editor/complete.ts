// What could stand at the cursor: the server says which kinds of word, and the names and values that are stored.

import type { CompletionContext, CompletionResult, Completion as Offered } from "@codemirror/autocomplete";
import { json } from "../api";
import type { Checked, Completion, TagNames, TagValues } from "../api-types";
import { literal } from "../search/conditions";

type Kind = Completion["kinds"][number];
type Range = () => { start: string; end: string };

/** Most words offered. */
const MOST = 400;
/** How long names and values are taken to be the same. */
const KEEP_MILLIS = 30_000;

const kept = new Map<string, { at: number; found: Promise<Offered[]> }>();

/** Asks for names or values once in a while; failures are not kept. */
function remembered(key: string, ask: () => Promise<Offered[]>): Promise<Offered[]> {
  const known = kept.get(key);
  if (known && Date.now() - known.at < KEEP_MILLIS) return known.found;
  const found = ask().catch(() => {
    kept.delete(key);
    return [];
  });
  if (kept.size > 100) kept.clear();
  kept.set(key, { at: Date.now(), found });
  return found;
}

/** A source of completions for the editor. What is typed on cancels what is asked. */
export function offer(range: Range) {
  return async (context: CompletionContext): Promise<CompletionResult | null> => {
    const abort = new AbortController();
    context.addEventListener("abort", () => abort.abort(), { onDocChange: true });
    const text = context.state.doc.toString();
    const encoder = new TextEncoder();
    const cursor = encoder.encode(text.slice(0, context.pos)).length;
    try {
      const checked = await json<Checked>("api/v1/query/check", {
        params: { q: text, cursor },
        signal: abort.signal,
      });
      const completion = checked.completion;
      if (!completion || abort.signal.aborted) return null;
      const place = chars(text, completion);
      const lists = await Promise.all([
        Promise.resolve(completion.candidates.map((label) => ({ label, boost: 1 }))),
        ...completion.kinds.map((kind) => stored(kind, range)),
      ]);
      const seen = new Set<string>();
      const options = lists.flat().filter(({ label }) => !seen.has(label) && seen.add(label));
      if (options.length === 0) return null;
      return { ...place, options: options.slice(0, MOST), filter: true };
    } catch {
      return null;
    }
  };
}

/** The server counts bytes, the editor UTF-16 units. */
function chars(text: string, { start, end }: Completion): { from: number; to: number } {
  const raw = new TextEncoder().encode(text);
  const decoder = new TextDecoder();
  return { from: decoder.decode(raw.slice(0, start)).length, to: decoder.decode(raw.slice(0, end)).length };
}

async function stored(kind: Kind, range: Range): Promise<Offered[]> {
  if (kind.kind === "attributes") return attributes(kind, range);
  if (kind.kind === "values" && kind.field) return values(kind.field, range);
  return [];
}

function attributes({ scope = "", ofParent }: Kind, range: Range): Promise<Offered[]> {
  return remembered(`names ${scope} ${ofParent}`, async () => {
    const found = await json<TagNames>("api/v2/search/tags", { params: { ...range(), scope: scope || undefined } });
    const prefix = ofParent ? "parent." : "";
    return found.scopes
      .filter(({ name }) => name !== "intrinsic" && (scope === "" || name === scope))
      .flatMap(({ name, tags }) =>
        tags.map((tag) => ({
          label: `${prefix}${name}.${/[\s{}()=~!<>&|^,"\\]/.test(tag) ? JSON.stringify(tag) : tag}`,
          detail: name,
        })),
      );
  });
}

function values(field: string, range: Range): Promise<Offered[]> {
  return remembered(`values ${field}`, async () => {
    const found = await json<TagValues>(`api/v2/search/tag/${encodeURIComponent(field)}/values`, { params: range() });
    return found.tagValues.map(({ type, value }) => ({ label: literal(value, type), detail: type }));
  });
}
