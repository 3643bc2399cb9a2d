// Zoom, pan, ticks and the text of a window.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { axisLabel, clampWindow, decodeWindow, encodeWindow, frame, panBy, ticks, zoomAround } from "./window";

const bounds = { from: -1e6, to: 2e9 };
const windows = fc
  .tuple(fc.integer({ min: -1e6, max: 2e9 - 1_000 }), fc.integer({ min: 20, max: 1e9 }))
  .map(([from, wide]) => clampWindow({ from, to: from + wide }, bounds));

describe("window", () => {
  test("stays inside its bounds and keeps what the pointer is on", () => {
    fc.assert(
      fc.property(
        windows,
        fc.double({ min: 0.1, max: 5, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (shown, factor, share) => {
          const at = shown.from + share * (shown.to - shown.from);
          const next = zoomAround(shown, bounds, factor, at);
          expect(next.from).toBeGreaterThanOrEqual(bounds.from);
          expect(next.to).toBeLessThanOrEqual(bounds.to + 1e-6);
          expect(next.to).toBeGreaterThan(next.from);
          const isFree = next.from > bounds.from && next.to < bounds.to && (shown.to - shown.from) * factor > 10;
          if (isFree) expect((at - next.from) / (next.to - next.from)).toBeCloseTo(share, 5);
        },
      ),
    );
  });

  test("moves without changing its width", () => {
    fc.assert(
      fc.property(windows, fc.double({ min: -2, max: 2, noNaN: true }), (shown, share) => {
        const next = panBy(shown, bounds, share);
        expect(next.to - next.from).toBeCloseTo(shown.to - shown.from, 3);
      }),
    );
  });

  test("text and back", () => {
    fc.assert(
      fc.property(windows, (shown) => {
        expect(decodeWindow(encodeWindow(shown, bounds), bounds)).toEqual(shown);
      }),
    );
    expect(encodeWindow(bounds, bounds)).toBe("");
    for (const wrong of ["", "5", "9,3", "a,b", "1,2,3", "NaN,4", "1,Infinity"]) {
      expect(decodeWindow(wrong, bounds)).toEqual(bounds);
    }
  });

  test("a framed span is inside, with air", () => {
    const shown = frame(5e8, 1e8, bounds);
    expect(shown.from).toBeLessThan(5e8);
    expect(shown.to).toBeGreaterThan(6e8);
  });

  test("ticks are round and few", () => {
    fc.assert(
      fc.property(windows, (shown) => {
        const marks = ticks(shown, 8);
        expect(marks.count).toBeLessThanOrEqual(12);
        if (marks.count > 0) expect(marks.first).toBeGreaterThanOrEqual(shown.from);
      }),
    );
    expect(axisLabel(0, 5e8, 2e9)).toBe("0");
    expect(axisLabel(5e8, 5e8, 2e9)).toBe("0.5 s");
    expect(axisLabel(1e9, 2.5e8, 2e9)).toBe("1.0 s");
    expect(axisLabel(250_000, 50_000, 900_000)).toBe("250 µs");
  });
});
