// The conditions of a query `{ a && b } | ...` as pieces of text, so that chips can add and remove them. It splits text
// and understands none of it: the server's parser is the only judge of a query.

export interface Split {
  conditions: string[];
  /** What follows the braces, with its leading space trimmed: `| select(span.http.route)`. */
  rest: string;
}

/** End of the quoted text that starts at `at`, or -1 if it does not end. */
function quoteEnd(text: string, at: number): number {
  const mark = text[at];
  for (let next = at + 1; next < text.length; next++) {
    if (mark === '"' && text[next] === "\\") next++;
    else if (text[next] === mark) return next;
  }
  return -1;
}

/** The conditions of a query that starts with one pair of braces, or undefined for any other. */
export function split(query: string): Split | undefined {
  const text = query.trim();
  if (text === "") return { conditions: [], rest: "" };
  if (text[0] !== "{") return undefined;
  const conditions: string[] = [];
  let depth = 0;
  let from = 1;
  let either = false;
  for (let at = 1; at < text.length; at++) {
    const mark = text[at] ?? "";
    if (mark === '"' || mark === "`") {
      at = quoteEnd(text, at);
      if (at < 0) return undefined;
    } else if ("([{".includes(mark)) depth++;
    else if (mark === "}" && depth === 0) {
      const last = text.slice(from, at).trim();
      if (last !== "") conditions.push(last);
      else if (conditions.length > 0) return undefined;
      const rest = text.slice(at + 1).trim();
      // More braces combined with these are beyond chips.
      if (rest !== "" && !rest.startsWith("|") && !rest.startsWith("with")) return undefined;
      if (rest.startsWith("||")) return undefined;
      // `a && b || c` is one condition: nothing of it may be taken away alone.
      return { conditions: either ? [text.slice(1, at).trim()] : conditions, rest };
    } else if (")]}".includes(mark)) depth--;
    else if (depth === 0 && text.startsWith("||", at)) either = true;
    else if (depth === 0 && text.startsWith("&&", at)) {
      const piece = text.slice(from, at).trim();
      if (piece === "") return undefined;
      conditions.push(piece);
      at++;
      from = at + 1;
    }
    if (depth < 0) return undefined;
  }
  return undefined;
}

function hasEither(condition: string): boolean {
  let depth = 0;
  for (let at = 0; at < condition.length; at++) {
    const mark = condition[at] ?? "";
    if (mark === '"' || mark === "`") {
      const end = quoteEnd(condition, at);
      if (end < 0) return false;
      at = end;
    } else if ("([{".includes(mark)) depth++;
    else if (")]}".includes(mark)) depth--;
    else if (depth === 0 && condition.startsWith("||", at)) return true;
  }
  return false;
}

export function join({ conditions, rest }: Split): string {
  const pieces = conditions.length > 1 ? conditions.map((text) => (hasEither(text) ? `(${text})` : text)) : conditions;
  const body = pieces.length === 0 ? "{ }" : `{ ${pieces.join(" && ")} }`;
  return rest === "" ? body : `${body} ${rest}`;
}

const same = (a: string, b: string) => a.replace(/\s+/g, "") === b.replace(/\s+/g, "");

export function has(query: string, condition: string): boolean {
  return split(query)?.conditions.some((known) => same(known, condition)) ?? false;
}

/** The query with a condition more; a query too complex for chips is combined as a whole. */
export function add(query: string, condition: string): string {
  const parts = split(query);
  if (!parts) return query;
  if (parts.conditions.some((known) => same(known, condition))) return query;
  return join({ ...parts, conditions: [...parts.conditions, condition] });
}

export function remove(query: string, condition: string): string {
  const parts = split(query);
  if (!parts) return query;
  return join({ ...parts, conditions: parts.conditions.filter((known) => !same(known, condition)) });
}

/** Removes what `matches` and adds `condition` unless it is empty. */
export function replaceWhere(query: string, matches: RegExp, condition: string): string {
  const parts = split(query);
  if (!parts) return query;
  const left = parts.conditions.filter((known) => !matches.test(known));
  return join({ ...parts, conditions: condition === "" ? left : [...left, condition] });
}

/** Text as a literal of TraceQL. */
export function quote(text: string): string {
  return `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n").replace(/\t/g, "\\t").replace(/\r/g, "\\r")}"`;
}

/** A field with its scope; a name that is no plain word is quoted. */
export function field(scope: string, key: string): string {
  if (scope === "intrinsic") return key;
  const name = key !== "" && !/[\s{}()=~!<>&|^,"\\]/.test(key) && !(scope === "" && /^\d/.test(key)) ? key : quote(key);
  return `${scope}.${name}`;
}

/** A value as a literal: words of intrinsics, numbers and truth values bare, everything else quoted. */
export function literal(value: unknown, type: string): string {
  if (type === "int" || type === "double" || type === "bool" || type === "float") return String(value);
  if (type === "status" || type === "kind" || type === "keyword" || type === "duration") return String(value);
  return quote(typeof value === "string" ? value : JSON.stringify(value));
}

/** `field = value`, or that the field is absent for null. */
export function equals(scope: string, key: string, value: unknown, type: string, not = false): string {
  const name = field(scope, key);
  if (value === null || value === undefined) return `${name} ${not ? "!=" : "="} nil`;
  const word = scope === "intrinsic" && (key === "status" || key === "kind") ? "keyword" : type;
  return `${name} ${not ? "!=" : "="} ${literal(value, word)}`;
}
