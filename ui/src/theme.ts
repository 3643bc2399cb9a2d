// Dark or light, and the colours of tokens.css for code that draws on a canvas.

import { computed, effect, signal } from "@preact/signals";
import { preference } from "./prefs";

export type ThemeChoice = "system" | "dark" | "light";

const choice = preference<ThemeChoice>("theme", "system");
const query = window.matchMedia?.("(prefers-color-scheme: light)");
const systemLight = signal(query?.matches ?? false);
query?.addEventListener?.("change", (event) => {
  systemLight.value = event.matches;
});

export const themeChoice = choice.value;
export const setTheme = choice.set;

/** The theme in force. */
export const theme = computed<"dark" | "light">(() =>
  choice.value.value === "system" ? (systemLight.value ? "light" : "dark") : choice.value.value,
);

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

/** Number of colours of the series palette: `--series-0` to `--series-19`. */
export const SERIES = 20;

/** A token (`"text"`, `"series-3"`) as a colour for canvas code, for the theme in force; reading it subscribes to the theme. */
export function token(name: string): string {
  const key = `${theme.value} ${name}`;
  let found = cache.get(key);
  if (found === undefined) {
    document.documentElement.dataset.theme = theme.value;
    found = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    cache.set(key, found);
  }
  return found;
}

const cache = new Map<string, string>();
