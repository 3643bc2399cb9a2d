// The view's state in the page's address, with the names that links of Jaeger use.
import { signal } from "@preact/signals";
import { param, setParams } from "../state";
import type { ViewState } from "./source";

/** A link of Jaeger says `uiFind`; what is typed here replaces it. */
export const addressState: ViewState = {
  get: (key) => (key === "find" ? param("find") || param("uiFind") : param(key)),
  set: (changes, how) => setParams("find" in changes ? { ...changes, uiFind: undefined } : changes, how),
};

/** State for a trace without an address, as one from a file. */
export function memoryState(): ViewState {
  const values = signal<Record<string, string | undefined>>({});
  return {
    get: (key) => values.value[key] ?? "",
    set: (changes) => {
      values.value = { ...values.peek(), ...changes };
    },
  };
}
