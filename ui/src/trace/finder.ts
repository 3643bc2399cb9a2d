// Find in the trace: asks the source, keeps the matches in the order of rows; a newer question ends an older one.
import { batch, type Signal, signal } from "@preact/signals";
import type { TraceModel } from "./model";
import { inDisplayOrder, numbersIn } from "./numbers";
import type { TraceSource } from "./source";

export interface Found {
  text: string;
  /** In display order. */
  spans: Int32Array;
  /** Matches that are not loaded. */
  elsewhere: number;
}

export class Finder {
  readonly found = signal<Found | null>(null);
  readonly failure = signal<unknown>(null);
  private abort = new AbortController();

  constructor(private readonly source: TraceSource) {}

  stop(): void {
    this.abort.abort();
  }

  /** Nothing to find clears what was found. The model is read when the answer comes: parts may have been loaded. */
  async run(text: string, model: Signal<TraceModel | null>): Promise<void> {
    this.abort.abort();
    this.abort = new AbortController();
    const { signal: stop } = this.abort;
    if (!text) {
      this.set(null, null);
      return;
    }
    try {
      const answer = await this.source.find(text, stop);
      const now = model.peek();
      if (stop.aborted || !now) return;
      const spans = inDisplayOrder(now, numbersIn(now, answer.spans, answer.ids));
      this.set({ text, spans, elsewhere: Math.max(0, answer.total - spans.length) }, null);
    } catch (error) {
      if (!stop.aborted) this.set(null, error);
    }
  }

  private set(found: Found | null, failure: unknown): void {
    batch(() => {
      this.found.value = found;
      this.failure.value = failure;
    });
  }
}
