// Requests to the server: tenant, abort, errors as sentences, lines of a stream. Knows no page.

import { base, tenant } from "./state";

export type Trouble =
  | "wrong"
  | "unauthenticated"
  | "forbidden"
  | "notFound"
  | "tooLarge"
  | "busy"
  | "timeout"
  | "unavailable"
  | "failed"
  | "offline";

/** A request that failed, with a sentence a person can read. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly trouble: Trouble,
    message: string,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

function troubleOf(status: number): Trouble {
  const known: Record<number, Trouble> = {
    0: "offline",
    400: "wrong",
    401: "unauthenticated",
    403: "forbidden",
    404: "notFound",
    413: "tooLarge",
    422: "tooLarge",
    429: "busy",
    502: "unavailable",
    503: "unavailable",
    504: "timeout",
  };
  return known[status] ?? "failed";
}

export type ApiParams = Record<string, string | number | boolean | undefined>;

export interface Options {
  params?: ApiParams;
  signal?: AbortSignal;
  method?: "GET" | "POST" | "DELETE";
  /** An object is sent as JSON; a Blob, a buffer or text as it is. */
  body?: unknown;
  headers?: Record<string, string>;
}

/** Address of a path of the API (`api/v1/status`), below the base. */
export function apiUrl(path: string, params: ApiParams = {}): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== undefined && value !== "") query.set(key, String(value));
  }
  const text = query.toString();
  return base + path.replace(/^\//, "") + (text ? `?${text}` : "");
}

function isRaw(body: unknown): body is BodyInit {
  return typeof body === "string" || body instanceof Blob || body instanceof ArrayBuffer || ArrayBuffer.isView(body);
}

/** Sends a request; the answer has a status of success.
 * @throws ApiError for every failure but an abort, which stays an `AbortError`. */
export async function request(path: string, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = { ...options.headers };
  if (tenant.peek()) headers["X-Scope-OrgID"] = tenant.peek();
  let body: BodyInit | undefined;
  if (isRaw(options.body)) body = options.body;
  else if (options.body !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(options.body);
  }
  let answer: Response;
  try {
    answer = await fetch(apiUrl(path, options.params), {
      method: options.method ?? (body === undefined ? "GET" : "POST"),
      headers,
      body,
      signal: options.signal,
      credentials: "same-origin",
    });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError(0, "offline", "The server cannot be reached.");
  }
  if (!answer.ok) throw new ApiError(answer.status, troubleOf(answer.status), await sentence(answer));
  return answer;
}

/** The server says what is wrong in plain text; a proxy in between may say it in HTML. */
async function sentence(answer: Response): Promise<string> {
  const text = (await answer.text().catch(() => "")).trim();
  if (text === "" || /^\s*</.test(text))
    return `The server answered ${answer.status} ${answer.statusText}.`.replace(" .", ".");
  return text.length > 2000 ? `${text.slice(0, 2000)}…` : text;
}

export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/** What to show of anything thrown. */
export function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** GET, or POST if there is a body, of JSON. */
export async function json<T>(path: string, options: Options = {}): Promise<T> {
  const answer = await request(path, { ...options, headers: { Accept: "application/json", ...options.headers } });
  const text = await answer.text();
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new ApiError(answer.status, "failed", "The server's answer is not the JSON that was expected.");
  }
}

export async function text(path: string, options: Options = {}): Promise<string> {
  return (await request(path, options)).text();
}

/** The lines of a stream of JSON, as they come. Ending the loop early or aborting the signal stops the server's work. */
export async function* lines<T>(path: string, options: Options = {}): AsyncGenerator<T> {
  const answer = await request(path, options);
  if (!answer.body) return;
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let held = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      held += done ? decoder.decode() : decoder.decode(value, { stream: true });
      let from = 0;
      for (let end = held.indexOf("\n", from); end >= 0; end = held.indexOf("\n", from)) {
        const line = held.slice(from, end);
        from = end + 1;
        if (line.trim() !== "") yield JSON.parse(line) as T;
      }
      held = held.slice(from);
      if (done) {
        if (held.trim() !== "") yield JSON.parse(held) as T;
        return;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
