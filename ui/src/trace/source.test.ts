// A trace in memory answers as a server would; a subtree that is loaded later joins what was there.
import { expect, test } from "vitest";
import { detailsOf, diagnosisOf, skeletonOf } from "../../tests/skeletons";
import { memorySource } from "./memory-source";
import { mergeSubtree } from "./merge";
import { buildModel } from "./model";
import { inDisplayOrder, neighbour, numbersIn } from "./numbers";
import { fromTempo } from "./otlp";

const stop = new AbortController().signal;

function opened(spans: number) {
  const skeleton = skeletonOf({ seed: 11, spans });
  return { skeleton, diagnosis: diagnosisOf(skeleton), spans: detailsOf(skeleton) };
}

test("finds texts, expressions and attributes", async () => {
  const source = memorySource(opened(60));
  const all = (await source.find("http.route", stop)).total;
  expect(all).toBe(60);
  const exact = await source.find("http.route=/item/3", stop);
  expect(exact.spans.every((number) => number % 7 === 3)).toBe(true);
  expect((await source.find("/item\\/[12]$/", stop)).spans.every((number) => [1, 2].includes(number % 7))).toBe(true);
  expect((await source.find("AUTHORIZE", stop)).total).toBeGreaterThan(0);
  await expect(source.find("{ status = error }", stop)).rejects.toThrow("query engine");
});

test("is OTLP again", async () => {
  const trace = opened(5);
  const sent = JSON.parse(await memorySource(trace).otlp());
  const spans = sent.resourceSpans.flatMap((one: { scopeSpans: { spans: unknown[] }[] }) =>
    one.scopeSpans.flatMap((scope) => scope.spans),
  );
  expect(spans).toHaveLength(5);
  expect(spans[0]).toMatchObject({ traceId: trace.skeleton.traceId, startTimeUnixNano: trace.skeleton.startUnixNanos });
});

test("Tempo's JSON becomes OTLP JSON", () => {
  const sent = {
    batches: [
      {
        resource: { attributes: [] },
        scopeSpans: [
          {
            spans: [
              {
                traceId: "FkrEs4DQkS3A9bakwoToyQ==",
                spanId: "GHEzVViDgdI=",
                kind: "SPAN_KIND_SERVER",
                status: { code: "STATUS_CODE_ERROR" },
                links: [{ traceId: "FkrEs4DQkS3A9bakwoToyQ==", spanId: "GHEzVViDgdI=" }],
              },
            ],
          },
        ],
      },
    ],
  };
  const otlp = JSON.parse(fromTempo(JSON.stringify(sent)));
  const ids = { traceId: "164ac4b380d0912dc0f5b6a4c284e8c9", spanId: "18713355588381d2" };
  expect(otlp.resourceSpans[0].scopeSpans[0].spans).toEqual([{ ...ids, kind: 2, status: { code: 2 }, links: [ids] }]);
  expect(JSON.parse(fromTempo(JSON.stringify(otlp)))).toEqual(otlp);
});

test("a subtree joins, with its own left-out parts", () => {
  const whole = skeletonOf({ seed: 4, spans: 40 });
  const model = buildModel(whole);
  const top = [...model.preorder].find(
    (span) => span > 0 && model.subtreeEnd[span] - model.position[span] > 3,
  ) as number;
  const inside = new Set(model.preorder.slice(model.position[top], model.subtreeEnd[top]));
  const kept = whole.spans.id.map((_, span) => span).filter((span) => span === top || !inside.has(span));
  const pick = (numbers: number[], parentOf: (parent: number) => number) => ({
    ...whole,
    folds: [],
    gaps: [],
    criticalPath: [],
    missingParents: [],
    spans: Object.fromEntries(
      Object.entries(whole.spans).map(([column, values]) => [
        column,
        numbers.map((span) => (column === "parent" ? parentOf(values[span] as number) : values[span])),
      ]),
    ) as unknown as typeof whole.spans,
    preorder: whole.preorder.filter((span) => numbers.includes(span)).map((span) => numbers.indexOf(span)),
  });
  const base = { ...pick(kept, (parent) => kept.indexOf(parent)), truncated: true };
  base.hiddenChildren = { [kept.indexOf(top)]: inside.size - 1 };
  const sorted = [...inside].sort((a, b) => a - b);
  const below = pick(sorted, (parent) => sorted.indexOf(parent));
  const joined = buildModel(mergeSubtree(base, below, kept.indexOf(top)));
  expect(joined.count).toBe(40);
  expect(joined.skeleton.truncated).toBe(false);
  expect([...joined.preorder].map((span) => joined.ids[span])).toEqual(
    [...model.preorder].map((span) => model.ids[span]),
  );
});

test("numbers of other answers are found by id where the skeleton was cut", () => {
  const model = buildModel(skeletonOf({ seed: 4, spans: 10 }));
  expect(numbersIn(model, [3, 900], [model.ids[3], model.ids[5]])).toEqual([3, 5]);
  expect(numbersIn(model, [3], ["ffff"])).toEqual([]);
});

test("next and previous go round in the order of rows", () => {
  const model = buildModel(skeletonOf({ seed: 4, spans: 30 }));
  const some = inDisplayOrder(model, [3, 9, 20]);
  let at = neighbour(model, some, -1, true);
  expect(at).toBe(some[0]);
  for (const expected of [some[1], some[2], some[0]]) {
    at = neighbour(model, some, at, true);
    expect(at).toBe(expected);
  }
  expect(neighbour(model, some, some[0], false)).toBe(some[2]);
  expect(neighbour(model, new Int32Array(0), 1, true)).toBe(-1);
});
