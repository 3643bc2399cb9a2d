// Attributes that a person wants at hand everywhere, in this browser only: first in the panel of a span, a chip in the
// search.

import { preference } from "./prefs";
import { field } from "./search/conditions";

/** More would be a list of their own. */
export const MOST_PINS = 12;

/** Fields with their scope: `span.http.route`. */
export const pinned = preference<string[]>("pins", []);

export function isPinned(pins: readonly string[], scope: string, key: string): boolean {
  return Array.isArray(pins) && pins.includes(field(scope, key));
}

export function togglePin(name: string): void {
  const pins = pinned.value.peek();
  const known = Array.isArray(pins) ? pins : [];
  pinned.set(known.includes(name) ? known.filter((pin) => pin !== name) : [...known, name].slice(-MOST_PINS));
}
