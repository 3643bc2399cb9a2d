// A histogram of durations as columns of equal width on a logarithmic scale, for a small picture.

export const COLUMNS = 40;

/** `steps` are upper bounds with their counts; `at` is the column that `own` falls into. */
export function columns(steps: readonly (readonly [number, number])[], own: number): { bars: number[]; at: number } {
  if (steps.length === 0) return { bars: [], at: 0 };
  const all = [...steps.map(([upper]) => upper), own].map((nanos) => Math.log(Math.max(1, nanos)));
  const least = Math.min(...all);
  // A single duration is a single column in the middle of an octave.
  const wide = Math.max(Math.max(...all) - least, Math.LN2);
  const column = (nanos: number): number =>
    Math.min(COLUMNS - 1, Math.floor(((Math.log(Math.max(1, nanos)) - least) / wide) * COLUMNS));
  const bars = new Array<number>(COLUMNS).fill(0);
  for (const [upper, count] of steps) bars[column(upper)] += count;
  return { bars, at: column(own) };
}
