// What the server finds in the traces that are on the screen, asked for one by one while a person looks: few at a time,
// none for a row that has left, and never again for one that was answered. Knows no component.

import { signal } from "@preact/signals";
import { ApiError, isAbort, json } from "../api";
import type { Diagnosis } from "../api-types";
import { preference } from "../prefs";

export interface TraceNote {
  /** One or two words. */
  word: string;
  /** The finding as a sentence. */
  text: string;
}

/** Whether notes are asked for at all. */
export const notesOn = preference("search.notes", true);

/** A row must be seen for so long: what flies past while scrolling is not asked for. */
const REST_MILLIS = 250;
const AT_ONCE = 2;
/** Answers that are kept. */
const MOST_KEPT = 1_000;
/** A larger trace is worth a diagnosis, but not one that nobody asked for. */
export const MOST_SPANS = 5_000;
/** Notes of one trace. */
const MOST_NOTES = 3;

/** Findings in a word; others by their title. */
const WORDS: Record<string, string> = {
  "n-plus-one": "N+1",
  "duplicate-calls": "duplicates",
  "fan-out": "fan-out",
  retries: "retries",
  "retry-storm": "retry storm",
  "masked-failure": "masked failure",
  "sequential-calls": "sequential",
  "uninstrumented-gap": "gap",
  "missing-parent": "missing parent",
  "callee-not-traced": "callee not traced",
  "clock-skew": "clock",
  "clock-inconsistent": "clock",
  "error-culprit": "cause known",
  "slow-operation": "slower than usual",
  "more-calls-than-usual": "more calls",
  "duplicate-span-id": "double ids",
  "impossible-time": "wrong times",
  "parent-cycle": "cycle",
};

/** The words of a diagnosis, those that matter most first. */
export function notesOf(diagnosis: Pick<Diagnosis, "findings">): TraceNote[] {
  const out: TraceNote[] = [];
  for (const { rule, title, text } of diagnosis.findings) {
    const word = WORDS[rule] ?? title;
    if (out.every((note) => note.word !== word)) out.push({ word, text });
  }
  return out.slice(0, MOST_NOTES);
}

export class Notes {
  /** By trace id; what is not there yet was not answered yet. */
  readonly known = signal<ReadonlyMap<string, TraceNote[]>>(new Map());
  private readonly wanted = new Set<string>();
  private readonly running = new Map<string, AbortController>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isStopped = false;

  constructor(private readonly ask = fetchNotes) {}

  /** A row came into sight. */
  show(id: string): void {
    if (this.isStopped || this.known.peek().has(id) || this.running.has(id) || this.wanted.has(id)) return;
    this.wanted.add(id);
    this.plan();
  }

  /** It left: nobody waits for it any more. */
  hide(id: string): void {
    this.wanted.delete(id);
    this.running.get(id)?.abort();
    this.running.delete(id);
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    this.wanted.clear();
    for (const abort of this.running.values()) abort.abort();
  }

  private keep(id: string, notes: TraceNote[]): void {
    const next = new Map(this.known.peek());
    next.set(id, notes);
    for (const old of next.keys()) {
      if (next.size <= MOST_KEPT) break;
      next.delete(old);
    }
    this.known.value = next;
  }

  private plan(): void {
    clearTimeout(this.timer);
    if (!this.isStopped && this.wanted.size > 0) this.timer = setTimeout(() => this.go(), REST_MILLIS);
  }

  private go(): void {
    for (const id of this.wanted) {
      if (this.running.size >= AT_ONCE) return;
      this.wanted.delete(id);
      const abort = new AbortController();
      this.running.set(id, abort);
      this.ask(id, abort.signal)
        .then(
          (notes) => this.keep(id, notes),
          (error) => {
            if (isAbort(error) || abort.signal.aborted) return;
            if (error instanceof ApiError && OF_ONE_TRACE.includes(error.trouble)) this.keep(id, []);
            // A server that is busy or away has better things to do.
            else this.stop();
          },
        )
        .finally(() => {
          if (this.running.get(id) === abort) this.running.delete(id);
          if (!this.isStopped) this.go();
        });
    }
  }
}

/** Troubles of the trace, not of the server. */
const OF_ONE_TRACE = ["notFound", "tooLarge"];

async function fetchNotes(id: string, signal: AbortSignal): Promise<TraceNote[]> {
  return notesOf(await json<Diagnosis>(`api/v1/traces/${encodeURIComponent(id)}/diagnosis`, { signal }));
}
