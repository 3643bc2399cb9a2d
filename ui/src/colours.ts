// Which of the twenty series colours a service has. Pure: the same trace has the same colours for everybody.

import { SERIES } from "./theme";

/** Colours of one trace: by share of time, the largest first, ties by name. */
export function assignColours(services: readonly { name: string; weight: number }[]): Map<string, number> {
  const sorted = [...services].sort((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const out = new Map<string, number>();
  for (const { name } of sorted) if (!out.has(name)) out.set(name, out.size % SERIES);
  return out;
}

/** Colour of a name by itself: stable, not unique. */
export function colourOfName(name: string): number {
  let hash = 2166136261;
  for (let at = 0; at < name.length; at++) {
    hash ^= name.charCodeAt(at);
    hash = Math.imul(hash, 16777619);
  }
  return ((hash ^ (hash >>> 15)) >>> 0) % SERIES;
}

/** How far on the next colour is tried: neighbours in the palette look alike less than its ends do. */
const STEP = 7;

/** Colours of the services that one list or map shows: each has its own while there are as many colours, mostly the one
 * of its name, whatever order they are given in. */
export function coloursTogether(names: Iterable<string>): (name: string) => number {
  const sorted = [...new Set(names)].sort();
  const taken = new Map<string, number>();
  const used = new Set<number>();
  const take = (name: string, colour: number) => {
    taken.set(name, colour);
    used.add(colour);
  };
  for (const name of sorted) if (!used.has(colourOfName(name))) take(name, colourOfName(name));
  for (const name of sorted) {
    if (taken.has(name) || used.size === SERIES) continue;
    let colour = colourOfName(name);
    while (used.has(colour)) colour = (colour + STEP) % SERIES;
    take(name, colour);
  }
  return (name) => taken.get(name) ?? colourOfName(name);
}

/** A CSS class that sets `--colour` to a series colour; styles in an attribute would need a weaker policy. */
export function seriesClass(index: number): string {
  return `series-${index}`;
}
