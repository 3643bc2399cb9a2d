// Span numbers of other answers (find, diagnosis) in the skeleton at hand: the same while it is whole, by id when it
// was cut or parts of it were loaded later.
import type { TraceModel } from "./model";

export function numbersIn(model: TraceModel, numbers: number[], ids: string[] | undefined): number[] {
  const found: number[] = [];
  numbers.forEach((number, index) => {
    const id = ids?.[index];
    if (id === undefined || model.ids[number] === id) {
      if (number >= 0 && number < model.count) found.push(number);
      return;
    }
    const known = model.numberOf.get(id);
    if (known !== undefined) found.push(known);
  });
  return found;
}

/** Whether numbers of answers about the whole trace are those of this model. */
export function isWholeTrace(model: TraceModel): boolean {
  return !model.skeleton.truncated && model.count === model.skeleton.spanCount;
}

/** Sorted as rows are, each once. */
export function inDisplayOrder(model: TraceModel, numbers: number[]): Int32Array {
  return Int32Array.from(new Set(numbers)).sort((a, b) => model.position[a] - model.position[b]);
}

/** The member after (or before) `span` in display order, going round; -1 when there is none. */
export function neighbour(model: TraceModel, ordered: Int32Array, span: number, forwards: boolean): number {
  if (ordered.length === 0) return -1;
  const at = span >= 0 ? model.position[span] : -1;
  if (forwards) {
    for (const other of ordered) if (model.position[other] > at) return other;
    return ordered[0];
  }
  for (let i = ordered.length - 1; i >= 0; i--) {
    if (at < 0 || model.position[ordered[i]] < at) return ordered[i];
  }
  return ordered[ordered.length - 1];
}
