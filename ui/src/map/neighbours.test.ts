// The part of a map that is drawn.

import { expect, test } from "vitest";
import type { ServiceMap } from "../api-types";
import { MOST_NODES, partOf } from "./neighbours";

const node = (name: string, requests = 1) => ({ name, kind: "service", requests, errors: 0, p50Nanos: 1, p99Nanos: 1 });
const edge = (client: string, server: string) => ({
  client,
  server,
  connection: "",
  calls: 1,
  errors: 0,
  p50Nanos: 1,
  p99Nanos: 1,
});
const map: ServiceMap = {
  nodes: ["a", "b", "c", "d", "e"].map((name) => node(name)),
  edges: [edge("a", "b"), edge("b", "c"), edge("c", "d"), edge("e", "b")],
};

test("neighbourhoods", () => {
  const names = (focus: string, hops: number) =>
    partOf(map, focus, hops)
      .nodes.map((found) => found.name)
      .sort();
  expect(names("b", 1)).toEqual(["a", "b", "c", "e"]);
  expect(names("a", 2)).toEqual(["a", "b", "c", "e"]);
  expect(names("", 1)).toEqual(["a", "b", "c", "d", "e"]);
  expect(partOf(map, "d", 1).edges).toEqual([edge("c", "d")]);
});

test("large maps fold", () => {
  const nodes = Array.from({ length: 100 }, (_, at) => node(`s${at}`, at));
  const part = partOf({ nodes, edges: [] }, "s0", 1);
  expect(part.nodes.map((found) => found.name)).toEqual(["s0"]);
  const all = partOf({ nodes, edges: [] }, "", 1);
  expect([all.nodes.length, all.folded, all.nodes[0]?.name]).toEqual([MOST_NODES, 100 - MOST_NODES, "s99"]);
});
