// Which of the twenty series colours a service has. Pure: the same trace has the same colours for everybody.

import { SERIES } from "./theme";

/** Colours of one trace: by share of time, the largest first, ties by name. */
export function assignColours(services: readonly { name: string; weight: number }[]): Map<string, number> {
  const sorted = [...services].sort((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const out = new Map<string, number>();
  for (const { name } of sorted) if (!out.has(name)) out.set(name, out.size % SERIES);
  return out;
}

/** Colour of a name where there is no trace to share colours with: lists, maps. Stable, not unique. */
export function colourOfName(name: string): number {
  let hash = 2166136261;
  for (let at = 0; at < name.length; at++) {
    hash ^= name.charCodeAt(at);
    hash = Math.imul(hash, 16777619);
  }
  return ((hash ^ (hash >>> 15)) >>> 0) % SERIES;
}

/** A CSS class that sets `--colour` to a series colour; styles in an attribute would need a weaker policy. */
export function seriesClass(index: number): string {
  return `series-${index}`;
}
