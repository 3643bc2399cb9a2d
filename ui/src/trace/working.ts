// When a span has no child running: where its bar is solid. Only for drawing; how much it is, the server says (`self`).
import type { TraceModel } from "./model";

/** Intervals by span, found when a span is first drawn. */
export class Working {
  private readonly known = new Map<number, Float64Array>();

  constructor(
    private readonly model: TraceModel,
    private readonly start: Float64Array,
  ) {}

  /** `from, to, from, to ..` in offsets, ascending. */
  of(span: number): Float64Array {
    const known = this.known.get(span);
    if (known) return known;
    const { model, start } = this;
    const from = model.children.from[span];
    const to = model.children.from[span + 1];
    const spanEnd = start[span] + model.duration[span];
    const children: number[] = [];
    for (let i = from; i < to; i++) if (!model.isAsync[model.children.list[i]]) children.push(model.children.list[i]);
    children.sort((a, b) => start[a] - start[b]);
    const found: number[] = [];
    let reach = start[span];
    for (const child of children) {
      if (start[child] > reach) found.push(reach, Math.min(start[child], spanEnd));
      reach = Math.max(reach, start[child] + model.duration[child]);
      if (reach >= spanEnd) break;
    }
    if (reach < spanEnd || found.length === 0) {
      if (reach < spanEnd) found.push(reach, spanEnd);
    }
    const intervals = Float64Array.from(found);
    this.known.set(span, intervals);
    return intervals;
  }
}
