// What a person prefers, in this browser only: theme, widths, time zone. Never what a link should carry.

import { signal } from "@preact/signals";

const PREFIX = "spanlake.";

/** Storage may be forbidden or full: then a preference lasts as long as the page. */
export function load<T>(key: string, otherwise: T): T {
  try {
    const text = window.localStorage.getItem(PREFIX + key);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}

export function save(key: string, value: unknown): void {
  try {
    window.localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // Lasts as long as the page.
  }
}

/** A preference as a signal that is stored when it is set through `set`. */
export function preference<T>(key: string, otherwise: T) {
  const value = signal<T>(load(key, otherwise));
  return {
    value,
    set(next: T) {
      value.value = next;
      save(key, next);
    },
  };
}
