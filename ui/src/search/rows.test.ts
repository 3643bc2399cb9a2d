// Rows of the list of traces: values, order, and that they stand still.

import { expect, test } from "vitest";
import { answerName, rowOf, sorted, steady } from "./rows";

const trace = (id: string, at: number, millis: number) => ({
  traceID: id,
  startTimeUnixNano: String(at * 1e9),
  durationMs: millis,
  rootServiceName: "a",
  serviceStats: { a: { spanCount: 2 }, b: { spanCount: 5, errorCount: 1 } },
  spanSets: [
    {
      matched: 4,
      spans: [
        {
          spanID: "1",
          startTimeUnixNano: "0",
          durationNanos: "1",
          attributes: [{ key: "http.route", value: { stringValue: "/x" } }],
        },
        {
          spanID: "2",
          startTimeUnixNano: "0",
          durationNanos: "1",
          attributes: [{ key: "http.route", value: { stringValue: "/y" } }],
        },
        {
          spanID: "3",
          startTimeUnixNano: "0",
          durationNanos: "1",
          attributes: [{ key: "http.route", value: { stringValue: "/x" } }],
        },
      ],
    },
  ],
});

test("a row", () => {
  const row = rowOf(trace("1", 5, 7));
  expect(row).toMatchObject({
    spans: 7,
    errors: 1,
    matched: 4,
    durationNanos: 7e6,
    values: { "http.route": "/x, /y" },
  });
  expect(row.services.map((service) => service.name)).toEqual(["b", "a"]);
  expect(rowOf({ traceID: "2", startTimeUnixNano: "1" })).toMatchObject({ rootName: "", spans: 0, services: [] });
});

test("order, and rows that stand still", () => {
  const rows = [trace("1", 1, 30), trace("2", 2, 10), trace("3", 3, 20)].map(rowOf);
  const ids = (found: { id: string }[]) => found.map((row) => row.id).join("");
  expect(ids(sorted(rows, "newest"))).toBe("321");
  expect(ids(sorted(rows, "slowest"))).toBe("132");
  const shown = sorted(rows.slice(0, 2), "newest");
  const fresh = sorted(
    rows.map((row) => ({ ...row, spans: 99 })),
    "newest",
  );
  expect(ids(steady(shown, fresh))).toBe("21");
  expect(steady(shown, fresh)[0]?.spans).toBe(99);
});

test("names of columns", () => {
  expect(["span.http.route", "resource.service.name", ".a", 'span."odd name"', "name"].map(answerName)).toEqual([
    "http.route",
    "service.name",
    "a",
    "odd name",
    "name",
  ]);
});
