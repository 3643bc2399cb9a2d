// The row under the pointer in full, after a moment: names are cut in the column.
import { duration } from "../format";
import { visibleLine } from "./hostile";
import { rowLabel } from "./labels";
import { ERROR, nameOf, serviceOf } from "./model";
import { Row } from "./rows";
import type { TraceStore } from "./store";
import type { WaterfallView } from "./waterfall-view";

export function Tip({ store, view }: { store: TraceStore; view: WaterfallView }) {
  const at = view.tip.value;
  const model = store.model.value;
  const rows = store.rows.value;
  if (!at || !model || !rows || at.row >= rows.count) return null;
  const span = rows.kind[at.row] === Row.Span ? rows.ref[at.row] : -1;
  const missing = rows.kind[at.row] === Row.Missing ? model.missing[rows.ref[at.row]] : null;
  return (
    <div class="wf-tip" aria-hidden="true" style={{ left: `${at.x}px`, top: `${at.y}px` }}>
      {span >= 0 ? (
        <>
          <p class="clip">
            <strong>{visibleLine(serviceOf(model, span) || "unknown service")}</strong>{" "}
            {visibleLine(nameOf(model, span))}
          </p>
          <p class="muted tabular">
            {duration(model.duration[span])}, self {duration(model.self[span])}
            {model.path[span] > 0 ? `, on path ${duration(model.path[span])}` : ""}
            {model.status[span] === ERROR ? ", ! error" : ""}
          </p>
        </>
      ) : (
        <p>
          {rowLabel(store, at.row)}
          {missing ? `. ${missing.text}` : ""}
        </p>
      )}
    </div>
  );
}
