// Colours do not depend on the order in which services are given.

import fc from "fast-check";
import { expect, test } from "vitest";
import { assignColours, colourOfName, coloursTogether } from "./colours";

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

test("services seen together do not share a colour while there are enough", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { maxLength: 20 }), (names) => {
      const colour = coloursTogether(names);
      expect(new Set(names.map(colour)).size).toBe(names.length);
      const turned = coloursTogether([...names].reverse());
      expect(names.map(turned)).toEqual(names.map(colour));
    }),
  );
  // Who is alone with the colour of its name keeps it.
  expect(coloursTogether(["pay"])("pay")).toBe(colourOfName("pay"));
  expect(coloursTogether([])("other")).toBe(colourOfName("other"));
  const many = Array.from({ length: 50 }, (_, at) => `service-${at}`);
  for (const name of many) expect(coloursTogether(many)(name)).toBeLessThan(20);
});
