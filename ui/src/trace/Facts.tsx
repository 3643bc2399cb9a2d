// The numbers of a span: duration, self time, its part of the path, where it stands among its operation, the network.
import { useEffect, useState } from "preact/hooks";
import type { OperationBaseline, SpanDetail } from "../api-types";
import { count, duration, percent } from "../format";
import { Glyph } from "../shell/Glyph";
import { copy } from "./clipboard";
import { COLUMNS, columns } from "./histogram";
import { visibleLine } from "./hostile";
import { KINDS, nameOf, serviceOf, type TraceModel } from "./model";
import { isWholeTrace, numbersIn } from "./numbers";
import type { TraceStore } from "./store";

function useStanding(store: TraceStore, span: number): OperationBaseline | undefined {
  const [state, setState] = useState<{ span: number; standing?: OperationBaseline }>({ span: -1 });
  useEffect(() => {
    const model = store.model.value;
    const abort = new AbortController();
    if (!model) return;
    const asked = {
      service: serviceOf(model, span),
      operation: nameOf(model, span),
      kind: KINDS[model.kind[span]] ?? "unspecified",
      durationNanos: model.duration[span],
      // What was usual when the trace ran, not what is usual now.
      end: String(BigInt(model.skeleton.startUnixNanos) + BigInt(Math.ceil(model.skeleton.durationNanos) + 1)),
    };
    // Arrow keys pass over many spans; only where they rest is worth a question.
    const timer = setTimeout(() => {
      store.source.standing(asked, abort.signal).then(
        (standing) => setState({ span, standing }),
        () => setState({ span }),
      );
    }, 120);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [store, span]);
  return state.span === span ? state.standing : undefined;
}

function pathTimes(model: TraceModel, span: number): string {
  const from = model.segmentsOf.from[span];
  const to = model.segmentsOf.from[span + 1];
  const shown: string[] = [];
  for (let i = from; i < to && shown.length < 3; i++) {
    const segment = model.segmentsOf.list[i];
    shown.push(`${duration(model.segmentStart[segment])} – ${duration(model.segmentEnd[segment])}`);
  }
  return to - from > shown.length ? `${shown.join(", ")} and ${to - from - shown.length} more` : shown.join(", ");
}

export function Facts({ store, span, detail }: { store: TraceStore; span: number; detail: SpanDetail | undefined }) {
  const model = store.model.value;
  const standing = useStanding(store, span);
  if (!model) return null;
  const { durationNanos, criticalPath } = model.skeleton;
  const own = model.duration[span];
  const whole = (criticalPath ?? []).reduce((sum, segment) => sum + segment.end - segment.start, 0);
  const overhead = (isWholeTrace(model) ? store.diagnosis.value : null)?.overheads?.find(
    (one) => one.client === span || one.server === span,
  );
  const findings = (store.diagnosis.value?.findings ?? []).filter((finding) =>
    numbersIn(model, finding.spans, finding.spanIds).includes(span),
  );
  const host = model.strings[model.host[span]];
  const parent = model.parent[span];
  return (
    <>
      <dl class="span-facts tabular">
        <Big label="Duration" value={duration(own)} note={`${percent(own / Math.max(1, durationNanos))} of trace`} />
        <Big label="Self" value={duration(model.self[span])} note={own > 0 ? percent(model.self[span] / own) : ""} />
        <Big
          label="On path"
          value={model.path[span] > 0 ? duration(model.path[span]) : "none"}
          note={model.path[span] > 0 && whole > 0 ? percent(model.path[span] / whole) : ""}
        />
      </dl>
      {standing && <Standing standing={standing} own={own} />}
      {findings.map((finding) => (
        <p key={finding.text} class="span-finding">
          <Glyph name="warning" />
          <span>{visibleLine(finding.text)}</span>
        </p>
      ))}
      <dl class="span-list tabular">
        <dt>Starts at</dt>
        <dd>{duration(store.starts.value?.[span] ?? 0)}</dd>
        {model.path[span] > 0 && (
          <>
            <dt>On the path</dt>
            <dd>{pathTimes(model, span)}</dd>
          </>
        )}
        {overhead && (
          <>
            <dt>Network</dt>
            <dd>
              {duration(overhead.beforeNanos)} before, {duration(overhead.afterNanos)} after the server's span
            </dd>
          </>
        )}
        <dt>Kind</dt>
        <dd>
          {KINDS[model.kind[span]] ?? "unspecified"}
          {model.isAsync[span] ? ", its parent does not wait for it" : ""}
        </dd>
        {host && (
          <>
            <dt>Host</dt>
            <dd class="clip">{visibleLine(host)}</dd>
          </>
        )}
        <dt>Span id</dt>
        <dd>
          <button
            type="button"
            class="quiet small mono inline"
            title="Copy span id"
            onClick={async () => {
              store.said.value = (await copy(model.ids[span]))
                ? "Span id copied"
                : "The browser did not let it be copied";
            }}
          >
            {model.ids[span]}
            <Glyph name="copy" />
          </button>
        </dd>
        {(parent >= 0 || detail?.parentId) && (
          <>
            <dt>Parent</dt>
            <dd class="clip">
              {parent >= 0 ? (
                <button type="button" class="quiet small inline" onClick={() => store.open(parent)}>
                  {visibleLine(serviceOf(model, parent))} {visibleLine(nameOf(model, parent))}
                </button>
              ) : (
                <span class="mono">{detail?.parentId} (missing)</span>
              )}
            </dd>
          </>
        )}
      </dl>
    </>
  );
}

function Big({ label, value, note }: { label: string; value: string; note: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>
        <b>{value}</b> <span class="muted">{note}</span>
      </dd>
    </div>
  );
}

/** Where this span stands: the sentence, and the histogram with a mark. */
function Standing({ standing, own }: { standing: OperationBaseline; own: number }) {
  if (standing.tooFew) {
    return <p class="standing muted">Too few of this operation to judge by ({count(standing.count)})</p>;
  }
  const { bars, at } = columns(standing.histogram ?? [], own);
  const most = Math.max(1, ...bars);
  const width = 280;
  const step = width / COLUMNS;
  return (
    <div class="standing">
      {bars.length > 0 && (
        <svg viewBox={`0 0 ${width} 34`} width={width} height={34} aria-hidden="true" focusable="false">
          {bars.map((many, index) => {
            const height = many > 0 ? Math.max(1.5, (many / most) * 26) : 0;
            const isHere = index === at;
            return (
              <rect
                key={index}
                class={isHere ? "here" : ""}
                x={index * step}
                y={34 - Math.max(height, isHere ? 1.5 : 0)}
                width={step - 1}
                height={Math.max(height, isHere ? 1.5 : 0)}
              />
            );
          })}
          <path class="mark" d={`M${at * step + step / 2 - 4} 0h8l-4 6z`} />
        </svg>
      )}
      <p>
        {standing.text ??
          `median ${duration(standing.p50Nanos ?? 0)}, p99 ${duration(standing.p99Nanos ?? 0)} of ${count(standing.count)}`}
      </p>
    </div>
  );
}
