// The keyboard: pages register what their keys do; the help sheet lists what is registered. One listener for all.

import { signal } from "@preact/signals";
import { useLayoutEffect } from "preact/hooks";
import { preference } from "./prefs";

export interface Binding {
  /** `"g s"`, `"/"`, `"Shift+ArrowLeft"`, `"Ctrl+f"`. Letters count case: `"N"` is Shift+n. `Ctrl` also means Cmd. */
  keys: string;
  /** What it does, for the help sheet. */
  label: string;
  /** Heading in the help sheet. */
  group: string;
  run: (event: KeyboardEvent) => void;
  /** Works while a text field has the focus. Default: not, unless Ctrl is held. */
  inInputs?: boolean;
  /** Not listed. */
  hidden?: boolean;
}

/** All bindings in force; later ones win. */
export const bindings = signal<readonly Binding[]>([]);

/** What a person presses instead, by the keys that a binding names; in this browser only. */
const own = preference<Record<string, string>>("keys", {});

/** The keys that run a binding here. */
export function keysOf(binding: Binding): string {
  const chosen = own.value.value?.[binding.keys];
  return typeof chosen === "string" && chosen !== "" ? chosen : binding.keys;
}

/** Whether somebody may choose another key: not for arrows and the like, which belong to what has the focus. */
export function canChange(binding: Binding): boolean {
  return /^[!-~]+( [!-~]+)*$/.test(binding.keys) && !/^(Esc|Arrow)/.test(binding.keys);
}

/** Chooses other keys for a binding; undefined goes back to its own. */
export function changeKeys(binding: Binding, keys: string | undefined): void {
  const { [binding.keys]: _, ...others } = own.value.peek() ?? {};
  own.set(keys === undefined || keys === binding.keys ? others : { ...others, [binding.keys]: keys });
}

/** Adds bindings; the answer removes them. */
export function bindKeys(added: readonly Binding[]): () => void {
  bindings.value = [...bindings.peek(), ...added];
  return () => {
    bindings.value = bindings.peek().filter((binding) => !added.includes(binding));
  };
}

/** Bindings for as long as the component is there. `on` as in `useEffect`. */
export function useKeys(make: () => readonly Binding[], on: readonly unknown[] = []): void {
  // Before the first frame: a key pressed at once must not be lost.
  useLayoutEffect(() => bindKeys(make()), [...on]);
}

/** Time within which the second key of a sequence must come. */
const SEQUENCE_MILLIS = 1_200;
let first = "";
let firstAt = 0;

function isInput(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  const inside = target.shadowRoot?.activeElement;
  return (
    target.isContentEditable ||
    (inside instanceof HTMLElement && inside.isContentEditable) ||
    /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)
  );
}

/** How a key is written in a binding. */
export function nameOf(event: KeyboardEvent): string {
  const key = event.key === " " ? "Space" : event.key;
  let name = key;
  if (event.shiftKey && key.length > 1) name = `Shift+${name}`;
  if (event.altKey) name = `Alt+${name}`;
  if (event.ctrlKey || event.metaKey) name = `Ctrl+${name}`;
  return name;
}

export function handle(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing || /^(Shift|Control|Alt|Meta)$/.test(event.key)) return;
  const name = nameOf(event);
  const inside = isInput(event.target);
  const sequence = first !== "" && Date.now() - firstAt < SEQUENCE_MILLIS ? `${first} ${name}` : "";
  first = "";
  const all = bindings.peek();
  for (const wanted of sequence ? [sequence, name] : [name]) {
    for (let at = all.length - 1; at >= 0; at--) {
      const binding = all[at];
      if (!binding || keysOf(binding) !== wanted) continue;
      if (inside && !(binding.inInputs ?? name.startsWith("Ctrl+"))) continue;
      event.preventDefault();
      binding.run(event);
      return;
    }
  }
  if (!inside && all.some((binding) => keysOf(binding).startsWith(`${name} `))) {
    first = name;
    firstAt = Date.now();
  }
}

window.addEventListener("keydown", handle);
