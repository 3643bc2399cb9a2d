// Attributes and events of spans, fetched when they are looked at, a few hundred kept. One request for many.
import { signal } from "@preact/signals";
import type { SpanDetail } from "../api-types";
import type { TraceSource } from "./source";

const MAX_KEPT = 500;

export class Details {
  private readonly kept = new Map<string, SpanDetail>();
  private readonly coming = new Map<string, Promise<SpanDetail | undefined>>();
  /** Rises when something came; reading it subscribes. */
  readonly came = signal(0);

  constructor(private readonly source: TraceSource) {}

  /** What is here already. */
  peek(id: string): SpanDetail | undefined {
    return this.kept.get(id);
  }

  async get(id: string): Promise<SpanDetail | undefined> {
    const here = this.kept.get(id);
    if (here) return here;
    const coming = this.coming.get(id);
    if (coming) return coming;
    const asked = this.source.details([id]).then((spans) => {
      this.keep(spans);
      return spans[0];
    });
    this.coming.set(id, asked);
    return asked.finally(() => this.coming.delete(id));
  }

  /** Fetches those that are not here; failures are silent, since nothing was asked for by a person. */
  prefetch(ids: string[]): void {
    const wanted = ids.filter((id) => !this.kept.has(id) && !this.coming.has(id)).slice(0, 100);
    if (wanted.length === 0) return;
    const asked = this.source.details(wanted).catch(() => []);
    for (const id of wanted) {
      this.coming.set(
        id,
        asked.then((spans) => spans.find((span) => span.id === id)),
      );
    }
    asked.then((spans) => {
      for (const id of wanted) this.coming.delete(id);
      this.keep(spans);
    });
  }

  private keep(spans: SpanDetail[]): void {
    for (const span of spans) {
      this.kept.delete(span.id);
      this.kept.set(span.id, span);
    }
    for (const id of this.kept.keys()) {
      if (this.kept.size <= MAX_KEPT) break;
      this.kept.delete(id);
    }
    this.came.value++;
  }
}
