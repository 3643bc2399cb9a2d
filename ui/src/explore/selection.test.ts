// Boxes on the heatmap.

import fc from "fast-check";
import { expect, test } from "vitest";
import type { Heatmap } from "../api-types";
import { boxOf, countIn, durationConditions, parseBox, printBox, selectionOf, slowest } from "./selection";

const map: Heatmap = {
  startUnixNanos: "1000000000000",
  endUnixNanos: "1040000000000",
  stepNanos: 10e9,
  bounds: [0, 10, 100, 1000],
  cells: [
    [0, 0, 90, 0],
    [1, 2, 4, 1],
    [3, 1, 6, 6],
  ],
  total: 100,
  errors: 7,
  rate: [9, 0.4, 0, 0.6],
  errorRate: [0, 0.1, 0, 0.6],
  p50: [],
  p99: [],
};

test("text is read back", () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.nat(), fc.nat(), (a, b, c, d) => {
      fc.pre(a !== b && c !== d);
      const box = parseBox([a, b, c, d].join(","));
      expect(box && parseBox(printBox(box))).toEqual(box);
    }),
  );
  for (const wrong of ["", "1,2,3", "1,1,2,3", "a,b,c,d", "1,2,-3,4", "1,2,3,Infinity"])
    expect(parseBox(wrong), wrong).toBeUndefined();
});

test("cells, counts, requests", () => {
  const box = boxOf(map, { column1: 3, column2: 1, row1: 1, row2: 2 });
  expect(box).toEqual({ fromMillis: 1010_000, toMillis: 1040_000, minNanos: 10, maxNanos: 1000 });
  expect(countIn(map, box)).toEqual({ spans: 10, errors: 7 });
  expect(selectionOf(box, true)).toEqual({
    startUnixNanos: "1010000000000",
    endUnixNanos: "1040000000000",
    minNanos: 10,
    maxNanos: 999,
    errors: true,
  });
  expect(durationConditions(box)).toEqual(["duration >= 10ns", "duration < 1000ns"]);
});

test("the slowest", () => {
  expect(slowest(map, 0.05)).toMatchObject({ minNanos: 100, maxNanos: 1000 });
  expect(slowest(map, 0.1)).toMatchObject({ minNanos: 10, maxNanos: 1000 });
  expect(slowest({ ...map, cells: [] }, 0.1)).toBeUndefined();
});
