// A few words beside a row for what the server found about its span; the sentences are on the Diagnosis tab.
import type { Diagnosis } from "../api-types";
import type { TraceModel } from "./model";
import { isWholeTrace, numbersIn } from "./numbers";

const WORDS: Record<string, string> = {
  "n-plus-one": "N+1",
  "duplicate-calls": "same call",
  "fan-out": "fan-out",
  retries: "retries",
  "masked-failure": "failed once",
  "sequential-calls": "in sequence",
  "more-calls-than-usual": "more calls",
  "slow-operation": "slow",
  "error-culprit": "cause",
  "callee-not-traced": "callee not traced",
  "clock-skew": "clock",
  "clock-inconsistent": "clocks disagree",
  "impossible-time": "impossible time",
  "duplicate-span-id": "id repeats",
  "parent-cycle": "cycle cut",
};

export interface Notes {
  /** By span. */
  words: Map<number, string>;
  percentiles: Map<number, string>;
  /** Network and queue before and after the server's span, by client span. */
  overheads: Map<number, { before: number; after: number }>;
}

export const NO_NOTES: Notes = { words: new Map(), percentiles: new Map(), overheads: new Map() };

export function notesOf(model: TraceModel, diagnosis: Diagnosis): Notes {
  const words = new Map<number, string>();
  for (const finding of diagnosis.findings) {
    const word = WORDS[finding.rule];
    if (!word) continue;
    let spans = numbersIn(model, finding.spans, finding.spanIds);
    if (finding.rule === "error-culprit") {
      const culprits = new Set(diagnosis.errors?.culprits.map((culprit) => culprit.span));
      if (isWholeTrace(model)) spans = spans.filter((span) => culprits.has(span));
    }
    // A run in sequence begins at its first call.
    if (finding.rule === "sequential-calls") spans = spans.slice(0, 1);
    for (const span of spans) if (!words.has(span)) words.set(span, word);
  }
  const percentiles = new Map<number, string>();
  // Numbers of the whole trace: in a trace that opened from the top they would name other spans.
  const isWhole = isWholeTrace(model);
  if (isWhole) {
    for (const [span, standing] of Object.entries(diagnosis.percentiles ?? {})) {
      if (standing.rank >= 0.95) {
        percentiles.set(Number(span), standing.rank >= 0.99 ? `${standing.text}!` : standing.text);
      }
    }
  }
  const overheads = new Map<number, { before: number; after: number }>();
  if (isWhole) {
    for (const { client, beforeNanos, afterNanos } of diagnosis.overheads ?? []) {
      overheads.set(client, { before: beforeNanos, after: afterNanos });
    }
  }
  return { words, percentiles, overheads };
}
