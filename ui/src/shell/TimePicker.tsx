// The time range: relative ranges stay as typed, absolute ones are UTC or local as the bar says.

import { useState } from "preact/hooks";
import { dateTime } from "../format";
import { rangeNow, refreshed, setParams, setUtc, typedRange, utc } from "../state";
import { describeRange, frozen, parseTime, RANGES } from "../time";
import { Glyph } from "./Glyph";
import { Popover } from "./Popover";

export function TimePicker() {
  const { from, to } = typedRange.value;
  return (
    <>
      <Popover
        title="Time range"
        name={`Time range: ${describeRange(from, to, utc.value)}`}
        popClass="time-pop"
        label={
          <>
            <Glyph name="clock" />
            <span class="tabular">{describeRange(from, to, utc.value)}</span>
            <Glyph name="down" />
          </>
        }
      >
        {(close) => <Choice close={close} />}
      </Popover>
      <button
        type="button"
        class="icon"
        title="Refresh (r)"
        aria-label="Refresh"
        onClick={() => {
          refreshed.value++;
        }}
      >
        <Glyph name="refresh" />
      </button>
      <button
        type="button"
        class="quiet"
        title="Show times in UTC or in this computer's zone (u)"
        onClick={() => setUtc(!utc.value)}
      >
        {utc.value ? "UTC" : "Local"}
      </button>
    </>
  );
}

/** A moment as it stands in the fields: relative as typed, absolute in the zone that is shown. */
function field(typed: string): string {
  if (typed.startsWith("now")) return typed;
  const millis = parseTime(typed, Date.now(), utc.value);
  return millis === undefined ? typed : dateTime(millis, utc.value, millis % 1000 !== 0);
}

function Choice({ close }: { close: () => void }) {
  const range = typedRange.value;
  const [from, setFrom] = useState(field(range.from));
  const [to, setTo] = useState(field(range.to));
  const [wrong, setWrong] = useState("");
  const choose = (start: string, end: string) => {
    setParams({ from: start, to: end });
    close();
  };
  const apply = (event: Event) => {
    event.preventDefault();
    const now = Date.now();
    const start = parseTime(from, now, utc.value);
    const end = parseTime(to, now, utc.value);
    if (start === undefined || end === undefined) {
      setWrong(`“${start === undefined ? from : to}” is not a time. Try now-2h or 2026-11-25 14:00.`);
    } else if (start >= end) {
      setWrong("The start must be before the end.");
    } else {
      choose(from.startsWith("now") ? from.trim() : frozen(start), to.startsWith("now") ? to.trim() : frozen(end));
    }
  };
  const freeze = () => {
    const now = rangeNow();
    choose(frozen(now.startMillis), frozen(now.endMillis));
  };
  return (
    <>
      <form onSubmit={apply}>
        <label>
          From
          <input type="text" value={from} spellcheck={false} onInput={(event) => setFrom(event.currentTarget.value)} />
        </label>
        <label>
          To
          <input type="text" value={to} spellcheck={false} onInput={(event) => setTo(event.currentTarget.value)} />
        </label>
        {wrong !== "" && (
          <p class="error-text" role="alert">
            {wrong}
          </p>
        )}
        <div class="row">
          <button type="submit" class="primary">
            Apply
          </button>
          <button
            type="button"
            title="Turn the range into fixed times, for a link that stays the same"
            onClick={freeze}
          >
            Freeze
          </button>
        </div>
        <p class="muted time-hint">
          Relative (<code>now-2h</code>), date and time in {utc.value ? "UTC" : "local time"}, or Unix time.
        </p>
      </form>
      <div class="menu">
        {RANGES.map(([typed, name]) => (
          <button
            key={typed}
            type="button"
            aria-pressed={range.from === typed && range.to === "now"}
            onClick={() => choose(typed, "now")}
          >
            {name}
          </button>
        ))}
      </div>
    </>
  );
}
