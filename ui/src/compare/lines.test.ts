// Which lines of a comparison are shown.

import { expect, test } from "vitest";
import type { ComparedLine } from "../api-types";
import { band, differs, middle } from "./lines";

const side = { count: 1, totalNanos: 10e6, selfNanos: 1, pathNanos: 1, errors: 0 };
const line: ComparedLine = {
  path: ["shop GET /"],
  depth: 0,
  service: "shop",
  name: "GET /",
  kind: "server",
  change: "same",
  a: side,
  b: side,
  deltaNanos: 0,
  pathDeltaNanos: 0,
};

test("what differs", () => {
  expect(differs(line)).toBe(false);
  expect(differs({ ...line, change: "added" })).toBe(true);
  expect(differs({ ...line, b: { ...side, count: 2 } })).toBe(true);
  expect(differs({ ...line, b: { ...side, errors: 1 } })).toBe(true);
  expect(differs({ ...line, deltaNanos: -0.9e6 })).toBe(false);
  expect(differs({ ...line, deltaNanos: -2e6 })).toBe(true);
  expect(differs({ ...line, a: { ...side, totalNanos: 1e9 }, deltaNanos: 2e6 })).toBe(false);
  expect(differs({ ...line, deltaNanos: 1e9, unusual: false })).toBe(false);
  expect(differs({ ...line, unusual: true })).toBe(true);
});

test("a band has a middle and its ends", () => {
  const many = { ...side, count: { p10: 1, p50: 2, p90: 7 } };
  expect(middle(many, "count")).toBe(2);
  expect(band(many, "count")).toMatchObject({ p10: 1, p90: 7 });
  expect(band(side, "count")).toBeUndefined();
});
