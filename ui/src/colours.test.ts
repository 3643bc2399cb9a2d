// Colours do not depend on the order in which services are given.

import { expect, test } from "vitest";
import { assignColours, colourOfName } from "./colours";

test("by share of time, ties by name", () => {
  const services = [
    { name: "b", weight: 1 },
    { name: "a", weight: 1 },
    { name: "c", weight: 5 },
  ];
  expect([...assignColours(services)]).toEqual([...assignColours([...services].reverse())]);
  expect(assignColours(services).get("c")).toBe(0);
  expect(assignColours(services).get("a")).toBe(1);
});

test("colours by name are within the palette", () => {
  for (const name of ["", "checkout", "ü", "x".repeat(1000)]) {
    const colour = colourOfName(name);
    expect(Number.isInteger(colour) && colour >= 0 && colour < 20).toBe(true);
  }
});
