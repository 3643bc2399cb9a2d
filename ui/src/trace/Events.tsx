// Events of a span in their order, exceptions with their stack.
import type { SpanDetail } from "../api-types";
import { count, duration } from "../format";
import { Attributes } from "./Attributes";
import { visibleLine } from "./hostile";
import type { TraceStore } from "./store";

/** More would be a page of their own. */
const MOST = 200;

export function Events({ store, span, detail }: { store: TraceStore; span: number; detail: SpanDetail }) {
  const events = [...(detail.events ?? [])].sort((a, b) => a.offsetNanos - b.offsetNanos);
  if (events.length === 0) return <p class="muted pad">None</p>;
  const start = store.starts.value?.[span] ?? 0;
  return (
    <ol class="events">
      {events.slice(0, MOST).map((event, index) => (
        <li key={index}>
          <h3 class="part-head">
            <span class="tabular muted" title={`${duration(start + event.offsetNanos)} after the trace began`}>
              +{duration(event.offsetNanos)}
            </span>{" "}
            {visibleLine(event.name)}
          </h3>
          {(event.attributes ?? []).length > 0 && (
            <Attributes store={store} scope="event" attributes={event.attributes ?? []} />
          )}
        </li>
      ))}
      {events.length > MOST && <li class="muted pad">and {count(events.length - MOST)} more</li>}
      {detail.droppedEvents ? <li class="muted pad">The SDK dropped {count(detail.droppedEvents)} more</li> : null}
    </ol>
  );
}
