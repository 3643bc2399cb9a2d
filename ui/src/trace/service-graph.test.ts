// Sums of the services of a trace.
import { expect, test } from "vitest";
import { skeletonOf } from "../../tests/skeletons";
import { buildModel } from "./model";
import { serviceGraph } from "./service-graph";

test("nothing is lost or counted twice", () => {
  const skeleton = skeletonOf({ seed: 5, spans: 400, orphans: 3, folded: 20 });
  const model = buildModel(skeleton);
  const { nodes, edges } = serviceGraph(model);
  const sum = (pick: (node: (typeof nodes)[number]) => number) => nodes.reduce((all, one) => all + pick(one), 0);
  expect(sum((one) => one.spans)).toBe(400);
  expect(sum((one) => one.errors)).toBe(skeleton.errorCount);
  const across = skeleton.spans.parent.filter(
    (parent, span) => parent >= 0 && skeleton.spans.service[parent] !== skeleton.spans.service[span],
  );
  const traced = edges.filter((edge) => edge.client >= 0);
  expect(traced.reduce((all, edge) => all + edge.calls, 0)).toBe(across.length);
  expect(edges.filter((edge) => edge.client < 0).reduce((all, edge) => all + edge.calls, 0)).toBe(3);
  const known = new Set(nodes.map((one) => one.code));
  expect(known.has(-1)).toBe(true);
  for (const edge of edges) expect(known.has(edge.client) && known.has(edge.server)).toBe(true);
});
