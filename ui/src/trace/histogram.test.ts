// Every count lands in one column, and a span in its own.
import fc from "fast-check";
import { expect, test } from "vitest";
import { COLUMNS, columns } from "./histogram";

test("columns keep all counts and place the span", () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 1e12 }), fc.integer({ min: 1, max: 1e4 })), {
    minLength: 1,
  });
  fc.assert(
    fc.property(steps, fc.integer({ min: 0, max: 1e12 }), (given, own) => {
      const { bars, at } = columns(given, own);
      expect(bars).toHaveLength(COLUMNS);
      expect(bars.reduce((sum, one) => sum + one, 0)).toBe(given.reduce((sum, [, count]) => sum + count, 0));
      expect(at).toBeGreaterThanOrEqual(0);
      expect(at).toBeLessThan(COLUMNS);
    }),
  );
  expect(columns([], 5)).toEqual({ bars: [], at: 0 });
  expect(
    columns(
      [
        [1_000, 3],
        [1_000_000, 1],
      ],
      1_000_000,
    ).at,
  ).toBe(COLUMNS - 1);
});
