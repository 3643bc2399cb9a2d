// A sentence the page has to say: a failure, a warning, a fact about what is shown.

import type { ComponentChildren } from "preact";
import { ApiError, message } from "../api";
import { Glyph } from "./Glyph";

export function Note({
  kind = "info",
  children,
  actions,
}: {
  kind?: "info" | "warning" | "error";
  children: ComponentChildren;
  actions?: ComponentChildren;
}) {
  return (
    <div class={`note ${kind}`} role={kind === "error" ? "alert" : "status"}>
      <Glyph name={kind} />
      <div class="text">{children}</div>
      {actions}
    </div>
  );
}

const HEADS: Record<string, string> = {
  unauthenticated: "No tenant named. ",
  forbidden: "Not allowed. ",
  busy: "The server is busy. ",
  timeout: "Out of time. ",
  unavailable: "Not available now. ",
  tooLarge: "Too much for one answer. ",
};

const ADVICE: Record<string, string> = {
  unauthenticated: "Choose a tenant in the bar above.",
  busy: "Other queries run; try again in a moment.",
  timeout: "Narrow the time range or add a condition.",
  tooLarge: "Narrow the time range or add a condition.",
  unavailable: "The page asks again by itself.",
  offline: "The page asks again by itself.",
};

/** As a sentence begins and ends. */
function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

/** A failed request in words: what kind, what the server said, what helps. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const trouble = error instanceof ApiError ? error.trouble : "";
  return (
    <Note
      kind="error"
      actions={
        retry && (
          <button type="button" class="small" onClick={retry}>
            Try again
          </button>
        )
      }
    >
      {HEADS[trouble] ?? ""}
      {sentence(message(error))} {ADVICE[trouble] ?? ""}
    </Note>
  );
}
