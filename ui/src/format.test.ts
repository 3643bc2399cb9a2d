// Formatters: fixed examples, and that no number makes them fail.

import fc from "fast-check";
import { expect, test } from "vitest";
import * as format from "./format";

test("durations", () => {
  const check = (nanos: number, shown: string) => expect(format.duration(nanos)).toBe(shown);
  check(0, "0 ns");
  check(1, "1 ns");
  check(999.9, "1 µs");
  check(1_500, "1.5 µs");
  check(12_400_000, "12.4 ms");
  check(812_000_000, "812 ms");
  check(999_999_000, "1 s");
  check(1_840_000_000, "1.84 s");
  check(59_999_000_000, "1 m");
  check(200e9, "3 m 20 s");
  check(7_260e9, "2 h 1 m");
  check(-38e6, "-38 ms");
  check(Number.NaN, "–");
});

test("durations as typed", () => {
  expect(format.parseDuration("1h30m")).toBe(5.4e12);
  expect(format.parseDuration("500 ms")).toBe(5e8);
  expect(format.parseDuration("1.5s")).toBe(1.5e9);
  expect(format.parseDuration("5")).toBeUndefined();
  expect(format.parseDuration("")).toBeUndefined();
  expect(format.parseDuration("1x")).toBeUndefined();
});

test("counts, bytes, shares, rates", () => {
  expect([0, 812, 9_990, 12_400, 1_900_000].map(format.count)).toEqual(["0", "812", "9\u202f990", "12.4 k", "1.9 M"]);
  expect([0, 812, 2.1e9, 999_990].map(format.bytes)).toEqual(["0 B", "812 B", "2.1 GB", "1 MB"]);
  expect([0, 0.0004, 0.004, 0.31, 0.9999, 1].map(format.percent)).toEqual([
    "0 %",
    "<0.1 %",
    "0.4 %",
    "31 %",
    ">99.9 %",
    "100 %",
  ]);
  expect([0, 0.05, 0.9, 118, 41_000].map(format.rate)).toEqual(["0/s", "3/min", "0.9/s", "118/s", "41 k/s"]);
});

test("times", () => {
  const millis = format.millisOf("1764115200123456789");
  expect(millis).toBeCloseTo(1764115200123.456, 2);
  expect(format.dateTime(millis, true, true)).toBe("2025-11-26 00:00:00.123");
  expect(format.age(millis - 4_000, millis)).toBe("4 s ago");
});

test("no number makes a formatter fail or print a fault", () => {
  fc.assert(
    fc.property(fc.double(), (value) => {
      for (const shown of [
        format.duration(value),
        format.count(value),
        format.bytes(value),
        format.percent(value),
        format.rate(value),
      ]) {
        expect(shown).not.toMatch(/NaN|undefined|Infinity/);
      }
    }),
  );
});

test("hostile text becomes visible and short", () => {
  expect(format.plain("a\u202eb\n\u0000")).toBe("a\\u202eb⏎\\u0000");
  expect(format.plain("x".repeat(1e6)).length).toBeLessThan(500);
});

test("only http and https are links", () => {
  for (const bad of ["javascript:alert(1)", "data:text/html,x", " https://a", "//a", "https://", "file:///etc"]) {
    expect(format.safeLink(bad), bad).toBeUndefined();
  }
  expect(format.safeLink("https://example.com/a?b=1")).toBe("https://example.com/a?b=1");
});
