// Where a trace comes from: a server, or a file that is only in memory. The view asks through this and knows neither.
import type { Backlinks, Diagnosis, FindResult, OperationBaseline, Skeleton, SpanDetail } from "../api-types";

export interface TraceSource {
  /** True when nothing is behind it but memory: no links into the store, no baseline, no sharing by link. */
  readonly isFile: boolean;
  /** The whole trace, or the subtree of one span. */
  skeleton(signal: AbortSignal, below?: string): Promise<Skeleton>;
  diagnosis(signal: AbortSignal): Promise<Diagnosis>;
  /** At most 1,000 ids. */
  details(ids: string[], signal?: AbortSignal): Promise<SpanDetail[]>;
  find(text: string, signal: AbortSignal): Promise<FindResult>;
  /** Spans of other traces that link here. */
  backlinks(signal: AbortSignal): Promise<Backlinks>;
  /** A duration among those of its operation before `end` (Unix nanoseconds); undefined without a store. */
  standing(
    operation: { service: string; operation: string; kind: string; durationNanos: number; end: string },
    signal: AbortSignal,
  ): Promise<OperationBaseline | undefined>;
  /** The trace as Markdown for a ticket: link, picture, findings. */
  markdown(): Promise<string>;
  /** The trace as OTLP JSON. */
  otlp(): Promise<string>;
}

/** Where the view keeps what a link should carry: the address, or nothing but memory. */
export interface ViewState {
  /** Reading subscribes. */
  get(key: string): string;
  set(changes: Record<string, string | undefined>, how: "push" | "replace"): void;
}
