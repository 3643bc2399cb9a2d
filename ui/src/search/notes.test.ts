// Notes are asked for a few at a time, and only for rows that stay in sight.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Notes, notesOf, type TraceNote } from "./notes";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

interface Pending {
  id: string;
  signal: AbortSignal;
  answer: (notes: TraceNote[]) => void;
  fail: (error: Error) => void;
}

function fake(): { asked: Pending[]; notes: Notes } {
  const asked: Pending[] = [];
  const notes = new Notes((id, signal) => new Promise((answer, fail) => void asked.push({ id, signal, answer, fail })));
  return { asked, notes };
}

const settle = () => vi.advanceTimersByTimeAsync(300);

test("two at a time, each once", async () => {
  const { asked, notes } = fake();
  for (const id of ["a", "b", "c"]) notes.show(id);
  expect(asked.length).toBe(0);
  await settle();
  expect(asked.map((one) => one.id)).toEqual(["a", "b"]);
  asked[0]?.answer([{ word: "N+1", text: "t" }]);
  await settle();
  expect(asked.map((one) => one.id)).toEqual(["a", "b", "c"]);
  expect(notes.known.value.get("a")).toEqual([{ word: "N+1", text: "t" }]);
  notes.show("a");
  await settle();
  expect(asked.length).toBe(3);
});

test("what leaves is not asked for, or given up", async () => {
  const { asked, notes } = fake();
  notes.show("a");
  notes.hide("a");
  notes.show("b");
  await settle();
  expect(asked.map((one) => one.id)).toEqual(["b"]);
  notes.hide("b");
  expect(asked[0]?.signal.aborted).toBe(true);
});

test("a server that fails is left alone", async () => {
  const { asked, notes } = fake();
  for (const id of ["a", "b", "c"]) notes.show(id);
  await settle();
  asked[0]?.fail(new Error("busy"));
  await settle();
  notes.show("d");
  await settle();
  expect(asked.length).toBe(2);
});

test("words", () => {
  const finding = { rule: "n-plus-one", title: "N+1 queries", text: "x" };
  const found = [finding, finding, { rule: "new-rule", title: "A new one", text: "y" }];
  expect(notesOf({ findings: found } as never).map((note) => note.word)).toEqual(["N+1", "A new one"]);
});
