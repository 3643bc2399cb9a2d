// The address as a value: which page, which object of it, which parameters. Pure: touches neither window nor history.

export type PageName =
  | "search"
  | "trace"
  | "compare"
  | "explore"
  | "services"
  | "service"
  | "map"
  | "live"
  | "status"
  | "open"
  | "missing";

export type Params = Readonly<Record<string, string>>;

export interface View {
  page: PageName;
  /** The trace id or the name of the service; empty on other pages. */
  id: string;
  params: Params;
}

const PLAIN: Record<string, PageName> = {
  "": "search",
  search: "search",
  compare: "compare",
  explore: "explore",
  services: "services",
  map: "map",
  live: "live",
  status: "status",
  open: "open",
};

/** Parameters that stay when another page is opened: what one looks at, not how. */
export const KEPT = ["tenant", "from", "to", "tz", "embed"] as const;

/** Reads a path below the base (`trace/1f..`), with what follows `?`. Never throws. */
export function decode(path: string, search: string): View {
  const params: Record<string, string> = {};
  for (const [key, value] of new URLSearchParams(search)) {
    // Of a key that is repeated the first counts, except Jaeger's `tag`.
    if (!Object.hasOwn(params, key)) params[key] = value;
    else if (key === "tag" || key === "tags") params[key] += `\u0000${value}`;
  }
  const [head = "", ...rest] = path.replace(/^\/+|\/+$/g, "").split("/");
  const tail = unescaped(rest.join("/"));
  if (head === "trace" && tail !== "") return { page: "trace", id: tail, params };
  if (head === "services" && tail !== "") return { page: "service", id: tail, params };
  const page = tail === "" && Object.hasOwn(PLAIN, head) ? PLAIN[head] : undefined;
  return { page: page ?? "missing", id: page ? "" : path, params };
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const PATHS: Record<PageName, string> = {
  search: "",
  trace: "trace",
  compare: "compare",
  explore: "explore",
  services: "services",
  service: "services",
  map: "map",
  live: "live",
  status: "status",
  open: "open",
  missing: "",
};

/** The address of a view, relative to the base: no leading slash. */
export function encode(view: View): string {
  const query = encodeParams(view.params);
  const path =
    view.page === "missing"
      ? view.id
      : view.page === "trace" || view.page === "service"
        ? `${PATHS[view.page]}/${encodeURIComponent(view.id)}`
        : PATHS[view.page];
  return query === "" ? path : `${path}?${query}`;
}

/** Parameters without empty ones, readable: what need not be escaped in a query stays. */
export function encodeParams(params: Params): string {
  const out: string[] = [];
  for (const [key, value] of Object.entries(params)) {
    if (value === "") continue;
    out.push(`${escaped(key)}=${escaped(value)}`);
  }
  return out.join("&");
}

/** Quotes and braces of TraceQL stay escaped: chat programs cut links at them. */
function escaped(text: string): string {
  return encodeURIComponent(text.toWellFormed())
    .replace(/%20/g, "+")
    .replace(/%(2F|3A|2C|40|24)/g, (found) => decodeURIComponent(found));
}

/** The parameters with some changed; empty or undefined ones are removed. */
export function patch(params: Params, changes: Record<string, string | undefined>): Params {
  const out: Record<string, string> = { ...params };
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined || value === "") delete out[key];
    else out[key] = value;
  }
  return out;
}

/** The parameters that stay when the page changes. */
export function kept(params: Params): Params {
  const out: Record<string, string> = {};
  for (const key of KEPT) {
    const value = params[key];
    if (value) out[key] = value;
  }
  return out;
}
